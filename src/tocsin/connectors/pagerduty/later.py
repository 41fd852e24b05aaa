"""When is a page attended to again? A resolve is repeated once, and an incident that does not show is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from tocsin.connectors.pagerduty.rest import moment

REPEAT_AFTER = timedelta(minutes=2)
"""A resolve is sent once more after this: a late trigger in PagerDuty's queue must not leave a page open."""
LOOKS = (timedelta(seconds=5), timedelta(seconds=20), timedelta(minutes=1), timedelta(minutes=5))
"""With a token: when we look again for the incident behind an accepted trigger."""


def repeat_in(resolving: Mapping[str, str], now: datetime) -> timedelta | None:
    """Until the next resolve is to be repeated; zero when one is due; None when none is. `resolving`: route → when its
    resolve went out ("" = not yet)."""
    times = [moment(at) for at in resolving.values()]
    waits = [timedelta(0) if at is None else at + REPEAT_AFTER - now for at in times]
    return max(timedelta(0), min(waits)) if waits else None


def looks_made(sent: Mapping[str, object]) -> int:
    """How often the incident was looked for in vain."""
    return looks if isinstance(looks := sent.get("looks", 0), int) else 0
