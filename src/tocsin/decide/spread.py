"""How far apart are two binned distributions? Distances in pure arithmetic; whether chance makes them is not asked.

Shares add up to 1. Bins with an order have bounds; within a bin the values are taken to be spread evenly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

FLOOR = 1e-4
"""Shares are clipped here before a logarithm (correlation.md §6)."""
FEWEST_POINTS = 5
"""So many rising single numbers are taken for points on a scale; fewer may be codes of categories."""
FARTHEST = 1e100
"""Bins beyond are no measurement, and their squares would overflow."""

Bounds = tuple[tuple[float, float], ...]

_NUMBER = r"[-+]?(?:\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+|inf(?:inity)?)"
_RANGE = re.compile(rf"[\[(]?\s*({_NUMBER})\s*(?:…|\.\.\.?|,|;|–|-|to|:)\s*({_NUMBER})\s*[\])]?")
_BELOW = re.compile(rf"(?:<=?|≤)\s*({_NUMBER})")
_ABOVE = re.compile(rf"(?:>=?|≥)\s*({_NUMBER})|({_NUMBER})\s*\+")
_POINT = re.compile(_NUMBER)


def shares_of(weights: Sequence[float]) -> tuple[float, ...]:
    """The weights as shares that add up to 1; empty when they are no weights."""
    peak = max(weights, default=0.0)
    if not 0 < peak < math.inf or not all(weight >= 0 for weight in weights):
        return ()
    total = math.fsum(weight / peak for weight in weights)
    return tuple(weight / peak / total for weight in weights)


def psi(reference: Sequence[float], current: Sequence[float]) -> float:
    """The population stability index, ≥ 0."""
    pairs = [(max(r, FLOOR), max(c, FLOOR)) for r, c in zip(reference, current, strict=True)]
    return math.fsum((c - r) * math.log(c / r) for r, c in pairs)


def kullback_leibler(reference: Sequence[float], current: Sequence[float]) -> float:
    """Of the current from the reference, in nats, ≥ 0."""
    before = shares_of([max(r, FLOOR) for r in reference])
    now = shares_of([max(c, FLOOR) for c in current])
    return max(0.0, math.fsum(c * math.log(c / r) for r, c in zip(before, now, strict=True)))


def jensen_shannon(reference: Sequence[float], current: Sequence[float]) -> float:
    """The divergence in nats: 0 … ln 2. Its root is the distance that Evidently and scipy speak of."""
    found = 0.0
    for r, c in zip(reference, current, strict=True):
        middle = (r + c) / 2
        found += sum(share * math.log(share / middle) for share in (r, c) if share > 0 and middle > 0) / 2
    return min(max(found, 0.0), math.log(2))


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float]) -> float:
    """The largest distance of the two cumulated shares at the bins' ends: 0 … 1."""
    return max((abs(r - c) for r, c in zip(accumulate(reference), accumulate(current), strict=True)), default=0.0)


def mean(shares: Sequence[float], bounds: Bounds) -> float:
    """The mean of the middles."""
    return math.fsum(share * (low + high) / 2 for share, (low, high) in zip(shares, bounds, strict=True))


def deviation(shares: Sequence[float], bounds: Bounds) -> float:
    """The standard deviation, with the width of the bins."""
    middle = mean(shares, bounds)
    spread = (
        share * (((low + high) / 2 - middle) ** 2 + (high - low) ** 2 / 12)
        for share, (low, high) in zip(shares, bounds, strict=True)
    )
    return math.sqrt(math.fsum(spread))


def wasserstein(reference: Sequence[float], current: Sequence[float], bounds: Bounds, *, shifted: float = 0.0) -> float:
    """The area between the two cumulated shares, in the values' unit, after moving the current ones by `shifted`."""
    one = _corners(reference, bounds)
    other = [(x + shifted, height) for x, height in _corners(current, bounds)]
    places = sorted({x for x, _ in (*one, *other)})
    gaps = [a - b for a, b in zip(_heights(one, places), _heights(other, places), strict=True)]
    steps = zip(pairwise(places), pairwise(gaps), strict=True)
    return math.fsum(_area(right - left, first, last) for (left, right), (first, last) in steps)


def _area(width: float, first: float, last: float) -> float:
    """Under the absolute value of a straight line."""
    if first * last >= 0:
        return width * abs(first + last) / 2
    return width * (first * first + last * last) / (2 * (abs(first) + abs(last)))


def _corners(shares: Sequence[float], bounds: Bounds) -> list[tuple[float, float]]:
    """Where the cumulated shares bend."""
    corners = [(bounds[0][0], 0.0)]
    for (low, high), (before, after) in zip(bounds, pairwise((0.0, *accumulate(shares))), strict=True):
        corners += [(low, before)] if low > corners[-1][0] else []
        corners.append((high, after))
    return corners


def _heights(corners: Sequence[tuple[float, float]], places: Sequence[float]) -> list[float]:
    """The cumulated share at each of the rising places."""
    found, at = [], 0
    for x in places:
        while at < len(corners) and corners[at][0] < x:
            at += 1
        if at == 0 or at == len(corners):
            found.append(corners[-1][1] if at else (corners[0][1] if corners[0][0] >= x else 0.0))
        else:
            (left, low), (right, high) = corners[at - 1], corners[at]
            found.append(low + (high - low) * (x - left) / (right - left))
    return found


# --- the order of bins ---


@lru_cache(maxsize=1024)
def bounds_of(labels: tuple[str, ...]) -> Bounds:
    """Where each bin begins and ends, when the labels are rising ranges (`0 … 10`, `[0, 10)`, `< 5`, `65+`) or at least
    FEWEST_POINTS rising numbers; empty for categories. An open end is as wide as the bin beside it."""
    found = [_bounds(label.strip().replace("\u2212", "-")) for label in labels]
    known = [bounds for bounds in found if bounds is not None]
    if len(known) < len(labels) or len(known) < 2:
        return ()
    if all(low == high for low, high in known):
        return _around([low for low, _ in known])
    closed = _closed(known)
    rising = all(low < high for low, high in closed) and all(a[1] <= b[0] for a, b in pairwise(closed))
    return tuple(closed) if rising else ()


def _bounds(label: str) -> tuple[float, float] | None:
    if found := _RANGE.fullmatch(label):
        return float(found[1]), float(found[2])
    if found := _BELOW.fullmatch(label):
        return -math.inf, float(found[1])
    if found := _ABOVE.fullmatch(label):
        return float(found[1] or found[2]), math.inf
    return (float(label), float(label)) if _POINT.fullmatch(label) and math.isfinite(float(label)) else None


def _closed(bounds: list[tuple[float, float]]) -> list[tuple[float, float]]:
    (first_low, first_high), (last_low, last_high) = bounds[0], bounds[-1]
    if first_low == -math.inf:
        bounds = [(first_high - _width(bounds[1]), first_high), *bounds[1:]]
    if last_high == math.inf:
        bounds = [*bounds[:-1], (last_low, last_low + _width(bounds[-2]))]
    return bounds if all(abs(x) <= FARTHEST for pair in bounds for x in pair) else []


def _width(bounds: tuple[float, float]) -> float:
    return bounds[1] - bounds[0]


def _around(points: list[float]) -> Bounds:
    """Bins that meet half-way between the points."""
    if len(points) < FEWEST_POINTS or any(a >= b for a, b in pairwise(points)) or max(map(abs, points)) > FARTHEST:
        return ()
    ways = [(a + b) / 2 for a, b in pairwise(points)]
    edges = [2 * points[0] - ways[0], *ways, 2 * points[-1] - ways[-1]]
    return tuple(pairwise(edges))
