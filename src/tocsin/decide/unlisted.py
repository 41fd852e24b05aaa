"""Which dependencies does the catalogue lack, by who alerted when causes were confirmed?

Somebody who alerted out of the confirmed root's reach either strayed or rests, by an edge that no mapping has, on
something that the root reaches. One edge shows in the outages of every root above it: therefore outages of all roots
speak for it together, and what they find helps all of them, also those that were never a cause. For each subject v
that alerted so, "one edge into v is missing, from u" competes over all u with "none is":

    odds(u) = how often catalogues lack an edge into a subject / subjects · Π P(v alerts or not | edge) / P(… | none)"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.remembered import HIGHEST
from tocsin.decide.topology import UNREACHABLE, Topology
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

LACKING = 0.4
"""How many edges into a subject the catalogue lacks before anything is seen (judgement: subjects rest on two or three
others, and one edge in six is not written down)."""
LEAST = 0.02
"""Edges that are less likely are left out: they move nothing."""
MOST = 50.0
"""No evidence counts for more than this log odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A dependency that no mapping has, and how likely it is to exist."""

    upstream: Subject
    downstream: Subject
    probability: float

    @property
    def words(self) -> str:
        """As a sentence for people."""
        return f"{self.downstream} seems to rest on {self.upstream}, though no mapping says so: {self.probability:.0%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """Corrections to log P(A | root), one a root of the topology."""

    edges: tuple[Edge, ...]
    """The likeliest first."""
    columns: Mapping[Subject, int]
    """The subjects to which an edge may be missing: their places in `alerting`."""
    silent: Floats
    """What is added when nothing alerts."""
    alerting: Floats
    """What is added more for each of the `columns` that does: one row a root."""

    def edge(self, downstream: Subject, roots: Callable[[Subject], bool]) -> Edge | None:
        """The likeliest edge down to a subject from one of those above it for which `roots` holds, if it is likelier
        than not."""
        found = (edge for edge in self.edges if edge.downstream == downstream and edge.probability > 1 / 2)
        return next((edge for edge in found if roots(edge.upstream)), None)

    def added(self, subjects: Sequence[Subject]) -> Floats:
        """What is added to each root's log when these alert."""
        alerting = [self.columns[v] for v in subjects if v in self.columns]
        return np.asarray(self.silent + self.alerting[:, alerting].sum(axis=1))


NONE = Unlisted(edges=(), columns={}, silent=np.zeros(0), alerting=np.zeros((0, 0)))
"""Nothing was confirmed yet."""


@lru_cache(maxsize=4)
def unlisted(past: bytes, by_hops: tuple[float, ...], topology: Topology) -> Unlisted:
    """The edges that this past (as `remembered.canonical` wrote it) speaks for, and what they add, where the laws give
    a subject so many hops away these chances to alert; the last is "out of reach"."""
    index, laws = topology.index, np.array(by_hops)
    told = [
        _Outages(root=index[Subject(root)], times=times, alerted={Subject(v): n for v, n in alerted if v in index})
        for root, times, alerted in orjson.loads(past)
        if root in index
    ]
    names = sorted({v for one in told for v in one.alerted if topology.hops_to(v)[one.root] == UNREACHABLE})
    to: NDArray[np.int8] = np.stack([topology.hops_to(v) for v in names], axis=1) if names else _nobody(topology)
    odds = LACKING / len(index) * np.exp(np.clip(_evidence(told, names, to, laws, topology), -MOST, MOST))
    odds[to <= 1] = 0.0
    edges = odds / (1 + odds.sum(axis=0))
    kept = np.flatnonzero((edges > LEAST).any(axis=0)).tolist()
    return _corrections(edges[:, kept], to[:, kept], [names[at] for at in kept], laws, topology)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outages:
    """The confirmed outages of one root of the topology, and in how many of them others alerted."""

    root: int
    times: float
    alerted: Mapping[Subject, float]


def _nobody(topology: Topology) -> NDArray[np.int8]:
    return np.zeros((len(topology.index), 0), dtype=np.int8)


def _evidence(
    told: list[_Outages], names: list[Subject], to: NDArray[np.int8], laws: Floats, topology: Topology
) -> Floats:
    """log P(who alerted | an edge from u to v) − log P(who alerted | none): one row each u, one column each of `names`,
    of the outages whose roots do not reach v."""
    near = np.full((len(told), len(topology.index)), UNREACHABLE, dtype=np.int8)
    alerted = np.zeros((len(told), len(names)))
    for i, one in enumerate(told):
        near[i, one.root] = 0
        for below, hops in topology.catalog.downstream(topology.subjects[one.root]).items():
            near[i, topology.index[below]] = hops
        alerted[i] = [one.alerted.get(v, 0.0) for v in names]
    times = np.array([one.times for one in told])[:, None]
    out = to[[one.root for one in told]] == UNREACHABLE
    watched = topology.monitored[[topology.index[v] for v in names]]
    joined, stray = _joined(near, laws), laws[UNREACHABLE]
    said = np.log(joined / stray).T @ (alerted * out)
    silence = (np.log1p(-joined) - np.log1p(-stray)).T @ ((times - alerted) * out * watched)
    return np.asarray(said + silence)


def _corrections(
    edges: Floats, to: NDArray[np.int8], names: list[Subject], laws: Floats, topology: Topology
) -> Unlisted:
    """By the probability of each edge from u (row) to v (column)."""
    stray = laws[UNREACHABLE]
    chances = np.full(to.shape, stray)
    found: list[Edge] = []
    for u, column in np.argwhere(edges > LEAST).tolist():
        upstream, probability = topology.subjects[u], float(edges[u, column])
        chances[:, column] += probability * (_joined(topology.hops_to(upstream), laws) - stray)
        found.append(Edge(upstream=upstream, downstream=names[column], probability=probability))
    chances = np.where(to == UNREACHABLE, np.minimum(chances, HIGHEST), stray)
    watched = topology.monitored[[topology.index[v] for v in names]]
    silent = np.where(watched, np.log1p(-chances) - np.log1p(-stray), 0.0)
    return Unlisted(
        edges=tuple(sorted(found, key=lambda edge: (-edge.probability, edge.upstream, edge.downstream))),
        columns={v: column for column, v in enumerate(names)},
        silent=silent.sum(axis=1),
        alerting=np.log(chances / stray) - silent,
    )


def _joined(hops: NDArray[np.int8], laws: Floats) -> Floats:
    """The chance to alert one hop further than these."""
    return np.asarray(laws[np.minimum(hops + 1, UNREACHABLE)])
