"""What a change's own facts say: runs against the runs before them, a model's version against what the alerts name."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decide.builders import at, catalog, change, incident, state
from tocsin.decide.attribute import attribute
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution, Suspect

CHURN = catalog({"model:churn": ["feature:spend"], "feature:spend": ["job:ingest"], "job:ingest": []})
OUTAGE = incident(state("feature:spend"))


def run(n: int, *, minutes: float, took: float = 20, rows: str = "50000", columns: str = "id:INT,total:INT") -> Change:
    """One run of the ingest job."""
    made = change(
        f"run{n}",
        "job:ingest",
        minutes,
        ChangeKind.PIPELINERUN_FINISHED,
        outcome=ChangeOutcome.SUCCESS,
        labels={"rowCount.orders": rows, "schema.orders": columns},
    )
    return replace(made, finished_at=made.occurred_at + timedelta(minutes=took))


def usual_runs() -> list[Change]:
    return [run(n, minutes=-600 + 60 * n, took=18.5 + n % 4, rows=str(50_000 + 700 * n)) for n in range(8)]


def of(found: Attribution, id: str) -> Suspect:
    return next(one for one in found.suspects if one.change.id == id)


def judged(last: Change) -> Suspect:
    return of(attribute(OUTAGE, [*usual_runs(), last], CHURN, now=at(5)), last.id)


def test_a_usual_run_is_a_little_less_suspect_and_no_words_are_made_of_it() -> None:
    found = judged(run(9, minutes=-30))
    assert math.exp(found.terms["facts"]) == pytest.approx(0.85 / 0.95, abs=1e-5)
    assert not any("usually" in words for words in found.because)


def test_a_run_that_took_far_longer_than_the_runs_before_it_is_three_times_as_suspect() -> None:
    found = judged(run(9, minutes=-90, took=80))
    assert "the run took 80 min, usually 20" in found.because
    assert math.exp(found.terms["facts"]) == pytest.approx(3, abs=1e-5)


def test_a_run_that_wrote_hardly_any_rows_says_so() -> None:
    assert "the run wrote 900 rows to orders, usually 52 450" in judged(run(9, minutes=-30, rows="900")).because


def test_a_run_that_left_other_columns_names_them() -> None:
    found = judged(run(9, minutes=-30, columns="id:INT,total_eur:INT"))
    assert "the run left orders without total, with total_eur" in found.because


def test_a_run_has_no_usual_before_four_others() -> None:
    few = [*usual_runs()[:3], run(9, minutes=-90, took=80)]
    assert "facts" not in of(attribute(OUTAGE, few, CHURN, now=at(5)), "run9").terms


def test_what_a_later_run_did_is_no_history() -> None:
    early = run(9, minutes=-2_000, took=80)
    found = attribute(OUTAGE, [*usual_runs(), early], CHURN, now=at(5))
    assert all("usually 80" not in words for one in found.suspects for words in one.because)


def promoted(id: str, minutes: float, version: str, before: str = "") -> Change:
    return change(id, "model:churn", minutes, ChangeKind.MODEL_PROMOTED, version=version, previous_version=before)


def test_alerts_that_name_another_version_speak_against_a_promotion() -> None:
    outage = incident(state("model:churn", model_version="16"))
    changes = [promoted("new", -20, "v17"), promoted("live", -100, "16")]
    found = attribute(outage, changes, CHURN, now=at(5))
    assert "the alerts name version 16, it brought 17" in of(found, "new").against
    assert "the alerts name version 16, which it brought" in of(found, "live").because
    assert found.suspects[0].change.id == "live"


def test_versions_that_are_spelled_in_another_way_tell_nothing() -> None:
    outage = incident(state("model:churn", model_version="champion"))
    found = attribute(outage, [promoted("new", -20, "17")], CHURN, now=at(5))
    assert "facts" not in found.suspects[0].terms


def test_alerts_that_name_the_version_before_speak_against_a_promotion_however_it_is_spelled() -> None:
    outage = incident(state("model:churn", model_version="champion"))
    found = attribute(outage, [promoted("new", -20, "17", before="champion")], CHURN, now=at(5))
    assert found.suspects[0].terms["facts"] < 0


@given(
    took=st.lists(st.floats(1, 5_000), min_size=1, max_size=12),
    rows=st.lists(st.integers(0, 10**9), min_size=12, max_size=12),
)
def test_no_fact_is_worth_more_than_three_nor_less_than_a_tenth(took: list[float], rows: list[int]) -> None:
    runs = [run(n, minutes=-2_000 + 60 * n, took=t, rows=str(rows[n])) for n, t in enumerate(took)]
    for one in attribute(OUTAGE, runs, CHURN, now=at(5)).suspects:
        assert 0.1 - 1e-6 <= math.exp(one.terms.get("facts", 0.0)) <= 3 + 1e-4
