"""How did an alert's latest checks end? Read from the moments at which its sender said "began" and "ended".

A monitor that tests again and again stamps each failed check with its own time, and a passed one ends the alert. A
sender that repeats one `starts_at` shows a single check, however often it reports.
"""

from __future__ import annotations

from datetime import datetime

from tocsin.domain.alert import AlertState, KeyReports, Status
from tocsin.domain.policy import Checks

REMEMBERED = 6
"""No more moments of each sort are kept of a sender's key: a longer row is told as this many."""


def failed_of_last(state: AlertState, last: int) -> int:
    """How many of the sender's `last` checks failed; of several senders the most. A passed check after the end of an
    alert counts too; one that nobody reported does not exist."""
    return max((sum(_outcomes(key)[-last:]) for key in state.keys), default=1 if state.firing_keys else 0)


def repeated(state: AlertState, checks: Checks, *, now: datetime) -> bool:
    """Did it fail as often as that, or fire for so long that it is let through?"""
    last_fired = now if state.status is Status.FIRING else state.ends_at or now
    return failed_of_last(state, checks.of) >= checks.failed or last_fired >= state.starts_at + checks.at_most


def failed_in_a_row(state: AlertState) -> int:
    """Failed checks since the last passed one, up to REMEMBERED; of several senders the most."""
    return max((_row(_outcomes(key)) for key in state.keys), default=1)


def _outcomes(key: KeyReports) -> list[bool]:
    """True for a failed check, in the order of their times; at one moment the pass comes last."""
    moments = [(at, 0) for at in key.starts] + [(at, 1) for at in key.ends]
    return [passed == 0 for _, passed in sorted(moments)]


def _row(outcomes: list[bool]) -> int:
    """The length of the last row of failures, before any passes that ended it."""
    while outcomes and not outcomes[-1]:
        outcomes = outcomes[:-1]
    return next((n for n, failed in enumerate(reversed(outcomes)) if not failed), len(outcomes))
