"""Which open incident does this alert belong to, if any? A likelihood ratio over topology, time and words.

    LLR = log(1.5 · f(dt) · pv · text) − log(rate of this alert + 1e-5)          (correlation.md §3)

pv is the chance that the subject alerts, over the group's belief about its root; f decays with the time to the group's
nearest alert, slowly for ML subjects; text compares names. The best group above log 10 wins, else a new incident opens.

Beside the model stand three rules of ours. The same name on the same subject joins at once: a storm of one fault's
pods is one incident. A subject that no believable root of the group can reach never joins, however rare its alert. A
subject that the catalogue does not know joins only what it alerted in itself."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.noise import surprise
from tocsin.decide.roots import (
    ALERTS,
    MIN_SHARE,
    ML_KINDS,
    SILENCE,
    Floats,
    alerts_in_the_end,
    belief_in_the_end,
    chances,
)
from tocsin.decide.seen import Seen, minute_of
from tocsin.decide.topology import UNREACHABLE, topology_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.incident import Memory
from tocsin.domain.subject import Subject

JOIN_ABOVE = math.log(10)
FURTHER = 1.5
"""Alerts that a fault is still expected to raise (correlation.md §3)."""
CERTAIN = 99.0
"""The ratio shown when the rule "same alert, same subject" decided."""
MAX_GROUPS = 200
TTL_MIN, TTL_ML_MIN = 60.0, 480.0
RATE_PER_DAY = 0.1
"""Of an alert never seen before: .3 pseudo-counts in 3 days."""
MIN_TEXT = 0.5
"""Names of one fault's alerts often share no word (HighLatency, ErrorBudgetBurn): words may only halve the ratio."""
HEARD_MIN = 5.0
"""Minutes after which most of what a fault raises has been raised (judgement: `for:` of a few minutes)."""
SPENT_MIN = 15.0
"""A fault raises its alerts early: of those that it was expected to raise, half are out every 15 min. Without this an
incident would live on whatever else goes wrong near it (judgement; alerts of a cascade come within 10 min or so)."""
TELLING = 0.5
"""An alert that is a surprise at least so much keeps its incident young."""
_TIMES, _TEXTS = 256, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The incident to join (None: open a new one), the best log likelihood ratio found, and why in words."""

    incident_id: UUID | None
    llr: float
    because: str


@dataclass(slots=True)
class _Group:
    incident_id: UUID
    times: list[float] = field(default_factory=list)
    """Minutes of its latest 256 alerts, sorted."""
    first: float = math.inf
    last: float = -math.inf
    subjects: dict[Subject, float] = field(default_factory=dict)
    """When each last alerted."""
    weights: dict[Subject, float] = field(default_factory=dict)
    """How much of a surprise its least usual alert was."""
    names: dict[tuple[Subject, str], None] = field(default_factory=dict)
    texts: dict[frozenset[str], None] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """How sure it is that this is more than what alerts all the time: its most surprising alert."""
        return max(self.weights.values(), default=0.0)

    def distance(self, minute: float) -> float:
        """Minutes to its nearest alert."""
        if not self.first <= minute <= self.last:
            return min(abs(minute - self.first), abs(minute - self.last))
        at = bisect_left(self.times, minute)
        return min(abs(minute - near) for near in self.times[max(at - 1, 0) : at + 1])

    def age(self, minute: float) -> float:
        """Minutes since its present run of alerts began: a gap of more than an hour ends a run."""
        began = minute
        for near in reversed(self.times[: bisect_left(self.times, minute)]):
            if began - near > TTL_MIN:
                break
            began = near
        return minute - began

    def apart(self, since: float, until: float) -> float:
        """Minutes between that time and the nearest beginning of a run of its alerts; 0 when one began within."""
        began = (at for before, at in pairwise([-math.inf, *self.times]) if at - before > TTL_MIN)
        return min((max(since - at, at - until, 0.0) for at in began), default=math.inf)

    def again(self, subject: Subject, minute: float) -> float:
        """What is left of the chance that the subject alerts, when it did already."""
        before = self.subjects.get(subject)
        return 1.0 if before is None else 0.5 if abs(minute - before) < 30 else 0.1

    def likeness(self, tokens: frozenset[str]) -> float:
        """1 for the same words, MIN_TEXT for none in common (token Jaccard)."""
        best = max((len(tokens & text) / len(tokens | text) for text in self.texts if tokens or text), default=0.0)
        return MIN_TEXT + (1 - MIN_TEXT) * best


class Groups:
    """The open incidents of one environment, kept as beliefs about their roots. `open` gives each incident's id, its
    alerts and when it last grew; the 200 that grew last are compared by likelihood, all of them by name."""

    def __init__(self, catalog: Catalog, open: Iterable[tuple[UUID, Sequence[Seen], datetime]] = ()) -> None:
        self._catalog = catalog
        self._topology = topology_of(catalog)
        self._known: dict[UUID, _Group] = {}
        self._groups: list[_Group] = []
        self._row: dict[UUID, int] = {}
        self._by_name: dict[tuple[Subject, str], set[UUID]] = {}
        self._closed: set[UUID] = set()
        nodes = len(self._topology.subjects)
        self._belief = np.zeros((MAX_GROUPS, nodes))
        self._log = np.zeros((MAX_GROUPS, nodes))
        self._silent = np.zeros((MAX_GROUPS, nodes))
        self._first = np.full(MAX_GROUPS, np.inf)
        self._last = np.full(MAX_GROUPS, -np.inf)
        self._ttl = np.full(MAX_GROUPS, TTL_MIN)
        self._weight = np.zeros(MAX_GROUPS)
        self._stale: set[int] = set()
        self._in_the_end: dict[UUID, Floats] = {}
        """Beliefs once all silence is heard: checks come in bursts, and each asks of the same groups."""
        for incident_id, members, _ in sorted(open, key=lambda group: (group[2], group[0])):
            for seen in members:
                self.add(incident_id, seen)

    def place(
        self,
        seen: Seen,
        *,
        rate_per_day: float = RATE_PER_DAY,
        left: UUID | None = None,
        alive: Collection[UUID] = (),
    ) -> Placement:
        """Where the alert belongs. `rate_per_day` is how often this very alert opens of its own accord; `left` is the
        incident in which it ended and to which it does not come back by its name alone; `alive` are incidents that
        went on, open or over by now, when a check of hours began to look. Of equals the group that began first wins,
        then the smaller id."""
        subject = self._catalog.resolve(seen.subject)
        same = min(self._by_name.get((subject, seen.name), set()) - self._closed - {left}, default=None)
        if same is not None:
            return Placement(incident_id=same, llr=CERTAIN, because=f"{seen.name} on {subject} is already part of it")
        minute = minute_of(seen.at)
        chance = math.log(rate_per_day / 1440 + 1e-5)
        now = self._place_now(seen, subject, minute, chance)
        late = self._place_late(seen, subject, chance, alive)
        return late if late is not None and (now.incident_id is None or late.llr > now.llr) else now

    def _place_now(self, seen: Seen, subject: Subject, minute: float, chance: float) -> Placement:
        """By the time at which it fires."""
        known = subject in self._topology.index
        rows = self._likely(subject, minute, chance) if known else self._same(subject, minute)
        best: tuple[float, float, UUID, int] | None = None
        for row, alerts, bound in rows:
            if best is not None and bound < -best[0] - 1e-6:
                break
            group = self._groups[row]
            llr = self._ratio(group, subject, alerts, minute, tokens=seen.tokens) - chance
            ranked = (-round(llr, 9), group.first, group.incident_id, row)
            best = ranked if best is None else min(best, ranked)
        if best is None:
            return Placement(incident_id=None, llr=-CERTAIN, because=f"nothing open has to do with {subject}")
        llr, row = -best[0], best[3]
        if llr <= JOIN_ABOVE:
            because = f"the nearest open incident explains it only {math.exp(llr):.1f} times better than chance"
            return Placement(incident_id=None, llr=llr, because=because)
        return Placement(
            incident_id=self._groups[row].incident_id, llr=llr, because=self._because(row, subject, minute, llr)
        )

    def _place_late(self, seen: Seen, subject: Subject, chance: float, alive: Collection[UUID]) -> Placement | None:
        """By the time that its check looked at: in a check of six hours whatever began within them shows at their end,
        one chance in their 360 minutes; before and after them the chance falls as for other alerts. As much may have
        begun in hours, the best must be likelier than chance and all others together."""
        if seen.since is None or subject not in self._topology.index:
            return None
        since, until = minute_of(seen.since), minute_of(seen.at)
        others, best = 1.0, (0.0, math.inf, UUID(int=0))
        for group in (self._known[i] for i in alive if i in self._known):
            if (apart := group.apart(since, until)) > TTL_MIN:
                continue
            belief = self._believe_in_the_end(group)
            alerts = alerts_in_the_end(subject, belief, self._topology) * group.again(subject, until)
            fits = group.weight * alerts * math.exp(-apart / 12 - chance) / max(until - since, 1.0)
            ranked = (-round(fits, 6), group.first, group.incident_id)
            others -= max(ranked[0], best[0])
            best = min(best, ranked)
        times = -best[0]
        if times <= others:
            return None
        because = f"its check looked at {until - since:.0f} min, in which that began; {times:.0f} times chance"
        return Placement(incident_id=best[2], llr=math.log(times), because=because)

    def add(self, incident_id: UUID, seen: Seen, *, rate_per_day: float = RATE_PER_DAY) -> None:
        """The alert has joined this incident (which is opened when it is unknown). What alerts all the time
        (`rate_per_day`) says little of the root, and does not keep the incident young; nor does a check of hours, which
        says when it was made."""
        subject, minute = self._catalog.resolve(seen.subject), minute_of(seen.at)
        weight = surprise(rate_per_day)
        row = self._row_of(incident_id)
        self._closed.discard(incident_id)
        group = self._groups[row]
        if not group.times or (weight >= TELLING and seen.since is None):
            if minute not in group.times:
                insort(group.times, minute)
            if len(group.times) > _TIMES:
                del group.times[0]
            group.first, group.last = min(group.first, minute), max(group.last, minute)
        if len(group.texts) < _TEXTS:
            group.texts[seen.tokens] = None
        self._first[row], self._last[row] = group.first, group.last
        again = (subject, seen.name) in group.names
        self._name(group, subject, seen.name)
        if weight != group.weights.get(subject) and (again or weight > group.weights.get(subject, 0.0)):
            group.weights[subject] = weight
            self._weigh(row)
        group.subjects[subject] = max(minute, group.subjects.get(subject, minute))

    def remember(self, incident_id: UUID) -> Memory:
        """What is known of this incident, to be recalled with the next batch."""
        group = self._known[incident_id]
        return Memory(
            incident_id=incident_id,
            times=tuple(group.times),
            first=group.first,
            subjects=tuple(group.subjects.items()),
            names=tuple(group.names),
            texts=tuple(tuple(sorted(text)) for text in group.texts),
            weights=tuple(group.weights[subject] for subject in group.subjects),
        )

    def recall(self, memory: Memory, *, aside: bool = False) -> None:
        """Know this incident again; `aside`: only for checks that looked at the time when it went on."""
        group = self._known.setdefault(memory.incident_id, _Group(memory.incident_id))
        group.times, group.first, group.last = list(memory.times), memory.first, memory.times[-1]
        group.texts = dict.fromkeys(frozenset(text) for text in memory.texts)
        for subject, name in memory.names:
            self._name(group, subject, name)
        group.subjects = dict(memory.subjects)
        weights = memory.weights or (1.0,) * len(memory.subjects)  # kept by a release that did not weigh
        group.weights = dict(zip(group.subjects, weights, strict=True))
        if aside:
            self._in_the_end.pop(memory.incident_id, None)
            self._closed.add(memory.incident_id)
            return
        self._closed.discard(memory.incident_id)
        row = self._row_of(memory.incident_id)
        self._first[row], self._last[row] = group.first, group.last
        self._weigh(row)

    def _name(self, group: _Group, subject: Subject, name: str) -> None:
        group.names[subject, name] = None
        self._by_name.setdefault((subject, name), set()).add(group.incident_id)

    def _weigh(self, row: int) -> None:
        """Its members have changed: what is believed of its root must be thought anew when it is asked for."""
        group = self._groups[row]
        self._stale.add(row)
        self._in_the_end.pop(group.incident_id, None)
        self._weight[row] = group.weight
        self._ttl[row] = TTL_ML_MIN if any(subject.kind in ML_KINDS for subject in group.subjects) else TTL_MIN

    def _weigh_roots(self, row: int) -> None:
        """For every subject as the group's root: log of the chance of what alerts, and of the silence of the rest."""
        self._log[row], self._silent[row] = chances(self._groups[row].weights, self._topology)
        self._stale.discard(row)

    def _believe(self, rows: NDArray[np.intp], minute: float) -> None:
        """Where may the roots of these groups be at this minute? Silence tells more the longer it lasts."""
        for row in self._stale.intersection(rows.tolist()):
            self._weigh_roots(row)
        ages = np.array([self._groups[row].age(minute) for row in rows.tolist()])
        heard = SILENCE * -np.expm1(-ages / HEARD_MIN)
        log = self._log[rows] + heard[:, None] * self._silent[rows]
        belief = np.exp(log - log.max(axis=1, keepdims=True))
        belief[~self._log[rows].any(axis=1)] = 0.0
        self._belief[rows] = belief / np.maximum(belief.sum(axis=1, keepdims=True), 1e-300)

    def _believe_in_the_end(self, group: _Group) -> Floats:
        known = self._in_the_end.get(group.incident_id)
        if known is None:
            known = self._in_the_end[group.incident_id] = belief_in_the_end(group.weights, self._topology)
        return known

    def stands_alone(self, incident_id: UUID) -> bool:
        """Has nothing but one subject ever alerted in this incident?"""
        group = self._known.get(incident_id)
        return group is None or len(group.subjects) <= 1

    def close(self, incident_id: UUID) -> None:
        """Everything in this incident has ended: it takes no more, until one of its own alerts is added again."""
        row = self._row.get(incident_id)
        self._closed.add(incident_id)
        if row is not None:
            self._first[row], self._last[row] = np.inf, -np.inf

    def _row_of(self, incident_id: UUID) -> int:
        """The group's row; a new one for a new group; when all are taken, that of the group which grew longest ago."""
        known = self._row.get(incident_id)
        if known is not None:
            return known
        group = self._known.setdefault(incident_id, _Group(incident_id))
        if len(self._groups) < MAX_GROUPS:
            row = len(self._groups)
            self._groups.append(group)
        else:
            row = int(np.argmin(self._last))
            del self._row[self._groups[row].incident_id]
            self._groups[row] = group
        self._row[incident_id] = row
        self._first[row], self._last[row] = group.first, group.last
        self._weigh(row)
        return row

    def _likely(self, subject: Subject, minute: float, chance: float) -> Iterator[tuple[int, float, float]]:
        """Groups that could win: row, the chance that the subject alerts in it, and a bound of its ratio by time,
        topology and the best words; highest bound first, so that few are looked at one by one."""
        count = len(self._groups)
        hops = self._topology.hops_to(subject)
        apart = np.maximum(np.maximum(minute - self._last[:count], self._first[:count] - minute), 0.0)
        ttl = TTL_ML_MIN if subject.kind in ML_KINDS else self._ttl[:count]
        decay = np.exp(-apart / 12) / 12
        if subject.kind in ML_KINDS:
            decay = 0.6 * decay + 0.4 * np.exp(-apart / 180) / 180
        scale = FURTHER * self._weight[:count] * decay
        rows = np.flatnonzero((apart <= ttl) & (np.log(scale + 1e-300) > chance))
        self._believe(rows, minute)
        alerts = self._belief[rows] @ ALERTS[hops]
        tied = self._belief[rows] @ (hops < UNREACHABLE) >= MIN_SHARE
        bound = np.log(scale[rows] * alerts + 1e-300) - chance
        for at in np.argsort(-bound, kind="stable").tolist():
            if tied[at] and bound[at] > 0.0:
                yield int(rows[at]), float(alerts[at]), float(bound[at])

    def _same(self, subject: Subject, minute: float) -> Iterator[tuple[int, float, float]]:
        """The same for a subject that the catalogue does not know: groups in which it alerted itself. What is not
        mapped is tied to nothing else; equal words are no reason."""
        for row, group in enumerate(self._groups):
            if group.incident_id in self._closed or subject not in group.subjects:
                continue
            if group.distance(minute) <= self._ttl[row]:
                yield row, float(ALERTS[0]), math.inf

    @staticmethod
    def _ratio(group: _Group, subject: Subject, alerts: float, minute: float, *, tokens: frozenset[str]) -> float:
        apart = group.distance(minute)
        decay = math.exp(-apart / 12) / 12 * 0.5 ** (group.age(minute) // SPENT_MIN)
        if subject.kind in ML_KINDS:
            decay = 0.6 * decay + 0.4 * math.exp(-apart / 180) / 180
        alerts *= group.again(subject, minute)
        return math.log(FURTHER * group.weight * decay * alerts * group.likeness(tokens) + 1e-300)

    def _because(self, row: int, subject: Subject, minute: float, llr: float) -> str:
        group = self._groups[row]
        apart = timedelta(minutes=round(group.distance(minute)))
        near = f"{apart.total_seconds() / 60:.0f} min from its nearest alert, {math.exp(min(llr, 14)):.0f} times chance"
        if subject in group.subjects:
            return f"{subject} already alerts in it; {near}"
        if subject not in self._topology.index:
            return f"the same alert on another subject; {near}"
        shared = self._belief[row] * ALERTS[self._topology.hops_to(subject)]
        root = self._topology.subjects[int(np.argmax(shared))]
        return f"a fault of {root} would explain {subject} and what alerts already; {near}"
