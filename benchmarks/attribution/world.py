"""A world of changes and incidents whose causes are known, after correlation.md §9.1.

Minutes from the first day's midnight (UTC, a Monday) inside; nothing here is known to the scorer but what `Case` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from tocsin.domain.change import ChangeKind

DAY = 1440.0
DAYS = 120
SERVICES, JOBS, FEATURES, DATASETS, MODELS = 120, 16, 4, 10, 15
MAX_HOPS = 4
HOURS = np.array([42, 17, 14, 14, 50, 111, 142, 313, 508, 720, 828, 756, 780, 888, 991, 939, 700, 479, 285, 260, 206,
                  143, 112, 52], dtype=float)  # fmt: skip
"""Commits by hour of a public deployment repository (correlation.md §9.1)."""
KINDS = ("deploy", "config", "flag", "pipeline", "schema")
KIND_SHARE = (0.45, 0.25, 0.10, 0.15, 0.05)
BREAKS = {"deploy": 0.035, "config": 0.05, "flag": 0.02, "pipeline": 0.012, "schema": 0.06}
NAMES = {
    "deploy": ChangeKind.SERVICE_DEPLOYED,
    "config": ChangeKind.ENVIRONMENT_MODIFIED,
    "flag": ChangeKind.FEATURE_FLAG_CHANGED,
    "pipeline": ChangeKind.PIPELINERUN_FINISHED,
    "schema": ChangeKind.DATASET_SCHEMA_CHANGED,
}
WINDOWS, WINDOW_SHARE = (60.0, 360.0, 1440.0), (0.5, 0.3, 0.2)
NO_CHANGE = 0.32
LOOK_BACK = 72 * 60.0

LOGNORMAL = {"deploy": (12, 1.3), "config": (5, 1.3), "flag": (3, 1.2), "pipeline": (240, 0.7), "schema": (45, 1.0)}
MISMATCHED_U = np.array([0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
MISMATCHED_LAG = np.array([1, 8, 15, 50, 300, 2500, 6000], dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """How trouble spreads and how long it takes to show."""

    name: str
    a: float
    b: float
    lag: Callable[[str, Generator], float]
    lag_density: Callable[[str, np.ndarray], np.ndarray]


def _lognormal(kind: str, rng: Generator) -> float:
    median, sigma = LOGNORMAL[kind]
    return float(median * np.exp(sigma * rng.standard_normal()))


def _lognormal_density(kind: str, minutes: np.ndarray) -> np.ndarray:
    median, sigma = LOGNORMAL[kind]
    z = (np.log(np.maximum(minutes, 1e-3)) - np.log(median)) / sigma
    return np.asarray(np.exp(-0.5 * z * z) / (np.maximum(minutes, 1e-3) * sigma * np.sqrt(2 * np.pi)))


def _heavy(kind: str, rng: Generator) -> float:
    if kind in ("pipeline", "schema"):
        return _lognormal(kind, rng)
    return float(np.interp(rng.random(), MISMATCHED_U, MISMATCHED_LAG))


def _heavy_density(kind: str, minutes: np.ndarray) -> np.ndarray:
    if kind in ("pipeline", "schema"):
        return _lognormal_density(kind, minutes)
    slope = np.diff(MISMATCHED_U) / np.diff(MISMATCHED_LAG)
    at = np.searchsorted(MISMATCHED_LAG, minutes, side="right") - 1
    inside = (at >= 0) & (at < len(slope))
    return np.where(inside, slope[np.clip(at, 0, len(slope) - 1)], 0.0)


def _bursts(kind: str, rng: Generator) -> float:
    """Half of the trouble shows at once, half when the next peak of load comes: a law that nobody's prior has."""
    if kind in ("pipeline", "schema"):
        return float(rng.gamma(2.0, 150.0))
    return float(rng.exponential(4.0) if rng.random() < 0.5 else rng.uniform(60.0, 900.0))


def _bursts_density(kind: str, minutes: np.ndarray) -> np.ndarray:
    m = np.maximum(minutes, 1e-3)
    if kind in ("pipeline", "schema"):
        return np.asarray(m / 150.0**2 * np.exp(-m / 150.0))
    return np.asarray(0.5 * np.exp(-m / 4.0) / 4.0 + 0.5 * ((m >= 60) & (m <= 900)) / 840.0)


