"""Is this report a new alert, a repeat, a change, the end of one we know, or older than what we know?

Each sender key keeps the latest moments at which it said "began" and "ended" (`KeyReports`). Both are sets that only
grow, so the state they fold into does not depend on the order of delivery: for the timed reports of one sender key,
status, starts_at and ends_at come out the same in any order (up to six remembered moments of each sort, and while no
time had to be clamped). Not promised in any order: counters, the episode's number, the texts and severity among
reports of one moment, anything that rests on receipt order because the sender gave no times, and flapping.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.domain.alert import Alert, AlertState, KeyReports, Resolves, Severity, Status, Transition
from tocsin.domain.drift import DRIFTS
from tocsin.domain.policy import Flapping

AHEAD = timedelta(minutes=2)
"""A sender's clock may be this far ahead of our receipt (design.md §2)."""
EXPIRY_DEFAULT = timedelta(hours=24)
"""For a sender that never resolves and did not say when its alerts lapse."""
_MOMENTS = 6
_KEYS = 32
_OPENED = 8
_TICK = timedelta(microseconds=1)


def merge(
    known: AlertState | None, alert: Alert, flapping: Flapping, *, now: datetime
) -> tuple[AlertState, Transition]:
    """The alert after this report, and what the report did. `now` is the report's received_at.

    Order: a firing stands at its `starts_at`, a resolve at its `ends_at`, clamped to `now` + 2 min and compared only
    within one sender key; a report without that time takes its place by receipt. A firing that starts at or before
    its key's newest end arrives closed (COVERED). The alert fires while any of its keys fires, at the worst severity
    of those. When the `opens`-th episode opens within `within`, a flapping spell begins: until `quiet` has passed
    without a fire or a resolve, resolves do not end the episode and fires do not open another (FLAPPING).
    """
    if known is None:
        return _first(alert, now)
    if known.flapping_until is not None and not known.firing_keys:
        known = expire(known, now=now) or known
    before = next((k for k in known.keys if k.key == alert.sender_key), None)
    after = _noted(before, alert, now)
    if after is before and alert.model_version in ("", known.alert.model_version):
        return _unmoved(known, alert, after, now)
    return _moved(known, alert, flapping, before, after, now=now)


def expire(state: AlertState, *, now: datetime) -> AlertState | None:
    """The alert's end by the clock: its `expires_at` has passed, or it was held open while flapping, does not fire at
    its sender, and its spell went quiet. None when it is not time.

    After an expiry its keys are forgotten, so that the sender's next firing counts, whatever start it names."""
    if state.status is not Status.FIRING:
        return None
    if not state.firing_keys and state.flapping_until is not None and state.flapping_until <= now:
        return _ended(state, state.last_report_at)
    if state.expires_at is not None and state.expires_at <= now:
        return replace(_ended(state, state.expires_at), keys=())
    return None


def due_at(state: AlertState) -> datetime | None:
    """When `expire` must next be asked; None when only a report can move the alert."""
    if state.status is not Status.FIRING:
        return None
    held_until = None if state.firing_keys else state.flapping_until
    return min((t for t in (state.expires_at, held_until) if t is not None), default=None)


def is_flapping(state: AlertState, *, now: datetime) -> bool:
    """Is it inside a flapping spell?"""
    return state.flapping_until is not None and now < state.flapping_until


def _ended(state: AlertState, ends_at: datetime) -> AlertState:
    return replace(
        state,
        alert=replace(state.alert, status=Status.RESOLVED, ends_at=ends_at),
        status=Status.RESOLVED,
        ends_at=max(ends_at, state.starts_at),
        firing_keys=(),
        flapping_until=None,
        expires_at=None,
    )


def _first(alert: Alert, now: datetime) -> tuple[AlertState, Transition]:
    at = _order(alert, now)
    fires = alert.status is Status.FIRING
    state = AlertState(
        alert=alert,
        status=alert.status,
        episode=1 if fires else 0,
        starts_at=at if fires else min(alert.starts_at or at, at),
        ends_at=None if fires else at,
        last_report_at=at,
        last_received_at=now,
        firing_keys=(alert.sender_key,) if fires else (),
        keys=(_noted(None, alert, now),),
        opened=(at,) if fires else (),
        expires_at=_expiry(alert, now) if fires else None,
    )
    return state, Transition.NEW if fires else Transition.TOMBSTONE


def _unmoved(known: AlertState, alert: Alert, key: KeyReports, now: datetime) -> tuple[AlertState, Transition]:
    """Nothing new: only counters, and the expiry of what still fires."""
    if alert.status is Status.FIRING and not key.fires:
        transition = Transition.COVERED if known.status is Status.RESOLVED else Transition.STALE
    elif alert.status is Status.RESOLVED and key.fires:
        transition = Transition.STALE
    else:
        transition = Transition.REPEAT
    lives = alert.status is Status.FIRING and key.fires
    newest = lives and _order(alert, now) >= key.starts[-1]
    return replace(
        known,
        alert=_measured_anew(known.alert, alert) if newest else known.alert,
        last_received_at=now,
        reports=known.reports + 1,
        expires_at=_expiry(alert, now) if lives else known.expires_at,
    ), transition


