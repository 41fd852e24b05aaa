"""Which open incident does this alert belong to, if any? A likelihood ratio over topology, time and words.

    LLR = log(1.5 · f(dt) · pv · text) − log(rate of this alert + 1e-5)          (correlation.md §3)

pv is the chance that the subject alerts, over the group's belief about its root; f decays with the time to the group's
nearest alert, slowly for ML subjects; text compares names. The best group above log 10 wins, else a new incident opens.

Beside the model stand three rules of ours. The same name on the same subject joins at once: a storm of one fault's
pods is one incident. A subject that no believable root of the group can reach never joins, however rare its alert. A
subject that the catalogue does not know joins only what it alerted in itself."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.noise import surprise
from tocsin.decide.topology import UNREACHABLE, Topology, topology_of
from tocsin.domain.alert import AlertState, Symptom
from tocsin.domain.catalog import MAX_HOPS, Catalog
from tocsin.domain.incident import Attribution, Memory
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

JOIN_ABOVE = math.log(10)
FURTHER = 1.5
"""Alerts that a fault is still expected to raise (correlation.md §3)."""
CERTAIN = 99.0
"""The ratio shown when the rule "same alert, same subject" decided."""
MAX_GROUPS = 200
TTL_MIN, TTL_ML_MIN = 60.0, 480.0
ML_KINDS = frozenset({"model", "feature", "dataset", "job"})
RATE_PER_DAY = 0.1
"""Of an alert never seen before: .3 pseudo-counts in 3 days."""
MIN_TEXT = 0.5
"""Names of one fault's alerts often share no word (HighLatency, ErrorBudgetBurn): words may only halve the ratio."""
MIN_SHARE = 0.01
"""How much of the group's belief must lie on roots that reach the subject. One without any tie stays below .003."""
SILENCE = 0.4
"""The weight of what does not alert (kappa, correlation.md §2): a root on which half the catalogue rests would have
raised more than this. Of ML subjects, which are checked in hours, silence says nothing."""
HEARD_MIN = 5.0
"""Minutes after which most of what a fault raises has been raised (judgement: `for:` of a few minutes)."""
SPENT_MIN = 15.0
"""A fault raises its alerts early: of those that it was expected to raise, half are out every 15 min. Without this an
incident would live on whatever else goes wrong near it (judgement; alerts of a cascade come within 10 min or so)."""
TELLING = 0.5
"""An alert that is a surprise at least so much keeps its incident young."""
AGREE = 0.8
_TIMES, _TEXTS = 256, 16
_P: Floats = np.append(0.01 + 0.8 * 0.55 ** np.arange(MAX_HOPS + 1), 0.002)
_LOG_P = np.log(_P)
_LOG_NOT = np.append(np.log1p(-_P[:-1]), 0.0)
"""Log of the chance that a subject so far below the root does not alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What grouping asks of an alert. `at` is its onset where known, else its start; `tokens` its words."""

    fingerprint: str
    subject: Subject
    name: str
    symptom: Symptom
    at: datetime
    tokens: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The incident to join (None: open a new one), the best log likelihood ratio found, and why in words."""

    incident_id: UUID | None
    llr: float
    because: str


def seen_of(state: AlertState, onset_at: datetime | None = None) -> Seen:
    """What grouping asks of this alert; `onset_at` (a drift job's window, a series' step) beats its start."""
    alert = state.alert
    return Seen(
        fingerprint=alert.fingerprint,
        subject=alert.subject,
        name=alert.name,
        symptom=alert.symptom,
        at=onset_at or state.starts_at,
        tokens=tokens_of(alert.name),
    )


def _minute(seen: Seen) -> float:
    """Whole minutes: what is remembered of a group must not depend on how its alerts were batched."""
    return float(seen.at.timestamp() // 60)


@lru_cache(maxsize=4096)
def tokens_of(text: str) -> frozenset[str]:
    """The words of a name, lower case, camel case split, numbers and ids masked as `#`."""
    words = (w for w in re.split(r"[^A-Za-z0-9]+", text) if w)
    parts = (
        ["#"] if len(w) >= 5 and re.search(r"\d", w) else re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", w)
        for w in words
    )
    return frozenset("#" if part.isdigit() else part.lower() for found in parts for part in found)


def same_cause(a: Attribution, b: Attribution) -> bool:
    """May two incidents become one? Their first suspects are the same change or judged as one, both above .8."""
    one, other = a.first, b.first
    if one is None or other is None or min(one.probability, other.probability) <= AGREE:
        return False
    return bool({one.change.id, *one.members} & {other.change.id, *other.members})


@lru_cache(maxsize=4)
def _silence(topology: Topology) -> Floats:
    """For every subject as a root: log of the chance that nothing below it alerts that would alert at once."""
    silent = np.zeros(len(topology.subjects))
    for subject in topology.subjects:
        if subject.kind not in ML_KINDS and topology.monitored[topology.index[subject]]:
            silent += _LOG_NOT[topology.hops_to(subject)]
    return silent


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
        self._all_silent = _silence(self._topology)
        self._first = np.full(MAX_GROUPS, np.inf)
        self._last = np.full(MAX_GROUPS, -np.inf)
        self._ttl = np.full(MAX_GROUPS, TTL_MIN)
        self._weight = np.zeros(MAX_GROUPS)
        self._stale: set[int] = set()
        for incident_id, members, _ in sorted(open, key=lambda group: (group[2], group[0])):
            for seen in members:
                self.add(incident_id, seen)

    def place(self, seen: Seen, *, rate_per_day: float = RATE_PER_DAY, left: UUID | None = None) -> Placement:
        """Where the alert belongs. `rate_per_day` is how often this very alert opens of its own accord; `left` is the
        incident in which it ended and to which it does not come back by its name alone. Of equals the group that began
        first wins, then the smaller id."""
        subject = self._catalog.resolve(seen.subject)
        same = min(self._by_name.get((subject, seen.name), set()) - self._closed - {left}, default=None)
        if same is not None:
            return Placement(incident_id=same, llr=CERTAIN, because=f"{seen.name} on {subject} is already part of it")
        minute = _minute(seen)
        chance = math.log(rate_per_day / 1440 + 1e-5)
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

    def add(self, incident_id: UUID, seen: Seen, *, rate_per_day: float = RATE_PER_DAY) -> None:
        """The alert has joined this incident (which is opened when it is unknown). What alerts all the time
        (`rate_per_day`) says little of the root, and does not keep the incident young."""
        subject, minute = self._catalog.resolve(seen.subject), _minute(seen)
        weight = surprise(rate_per_day)
        row = self._row_of(incident_id)
        self._closed.discard(incident_id)
        group = self._groups[row]
        if weight >= TELLING or not group.times:
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

    def recall(self, memory: Memory) -> None:
        """Know this incident again."""
        row = self._row_of(memory.incident_id)
        group = self._groups[row]
        group.times, group.first, group.last = list(memory.times), memory.first, memory.times[-1]
        self._first[row], self._last[row] = group.first, group.last
        group.texts = dict.fromkeys(frozenset(text) for text in memory.texts)
        for subject, name in memory.names:
            self._name(group, subject, name)
        group.subjects = dict(memory.subjects)
        weights = memory.weights or (1.0,) * len(memory.subjects)  # kept by a release that did not weigh
        group.weights = dict(zip(group.subjects, weights, strict=True))
        self._weigh(row)

    def _name(self, group: _Group, subject: Subject, name: str) -> None:
        group.names[subject, name] = None
        self._by_name.setdefault((subject, name), set()).add(group.incident_id)

    def _weigh(self, row: int) -> None:
        """Its members have changed: what is believed of its root must be thought anew when it is asked for."""
        group = self._groups[row]
        self._stale.add(row)
        self._weight[row] = group.weight
        self._ttl[row] = TTL_ML_MIN if any(subject.kind in ML_KINDS for subject in group.subjects) else TTL_MIN

    def _weigh_roots(self, row: int) -> None:
        """For every subject as the group's root: log of the chance of what alerts, and of the silence of the rest."""
        log, silent = np.zeros(self._belief.shape[1]), self._all_silent.copy()
        for subject, weight in self._groups[row].weights.items():
            if subject in self._topology.index:
                hops = self._topology.hops_to(subject)
                log += weight * _LOG_P[hops]
                if subject.kind not in ML_KINDS:
                    silent -= weight * _LOG_NOT[hops]
        self._log[row], self._silent[row] = log, silent
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
        alerts = self._belief[rows] @ _P[hops]
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
                yield row, float(_P[0]), math.inf

    @staticmethod
    def _ratio(group: _Group, subject: Subject, alerts: float, minute: float, *, tokens: frozenset[str]) -> float:
        apart = group.distance(minute)
        decay = math.exp(-apart / 12) / 12 * 0.5 ** (group.age(minute) // SPENT_MIN)
        if subject.kind in ML_KINDS:
            decay = 0.6 * decay + 0.4 * math.exp(-apart / 180) / 180
        before = group.subjects.get(subject)
        if before is not None:
            alerts *= 0.5 if abs(minute - before) < 30 else 0.1
        return math.log(FURTHER * group.weight * decay * alerts * group.likeness(tokens) + 1e-300)

    def _because(self, row: int, subject: Subject, minute: float, llr: float) -> str:
        group = self._groups[row]
        apart = timedelta(minutes=round(group.distance(minute)))
        near = f"{apart.total_seconds() / 60:.0f} min from its nearest alert, {math.exp(min(llr, 14)):.0f} times chance"
        if subject in group.subjects:
            return f"{subject} already alerts in it; {near}"
        if subject not in self._topology.index:
            return f"the same alert on another subject; {near}"
        shared = self._belief[row] * _P[self._topology.hops_to(subject)]
        root = self._topology.subjects[int(np.argmax(shared))]
        return f"a fault of {root} would explain {subject} and what alerts already; {near}"
