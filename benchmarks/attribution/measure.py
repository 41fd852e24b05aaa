"""Figures of one scorer over many cases, and how sure they are (paired bootstrap by incident)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

LIKELY = 0.8
DRAWS = 2_000


@dataclass(slots=True)
class Tally:
    """What one scorer answered, case by case, in the same order for every scorer."""

    kinds: list[str] = field(default_factory=list)
    """Kind of the true cause; empty where there is none."""
    ranks: list[int] = field(default_factory=list)
    """Rank of the true cause from 0; a large number where it is not among the candidates."""
    first: list[float] = field(default_factory=list)
    """P of the first suspect; NaN for a rule."""
    right: list[bool] = field(default_factory=list)
    no_change: list[float] = field(default_factory=list)

    def add(self, kind: str, rank: int, first: float, no_change: float) -> None:
        self.kinds.append(kind)
        self.ranks.append(rank)
        self.first.append(first)
        self.right.append(bool(kind) and rank == 0)
        self.no_change.append(no_change)

    def extend(self, other: Tally) -> None:
        """The same scorer's answers to more cases."""
        self.kinds.extend(other.kinds)
        self.ranks.extend(other.ranks)
        self.first.extend(other.first)
        self.right.extend(other.right)
        self.no_change.extend(other.no_change)

    @property
    def caused(self) -> np.ndarray:
        return np.array([bool(kind) for kind in self.kinds])

    def hits(self, within: int) -> np.ndarray:
        """Per caused incident: is the cause among the first so many?"""
        return np.asarray((np.array(self.ranks)[self.caused] < within).astype(float))

    def summary(self) -> dict[str, float]:
        """All figures of correlation.md §9.5 that need no rival."""
        caused, ranks = self.caused, np.array(self.ranks)
        found = {
            "top1": float(self.hits(1).mean()),
            "top3": float(self.hits(3).mean()),
            "mrr": float((1 / (1 + ranks[caused])).mean()),
            "lineage": self.macro({"pipeline", "schema"}),
            "macro": self.macro(set(self.kinds) - {""}),
        }
        p = np.array(self.first)
        if not np.isnan(p).any():
            right = np.array(self.right).astype(float)
            likely = p >= LIKELY
            found |= {
                "brier": float(((p - right) ** 2).mean()),
                "ece": ece(p, right),
                "precision": float(right[likely].mean()) if likely.any() else float("nan"),
                "coverage": float(likely[caused].mean()),
                "false": float(likely[~caused].mean()),
                "auroc": auroc(np.array(self.no_change), ~caused),
            }
        return found

    def macro(self, kinds: set[str]) -> float:
        """Mean over kinds of their top-1."""
        by_kind: dict[str, list[bool]] = defaultdict(list)
        for kind, right in zip(self.kinds, self.right, strict=True):
            if kind in kinds:
                by_kind[kind].append(right)
        return float(np.mean([np.mean(found) for found in by_kind.values()])) if by_kind else float("nan")


def ece(p: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins."""
    at = np.minimum((p * bins).astype(int), bins - 1)
    return float(
        sum(abs(p[at == b].mean() - right[at == b].mean()) * (at == b).mean() for b in range(bins) if (at == b).any())
    )


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive stands above a negative (ties count half)."""
    from scipy.stats import rankdata  # noqa: PLC0415 seconds to import

    ranks = rankdata(score)
    n = int(positive.sum())
    m = len(score) - n
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def difference(one: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean difference of paired hits, with the 95 % interval of a bootstrap by incident."""
    rng = np.random.default_rng(seed)
    gap = one - other
    draws = gap[rng.integers(len(gap), size=(DRAWS, len(gap)))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(gap.mean()), float(low), float(high)
