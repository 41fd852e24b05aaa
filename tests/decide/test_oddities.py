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
from tocsin.decide.experience import Learner, Lesson
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution, Suspect
from tocsin.domain.subject import Subject

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
    assert 0.4 < math.exp(found.terms["facts"]) < 1
    assert not any("usually" in words for words in found.because)


def test_a_run_that_took_far_longer_than_the_runs_before_it_is_more_suspect() -> None:
    found = judged(run(9, minutes=-90, took=80))
    assert "the run took 80 min, usually 20" in found.because
    assert math.exp(found.terms["facts"]) > 1


def test_an_oddity_that_many_runs_have_is_no_sign_of_anything() -> None:
    def odd_ones(jobs: int) -> list[Change]:
        found = []
        for job in range(jobs):
            of_job = [*usual_runs(), run(9, minutes=-90, took=80)]
            found += [replace(one, id=f"{job}-{one.id}", subject=Subject(f"job:other{job}")) for one in of_job]
        return found

    known = catalog({**{str(v): [] for v in CHURN.entries}, "feature:spend": ["job:ingest"]})
    alone, among = (
        of(attribute(OUTAGE, [*usual_runs(), run(9, minutes=-90, took=80), *odd_ones(n)], known, now=at(5)), "run9")
        for n in (0, 30)
    )
    assert among.terms["facts"] < alone.terms["facts"]


def test_a_run_that_comes_far_too_late_says_so() -> None:
    late = [run(n, minutes=-1_500 + 60 * n) for n in range(16)] + [run(20, minutes=-90)]
    assert (
        "the run came 8 h after the one before, usually 60 min"
        in of(attribute(OUTAGE, late, CHURN, now=at(5)), "run20").because
    )


def test_rows_that_follow_the_time_of_day_are_compared_at_the_same_time_of_day() -> None:
    def rows(hour: int) -> str:
        return "90000" if 8 <= hour % 24 < 20 else "9000"

    by_day = [run(n, minutes=-60 * (47 - n), rows=rows(n)) for n in range(46)]
    late_at_night = run(46, minutes=-60, rows="900000")
    found = attribute(OUTAGE, [*by_day, late_at_night], CHURN, now=at(5))
    assert "the run wrote 900 000 rows to orders, usually 9 000" in of(found, "run46").because


def test_a_run_that_wrote_hardly_any_rows_says_so() -> None:
    assert "the run wrote 900 rows to orders, usually 52 449" in judged(run(9, minutes=-30, rows="900")).because


def test_a_run_that_left_other_columns_names_them() -> None:
    found = judged(run(9, minutes=-30, columns="id:INT,total_eur:INT"))
    assert "the run left orders without total, with total_eur" in found.because


def test_a_run_has_no_usual_before_four_others() -> None:
    few = [*usual_runs()[:3], run(9, minutes=-90, took=80)]
    found = of(attribute(OUTAGE, few, CHURN, now=at(5)), "run9")
    assert not any("usually" in words for words in found.because)


def test_what_a_later_run_did_is_no_history() -> None:
    early = run(9, minutes=-2_000, took=80)
    found = attribute(OUTAGE, [*usual_runs(), early], CHURN, now=at(5))
    assert all("usually 80" not in words for one in found.suspects for words in one.because)


def test_what_a_run_wrote_is_felt_once_it_has_ended() -> None:
    early, late = (attribute(OUTAGE, [run(1, minutes=-200, took=t)], CHURN, now=at(5)) for t in (20, 190))
    assert late.suspects[0].terms["lag"] > early.suspects[0].terms["lag"]
    assert "ended 10 min before the first alert" in late.suspects[0].because[0]
    assert late.digest != early.digest


def test_a_run_that_ended_after_the_first_alert_counts_from_its_start() -> None:
    still, told = (attribute(OUTAGE, [one], CHURN, now=at(5)) for one in (run(1, minutes=-20, took=22), started()))
    assert still.suspects[0].terms["lag"] == told.suspects[0].terms["lag"]
    assert "changed 20 min before the first alert" in still.suspects[0].because[0]


def started() -> Change:
    return replace(run(1, minutes=-20), finished_at=None, outcome=ChangeOutcome.RUNNING)


def test_the_runs_of_an_hourly_job_share_the_risk_of_two_a_day() -> None:
    hourly = [run(n, minutes=-60 * (72 - n)) for n in range(72)]
    few = of(attribute(OUTAGE, hourly[-6:], CHURN, now=at(5)), "run71")
    many = of(attribute(OUTAGE, hourly, CHURN, now=at(5)), "run71")
    assert math.exp(few.terms["risk"] - many.terms["risk"]) == pytest.approx(12, rel=1e-3)
    assert many.base_rate[1] == pytest.approx(0.04 / 12, rel=1e-3)


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
def test_no_fact_is_worth_more_than_twenty_nor_less_than_a_twentieth(took: list[float], rows: list[int]) -> None:
    runs = [run(n, minutes=-2_000 + 60 * n, took=t, rows=str(rows[n])) for n, t in enumerate(took)]
    for one in attribute(OUTAGE, runs, CHURN, now=at(5)).suspects:
        assert 0.05 - 1e-6 <= math.exp(one.terms.get("facts", 0.0)) <= 20 + 1e-3


def test_of_an_hourly_jobs_runs_no_more_count_as_harmless_than_bear_a_risk_of_their_own() -> None:
    learner = Learner()
    runs = [run(n, minutes=-60 * (72 - n)) for n in range(72)]
    learner.take(Lesson(members=OUTAGE.members, changes=runs, catalog=CHURN, decided_at=at(5), told=True))
    known = learner.experience
    assert known.kinds[ChangeKind.PIPELINERUN_FINISHED].harmless == 6
    assert known.places[Subject("job:ingest")] == (0, 6)
