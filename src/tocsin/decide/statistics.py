"""The few statistics that need scipy. Only workers import this (`scipy.special` costs about a second and 50 MiB)."""

from __future__ import annotations

from functools import lru_cache

from scipy.special import betaincinv


@lru_cache(maxsize=1024)
def beta_interval(caused: float, harmless: float) -> tuple[float, float, float]:
    """5 %, mean and 95 % of Beta(caused, harmless): how likely such a change breaks something."""
    low, high = (float(betaincinv(caused, harmless, q)) for q in (0.05, 0.95))
    return low, caused / (caused + harmless), high
