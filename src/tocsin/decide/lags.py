"""How long after a change of this kind does its trouble show? Heavy-tailed densities, per minute (correlation.md §2).

A family is a mixture `.6·LN(m, 1.6) + .4·LN(15m, 2.2)` of lognormals around its median m. One parametric form does not
fit real lags, therefore the tail: a thin one loses to simple rules where the world differs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tocsin.domain.change import ChangeKind

Floats = NDArray[np.float64]

MIN_LAG = 0.5
"""Minutes; shorter lags are clamped: no feed is more exact than that."""

EDGES: Floats = np.array([0.0, *(2.0**k for k in range(1, 13)), np.inf])
"""Thirteen log2 bins in minutes: 0–2, 2–4, … 2,048–4,096, beyond."""

SEED_WEIGHT = 13.0
"""Dirichlet pseudo-counts of the seed: one a bin, so that a dozen confirmed lags of a kind begin to outweigh it."""

MEDIAN: dict[ChangeKind, float] = {
    ChangeKind.ENVIRONMENT_MODIFIED: 10.0,
    ChangeKind.FEATURE_FLAG_CHANGED: 10.0,
    ChangeKind.FEATURE_OUTAGE: 10.0,  # our judgement: an outage is felt like a configuration change
    ChangeKind.DATASET_SCHEMA_CHANGED: 60.0,
    ChangeKind.DATASET_MODIFIED: 60.0,
    ChangeKind.PIPELINERUN_FINISHED: 180.0,
}
"""m in minutes; every other kind counts as a deploy."""
_DEPLOY = 20.0
_PARTS = ((0.6, 1.0, 1.6), (0.4, 15.0, 2.2))

KINDS = tuple(ChangeKind)
_GRID: Floats = np.append(0.0, np.geomspace(MIN_LAG, 2.0**14, 600))
"""Minutes between which a density is taken for straight: steps of 1.8 %, up to eleven days."""
_LOG_MEDIANS: tuple[Floats, ...] = tuple(
    np.array([math.log(MEDIAN.get(kind, _DEPLOY) * stretch) for kind in KINDS]) for _, stretch, _ in _PARTS
)


def density(kind: ChangeKind, minutes: Floats, *, learned: tuple[float, ...] = ()) -> Floats:
    """The density per minute that trouble from such a change first shows after these lags. `learned` are counts of
    confirmed lags per bin of EDGES: they move mass between the bins, the seed keeps the shape inside each."""
    return densities(np.full(len(minutes), KINDS.index(kind)), minutes, {kind: learned})


def densities(kinds: NDArray[np.intp], minutes: Floats, learned: Mapping[ChangeKind, tuple[float, ...]]) -> Floats:
    """The same for many changes: `kinds` are places in KINDS, one a lag."""
    lags = np.maximum(minutes, MIN_LAG)
    logs = np.log(lags)
    found: Floats = np.zeros_like(lags)
    for (weight, _, sigma), medians in zip(_PARTS, _LOG_MEDIANS, strict=True):
        z = (logs - medians[kinds]) / sigma
        found += weight * np.exp(-0.5 * z * z) / (lags * (sigma * math.sqrt(2 * math.pi)))
    moved = np.ones((len(KINDS), len(EDGES) - 1))
    for kind, counts in learned.items():
        if counts:
            seed = seed_masses(kind)
            moved[KINDS.index(kind)] = (seed * SEED_WEIGHT + counts) / (SEED_WEIGHT + sum(counts)) / seed
    return found * moved[kinds, bin_of(lags)] if any(learned.values()) else found


def within(
    kinds: NDArray[np.intp], low: Floats, high: Floats, learned: Mapping[ChangeKind, tuple[float, ...]]
) -> Floats:
    """The probability that trouble from such a change first shows between so many minutes after it and so many: the
    integral of `densities`."""
    found = np.zeros(len(high))
    for kind in np.unique(kinds).tolist():
        dense = densities(np.full(len(_GRID), kind), _GRID, learned)
        below = np.append(0.0, np.cumsum(np.diff(_GRID) * (dense[1:] + dense[:-1]) / 2))
        of = kinds == kind
        found[of] = np.interp(high[of], _GRID, below) - np.interp(low[of], _GRID, below)
    return found


def bins_within(kind: ChangeKind, low: float, high: float, learned: tuple[float, ...] = ()) -> Floats:
    """Where between these minutes the lag lies: a probability per bin of EDGES; they sum to 1."""
    ends = np.clip(EDGES, low, max(high, low + MIN_LAG))
    kinds = np.full(len(ends) - 1, KINDS.index(kind))
    found = within(kinds, ends[:-1], ends[1:], {kind: learned})
    return np.asarray(found / found.sum())


def bin_of(minutes: Floats) -> NDArray[np.intp]:
    """Which bin of EDGES each lag falls into."""
    return np.asarray(np.searchsorted(EDGES, minutes, side="right") - 1, dtype=np.intp)


@lru_cache(maxsize=64)
def seed_masses(kind: ChangeKind) -> Floats:
    """The seed's probability per bin of EDGES; they sum to 1. Not to be written to."""
    return np.diff([_cdf(MEDIAN.get(kind, _DEPLOY), edge) for edge in EDGES])


@lru_cache(maxsize=64)
def middle_half(kind: ChangeKind) -> tuple[timedelta, timedelta]:
    """Between these two lags lies the middle half of the seed."""
    median = MEDIAN.get(kind, _DEPLOY)
    return timedelta(minutes=_quantile(median, 0.25)), timedelta(minutes=_quantile(median, 0.75))


@lru_cache(maxsize=64)
def half_within(kind: ChangeKind) -> timedelta:
    """The lag within which half of such causes show: the median of the seed."""
    return timedelta(minutes=_quantile(MEDIAN.get(kind, _DEPLOY), 0.5))


def _quantile(median: float, share: float) -> float:
    low, high = 0.0, 1e6
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _cdf(median, middle) < share else (low, middle)
    return low


def _cdf(median: float, minutes: float) -> float:
    if minutes <= 0:
        return 0.0
    if math.isinf(minutes):
        return 1.0
    return sum(
        weight * 0.5 * math.erfc(-(math.log(minutes) - math.log(median * stretch)) / (sigma * math.sqrt(2)))
        for weight, stretch, sigma in _PARTS
    )
