"""An ML platform whose causes are known: services beside jobs → datasets → features → models, and what runs tell.

Ours, and written before the scorer's constants were read. Mappings know part of the lineage, run events tell most of
the rest. Deploys are the bulk of the changes by hand; causes of all kinds strike through true dependencies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from benchmarks.attribution.lineage_runs import (
    BAD,
    CADENCES,
    CARRIED,
    NEW_COLUMN,
    Event,
    Job,
    bad_run,
    carrying,
    levels_of,
    make_job,
    usual_runs,
    with_columns,
)
from benchmarks.attribution.world import DAY, DAYS, HOURS, LOOK_BACK, MAX_HOPS, Case, Fired, Node, _hops

SERVICES, MODELS = 70, 14
JOBS = (("ingest", 8, (0.35, 0.25, 0.4)), ("transform", 8, (0.2, 0.2, 0.6)), ("feature", 8, (0.15, 0.15, 0.7)))
"""Layers of jobs: how many, and the shares of hourly, six-hourly and daily ones."""
MAPPED_NODE, MAPPED_EDGE = 0.85, 0.85
"""Of lineage; an edge is mapped when both its ends are too: .61 of them."""
SERVICE_EDGE, UNKNOWN = 0.9, 0.05
MONITORED = {"service": 0.9, "model": 1.0, "feature": 0.8, "dataset": 0.7, "job": 0.6}
PER_DAY = {"deploy": 38.0, "config": 20.0, "flag": 9.0, "schema": 6.0, "promotion": 3.0, "outage": 0.8}
WEEKDAY, WEEKEND = 1.25, 0.375
BREAKS = {"deploy": 0.03, "config": 0.04, "flag": 0.025, "schema": 0.15, "promotion": 0.18, "outage": 0.4}
SEVERITIES = ((0.9, 0.7), (0.6, 0.4))
"""An incident spreads by one of these laws: chance to alert at the root, and what each hop leaves of it."""
WINDOWS, WINDOW_SHARE, WINDOW_TOLD = (60.0, 360.0, 1440.0), (0.4, 0.35, 0.25), 0.6
DECIDE_AFTER = 15.0
NO_CHANGE, MISSING = 0.3, 0.1
"""Shares: of incidents no change caused; of these a run that never came."""
STRAYS = 0.3
DRIFTS, NAMED, NAMED_BY_CHANCE = 0.6, 0.7, 0.08
"""Share of model alerts that name features; chance that one downstream of the root is named, and that another is."""
NAMES_VERSION, SPELLED = 0.8, (0.8, 0.08, 0.12)
"""Share of models whose alerts name a version; it is right, the one before, or in words nobody matches."""
ROLLOUT = 180.0
"""Mean minutes in which both versions serve."""
LINEAGE_KINDS = ("pipeline", "schema", "outage", "promotion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(Fired):
    """An alert with the version that it names."""

    version: str = ""
    by: int = -1
    """The model whose drift check names the feature; -1: a check of the subject's own."""


