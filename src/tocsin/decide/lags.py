"""How long after a change of this kind does its trouble show? Heavy-tailed densities, per minute (correlation.md §2).

A family is a mixture `.6·LN(m, 1.6) + .4·LN(15m, 2.2)` of lognormals around its median m. One parametric form does not
fit real lags, therefore the tail: a thin one loses to simple rules where the world differs.

Confirmed lags speak for two views of a kind, each weighed by how well it foresaw them: a histogram, which fits any form
but needs many, and narrow lognormals about medians that are not known, of which a handful picks the right one. Before
anything is confirmed both are the mixture above, and it is their mean at every count."""

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
NARROW = (0.5, 0.8, 1.2)
"""Sigmas of the narrow lognormals: from lags that lie within 40 % of their median half of the time to those that spread
nearly as the seed does (judgement, evenly)."""
NARROW_SHARE = 0.5
"""What is believed of them before anything is confirmed: as much as of the histogram."""
_MEDIANS_AT: Floats = np.linspace(-3.5, 3.5, 29)
"""Standard deviations about a part's median at which the unknown median may lie."""
_RARE = 1e-6
"""No bin is impossible under any lognormal: people slip, and clocks too."""

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
_LOG_GRID: Floats = np.log(_GRID[1:])
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
    for kind, counts in learned.items():
        if any(counts):
            of = kinds == KINDS.index(kind)
            found[of] *= np.interp(logs[of], _LOG_GRID, _moved(kind, tuple(counts)))
    return found


@lru_cache(maxsize=64)
def _moved(kind: ChangeKind, counts: tuple[float, ...]) -> Floats:
    """The factor by which such confirmed lags move the seed at each of _LOG_GRID. Not to be written to."""
    grid = np.exp(_LOG_GRID)
    seed = density(kind, grid)
    masses, seen = seed_masses(kind), np.array(counts)
    histogram = ((masses * SEED_WEIGHT + seen) / (SEED_WEIGHT + seen.sum()) / masses)[bin_of(grid)]
    own, in_bins, dense = _narrow(MEDIAN.get(kind, _DEPLOY))
    foreseen = np.append(
        math.log(NARROW_SHARE) + np.log(own) + np.log(in_bins + _RARE) @ seen,
        math.log(1 - NARROW_SHARE) + _log_evidence(masses * SEED_WEIGHT, seen),
    )
    believed = np.exp(foreseen - foreseen.max())
    believed /= believed.sum()
    return np.asarray(believed[:-1] @ dense / seed + believed[-1] * histogram)


@lru_cache(maxsize=16)
def _narrow(median: float) -> tuple[Floats, Floats, Floats]:
    """The narrow lognormals: the weight of each, its mass in each bin of EDGES, its density at each of _LOG_GRID. Those
    of one sigma, the median unknown, make the seed: a lognormal about a lognormal median is a wider one."""
    each = np.exp(-0.5 * _MEDIANS_AT**2)
    each /= each.sum() * len(NARROW)
    laws = [
        (weight * share, math.log(median * stretch) + at * math.sqrt(wide**2 - sigma**2), sigma)
        for weight, stretch, wide in _PARTS
        for sigma in NARROW
        for share, at in zip(each.tolist(), _MEDIANS_AT.tolist(), strict=True)
    ]
    masses = [np.diff([_below(edge, median, sigma) for edge in EDGES.tolist()]) for _, median, sigma in laws]
    medians, sigmas = np.array([law[1:] for law in laws]).T[:, :, None]
    z = (_LOG_GRID - medians) / sigmas
    dense = np.exp(-0.5 * z * z) / (np.exp(_LOG_GRID) * (sigmas * math.sqrt(2 * math.pi)))
    return np.array([weight for weight, *_ in laws]), np.array(masses), dense


def _log_evidence(pseudo: Floats, counts: Floats) -> float:
    """How well a Dirichlet of these pseudo-counts foresaw the counts, one after another: the log of the chance."""
    pairs = [(pseudo.sum() + counts.sum(), pseudo.sum()), *zip(pseudo, pseudo + counts, strict=True)]
    return math.fsum(math.lgamma(after) - math.lgamma(before) for before, after in pairs)


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
    return sum(weight * _below(minutes, math.log(median * stretch), sigma) for weight, stretch, sigma in _PARTS)


def _below(minutes: float, log_median: float, sigma: float) -> float:
    """The chance that a lognormal lag is shorter."""
    if minutes <= 0 or math.isinf(minutes):
        return float(minutes > 0)
    return 0.5 * math.erfc(-(math.log(minutes) - log_median) / (sigma * math.sqrt(2)))
