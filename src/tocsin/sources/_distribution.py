"""How were the values spread? Two histograms or tables of categories as shares of common bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tocsin.domain.alert import Distribution
from tocsin.sources._json import number

MAX_BINS = 200
COMMON_BINS = 10
"""Bins over which two histograms with edges of their own are laid."""

_MAY_BE_PERCENT = range(95, 106)
"""Whole numbers that add up to this may be percentages, each rounded."""


def binned(labels: object, reference: object, current: object, *, reference_size: object = None) -> Distribution | None:
    """Counts, shares or percentages of the same bins as shares that add up to 1; labels name the bins, or are the
    edges between them. None when these are no such lists, or one of them counts nothing. How many rows they are is
    told (`reference_size`), or added up where they are counts."""
    before, now = _weights(reference), _weights(current)
    names = _names(labels, len(now))
    if not before or not now or len(before) != len(now) or len(names) != len(now):
        return None
    told = number(reference_size)
    size = int(told) if told is not None and 1 <= told < 2**63 else counted(reference)
    return Distribution(labels=names, reference=before, current=now, reference_size=size, current_size=counted(current))


def by_category(reference: dict[str, object], current: dict[str, object]) -> Distribution | None:
    """Weights per category; what one side lacks is 0 there. The largest categories first, MAX_BINS of them."""
    names = sorted({*reference, *current}, key=lambda name: (-_most(name, reference, current), name))[:MAX_BINS]
    return binned(names, [reference.get(name, 0) for name in names], [current.get(name, 0) for name in names])


def counted(weights: object) -> int | None:
    """How many rows these counts are; None when they may be shares or rounded percentages."""
    found = [number(value) for value in weights] if isinstance(weights, (list, tuple)) else []
    whole = [int(value) for value in found if value is not None and math.isfinite(value) and value == int(value) >= 0]
    total = sum(whole)
    return total if len(whole) == len(found) and 1 < total < 2**63 and total not in _MAY_BE_PERCENT else None


def overlaid(reference_edges: object, reference: object, current_edges: object, current: object) -> Distribution | None:
    """Two histograms whose edges differ, spread evenly within their bins over COMMON_BINS common ones."""
    if reference_edges == current_edges:
        return binned(current_edges, reference, current)
    before, now = _weights(reference), _weights(current)
    old, new = _edges(reference_edges, len(before)), _edges(current_edges, len(now))
    if not before or not now or not old or not new:
        return None
    low, high = min(old[0], new[0]), max(old[-1], new[-1])
    width = (high - low) / COMMON_BINS
    if not math.isfinite(width) or width <= 0:
        return None
    grid = [low + width * n for n in range(COMMON_BINS)] + [high]
    laid = binned(grid, _laid(old, before, grid), _laid(new, now, grid))
    return laid and replace(laid, reference_size=counted(reference), current_size=counted(current))


def density_weights(edges: object, density: object) -> list[float]:
    """Densities as weights of their bins: times the bin's width. Empty when they do not fit together."""
    heights = [number(value) for value in density] if isinstance(density, list) else []
    bounds = _edges(edges, len(heights))
    if not bounds or any(height is None for height in heights):
        return []
    return [(height or 0.0) * (bounds[n + 1] - bounds[n]) for n, height in enumerate(heights)]


def _most(name: str, reference: dict[str, object], current: dict[str, object]) -> float:
    return max(number(reference.get(name)) or 0.0, number(current.get(name)) or 0.0)


def _weights(values: object) -> tuple[float, ...]:
    """Shares of the total; empty when a value is no number, negative, or nothing was counted."""
    if not isinstance(values, (list, tuple)) or not 0 < len(values) <= MAX_BINS:
        return ()
    found = [number(value) for value in values]
    if any(value is None or value < 0 for value in found):
        return ()
    total = sum(value or 0.0 for value in found)
    if not 0 < total < math.inf:
        return ()
    return tuple(round((value or 0.0) / total, 6) for value in found)


def _edges(values: object, bins: int) -> list[float]:
    found = [number(value) for value in values] if isinstance(values, list) and len(values) == bins + 1 else []
    edges = [value for value in found if value is not None]
    rising = all(low < high for low, high in pairwise(edges))
    return edges if len(edges) == bins + 1 and rising else []


def _names(labels: object, bins: int) -> tuple[str, ...]:
    if not isinstance(labels, (list, tuple)):
        return ()
    if len(labels) == bins + 1 and (edges := _edges(list(labels), bins)):
        return tuple(f"{low:.4g} … {high:.4g}" for low, high in pairwise(edges))
    return tuple(_name(label) for label in labels)


def _name(label: object) -> str:
    if isinstance(label, float):
        return f"{label:.4g}"
    return str(label)[:255]


def _laid(edges: Sequence[float], weights: Sequence[float], grid: Sequence[float]) -> list[float]:
    """The weight that each bin of the grid takes from the histogram."""
    found = []
    for low, high in pairwise(grid):
        shared = (
            weight * max(0.0, min(high, edges[n + 1]) - max(low, edges[n])) / (edges[n + 1] - edges[n])
            for n, weight in enumerate(weights)
        )
        found.append(sum(shared))
    return found
