"""The few statistics that need scipy. Only workers import this (`scipy.special` costs about a second and 50 MiB)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.special import bdtrc, betaincinv, chdtrc, chdtri

FINE = 1.5
"""Points of the integration in `bridge_tail` for each standard deviation of the bridge's smallest step; 1 leaves an
error of 1e-8, as the trapezoidal rule has it for a normal density."""
CLOSE = 0.005
"""Two places of a bridge nearer than this are taken for one; any nearer would need too many points."""
HIGH = 2.0
"""Above this height a bridge is seldom outside at two places (chance < .001): their chances are added up."""


@lru_cache(maxsize=1024)
def beta_interval(caused: float, harmless: float) -> tuple[float, float, float]:
    """5 %, mean and 95 % of Beta(caused, harmless): how likely such a change breaks something."""
    low, high = (float(betaincinv(caused, harmless, q)) for q in (0.05, 0.95))
    return low, caused / (caused + harmless), high


def chi_square_tail(x: float, freedom: int) -> float:
    """The chance of at least `x` under chi-square with so many degrees of freedom."""
    return float(chdtrc(freedom, x))


def chi_square_limit(alpha: float, freedom: int) -> float:
    """What chi-square exceeds with probability `alpha`."""
    return float(chdtri(freedom, alpha))


def share_tail(count: int, rows: int, share: float) -> float:
    """The chance of at least `count` among `rows` when each has the chance `share` (exact binomial)."""
    return float(bdtrc(count - 1, rows, share)) if count > 0 else 1.0


def bridge_tail(height: float, places: Sequence[float]) -> float:
    """The chance that a Brownian bridge leaves ±`height` at one of the `places` in (0, 1): the p-value of
    Kolmogorov–Smirnov when the cumulated shares are only known at the bins' ends. Kolmogorov's own distribution, which
    looks everywhere, would be too careful. The bridge is walked from place to place by Gauss–Legendre integration
    over what stays inside; exact for many rows."""
    kept = _apart(places)
    if not kept or height <= 0:
        return 1.0
    if height > HIGH:
        return math.fsum(math.erfc(height / math.sqrt(2 * at * (1 - at))) for at in kept)
    smallest = min(now - before for before, now in pairwise((0.0, *kept, 1.0)))
    nodes, weights = _legendre(16 * math.ceil(FINE * math.pi * height / math.sqrt(smallest) / 16))
    at, weights = nodes * height, weights * height
    inside = _normal(at, kept[0]) * weights
    for before, now in pairwise(kept):
        inside = (_normal(at[:, None] - at[None, :], now - before) @ inside) * weights
    stays = float(inside @ _normal(at, 1 - kept[-1])) * math.sqrt(2 * math.pi)
    return min(max(1.0 - stays, 0.0), 1.0)


@lru_cache(maxsize=16)
def _legendre(points: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes, weights


def _apart(places: Sequence[float]) -> list[float]:
    kept: list[float] = []
    for place in sorted(places):
        if CLOSE <= place <= 1 - CLOSE and (not kept or place - kept[-1] >= CLOSE):
            kept.append(place)
    return kept


def _normal(x: np.ndarray, variance: float) -> np.ndarray:
    found: np.ndarray = np.exp(-x * x / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return found
