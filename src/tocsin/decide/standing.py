"""How much may be sent to a destination now, and how does it stand after what it answered?

A circuit breaker (opens after FAILURES in a row, at once on refused credentials; then one record is let through as a
probe), a window that grows by one record with each success after a rest, so that what has waited does not fall upon a
vendor that has just come back, and a bucket of calls where a limit is configured.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.domain.policy import Mode
from tocsin.domain.record import Outcome, Reason
from tocsin.domain.standing import AT_ONCE, Standing

FAILURES = 5
"""Attempts in a row without an answer that open the circuit."""
FIRST_REST = timedelta(seconds=15)
LONGEST_REST = timedelta(minutes=5)
"""Rests double from probe to probe."""
UNAUTHORIZED_REST = timedelta(minutes=1)
LONGEST_UNAUTHORIZED_REST = timedelta(minutes=15)
"""Refused credentials are tried seldom: some vendors lock the account."""
UNASKED_WAIT = timedelta(seconds=30)
"""Rest after a 429 that does not say how long (PagerDuty's Events API: "3 times, 30 s apart", vendors.md §1.2)."""
ALERT_AFTER = timedelta(minutes=10)
"""A circuit that is open this long raises our own alert."""
BURST = 0.1
"""Share of a limit that may go out at once. The rest flows in evenly, so that no span of a minute or an hour, wherever
the vendor begins it, holds more calls than the limit."""

AWAY = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.BAD_ANSWER})
"""Reasons that speak of the destination, not of the record."""


def allowance(standing: Standing, *, under_way: int, now: datetime) -> int:
    """How many records may be leased now, when `under_way` are already."""
    if standing.mode is Mode.OFF or standing.paused_at is not None:
        return 0
    if standing.rests_until is not None and standing.rests_until > now:
        return 0
    full = refilled(standing, now)
    left = [AT_ONCE]
    if standing.calls_per_minute is not None:
        left.append(int(full.minute_left))
    if standing.calls_per_hour is not None:
        left.append(int(full.hour_left))
    return max(0, min(standing.at_once - under_way, *left))


def refilled(standing: Standing, now: datetime) -> Standing:
    """The same with what has flowed into its buckets since it was last looked at."""
    if not standing.limited:
        return standing
    passed_s = max(0.0, (now - standing.refilled_at).total_seconds()) if standing.refilled_at else float("inf")
    return replace(
        standing,
        minute_left=_filled(standing.minute_left, standing.calls_per_minute, 60, passed_s),
        hour_left=_filled(standing.hour_left, standing.calls_per_hour, 3600, passed_s),
        refilled_at=max(now, standing.refilled_at) if standing.refilled_at else now,
    )


def _filled(left: float, limit: float | None, span_s: float, passed_s: float) -> float:
    if limit is None:
        return 0.0
    room = max(1.0, limit * BURST)
    flows_per_s = max(limit - room, limit * BURST) / span_s
    return min(room, left + flows_per_s * passed_s)


def charged(standing: Standing, calls: int, *, now: datetime) -> Standing:
    """The same after so many calls (below 0: calls that were foreseen and not made)."""
    if not standing.limited:
        return standing
    full = refilled(standing, now)
    return replace(full, minute_left=full.minute_left - calls, hour_left=full.hour_left - calls)


def after(standing: Standing, outcome: Outcome, *, jitter: float, now: datetime) -> Standing:
    """How it stands after this attempt. `jitter` is a number around 1 by which rests are stretched."""
    if outcome.reason is Reason.UNAUTHORIZED:
        return _opened(standing, outcome, UNAUTHORIZED_REST, LONGEST_UNAUTHORIZED_REST, jitter=jitter, now=now)
    unsettled = outcome.result in ("retry", "ambiguous")
    if unsettled and (outcome.alone or (outcome.result == "ambiguous" and outcome.after is not None)):
        return standing  # the record's own matter: its limit, or a connector that waits before it looks again
    if unsettled and outcome.reason is Reason.RATE_LIMITED:
        return _asked_to_wait(standing, outcome, now=now)
    if unsettled and outcome.reason in AWAY:
        failed = replace(standing, failures=standing.failures + 1)
        if standing.open_since is None and failed.failures < FAILURES:
            return failed
        return _opened(failed, outcome, FIRST_REST, LONGEST_REST, jitter=jitter, now=now)
    if standing.rests_until is not None and standing.rests_until > now:
        return standing  # an answer to what was sent before the rest
    return replace(
        standing,
        failures=0,
        at_once=min(AT_ONCE, standing.at_once + 1),
        open_since=None,
        openings=0,
        rests_until=None,
        rests_why="",
        rests_detail="",
        alert_at=None,
        alerted_at=None,
    )


def _opened(
    standing: Standing, outcome: Outcome, first: timedelta, longest: timedelta, *, jitter: float, now: datetime
) -> Standing:
    """Open, resting twice as long as the last time; what fails during a rest was sent before it."""
    if standing.open_since is not None and standing.rests_until is not None and standing.rests_until > now:
        return standing
    rest = min(first * 2 ** min(standing.openings, 10), longest) * jitter
    return replace(
        standing,
        at_once=1,
        open_since=standing.open_since or now,
        openings=standing.openings + 1,
        rests_until=now + max(rest, outcome.after or rest),
        rests_why=outcome.reason,
        rests_detail=outcome.detail,
        alert_at=standing.alert_at or (None if standing.alerted_at else now + ALERT_AFTER),
    )


def _asked_to_wait(standing: Standing, outcome: Outcome, *, now: datetime) -> Standing:
    until = now + (outcome.after or UNASKED_WAIT)
    return replace(
        standing,
        at_once=1,
        rests_until=max(until, standing.rests_until or until),
        rests_why=standing.rests_why if standing.open_since else outcome.reason,
        rests_detail=standing.rests_detail if standing.open_since else outcome.detail,
    )
