"""How were these raw values spread? They are binned on arrival: values are people's data, only the bins are kept."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tocsin.domain.alert import Distribution
from tocsin.sources._distribution import MAX_BINS

MAX_VALUES = 100_000
"""On either side; a body of 5 MB holds no more."""
QUANTILES = 10
"""Edges lie at the tenths of either side: at those of the reference alone everything new could fall into one bin."""
FEW_VALUES = 20
"""Numbers of so few different values have a bin each."""
ROUNDED_TO = 3
"""Edges keep so many digits of their span."""

Value = float | bool | str | None


def spread_of(reference: Sequence[Value], current: Sequence[Value]) -> Distribution:
    """The two sides over common bins, each with the number of its values. Missing ones (None, NaN) count on neither
    side. Raises ValueError when a side has no value, or numbers and words are mixed."""
    before, now = _present(reference), _present(current)
    if not before or not now:
        raise ValueError(f"{'current' if before else 'reference'}_values hold no value")
    numbers = [value for value in (*before, *now) if _is_number(value)]
    if not numbers:
        return _by_category([str(value) for value in before], [str(value) for value in now])
    if len(numbers) < len(before) + len(now):
        raise ValueError("numbers and words are mixed")
    return _by_number([float(value) for value in before], [float(value) for value in now])


def _present(values: Sequence[Value]) -> list[float | bool | str]:
    if len(values) > MAX_VALUES:
        raise ValueError(f"{len(values)} values on one side; send at most {MAX_VALUES}, or the bins")
    return [v for v in values if v is not None and (not isinstance(v, float) or math.isfinite(v))]


def _is_number(value: float | bool | str) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _by_category(before: list[str], now: list[str]) -> Distribution:
    """Each word by its count; the rarest beyond MAX_BINS together."""
    old, new = Counter(before), Counter(now)
    names = sorted({*old, *new}, key=lambda name: (-(old[name] + new[name]), name))
    labels, rare = names[: MAX_BINS - 1], names[MAX_BINS - 1 :]
    counts = [[side[name] for name in labels] + ([sum(side[n] for n in rare)] if rare else []) for side in (old, new)]
    return _told([name[:255] for name in labels] + (["others"] if rare else []), counts[0], counts[1])


def _by_number(before: list[float], now: list[float]) -> Distribution:
    before.sort()
    now.sort()
    every = sorted({*before, *now})
    if len(every) <= FEW_VALUES:
        old, new = Counter(before), Counter(now)
        return _told([f"{value:.12g}" for value in every], [old[v] for v in every], [new[v] for v in every])
    edges = _edges(before, now, every)
    labels = [f"< {edges[0]:.12g}"]
    labels += [f"{low:.12g} … {high:.12g}" for low, high in pairwise(edges)]
    return _told([*labels, f"≥ {edges[-1]:.12g}"], _counts(before, edges), _counts(now, edges))


def _edges(before: list[float], now: list[float], every: list[float]) -> list[float]:
    """The tenths of either side, rounded to a thousandth of what they span or finer: nobody's own value stands in a
    label. A value that fills a whole tenth, such as the zero of what is mostly zero, has a bin of its own."""
    tenths = [[side[len(side) * n // QUANTILES] for n in range(1, QUANTILES)] for side in (before, now)]
    span = max(map(max, tenths)) - min(map(min, tenths))
    digits = ROUNDED_TO - math.floor(math.log10(span)) if 0 < span < math.inf else 0
    found = {value for side in tenths for value in side}
    often = {low for side in tenths for low, high in pairwise(side) if low == high}
    found.update(max(every[bisect_right(every, value)], value + 10.0**-digits) for value in often if value < every[-1])
    return sorted({round(value, digits) for value in found})


def _counts(values: list[float], edges: list[float]) -> list[int]:
    """How many of the sorted values lie below the first edge, between each two (the lower one included), and above."""
    ends = [0, *(bisect_left(values, edge) for edge in edges), len(values)]
    return [high - low for low, high in pairwise(ends)]


def _told(labels: list[str], before: list[int], now: list[int]) -> Distribution:
    rows, earlier = sum(now), sum(before)
    return Distribution(
        labels=tuple(labels),
        reference=tuple(round(count / earlier, 6) for count in before),
        current=tuple(round(count / rows, 6) for count in now),
        reference_size=earlier,
        current_size=rows,
    )
