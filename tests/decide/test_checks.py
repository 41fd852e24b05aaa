"""How many checks failed, and how many in a row, from what a sender's reports left behind."""

from __future__ import annotations

from dataclasses import replace

from tests.decide.builders import alert, at
from tocsin.decide.checks import failed_in_a_row, failed_of_last
from tocsin.decide.deduplicate import merge
from tocsin.domain.alert import AlertState, Resolves, Status, Symptom
from tocsin.domain.policy import Flapping


def checked(outcomes: str, *, minutes: float = 60) -> AlertState:
    """An hourly check's reports: x failed, . passed."""
    state = None
    for hour, outcome in enumerate(outcomes):
        moment = at(hour * minutes)
        report = alert("feature:age", symptom=Symptom.FEATURE_DRIFT, resolves=Resolves.NEXT_PASS, received_at=moment)
        if outcome == "x":
            report = replace(report, starts_at=moment)
        else:
            report = replace(report, status=Status.RESOLVED, ends_at=moment)
        state, _ = merge(state, report, Flapping(opens=99), now=moment)
    assert state is not None
    return state


def test_failures_in_a_row_end_with_a_passed_check() -> None:
    found = [failed_in_a_row(checked(outcomes)) for outcomes in ("x", "xx", "xxx", "xx.x", ".x", "xx.")]
    assert found == [1, 2, 3, 1, 1, 2]


def test_a_long_row_is_told_as_six() -> None:
    assert failed_in_a_row(checked("x" * 30)) == 6


def test_two_of_three_counts_the_passed_checks_between() -> None:
    found = [failed_of_last(checked(outcomes), 3) for outcomes in ("x", "xx", "x.x", "x..x", ".x", "xxx")]
    assert found == [1, 2, 2, 1, 1, 3]


def test_a_sender_that_repeats_one_start_shows_one_check() -> None:
    state = checked("x")
    for hour in range(1, 5):
        again = alert("feature:age", symptom=Symptom.FEATURE_DRIFT, starts_at=at(0), received_at=at(60 * hour))
        state, _ = merge(state, again, Flapping(), now=at(60 * hour))
    assert (failed_in_a_row(state), failed_of_last(state, 3)) == (1, 1)
