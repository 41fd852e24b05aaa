"""How likely is it that exactly these subjects alert and the others stay silent, if the trouble began here?

    P(A | r) = mean over (q, rho) of Π p(r, v) over alerting v · Π (1 − p(r, v)) over monitored, silent v
    p(r, v)  = eps + (1 − eps) · q · rho^hops, eps when v is out of reach          (correlation.md §2)

How far trouble spreads differs from company to company. One fixed law with silence at a lower weight (the reference's
κ = .4) stands for that ignorance; a mean over a grid of laws says it outright: one law holds for a whole incident, many
alerts speak for far-reaching ones, and confirmed incidents shift the weights (docs/attribution.md has the figures)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.remembered import remembered
from tocsin.decide.topology import UNREACHABLE, topology_of
from tocsin.decide.unlisted import NONE, Edge, unlisted
from tocsin.domain.alert import AlertState
from tocsin.domain.catalog import MAX_HOPS, Catalog
from tocsin.domain.change import Change
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

EPS = 0.005
"""A node that is out of reach alerts all the same: its own trouble, or an edge that the catalogue lacks (.01–.02 in the
reference; half of it, since 165 nodes at .01 would mean 1.6 stray alerts beside every incident)."""
SPREADS: tuple[tuple[float, float], ...] = tuple((q, rho) for q in (0.5, 0.7, 0.9) for rho in (0.1, 0.3, 0.5, 0.7))
"""(q, rho): a grid that covers what is plausible, evenly; the reference's .8 and .6 lie inside."""
FIRST_DECAYS: tuple[float, ...] = (0.0, 0.3, 0.7, 1.2)
"""How much less likely each hop makes a subject to be the first to alert: exp(−decay · hops), a Plackett–Luce choice
among all that alert. From "order tells nothing" to "every hop is three times slower", evenly (ours)."""
SMALLEST_WORLD = 50
"""A catalogue of fewer subjects counts as this many: at a fresh installation most of what exists is not listed yet,
and "it could have begun anywhere" must not mean "here"."""

_HOPS = np.arange(MAX_HOPS + 1)
_BY_HOPS: Floats = np.array(
    [np.append(np.clip(EPS + (1 - EPS) * q * rho**_HOPS, EPS, 0.97), EPS) for q, rho in SPREADS]
)
"""One row a law, one column a hop; the last is "out of reach"."""
_LOG_P, _LOG_SILENT = np.log(_BY_HOPS), np.log1p(-_BY_HOPS)
_LOG_ODDS = _LOG_P - _LOG_SILENT
_EARLY: Floats = np.exp(-np.outer(FIRST_DECAYS, np.arange(UNREACHABLE + 1)))
"""One row a decay, one column a hop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where changes act: the catalogue's names of their subjects, and which of them each change has."""

    names: list[Subject]
    of: NDArray[np.intp]
    at: NDArray[np.intp]
    """The place of each name among the pattern's roots; -1 for what neither catalogue nor alerts know."""


