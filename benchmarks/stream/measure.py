"""How good is a partition of alerts into groups, and how good are the pages?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Pairwise figures of found groups against true ones."""

    precision: float
    recall: float
    f1: float
    ari: float
    splits: int
    """True groups that lie in more than one found group."""
    merges: int
    """Found groups that hold alerts of more than one true group."""


def agreement(truth: Sequence[Hashable], found: Sequence[Hashable]) -> Agreement:
    """Pairs of alerts that are together in both; adjusted Rand index after Hubert and Arabie (1985)."""
    both, true, made = Counter(zip(truth, found, strict=True)), Counter(truth), Counter(found)
    hit, wanted, given = _pairs(both), _pairs(true), _pairs(made)
    all_pairs = len(truth) * (len(truth) - 1) / 2
    by_chance = wanted * given / all_pairs if all_pairs else 0.0
    precision, recall = hit / given if given else 0.0, hit / wanted if wanted else 0.0
    middle = (wanted + given) / 2
    return Agreement(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        ari=(hit - by_chance) / (middle - by_chance) if middle != by_chance else 1.0,
        splits=sum(n > 1 for n in Counter(t for t, _ in both).values()),
        merges=sum(n > 1 for n in Counter(f for _, f in both).values()),
    )


def _pairs(counts: Counter[Hashable] | Counter[tuple[Hashable, Hashable]]) -> float:
    return sum(n * (n - 1) / 2 for n in counts.values())
