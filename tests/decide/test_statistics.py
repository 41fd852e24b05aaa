"""The statistics hold their level: p-values are even under the null, by simulation with fixed seeds."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import kolmogorov

from tocsin.decide.drift import benjamini_hochberg, chi_square, psi_limit
from tocsin.decide.spread import kolmogorov_smirnov, psi
from tocsin.decide.statistics import bridge_tail, chi_square_tail, share_tail

ROUNDS = 1000
TOO_UNEVEN = 0.001
"""A fixed seed either passes or not; this keeps a sound test from failing for its seed."""


def spread_evenly(p: Any) -> float:
    """The chance that even p-values look at least this uneven (Kolmogorov-Smirnov)."""
    ranked = np.sort(np.asarray(p))
    steps = np.arange(1, len(ranked) + 1) / len(ranked)
    distance = max(np.max(steps - ranked), np.max(ranked - steps + 1 / len(ranked)))
    return float(kolmogorov(distance * np.sqrt(len(ranked))))


def shares(rng: np.random.Generator, rows: int, chances: Any) -> Any:
    return rng.multinomial(rows, chances) / rows


@pytest.mark.parametrize(("rows", "before", "bins"), [(500, 5000, 10), (2000, 2000, 30), (300, 900, 5)])
def test_kolmogorov_smirnov_on_bins_is_even_under_the_null(rows: int, before: int, bins: int) -> None:
    rng, chances, found = np.random.default_rng(5), np.full(bins, 1 / bins), []
    for _ in range(ROUNDS):
        was, now = shares(rng, before, chances), shares(rng, rows, chances)
        pooled = (was * before + now * rows) / (before + rows)
        height = kolmogorov_smirnov(was, now) * np.sqrt(rows * before / (rows + before))
        found.append(bridge_tail(height, list(accumulate(pooled))[:-1]))
    assert spread_evenly(found) > TOO_UNEVEN
    assert np.mean(np.asarray(found) <= 0.05) == pytest.approx(0.05, abs=0.015)


def test_chi_square_is_even_under_the_null_also_with_rare_categories() -> None:
    rng, chances = np.random.default_rng(6), [0.4, 0.3, 0.2, 0.08, 0.01, 0.005, 0.005]
    found = []
    for _ in range(ROUNDS):
        statistic, freedom = chi_square(shares(rng, 3000, chances), shares(rng, 600, chances), 600, 3000)
        found.append(chi_square_tail(statistic, freedom))
    assert spread_evenly(found) > TOO_UNEVEN


def test_the_limit_of_the_stability_index_holds_its_level_where_a_tenth_does_not() -> None:
    rng, chances = np.random.default_rng(7), np.full(10, 0.1)
    found = np.array([psi(shares(rng, 500, chances), shares(rng, 100, chances)) for _ in range(ROUNDS)])
    assert np.mean(found > psi_limit(10, 100, 500)) == pytest.approx(0.01, abs=0.01)
    assert np.mean(found > 0.1) > 0.4


def test_the_bridge_is_left_as_often_as_in_simulation() -> None:
    rng, places = np.random.default_rng(8), np.array([0.05, 0.1, 0.25, 0.5, 0.8, 0.97])
    steps = np.sqrt(np.diff(np.r_[0.0, places, 1.0]))
    walk = np.cumsum(rng.normal(size=(200_000, 7)) * steps, axis=1)
    highest = np.abs(walk[:, :-1] - places * walk[:, -1:]).max(axis=1)
    for height in (0.4, 0.8, 1.2, 1.6):
        share = float((highest > height).mean())
        assert bridge_tail(height, list(places)) == pytest.approx(share, rel=0.05, abs=0.002)


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 50))
def test_a_bridge_is_left_with_some_chance_and_less_the_higher(places: list[float], height: float) -> None:
    lower, higher = bridge_tail(height, places), bridge_tail(height * 1.2 + 0.1, places)
    assert 0 <= higher <= lower + 1e-3
    assert lower <= 1


def test_a_limit_is_broken_by_chance_as_often_as_coins_say() -> None:
    assert share_tail(3, 3, 0.5) == pytest.approx(1 / 8)
    assert share_tail(0, 10, 0.2) == 1
    assert share_tail(3, 100, 0.02) == pytest.approx(0.323, abs=0.001)


# --- Benjamini–Hochberg ---

P = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(P, st.integers(0, 60))
def test_q_keeps_the_order_of_p_and_is_never_smaller(p: list[float], silent: int) -> None:
    q = benjamini_hochberg(p, len(p) + silent)
    assert all(1 >= b >= a for a, b in zip(p, q, strict=True))
    ranked = sorted(zip(p, q, strict=True))
    assert all(one[1] <= other[1] for one, other in pairwise(ranked))


@given(P, st.integers(0, 39), st.floats(0, 1))
def test_a_smaller_p_never_makes_any_q_larger(p: list[float], place: int, factor: float) -> None:
    smaller = [value * factor if at == place % len(p) else value for at, value in enumerate(p)]
    assert all(b <= a + 1e-12 for a, b in zip(benjamini_hochberg(p, 50), benjamini_hochberg(smaller, 50), strict=True))


@given(P, st.randoms(use_true_random=False))
def test_q_does_not_depend_on_the_order(p: list[float], random: Any) -> None:
    mixed: list[int] = list(range(len(p)))
    random.shuffle(mixed)
    q = benjamini_hochberg(p, 50)
    assert benjamini_hochberg([p[at] for at in mixed], 50) == [q[at] for at in mixed]


@pytest.mark.parametrize(("of", "expected"), [(4, [0.04, 0.04, 0.04, 0.5]), (8, [0.08, 0.08, 0.08, 1.0])])
def test_q_of_a_known_table(of: int, expected: list[float]) -> None:
    assert benjamini_hochberg([0.01, 0.02, 0.03, 0.5], of) == pytest.approx(expected)
