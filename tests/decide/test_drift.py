"""What a drift alert is worth: significance and effect, over everything watched, and what may follow from it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decide.builders import NOON, alert, at, catalog, incident, state
from tocsin.decide.deduplicate import merge
from tocsin.decide.drift import drift_of
from tocsin.decide.drift_words import drift_text
from tocsin.decide.enrich import enrich
from tocsin.decide.route import DRIFT_WITHOUT_EFFECT, route
from tocsin.decide.suppress import gate
from tocsin.decide.usual import noted
from tocsin.domain.alert import AlertState, Distribution, Resolves, Status, Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.drift import Drift, Finding
from tocsin.domain.incident import AdviceKind, GateState, Incident
from tocsin.domain.policy import Checks, DriftPolicy, Flapping, Policy, Rule, Want

BINS = ("0 … 10", "10 … 20", "20 … 30", "30 … 40")
EVEN = (0.25, 0.25, 0.25, 0.25)
MOVED = (0.1, 0.2, 0.3, 0.4)
A_LITTLE = (0.24, 0.25, 0.25, 0.26)
PAGES = Policy(rules=(Rule(name="all", want=Want.PAGE),), defaults={Want.PAGE: ("pagerduty",)})


def spread(now: tuple[float, ...] = MOVED, *, before: int | None = 5000, bins: tuple[str, ...] = BINS) -> Distribution:
    return Distribution(labels=bins, reference=EVEN, current=now, reference_size=before)


def drifted(
    name: str = "device_locale", now: tuple[float, ...] = MOVED, rows: int | None = 400, **given: Any
) -> AlertState:
    facts: dict[str, Any] = {"symptom": Symptom.FEATURE_DRIFT, "metric": "psi", "observed": 0.3, "threshold": 0.1}
    facts |= {"distribution": spread(now), "sample_size": rows, "name": "drift", "sender_key": "job"}
    return state(f"feature:{name}", **{**facts, **given})


def features(count: int) -> Catalog:
    return catalog({"model:churn": [f"feature:f{n}" for n in range(count)]})


def judged(*members: AlertState, known: Catalog | None = None, policy: DriftPolicy | None = None) -> Drift:
    found = drift_of(incident(*members), known or Catalog(), policy or DriftPolicy(), now=NOON)
    assert found is not None
    return found


def finding(*members: AlertState, **given: Any) -> Finding:
    return judged(*members, **given).shifts[0].finding


def test_a_large_shift_on_enough_rows_has_shifted() -> None:
    shift = judged(drifted()).shifts[0]
    assert shift.finding is Finding.SHIFTED
    assert (shift.rows, shift.reference_rows, shift.test) == (400, 5000, "Kolmogorov-Smirnov on the bins")
    assert shift.q is not None
    assert shift.q < 1e-6
    assert shift.measures["mean, sd"] == pytest.approx(0.433, abs=0.001)
    assert shift.measures["Wasserstein, sd"] == pytest.approx(0.433, abs=0.001)
    assert shift.measures["PSI limit"] == pytest.approx(0.0306, abs=0.0002)


def test_a_shift_of_no_size_is_small_however_many_rows_prove_it() -> None:
    shift = judged(drifted(now=A_LITTLE, rows=200_000, distribution=spread(A_LITTLE, before=1_000_000))).shifts[0]
    assert shift.finding is Finding.SMALL
    assert shift.q is not None
    assert shift.q < 1e-6


def test_the_same_shift_on_few_rows_may_be_chance() -> None:
    assert finding(drifted(now=(0.2, 0.25, 0.25, 0.3), rows=60)) is Finding.CHANCE


@pytest.mark.parametrize(
    ("rows", "before", "why"),
    [
        (None, 5000, "vendor threshold, not tested: rows not told"),
        (400, None, "vendor threshold, not tested: rows of the reference not told"),
        (None, None, "vendor threshold, not tested: rows and rows of the reference not told"),
        (19, 5000, "not tested: fewer than 20 rows"),
    ],
)
def test_without_row_counts_nothing_is_tested_and_no_p_is_made_up(rows: int, before: int, why: str) -> None:
    shift = judged(drifted(rows=rows, distribution=spread(before=before))).shifts[0]
    assert (shift.finding, shift.p, shift.q, shift.test) == (Finding.UNTESTED, None, None, why)
    assert shift.strength is not None, "how large it is can be told without"


def test_a_threshold_alone_is_not_tested() -> None:
    found = judged(drifted(distribution=None))
    assert found.words == "vendor threshold, not tested"
    assert found.shifts[0].measures == {"observed": 0.3, "limit": 0.1}


def test_the_senders_own_p_value_is_taken_where_it_says_that_it_is_one() -> None:
    by_sender: dict[str, Any] = {"distribution": None, "observed": 0.003, "threshold": 0.05, "metric": "drift"}
    named = drifted(**by_sender, labels={"method": "Kolmogorov-Smirnov p-value"})
    assert judged(named).shifts[0].p == 0.003
    assert judged(drifted(**by_sender, labels={"method": "Wasserstein distance"})).shifts[0].p is None


def test_categories_are_tested_by_chi_square() -> None:
    shift = judged(drifted(distribution=spread(bins=("de", "fr", "it", "es")))).shifts[0]
    assert (shift.finding, shift.test) == (Finding.SHIFTED, "chi-square")
    assert "Wasserstein, sd" not in shift.measures


def test_the_silent_features_count_as_tested_too() -> None:
    alone = drifted("f0", now=(0.16, 0.25, 0.25, 0.34), rows=150)
    assert finding(alone) is Finding.SHIFTED
    assert finding(alone, known=features(50)) is Finding.CHANCE


def test_shares_of_rows_are_tested_against_their_limit() -> None:
    nulls: dict[str, Any] = {"symptom": Symptom.DATA_QUALITY, "metric": "null_share", "threshold": 0.02}
    nulls["distribution"] = None
    assert finding(drifted(**nulls, observed=0.03, rows=100)) is Finding.CHANCE
    assert finding(drifted(**nulls, observed=0.31, rows=48_000)) is Finding.SHIFTED
    assert judged(drifted(**nulls, observed=0.31)).words == "", "the ticket tells of missing values anyhow"
    untold = drifted(**nulls, observed=0.31, rows=None)
    assert drift_of(incident(untold), Catalog(), DriftPolicy(), now=NOON) is None


def test_an_outage_without_drift_has_no_finding() -> None:
    assert drift_of(incident(state()), Catalog(), DriftPolicy(), now=NOON) is None


SHARES = st.lists(st.integers(1, 9), min_size=4, max_size=4)


@given(st.lists(st.tuples(SHARES, st.one_of(st.none(), st.integers(1, 5000))), min_size=1, max_size=8), st.integers())
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_features_does_not_matter(told: list[tuple[list[int], int | None]], seed: int) -> None:
    members = [
        drifted(f"f{n}", rows=rows, distribution=spread(tuple(map(float, weights))))
        for n, (weights, rows) in enumerate(told)
    ]
    mixed = random.Random(seed).sample(members, len(members))
    assert judged(*members, known=features(20)) == judged(*mixed, known=features(20))


ANY = st.floats(0, allow_nan=False, allow_infinity=False)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, ANY, ANY), min_size=1, max_size=6), st.integers(0, 2**63), st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_a_sender_tells_the_numbers_stay_numbers(
    told: list[tuple[float, float, float, float]], rows: int, data: st.DataObject
) -> None:
    bins = tuple(f"{low!r} … {high!r}" for low, high, _, _ in told)
    given = Distribution(
        labels=data.draw(st.sampled_from([bins, tuple(sorted(bins)), tuple("abcdef"[: len(bins)])])),
        reference=tuple(was for *_, was, _ in told),
        current=tuple(now for *_, now in told),
        reference_size=data.draw(st.one_of(st.none(), st.integers(1, 2**63))),
    )
    (shift,) = judged(drifted(distribution=given, rows=rows)).shifts
    numbers = [*shift.measures.values(), shift.p or 0.0, shift.q or 0.0, shift.strength or 0.0]
    assert all(math.isfinite(number) for number in numbers)


# --- words ---


def checked_again(member: AlertState, times: int) -> AlertState:
    for hour in range(1, times):
        again = replace(member.alert, starts_at=at(60 * hour), received_at=at(60 * hour))
        member, _ = merge(member, again, Flapping(), now=at(60 * hour))
    return member


def test_the_ticket_says_how_many_of_how_many_and_since_when() -> None:
    members = [drifted(f"f{n}", now=(0.15, 0.25, 0.25, 0.35)) for n in range(1, 12)]
    found = judged(checked_again(drifted("f0"), 3), *members, known=features(50))
    assert found.words == "12 of 50 features shifted, most: f0, third window in a row"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([drifted()], "device_locale shifted by more than chance"),
        ([drifted(), drifted("age")], "2 features shifted, most: age"),
        ([drifted(segment="country=DE")], "device_locale for country=DE shifted by more than chance"),
        (
            [drifted(now=(0.2, 0.25, 0.25, 0.3), rows=60)],
            "chance alone may move 60 rows as much as device_locale moved",
        ),
        (
            [drifted(now=A_LITTLE, rows=200_000, distribution=spread(A_LITTLE, before=1_000_000))],
            "device_locale did move, tested, but too little to matter",
        ),
        ([drifted(), drifted("age", rows=None)], "1 of 2 features shifted, most: device_locale, 1 not tested"),
    ],
)
def test_what_was_found_out_is_said_in_plain_words(members: list[AlertState], words: str) -> None:
    found = judged(*members).words
    assert found in (words, words.replace("1 of 2 features", "1 feature"))


def test_every_number_stands_in_the_evidence() -> None:
    text = drift_text(judged(checked_again(drifted(), 2)))
    assert "feature:device_locale: shifted" in text
    assert "Wasserstein 0.433 sd" in text
    assert "(limit 0.031 at n = 400)" in text
    assert "400 rows against 5,000" in text
    assert "second failed check in a row" in text


# --- what follows ---


def routed(*members: AlertState, policy: Policy, known: Catalog | None = None) -> Any:
    bare = incident(*members)
    told = enrich(bare, known or Catalog(), policy, changes=(), similar=(), now=NOON)
    return route(replace(bare, enrichment=told), known or Catalog(), policy, now=NOON)


TOO_SMALL = drifted(now=A_LITTLE, rows=200_000, distribution=spread(A_LITTLE, before=1_000_000))
CALM = replace(PAGES, drift=DriftPolicy(without_effect=Want.TICKET))


def test_by_itself_a_finding_changes_no_route() -> None:
    assert routed(TOO_SMALL, policy=PAGES).want is Want.PAGE


def test_the_policy_may_ask_for_less_when_a_drift_has_no_effect() -> None:
    found = routed(TOO_SMALL, policy=CALM)
    assert found.want is Want.TICKET
    assert DRIFT_WITHOUT_EFFECT in found.because
    assert routed(TOO_SMALL, policy=replace(PAGES, drift=DriftPolicy(without_effect=Want.NONE))).want is Want.NONE


@pytest.mark.parametrize(
    "beside",
    [drifted("age"), drifted("age", rows=None), state(symptom=Symptom.ERRORS)],
    ids=["a real shift", "an untested one", "something else"],
)
def test_nothing_is_calmed_beside_anything_else(beside: AlertState) -> None:
    assert routed(TOO_SMALL, beside, policy=CALM).want is Want.PAGE


def test_what_was_asked_for_is_not_taken_back() -> None:
    paged = incident(TOO_SMALL, routing=routed(TOO_SMALL, policy=PAGES))
    told = enrich(paged, Catalog(), CALM, changes=(), similar=(), now=NOON)
    assert route(replace(paged, enrichment=told), Catalog(), CALM, now=NOON).want is Want.PAGE


TWICE = Policy(drift=DriftPolicy(checks=Checks(failed=2, of=3, at_most=timedelta(hours=25))))


def gated(found: Incident, *, hours: float = 0) -> Any:
    return gate(found, TWICE, Catalog(), now=at(60 * hours))


def test_a_drift_waits_for_its_second_failed_check() -> None:
    first = gated(incident(drifted()))
    assert (first.state, first.reason) == (GateState.WAITING, "not_persistent")
    assert first.until == NOON + timedelta(hours=25)
    assert gated(incident(checked_again(drifted(), 2)), hours=1).state is GateState.ACTIVE


def test_many_first_failures_are_no_second_one() -> None:
    assert gated(incident(*[drifted(f"f{n}") for n in range(4)])).state is GateState.WAITING


def test_a_sender_that_reports_once_is_let_through_in_the_end() -> None:
    assert gated(incident(drifted()), hours=26).state is GateState.ACTIVE


def test_a_spike_of_something_else_waits_for_nothing() -> None:
    assert gated(incident(state(symptom=Symptom.ERRORS))).state is GateState.ACTIVE


def test_a_grown_shift_is_judged_by_its_newest_numbers() -> None:
    later = replace(drifted().alert, starts_at=at(60), received_at=at(60))
    grown, _ = merge(TOO_SMALL, later, Flapping(), now=at(60))
    assert finding(TOO_SMALL) is Finding.SMALL
    assert finding(grown) is Finding.SHIFTED


def test_an_older_check_that_comes_late_changes_no_numbers() -> None:
    newest = drifted(started=60)
    late = replace(TOO_SMALL.alert, starts_at=at(0), received_at=at(90))
    after, _ = merge(newest, late, Flapping(), now=at(90))
    assert after.alert.distribution == newest.alert.distribution


# --- advice ---


def advised(*members: AlertState) -> list[tuple[AdviceKind, str]]:
    told = enrich(incident(*members), Catalog(), Policy(), changes=(), similar=(), now=NOON)
    return [(advice.kind, advice.because) for advice in told.advice]


def test_a_threshold_that_fires_on_nothing_is_to_be_raised_first() -> None:
    assert advised(TOO_SMALL)[0] == (AdviceKind.ADJUST_THRESHOLD, "the shift was tested: real, but too small")
    chance = advised(drifted(now=(0.2, 0.25, 0.25, 0.3), rows=60))[0]
    assert chance == (AdviceKind.ADJUST_THRESHOLD, "the shift was tested: chance alone moves so few rows as much")


def test_shifted_inputs_with_intact_results_are_watched() -> None:
    because = "values shifted by more than chance without a known change, no accuracy alert fires"
    assert advised(drifted())[0] == (AdviceKind.WAIT, because)


def test_accuracy_that_drops_with_its_inputs_says_so() -> None:
    worse = state("model:churn", symptom=Symptom.PERFORMANCE, metric="auc", name="auc")
    kind, because = advised(drifted(), worse)[0]
    assert kind is AdviceKind.RETRAIN
    assert "while its inputs shifted" in because


def test_ranking_intact_but_calibration_off_is_recalibrated() -> None:
    off = state("model:churn", symptom=Symptom.CALIBRATION, metric="ece", name="ece")
    loss = state("model:churn", symptom=Symptom.PERFORMANCE, metric="log_loss", name="loss")
    ranking = state("model:churn", symptom=Symptom.PERFORMANCE, metric="roc_auc", name="auc")
    assert advised(off, loss)[0][0] is AdviceKind.RECALIBRATE
    assert AdviceKind.RECALIBRATE not in [kind for kind, _ in advised(off, ranking)]


def moving(features: int, *, shifted: int) -> tuple[Catalog, list[AlertState]]:
    """A model of features, half from job a and half from job b; the first ones drift."""
    names = [f"feature:f{n}" for n in range(features)]
    depends: dict[str, Iterable[str]] = {name: [f"job:{'ab'[n % 2]}"] for n, name in enumerate(names)}
    return catalog({"model:churn": names, **depends}), [drifted(f"f{n}") for n in range(0, 2 * shifted, 2)]


def test_features_that_share_a_producer_and_moved_alone_send_one_there() -> None:
    known, members = moving(10, shifted=3)
    first = enrich(incident(*members), known, Policy(), changes=(), similar=(), now=NOON).advice[0]
    assert (first.kind, first.text) == (AdviceKind.FIX_DATA, "Fix data: check the last run of a first. Do not retrain.")
    assert first.because == "all shifted features come from a, and those from elsewhere hold"
    both = enrich(incident(*members, drifted("f1")), known, Policy(), changes=(), similar=(), now=NOON).advice[0]
    assert both.kind is AdviceKind.WAIT


def test_outcomes_that_became_more_frequent_ask_for_recalibration() -> None:
    moved = state("model:churn", symptom=Symptom.LABEL_DRIFT, distribution=spread(), sample_size=400, name="label")
    assert advised(moved)[0][0] is AdviceKind.RECALIBRATE
    ranking = state("model:churn", symptom=Symptom.PERFORMANCE, metric="roc_auc", name="auc")
    assert advised(moved, ranking)[0][0] is AdviceKind.RETRAIN
    with_inputs = advised(moved, drifted())
    assert AdviceKind.RECALIBRATE not in [kind for kind, _ in with_inputs]


def test_figures_of_probabilities_alone_ask_for_recalibration() -> None:
    loss = state("model:churn", symptom=Symptom.PERFORMANCE, metric="log_loss", name="loss")
    assert advised(loss) == [(AdviceKind.RECALIBRATE, "only figures of its probabilities are off, none of its ranking")]


def test_predictions_that_move_without_inputs_are_looked_into() -> None:
    moved = state("model:churn", symptom=Symptom.PREDICTION_DRIFT, distribution=spread(), sample_size=400, name="out")
    assert advised(moved)[0][0] is AdviceKind.INVESTIGATE
    assert advised(moved, drifted())[0][0] is AdviceKind.WAIT


def test_a_shift_that_lasts_is_waited_for_no_longer() -> None:
    known = drifted()
    for hour in (1, 2):
        again = replace(known.alert, starts_at=at(60 * hour), received_at=at(60 * hour))
        known, _ = merge(known, again, Flapping(), now=at(60 * hour))
    kind, because = advised(known)[0]
    assert kind is AdviceKind.INVESTIGATE
    assert because == "shifted by more than chance 3 times in a row, and no accuracy alert fires"


# --- what an hour of every day brings, and what must be repeated ---


EDGES = [step * 0.5 for step in range(-8, 9)]
NARROW = tuple(f"{low:g} … {high:g}" for low, high in pairwise(EDGES))


def normal(mean: float) -> tuple[float, ...]:
    """Shares of a normal distribution in NARROW bins."""
    below = [math.erf((edge - mean) / math.sqrt(2)) for edge in EDGES]
    return tuple(high - low for low, high in pairwise(below))


def hourly_checks(move: Callable[[int], float], hours: int, *, limit: float = 0.2) -> AlertState:
    """A monitor's hourly check that tells its distribution always, and fails where the mean moved by the limit."""
    known = None
    for hour in range(hours):
        fails = abs(move(hour)) >= limit
        now = at(60 * hour)
        told = Distribution(labels=NARROW, reference=normal(0), current=normal(move(hour)), reference_size=5000)
        report = alert(
            "feature:age", name="drift", symptom=Symptom.FEATURE_DRIFT, resolves=Resolves.NEXT_PASS, received_at=now,
            status=Status.FIRING if fails else Status.RESOLVED, starts_at=now if fails else None,
            ends_at=None if fails else now, distribution=told, sample_size=2000,
        )  # fmt: skip
        after, transition = merge(known, report, Flapping(opens=999), now=now)
        known = noted(known, after, report, transition, DriftPolicy(), now=now)
    assert known is not None
    return known


