"""Who cries in an hour? The rules that monitors use, and Tocsin itself: reports folded, gated, tested and routed.

The monitor reports a feature as drifted when its own test has p < .05, and as passed when not: Tocsin sees what a
drift job sends, not more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.world import Counts
from tocsin.decide.deduplicate import merge
from tocsin.decide.drift import benjamini_hochberg, psi_limit
from tocsin.decide.enrich import enrich
from tocsin.decide.route import route
from tocsin.decide.spread import FLOOR, bounds_of, deviation, mean
from tocsin.decide.statistics import bridge_tail
from tocsin.decide.suppress import gate
from tocsin.decide.usual import noted
from tocsin.domain.alert import Alert, AlertState, Distribution, Resolves, Severity, Status, Symptom
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.drift import Finding
from tocsin.domain.incident import GateState, Incident, IncidentState
from tocsin.domain.policy import Checks, DriftPolicy, Flapping, Policy, Want
from tocsin.domain.subject import Subject

ALPHA = 0.05
RULES = ("PSI > .1", "PSI > its limit", "raw p < .05", "Bonferroni", "BH", "BH, 2 of 3", "BH and effect", "Tocsin")
HOPELESS = 0.2
"""Tocsin's q of what fires is no smaller than that of all 50: an hour with none under this is not judged."""
REMEMBERED = 4
"""Hours after a failed check in which passed ones are told too: three of them are all that 2 of 3 can see."""
START = datetime(2031, 1, 1, tzinfo=UTC)
POLICY = Policy(drift=DriftPolicy(checks=Checks(), without_effect=Want.NONE))


@dataclass
class Judge:
    """Hears every hour of one world and says for each rule which features it flags."""

    labels: list[tuple[str, ...]]
    before: Counts
    tells_all: bool = False
    settled: int = 0
    """So many hours are only heard: nobody asks what Tocsin makes of them."""
    states: dict[int, AlertState] = field(default_factory=dict)
    failed_at: dict[int, int] = field(default_factory=dict)
    flagged: list[set[int]] = field(default_factory=list)
    """What BH flagged in the hours so far."""
    hour: int = 0

    def __post_init__(self) -> None:
        features = [Subject(f"feature:f{n}") for n in range(len(self.labels))]
        model = Subject("model:churn")
        entries = {feature: Entry(subject=feature) for feature in features}
        self.catalog = Catalog(entries={**entries, model: Entry(subject=model, depends_on=tuple(features))})

    def hear(self, counts: Counts) -> dict[str, set[int]]:
        """The features that each rule flags in this hour."""
        every = range(len(counts))
        before, rows = int(self.before[0].sum()), int(counts[0].sum())
        was, now = self.before / before, counts / rows
        p = self._p(was, now, rows * before / (rows + before))
        least = np.maximum(was, FLOOR), np.maximum(now, FLOOR)
        index = ((least[1] - least[0]) * np.log(least[1] / least[0])).sum(axis=1)
        limit = psi_limit(counts.shape[1], rows, before)
        q = benjamini_hochberg(p, len(p))
        by_q = {n for n in every if q[n] <= ALPHA}
        self.flagged.append(by_q)
        moved = {n for n in by_q if abs(_mean_move(was[n], now[n], self.labels[n])) >= 0.2}
        found = {
            "PSI > .1": {n for n in every if index[n] > 0.1},
            "PSI > its limit": {n for n in every if index[n] > limit},
            "raw p < .05": {n for n in every if p[n] < ALPHA},
            "Bonferroni": {n for n in every if p[n] < ALPHA / len(p)},
            "BH": by_q,
            "BH, 2 of 3": {n for n in every if sum(n in hour for hour in self.flagged[-3:]) >= 2},
            "BH and effect": by_q & moved,
            "Tocsin": self._tocsin(p, counts, hopeless=self.hour < self.settled or min(q) > HOPELESS),
        }
        self.hour += 1
        return found

    def _p(self, was: NDArray[np.float64], now: NDArray[np.float64], rows: float) -> list[float]:
        """Kolmogorov-Smirnov on the bins as the product tests it, read off a table: the bins are tenths for all."""
        distance = np.abs(np.cumsum(now, axis=1) - np.cumsum(was, axis=1)).max(axis=1)
        return [float(p) for p in np.exp(np.interp(distance * np.sqrt(rows), *_table(was.shape[1])))]

    def _tocsin(self, p: list[float], counts: Counts, *, hopeless: bool) -> set[int]:
        """What has an effect that was repeated, when the incident of all that fires would get a ticket now."""
        now = START + timedelta(hours=self.hour)
        for n, value in enumerate(p):
            if value < ALPHA:
                self.failed_at[n] = self.hour
            if self.tells_all or self.hour - self.failed_at.get(n, -REMEMBERED) < REMEMBERED:
                self._hear(n, self._report(n, counts[n], now, fires=value < ALPHA), now)
        firing = {n: s for n, s in self.states.items() if s.status is Status.FIRING and s.firing_keys}
        if not firing or hopeless:
            return set()
        incident = Incident(
            id=UUID(int=1), number=1, environment="production", state=IncidentState.OPEN, opened_at=now,
            members=tuple(firing.values()),
        )  # fmt: skip
        incident = replace(incident, gate=gate(incident, POLICY, self.catalog, now=now))
        found = enrich(incident, self.catalog, POLICY, changes=(), similar=(), now=now)
        incident = replace(incident, enrichment=found)
        if incident.gate is None or incident.gate.state is not GateState.ACTIVE or found.drift is None:
            return set()
        if route(incident, self.catalog, POLICY, now=now).want is Want.NONE:
            return set()
        real = {s.fingerprint for s in found.drift.shifts if s.finding is Finding.SHIFTED and s.repeated}
        return {n for n, state in firing.items() if state.fingerprint in real}

    def _hear(self, n: int, report: Alert, now: datetime) -> None:
        known = self.states.get(n)
        state, transition = merge(known, report, Flapping(), now=now)
        self.states[n] = noted(known, state, report, transition, POLICY.drift, now=now)

    def _report(self, n: int, counts: Counts, now: datetime, *, fires: bool) -> Alert:
        return Alert(
            hook="drift", source="native_alert", environment="production", name="drift",
            subject=Subject(f"feature:f{n}"),
            symptom=Symptom.FEATURE_DRIFT, severity=Severity.WARNING, summary=f"drift of f{n}", received_at=now,
            status=Status.FIRING if fires else Status.RESOLVED, resolves=Resolves.NEXT_PASS, sender_key="job",
            starts_at=now if fires else None, ends_at=None if fires else now, sample_size=int(counts.sum()),
            distribution=Distribution(
                labels=self.labels[n], reference=tuple(map(float, self.before[n])), current=tuple(map(float, counts)),
                reference_size=int(self.before[n].sum()),
            ) if fires or self.tells_all else None,
        )  # fmt: skip


@lru_cache(maxsize=2)
def _table(bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights and the logarithm of their p-values."""
    heights = np.linspace(0.05, 12, 600)
    places = [n / bins for n in range(1, bins)]
    return heights, np.array([np.log(max(bridge_tail(float(height), places), 1e-300)) for height in heights])


def _mean_move(was: NDArray[np.float64], now: NDArray[np.float64], labels: tuple[str, ...]) -> float:
    bounds = bounds_of(labels)
    return (mean(list(now), bounds) - mean(list(was), bounds)) / deviation(list(was), bounds)