def _moved(
    known: AlertState, alert: Alert, flapping: Flapping, before: KeyReports | None, after: KeyReports, *, now: datetime
) -> tuple[AlertState, Transition]:
    keys = _kept(known.keys, after)
    firing = tuple(k.key for k in keys if k.fires)
    counted = replace(
        known,
        keys=keys,
        firing_keys=firing,
        starts_at=_began(known, keys, before, after),
        last_received_at=now,
        last_report_at=max(known.last_report_at, _order(alert, now)),
        reports=known.reports + 1,
    )
    if not firing and not known.firing_keys:
        return _still_ended(counted, alert, after)
    if not firing:
        return _end(counted, alert, flapping, now)
    if not known.firing_keys:
        return _fire(counted, alert, flapping, after, now=now)
    return _go_on(counted, alert, before, after, now=now)


def _began(known: AlertState, keys: tuple[KeyReports, ...], before: KeyReports | None, after: KeyReports) -> datetime:
    """Where the episode began, now that this key's memory moved. One key: where its latest span began. Several: the
    earliest of those that fire; what an ended key had begun stays. A held-open episode keeps its beginning."""
    if known.flapping_until is not None:
        return known.starts_at
    if len(keys) == 1:
        return _span_start(after) if after.starts else after.ends[-1] if after.ends else known.starts_at
    if not after.fires or not known.firing_keys:
        return known.starts_at
    if before is not None and before.fires and _span_start(before) == known.starts_at:
        return min(_span_start(k) for k in keys if k.fires)
    return min(known.starts_at, _span_start(after))


def _still_ended(state: AlertState, alert: Alert, key: KeyReports) -> tuple[AlertState, Transition]:
    """An old firing or another resolve of an alert that does not fire (or is only held open)."""
    if state.status is Status.FIRING:
        return state, Transition.REPEAT if alert.status is Status.RESOLVED else Transition.STALE
    ends_at = max((state.ends_at or state.starts_at, *key.ends[-1:]))
    if alert.status is Status.RESOLVED:
        return replace(state, ends_at=ends_at), Transition.REPEAT
    if state.episode == 0:
        closed = replace(alert, status=Status.RESOLVED, ends_at=ends_at)
        state = replace(state, alert=closed, episode=1, opened=(state.starts_at,))
    return replace(state, ends_at=ends_at), Transition.COVERED


def _end(state: AlertState, alert: Alert, flapping: Flapping, now: datetime) -> tuple[AlertState, Transition]:
    """The last firing key ended."""
    if is_flapping(state, now=now):
        held = replace(state, flapping_until=now + flapping.quiet, expires_at=None)
        return held, Transition.FLAPPING
    newest_end = max((k.ends[-1] for k in state.keys if k.ends), default=now)
    return _ended(state, now if alert.ends_at is None else newest_end), Transition.RESOLVED


def _fire(
    state: AlertState, alert: Alert, flapping: Flapping, key: KeyReports, *, now: datetime
) -> tuple[AlertState, Transition]:
    """It fires, and did not before: a first or new episode, or the next turn of a flapping one."""
    starts_at = _span_start(key)
    opened = (*state.opened, starts_at)[-_OPENED:]
    spell = sum(1 for t in opened if starts_at - t < flapping.within) >= flapping.opens
    fired = replace(
        state,
        alert=alert,
        status=Status.FIRING,
        ends_at=None,
        opened=opened,
        flapping_until=now + flapping.quiet if spell or is_flapping(state, now=now) else None,
        expires_at=_expiry(alert, now),
    )
    if state.status is Status.FIRING:
        window = state.alert.window_starts_at
        return replace(fired, alert=replace(alert, window_starts_at=window)), Transition.FLAPPING
    return (
        replace(fired, episode=state.episode + 1, starts_at=starts_at),
        Transition.REFIRED if state.episode else Transition.NEW,
    )


