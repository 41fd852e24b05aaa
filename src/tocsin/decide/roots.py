"""Where may the fault be, when these subjects alert and the others do not? The chances that grouping reckons with.

A subject d hops below the root alerts with p = .01 + .8 · .55^d, and with .002 where no way leads to it
(correlation.md §3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.topology import UNREACHABLE, Topology
from tocsin.domain.catalog import MAX_HOPS
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

ML_KINDS = frozenset({"model", "feature", "dataset", "job"})
SILENCE = 0.4
"""The weight of what does not alert (kappa, correlation.md §2): a root on which half the catalogue rests would have
raised more than this. Of ML subjects, which are checked in hours, silence says nothing."""
MIN_SHARE = 0.01
"""How much of the belief must lie on roots that reach a subject. One without any tie stays below .003."""
ALERTS: Floats = np.append(0.01 + 0.8 * 0.55 ** np.arange(MAX_HOPS + 1), 0.002)
"""The chance that a subject alerts, by its hops below the root."""
_LOG_ALERTS = np.log(ALERTS)
_LOG_NOT = np.append(np.log1p(-ALERTS[:-1]), 0.0)


@lru_cache(maxsize=8)
def all_silent(topology: Topology) -> Floats:
    """For every subject as the root: log of the chance that nothing below it alerts that would alert at once."""
    silent = np.zeros(len(topology.subjects))
    for subject in topology.subjects:
        if subject.kind not in ML_KINDS and topology.monitored[topology.index[subject]]:
            silent += _LOG_NOT[topology.hops_to(subject)]
    return silent


def chances(weights: Mapping[Subject, float], topology: Topology) -> tuple[Floats, Floats]:
    """For every subject as the root: log of the chance of what alerts, each as much as it is a surprise, and of the
    silence of the rest."""
    log, silent = np.zeros(len(topology.subjects)), all_silent(topology).copy()
    for subject, weight in weights.items():
        if subject in topology.index:
            hops = topology.hops_to(subject)
            log += weight * _LOG_ALERTS[hops]
            if subject.kind not in ML_KINDS:
                silent -= weight * _LOG_NOT[hops]
    if log.any():
        log[topology.out_of(subject for subject in weights if subject in topology.index)] = -np.inf
    return log, silent


def belief_in_the_end(weights: Mapping[Subject, float], topology: Topology) -> Floats:
    """Where the root of these may be, all silence being heard; 0 everywhere when the catalogue knows none of them."""
    log, silent = chances(weights, topology)
    if not log.any():
        return log
    log += SILENCE * silent
    belief: Floats = np.exp(log - log.max())
    belief /= belief.sum()
    return belief


def alerts_in_the_end(subject: Subject, belief: Floats, topology: Topology) -> float:
    """The chance that this subject of the catalogue alerts of a fault whose root is believed to be there; 0 where
    nothing ties them."""
    hops = topology.hops_to(subject)
    return float(belief @ ALERTS[hops]) if belief[hops < UNREACHABLE].sum() >= MIN_SHARE else 0.0
