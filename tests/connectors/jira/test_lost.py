"""Whether an answer is lost, an attempt dies, or the index lags: one issue survives, and nothing is posted blindly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.connectors.builders import KEY, NOW, after, note, task, wanted
from tests.connectors.jira.board import QUIET, RESOLVED, Board
from tocsin.connectors.jira.finding import look_again_after
from tocsin.domain.record import Task


def later(lost: Any, before: Task, seconds: float, **changes: Any) -> Task:
    """The next attempt, so long after the first."""
    return after(lost, before, now=NOW + timedelta(seconds=seconds), **changes)


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after", "slow"])
def test_a_lost_answer_is_looked_for_and_adopted(board: Board, fault: str) -> None:
    board.fault(fault)
    first = task(wanted=QUIET, attempts=1)
    lost = board.send(first)
    assert (lost.result, lost.after) == ("ambiguous", timedelta(seconds=5))
    assert board.send(later(lost, first, 5)).result == "duplicate"
    assert len(board.issues) == board.creates() == 1


def test_we_look_after_5_15_30_60_120_and_240_seconds() -> None:
    waits = [look_again_after(timedelta(seconds=age)) for age in (0, 5, 15, 30, 60, 120)]
    assert waits == [timedelta(seconds=wait) for wait in (5, 10, 15, 30, 60, 120)]


def test_who_still_cannot_look_after_the_window_waits_as_for_any_outage(board: Board) -> None:
    board.fault("commit_then_drop")
    first = task(wanted=QUIET, attempts=1)
    lost = board.send(first)
    board.fault("server_error_before", path="/search", times=0)
    assert board.send(later(lost, first, 300)).after is None


def test_a_read_by_key_finds_what_the_index_hides(board: Board) -> None:
    board.fault("commit_then_drop")
    board.fault("index_lag", path="/search", after_s=3600, times=0)
    first = task(wanted=QUIET, attempts=1)
    lost = board.send(first)
    assert board.send(later(lost, first, 5)).result == "duplicate"
    assert board.creates() == 1


def test_without_that_nothing_is_created_while_the_index_lags(board: Board) -> None:
    board = board.but(probe_by_key=False)
    board.fault("commit_then_drop")
    board.fault("index_lag", path="/search", after_s=3600, times=5)
    tried = task(wanted=QUIET, attempts=1)
    outcome = board.send(tried)
    for seconds in (5, 15, 30, 60, 120):
        tried = later(outcome, tried, seconds)
        outcome = board.send(tried)
        assert outcome.result == "ambiguous"
    assert board.creates() == 1
    assert board.send(later(outcome, tried, 240)).result == "duplicate"


def test_after_four_minutes_without_a_trace_the_next_attempt_creates_it_anew(board: Board) -> None:
    board.fault("drop_before_commit")
    first = task(wanted=QUIET, attempts=1)
    lost = board.send(first)
    early = board.send(later(lost, first, 239))
    assert (early.result, board.issues) == ("ambiguous", [])
    second = later(lost, first, 240)
    given_up = board.send(second)
    assert (given_up.result, given_up.after, board.issues) == ("ambiguous", timedelta(seconds=1), [])
    assert board.send(later(given_up, second, 241)).result == "done"
    assert len(board.issues) == 1


def test_should_the_attempt_that_may_post_die_the_window_starts_anew(board: Board) -> None:
    board = board.but(probe_by_key=False)
    board.fault("drop_before_commit")
    first = task(wanted=QUIET, attempts=1)
    second = later(board.send(first), first, 240)
    third = later(board.send(second), second, 241)
    board.send(third)  # posts, and dies before it can tell
    board.fault("index_lag", path="/search", after_s=3600)
    fourth = replace(third, attempts=third.attempts + 1, now=NOW + timedelta(seconds=320))
    assert board.send(fourth).result == "ambiguous"
    assert board.creates() == 2  # the first never arrived
    assert len(board.issues) == 1


def test_a_create_that_was_refused_for_now_is_not_waited_for(board: Board) -> None:
    board.fault("drop_before_commit")
    first = task(wanted=QUIET, attempts=1)
    second = later(board.send(first), first, 240)
    third = later(board.send(second), second, 241)
    board.fault("rate_limit", after_s=7)
    busy = board.send(third)
    assert (busy.result, busy.after) == ("retry", timedelta(seconds=7))
    assert board.send(later(busy, third, 250)).result == "done"


def test_what_an_attempt_left_that_died_is_found_by_a_later_one(board: Board) -> None:
    board.send(task(wanted=QUIET, attempts=1))
    assert board.send(task(wanted=QUIET, attempts=2, ambiguous_since=NOW)).result == "duplicate"
    assert len(board.issues) == 1


def test_an_attempt_that_died_is_waited_for_like_a_lost_answer(board: Board) -> None:
    outcome = board.send(task(wanted=QUIET, attempts=2, ambiguous_since=NOW - timedelta(seconds=60)))
    assert (outcome.result, outcome.after) == ("ambiguous", timedelta(seconds=60))
    assert board.creates() == 0


def test_a_second_lost_answer_opens_a_new_window(board: Board) -> None:
    board.fault("drop_before_commit", times=2)
    first = task(wanted=QUIET, attempts=1)
    second = later(board.send(first), first, 240)
    third = later(board.send(second), second, 241)
    fourth = later(board.send(third), third, 300)
    assert board.send(fourth).result == "ambiguous"
    assert board.creates() == 2


def doubled(board: Board) -> Task:
    """Two issues of ours, the older of which the index has hidden until the younger was created."""
    board.fault("commit_then_drop")
    board.fault("index_lag", path="/search", after_s=3600, times=3)
    first = task(wanted=QUIET, attempts=1)
    second = later(board.send(first), first, 240)
    third = later(board.send(second), second, 241)
    return after(board.send(third), third, now=NOW + timedelta(seconds=242))


def test_of_two_issues_the_oldest_survives_and_the_other_is_linked_told_and_closed(board: Board) -> None:
    blind = board.but(probe_by_key=False)
    fourth = doubled(blind)
    assert len(board.issues) == 2
    assert len(board.open_issues) == 2
    outcome = blind.send(replace(fourth, wanted=wanted(severity="critical", links=()), notes=(note(1),)))
    assert outcome.settled
    old, young = board.issues
    assert [one["key"] for one in board.open_issues] == [old["key"]]
    assert (young["links"][0][1], young["resolution"]) == ("Duplicate", "Duplicate")
    assert len(young["comments"]) == 1
    assert len(old["comments"]) == 1
    assert outcome.confirmation is not None
    assert outcome.confirmation.number == old["key"]
    assert "duplicates" in outcome.detail


def test_a_read_by_key_sees_the_double_before_the_index_does(board: Board) -> None:
    blind = board.but(probe_by_key=False)
    fourth = doubled(blind)
    board.fault("index_lag", path="/search", after_s=3600, times=0)
    assert board.send(fourth).settled
    assert len(board.open_issues) == 1


def test_a_double_that_could_not_be_closed_is_closed_later_and_told_once(board: Board) -> None:
    blind = board.but(probe_by_key=False)
    fourth = doubled(blind)
    board.fault("server_error_before", path="/transitions$", times=1)
    outcome = blind.send(fourth)
    assert "please close it" in outcome.detail
    blind.settled(after(outcome, fourth, now=NOW + timedelta(seconds=300)))
    assert len(board.open_issues) == 1
    assert len(board.issues[1]["comments"]) == len(board.issues[1]["links"]) == 1


def test_doubles_are_looked_for_for_ten_minutes_and_then_no_more(board: Board) -> None:
    board.fault("commit_then_drop")
    first = task(wanted=QUIET, attempts=1)
    lost = board.send(first)
    second = later(lost, first, 5)
    found = board.send(second)
    assert found.after == timedelta(minutes=10)
    third = after(found, second, now=NOW + timedelta(minutes=20))
    fourth = board.settled(third)
    asked = len(board.calls)
    board.settled(fourth)
    assert not [call for call in board.calls[asked:] if "/search" in call]


def test_a_foreign_issue_with_a_label_like_ours_is_left_alone(board: Board) -> None:
    fields = {
        "project": {"key": "OPS"},
        "issuetype": {"name": "Task"},
        "summary": "x",
        "labels": [f"tocsin-{KEY[:31]}0"],
    }
    board.api("POST", "/issue", {"fields": fields})
    board.fault("commit_then_drop")
    first = task(wanted=QUIET, attempts=1)
    board.settled(later(board.send(first), first, 5))
    foreign, ours = board.issues
    assert (foreign["history"], foreign["links"], foreign["comments"]) == ([], [], [])
    assert ours["fields"]["labels"][0] == f"tocsin-{KEY}"


def test_a_lost_transition_is_settled_by_reading_the_status(board: Board) -> None:
    second = replace(board.opened(), wanted=RESOLVED)
    board.fault("commit_then_drop", path="/transitions$")
    lost = board.send(second)
    assert lost.result == "ambiguous"
    outcome = board.send(after(lost, second))
    assert (board.issue["status_category"], len(board.issue["history"])) == ("done", 1)
    assert outcome.confirmation is not None
    assert not outcome.confirmation.human_touched
