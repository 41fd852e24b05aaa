"""When may the probabilities be altered, and by how much?"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute, set_right, told, weigh
from tocsin.decide.calibrate import ENOUGH, EVERY, Foreseen, calibrated
from tocsin.decide.experience import COLD
from tocsin.decide.scene import scene_of


def answered(chance: random.Random, *, bold: float = 1.0, none: float = 0.0) -> Foreseen:
    """A model's answer, and what happened in a world where `bold` and `none` would have been right."""
    weights = [math.exp(chance.gauss(0, 2)) for _ in range(7)]
    p = [w / sum(weights) for w in weights]
    true = [x**bold for x in p]
    true[5] *= math.exp(none)
    was = chance.choices(range(7), true)[0]
    return Foreseen(shown=tuple(p[:5]), no_change=p[5], others=1, was=was)


def world(seed: int, many: int, *, bold: float = 1.0, none: float = 0.0) -> list[Foreseen]:
    chance = random.Random(seed)
    return [answered(chance, bold=bold, none=none) for _ in range(many)]


def test_a_model_that_is_too_bold_is_found_out() -> None:
    found = calibrated(world(1, 250, bold=0.5))
    assert found.in_use
    assert found.bold == pytest.approx(0.5, abs=0.15)
    assert found.none == pytest.approx(0, abs=0.5)


def test_a_model_that_forgets_unknown_causes_is_found_out() -> None:
    found = calibrated(world(2, 250, none=1.5))
    assert found.in_use
    assert found.none == pytest.approx(1.5, abs=0.5)


def test_a_model_that_is_right_is_left_alone() -> None:
    altered = [calibrated(world(seed, 250)).in_use for seed in range(20)]
    assert sum(altered) <= 1  # one in twenty worlds at most


def test_few_confirmations_alter_nothing_however_wrong_the_model() -> None:
    assert not calibrated(world(3, EVERY, bold=0.2)).in_use
    assert not calibrated([]).in_use


def test_it_says_how_much_it_gained() -> None:
    assert calibrated(world(1, 250, bold=0.5)).gain >= ENOUGH > calibrated(world(4, 250)).gain


@given(st.floats(0.1, 3), st.floats(-3, 3))
def test_setting_right_keeps_the_order_and_the_terms_still_sum_to_the_shown_logit(bold: float, none: float) -> None:
    known = catalog({"service:shop": ["service:cart"], "service:cart": []})
    changes = [change(f"c{n}", "service:cart" if n % 2 else "service:shop", -7.0 * n - 1) for n in range(4)]
    scene = scene_of(incident(state("service:shop")), changes, known, now=at(5))
    plain, right = weigh(scene, COLD), set_right(weigh(scene, COLD), bold=bold, none=none)
    assert [s.change.id for s in told(plain).suspects] == [s.change.id for s in told(right).suspects]
    assert right.shares.sum() == pytest.approx(1)
    for one in told(right).suspects:
        logit = math.log(one.probability / (1 - one.probability))
        assert sum(one.terms.values()) == pytest.approx(logit, abs=1e-4)
    assert attribute(incident(state("service:shop")), changes, known, now=at(5)) == told(plain)