class Pattern:
    """The alerting subjects of one incident against one catalogue.

    `onset_at` is the earliest start among the alerts; `anywhere` the log of the mean P(A | r) over all subjects. Roots
    are all subjects of the catalogue, then those that alert and are not in it."""

    def __init__(self, members: Sequence[AlertState], catalog: Catalog, *, spread: Sequence[float] = ()) -> None:
        if not members:
            raise ValueError("an incident without members has no pattern to explain")
        self.catalog = catalog
        self.topology = topology_of(catalog)
        self.started: dict[Subject, datetime] = {}
        for member in sorted(members, key=lambda m: (m.starts_at, m.fingerprint)):
            self.started.setdefault(catalog.resolve(member.alert.subject), member.starts_at)
        self.onset_at = next(iter(self.started.values()))
        self.facts = [self.topology.digest, sorted(self.started.items())]
        index, size = self.topology.index, len(self.topology.subjects)
        self._known = [v for v in sorted(self.started) if v in index]
        self._extra = {v: size + i for i, v in enumerate(v for v in sorted(self.started) if v not in index)}
        self.hops_to = {v: self._column(v) for v in sorted(self.started)}
        """Of each alerting subject: every root's hops down to it."""
        self._counts = np.append(~self.topology.out_of(self._known), np.ones(len(self._extra), dtype=bool))
        """The roots that are the world: see Topology.out_of."""
        self.unlisted = NONE
        self._laws = self._under_laws()
        self._outside_laws = self._outside()
        self._orders = self._under_orders()
        self._weigh(spread, (), b"")

    def weighed(self, spread: Sequence[float], first: Sequence[float], past: bytes) -> Pattern:
        """The same alerts by other weights of the laws and of FIRST_DECAYS, and by what is remembered of each root."""
        other = copy(self)
        other._weigh(spread, first, past)
        return other

    def _weigh(self, spread: Sequence[float], first: Sequence[float], past: bytes) -> None:
        self._weights = _normed(spread or [0.0] * len(SPREADS))
        orders = _normed(first or [0.0] * len(FIRST_DECAYS))
        self._roots = _log_mean(self._laws, self._weights) + _log_mean(self._orders, orders)
        if past:
            self._remember(past)
        elsewhere = _log_mean(self._outside_laws[:, None], self._weights)
        counted = self._roots[self._counts]
        everywhere = np.append(counted, np.repeat(elsewhere, max(SMALLEST_WORLD - len(counted), 0)))
        alike = np.full(len(everywhere), -math.log(len(everywhere)))
        self.anywhere = float(_log_mean(everywhere[:, None], alike)[0])
        self._places: dict[Subject, tuple[Subject, float | None]] = {}

    def _remember(self, past: bytes) -> None:
        by_hops = _mean_law(self._weights)
        found = remembered(past, by_hops, self.topology)
        alerting = [self.topology.index[v] for v in self._known]
        self._roots[found.rows] += found.silent + found.alerting[:, alerting].sum(axis=1)
        self.unlisted = unlisted(past, by_hops, self.topology)
        self._roots[: len(self.topology.index)] += self.unlisted.added(self._known)

    def _column(self, alerting: Subject) -> NDArray[np.int8]:
        extra = np.full(len(self._extra), UNREACHABLE, dtype=np.int8)
        if alerting in self._extra:
            extra[self._extra[alerting] - len(self.topology.subjects)] = 0
            return np.append(np.full(len(self.topology.subjects), UNREACHABLE, dtype=np.int8), extra)
        return np.append(self.topology.hops_to(alerting), extra)

    def _under_laws(self) -> Floats:
        """log P(A | root) under each law: one row a law, one column a root."""
        topology, more = self.topology, len(self._extra)
        watched = topology.monitored.sum()
        reach = np.append(topology.reach, np.zeros((more, topology.reach.shape[1])), axis=0)
        found = _LOG_SILENT[:, :-1] @ reach.T + np.outer(_LOG_SILENT[:, -1], watched - reach.sum(axis=1))
        for v, hops in self.hops_to.items():
            watches = v not in self._extra and topology.monitored[topology.index[v]]
            found += (_LOG_ODDS if watches else _LOG_P)[:, hops]
        return np.asarray(found)

    def _outside(self) -> Floats:
        """log P(A | it began somewhere out of everything's reach), under each law."""
        watched = sum(bool(self.topology.monitored[self.topology.index[v]]) for v in self._known)
        silent = int(self.topology.monitored.sum()) - watched
        return np.asarray(len(self.started) * _LOG_P[:, -1] + silent * _LOG_SILENT[:, -1])

    def _under_orders(self) -> Floats:
        """log P(who alerted first | A, root) × the number of those who alert, under each of FIRST_DECAYS: 0 where the
        root is as far from all of them. Several that began at once share the place."""
        each = {v: _EARLY[:, hops] for v, hops in self.hops_to.items()}
        of_first = [early for v, early in each.items() if self.started[v] == self.onset_at]
        found = np.log(sum(of_first) / len(of_first)) - np.log(sum(each.values()) / len(each))
        return np.asarray(found)

    def under_each_law(self, change: Change) -> tuple[Floats, Floats] | None:
        """log P(A | it began at the change's subject) under each law of SPREADS, and of who was first under each of
        FIRST_DECAYS; None when that is not known."""
        root = self.root(change)
        at = self._at(root) if root is not None else -1
        return (np.asarray(self._laws[:, at]), np.asarray(self._orders[:, at])) if at >= 0 else None

    def places(self, subjects: Sequence[Subject]) -> Places:
        """Where changes to these subjects act, by the catalogue's names."""
        code: dict[Subject, int] = defaultdict(count().__next__)
        codes = np.fromiter(map(code.__getitem__, subjects), np.intp, len(subjects))
        names: dict[Subject, int] = {}
        resolve, index = self.topology.named, self.topology.index
        named = np.array([names.setdefault(resolve(one), len(names)) for one in code], dtype=np.intp)
        at = np.array([index.get(name, -1) for name in names], dtype=np.intp)
        for name in self._extra.keys() & names.keys():
            at[names[name]] = self._extra[name]
        return Places(names=list(names), of=named[codes], at=at)

    def given(self, places: Places, touching: Sequence[tuple[int, tuple[Subject, ...]]] = ()) -> Floats:
        """log P(A | change) for changes at these places, of which some touch others too: the mean over the known
        subjects at which it may have acted, or `anywhere`."""
        logs = np.append(self._roots, self.anywhere)[places.at]
        given: Floats = logs[places.of]
        several: dict[tuple[Subject, ...], float] = {}
        for i, others in touching:
            acts_at = (places.names[places.of[i]], *others)
            if acts_at not in several:
                several[acts_at] = self._of_several(acts_at)
            given[i] = several[acts_at]
        return given

    def root(self, change: Change) -> Subject | None:
        """The subject at which the change most likely acted; None when the catalogue knows none of them."""
        places = {name: log for name, log in map(self._place, (change.subject, *change.touches)) if log is not None}
        return max(sorted(places), key=lambda name: places[name]) if places else None

    def reaches(self, root: Subject, subject: Subject) -> bool:
        """Whether a fault of `root` may be felt at a subject, which need not alert."""
        index = self.topology.index
        if root == subject or root not in index or subject not in index:
            return root == subject
        return bool(self.topology.hops_to(subject)[index[root]] <= MAX_HOPS)

    def hops(self, root: Subject, alerting: Subject) -> int | None:
        """Hops of impact from root down to this alerting subject; None when it is out of reach."""
        at = self._at(root)
        found = int(self.hops_to[alerting][at]) if at >= 0 else UNREACHABLE
        return found if found <= MAX_HOPS else None

    def _at(self, name: Subject) -> int:
        """The place of a root; -1 for what neither catalogue nor alerts know."""
        at = self.topology.index.get(name)
        return self._extra.get(name, -1) if at is None else at

    def _of_several(self, subjects: Sequence[Subject]) -> float:
        acts_at = {name: log for name, log in map(self._place, subjects) if log is not None}
        if not acts_at:
            return self.anywhere
        return float(np.logaddexp.reduce([acts_at[name] for name in sorted(acts_at)]) - np.log(len(acts_at)))

    def _place(self, subject: Subject) -> tuple[Subject, float | None]:
        """The catalogue's name, and log P(A | it began there); None when neither catalogue nor alerts know it."""
        known = self._places.get(subject)
        if known is None:
            name = self.topology.named(subject)
            at = self._at(name)
            log = float(self._roots[at]) if at >= 0 else None
            known = self._places[subject] = (name, log)
        return known


def missing_edges(catalog: Catalog, spread: Sequence[float], past: bytes) -> tuple[Edge, ...]:
    """The dependencies that the catalogue lacks by what was remembered of confirmed causes, the likeliest first."""
    return unlisted(past, _mean_law(_normed(spread)), topology_of(catalog)).edges if spread and past else ()


def _mean_law(weights: Floats) -> tuple[float, ...]:
    """The chance to alert, by hops, by the laws with these log weights."""
    return tuple((np.exp(weights) @ _BY_HOPS).tolist())


def _normed(weights: Sequence[float]) -> Floats:
    """Log weights that sum to 1."""
    logs = np.array(weights)
    return np.asarray(logs - np.logaddexp.reduce(logs))


def _log_mean(logs: Floats, weights: Floats) -> Floats:
    """The log of each column's mean by these log weights."""
    weighed = logs + weights[:, None]
    most = weighed.max(axis=0)
    return np.asarray(most + np.log(np.exp(weighed - most).sum(axis=0)))
