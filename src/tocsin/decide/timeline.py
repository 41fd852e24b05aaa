"""What does an incident look like on a time axis: its alerts, the changes before them, where it began?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asinh
from statistics import median

from tocsin.decide.compose import headline
from tocsin.decide.redact import Redactor
from tocsin.decide.wording import SYMPTOM_WORDS, TELLING, Pen, counted, figure, percent, span
from tocsin.domain.alert import AlertState, Severity
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import NOT_AMONG_THEM, Attribution, Band, Incident, IncidentState, Suspect
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject
from tocsin.domain.timeline import Bar, Cause, Curve, Lane, Tick, Timeline

MOST_LANES = 12
MOST_MARKS = 40
"""Of begins and bars over all lanes, and of other changes; the rest is counted."""
MOST_CAUSES = 4
MOST_CURVES = 2
WORTH_A_LINE = 0.05
"""A change below this probability is one of the others, unless it is the first."""
EVEN = 12.0
"""The axis is even while its whole length is at most so many times what has to be told apart on it."""
LEAST = timedelta(minutes=2)
"""Nothing shorter has to be told apart."""
BEFORE = timedelta(minutes=30)
"""So much is shown before the beginning when no change explains it."""
MARGIN = 0.04
ROOM = 0.14
"""Share of an even axis that the time after the beginning gets at least, so that its alerts can be seen."""
APART = 0.125
"""Least distance of two ticks, as a share of the axis: the width of their labels."""

_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 7 * 1440, 14 * 1440, 30 * 1440)
)


def timeline(
    incident: Incident,
    changes: Sequence[Change],
    *,
    catalog: Catalog,
    redactor: Redactor,
    series: Sequence[Series] = (),
) -> Timeline:
    """The picture of a scored incident, of the changes that it was scored against, and of the measured courses that it
    was scored with. At most MOST_LANES items, MOST_CAUSES likely causes, MOST_MARKS marks of either kind and the
    MOST_CURVES courses that moved most; what is left out is counted. Times are UTC. All outside text is redacted.
    Raises ValueError for an incident that was not scored or has no alert."""
    scored = incident.attribution
    if scored is None or not incident.members:
        raise ValueError(f"{incident.display} has not been scored")
    pen = Pen(redactor, "UTC", scored.onset_at)
    shown = _shown(scored, incident.confirmed_change)
    axis = _axis(incident, scored, shown)
    others = [c for c in changes if c.id not in {id_ for s in shown for id_ in (s.change.id, *s.members)}]
    inside = sorted(c.occurred_at for c in others if axis.left <= c.occurred_at <= axis.right)
    marked = sorted(inside, key=lambda at: abs(at - axis.began))[:MOST_MARKS]
    return Timeline(
        title=f"{incident.display}  {headline(incident, catalog=catalog, redactor=redactor, zone='UTC')}",
        verdict=_verdict(incident, scored, axis.began, pen),
        causes=tuple(_cause(suspect, incident.confirmed_change, axis, pen) for suspect in shown),
        others=tuple(axis.place(at) for at in sorted(marked)),
        others_remark=_others(len(marked), len(others) - len(marked), earlier=len(marked) == len(inside)),
        lanes=tuple(_lanes(incident.members, axis, pen)),
        curves=tuple(_curves(series, axis, pen)),
        ticks=tuple(_ticks(axis, pen)),
        stretched=axis.scale is not None,
        began=axis.place(axis.began),
        began_after=axis.place(axis.after) if axis.after else None,
        began_words=f"began {f'{pen.clock(axis.after)}–' if axis.after else ''}{pen.clock(axis.began)}",
        looked=axis.place(axis.looked),
        looked_words=f"{'over' if incident.state is IncidentState.RESOLVED else 'as of'} {pen.clock(axis.looked)}",
        day=f"{axis.began.day} {axis.began:%b %Y}, UTC",
        looked_at=axis.looked,
    )


# --- the axis ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    left: datetime
    right: datetime
    began: datetime
    looked: datetime
    """The end of what is known."""
    after: datetime | None
    """It may have begun since then, where that is not known exactly."""
    scale: timedelta | None = None
    """Stretched: around the beginning distances up to this are even, farther ones shrink as in a logarithm."""

    def place(self, at: datetime) -> float:
        low, high = self._bent(self.left), self._bent(self.right)
        share = (self._bent(at) - low) / (high - low)
        return MARGIN + (1 - 2 * MARGIN) * min(max(share, 0.0), 1.0)

    def _bent(self, at: datetime) -> float:
        distance = at - self.began
        return distance.total_seconds() if self.scale is None else asinh(distance / self.scale)


def _axis(incident: Incident, scored: Attribution, shown: Sequence[Suspect]) -> _Axis:
    first = min(member.starts_at for member in incident.members)
    began = min(scored.onset_at, first)
    ends = [member.ends_at for member in incident.members if member.ends_at is not None]
    seen = [] if incident.state is IncidentState.RESOLVED and ends else [scored.scored_at]
    looked = max([*seen, began, *(member.starts_at for member in incident.members), *ends])
    after = max(looked - began, LEAST)
    causes = [suspect.change.occurred_at for suspect in shown]
    left = min(causes, default=began - max(BEFORE, after))
    unsure = scored.onset_after
    left = min(left, began - LEAST, *([unsure] if unsure else []))
    told_apart = min((max(abs(began - at), LEAST) for at in causes), default=after)
    told_apart = min(told_apart, after)
    right = max([looked, *causes])
    if causes and right - left > EVEN * told_apart:
        right, scale = max(right, began + LEAST), told_apart / 2
        return _Axis(left=left, right=right, began=began, looked=looked, after=unsure, scale=scale)
    right = max(right, began + ROOM * (right - left))
    return _Axis(left=left, right=right, began=began, looked=looked, after=unsure)


def _ticks(axis: _Axis, pen: Pen) -> list[Tick]:
    if axis.scale is None:
        return _even_ticks(axis, pen)
    kept = [Tick(at=axis.place(axis.began), clock=pen.clock(axis.began), lag="began")]
    steps = [(sign, step) for sign in (-1, 1) for step in _STEPS]
    for sign, step in steps:
        at = axis.began + sign * step
        place = axis.place(at)
        if axis.left <= at <= axis.right and all(abs(place - tick.at) >= APART for tick in kept):
            kept.append(Tick(at=place, clock=pen.clock(at), lag=f"{'−' if sign < 0 else '+'}{span(step)}"))
    return sorted(kept, key=lambda tick: tick.at)


def _even_ticks(axis: _Axis, pen: Pen) -> list[Tick]:
    """Round clock times, as many as have room."""
    step = next((s for s in _STEPS if (axis.right - axis.left) * APART <= s), _STEPS[-1])
    midnight = axis.left.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + -(-(axis.left - midnight) // step) * step
    found = []
    while at <= axis.right:
        found.append(Tick(at=axis.place(at), clock=pen.clock(at)))
        at += step
    return found


# --- causes ---


def _shown(scored: Attribution, confirmed: str) -> list[Suspect]:
    """The causes that get a line of their own: the one that a person confirmed, then by probability."""
    worth = [
        suspect
        for place, suspect in enumerate(scored.suspects)
        if suspect.probability >= WORTH_A_LINE
        or _is_confirmed(suspect, confirmed)
        or (place == 0 and suspect.band is not Band.UNLIKELY)
    ]
    return sorted(worth, key=lambda suspect: not _is_confirmed(suspect, confirmed))[:MOST_CAUSES]


def _is_confirmed(suspect: Suspect, confirmed: str) -> bool:
    return bool(confirmed) and confirmed in (suspect.change.id, *suspect.members)


def _cause(suspect: Suspect, confirmed: str, axis: _Axis, pen: Pen) -> Cause:
    by_a_person = _is_confirmed(suspect, confirmed)
    lag = axis.began - suspect.change.occurred_at
    together = f" and {counted(len(suspect.members) - 1, 'other')}" if len(suspect.members) > 1 else ""
    return Cause(
        name=f"{pen.change(suspect.change)}{together}",
        at=axis.place(suspect.change.occurred_at),
        probability="confirmed" if by_a_person else percent(suspect.probability),
        lag=f"{_most(axis.after)}{span(lag)} {'before' if lag >= timedelta(0) else 'after'}",
        strong=by_a_person or suspect.band is not Band.UNLIKELY,
    )


def _most(after: datetime | None) -> str:
    """A lag to the end of the time in which it began is the longest that it may be."""
    return "up to " if after else ""


def _verdict(incident: Incident, scored: Attribution, began: datetime, pen: Pen) -> str:
    """The answer, in the words of the ticket."""
    if incident.confirmed_change == NOT_AMONG_THEM:
        return "A person said that none of these changes was the cause."
    for suspect in scored.suspects:
        if _is_confirmed(suspect, incident.confirmed_change):
            return f"Cause confirmed: {pen.change(suspect.change)}"
    first = scored.first
    if first is None or first.band is Band.UNLIKELY:
        return f"No likely cause: no known change explains it ({percent(scored.no_change)})"
    word = "Likely" if first.band is Band.LIKELY else "Possible"
    lag = began - first.change.occurred_at
    how = f"{_most(scored.onset_after)}{span(lag)} {'before' if lag >= timedelta(0) else 'after'}"
    when = f"{pen.clock(first.change.occurred_at)}, {how} it began"
    return f"{word} cause, {percent(first.probability)}: {pen.change(first.change)} at {when}"


def _others(marked: int, more: int, *, earlier: bool) -> str:
    """`12 changes, +31 earlier`; more, not earlier, when also such are left out that the axis would show."""
    if not more:
        return counted(marked, "change") if marked else "none"
    left_out = f"{more} {'earlier' if earlier else 'more'}"
    return f"{counted(marked, 'change')}, +{left_out}" if marked else left_out


# --- alerts ---


def _lanes(members: Sequence[AlertState], axis: _Axis, pen: Pen) -> list[Lane]:
    """An item each, the first to alert first; from the last lane on all that is left."""
    by_subject: dict[Subject, list[AlertState]] = {}
    for member in sorted(members, key=lambda m: (m.starts_at, m.alert.severity.rank, m.alert.subject)):
        by_subject.setdefault(member.alert.subject, []).append(member)
    groups = [(pen.name(subject), of_it) for subject, of_it in by_subject.items()]
    if len(groups) > MOST_LANES:
        rest = [member for _, of_it in groups[MOST_LANES - 1 :] for member in of_it]
        groups = [*groups[: MOST_LANES - 1], (f"+{len(groups) - MOST_LANES + 1} more items", rest)]
    each = max(1, (MOST_MARKS - len(groups)) // len(groups))
    return [_lane(name, of_it, axis, most=each) for name, of_it in groups]


def _lane(name: str, members: Sequence[AlertState], axis: _Axis, *, most: int) -> Lane:
    symptoms = sorted({member.alert.symptom for member in members}, key=TELLING.index)
    words = ", ".join(SYMPTOM_WORDS[symptom] for symptom in symptoms)
    begins = sorted({axis.place(member.starts_at) for member in members})
    return Lane(
        name=name,
        remark=f"{counted(len(members), 'alert')}, {words}" if len(members) > 1 else words,
        bars=tuple(_bars(members, axis, most=max(1, most // 2))),
        begins=tuple(begins[: max(1, most - most // 2)]),
    )


def _bars(members: Sequence[AlertState], axis: _Axis, *, most: int) -> list[Bar]:
    """Overlapping spans joined, of the worst severity among them; beyond `most` the last ones are one."""
    spans = sorted((m.starts_at, m.ends_at or axis.looked, m.alert.severity.rank, m.ends_at is None) for m in members)
    joined: list[tuple[datetime, datetime, int, bool]] = []
    for begin, end, rank, firing in spans:
        if joined and (begin <= joined[-1][1] or len(joined) == most):
            before = joined[-1]
            joined[-1] = (before[0], max(before[1], end), min(before[2], rank), before[3] or firing)
        else:
            joined.append((begin, end, rank, firing))
    by_rank = {severity.rank: severity for severity in Severity}
    return [
        Bar(begin=axis.place(begin), end=axis.place(end), severity=by_rank[rank], firing=firing)
        for begin, end, rank, firing in joined
    ]


# --- measured courses ---


def _curves(series: Sequence[Series], axis: _Axis, pen: Pen) -> list[Curve]:
    found = [(moved, _curve(one, axis, pen)) for one in series if (moved := _moved(one, axis)) > 0]
    return [curve for _, curve in sorted(found, key=lambda each: (-each[0], each[1].name))[:MOST_CURVES]]


def _halves(one: Series, axis: _Axis) -> tuple[list[float], list[float]]:
    """Its values before it began, and since."""
    return [v for at, v in one.points if at < axis.began], [v for at, v in one.points if axis.began <= at <= axis.right]


def _moved(one: Series, axis: _Axis) -> float:
    """How far its middle value moved when it began, as a share of its range; 0: it cannot be told."""
    before, after = _halves(one, axis)
    span_of_it = max([*before, *after], default=0.0) - min([*before, *after], default=0.0)
    return abs(median(after) - median(before)) / span_of_it if before and after and span_of_it else 0.0


def _curve(one: Series, axis: _Axis, pen: Pen) -> Curve:
    shown = [(at, value) for at, value in one.points if axis.left <= at <= axis.right]
    low, high = min(value for _, value in shown), max(value for _, value in shown)
    before, after = _halves(one, axis)
    return Curve(
        name=f"{pen.said(one.metric, 40)} of {pen.name(one.subject)}",
        remark=f"{figure(median(before))} → {figure(median(after))}",
        points=tuple((axis.place(at), (value - low) / (high - low or 1.0)) for at, value in shown),
    )
