"""Raw values instead of bins: does the test on their bins agree with the test on the values themselves?"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.sources.reading import hook_of, message_of
from tocsin.decide.drift import MOVE, measured
from tocsin.decide.spread import bounds_of
from tocsin.domain.alert import Alert
from tocsin.domain.errors import BadPayload
from tocsin.domain.policy import DriftPolicy
from tocsin.sources import of
from tocsin.sources._values import Value, spread_of

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def alert(distribution: dict[str, Any]) -> Alert:
    hook = hook_of("native_alert")
    body = {"name": "drift", "subject": "feature:age", "symptom": "feature_drift", "distribution": distribution}
    [found] = of(hook).normalize(message_of(orjson.dumps(body), hook, NOW), hook).alerts
    return found


def normal(chance: random.Random, rows: int, mean: float = 0.0) -> list[float]:
    return [chance.gauss(mean, 1) for _ in range(rows)]


@pytest.mark.parametrize("mean", [0.0, 0.15, 0.3, -1.0])
def test_the_test_on_the_bins_agrees_with_the_test_on_the_values(mean: float) -> None:
    chance = random.Random(7)
    before, now = normal(chance, 2000), normal(chance, 500, mean)
    found = measured(alert({"reference_values": before, "current_values": now}), DriftPolicy())
    exact = stats.ks_2samp(before, now).pvalue
    assert found.p is not None
    assert (found.rows, found.reference_rows) == (500, 2000)
    assert (found.p < 0.01) == (exact < 0.01)
    assert (found.p > 0.2) == (exact > 0.2)
    moved = dict(found.measures)
    assert moved[MOVE] == pytest.approx(mean, abs=0.12)


def test_the_values_are_not_kept() -> None:
    spread = normal(random.Random(1), 400)
    kept = repr(alert({"reference_values": spread, "current_values": spread}).distribution)
    assert not [value for value in spread if repr(value) in kept]


def test_of_numbers_that_hardly_differ_the_labels_still_do() -> None:
    seconds = [1.7e9 + n for n in range(400)]
    assert len(spread_of(seconds, seconds).labels) == 10
    assert spread_of([*seconds, 0.0], seconds).labels[0] == "< 1700000039"


def test_words_are_categories_and_missing_values_count_nowhere() -> None:
    found = alert({"reference_values": ["web", "app", None, "web"], "current_values": ["app", "kiosk"]}).distribution
    assert found is not None
    assert (found.labels, found.reference_size, found.current_size) == (("app", "web", "kiosk"), 3, 2)
    assert found.current == (0.5, 0, 0.5)


def test_what_is_mostly_zero_has_a_bin_for_zero() -> None:
    before, now = [0.0] * 700 + [float(n) for n in range(1, 301)], [0.0] * 600 + [n / 2 for n in range(1, 401)]
    found = spread_of(before, now)
    assert found.reference[1] == 0.7
    assert found.current[1] == 0.6


@pytest.mark.parametrize(
    ("distribution", "reason"),
    [
        ({"reference_values": [1, 2], "current_values": []}, "current_values hold no value"),
        ({"reference_values": [None], "current_values": [1]}, "reference_values hold no value"),
        ({"reference_values": [1, "a"], "current_values": [1]}, "numbers and words are mixed"),
        ({"reference_values": [1], "current_values": [1], "labels": ["a"]}, "send one of them"),
        ({}, "are missing"),
    ],
)
def test_a_wrong_body_is_refused_by_name(distribution: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        alert(distribution)


VALUES = st.lists(st.floats(allow_infinity=False) | st.integers(-5, 5).map(float) | st.none(), min_size=1, max_size=300)


@given(VALUES, VALUES)
def test_any_numbers_make_a_spread_whose_shares_add_up(before: list[Value], now: list[Value]) -> None:
    try:
        found = spread_of(before, now)
    except ValueError:
        return
    assert len(found.labels) == len(found.reference) == len(found.current) == len(set(found.labels))
    assert sum(found.reference) == pytest.approx(1, abs=1e-4)
    assert sum(found.current) == pytest.approx(1, abs=1e-4)
    bounds_of(found.labels)
