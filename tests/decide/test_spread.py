"""Distances between binned distributions: their bounds, their order of bins, and values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tocsin.decide.spread import (
    bounds_of,
    deviation,
    jensen_shannon,
    kolmogorov_smirnov,
    kullback_leibler,
    mean,
    psi,
    shares_of,
    wasserstein,
)

TENS = ((0.0, 10.0), (10.0, 20.0), (20.0, 30.0))
WEIGHTS = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=2, max_size=30)


@given(st.data(), WEIGHTS)
def test_distances_stay_within_their_bounds_and_are_nothing_between_equals(
    data: st.DataObject, one: list[float]
) -> None:
    other = data.draw(st.lists(st.floats(0, 1e6), min_size=len(one), max_size=len(one)))
    before, now = shares_of(one), shares_of(other)
    assume(before and now)
    assert psi(before, now) >= 0
    assert kullback_leibler(before, now) >= 0
    assert 0 <= jensen_shannon(before, now) <= math.log(2)
    assert 0 <= kolmogorov_smirnov(before, now) <= 1 + 1e-9
    assert psi(before, before) == kolmogorov_smirnov(before, before) == 0
    assert jensen_shannon(before, before) == pytest.approx(0, abs=1e-12)


@given(st.data(), WEIGHTS)
def test_the_wasserstein_distance_is_a_distance_and_no_less_than_the_means_move(
    data: st.DataObject, one: list[float]
) -> None:
    other = data.draw(st.lists(st.floats(0, 1e6), min_size=len(one), max_size=len(one)))
    before, now = shares_of(one), shares_of(other)
    assume(before and now)
    bounds = tuple((float(n), float(n + 1)) for n in range(len(one)))
    found = wasserstein(before, now, bounds)
    assert found == pytest.approx(wasserstein(now, before, bounds), abs=1e-9)
    assert found >= abs(mean(now, bounds) - mean(before, bounds)) - 1e-9


def test_everything_moving_up_one_bin_is_a_distance_of_one_bin() -> None:
    assert wasserstein((1, 0, 0), (0, 1, 0), TENS) == pytest.approx(10)
    assert wasserstein((1, 0, 0), (0, 1, 0), TENS, shifted=-10) == pytest.approx(0, abs=1e-9)
    assert mean((0, 1, 0), TENS) - mean((1, 0, 0), TENS) == 10


def test_an_even_spread_has_the_deviation_of_its_whole_width() -> None:
    assert deviation((1 / 3, 1 / 3, 1 / 3), TENS) == pytest.approx(30 / math.sqrt(12))


def test_a_wider_shape_is_a_distance_even_when_the_mean_stays() -> None:
    assert mean((0, 1, 0), TENS) == mean((0.5, 0, 0.5), TENS)
    assert wasserstein((0, 1, 0), (0.5, 0, 0.5), TENS) == pytest.approx(7.5)


def test_the_stability_index_of_a_known_pair() -> None:
    assert psi((0.5, 0.5), (0.7, 0.3)) == pytest.approx(0.2 * math.log(1.4) - 0.2 * math.log(0.6))
    assert psi((1.0, 0.0), (0.5, 0.5)) < math.inf


@pytest.mark.parametrize(
    ("labels", "bounds"),
    [
        (("0 … 10", "10 … 20"), ((0, 10), (10, 20))),
        (("[0, 1.5)", "[1.5, 3e1]"), ((0, 1.5), (1.5, 30))),
        (("-5 - -1", "-1 - 2"), ((-5, -1), (-1, 2))),
        (("18–25", "25–65", "65+"), ((18, 25), (25, 65), (65, 105))),
        (("< 0", "0 to 4", "≥ 4"), ((-4, 0), (0, 4), (4, 8))),
        (("1", "2", "3", "5", "9"), ((0.5, 1.5), (1.5, 2.5), (2.5, 4), (4, 7), (7, 11))),
        (("app", "web"), ()),
        (("1", "2", "3"), ()),
        (("10 … 20", "0 … 10"), ()),
        (("0 … 10", "other"), ()),
        (("< 5", "> 5"), ()),
        (("0 … 10",), ()),
    ],
)
def test_labels_that_are_rising_ranges_have_an_order_and_others_are_categories(
    labels: tuple[str, ...], bounds: tuple[tuple[float, float], ...]
) -> None:
    assert bounds_of(labels) == bounds


@given(st.lists(st.text(max_size=20), max_size=8))
def test_no_label_is_too_odd_to_be_looked_at(labels: list[str]) -> None:
    found = bounds_of(tuple(labels))
    assert found == () or len(found) == len(labels)
