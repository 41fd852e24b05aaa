"""What has been learned from incidents whose cause a person named? Counts that can be read, reset and added up again.

Only a person teaches (correlation.md §2.1). What is learned: how risky the changes of a kind and of a subject are, how
long after a change its trouble shows, how far trouble spreads, and how often it comes without a known change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import orjson

from tocsin.decide.candidates import OFTEN_A_DAY, written_at
from tocsin.decide.lags import EDGES, MIN_LAG, bin_of, bins_within
from tocsin.decide.onset import began, began_after, beginning
from tocsin.decide.pattern import FIRST_DECAYS, SPREADS, Pattern
from tocsin.decide.remembered import Past, canonical
from tocsin.decide.series import Courses
from tocsin.domain.alert import AlertState
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject

DAY = timedelta(days=1)
_RUN = ChangeKind.PIPELINERUN_FINISHED
BACKGROUND = (1.0, 3.0)
"""Before anything is known: at least one outage without a known change in so many days (correlation.md §2)."""
WITHOUT_CHANGE = 0.3
"""The share of outages that follow no change (Google SRE: some 70 % follow one; correlation.md §11). Where hundreds of
changes are made a day, their risks alone would leave next to nothing for it."""
MOST_PLACES = 5_000
"""Subjects whose own risk is remembered; the least often changed go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRecord:
    """What people confirmed of one kind: changes that caused an incident, changes that did not, and how many
    confirmed lags fell into each bin of `lags.EDGES`."""

    caused: float = 0.0
    harmless: float = 0.0
    lags: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Experience:
    """What was learned from confirmations; empty at a cold start."""

    kinds: Mapping[ChangeKind, KindRecord] = field(default_factory=dict)
    places: Mapping[Subject, tuple[float, float]] = field(default_factory=dict)
    """Changes on one subject: those that caused an incident, and those that did not."""
    spread: tuple[float, ...] = ()
    """Log weight of each law of `pattern.SPREADS`; empty: all alike."""
    first: tuple[float, ...] = ()
    """Log weight of each of `pattern.FIRST_DECAYS`; empty: all alike."""
    past: Mapping[Subject, Past] = field(default_factory=dict)
    """What alerted when a subject was the confirmed cause."""
    unexplained: float = 0.0
    """Incidents of which a person said that no known change caused them."""
    days: float = 0.0
    """The time over which all this was seen."""
    confirmed: int = 0

    @cached_property
    def facts(self) -> bytes:
        """All of it in canonical form."""
        known: list[object] = [(kind, r.caused, r.harmless, r.lags) for kind, r in sorted(self.kinds.items())]
        known += [sorted(self.places.items()), self.spread, self.first, self.unexplained, self.days, self.confirmed]
        return orjson.dumps(known) + self.remembered

    @cached_property
    def remembered(self) -> bytes:
        """The past in canonical form; empty where there is none."""
        return canonical(self.past) if self.past else b""

    @property
    def background_per_day(self) -> float:
        """Outages without a known change, as far as people told."""
        return self.background(0.0)

    def background(self, by_changes: float) -> float:
        """Outages a day without a known change, where known changes are expected to cause so many a day."""
        incidents, days = BACKGROUND
        expected = max(incidents, days * by_changes * WITHOUT_CHANGE / (1 - WITHOUT_CHANGE))
        return (expected + self.unexplained) / (days + self.days)


COLD = Experience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One incident as it stood when it was judged, and what a person said of it."""

    members: Sequence[AlertState]
    changes: Sequence[Change]
    catalog: Catalog
    decided_at: datetime
    told: bool
    """Whether anybody said what the cause was; else its changes only count as seen."""
    cause: str = ""
    """The change's id; empty: none of them."""
    series: Sequence[Series] = ()


