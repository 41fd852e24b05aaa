"""What did alert when this subject was the confirmed cause before? Nearer to one system's truth than any law of hops.

A law says how far trouble spreads on the whole; some subjects never alert though they are at fault. A subject in the
root's reach has a Beta of its own, shrunk to what the laws say of pairs so far apart (correlation.md §2: "a Beta per
hop, 8 pseudo-counts", here per pair). Of those out of its reach see unlisted.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.topology import UNREACHABLE, Topology
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

PSEUDO = 8.0
"""Incidents that weigh as much as one root's own (correlation.md §2)."""
HIGHEST = 0.97
"""As in the laws: nothing is certain to alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The confirmed incidents of one root: how many, and in how many of them each subject alerted."""

    incidents: float
    alerted: Mapping[Subject, float]

    def often(self, subject: Subject) -> bool:
        """Whether it alerted in a third of them: what is rarer weighs next to nothing where no dependency is known."""
        return self.alerted.get(subject, 0.0) * 3 >= max(self.incidents, 1.0)


NO_PAST = Past(incidents=0.0, alerted={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Corrections to log P(A | root) for the roots with a past."""

    rows: NDArray[np.intp]
    """Their places in the topology."""
    silent: Floats
    """What is added when nothing alerts."""
    alerting: Floats
    """What is added more for each subject that does: one row a root, one column a subject of the topology."""


@lru_cache(maxsize=4)
def remembered(past: bytes, by_hops: tuple[float, ...], topology: Topology) -> Remembered:
    """The corrections for this past (as `canonical` wrote it), where the laws give a subject so many hops away these
    chances to alert; the last is "out of reach"."""
    told = [(Subject(root), n, alerted) for root, n, alerted in orjson.loads(past) if root in topology.index]
    rows = np.array([topology.index[root] for root, _, _ in told], dtype=np.intp)
    hops = np.full((len(told), len(topology.index)), UNREACHABLE, dtype=np.int8)
    seen = np.zeros(hops.shape)
    for i, (root, _, alerted) in enumerate(told):
        for below, distance in (*topology.below(root).items(), (root, 0)):
            hops[i, topology.index[below]] = distance
        for subject, times in alerted:
            if (at := topology.index.get(subject)) is not None:
                hops[i, at] = topology.hops_to(subject)[topology.index[root]]
                seen[i, at] = times
    of = np.array([n for _, n, _ in told])[:, None] if told else np.zeros((0, 1))
    law = np.array(by_hops)[hops]
    own = np.minimum((seen + PSEUDO * law) / (of + PSEUDO), HIGHEST)
    own = np.where(hops == UNREACHABLE, law, own)
    silent = np.where(topology.monitored, np.log1p(-own) - np.log1p(-law), 0.0)
    return Remembered(rows=rows, silent=silent.sum(axis=1), alerting=np.log(own) - np.log(law) - silent)


def canonical(past: Mapping[Subject, Past]) -> bytes:
    """The past in canonical form."""
    return orjson.dumps([[root, one.incidents, sorted(one.alerted.items())] for root, one in sorted(past.items())])
