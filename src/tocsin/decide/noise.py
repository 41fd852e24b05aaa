"""How often does an alert open of its own accord, and does its coming back say anything?

Counted from the moments at which its latest episodes opened. What an alert does all the time is no news: it is judged
by its excess over its own rate, never by the rate itself (correlation.md §5), and nothing is ever muted for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from tocsin.domain.alert import AlertState

PRIOR, PRIOR_DAYS = 0.3, 3.0
"""Pseudo-counts of an alert never seen before: .1 a day (correlation.md §3)."""
FULL = 8
"""As many openings are remembered; with so many, what was seen needs no prior."""
AT_ONCE = 15.0
"""Minutes within which a fault that was not really over typically shows again."""
RETURNS = 0.1
"""One mend in ten does not hold: so often a revert is itself reverted (correlation.md §9.6)."""
RUN = timedelta(hours=1)
"""Openings this close belong to what is going on now, not to the alert's habits."""
_DAY = timedelta(days=1)
_SHOWS_MIN = _DAY.total_seconds() / 60


def own_rate(opened: Sequence[datetime], now: datetime) -> float:
    """Openings a day, from the moments of the latest ones (oldest first)."""
    if not opened:
        return PRIOR / PRIOR_DAYS
    days = (now - opened[0]) / _DAY
    shrunk = (PRIOR + len(opened)) / (PRIOR_DAYS + max(days, 0.0))
    return max(shrunk, len(opened) / days) if len(opened) >= FULL - 1 and days > 0 else shrunk


def comes_back(known: AlertState, now: datetime) -> float:
    """Does the alert fire again because its incident was not over? Log of how much better that explains it than the
    rate at which it opened before (the last hour, its present run, apart): above 0, yes.

    A mend that fails shows soon or late within a day: its density falls with one over the time since (log-uniform; of
    what is reverted at all 70 % is within a day, correlation.md §9.6). For how long a return is honoured is another
    thing (`reopen_within`): who honours it for an hour does not say that all mends which fail do so in that hour."""
    minutes = max((now - (known.ends_at or known.last_report_at)).total_seconds() / 60, 0.0)
    back = RETURNS / (minutes + AT_ONCE) / math.log(1 + _SHOWS_MIN / AT_ONCE)
    rate = own_rate([moment for moment in known.opened if now - moment > RUN], now) / 1440
    return math.log(back / rate)


def is_chronic(state: AlertState, now: datetime) -> bool:
    """Do all its remembered openings lie within a day? Another one of these is no surprise: Poisson, p > .28 in any
    hour. (Never by the rate alone where others alert too: it still joins, and is told in the ticket.)"""
    return len(state.opened) >= FULL and now - state.opened[0] <= _DAY


def surprise(rate_per_day: float) -> float:
    """How likely is it that an alert which opens so often of its own accord tells of a fault this time? Half at one a
    day: few subjects are hit by a real fault more often than that (judgement)."""
    return max(round(1 / (1 + rate_per_day), 3), 0.001)
