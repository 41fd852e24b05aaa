"""The lineage world's own ceiling: a scorer that knows the true laws, the whole graph and every habit of every job.

It averages over when trouble struck, so that it knows who could not have alerted yet; checks' schedules are known."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from functools import cache

import numpy as np
from scipy.special import ndtr

from benchmarks.attribution.lineage_runs import BAD, Event, carried_ratio, log_ratio
from benchmarks.attribution.lineage_world import (
    BREAKS,
    DECIDE_AFTER,
    DRIFTS,
    LOGNORMAL,
    NAMED,
    NAMED_BY_CHANCE,
    SEVERITIES,
    SPELLED,
    STRAYS,
    WEIBULL,
    LineageWorld,
    Shown,
)
from benchmarks.attribution.world import MAX_HOPS, Case

Floats = np.ndarray
LONGEST = 1450.0
"""Minutes from strike to alert: a day's window and what it takes to tell."""
NEVER = 1e-300
FAR = 30.0
"""What is so many log units behind by when and where it struck is not looked at more closely."""
BY_READER, AFTER_READER = 0.65, 4.0
"""A schema change strikes with this chance when the next reader ends, after an exponential of so many minutes."""


class LineageCeiling:
    """Knows the generator's parameters, the graph and the schedules; not when trouble struck, nor how severe it is."""

    def __init__(self, world: LineageWorld) -> None:
        self._world = world
        reach = (world.hops <= MAX_HOPS) & np.array(world.monitored)[None, :]
        hops = np.minimum(world.hops, MAX_HOPS + 1).astype(int)
        self._p = [np.where(reach, a * b**hops, 0.0) for a, b in SEVERITIES]
        self._silent = [np.log1p(-p) for p in self._p]
        self._windows = np.array(world.windows)
        self._ratio = cache(lambda run: log_ratio(world.jobs[run.node], run))
        self._carried = cache(lambda run: carried_ratio(world.jobs[run.node], run))
        self._readers: dict[int, list[int]] = defaultdict(list)
        for node, job in world.jobs.items():
            for dataset in job.reads:
                self._readers[dataset].append(node)

    def probabilities(self, case: Case) -> tuple[Floats, float]:
        """P of each candidate, and of no change."""
        world, first = self._world, min(alert.at for alert in case.alerts)
        changes = [change for change in case.changes if isinstance(change, Event)]
        edges = _edges(first)
        seen = np.exp(self._seen(case, first, edges))
        runs = self._runs(changes)
        logs = self._struck(changes, seen, edges, runs)
        for i in np.flatnonzero(logs > logs.max(initial=-np.inf) - FAR).tolist():
            logs[i] += self._own(changes[i], case, runs)
        anywhere = np.log((seen * np.diff(edges)).sum() * world.background / len(world.nodes) + NEVER)
        top = max(float(logs.max(initial=-np.inf)), float(anywhere))
        weights, other = np.exp(logs - top), float(np.exp(anywhere - top))
        total = weights.sum() + other
        return weights / total, other / total

    def _seen(self, case: Case, first: float, edges: Floats) -> Floats:
        """log P(who alerted when, and who not yet | root, it struck in this bin): one row a root, one column a bin."""
        world, middle = self._world, (edges[1:] + edges[:-1]) / 2
        windows = self._windows[:, None]
        ends = np.where(windows > 0, np.floor(middle / np.maximum(windows, 1)) * windows + windows, middle)
        due = np.clip((case.decide_at - ends - 1) / np.where(windows > 0, 4, 5), 0, 1)
        told = [alert for alert in case.alerts if isinstance(alert, Shown)]
        own = {alert.node: alert for alert in sorted(told, key=lambda a: -a.at) if alert.by < 0}
        due[list(own)] = 0
        stray = STRAYS / len(world.nodes) / DECIDE_AFTER
        found = []
        for p, silent in zip(self._p, self._silent, strict=True):
            logs = silent @ due
            for v, alert in own.items():
                dense = _density(alert.at, ends[v], edges, windowed=bool(self._windows[v]))
                logs += np.log(p[:, v, None] * dense[None, :] + (stray if alert.at > first else 0.0) + NEVER)
            found.append(logs)
        return np.asarray(np.logaddexp.reduce(found, axis=0) - np.log(len(found)) + self._named(told, own)[:, None])

    def _named(self, told: list[Shown], own: dict[int, Shown]) -> Floats:
        """log P(the features that drift checks name | root)."""
        world, logs = self._world, np.zeros(len(self._world.nodes))
        for model in own:
            if world.nodes[model].kind != "model":
                continue
            named = {alert.node for alert in told if alert.by == model}
            given = np.ones(len(world.nodes))
            for feature in world.needs[model]:
                chance = np.where(world.hops[:, feature] <= MAX_HOPS, NAMED, NAMED_BY_CHANCE)
                given *= chance if feature in named else 1 - chance
            logs += np.log(DRIFTS * given + (0 if named else 1 - DRIFTS))
        return logs

    # -- what a candidate says of itself

    def _runs(self, changes: list[Event]) -> dict[int, list[Event]]:
        runs: dict[int, list[Event]] = defaultdict(list)
        for change in sorted(changes, key=lambda one: one.at):
            if change.kind == "pipeline" and not change.retried:
                runs[change.node].append(change)
        return runs

    def _next_readers(self, change: Event, runs: dict[int, list[Event]]) -> list[Event]:
        job = self._world.jobs.get(change.node)
        datasets, after = (job.writes, change.ended) if job else ((change.node,), change.at)
        found = []
        for reader in {reader for dataset in datasets for reader in self._readers[dataset]}:
            at = bisect_right(runs[reader], after, key=lambda run: run.at)
            found += runs[reader][at : at + 1]
        return found

    def _own(self, change: Event, case: Case, runs: dict[int, list[Event]]) -> float:
        world = self._world
        if change.kind == "pipeline":
            job = world.jobs[change.node]
            log = np.log(min(0.3, BAD[job.cadence] * world.risk[change.node])) + self._ratio(change)
        else:
            log = np.log(min(0.6, BREAKS[change.kind] * world.risk[change.node]))
        if change.kind in ("pipeline", "schema"):
            ended = [run for run in self._next_readers(change, runs) if run.ended <= case.decide_at]
            log += sum(np.log(self._carried(run)) for run in ended)
        if change.kind == "promotion":
            log += self._version(change, case)
        return float(log)

    def _version(self, promotion: Event, case: Case) -> float:
        """log P(versions that the model's alerts name | it is the cause) / P(… | it is not)."""
        log, number = 0.0, int(promotion.version.split(".")[1])
        for alert in case.alerts:
            named = alert.version if isinstance(alert, Shown) and alert.node == promotion.node else ""
            if not named or self._world.latest_promotion(promotion.node, alert.at) != promotion:
                continue
            share = self._world.rolled_out(promotion, alert.at)
            new, old = _spelled(named, number), _spelled(named, number - 1)
            log += float(np.log(new + NEVER) - np.log(share * new + (1 - share) * old + NEVER))
        return log

    def _struck(self, changes: list[Event], seen: Floats, edges: Floats, runs: dict[int, list[Event]]) -> Floats:
        """log P(who alerted when, and that it struck then | the change breaks something), by change."""
        logs = np.full(len(changes), -np.inf)
        for kind in (*BREAKS, "pipeline"):
            at = [i for i, change in enumerate(changes) if change.kind == kind and change.at < edges[-1]]
            if not at:
                continue
            of = [changes[i] for i in at]
            since = np.array([change.ended if kind == "pipeline" else change.at for change in of])
            upto = np.array([self._until(change) for change in of])
            masses = np.diff(_cdf(kind, np.minimum(edges[None, :], upto[:, None]) - since[:, None]), axis=1)
            if kind == "schema":
                masses = np.array(
                    [self._by_reader(one, mass, edges, runs) for one, mass in zip(of, masses, strict=True)]
                )
            logs[at] = np.log((masses * seen[[change.node for change in of]]).sum(axis=1) + NEVER)
        return logs

    def _until(self, change: Event) -> float:
        """When a promotion's version was replaced: it strikes no later."""
        if change.kind != "promotion":
            return np.inf
        later = [e.at for e in self._world.promoted if e.node == change.node and e.at > change.at]
        return min(later, default=np.inf)

    def _by_reader(self, change: Event, masses: Floats, edges: Floats, runs: dict[int, list[Event]]) -> Floats:
        readers = self._next_readers(change, runs)
        if not readers:
            return masses
        after = np.maximum(edges - min(run.ended for run in readers), 0)
        return np.asarray(BY_READER * np.diff(1 - np.exp(-after / AFTER_READER)) + (1 - BY_READER) * masses)


