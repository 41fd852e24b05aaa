"""Are these values larger than those, and by how much? The rank test and the distance that series are judged by.

Plain numpy, since `scipy.stats` costs seconds and a hundred megabytes (correlation.md §7)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_UP_TO = 8
"""As scipy does: below so many values on either side, without ties, the exact distribution is counted."""


def greater(one: Floats, other: Floats) -> float:
    """One-sided Mann–Whitney: the p-value of "`one` is not larger than `other`"."""
    n, m = len(one), len(other)
    both = np.concatenate([one, other])
    distinct, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    if len(distinct) == n + m and min(n, m) <= EXACT_UP_TO:
        return _exact(round(u), n, m)
    ties = float((counts**3 - counts).sum()) / ((n + m) * (n + m - 1))
    sd = math.sqrt(n * m / 12 * ((n + m + 1) - ties))
    if sd == 0:
        return 1.0
    return 0.5 * math.erfc((u - n * m / 2 - 0.5) / sd / math.sqrt(2))


def _exact(u: int, n: int, m: int) -> float:
    """P(U ≥ u): the coefficients of the Gaussian binomial of n + m over n."""
    few, many = min(n, m), max(n, m)
    ways = np.zeros(n * m + 1)
    ways[0] = 1.0
    for k in range(1, few + 1):
        _times_one_less(ways, many + k)
        _over_one_less(ways, k)
    return min(1.0, float(ways[u:].sum() / ways.sum())) if u > 0 else 1.0


def _times_one_less(ways: Floats, power: int) -> None:
    """The polynomial times 1 − x^power."""
    if power < len(ways):
        ways[power:] -= ways[:-power].copy()


def _over_one_less(ways: Floats, power: int) -> None:
    """The polynomial over 1 − x^power."""
    for at in range(power):
        ways[at::power] = np.cumsum(ways[at::power])


def effect(before: Floats, after: Floats) -> float:
    """How far the distributions lie apart: Wasserstein's distance in standard deviations of the earlier values (of all
    when those do not vary); 0 when nothing varies."""
    sd = float(np.std(before)) or float(np.std(np.concatenate([before, after])))
    if sd == 0:
        return 0.0
    values = np.sort(np.concatenate([before, after]))
    below = np.searchsorted(np.sort(before), values[:-1], side="right") / len(before)
    above = np.searchsorted(np.sort(after), values[:-1], side="right") / len(after)
    return float(np.abs(below - above) @ np.diff(values)) / sd


def largest(values: Floats, most: int) -> NDArray[np.intp]:
    """Where the `most` largest stand, largest first; of equals the first."""
    if len(values) <= most:
        return np.argsort(-values, kind="stable")
    least = np.partition(values, -most)[-most]
    some = np.flatnonzero(values >= least)
    return some[np.argsort(-values[some], kind="stable")[:most]]


def median(values: Floats) -> float:
    """What numpy's own says, without its care for NaN and for several axes: that costs ten times the sorting of a few
    hundred values."""
    ranked, middle = np.sort(values), len(values) // 2
    return float(ranked[middle] if len(values) % 2 else (ranked[middle - 1] + ranked[middle]) / 2)
