"""Resolving and reopening in workflows of all kinds, and who has moved the issue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.connectors.builders import after, note, task, wanted
from tests.connectors.jira.board import QUIET, RESOLVED, Board
from tocsin.domain.alert import Severity
from tocsin.domain.record import Reason


def itsm(board: Board, **more: Any) -> Board:
    """A project with a workflow of its own."""
    board.running.seed({"projects": [{"key": "ITSM", **more}]})
    return board


HERE = wanted(links=(), address={"project": "ITSM"})
OVER = replace(RESOLVED, address={"project": "ITSM"})


def test_a_resolved_outage_moves_the_issue_to_done(board: Board) -> None:
    board.settled(replace(board.opened(), wanted=RESOLVED))
    assert board.issue["status_category"] == "done"


def test_a_refired_outage_opens_its_issue_again(board: Board) -> None:
    second = board.settled(replace(board.opened(), wanted=RESOLVED))
    board.settled(replace(second, wanted=QUIET))
    assert board.issue["status_category"] == "new"


def test_what_got_graver_while_it_was_closed_is_written_once_it_is_open_again(board: Board) -> None:
    board.fault("commit_then_drop")
    first = task(wanted=QUIET)
    lost = board.send(first)
    board.moves("Done")
    second = board.settled(after(lost, first, wanted=replace(RESOLVED, severity=Severity.CRITICAL), tried=(QUIET,)))
    assert board.issue["fields"]["priority"]["name"] == "High", "a closed issue is not edited"
    board.settled(replace(second, wanted=replace(QUIET, severity=Severity.CRITICAL)))
    assert (board.issue["status_category"], board.issue["fields"]["priority"]["name"]) == ("new", "Highest")


def test_names_do_not_matter_but_categories(board: Board) -> None:
    statuses = [["Offen", "new"], ["In Arbeit", "indeterminate"], ["Erledigt", "done"]]
    second = itsm(board, statuses=statuses).opened(wanted=HERE)
    board.settled(replace(second, wanted=OVER))
    assert board.issue["status"] == "Erledigt"


def test_a_way_over_other_statuses_is_gone_step_by_step(board: Board) -> None:
    statuses = [["Open", "new"], ["Triage", "indeterminate"], ["Fixing", "indeterminate"], ["Closed", "done"]]
    ways = {"Open": ["Triage"], "Triage": ["Open", "Fixing"], "Fixing": ["Triage", "Closed"], "Closed": []}
    second = itsm(board, statuses=statuses, transitions=ways).opened(wanted=HERE)
    third = board.settled(replace(second, wanted=OVER))
    assert [move["to"] for move in board.issue["history"]] == ["Triage", "Fixing", "Closed"]
    outcome = board.send(replace(third, wanted=HERE))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.GONE)
    assert "no way back" in outcome.detail


def test_a_workflow_without_an_end_is_told_with_the_remedy(board: Board) -> None:
    second = itsm(board, statuses=[["Open", "new"], ["Odd", "new"]]).opened(wanted=HERE)
    outcome = board.send(replace(second, wanted=OVER))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.CLIENT_ERROR)
    assert "set done_transition to one of: Odd" in outcome.detail


@pytest.mark.parametrize(("configured", "set_to"), [("", "Done"), ("Won't Do", "Won't Do"), ("Unheard", "Done")])
def test_a_resolution_that_must_be_given_is_given(board: Board, configured: str, set_to: str) -> None:
    asked = itsm(board, screens={"Done": {"resolution": True}}).but(resolution=configured)
    second = asked.opened(wanted=HERE)
    asked.settled(replace(second, wanted=OVER))
    assert board.issue["resolution"] == set_to


def test_a_resolution_is_not_sent_where_the_screen_lacks_it(board: Board) -> None:
    asked = itsm(board, screens={"Done": {}}).but(resolution="Done")
    asked.settled(replace(asked.opened(wanted=HERE), wanted=OVER))
    assert board.issue["status_category"] == "done"


def test_of_two_ends_the_one_whose_screen_can_be_filled_is_taken(board: Board) -> None:
    statuses = [["Open", "new"], ["Rejected", "done"], ["Solved", "done"]]
    screens = {"Rejected": {"customfield_10055": True}}
    board.running.seed({"custom_fields": {"customfield_10055": "Why"}})
    second = itsm(board, statuses=statuses, screens=screens).opened(wanted=HERE)
    board.settled(replace(second, wanted=OVER))
    assert board.issue["status"] == "Solved"


def test_a_screen_that_cannot_be_filled_is_told_with_the_field(board: Board) -> None:
    board.running.seed({"custom_fields": {"customfield_10055": "Why"}})
    second = itsm(board, screens={"Done": {"customfield_10055": True}}).opened(wanted=HERE)
    outcome = board.send(replace(second, wanted=OVER))
    assert outcome.result == "rejected"
    assert "transition Done wants Why" in outcome.detail


def test_a_configured_transition_is_taken(board: Board) -> None:
    statuses = [["Open", "new"], ["Rejected", "done"], ["Solved", "done"]]
    asked = itsm(board, statuses=statuses).but(done_transition="Solved")
    asked.settled(replace(asked.opened(wanted=HERE), wanted=OVER))
    assert board.issue["status"] == "Solved"


def test_people_who_moved_it_resolve_it_themselves(board: Board) -> None:
    second = replace(board.opened(), wanted=RESOLVED, notes=(note(1),))
    board.moves("In Progress")
    outcome = board.send(second)
    assert (outcome.result, board.issue["status"]) == ("done", "In Progress")
    assert len(board.issue["comments"]) == 1
    assert outcome.confirmation is not None
    assert outcome.confirmation.human_touched


def test_who_only_took_it_sees_it_resolved_unless_notes_are_all_that_is_allowed(board: Board) -> None:
    second = replace(board.opened(), wanted=RESOLVED)
    board.api("PUT", "/issue/OPS-1/assignee", {"accountId": "ada"})
    noted = board.send(replace(second, when_human_touched="note_only"))
    assert (noted.settled, board.issue["status_category"]) == (True, "new")
    board.settled(second)
    assert board.issue["status_category"] == "done"


@pytest.mark.parametrize("who", ["automation", "admin"])
def test_automation_and_our_own_account_are_nobodys_take_over(board: Board, who: str) -> None:
    second = replace(board.opened(), wanted=RESOLVED, when_human_touched="note_only")
    board.api("PUT", "/issue/OPS-1/assignee", {"accountId": "beth"}, by=who)
    board.moves("In Progress", by=who)
    outcome = board.send(second)
    assert board.issue["status_category"] == "done"
    assert outcome.confirmation is not None
    assert not outcome.confirmation.human_touched


def test_a_person_after_a_machine_is_a_person(board: Board) -> None:
    second = replace(board.opened(), wanted=RESOLVED)
    board.moves("In Progress", by="automation")
    board.moves("To Do", by="ada")
    board.moves("In Progress", by="beth")
    board.settled(second)
    assert board.issue["status"] == "In Progress"


def test_who_may_not_read_the_changelog_lets_people_win(board: Board) -> None:
    second = replace(board.opened(), wanted=RESOLVED)
    board.moves("In Progress", by="automation")
    board.fault("business_rule_abort", method="GET", path="/changelog")
    board.settled(second)
    assert board.issue["status"] == "In Progress"


def test_an_issue_that_people_have_closed_stays_closed_while_the_outage_goes_on(board: Board) -> None:
    second = replace(board.opened(), wanted=wanted(severity="critical", links=()))
    board.moves("Done")
    outcome = board.send(second)
    assert (outcome.settled, board.issue["status_category"]) == (True, "done")
    assert outcome.confirmation is not None
    assert outcome.confirmation.observed["category"] == "done"


def test_a_lost_reopening_is_settled_by_reading_the_status(board: Board) -> None:
    second = board.settled(replace(board.opened(), wanted=RESOLVED))
    third = replace(second, wanted=QUIET)
    board.fault("commit_then_drop", path="/transitions$")
    lost = board.send(third)
    outcome = board.send(after(lost, third))
    assert outcome.confirmation is not None
    assert (board.issue["status_category"], outcome.confirmation.human_touched) == ("new", False)
    assert len(board.issue["history"]) == 2


def test_a_resolution_whose_answer_was_lost_is_taken_back_when_the_outage_goes_on(board: Board) -> None:
    first = board.opened()
    second = replace(first, wanted=RESOLVED)
    board.fault("commit_then_drop", path="/transitions$")
    lost = board.send(second)
    board.settled(after(lost, second, wanted=QUIET, tried=(RESOLVED,)))
    assert board.issue["status_category"] == "new"


def test_a_record_that_somebody_took_on_elsewhere_is_in_progress(board: Board) -> None:
    second = replace(board.opened(), wanted=wanted(acknowledged_by="Ada", links=()))
    third = board.settled(second)
    assert board.issue["status_category"] == "indeterminate"
    board.moves("To Do")
    board.settled(third)
    assert board.issue["status"] == "To Do"


def test_a_record_that_is_over_before_it_was_created_is_created_and_closed(board: Board) -> None:
    board.settled(task(wanted=RESOLVED))
    assert board.issue["status_category"] == "done"