def by_hour(hour: int) -> float:
    """About .4 standard deviations at one hour of the day (3 hours of it), else next to nothing."""
    return 0.4 if hour % 24 in (9, 10, 11) else 0.01


def test_a_shift_as_on_every_day_at_this_hour_is_none() -> None:
    drift = judged(hourly_checks(by_hour, 24 * 8 + 11))
    assert drift.shifts[0].finding is Finding.SMALL
    assert drift.shifts[0].as_usual
    assert drift.words == "age did move, tested, as much as usual at this hour"
    assert "mean usual at this hour 0.3" in drift_text(drift)


def test_the_advice_is_then_to_compare_with_the_same_hour() -> None:
    kind, because = advised(hourly_checks(by_hour, 24 * 8 + 11))[0]
    assert (kind, because) == (AdviceKind.ADJUST_THRESHOLD, "it moves as much at this hour anyhow")


def test_a_shift_beyond_what_the_hour_brings_is_one() -> None:
    found = judged(hourly_checks(lambda hour: 0.7 if hour == 24 * 8 + 10 else by_hour(hour), 24 * 8 + 11))
    assert found.shifts[0].finding is Finding.SHIFTED


def test_a_shift_that_stays_all_day_never_becomes_usual() -> None:
    found = judged(hourly_checks(lambda hour: 0.4 if hour > 48 else 0.01, 24 * 20))
    assert found.shifts[0].finding is Finding.SHIFTED


