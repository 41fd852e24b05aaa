"""Rules that products use, written from public documentation (correlation.md §9.2), and the world's own ceiling.

Each gives a number for every candidate of a case, best first by size; -inf leaves a change out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from benchmarks.attribution.measure import Tally
from benchmarks.attribution.world import BREAKS, DAY, DAYS, Case, World, _hops

Floats = np.ndarray
TOLERANCE = 1.0
"""Minutes after the first alert within which a change still counts as before it."""


NEVER = 999
"""The rank of a cause that is not among the candidates."""


class KnowsAll(Protocol):
    """A scorer that knows its world's true parameters."""

    def probabilities(self, case: Case) -> tuple[Floats, float]:
        """P of each candidate, and of no change."""


def judge(case: Case, rules: Rules, ceiling: KnowsAll, tallies: Mapping[str, Tally]) -> None:
    """Add what the rules and the ceiling answer to a case."""
    for name, scores in rules.scores(case).items():
        tallies[name].add(case.cause_kind, _rank(case, scores), float("nan"), float("nan"))
    p, no_change = ceiling.probabilities(case)
    tallies["ceiling"].add(case.cause_kind, _rank(case, p), float(p.max(initial=0.0)), no_change)


def _rank(case: Case, scores: Floats) -> int:
    order = [case.changes[i].id for i in np.argsort(-scores, kind="stable") if np.isfinite(scores[i])]
    return order.index(case.cause) if case.cause in order else NEVER


class Rules:
    """The rules, over the dependencies that they see of one world, by node."""

    def __init__(self, seen_needs: list[list[int]]) -> None:
        self.hops = _hops(seen_needs)
        self.beside = [set(found) for found in seen_needs]
        for u, found in enumerate(seen_needs):
            for v in found:
                self.beside[v].add(u)
        self.needs = [set(found) for found in seen_needs]

    def scores(self, case: Case) -> dict[str, Floats]:
        """Each rule's numbers for the candidates, in their order."""
        first = min(alert.at for alert in case.alerts)
        at = np.array([change.at for change in case.changes])
        node = np.array([change.node if change.known else -1 for change in case.changes])
        out = at > first + TOLERANCE
        recent = at / 1e9  # breaks ties by "the latest", never more than a step
        tiers = {
            "nearest in time": recent,
            "PagerDuty-like": self._pagerduty(case, node) + recent,
            "ServiceNow-like": self._servicenow(case, node) + recent,
            "Gandalf-like": self._gandalf(case, node, first - at),
        }
        return {name: np.where(out, -np.inf, found) for name, found in tiers.items()}

    def _pagerduty(self, case: Case, node: Floats) -> Floats:
        origin = min(case.alerts, key=lambda alert: alert.at).node
        near = np.array([n in self.beside[origin] for n in node])
        return np.where(node == origin, 2.0, np.where(near, 1.0, 0.0))

    def _servicenow(self, case: Case, node: Floats) -> Floats:
        alerting = sorted({alert.node for alert in case.alerts})
        when = {alert.node: alert.at for alert in case.alerts}

        def rank(v: int) -> tuple[int, float, float]:
            reached = [self.hops[v][w] for w in alerting if self.hops[v][w] <= 4]
            return (-len(reached), float(sum(reached)), when[v])

        origin = min(alerting, key=rank)
        direct = np.array([n in self.needs[origin] for n in node])
        on_alerting = np.isin(node, alerting)
        return np.where(node == origin, 3.0, np.where(direct, 2.0, np.where(on_alerting, 1.0, 0.0)))

    def _gandalf(self, case: Case, node: Floats, age: Floats) -> Floats:
        alerting = sorted({alert.node for alert in case.alerts})
        votes = np.zeros(len(node))
        for i, n in enumerate(node):
            if n >= 0:
                votes[i] = sum(1.0 if v == n else 0.5 if self.hops[n][v] <= 4 else 0.0 for v in alerting)
        return np.asarray((votes + 1e-6) * np.exp(-np.maximum(age, 0) / 360))


class Ceiling:
    """A scorer that knows the generator's parameters and the full graph; not the windows' phase."""

    def __init__(self, world: World) -> None:
        self._world, law = world, world.law
        by_hops = np.append(law.a * law.b ** np.arange(10), 0.0)
        by_hops[5:] = 0.0
        p = 0.004 + (1 - 0.004) * by_hops[np.minimum(world.hops, 9).astype(int)]
        self._log, self._silent = np.log(p), np.log1p(-np.clip(p, 0, 0.999))
        caused = sum(1 for case in world.cases if case.cause)
        self._background = np.log((len(world.cases) - caused) / (DAYS * DAY))
        self._subject_share = 1 / len(world.nodes)

    def probabilities(self, case: Case) -> tuple[Floats, float]:
        """P of each candidate, and of no change."""
        world = self._world
        alerting = np.array(sorted({alert.node for alert in case.alerts}))
        given = self._log[:, alerting].sum(axis=1) + self._silent.sum(axis=1) - self._silent[:, alerting].sum(axis=1)
        first = min(alert.at for alert in case.alerts)
        lags = np.array([first - change.at for change in case.changes])
        logs = np.full(len(lags), -np.inf)
        for kind in BREAKS:
            at = [i for i, change in enumerate(case.changes) if change.kind == kind and lags[i] > 1]
            if not at:
                continue
            nodes = np.array([case.changes[i].node for i in at])
            risk = np.minimum(0.5, BREAKS[kind] * world.risk[nodes])
            shown = self._shown_density(kind, lags[at])
            logs[at] = np.log(risk) + np.log(shown + 1e-300) + given[nodes]
        anywhere = self._background + np.logaddexp.reduce(given) - np.log(len(given))
        top = max(float(logs.max(initial=-np.inf)), anywhere)
        weights, other = np.exp(logs - top), np.exp(anywhere - top)
        total = weights.sum() + other
        return weights / total, float(other / total)

    def _shown_density(self, kind: str, lags: Floats) -> Floats:
        """The density of strike + what it takes to alert: 1–6 minutes, and for slow kinds half a window more."""
        law = self._world.law
        if kind in ("pipeline", "schema"):
            spread = np.concatenate([np.linspace(1, w, 24) for w in (60, 360, 1440)])
            weights = np.repeat([0.5 / 24, 0.3 / 24, 0.2 / 24], 24)
        else:
            spread, weights = np.array([2.0, 3.5, 5.0]), np.full(3, 1 / 3)
        shown = np.maximum(lags[:, None] - spread[None, :], 0)
        dense = np.where(shown > 0, law.lag_density(kind, np.maximum(shown, 1e-3)), 0.0)
        return np.asarray((dense * weights).sum(axis=1))
