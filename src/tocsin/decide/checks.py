"""How did an alert's latest checks end? Read from the moments at which its sender said "began" and "ended".

A monitor that tests again and again stamps each failed check with its own time, and a passed one ends the alert. A
sender that repeats one `starts_at` shows a single check, however often it reports.
"""

from __future__ import annotations

import math
from datetime import datetime

from tocsin.domain.alert import AlertState, KeyReports, Status
from tocsin.domain.history import Measure, Season
from tocsin.domain.policy import Checks

REMEMBERED = 6
"""No more moments of each sort are kept of a sender's key: a longer row is told as this many."""


def failed_of_last(state: AlertState, last: int, *, with_effect: bool = False) -> int:
    """How many of the sender's `last` checks failed; of several senders the most. A passed check after the end of an
    alert counts too; one that nobody reported does not exist. `with_effect`: a failed check that is known to have
    measured no effect that matters, or another than the newest one, counts as passed."""
    unlike = _unlike_the_newest(state) if with_effect else frozenset[datetime]()
    return max((sum(_outcomes(key, unlike)[-last:]) for key in state.keys), default=1 if state.firing_keys else 0)


def repeated(state: AlertState, checks: Checks, *, now: datetime, with_effect: bool = False) -> bool:
    """Did it fail as often as that (`with_effect` as above), or fire for so long that it is let through?"""
    last_fired = now if state.status is Status.FIRING else state.ends_at or now
    failed = failed_of_last(state, checks.of, with_effect=with_effect)
    return failed >= checks.failed or last_fired >= state.starts_at + checks.at_most


def failed_in_a_row(state: AlertState) -> int:
    """Failed checks since the last passed one, up to REMEMBERED; of several senders the most."""
    return max((_row(_outcomes(key)) for key in state.keys), default=1)


def beyond_usual(state: AlertState, move: float, shape: float) -> tuple[float, float] | None:
    """The move of the mean and the change of shape beyond what the hour of its newest failed check brings anyhow, in
    standard deviations of the reference; None when no season is known.

    Of the mean that is how far it usually lies off at this hour beyond where it lies all day, so that a shift that
    stays is no part of it. A change of shape is a distance: what is usual of it (chance, the width of the bins, the
    hour) adds to it in squares."""
    usual = state.usual
    if usual is None or state.history.of is not Measure.MOVE or usual.season not in (Season.DAY, Season.WEEK):
        return None
    return move - (usual.middle - usual.level), math.sqrt(max(shape * shape - usual.shape * usual.shape, 0.0))


def _unlike_the_newest(state: AlertState) -> frozenset[datetime]:
    """Chance moves the mean up at one time and down at another; what really moved stays where it is."""
    failed = {at for key in state.keys for at in key.starts}
    effects = [effect for effect in state.history.effects if effect.at in failed]
    return frozenset(effect.at for effect in effects if not set(effect.kinds) & set(effects[-1].kinds))


def _outcomes(key: KeyReports, unlike: frozenset[datetime] = frozenset()) -> list[bool]:
    """True for a failed check, in the order of their times; at one moment the pass comes last."""
    moments = [(at, 0) for at in key.starts] + [(at, 1) for at in key.ends]
    return [passed == 0 and at not in unlike for at, passed in sorted(moments)]


def _row(outcomes: list[bool]) -> int:
    """The length of the last row of failures, before any passes that ended it."""
    while outcomes and not outcomes[-1]:
        outcomes = outcomes[:-1]
    return next((n for n, failed in enumerate(reversed(outcomes)) if not failed), len(outcomes))