def _go_on(
    state: AlertState, alert: Alert, before: KeyReports | None, key: KeyReports, *, now: datetime
) -> tuple[AlertState, Transition]:
    """It fired and still fires; the report may move its severity, its version or where its episode began."""
    lives = alert.status is Status.FIRING and key.fires
    severity = min((k.severity for k in state.keys if k.fires), key=_rank)
    version = alert.model_version if lives and alert.model_version else state.alert.model_version
    changed = severity is not state.alert.severity or version != state.alert.model_version
    if changed:
        content = alert if lives else state.alert
        window = state.alert.window_starts_at  # of the report that began the episode
        content = replace(content, severity=severity, model_version=version, window_starts_at=window)
        state = replace(state, alert=content)
    moved = replace(state, expires_at=_expiry(alert, now)) if lives else state
    if changed:
        return moved, Transition.CHANGED
    if alert.status is Status.RESOLVED:
        stale = key.fires or before is None or not before.fires
        return moved, Transition.STALE if stale else Transition.STILL_FIRING
    if not lives or _order(alert, now) < key.starts[-1]:
        return moved, Transition.STALE
    return replace(moved, alert=_measured_anew(moved.alert, alert)), Transition.REPEAT


def _measured_anew(known: Alert, alert: Alert) -> Alert:
    """What a drift test found this time: it repeats, so that a small shift may have grown. All else is as it was."""
    if alert.distribution is None and (alert.symptom not in DRIFTS or known.distribution is not None):
        return known
    return replace(
        known,
        observed=alert.observed,
        threshold=alert.threshold,
        baseline=alert.baseline,
        sample_size=alert.sample_size,
        distribution=alert.distribution,
        labels=alert.labels,
    )


def _noted(before: KeyReports | None, alert: Alert, now: datetime) -> KeyReports:
    """The key's memory with this report in it; the same object when the report says nothing new."""
    key = before or KeyReports(key=alert.sender_key, severity=alert.severity)
    if alert.status is Status.RESOLVED:
        end = _end_mark(key, alert, now)
        start = alert.starts_at if end is not None and alert.starts_at and alert.starts_at <= end else None
        return _with(key, start, end, key.severity)
    start = _start_mark(key, alert, now)
    newest = not key.starts or start is None or start >= key.starts[-1]
    return _with(key, start, None, alert.severity if newest else key.severity)


def _start_mark(key: KeyReports, alert: Alert, now: datetime) -> datetime | None:
    """Where a firing stands on its key's clock. Without a time it counts as newer than all before; None when the key
    fires already."""
    if alert.starts_at is not None:
        return min(alert.starts_at, now + AHEAD)
    if key.fires:
        return None
    return max(now, key.ends[-1] + _TICK) if key.ends else now


def _end_mark(key: KeyReports, alert: Alert, now: datetime) -> datetime | None:
    """Where a resolve stands on its key's clock. Without a time it ends exactly the starts that are known: our clock
    must not rule over starts by the sender's; None when there is nothing to end."""
    if alert.ends_at is not None:
        return min(alert.ends_at, now + AHEAD)
    return key.starts[-1] if key.fires else None


def _with(key: KeyReports, start: datetime | None, end: datetime | None, severity: Severity) -> KeyReports:
    starts = key.starts if start is None or start in key.starts else tuple(sorted((*key.starts, start)))
    ends = key.ends if end is None or end in key.ends else tuple(sorted((*key.ends, end)))
    if starts is key.starts and ends is key.ends and severity is key.severity:
        return key
    if len(starts) > _MOMENTS:
        # An old span's start goes first; within one long span its beginning stays and a later start goes.
        old = any(starts[0] <= moment < starts[-1] for moment in ends)
        starts = starts[1:] if old else (starts[0], *starts[2:])
    return replace(key, starts=starts, ends=ends[-_MOMENTS:], severity=severity)


def _span_start(key: KeyReports) -> datetime:
    """Where the key's latest span began: its first start after the last end that precedes its newest start."""
    newest = key.starts[-1]
    ended = max((end for end in key.ends if end < newest), default=None)
    return key.starts[0] if ended is None else next(start for start in key.starts if start > ended)


def _kept(keys: tuple[KeyReports, ...], changed: KeyReports) -> tuple[KeyReports, ...]:
    """All keys with the changed one in its place; when too many, ended ones go first, then the oldest."""
    merged = sorted((*(k for k in keys if k.key != changed.key), changed), key=lambda k: k.key)
    while len(merged) > _KEYS:
        merged.remove(min((k for k in merged if k is not changed), key=lambda k: (k.fires, _newest(k), k.key)))
    return tuple(merged)


def _newest(key: KeyReports) -> float:
    return max((moment.timestamp() for moment in (*key.starts[-1:], *key.ends[-1:])), default=0.0)


def _order(alert: Alert, now: datetime) -> datetime:
    at = alert.starts_at if alert.status is Status.FIRING else alert.ends_at
    return now if at is None else min(at, now + AHEAD)


def _expiry(alert: Alert, now: datetime) -> datetime | None:
    if alert.expires_after is not None:
        return now + alert.expires_after
    return now + EXPIRY_DEFAULT if alert.resolves is Resolves.EXPIRY else None


def _rank(severity: Severity) -> int:
    return severity.rank
