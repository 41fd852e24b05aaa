"""Fields that a project demands are known before its first issue is created, and refused with the remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.connectors.builders import task, wanted
from tests.connectors.jira.board import QUIET, Board
from tocsin import simulators
from tocsin.domain.record import Reason

AREA = {"customfield_10042": {"name": "Root area", "kind": "option", "values": ["Payments", "Search"]}}
HERE = wanted(links=(), address={"project": "ITSM"})


def itsm(board: Board, custom: Any = None, **more: Any) -> Board:
    board.running.seed({"custom_fields": custom or AREA, "projects": [{"key": "ITSM", **more}]})
    return board


def refused(board: Board, **config: Any) -> str:
    outcome = board.but(**config).send(task(wanted=HERE))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.CLIENT_ERROR)
    assert board.creates() == 0
    return outcome.detail


def test_a_required_field_is_named_with_its_remedy(board: Board) -> None:
    detail = refused(itsm(board, required=["customfield_10042"]))
    assert "ITSM Incident wants Root area (customfield_10042)" in detail
    assert "set it under fields in the connector's config to one of: Payments, Search" in detail


@pytest.mark.parametrize("name", ["customfield_10042", "Root area", "root AREA"])
def test_a_configured_field_goes_by_id_or_name_and_in_the_fields_own_form(board: Board, name: str) -> None:
    itsm(board, required=["customfield_10042"]).but(fields={name: "Payments"}).opened(wanted=HERE)
    assert board.issue["fields"]["customfield_10042"]["value"] == "Payments"


@pytest.mark.parametrize(
    ("custom", "given", "stored"),
    [
        ({"name": "Team"}, "{team} in {environment}", "returns-ml in production"),
        ({"name": "Areas", "kind": "option", "is_list": True, "values": ["A", "B"]}, ["A", "B"], ["A", "B"]),
        ({"name": "Areas", "kind": "option", "is_list": True, "values": ["A", "B"]}, "A", ["A"]),
        ({"name": "Cost", "kind": "number"}, "12.5", 12.5),
        ({"name": "Cost", "kind": "number"}, 3, 3),
        ({"name": "Owner", "kind": "user"}, "beth", "beth"),
        ({"name": "Area", "kind": "option", "values": ["A"]}, {"value": "A"}, "A"),
        ({"name": "Words", "is_list": True}, ["a", "b"], ["a", "b"]),
    ],
)
def test_a_text_takes_the_form_that_the_field_wants(board: Board, custom: Any, given: Any, stored: Any) -> None:
    itsm(board, custom={"customfield_10050": custom}).but(fields={custom["name"]: given}).opened(wanted=HERE)
    held = board.issue["fields"]["customfield_10050"]
    assert plain(held) == stored


def plain(held: Any) -> Any:
    if isinstance(held, list):
        return [plain(one) for one in held]
    return held.get("value") or held.get("accountId") if isinstance(held, dict) else held


def test_a_long_text_is_a_document(board: Board) -> None:
    custom = {"customfield_10051": {"name": "Story", "is_long": True}}
    itsm(board, custom=custom).but(fields={"Story": "What {team} saw."}).opened(wanted=HERE)
    assert board.issue["fields"]["customfield_10051"]["type"] == "doc"


def test_a_value_that_is_not_offered_is_refused_with_the_choices(board: Board) -> None:
    detail = refused(itsm(board), fields={"Root area": "Kitchen"})
    assert "Root area takes no Kitchen" in detail
    assert "Payments, Search" in detail


def test_a_field_that_is_not_there_is_refused(board: Board) -> None:
    assert "Flavour is not on the create screen" in refused(itsm(board), fields={"Flavour": "x"})


def test_a_name_that_two_fields_bear_must_be_an_id(board: Board) -> None:
    both = {"customfield_10060": "Area", "customfield_10061": "Area"}
    assert "name one by its id" in refused(itsm(board, custom=both), fields={"Area": "x"})


def test_without_labels_our_issues_could_not_be_found_again(board: Board) -> None:
    assert "labels is not on the create screen" in refused(itsm(board, off_screen=["labels"]))


def test_required_components_point_to_their_own_setting(board: Board) -> None:
    detail = refused(itsm(board, components=["ranking"], required=["components"]))
    assert "set it under components in the connector's config to one of: ranking" in detail


def test_optional_fields_that_the_site_does_not_take_are_left_out_and_said(board: Board) -> None:
    outcome = board.but(priorities={"error": "Sev2"}).send(task(wanted=QUIET))
    assert outcome.settled
    assert outcome.confirmation is not None
    assert outcome.confirmation.dropped_fields == ("priority",)
    assert "created without priority" in outcome.confirmation.warnings[0]
    off = itsm(board, off_screen=["priority"]).send(task(wanted=replace(HERE, key="55" * 16)))
    assert off.settled


def test_an_unknown_issue_type_is_refused_with_the_choices(board: Board) -> None:
    detail = refused(itsm(board), issue_type="Storm")
    assert "ITSM has no issue type Storm; set issue_type to one of: Task, Bug" in detail


def test_the_screen_is_asked_for_once(board: Board) -> None:
    board.opened()
    board.opened(wanted=wanted(key="66" * 16, links=()))
    assert sum("createmeta" in call for call in board.calls) == 2


def test_a_mended_project_is_looked_at_anew(board: Board) -> None:
    asked = itsm(board, required=["customfield_10042"])
    refused(asked)
    board.running.front.simulator.site.projects["ITSM"].required = ()  # type: ignore[attr-defined]
    assert asked.send(task(wanted=HERE)).settled


def test_who_may_not_read_the_screen_creates_without_the_check(board: Board) -> None:
    board.fault("server_error_before", method="GET", path="createmeta", status=403)
    board.opened()
    assert board.creates() == 1


def test_a_field_that_only_the_create_refuses_is_left_out_when_it_can_be(board: Board) -> None:
    board.fault("server_error_before", method="GET", path="createmeta", status=404)
    outcome = board.but(priorities={"error": "Sev2"}).send(task(wanted=QUIET))
    assert outcome.settled
    assert outcome.confirmation is not None
    assert outcome.confirmation.dropped_fields == ("priority",)


def test_data_center_names_its_lists_otherwise() -> None:
    with simulators.start("jira", deployment="Server") as running:
        board = Board(running, flavour="datacenter", email="")
        detail = refused(itsm(board, required=["customfield_10042"]), flavour="datacenter", email="")
        assert "wants Root area" in detail


def test_a_confirmed_cause_goes_into_its_field_once(board: Board) -> None:
    asked = itsm(board, custom={"customfield_10070": "Caused by"}).but(caused_by_field="Caused by")
    second = asked.opened(wanted=HERE)
    third = asked.settled(replace(second, wanted=replace(HERE, caused_by="CHG0030002")))
    assert board.issue["fields"]["customfield_10070"] == "CHG0030002"
    board.api("PUT", "/issue/ITSM-1", {"fields": {"customfield_10070": "CHG0030009"}})
    asked.settled(third)
    assert board.issue["fields"]["customfield_10070"] == "CHG0030009"
