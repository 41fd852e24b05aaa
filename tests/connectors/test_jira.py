"""One surviving issue per outage in Jira, against the shipped simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.builders import KEY, NOW, after, note, task, wanted
from tocsin import simulators
from tocsin.connectors import find, open_http
from tocsin.connectors.jira import Config
from tocsin.connectors.jira.adf import MAX_SERIALIZED, document
from tocsin.connectors.jira.bring import look_again_after
from tocsin.domain.record import Outcome, Reason, Task

JIRA = find("jira")
RESOLVED = wanted(status="resolved", close_notes="Rolled back at 12:20.", links=())
QUIET = wanted(links=())


class Board:
    """A simulated site, with what a test asks and does there."""

    def __init__(self, running: simulators.Running, **config: Any) -> None:
        self.running = running
        usual = {"url": running.url, "email": "admin", "api_token": "tocsin", "project": "OPS", "read_timeout_s": 0.5}
        self.config = Config(**{**usual, **config})
        self.http = open_http(self.config, blip_wait_s=0)

    def send(self, task: Task) -> Outcome:
        return JIRA.send(self.config, task, self.http)

    def fault(self, kind: str, method: str = "POST", path: str = "/issue$", **more: Any) -> None:
        plan = {"match": {"method": method, "path": path}, "fault": kind, **more}
        requests.post(f"{self.running.url}/__faults", json=plan, timeout=5).raise_for_status()

    @property
    def issues(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.running.state()["issues"]  # type: ignore[assignment]
        return found

    @property
    def issue(self) -> dict[str, Any]:
        (only,) = self.issues
        return only

    def person(self, status: str) -> None:
        """Somebody moves the issue by hand."""
        site = self.running.front.simulator.site  # type: ignore[attr-defined]
        (one,) = site.issues.values()
        site.move(one, next(state for state in one.project.workflow if state.name == status))

    def creates(self) -> int:
        calls = self.running.front.calls
        return sum(call["method"] == "POST" and str(call["path"]).endswith("/issue") for call in calls)


@pytest.fixture
def board() -> Iterator[Board]:
    with simulators.start("jira") as running:
        yield Board(running)


def opened(board: Board, **changes: Any) -> Task:
    first = task(**{"wanted": QUIET, **changes})
    outcome = board.send(first)
    assert outcome.settled, outcome
    return after(outcome, first)


def test_a_new_issue_carries_label_property_priority_and_links(board: Board) -> None:
    outcome = board.send(task())
    issue = board.issue
    assert issue["fields"]["labels"] == [f"tocsin-{KEY}"]
    assert issue["properties"]["tocsin"] == {"key": KEY, "incident": "TOC-7", "generation": 0}
    assert issue["fields"]["priority"]["name"] == "High"
    assert len(issue["remote_links"]) == 1
    assert outcome.confirmation is not None
    assert (outcome.confirmation.external_id, outcome.confirmation.number) == (issue["id"], issue["key"])
    assert outcome.confirmation.url.endswith(f"/browse/{issue['key']}")
    assert not outcome.confirmation.human_touched


def test_data_center_takes_plain_text_and_a_personal_token() -> None:
    with simulators.start("jira", deployment="Server") as running:
        board = Board(running, flavour="datacenter", email="")
        second = replace(opened(board), notes=(note(1),), wanted=RESOLVED)
        assert isinstance(board.issue["fields"]["description"], str)
        assert board.send(second).settled
        assert board.issue["status_category"] == "done"


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after", "slow"])
def test_a_lost_answer_is_looked_for_and_adopted(board: Board, fault: str) -> None:
    board.fault(fault)
    first = task(wanted=QUIET)
    lost = board.send(first)
    assert (lost.result, lost.after) == ("ambiguous", timedelta(seconds=5))
    found = board.send(after(lost, first, now=NOW + timedelta(seconds=5)))
    assert found.result == "duplicate"
    assert len(board.issues) == board.creates() == 1


def test_while_the_index_lags_nothing_is_created(board: Board) -> None:
    board.fault("commit_then_drop")
    board.fault("index_lag", path="/search", after_s=3600, times=4)
    tried = task(wanted=QUIET)
    outcome = board.send(tried)
    for seconds in (5, 20, 50, 110):
        tried = after(outcome, tried, now=NOW + timedelta(seconds=seconds))
        outcome = board.send(tried)
        assert outcome.result == "ambiguous"
    assert board.creates() == 1
    found = board.send(after(outcome, tried, now=NOW + timedelta(seconds=230)))
    assert found.result == "duplicate"


def test_after_four_minutes_without_a_trace_it_is_created_anew(board: Board) -> None:
    board.fault("drop_before_commit")
    first = task(wanted=QUIET)
    lost = board.send(first)
    early = board.send(after(lost, first, now=NOW + timedelta(seconds=239)))
    assert (early.result, board.issues) == ("ambiguous", [])
    late = board.send(after(lost, first, now=NOW + timedelta(seconds=240)))
    assert late.result == "done"
    assert len(board.issues) == 1


def test_what_an_attempt_left_that_died_is_found_by_a_later_one(board: Board) -> None:
    board.send(task(wanted=QUIET))
    assert board.send(task(wanted=QUIET, attempts=2)).result == "duplicate"
    assert len(board.issues) == 1


def test_a_second_lost_answer_opens_a_new_window(board: Board) -> None:
    board.fault("drop_before_commit", times=2)
    first = task(wanted=QUIET)
    lost = after(board.send(first), first, now=NOW + timedelta(seconds=240))
    again = after(board.send(lost), lost, now=NOW + timedelta(seconds=300))
    assert board.send(again).result == "ambiguous"
    assert board.creates() == 2


def test_of_two_issues_the_oldest_survives(board: Board) -> None:
    board.fault("commit_then_drop")
    board.fault("index_lag", path="/search", after_s=3600)
    first = task(wanted=QUIET)
    lost = after(board.send(first), first, now=NOW + timedelta(seconds=240))
    second = after(board.send(lost), lost, now=NOW + timedelta(seconds=600))  # the index hid the first
    assert len(board.issues) == 2
    outcome = board.send(replace(second, wanted=wanted(severity="critical", links=())))
    assert outcome.settled
    assert [one["status_category"] for one in board.issues].count("done") == 1
    assert "duplicates" in outcome.detail


def test_an_issue_that_is_not_ours_is_never_written(board: Board) -> None:
    fields = {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "Printer"}
    made = requests.post(
        f"{board.running.url}/rest/api/3/issue", json={"fields": fields}, auth=("admin", "tocsin"), timeout=5
    ).json()
    before = board.issue
    outcome = board.send(task(external_id=made["id"], wanted=RESOLVED, notes=(note(1),)))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.NOT_OURS)
    assert board.issue == before


def test_a_new_severity_sets_the_priority_and_nothing_else(board: Board) -> None:
    second = replace(opened(board), wanted=wanted(severity="critical", title="Other words", links=()))
    assert board.send(second).settled
    assert (board.issue["fields"]["priority"]["name"], board.issue["fields"]["summary"]) == ("Highest", QUIET.title)


def test_a_priority_that_people_set_stays(board: Board) -> None:
    second = opened(board)
    board.running.front.simulator.site.issue("OPS-1").fields["priority"] = {"name": "Low", "id": "4"}  # type: ignore[attr-defined]
    assert board.send(replace(second, wanted=wanted(severity="critical", links=()))).settled
    assert board.issue["fields"]["priority"]["name"] == "Low"


def test_optional_fields_that_the_site_refuses_are_left_out_and_said(board: Board) -> None:
    odd = Board(board.running, priorities={"error": "Sev2"})
    outcome = odd.send(task(wanted=QUIET))
    assert outcome.settled
    assert "priority" in outcome.detail
    assert outcome.confirmation is not None
    assert outcome.confirmation.dropped_fields == ("priority",)


def test_no_project_is_refused_with_the_remedy(board: Board) -> None:
    outcome = Board(board.running, project="").send(task(wanted=wanted(address={})))
    assert (outcome.result, outcome.calls) == ("rejected", 0)
    assert "project" in outcome.detail


def test_notes_are_comments_that_go_once_even_when_the_answer_is_lost(board: Board) -> None:
    second = replace(opened(board), notes=(note(1), note(2, "Second.")))
    board.fault("commit_then_drop", path="/comment$")
    lost = board.send(second)
    assert lost.result == "ambiguous"
    assert board.send(after(lost, second)).settled
    comments = board.issue["comments"]
    assert [one["properties"]["tocsin-note"] for one in comments] == [str(note(1).id), str(note(2).id)]
    assert comments[0]["properties"]["sd.public.comment"] == {"internal": True}


def test_a_resolved_outage_moves_the_issue_to_done_and_says_why(board: Board) -> None:
    second = replace(opened(board), wanted=RESOLVED)
    assert board.send(second).settled
    assert board.issue["status_category"] == "done"
    assert "Rolled back at 12:20." in orjson.dumps(board.issue["comments"][0]["body"]).decode()


def test_a_lost_transition_is_settled_by_reading_the_status(board: Board) -> None:
    second = replace(opened(board), wanted=RESOLVED)
    board.fault("commit_then_drop", path="/transitions$")
    lost = board.send(second)
    assert lost.result == "ambiguous"
    outcome = board.send(after(lost, second))
    assert (board.issue["status_category"], len(board.issue["history"])) == ("done", 1)
    assert outcome.confirmation is not None
    assert not outcome.confirmation.human_touched


def test_people_who_moved_it_resolve_it_themselves(board: Board) -> None:
    second = replace(opened(board), wanted=RESOLVED)
    board.person("In Progress")
    outcome = board.send(second)
    assert (outcome.result, board.issue["status"]) == ("done", "In Progress")
    assert outcome.confirmation is not None
    assert outcome.confirmation.human_touched


def test_a_refired_outage_opens_its_issue_again(board: Board) -> None:
    second = replace(opened(board), wanted=RESOLVED)
    third = after(board.send(second), second, wanted=QUIET)
    assert board.send(third).settled
    assert board.issue["status_category"] == "new"


def test_without_a_way_back_the_issue_is_gone(board: Board) -> None:
    one_way = Board(board.running, reopen_transition="Reopen")
    second = replace(opened(one_way), wanted=RESOLVED)
    third = after(one_way.send(second), second, wanted=QUIET)
    outcome = one_way.send(third)
    assert (outcome.result, outcome.reason) == ("rejected", Reason.GONE)


def test_a_deleted_issue_is_gone_and_not_made_again(board: Board) -> None:
    second = opened(board)
    board.running.front.simulator.site.issues.clear()  # type: ignore[attr-defined]
    outcome = board.send(replace(second, wanted=RESOLVED))
    assert (outcome.result, outcome.reason, board.issues) == ("rejected", Reason.GONE, [])


def test_an_issue_full_of_comments_is_left_at_that() -> None:
    with simulators.start("jira", max_comments=1) as running:
        board = Board(running)
        outcome = board.send(task(wanted=QUIET, notes=(note(1), note(2))))
        assert outcome.settled
        assert "no more comments" in outcome.detail


def test_a_rate_limit_is_honoured(board: Board) -> None:
    board.fault("rate_limit", after_s=33)
    outcome = board.send(task())
    assert (outcome.result, outcome.after) == ("retry", timedelta(seconds=33))


def test_we_look_again_less_and_less_often() -> None:
    waits = [look_again_after(timedelta(seconds=age)).total_seconds() for age in (0, 5, 20, 50, 110, 230)]
    assert waits == [5, 15, 30, 60, 120, 10]


@given(text=st.text(max_size=400) | st.text(alphabet="aé\n \t漢", max_size=400))
def test_any_text_becomes_a_valid_document(text: str) -> None:
    found = document(text)
    content = found["content"]
    assert isinstance(content, list)
    assert len(orjson.dumps(found)) < MAX_SERIALIZED
    for block in content:
        assert block["type"] in ("paragraph", "codeBlock")
        assert all(node["type"] == "hardBreak" or node["text"] for node in block["content"])


def test_a_long_text_is_cut_to_the_fields_limit() -> None:
    assert len(orjson.dumps(document("漢字\n" * 20_000))) < MAX_SERIALIZED


def test_columns_stay_aligned_in_one_code_block() -> None:
    told = "WHAT      checkout is slow\nHIT       shop, and\n          app\n\nTOC-7"
    kinds = [block["type"] for block in document(told)["content"]]  # type: ignore[attr-defined]
    assert kinds == ["codeBlock", "paragraph"]
    assert document(told)["content"][0]["content"] == [{"type": "text", "text": told.partition("\n\n")[0]}]  # type: ignore[index]
