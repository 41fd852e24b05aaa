"""Had anybody been able to know that this page must not ring again?

PagerDuty's list of incidents may run behind, and look-ups fail. A page that rings anew after a person closed the one
before it is excused only where our look, made in the same attempt right before the trigger, could not have shown the
close, and where the trigger had something to say that was not known to have rung already. Nothing else is excused: not
a trigger without a look, not one whose look came late enough to show the close, not one that says the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from benchmarks.chaos.desks.desk import Standing

GRAVITY = ("info", "warning", "error", "critical")


@dataclass(slots=True, kw_only=True)
class Ring:
    """A trigger of ours, and what was known when it was sent."""

    key: str
    place: str
    """The routing key."""
    severity: str
    sent_at: datetime
    looked: bool = False
    """Its attempt asked for the incidents under the key before."""
    seen_at: datetime | None = None
    """When the last such look was answered as it should be; None: it failed."""
    learnt: bool = False
    """What came of it was kept: no answer was lost, no worker died or was too late."""


def unexcused(
    pages: Sequence[Standing], rings: Sequence[Ring], closes: Sequence[datetime], *, lag: timedelta
) -> Iterator[Standing]:
    """The pages of one key at one place, oldest first, that ring though one was there before and its close by a person
    (at `closes`) could be seen, or no person closed it. The list is `lag` behind."""
    for before, page in pairwise(pages):
        closed_at = next((at for at in closes if before.made_at <= at <= page.made_at), None)
        ring = _last(rings, page)
        unseen = closed_at is not None and ring is not None and _could_not_know(ring, before, closed_at, lag)
        if not (unseen and ring is not None and _says_more(ring, rings)):
            yield page


def _last(rings: Iterable[Ring], page: Standing) -> Ring | None:
    """The trigger that made a page: the last that was sent when it came."""
    sent = [one for one in rings if one.sent_at <= page.made_at]
    return max(sent, key=lambda one: one.sent_at, default=None)


def _could_not_know(ring: Ring, before: Standing, closed_at: datetime, lag: timedelta) -> bool:
    """Did the look before this trigger fail, come before the close, or find a list that did not show the page yet?"""
    if not ring.looked:
        return False
    return ring.seen_at is None or ring.seen_at < closed_at or ring.seen_at < before.made_at + lag


def _says_more(ring: Ring, rings: Iterable[Ring]) -> bool:
    """Is it graver than what is known to have rung last, or is nothing known to have rung?"""
    known = [one for one in rings if one.learnt and one.sent_at < ring.sent_at]
    last = max(known, key=lambda one: one.sent_at, default=None)
    return last is None or GRAVITY.index(ring.severity) > GRAVITY.index(last.severity)