class Learner:
    """Takes in lessons in the order of time."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._kinds: dict[ChangeKind, list[float]] = {}
        self._lags: dict[ChangeKind, list[float]] = {}
        self._places: dict[Subject, list[float]] = {}
        self._runs: Counter[Subject] = Counter()
        self._spread, self._order = np.zeros(len(SPREADS)), np.zeros(len(FIRST_DECAYS))
        self._past: dict[Subject, tuple[float, Counter[Subject]]] = {}
        self._unexplained = 0.0
        self._confirmed = 0
        self._incidents = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    def take(self, lesson: Lesson) -> None:
        """Learn from one incident. A change counts as seen once, however many incidents it stood beside; a cause that
        is not among the changes is no known change."""
        self._incidents += 1
        pattern = Pattern(lesson.members, lesson.catalog, spread=self._weights())
        onset = beginning(lesson.members, Courses(lesson.series, pattern, lesson.decided_at), pattern)
        onset_at = began(pattern, onset)
        earliest = min((change.occurred_at for change in lesson.changes), default=onset_at)
        self._first = min(self._first or earliest, earliest)
        self._last = max(self._last or lesson.decided_at, lesson.decided_at)
        for change in lesson.changes:
            if change.id not in self._seen and change.occurred_at <= onset_at:
                self._seen.add(change.id)
                self._expose(change.kind, lesson.catalog.resolve(change.subject), 1)
        if not lesson.told:
            return
        self._confirmed += 1
        cause = next((change for change in lesson.changes if change.id == lesson.cause), None)
        if cause is None:
            self._unexplained += 1
            return
        self._learn_cause(cause, onset_at, began_after(pattern, onset), lesson.catalog)
        self._learn_spread(cause, pattern)

    def expose(self, kind: ChangeKind, subject: Subject, changes: int, *, since: datetime) -> None:
        """So many changes were made, and nobody has said anything of them."""
        self._first = min(self._first or since, since)
        self._expose(kind, subject, changes)

    def _expose(self, kind: ChangeKind, subject: Subject, changes: int) -> None:
        self._of_kind(kind)[1] += changes
        self._of_place(subject)[1] += changes
        if kind is _RUN:
            self._runs[subject] += changes

    def hear(self, said: Confirmed, catalog: Catalog) -> None:
        """A person's word on one incident, whose changes were counted already."""
        self._confirmed += 1
        if said.cause is None:
            self._unexplained += said.none  # a cause that is no longer known teaches nothing
            return
        self._learn_cause(said.cause, said.onset_at, said.onset_after, catalog)
        if said.members:
            self._learn_spread(said.cause, Pattern(said.members, catalog, spread=self._weights()))

    def until(self, now: datetime, *, incidents: int) -> Experience:
        """All that was learned, seen until now among so many incidents."""
        self._last, self._incidents = now, max(incidents, self._confirmed)
        return self.experience

    def _learn_cause(self, cause: Change, onset_at: datetime, after: datetime | None, catalog: Catalog) -> None:
        """Where trouble began somewhere `after` a moment, its lag counts in part for each that it may have been, by
        what was known before."""
        for counts in (self._of_kind(cause.kind), self._of_place(catalog.resolve(cause.subject))):
            counts[0] += 1
            counts[1] = max(0.0, counts[1] - 1)
        written = written_at(cause, onset_at)
        minutes = max(MIN_LAG, (onset_at - written).total_seconds() / 60)
        lags = self._lags.setdefault(cause.kind, [0.0] * (len(EDGES) - 1))
        if after is None:
            lags[int(bin_of(np.array([minutes]))[0])] += 1
            return
        least = max(0.0, (after - written).total_seconds() / 60)
        for at, share in enumerate(bins_within(cause.kind, least, minutes, tuple(lags)).tolist()):
            lags[at] += share

    def _learn_spread(self, cause: Change, pattern: Pattern) -> None:
        under = pattern.under_each_law(cause)
        root = pattern.root(cause)
        if under is None or root is None:
            return
        self._spread += under[0]
        self._spread -= self._spread.max()
        self._order += under[1]
        self._order -= self._order.max()
        incidents, alerted = self._past.get(root, (0.0, Counter()))
        alerted.update(pattern.started.keys())
        self._past[root] = (incidents + 1, alerted)

    def _of_kind(self, kind: ChangeKind) -> list[float]:
        return self._kinds.setdefault(kind, [0.0, 0.0])

    def _of_place(self, subject: Subject) -> list[float]:
        return self._places.setdefault(subject, [0.0, 0.0])

    def _weights(self) -> tuple[float, ...]:
        return tuple(self._spread.tolist())

    @property
    def experience(self) -> Experience:
        """All that was learned so far. What nobody was asked about proves nothing: of the changes that came to nothing,
        and of the time, only that share counts in which people said what the cause was. Of one job's runs no more count
        than bear a risk of their own."""
        if not self._confirmed:
            return COLD
        share = self._confirmed / self._incidents
        seen = (self._last - self._first) // DAY if self._first and self._last else 0
        beyond = {job: max(0.0, runs - OFTEN_A_DAY * max(seen, 1)) for job, runs in self._runs.items()}
        ranked = sorted(self._places.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))[:MOST_PLACES]
        return Experience(
            kinds={
                kind: KindRecord(
                    caused=caused,
                    harmless=share * max(0.0, harmless - (sum(beyond.values()) if kind is _RUN else 0.0)),
                    lags=tuple(self._lags.get(kind, ())),
                )
                for kind, (caused, harmless) in sorted(self._kinds.items())
            },
            places={
                subject: (caused, share * max(0.0, harmless - beyond.get(subject, 0.0)))
                for subject, (caused, harmless) in sorted(ranked)
            },
            spread=self._weights() if self._spread.any() else (),
            first=tuple(self._order.tolist()) if self._order.any() else (),
            past={
                root: Past(incidents=incidents, alerted={v: float(times) for v, times in sorted(alerted.items())})
                for root, (incidents, alerted) in sorted(self._past.items())
            },
            unexplained=self._unexplained,
            days=share * seen,
            confirmed=self._confirmed,
        )


def without(experience: Experience, *, kind: ChangeKind) -> Experience:
    """The same, with all that was learned of one kind forgotten."""
    return replace(experience, kinds={known: record for known, record in experience.kinds.items() if known is not kind})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """So many changes of a kind on a subject, the first at `since`."""

    kind: ChangeKind
    subject: Subject
    changes: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What a person said of one incident: its cause, or `none`: no known change."""

    cause: Change | None
    none: bool
    members: Sequence[AlertState]
    onset_at: datetime
    onset_after: datetime | None = None


def learned(
    exposures: Sequence[Exposure], confirmed: Sequence[Confirmed], catalog: Catalog, *, incidents: int, now: datetime
) -> Experience:
    """The experience of an installation: all changes seen, and the confirmed among all incidents, in the order of their
    time."""
    learner = Learner()
    for one in exposures:
        learner.expose(one.kind, catalog.resolve(one.subject), one.changes, since=one.since)
    for said in confirmed:
        learner.hear(said, catalog)
    return learner.until(now, incidents=incidents)
