"""Fifty features tested hourly for thirty days: the counts in the bins, without and with a real shift.

Every feature is standard normal; its bins are the deciles of a reference sample of its own. Random numbers come from
numpy's default generator, seeded by the seed and the world's name alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

FEATURES = 50
HOURS = 720
BINS = 10
SHIFTED = 5
"""So many features really shift, where a world has a shift."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class World:
    """One way in which features behave. Sizes are in standard deviations."""

    name: str
    rows: int
    reference_rows: int = 5000
    hours: int = HOURS
    daily: float = 0.0
    """Swing of the mean over each day, which the reference has too, as it is drawn from whole days."""
    steady: float = 0.0
    """A shift of every mean from the first hour on: real, and too small to matter."""
    shared: float = 0.0
    """Correlation between the features of a row."""
    tells_all: bool = False
    """The monitor sends the counts of passed checks too, so that the course of the days can be known."""
    tries: int = 10
    """Real shifts per seed: each is found or not within six checks."""
    settled: int = 0
    """So many hours go before those that are counted."""
    shift: float = 0.0
    """A real shift of SHIFTED features from the first hour on that counts."""

    def checks(self, seed: int) -> tuple[list[tuple[str, ...]], Counts, Iterator[Counts]]:
        """Labels of each feature's bins, counts in the reference, and the counts of each hour (feature × bin)."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        phases = rng.uniform(0, 2 * np.pi, FEATURES)
        hours = rng.uniform(0, 24, (FEATURES, self.reference_rows))
        swing = self.daily * np.sin(2 * np.pi * hours / 24 + phases[:, None])
        reference = rng.normal(size=(FEATURES, self.reference_rows)) + swing
        edges = np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1], axis=1).T
        before = np.array([_binned(values, at) for values, at in zip(reference, edges, strict=True)])
        labels = [_labels(at) for at in edges]
        return labels, before, self._hours(rng, edges, phases)

    def _hours(
        self, rng: np.random.Generator, edges: NDArray[np.float64], phases: NDArray[np.float64]
    ) -> Iterator[Counts]:
        moved = np.zeros(FEATURES)
        for hour in range(self.settled + self.hours):
            moved[:SHIFTED] = self.shift if hour >= self.settled else 0.0
            means = moved + self.steady + self.daily * np.sin(2 * np.pi * hour / 24 + phases)
            if self.shared:
                common = rng.normal(size=(1, self.rows))
                values = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * rng.normal(
                    size=(FEATURES, self.rows)
                )
                yield np.array([_binned(v + m, at) for v, m, at in zip(values, means, edges, strict=True)])
            else:
                below = ndtr(edges - means[:, None])
                chances = np.diff(np.c_[np.zeros(FEATURES), below, np.ones(FEATURES)], axis=1)
                yield rng.multinomial(self.rows, chances)


def _binned(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Counts:
    return np.bincount(np.searchsorted(edges, values), minlength=BINS)


def _labels(edges: NDArray[np.float64]) -> tuple[str, ...]:
    """As a monitor would write them."""
    inner = [f"{low:.4g} … {high:.4g}" for low, high in pairwise(edges)]
    return (f"< {edges[0]:.4g}", *inner, f"≥ {edges[-1]:.4g}")
