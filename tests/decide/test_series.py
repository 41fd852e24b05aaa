"""Measured courses: when trouble began, what moved where a change can explain it, and what counts against it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wasserstein_distance

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.decide.ranks import effect, greater
from tocsin.decide.series import CAP, FLOOR, factor_of, stepped
from tocsin.domain.change import Change
from tocsin.domain.incident import Attribution, Suspect
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject

SHOP = catalog(
    {
        "service:checkout": ["service:payments"],
        "service:basket": ["service:payments"],
        "service:search": ["service:index"],
        "service:mail": [],
    }
)
CHECKOUT_FAILS = incident(state("service:checkout"))


def course(
    subject: str,
    values: Callable[[float], float],
    *,
    metric: str = "error_ratio",
    until: float = 5,
    noise: float = 0.05,
) -> Series:
    """A value a minute from an hour before noon, with the same noise every time."""
    chance = random.Random(7)
    minutes = np.arange(-60, until + 0.5)
    points = tuple((at(m), values(float(m)) + chance.gauss(0, noise)) for m in minutes)
    return Series(subject=Subject(subject), metric=metric, points=points)


def step(when: float, before: float = 0.2, after: float = 4.1) -> Callable[[float], float]:
    return lambda minute: after if minute >= when else before


def scored(*changes: Change, series: list[Series], minute: float = 5, **given: Any) -> Attribution:
    return attribute(CHECKOUT_FAILS, changes, SHOP, now=at(minute), series=series, **given)


def found(answer: Attribution, id: str) -> Suspect:
    return next(suspect for suspect in answer.suspects if suspect.change.id == id)


def test_the_onset_is_the_first_sample_beyond_the_baseline() -> None:
    answer = scored(change("d", "service:checkout", -40), series=[course("service:checkout", step(-25))])
    assert answer.onset_at == at(-25)
    assert found(answer, "d").lag == at(-25) - at(-40)
    assert (
        found(answer, "d")
        .because[0]
        .startswith(
            "changed 15 min before error_ratio of service:checkout left its baseline, 25 min before the first alert;"
        )
    )


def test_an_onset_close_to_the_alert_tells_nothing_that_the_alert_does_not() -> None:
    cause = change("d", "service:checkout", -40)
    close = scored(cause, series=[course("service:checkout", step(-4))])
    assert close.onset_at == at(0)
    assert close.suspects[0].terms["lag"] == scored(cause, series=[]).suspects[0].terms["lag"]


def test_a_change_between_onset_and_alert_is_no_longer_likely() -> None:
    early, late = change("early", "service:checkout", -30), change("late", "service:checkout", -4)
    without = scored(early, late, series=[])
    informed = scored(early, late, series=[course("service:checkout", step(-25))])
    assert without.suspects[0].change.id == "late"
    assert informed.suspects[0].change.id == "early"
    assert (
        "changed 21 min after error_ratio of service:checkout left its baseline" in found(informed, "late").against[0]
    )


def test_one_wrong_step_does_not_rule_the_cause_out() -> None:
    cause = change("d", "service:checkout", -4)
    misled = scored(cause, series=[course("service:checkout", step(-50))])
    assert misled.suspects[0].probability > 0.2


def test_a_course_that_never_moves_tells_no_onset() -> None:
    answer = scored(change("d", "service:checkout", -20), series=[course("service:checkout", lambda _: 0.2)])
    assert answer.onset_at == at(0)
    assert found(answer, "d").against == ("error_ratio of service:checkout did not move after it (0.203, then 0.196)",)
    assert answer.suspects[0].terms["series"] < 0


def test_only_a_run_to_the_end_is_a_step_and_not_one_wild_sample() -> None:
    noise = np.random.default_rng(3).normal(1, 0.1, 100)
    wild, late = noise.copy(), noise.copy()
    wild[40] = 50.0
    late[97:] += 2
    assert (stepped(noise), stepped(wild), stepped(late), stepped(np.ones(3))) == (None, None, 97, None)
    assert stepped(np.array([0.0] * 20 + [1.0] * 3)) == 20


def test_pure_noise_seldom_steps() -> None:
    draws = np.random.default_rng(5).standard_normal((500, 120))
    assert sum(stepped(values) is not None for values in draws) <= 1


def test_the_new_version_against_the_old_tells_the_canary() -> None:
    bad, other = (
        change("bad", "service:checkout", -20, version="5.2.0"),
        change("other", "service:payments", -12, version="7"),
    )
    split = [
        course("service:checkout", step(-19), metric="error_ratio@5.2.0"),
        course("service:checkout", lambda _: 0.2, metric="error_ratio@5.1.9"),
    ]
    same = [replace(split[0], points=split[1].points), split[1]]
    guilty, innocent = found(scored(bad, other, series=split), "bad"), found(scored(bad, other, series=same), "bad")
    assert guilty.terms["series"] > 3
    assert guilty.because[1].startswith(
        "error_ratio of service:checkout: 0.196 in other versions, 4.1 in 5.2.0 (p < .0001"
    )
    assert innocent.terms["series"] < 0
    assert guilty.probability > innocent.probability


def test_what_moved_without_an_alert_speaks_for_a_change_above_it() -> None:
    both = [change("payments", "service:payments", -20), change("checkout", "service:checkout", -20)]
    moved = scored(*both, series=[course("service:basket", step(-15))])
    assert found(moved, "payments").terms["series"] > 1
    assert "series" not in found(moved, "checkout").terms
    assert "error_ratio of service:basket went from 0.2" in " ".join(found(moved, "payments").because)


def test_what_unaffected_peers_did_too_speaks_for_nobody() -> None:
    cause = change("payments", "service:payments", -20)
    alone = scored(cause, series=[course("service:basket", step(-15))])
    everywhere = [course(f"service:{name}", step(-15)) for name in ("basket", "search", "mail")]
    assert found(alone, "payments").terms["series"] > 1
    assert "series" not in found(scored(cause, series=everywhere), "payments").terms


def test_nothing_later_than_the_decision_is_looked_at() -> None:
    cause = change("d", "service:checkout", -40)
    until_now = course("service:checkout", step(-25), until=5)
    beyond = replace(until_now, points=(*until_now.points, (at(6), 900.0), (at(7), 900.0)))
    assert scored(cause, series=[beyond]) == scored(cause, series=[until_now])


def test_the_order_of_series_and_points_changes_nothing() -> None:
    series = [course("service:checkout", step(-25)), course("service:basket", step(-20)), course("service:x", step(1))]
    turned = [replace(one, points=tuple(reversed(one.points))) for one in reversed(series)]
    changes = [change("a", "service:payments", -30), change("b", "service:checkout", -22)]
    assert scored(*changes, series=turned) == scored(*reversed(changes), series=series)


def test_the_terms_sum_to_the_shown_logit_with_series() -> None:
    answer = scored(
        change("a", "service:payments", -30),
        change("b", "service:checkout", -22),
        series=[course("service:basket", step(-20))],
    )
    for shown in answer.suspects:
        logit = np.log(shown.probability / (1 - shown.probability))
        assert sum(shown.terms.values()) == pytest.approx(logit, abs=1e-4)


@given(st.floats(0, 1), st.floats(0, 9))
def test_a_factor_is_bounded_and_never_rises_with_p(p: float, size: float) -> None:
    assert FLOOR <= factor_of(p, size) <= CAP
    assert factor_of(p, 2.0) >= factor_of(min(1.0, p + 0.01), 2.0) - 1e-12
    assert factor_of(1e-9, 0.1) == 1.0


@pytest.mark.parametrize(("n", "m"), [(3, 20), (8, 60), (10, 40), (3, 300)])
@pytest.mark.parametrize("tied", [False, True])
def test_ranks_and_distance_agree_with_scipy(n: int, m: int, tied: bool) -> None:
    rng = np.random.default_rng(n * m)
    one, other = rng.normal(1, 1, n), rng.normal(0, 1, m)
    if tied:
        one, other = one.round(), other.round()
    assert greater(one, other) == pytest.approx(mannwhitneyu(one, other, alternative="greater").pvalue, rel=1e-9)
    assert effect(other, one) == pytest.approx(wasserstein_distance(one, other) / other.std(), rel=1e-9)
