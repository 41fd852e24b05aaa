"""How were a feature's values spread, in the baseline and now? The buckets of two `statistics.json` of Model Monitor.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-statistics.html
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Distribution
from tocsin.sources._cloud import dig, facts, name_in, rows
from tocsin.sources._distribution import by_category, overlaid
from tocsin.sources._json import number


def distribution(baseline: object, current: object, feature: str) -> Distribution | None:
    """The feature's buckets in both files, laid over common bins; None when either has none."""
    before, now = _feature(baseline, feature), _feature(current, feature)
    old, new = _histogram(before), _histogram(now)
    if old and new:
        return overlaid(old[0], old[1], new[0], new[1])
    categories = _categories(before), _categories(now)
    return by_category(*categories) if all(categories) else None


def item_count(statistics: object) -> int | None:
    """How many records the current data has."""
    count = number(dig(statistics, "dataset", "item_count"))
    return int(count) if count is not None and 0 <= count < 2**63 else None


def _feature(statistics: object, name: str) -> dict[str, Any]:
    found = (each for each in rows(facts(statistics).get("features")) if name_in(each, "name") == name)
    return next(found, {})


def _histogram(feature: dict[str, Any]) -> tuple[list[Any], list[Any]] | None:
    """Edges and counts of a number's buckets; each bucket begins where the one before it ends."""
    buckets = rows(dig(feature, "numerical_statistics", "distribution", "kll", "buckets"))
    if not buckets:
        return None
    edges = [buckets[0].get("lower_bound"), *(each.get("upper_bound") for each in buckets)]
    return edges, [each.get("count") for each in buckets]


def _categories(feature: dict[str, Any]) -> dict[str, object]:
    """Count per value of a text."""
    buckets = rows(dig(feature, "string_statistics", "distribution", "categorical", "buckets"))
    return {value: each.get("count") for each in buckets if (value := name_in(each, "value"))}
