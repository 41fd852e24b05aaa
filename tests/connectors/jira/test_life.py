"""One issue from its opening to its end, against the shipped simulator."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
import requests

from tests.connectors.builders import KEY, NOW, after, note, task, wanted
from tests.connectors.jira.board import QUIET, RESOLVED, Board
from tests.connectors.jira.files import evidence
from tocsin import simulators
from tocsin.domain.record import Reason


def test_a_new_issue_carries_labels_property_priority_and_links(board: Board) -> None:
    outcome = board.send(task())
    issue = board.issue
    assert issue["fields"]["labels"] == [f"tocsin-{KEY}", "tocsin"]
    assert issue["properties"]["tocsin"] == {"key": KEY, "incident": "TOC-7", "generation": 0}
    assert issue["fields"]["priority"]["name"] == "High"
    assert len(issue["remote_links"]) == 1
    assert outcome.confirmation is not None
    assert (outcome.confirmation.external_id, outcome.confirmation.number) == (issue["id"], issue["key"])
    assert outcome.confirmation.url.endswith(f"/browse/{issue['key']}")
    assert not outcome.confirmation.human_touched


def test_people_open_the_site_and_not_the_gateway(board: Board) -> None:
    outcome = board.but(site_url="https://shop.example.net/").send(task(wanted=QUIET))
    assert outcome.confirmation is not None
    assert outcome.confirmation.url == "https://shop.example.net/browse/OPS-1"


def test_data_center_takes_plain_text_and_a_personal_token() -> None:
    with simulators.start("jira", deployment="Server") as running:
        board = Board(running, flavour="datacenter", email="")
        first = board.opened(notes=(note(1),))
        assert isinstance(board.issue["fields"]["description"], str)
        assert board.settled(replace(first, wanted=RESOLVED)).sent_wanted == RESOLVED
        assert board.issue["status_category"] == "done"
        assert not [call for call in board.calls if "/rest/api/3" in call]


def test_data_center_too_finds_what_a_lost_answer_left() -> None:
    with simulators.start("jira", deployment="Server") as running:
        board = Board(running, flavour="datacenter", email="")
        board.fault("commit_then_drop")
        first = task(wanted=QUIET, notes=(note(1),))
        lost = board.send(first)
        assert lost.result == "ambiguous"
        assert board.send(after(lost, first, now=NOW + timedelta(seconds=5))).result == "duplicate"
        assert board.creates() == len(board.issues) == 1
        second = board.opened(wanted=wanted(key="77" * 16, links=()))
        board.fault("commit_then_drop", path="/comment$")
        noted = replace(second, notes=(note(2),))
        board.settled(after(board.send(noted), noted))
        assert len(board.issues[1]["comments"]) == 1


def test_an_issue_that_is_not_ours_is_never_written(board: Board) -> None:
    fields = {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "Printer"}
    made = board.api("POST", "/issue", {"fields": fields})
    before = board.issue
    outcome = board.send(task(external_id=made["id"], wanted=RESOLVED, notes=(note(1),)))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.NOT_OURS)
    assert board.issue == before


def test_a_new_severity_sets_the_priority_and_nothing_else(board: Board) -> None:
    board.settled(replace(board.opened(), wanted=wanted(severity="critical", title="Other words", links=())))
    assert (board.issue["fields"]["priority"]["name"], board.issue["fields"]["summary"]) == ("Highest", QUIET.title)


def test_a_priority_that_an_attempt_of_ours_may_have_set_is_no_persons(board: Board) -> None:
    second = replace(board.opened(), wanted=wanted(severity="critical", links=()))
    board.fault("commit_then_drop", method="PUT", path="/issue/", times=3)
    lost = board.send(second)
    assert lost.result == "retry"
    board.settled(after(lost, second, wanted=wanted(severity="warning", links=()), tried=(second.wanted,)))
    assert board.issue["fields"]["priority"]["name"] == "Medium"


def test_a_priority_that_people_set_stays(board: Board) -> None:
    second = board.opened()
    board.api("PUT", "/issue/OPS-1", {"fields": {"priority": {"name": "Low"}}})
    board.settled(replace(second, wanted=wanted(severity="critical", links=())))
    assert board.issue["fields"]["priority"]["name"] == "Low"


def test_no_project_is_refused_with_the_remedy(board: Board) -> None:
    outcome = board.but(project="").send(task(wanted=wanted(address={})))
    assert (outcome.result, outcome.calls) == ("rejected", 0)
    assert "project" in outcome.detail


def test_a_deleted_issue_is_gone_and_not_made_again(board: Board) -> None:
    second = board.opened()
    board.api("DELETE", "/issue/OPS-1")
    outcome = board.send(replace(second, wanted=RESOLVED))
    assert (outcome.result, outcome.reason, board.issues) == ("rejected", Reason.GONE, [])


# comments


def test_waiting_notes_go_as_one_comment_and_once_even_when_the_answer_is_lost(board: Board) -> None:
    second = replace(board.opened(), notes=(note(1), note(2, "Second.")))
    board.fault("commit_then_drop", path="/comment$")
    lost = board.send(second)
    assert lost.result == "ambiguous"
    third = after(lost, second)
    board.fault("server_error_before", method="GET", path="/comment$", times=3)
    again = board.send(third)
    assert again.result in ("retry", "ambiguous")
    board.settled(after(again, third))
    (comment,) = board.issue["comments"]
    assert comment["properties"]["tocsin-note"] == [str(note(1).id), str(note(2).id)]
    assert comment["properties"]["sd.public.comment"] == {"internal": True}


def test_a_lost_comment_is_looked_for_even_after_another_kind_of_failure(board: Board) -> None:
    second = replace(board.opened(), notes=(note(1),))
    board.fault("commit_then_drop", path="/comment$")
    third = after(board.send(second), second, wanted=wanted(severity="critical", links=()))
    board.fault("server_error_before", method="PUT", path="/issue/", times=3)
    stopped = board.send(third)
    assert stopped.result == "retry"  # delivery now forgets that it was unsure; the record itself does not
    fourth = after(stopped, third, ambiguous_since=None)
    board.settled(fourth)
    assert len(board.issue["comments"]) == 1


def test_long_notes_are_comments_of_their_own(board: Board) -> None:
    board.opened(notes=(note(1), note(2, "long " * 2000), note(3)))
    assert [len(str(one["body"])) > 9000 for one in board.issue["comments"]] == [False, True, False]


def test_an_issue_full_of_comments_is_left_at_that() -> None:
    with simulators.start("jira", max_comments=1) as running:
        outcome = Board(running).send(task(wanted=QUIET, notes=(note(1), note(2, "long " * 2000))))
        assert outcome.settled
        assert "no more comments" in outcome.detail


def test_the_closing_words_are_a_comment_unless_a_note_says_them(board: Board) -> None:
    second = replace(board.opened(), wanted=RESOLVED)
    third = board.settled(second)
    assert "Rolled back at 12:20." in orjson.dumps(board.issue["comments"][0]["body"]).decode()
    board.settled(third)
    assert len(board.issue["comments"]) == 1


# links


def test_web_links_are_upserted_and_only_what_is_new_is_sent(board: Board) -> None:
    several = tuple((f"Link {number}", f"https://links.example.com/{number}") for number in range(4))
    second = board.but(remote_links=3).opened(wanted=wanted(links=several))
    assert [link["body"]["object"]["title"] for link in board.issue["remote_links"]] == ["Link 0", "Link 1", "Link 2"]
    board.but(remote_links=4).settled(second)
    assert sum(call.endswith("/remotelink") for call in board.calls) == 4
    assert len(board.issue["remote_links"]) == 4


def test_the_next_generation_is_linked_with_the_previous_one_once(board: Board) -> None:
    first = board.opened()
    key = "00" * 16
    second = board.opened(wanted=wanted(key=key, generation=1, previous="OPS-1", links=()))
    board.settled(second)
    old, new = board.issues
    assert [(kind, side, other) for _, kind, side, other in new["links"]] == [("Relates", "outward", "OPS-1")]
    assert len(old["links"]) == 1
    assert first.number == "OPS-1"


def test_a_child_is_linked_with_its_parent_when_it_gets_one(board: Board) -> None:
    board.opened(wanted=wanted(key="11" * 16, links=()))
    second = board.opened()
    board.settled(replace(second, wanted=wanted(parent="OPS-1", links=())))
    assert [(kind, side, other) for _, kind, side, other in board.issues[1]["links"]] == [
        ("Relates", "outward", "OPS-1")
    ]


def test_a_link_type_that_the_site_lacks_costs_nothing_but_a_warning(board: Board) -> None:
    board.opened()
    outcome = board.but(relates_link="Sibling").send(
        task(wanted=wanted(key="22" * 16, previous="OPS-1", links=())),
    )
    assert outcome.settled
    assert outcome.confirmation is not None
    assert "not linked to OPS-1" in outcome.confirmation.warnings[0]


def test_a_record_of_another_desk_is_not_linked(board: Board) -> None:
    board.opened(wanted=wanted(previous="INC0010044", links=()))
    assert not [call for call in board.calls if call.endswith("/issueLink")]


# limits


def test_a_rate_limit_is_honoured(board: Board) -> None:
    board.fault("rate_limit", after_s=33)
    outcome = board.send(task())
    assert (outcome.result, outcome.reason, outcome.after) == ("retry", Reason.RATE_LIMITED, timedelta(seconds=33))


def test_a_burst_limit_rests_that_endpoint_only(board: Board) -> None:
    second = board.opened()
    board.fault("rate_limit", path="/comment$", after_s=30)
    noted = replace(second, notes=(note(1),))
    assert board.send(noted).after == timedelta(seconds=30)
    asked = len(board.calls)
    waiting = board.send(replace(noted, now=NOW + timedelta(seconds=10)))
    assert (waiting.result, waiting.after) == ("retry", timedelta(seconds=20))
    assert not [call for call in board.calls[asked:] if call.endswith("/comment")]
    board.settled(replace(second, wanted=wanted(severity="critical", links=()), now=NOW + timedelta(seconds=11)))


def test_a_busy_issue_does_not_hold_up_another(board: Board) -> None:
    second = board.opened()
    board.fault("rate_limit", path="/OPS-1/comment$|/10001/comment$", after_s=30, rule="jira-per-issue-on-write")
    busy = board.send(replace(second, notes=(note(1),)))
    assert (busy.after, busy.alone) == (timedelta(seconds=30), True)
    other = board.opened(wanted=wanted(key="33" * 16, links=()), notes=(note(2),))
    assert other.notes == ()


def test_an_hourly_quota_rests_the_whole_site(board: Board) -> None:
    board.fault("rate_limit", method="GET", path="/issue/", after_s=600, rule="jira-quota-tenant-based")
    board.send(replace(task(), external_id="10001", attempts=1))
    asked = len(board.calls)
    outcome = board.send(task(now=NOW + timedelta(seconds=1)))
    assert (outcome.result, len(board.calls) - asked) == ("retry", 0)


def test_the_whole_life_of_an_issue_costs_few_calls(board: Board) -> None:
    board.opened(wanted=wanted(key="44" * 16, links=()))  # the create screen is known from here on
    asked = len(board.calls)
    second = board.opened(wanted=wanted())
    third = board.settled(replace(second, notes=tuple(note(number) for number in range(20))))
    board.settled(replace(third, wanted=replace(RESOLVED, links=wanted().links), notes=(note(99),)))
    assert len(board.calls) - asked <= 10


# attachments


def test_a_file_is_attached_once_and_by_name(board: Board) -> None:
    second = replace(board.opened(), attachments=(evidence(1),))
    board.fault("commit_then_drop", path="/attachments$")
    lost = board.send(second)
    assert lost.result == "ambiguous"
    again = board.send(after(lost, second))
    assert again.settled
    assert again.confirmation is not None
    assert again.confirmation.attachments == (evidence(1).id,)
    assert board.issue["attachments"] == [{"name": "evidence '1'.json", "size": len(evidence(1).content)}]


@pytest.mark.parametrize("fault", ["business_rule_abort", "server_error_before"])
def test_a_file_that_is_not_taken_never_fails_the_record(board: Board, fault: str) -> None:
    second = replace(board.opened(), attachments=(evidence(1),), attempts=5)
    board.fault(fault, path="/attachments$")
    outcome = board.send(second)
    assert outcome.settled
    assert outcome.confirmation is not None
    assert "was not attached" in outcome.confirmation.warnings[0]


def test_a_web_page_in_place_of_an_answer_changes_nothing(board: Board) -> None:
    board.fault("html_200", method="GET", path="/issue/", times=9)
    outcome = board.send(replace(task(), external_id="10001"))
    assert (outcome.result, outcome.reason) == ("retry", Reason.BAD_ANSWER)
    assert requests.get(board.running.url + "/__state", timeout=5).json()["issues"] == []
