"""Is this value unusual for this very alert, at this hour? What is kept of its earlier values, and what follows.

What is kept rests on the reports alone, in the order of their receipt, so that it does not matter when a worker
looked. It annotates ticket and evidence; nothing is muted for it. A reading is only taken for usual when its sender
told it of its own accord: a passed check, not the value at which a firing alert recovered, which lies at the limit by
its nature. Senders that only ever tell of firing have no such readings; their values are compared with those at which
the alert fired before, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tocsin.decide.checks import beyond_usual
from tocsin.decide.deduplicate import AHEAD
from tocsin.decide.drift import effect_of
from tocsin.decide.noise import PRIOR, PRIOR_DAYS
from tocsin.domain.alert import Alert, AlertState, Resolves, Status, Transition
from tocsin.domain.history import FAILED, PASSED, Effect, History, Measure, Season, Usual
from tocsin.domain.policy import DriftPolicy

KEPT_HOURS = 672
"""Four weeks of hourly checks: an hour of the week is then known four times."""
KEPT_FOR = 12 * 168
"""Hours; older values say little of today. Twelve weeks, so that a daily check knows each day of the week more than
FEWEST times."""
KEPT_EFFECTS = 6
"""As many checks as decide/checks.py remembers."""
KEPT_OPENINGS = 64
FEWEST = 10
"""With fewer values nothing is said: of ten, one lies beyond either end of what is called usual."""
FEWEST_DAYS, FEWEST_WEEKS = 5, 4
"""So many different days (weeks) must have the hour before it counts as a season: fewer may be one bad stretch."""
NEAR = 1
"""Hours to either side count as the same one: jobs are late, and clocks change."""
TO_SIGMA = 0.6745
"""The median absolute deviation of a normal distribution, in standard deviations (Iglewicz and Hoaglin 1993)."""

_OLD = (Transition.STALE, Transition.COVERED)
_OPENS = (Transition.NEW, Transition.REFIRED)
_DAY, _WEEK = 24, 168


def noted(
    known: AlertState | None,
    state: AlertState,
    alert: Alert,
    transition: Transition,
    policy: DriftPolicy,
    *,
    now: datetime,
) -> AlertState:
    """The alert's `state` after a report that was received `now`, with the report's numbers in its history, and its
    value beside the earlier ones. `known` is the state before the report, `transition` what the report did."""
    if transition in _OLD:
        return state
    history, opens = state.history, transition in _OPENS
    if opens:
        minute = int(now.timestamp() // 60)
        history = replace(history, opened=(*history.opened, minute)[-KEPT_OPENINGS:])
    if alert.distribution is not None:
        return _of_distribution(replace(state, history=history), alert, policy, now)
    if history.of is Measure.MOVE:
        return replace(state, history=history)
    usual = _beside(known, state, now, opens=opens)
    value = alert.observed if alert.observed is not None and math.isfinite(alert.observed) else None
    if value is not None and (opens or _is_quiet_check(known, alert)):
        history = _kept(history, value, FAILED if opens else PASSED, now)
    if history is state.history and usual is state.usual:
        return state
    return replace(state, history=history, usual=usual)


def usual_of(history: History, value: float, hour: int) -> Usual | None:
    """`value` beside what the history tells of its kind: of the same hour of the week, else of the day, else of any;
    None with fewer than FEWEST values. `hour` counts since 1970."""
    if len(history.outcomes) < FEWEST:
        return None  # the usual case, and this is asked of every report
    passed = [place for place, outcome in enumerate(history.outcomes) if outcome == PASSED]
    if history.of is Measure.MOVE and passed:
        # Failed checks are part of the day's course here, but only beside passed ones: alone they are its extremes.
        passed = list(range(len(history.outcomes)))
    for season, every, least in ((Season.WEEK, _WEEK, FEWEST_WEEKS), (Season.DAY, _DAY, FEWEST_DAYS)):
        apart = {place: history.hours[place] - hour for place in passed}
        alike = [place for place, hours in apart.items() if abs((hours + every // 2) % every - every // 2) <= NEAR]
        times = {(apart[place] + NEAR) // every for place in alike}
        if len(alike) >= FEWEST and len(times) >= least and len(alike) < len(passed):
            return _usual(value, history, alike, passed, season)
    if len(passed) >= FEWEST:
        return _usual(value, history, passed, passed, Season.ALL)
    fired = [place for place, outcome in enumerate(history.outcomes) if outcome == FAILED]
    if history.of is Measure.OBSERVED and len(fired) >= FEWEST:
        return _usual(value, history, fired, fired, Season.FIRED)
    return None


def openings(state: AlertState) -> tuple[int, float, float]:
    """How often it opened in the 24 hours up to its latest opening; and in the days before that, as far as they are
    remembered: how often, in how many days."""
    opened = state.history.opened
    if not opened:
        return 0, 0.0, 0.0
    since = opened[-1] - 1440
    lately = sum(at > since for at in opened)
    return lately, float(len(opened) - lately), max((since - opened[0]) / 1440, 0.0)


def chance_of_openings(count: int, earlier: float, days: float) -> float:
    """How likely its own rate, learned from `earlier` openings in so many days, brings at least `count` in one day:
    Gamma-Poisson (correlation.md §5), under the prior of an alert never seen before."""
    shape, rate = PRIOR + earlier, PRIOR_DAYS + days
    chance, below = (rate / (rate + 1)) ** shape, 0.0
    for n in range(count):
        below += chance
        chance *= (shape + n) / (n + 1) / (rate + 1)
    return max(1 - below, 0.0)


def _of_distribution(state: AlertState, alert: Alert, policy: DriftPolicy, now: datetime) -> AlertState:
    """A repeated report of one check tells nothing new."""
    at = _moment(alert, now)
    found = effect_of(alert, policy)
    if found is None or (state.history.effects and at <= state.history.effects[-1].at):
        return state
    if isinstance(found, bool):
        return _with_effect(state, Effect(at=at, kinds="~" if found else ""))
    move, shape = found
    fails = alert.status is Status.FIRING
    if state.history.of is not Measure.MOVE:
        state = _with(state, of=Measure.MOVE, hours=(), values=(), outcomes="")
    if fails:
        state = replace(state, usual=usual_of(state.history, _rounded(move), _hour(now)))
    mean, form = (beyond_usual(state, move, shape) if fails else None) or found
    kinds = "" if abs(mean) < policy.mean_shift else "+" if mean > 0 else "-"
    kinds += "~" if form >= policy.shape else ""
    state = _with_effect(state, Effect(at=at, kinds=kinds))
    return replace(state, history=_kept(state.history, move, FAILED if fails else PASSED, now, shape=shape))


def _with_effect(state: AlertState, effect: Effect) -> AlertState:
    return _with(state, effects=(*state.history.effects, effect)[-KEPT_EFFECTS:])


def _beside(known: AlertState | None, state: AlertState, now: datetime, *, opens: bool) -> Usual | None:
    """The firing value beside the earlier ones; a repeated one stands where it stood."""
    shown = state.alert.observed
    if state.status is not Status.FIRING or not (opens or known is None or known.alert.observed != shown):
        return state.usual
    if shown is None or not math.isfinite(shown):
        return None
    return usual_of(state.history if opens else _before_this_one(state.history), shown, _hour(now))


def _is_quiet_check(known: AlertState | None, alert: Alert) -> bool:
    """A check that passed while nothing fired. One that ends an alert tells of a recovery; of a sender that does not
    test again and again, a resolve told twice is no check."""
    if alert.status is not Status.RESOLVED or (known is not None and known.status is Status.FIRING):
        return False
    if alert.resolves is Resolves.NEXT_PASS:
        return True
    return (
        known is not None and known.ends_at is not None and alert.ends_at is not None and alert.ends_at > known.ends_at
    )


def _before_this_one(history: History) -> History:
    """Without the value at which the present occurrence opened."""
    if not history.outcomes.endswith(FAILED):
        return history
    return replace(history, hours=history.hours[:-1], values=history.values[:-1], outcomes=history.outcomes[:-1])


def _kept(history: History, value: float, outcome: str, now: datetime, *, shape: float | None = None) -> History:
    """With this value: it replaces one of the same hour; old and surplus ones go."""
    latest = history.hours[-1] if history.hours else 0
    hour = max(_hour(now), latest)  # what was spooled while the database was away may come late
    kept = len(history.hours) - (1 if hour == latest else 0)
    first = max(kept + 1 - KEPT_HOURS, 0)
    while first < kept and history.hours[first] < hour - KEPT_FOR:
        first += 1
    return replace(
        history,
        hours=(*history.hours[first:kept], hour),
        values=(*history.values[first:kept], _rounded(value)),
        shapes=(*history.shapes[first:kept], _rounded(shape)) if shape is not None else (),
        outcomes=history.outcomes[first:kept] + outcome,
    )


def _usual(value: float, history: History, alike: Sequence[int], every: Sequence[int], season: Season) -> Usual:
    values = sorted(history.values[place] for place in alike)
    middle = _quantile(values, 0.5)
    spread = _quantile(sorted(abs(told - middle) for told in values), 0.5)
    z = TO_SIGMA * (value - middle) / spread if spread > 0 else math.inf
    shapes = sorted(history.shapes[place] for place in alike) if history.shapes else [0.0]
    return Usual(
        value=value,
        low=_quantile(values, 0.1),
        middle=middle,
        high=_quantile(values, 0.9),
        level=_quantile(sorted(history.values[place] for place in every), 0.5),
        count=len(values),
        season=season,
        z=_rounded(z) if math.isfinite(z) else None,
        shape=_quantile(shapes, 0.5),
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values, with straight lines between them."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def _with(state: AlertState, **moved: object) -> AlertState:
    return replace(state, history=replace(state.history, **moved))  # type: ignore[arg-type]


def _moment(alert: Alert, now: datetime) -> datetime:
    """The check's own time, as its sender's reports are ordered by."""
    told = alert.starts_at if alert.status is Status.FIRING else alert.ends_at
    return now if told is None else min(told, now + AHEAD)


def _hour(at: datetime) -> int:
    return int(at.timestamp() // 3600)


def _rounded(value: float) -> float:
    """Six figures are more than any monitor knows."""
    return float(f"{value:.6g}")