@dataclass(slots=True)
class LineageWorld:
    """One seed's platform, changes and cases."""

    seed: int
    nodes: list[Node] = field(default_factory=list)
    needs: list[list[int]] = field(default_factory=list)
    mapped: list[bool] = field(default_factory=list)
    mapped_needs: list[list[int]] = field(default_factory=list)
    """Edges of the mappings."""
    told_needs: list[list[int]] = field(default_factory=list)
    """Edges that runs tell."""
    monitored: list[bool] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    """By node, minutes of its check's window; 0: it looks all the time."""
    tells_window: list[bool] = field(default_factory=list)
    names_version: list[bool] = field(default_factory=list)
    jobs: dict[int, Job] = field(default_factory=dict)
    levels: dict[int, np.ndarray] = field(default_factory=dict)
    risk: np.ndarray = field(default_factory=lambda: np.zeros(0))
    hops: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    changes: list[Event] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    rollouts: dict[str, float] = field(default_factory=dict)
    """By promotion, the minutes in which both versions serve."""
    promoted: list[Event] = field(default_factory=list)
    background: float = 0.0
    """Strikes a minute that no change caused."""

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 1913])
        self._graph(rng)
        events = self._traffic(rng)
        runs = {node: usual_runs(job, self.levels[node], rng) for node, job in self.jobs.items()}
        events, runs = _named(events, runs, rng)
        caused = self._bad_runs(runs, rng) + self._bad_changes(events, runs, rng)
        self._incidents(events, runs, caused, rng)

    @property
    def seen_needs(self) -> list[list[int]]:
        """What mappings and runs know together."""
        return [sorted({*one, *other}) for one, other in zip(self.mapped_needs, self.told_needs, strict=True)]

    def of_kind(self, kind: str) -> list[int]:
        return [at for at, node in enumerate(self.nodes) if node.kind == kind]

    # -- graph

    def _graph(self, rng: Generator) -> None:
        kinds, needs, made = ["service"] * SERVICES, [], []
        dependants = np.zeros(SERVICES)
        for u in range(SERVICES):
            wanted = min(u, 1 + int(rng.poisson(1.2)))
            share = (1 + dependants[:u]) / (1 + dependants[:u]).sum()
            needs.append([int(v) for v in rng.choice(u, wanted, replace=False, p=share)] if wanted else [])
            dependants[needs[-1]] += 1
        tables: list[int] = []
        for layer, count, shares in JOBS:
            written: list[int] = []
            for _ in range(count):
                reads = [] if layer == "ingest" else _some(tables, 1 + int(rng.poisson(0.9)), rng)
                job = len(kinds)
                kinds.append("job")
                needs.append(reads or [int(rng.integers(SERVICES))])
                writes = list(range(job + 1, job + 1 + int(rng.integers(1, 4 if layer == "feature" else 3))))
                kinds += ["feature" if layer == "feature" else "dataset"] * len(writes)
                needs += [[job] for _ in writes]
                written += writes
                made.append((job, float(rng.choice(CADENCES, p=shares)), tuple(reads), tuple(writes)))
            tables = tables + written if layer != "feature" else written
        for _ in range(MODELS):
            model = len(kinds)
            kinds.append("model")
            needs.append(_some(tables, 2 + int(rng.poisson(1.5)), rng))
            for service in rng.choice(np.arange(SERVICES // 2, SERVICES), 2, replace=False):
                needs[int(service)].append(model)
        numbers = rng.permutation(1000)[: len(kinds)]
        self.nodes = [Node(name=f"n{number:03d}", kind=kind) for number, kind in zip(numbers, kinds, strict=True)]
        self.needs, self.hops, self.risk = needs, _hops(needs), rng.gamma(2.0, 0.5, len(kinds))
        for node, cadence, reads_of, writes_of in made:
            self.jobs[node] = make_job(node, cadence, reads_of, writes_of, rng)
            self.levels[node] = levels_of(rng)
        self._seen(kinds, rng)

    def _seen(self, kinds: list[str], rng: Generator) -> None:
        """What mappings and runs know of it, and how it is watched."""
        slow = {"model", "feature", "dataset"}
        lineage = {"job", "dataset", "feature"}
        self.mapped = [kind not in lineage or bool(rng.random() < MAPPED_NODE) for kind in kinds]
        self.mapped_needs = [
            [
                v
                for v in found
                if self.mapped[u] and self.mapped[v] and rng.random() < self._edge_known(kinds[u], kinds[v])
            ]
            for u, found in enumerate(self.needs)
        ]
        self.told_needs = [[] for _ in kinds]
        for node, job in self.jobs.items():
            if job.tells_lineage:
                self.told_needs[node] = list(job.reads)
                for written in job.writes:
                    self.told_needs[written] = [node]
        self.monitored = [bool(rng.random() < MONITORED[kind]) for kind in kinds]
        self.windows = [float(rng.choice(WINDOWS, p=WINDOW_SHARE)) if kind in slow else 0.0 for kind in kinds]
        self.tells_window = [bool(rng.random() < WINDOW_TOLD) for _ in kinds]
        self.names_version = [kind == "model" and bool(rng.random() < NAMES_VERSION) for kind in kinds]

    @staticmethod
    def _edge_known(one: str, other: str) -> float:
        return SERVICE_EDGE if {one, other} <= {"service", "model"} else MAPPED_EDGE

    # -- changes

    def _traffic(self, rng: Generator) -> list[Event]:
        order = rng.permutation(SERVICES)
        zipf = 1 / np.arange(1, SERVICES + 1) ** 0.9
        zipf /= zipf.sum()
        of = {"schema": self.of_kind("dataset"), "promotion": self.of_kind("model"), "outage": self.of_kind("feature")}
        found: list[Event] = []
        for day in range(DAYS):
            for kind, per_day in PER_DAY.items():
                human = 1.0 if kind == "outage" else WEEKDAY if day % 7 < 5 else WEEKEND
                for _ in range(int(rng.poisson(per_day * human))):
                    at = day * DAY + 60 * int(rng.choice(24, p=HOURS / HOURS.sum())) + rng.uniform(0, 60)
                    node = int(rng.choice(of[kind])) if kind in of else int(order[rng.choice(SERVICES, p=zipf)])
                    known = kind in of or bool(rng.random() >= UNKNOWN)
                    found.append(Event(id="", kind=kind, node=node, at=float(at), known=known))
        found.sort(key=lambda event: event.at)
        return self._versions(found, rng)

    def _versions(self, found: list[Event], rng: Generator) -> list[Event]:
        """Promotions count a model's versions up, most of them registered some hours before."""
        last: dict[int, int] = {}
        told: list[Event] = []
        for event in found:
            if event.kind != "promotion":
                told.append(event)
                continue
            now = last.setdefault(event.node, int(rng.integers(1, 30))) + 1
            last[event.node] = now
            previous = f"1.{now - 1}" if rng.random() < 0.7 else ""
            told.append(replace(event, version=f"1.{now}", previous=previous))
            if rng.random() < 0.7:
                before = event.at - float(rng.exponential(300))
                told.append(replace(event, kind="registered", at=before, version=f"1.{now}"))
        return sorted((event for event in told if event.at > 0), key=lambda event: event.at)

    # -- causes

    def _bad_runs(self, runs: dict[int, list[Event]], rng: Generator) -> list[Strike]:
        """Which runs break something. Their readers' next runs may show it."""
        caused = []
        for node, job in self.jobs.items():
            chance = min(0.3, BAD[job.cadence] * self.risk[node])
            for at, run in enumerate(runs[node]):
                if not run.retried and rng.random() < chance:
                    bad = bad_run(job, replace(run, failed=False), self.levels[node], rng)
                    runs[node][at] = bad
                    self._carry(job.writes, bad.ended, runs, rng)
                    caused.append((bad.id, node, bad.ended + self.lag("pipeline", rng)))
                elif rng.random() < NEW_COLUMN:
                    runs[node][at] = replace(run, other_columns=True)
        return caused

    def _bad_changes(self, events: list[Event], runs: dict[int, list[Event]], rng: Generator) -> list[Strike]:
        caused = []
        self.promoted = [event for event in events if event.kind == "promotion"]
        self.rollouts = {event.id: float(rng.exponential(ROLLOUT)) for event in self.promoted}
        for event in events:
            if event.kind == "registered" or rng.random() >= min(0.6, BREAKS[event.kind] * self.risk[event.node]):
                continue
            strike = event.at + self.lag(event.kind, rng)
            if event.kind == "schema":
                strike = self._schema_strike(event, runs, strike, rng)
                self._carry((event.node,), event.at, runs, rng)
            if event.kind == "promotion" and self.latest_promotion(event.node, strike) != event:
                continue
            caused.append((event.id, event.node, strike))
        return caused

    def _schema_strike(self, event: Event, runs: dict[int, list[Event]], otherwise: float, rng: Generator) -> float:
        """Mostly at the end of the first run that reads the dataset; else, or where none does, by its own lag."""
        ends = [run.ended for run in self.next_readers((event.node,), event.at, runs)]
        return min(ends) + float(rng.exponential(4)) if ends and rng.random() < 0.65 else otherwise

    def next_readers(self, datasets: tuple[int, ...], after: float, runs: dict[int, list[Event]]) -> list[Event]:
        """The first run of each job that reads any of these, begun after the moment."""
        found = []
        for node, job in self.jobs.items():
            if set(job.reads) & set(datasets):
                later = (run for run in runs[node] if run.at > after and not run.retried)
                found += [run for run in [next(later, None)] if run is not None]
        return found

    def _carry(self, datasets: tuple[int, ...], after: float, runs: dict[int, list[Event]], rng: Generator) -> None:
        for run in self.next_readers(datasets, after, runs):
            if rng.random() < CARRIED:
                of = runs[run.node]
                of[of.index(run)] = carrying(self.jobs[run.node], run, self.levels[run.node], rng)

    @staticmethod
    def lag(kind: str, rng: Generator) -> float:
        """Minutes from the change, of a run from its end, to trouble."""
        if kind in WEIBULL:
            shape, scale = WEIBULL[kind]
            return float(scale * rng.weibull(shape))
        median, sigma = LOGNORMAL[kind]
        return float(median * np.exp(sigma * rng.standard_normal()))

    # -- incidents

    def _incidents(
        self,
        events: list[Event],
        runs: dict[int, list[Event]],
        caused: list[Strike],
        rng: Generator,
    ) -> None:
        strikes = list(caused)
        wanted = round(len(caused) * NO_CHANGE / (1 - NO_CHANGE))
        self.background = wanted / (DAYS * DAY)
        bad = {change for change, _, _ in caused}
        for _ in range(wanted):
            if rng.random() < MISSING:
                node = int(rng.choice(list(self.jobs)))
                at = int(rng.integers(len(runs[node])))
                if runs[node][at].id not in bad:
                    gone = runs[node].pop(at)
                    strikes.append(("", node, gone.at + float(rng.uniform(0.2, 1)) * self.jobs[node].cadence))
                    continue
            strikes.append(("", int(rng.integers(len(self.nodes))), float(rng.uniform(0, DAYS * DAY))))
        for node, job in self.jobs.items():
            altered = [e.at for e in events if e.kind == "schema" and e.node == job.writes[0]]
            runs[node] = with_columns(job, runs[node], altered, rng)
        self.changes = sorted([*events, *(run for of in runs.values() for run in of)], key=lambda event: event.at)
        by_id = {event.id: event for event in self.changes}
        found = []
        for change, root, strike in strikes:
            cause = by_id.get(change)
            if alerts := self._alerts(cause, root, strike, rng):
                found.append((cause, alerts))
        found.sort(key=lambda one: one[1][0].at)
        times = np.array([event.at for event in self.changes])
        for cause, alerts in found:
            self.cases.append(self._case(cause, alerts, times, rng))

    def _case(self, cause: Event | None, alerts: list[Shown], times: np.ndarray, rng: Generator) -> Case:
        first = alerts[0].at
        decide_at = first + DECIDE_AFTER
        visible = [alert for alert in alerts if alert.at <= decide_at]
        for _ in range(int(rng.poisson(STRAYS))):
            node = int(rng.integers(len(self.nodes)))
            visible.append(Shown(node=node, at=float(rng.uniform(first, decide_at))))
        low, high = np.searchsorted(times, [first - LOOK_BACK, decide_at])
        return Case(
            id=f"i{len(self.cases):05d}",
            decide_at=decide_at,
            alerts=tuple(visible[j] for j in rng.permutation(len(visible))),
            changes=tuple(self.changes[j] for j in rng.permutation(np.arange(low, high))),
            cause=cause.id if cause else "",
            cause_kind=cause.kind if cause else "",
            told=bool(rng.random() < 0.5),
        )

    def _alerts(self, cause: Event | None, root: int, strike: float, rng: Generator) -> list[Shown]:
        a, b = SEVERITIES[int(rng.integers(len(SEVERITIES)))]
        found = []
        for v in map(int, np.flatnonzero(self.hops[root] <= MAX_HOPS)):
            if not self.monitored[v] or rng.random() >= a * b ** int(self.hops[root][v]):
                continue
            window = self.windows[v]
            since = strike // window * window if window else None
            at = since + window + rng.uniform(1, 5) if since is not None else strike + rng.uniform(1, 6)
            since = since if self.tells_window[v] else None
            version = self._version(v, at, cause, rng) if self.names_version[v] else ""
            found.append(Shown(node=v, at=float(at), looked_since=since, version=version))
            if self.nodes[v].kind == "model" and rng.random() < DRIFTS:
                found += [replace(found[-1], node=f, version="", by=v) for f in self._drifted(v, root, rng)]
        return sorted(found, key=lambda alert: alert.at)

    def _drifted(self, model: int, root: int, rng: Generator) -> list[int]:
        """The features that the model's drift check names."""
        return [
            f
            for f in self.needs[model]
            if rng.random() < (NAMED if self.hops[root][f] <= MAX_HOPS else NAMED_BY_CHANCE)
        ]

    def _version(self, model: int, at: float, cause: Event | None, rng: Generator) -> str:
        """The version that an alert of the model names: while both serve, trouble of the new one names the new one."""
        latest = self.latest_promotion(model, at)
        if latest is None:
            return ""
        new = True
        if cause is None or cause.id != latest.id:
            new = bool(rng.random() < self.rolled_out(latest, at))
        number = int(latest.version.split(".")[1]) - (not new)
        spelled = int(rng.choice(3, p=SPELLED))
        return (f"1.{number}", f"1.{number - 1}", f"blue-{number % 3}")[spelled]

    def latest_promotion(self, model: int, at: float) -> Event | None:
        """The model's last promotion before the moment."""
        return next((e for e in reversed(self.promoted) if e.node == model and e.at <= at), None)

    def rolled_out(self, promotion: Event, at: float) -> float:
        """Share of requests that the promoted version serves."""
        return min(1.0, (at - promotion.at) / self.rollouts[promotion.id])


Strike = tuple[str, int, float]
"""Id of the change (empty: none), root, moment."""
WEIBULL = {"deploy": (0.55, 30.0), "config": (0.5, 15.0), "flag": (0.6, 8.0)}
LOGNORMAL = {"pipeline": (40.0, 1.0), "outage": (15.0, 1.0), "promotion": (60.0, 1.3), "schema": (120.0, 1.2)}


def _some(of: list[int], wanted: int, rng: Generator) -> list[int]:
    return [int(v) for v in rng.choice(of, min(len(of), wanted), replace=False)]


def _named(
    events: list[Event], runs: dict[int, list[Event]], rng: Generator
) -> tuple[list[Event], dict[int, list[Event]]]:
    """All of them with ids that carry no order."""
    names = iter(rng.permutation(len(events) + sum(map(len, runs.values()))))
    named = {node: [replace(run, id=f"c{next(names):06d}") for run in of] for node, of in runs.items()}
    return [replace(event, id=f"c{next(names):06d}") for event in events], named