def test_few_days_are_no_season() -> None:
    assert judged(hourly_checks(by_hour, 24 * 2 + 11)).shifts[0].finding is Finding.SHIFTED


def test_a_sender_that_only_tells_of_failed_checks_shows_no_season() -> None:
    known = None
    for day in range(12):
        for hour in (9, 10, 11):
            now = at(60 * (24 * day + hour))
            report = replace(drifted().alert, starts_at=now, received_at=now)
            after, transition = merge(known, report, Flapping(opens=999), now=now)
            known = noted(known, after, report, transition, DriftPolicy(), now=now)
    assert known is not None
    assert known.usual is None


@pytest.mark.parametrize(
    ("moves", "is_repeated"),
    [
        ((0.4, 0.4), True),
        ((0.4, -0.4), False),
        ((0.15, 0.4), False),
        ((0.4, 0.0, 0.4), True),
        ((0.4, 0.0, -0.4), False),
    ],
)
def test_only_the_same_effect_again_is_a_repetition(moves: tuple[float, ...], is_repeated: bool) -> None:
    known = hourly_checks(lambda hour: moves[hour], len(moves), limit=0.1)
    shift = judged(known, policy=DriftPolicy(checks=Checks(), without_effect=Want.NONE)).shifts[0]
    assert (shift.finding, shift.repeated) == (Finding.SHIFTED, is_repeated)


def test_few_rows_of_categories_show_a_distance_by_chance_alone() -> None:
    """200 rows over ten categories lie .077 from a reference that they were drawn from, on average."""
    labels = tuple("abcdefghij")
    told = Distribution(labels=labels, reference=(0.1,) * 10, current=(0.13,) * 5 + (0.07,) * 5, reference_size=5000)
    few, many = (judged(drifted(distribution=told, rows=rows)).shifts[0] for rows in (200, 20_000))
    assert few.strength is not None
    assert many.strength is not None
    assert few.strength < 0.8 < many.strength