LAWS: Mapping[str, Law] = {
    "matched": Law(name="matched", a=0.88, b=0.5, lag=_lognormal, lag_density=_lognormal_density),
    "mismatched": Law(name="mismatched", a=0.7, b=0.3, lag=_heavy, lag_density=_heavy_density),
    "bursts": Law(name="bursts", a=0.6, b=0.7, lag=_bursts, lag_density=_bursts_density),
}
"""`bursts` is ours: other lags and farther spreading than either world of the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    kind: str
    """service, job, feature, dataset or model."""

    @property
    def subject(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A change as it was made."""

    id: str
    kind: str
    node: int
    at: float
    known: bool
    """Whether the catalogue knows its subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    node: int
    at: float
    series: tuple[tuple[float, float], ...] = ()
    looked_since: float | None = None
    """Start of the evaluation window at whose end it alerted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is visible at the moment of decision, and the truth beside it."""

    id: str
    decide_at: float
    alerts: tuple[Fired, ...]
    changes: tuple[Made, ...]
    cause: str
    """Id of the change; empty: none."""
    cause_kind: str
    told: bool


@dataclass(slots=True)
class World:
    """One seed's graph, changes and cases."""

    law: Law
    seed: int
    per_day: float = 120.0
    edges_seen: float = 0.85
    unknown: float = 0.05
    nodes: list[Node] = field(default_factory=list)
    needs: list[list[int]] = field(default_factory=list)
    """True dependencies, by node."""
    seen_needs: list[list[int]] = field(default_factory=list)
    """Those that the catalogue has."""
    risk: np.ndarray = field(default_factory=lambda: np.zeros(0))
    hops: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """True hops from root to node, 9 where it is out of reach."""
    changes: list[Made] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 77])
        self._graph(rng)
        self._make_changes(rng)
        self._incidents(rng)

    # -- graph

    def _graph(self, rng: Generator) -> None:
        kinds = ["service"] * SERVICES + ["job"] * JOBS + ["feature"] * FEATURES + ["dataset"] * DATASETS
        kinds += ["model"] * MODELS
        numbers = rng.permutation(1000)[: len(kinds)]
        self.nodes = [Node(name=f"n{number:03d}", kind=kind) for number, kind in zip(numbers, kinds, strict=True)]
        needs: list[list[int]] = []
        dependants = np.zeros(len(kinds))
        lineage = range(SERVICES, SERVICES + JOBS + FEATURES + DATASETS)
        found: np.ndarray
        for u, kind in enumerate(kinds):
            if kind == "service":
                wanted = min(u, 1 + int(rng.poisson(1.3)))
                weights = 1 + dependants[:u]
                found = rng.choice(u, wanted, replace=False, p=weights / weights.sum()) if wanted else np.zeros(0)
            elif kind == "model":
                found = rng.choice(list(lineage), min(len(lineage), 2 + int(rng.poisson(1.5))), replace=False)
            else:
                found = rng.choice(SERVICES, 1 + int(rng.poisson(0.7)), replace=False)
            needs.append([int(v) for v in found])
            for v in needs[-1]:
                dependants[v] += 1
        for model in range(len(kinds) - MODELS, len(kinds)):
            for service in rng.choice(np.arange(SERVICES // 2, SERVICES), 2, replace=False):
                needs[int(service)].append(model)
        self.needs = needs
        self.seen_needs = [[v for v in found if rng.random() < self.edges_seen] for found in needs]
        self.hops = _hops(needs)
        self.risk = rng.gamma(2.0, 0.5, len(kinds))

    # -- changes

    def _make_changes(self, rng: Generator) -> None:
        order = rng.permutation(SERVICES)
        zipf = 1 / np.arange(1, SERVICES + 1) ** 0.9
        zipf /= zipf.sum()
        lineage = np.arange(SERVICES, SERVICES + JOBS + FEATURES)
        datasets = np.arange(SERVICES + JOBS + FEATURES, SERVICES + JOBS + FEATURES + DATASETS)
        models = np.arange(len(self.nodes) - MODELS, len(self.nodes))
        made: list[tuple[str, int, float]] = []
        for day in range(DAYS):
            for _ in range(int(rng.poisson(self.per_day * (1.3 if day % 7 < 5 else 0.25)))):
                kind = str(rng.choice(KINDS, p=KIND_SHARE))
                at = day * DAY + 60 * int(rng.choice(24, p=HOURS / HOURS.sum())) + rng.uniform(0, 60)
                if kind == "pipeline":
                    node = int(rng.choice(lineage))
                elif kind == "schema":
                    node = int(rng.choice(datasets))
                elif kind == "deploy" and rng.random() < 0.08:
                    node = int(rng.choice(models))
                else:
                    node = int(order[rng.choice(SERVICES, p=zipf)])
                made.append((kind, node, at))
                if rng.random() < 0.2:
                    on_service = node < SERVICES
                    other = node if rng.random() < 0.6 else int(order[rng.choice(SERVICES, p=zipf)])
                    made.append((kind if on_service else "config", other, at + rng.uniform(1, 10)))
        names = rng.permutation(len(made))
        self.changes = sorted(
            (
                Made(id=f"c{names[i]:06d}", kind=kind, node=node, at=at, known=bool(rng.random() >= self.unknown))
                for i, (kind, node, at) in enumerate(made)
            ),
            key=lambda change: change.at,
        )

    # -- incidents

    def _incidents(self, rng: Generator) -> None:
        found: list[tuple[Made | None, list[Fired]]] = []
        for change in self.changes:
            if rng.random() < min(0.5, BREAKS[change.kind] * self.risk[change.node]):
                strike = change.at + self.law.lag(change.kind, rng)
                slow = change.kind in ("pipeline", "schema")
                if alerts := self._alerts(change.node, strike, slow, rng):
                    found.append((change, alerts))
        caused = len(found)
        wanted = round(caused * NO_CHANGE / (1 - NO_CHANGE))
        while len(found) - caused < wanted:
            root = int(rng.integers(len(self.nodes)))
            strike = float(rng.uniform(0, DAYS * DAY))
            if alerts := self._alerts(root, strike, self.nodes[root].kind != "service", rng):
                found.append((None, alerts))
        found.sort(key=lambda one: one[1][0].at)
        names = rng.permutation(len(found))
        times = np.array([change.at for change in self.changes])
        for i, (cause, alerts) in enumerate(found):
            first = alerts[0].at
            decide_at = first + 5
            visible = [alert for alert in alerts if alert.at <= decide_at]
            for _ in range(int(rng.poisson(0.4))):
                visible.append(Fired(node=int(rng.integers(len(self.nodes))), at=float(rng.uniform(first, decide_at))))
            low, high = np.searchsorted(times, [first - LOOK_BACK, decide_at])
            candidates = [self.changes[j] for j in rng.permutation(np.arange(low, high))]
            self.cases.append(
                Case(
                    id=f"i{names[i]:05d}",
                    decide_at=decide_at,
                    alerts=tuple(visible[j] for j in rng.permutation(len(visible))),
                    changes=tuple(candidates),
                    cause=cause.id if cause else "",
                    cause_kind=cause.kind if cause else "",
                    told=bool(rng.random() < 0.5),
                )
            )

    def _alerts(self, root: int, strike: float, slow: bool, rng: Generator) -> list[Fired]:
        """Who alerts, in order of time; `slow`: lineage nodes tell at the ends of their windows."""
        found = []
        for v in np.flatnonzero(self.hops[root] <= MAX_HOPS):
            d = int(self.hops[root][v])
            if rng.random() >= self.law.a * self.law.b**d:
                continue
            onset = strike + d * rng.exponential(1.5)
            kind, looked_since = self.nodes[int(v)].kind, None
            if kind == "model" or (slow and kind != "service"):
                window = float(rng.choice(WINDOWS, p=WINDOW_SHARE))
                looked_since = onset // window * window
                at = looked_since + window + rng.uniform(1, 5)
            else:
                at = onset + rng.uniform(1, 6)
            series = self._series(onset, at, rng) if rng.random() < 0.5 else ()
            found.append(Fired(node=int(v), at=float(at), series=series, looked_since=looked_since))
        return sorted(found, key=lambda alert: alert.at)

    @staticmethod
    def _series(onset: float, until: float, rng: Generator) -> tuple[tuple[float, float], ...]:
        """A minute's step: noise around 1, then around 3 from the onset (± 2 min) on."""
        step = onset + rng.normal(0, 2)
        first = min(step, until) - 60
        every = max(1.0, (until - first) / 120)
        times = np.arange(first, until, every)
        values = np.where(times >= step, 3.0, 1.0) + rng.normal(0, 0.3, len(times))
        return tuple((float(t), float(v)) for t, v in zip(times, values, strict=True))

    def evaluated(self) -> Iterator[Case]:
        """The cases after the first 30 days."""
        return (case for case in self.cases if case.decide_at >= 30 * DAY)


def _hops(needs: list[list[int]]) -> np.ndarray:
    """Hops of impact: from what is needed to who needs it."""
    n = len(needs)
    dependants: list[list[int]] = [[] for _ in range(n)]
    for u, found in enumerate(needs):
        for v in found:
            dependants[v].append(u)
    hops = np.full((n, n), 9)
    for root in range(n):
        hops[root, root] = 0
        level = [root]
        for d in range(1, MAX_HOPS + 1):
            level = [u for u in {u for v in level for u in dependants[v]} if hops[root, u] == 9]
            hops[root, level] = d
    return hops