def _edges(first: float) -> Floats:
    """Bins of when it struck: hours, at whose ends windows end, and minutes just before the first alert."""
    hours = np.arange(np.floor((first - LONGEST) / 60) * 60, first - 8, 60)
    return np.unique(np.concatenate([hours, np.arange(first - 8, first + 0.5, 1.0)]))


def _density(at: float, ends: Floats, edges: Floats, *, windowed: bool) -> Floats:
    """Of the moment of an alert, by bin."""
    if windowed:
        return np.asarray(np.where((at - ends >= 1) & (at - ends <= 5), 1 / 4, 0.0))
    low, high = np.maximum(edges[:-1], at - 6), np.minimum(edges[1:], at - 1)
    return np.asarray(np.maximum(high - low, 0) / np.diff(edges) / 5)


def _cdf(kind: str, minutes: Floats) -> Floats:
    after = np.maximum(minutes, 1e-9)
    if kind in WEIBULL:
        shape, scale = WEIBULL[kind]
        return np.asarray(1 - np.exp(-((after / scale) ** shape)))
    median, sigma = LOGNORMAL[kind]
    return np.asarray(ndtr((np.log(after) - np.log(median)) / sigma))


def _spelled(named: str, number: int) -> float:
    """P(this name | this version serves)."""
    if not named.startswith("1."):
        return SPELLED[2]
    return {number: SPELLED[0], number - 1: SPELLED[1]}.get(int(named[2:]), 0.0)
