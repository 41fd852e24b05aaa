"""One incident per outage in ServiceNow, against the shipped simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest
import requests

from tests.connectors.builders import KEY, NOW, WANTED, after, note, task, wanted
from tocsin import simulators
from tocsin.connectors import Http, find, open_http
from tocsin.domain.record import Outcome, Reason, Task

Policy = Literal["note_only", "resolve_unless_state_changed"]
SERVICENOW = find("servicenow")
SEED = {
    "sys_user_group": [
        "ML Platform",
        "Payments",
        {"name": "Twins", "sys_id": "1" * 32},
        {"name": "Twins", "sys_id": "2" * 32},
    ],
    "cmdb_ci": ["returns-model"],
}


class Desk:
    """A simulated instance, with what a test asks and does there."""

    def __init__(self, running: simulators.Running, **config: Any) -> None:
        self.running = running
        given = {"url": running.url, "username": "admin", "password": "tocsin", "read_timeout_s": 0.5, **config}
        self.config = SERVICENOW.Config(**given)
        self.http: Http = open_http(self.config, blip_wait_s=0)

    def send(self, task: Task) -> Outcome:
        return SERVICENOW.send(self.config, task, self.http)

    def fault(self, kind: str, method: str = "POST", path: str = "/incident", **more: Any) -> None:
        plan = {"match": {"method": method, "path": path}, "fault": kind, **more}
        requests.post(f"{self.running.url}/__faults", json=plan, timeout=5).raise_for_status()

    def person(self, **fields: str) -> None:
        """Somebody edits the incident by hand."""
        row = self.running.front.simulator.instance.tables["incident"][self.incident["sys_id"]]  # type: ignore[attr-defined]
        row.update(fields, sys_updated_by="jane", sys_mod_count=str(int(row["sys_mod_count"]) + 1))

    def rows(self, table: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.running.state().get(table, [])  # type: ignore[assignment]
        return found

    @property
    def incident(self) -> dict[str, str]:
        (only,) = self.rows("incident")
        return only

    @property
    def work_notes(self) -> list[str]:
        return [row["value"] for row in self.rows("sys_journal_field") if row["element"] == "work_notes"]

    def calls(self, method: str) -> int:
        return sum(call["method"] == method for call in self.running.front.calls)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulators.start("servicenow", seed=SEED) as running:
        yield Desk(running)


def opened(desk: Desk, **changes: Any) -> Task:
    """The task after a create that went well."""
    first = task(wanted=wanted(**changes))
    outcome = desk.send(first)
    assert outcome.result == "done", outcome
    return after(outcome, first)


def test_a_new_incident_has_our_fields_and_the_groups_sys_id(desk: Desk) -> None:
    outcome = desk.send(task(wanted=wanted(ci="returns-model")))
    (group,) = [row["sys_id"] for row in desk.rows("sys_user_group") if row["name"] == "ML Platform"]
    row = desk.incident
    assert (row["sys_id"], row["correlation_id"], row["correlation_display"]) == (KEY, KEY, "Tocsin")
    assert (row["assignment_group"], row["impact"], row["urgency"], row["state"]) == (group, "2", "2", "1")
    assert row["cmdb_ci"]
    assert "https://runbooks.example.com/drift" in row["description"]
    assert outcome.confirmation is not None
    assert outcome.confirmation.number == row["number"]
    assert KEY in outcome.confirmation.url
    assert outcome.confirmation.dropped_fields == ()
    assert not outcome.confirmation.human_touched


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after", "slow"])
def test_a_lost_answer_leaves_one_incident(desk: Desk, fault: str) -> None:
    desk.fault(fault)
    first = task()
    outcome = desk.send(first)
    if not outcome.settled:
        outcome = desk.send(after(outcome, first))
    assert outcome.settled
    assert desk.incident["sys_id"] == KEY


@pytest.mark.parametrize("fault", ["drop_before_commit", "server_error_before"])
def test_a_create_that_never_happened_is_made_again(desk: Desk, fault: str) -> None:
    desk.fault(fault)
    first = task()
    outcome = desk.send(first)
    assert outcome.result == "ambiguous"
    assert desk.send(after(outcome, first)).result == "done"
    assert desk.incident["sys_id"] == KEY


def test_two_workers_at_once_make_one_incident(desk: Desk) -> None:
    assert desk.send(task()).result == "done"
    assert desk.send(task()).result == "duplicate"  # a worker that knows of no earlier try
    assert desk.incident["sys_id"] == KEY


def test_an_instance_that_chooses_sys_ids_itself_is_found_by_correlation_id() -> None:
    with simulators.start("servicenow", seed=SEED, keep_sys_id=False) as running:
        desk = Desk(running)
        desk.fault("commit_then_drop")
        outcome = desk.send(task())
        assert outcome.settled
        assert outcome.confirmation is not None
        assert outcome.confirmation.external_id == desk.incident["sys_id"] != KEY


def test_an_incident_of_somebody_else_is_never_written(desk: Desk) -> None:
    desk.running.seed({"incident": [{"sys_id": KEY, "correlation_id": "theirs", "short_description": "Printer"}]})
    before = desk.incident
    lost = desk.send(task())
    known = desk.send(task(external_id=KEY, sent={"impact": "3"}, notes=(note(1),)))
    assert (lost.result, lost.reason) == (known.result, known.reason) == ("rejected", Reason.NOT_OURS)
    assert desk.incident == before
    assert desk.work_notes == []


def test_only_what_changed_is_written(desk: Desk) -> None:
    second = opened(desk)
    outcome = desk.send(after_change(second, impact=1, title="Another title"))
    assert outcome.result == "done"
    assert (desk.incident["impact"], desk.incident["short_description"]) == ("1", WANTED.title)
    assert desk.calls("PATCH") == 1


def after_change(before: Task, **changes: Any) -> Task:
    return task(
        wanted=wanted(**changes),
        sent_wanted=before.sent_wanted,
        sent=before.sent,
        observed=before.observed,
        external_id=before.external_id,
        now=NOW + timedelta(minutes=5),
    )


def test_what_people_changed_stays(desk: Desk) -> None:
    second = opened(desk)
    desk.person(impact="3", assignment_group="")
    outcome = desk.send(after_change(second, impact=1, urgency=1, address={"assignment_group": "Payments"}))
    assert (desk.incident["impact"], desk.incident["urgency"], desk.incident["assignment_group"]) == ("3", "1", "")
    assert outcome.confirmation is not None
    assert outcome.confirmation.human_touched


def test_a_new_owner_gets_the_incident(desk: Desk) -> None:
    second = opened(desk)
    desk.send(after_change(second, address={"assignment_group": "Payments"}))
    (group,) = [row["sys_id"] for row in desk.rows("sys_user_group") if row["name"] == "Payments"]
    assert desk.incident["assignment_group"] == group


@pytest.mark.parametrize("name", ["Nobody", "Twins", "x^ORname=ML Platform"])
def test_a_group_that_is_not_one_group_is_left_empty_and_said(desk: Desk, name: str) -> None:
    outcome = desk.send(task(wanted=wanted(address={"assignment_group": name})))
    assert outcome.result == "done"
    assert desk.incident["assignment_group"] == ""
    assert name in outcome.detail
    assert any(name in text for text in desk.work_notes)


def test_a_group_is_looked_up_once(desk: Desk) -> None:
    desk.send(task())
    desk.send(task(wanted=wanted(key="0" * 32)))
    assert desk.calls("GET") == 1


def test_notes_go_once_even_when_the_answer_is_lost(desk: Desk) -> None:
    second = after_change(opened(desk))
    second = replace(second, notes=(note(1), note(2, "Second.")))
    desk.fault("commit_then_drop", method="PATCH")
    lost = desk.send(second)
    assert lost.result == "ambiguous"
    outcome = desk.send(after(lost, second))
    assert outcome.result == "done"
    assert outcome.confirmation is not None
    assert len(outcome.confirmation.notes) == 2
    assert len(desk.work_notes) == 2


@pytest.mark.parametrize("policy", ["note_only", "resolve_unless_state_changed"])
def test_an_update_whose_answer_was_lost_is_still_ours(desk: Desk, policy: Policy) -> None:
    second = replace(opened(desk), wanted=wanted(impact=1, status="resolved"), when_human_touched=policy)
    desk.fault("slow", method="PATCH")
    lost = desk.send(second)
    assert (lost.result, lost.reason) == ("retry", Reason.TIMEOUT)
    third = after(lost, second)
    outcome = desk.send(third)
    assert outcome.confirmation is not None
    assert not outcome.confirmation.human_touched
    fourth = after(outcome, third, wanted=wanted(impact=2), when_human_touched=policy)
    assert desk.send(fourth).settled
    assert (desk.incident["impact"], desk.incident["state"]) == ("2", "2")


def test_a_resolved_outage_resolves_the_incident(desk: Desk) -> None:
    second = opened(desk)
    outcome = desk.send(after_change(second, status="resolved", close_notes="Rolled back."))
    row = desk.incident
    assert outcome.result == "done"
    assert (row["state"], row["close_code"], row["close_notes"]) == ("6", "Solution provided", "Rolled back.")


def test_people_who_moved_it_resolve_it_themselves(desk: Desk) -> None:
    second = opened(desk)
    desk.person(state="2", incident_state="2")
    outcome = desk.send(after_change(second, status="resolved"))
    assert (outcome.result, desk.incident["state"]) == ("done", "2")
    assert "left to them" in outcome.detail


def test_note_only_leaves_an_assigned_incident_alone(desk: Desk) -> None:
    second = opened(desk)
    desk.person(assigned_to="jane")
    third = after_change(second, status="resolved")
    outcome = desk.send(replace(third, notes=(note(1),), when_human_touched="note_only"))
    assert (outcome.result, desk.incident["state"], len(desk.work_notes)) == ("done", "1", 1)


def test_a_refired_outage_opens_the_resolved_incident_again(desk: Desk) -> None:
    second = opened(desk)
    resolve = after_change(second, status="resolved")
    third = after(desk.send(resolve), resolve)
    outcome = desk.send(replace(third, wanted=WANTED))
    assert (outcome.result, desk.incident["state"]) == ("done", "2")
    assert desk.work_notes == ["TOC-7 fires again."]
    again = after(outcome, third, wanted=wanted(status="resolved"), sent_wanted=WANTED)
    assert desk.send(again).result == "done"
    assert desk.incident["state"] == "6"


@pytest.mark.parametrize("state", ["7", "8"])
def test_a_closed_incident_is_gone(desk: Desk, state: str) -> None:
    second = opened(desk)
    desk.person(state=state, incident_state=state)
    outcome = desk.send(after_change(second, impact=1))
    assert (outcome.result, outcome.reason, outcome.detail) == ("rejected", Reason.GONE, "closed")
    assert outcome.confirmation is not None
    assert outcome.confirmation.observed["state"] == state
    assert desk.send(after_change(second, status="resolved")).result == "done"


def test_a_deleted_incident_is_gone_and_not_made_again(desk: Desk) -> None:
    second = opened(desk)
    desk.running.front.simulator.instance.delete("incident", KEY)  # type: ignore[attr-defined]
    assert desk.send(after_change(second, impact=1)).reason == Reason.GONE
    assert desk.rows("incident") == []


def test_fields_that_the_instance_drops_are_told(desk: Desk) -> None:
    desk.fault("silent_field_drop", fields=["category", "cmdb_ci"])
    outcome = desk.send(task(wanted=wanted(ci="returns-model")))
    assert outcome.confirmation is not None
    assert outcome.confirmation.dropped_fields == ("category", "cmdb_ci")
    assert "category" in outcome.detail


def test_a_business_rule_that_refuses_is_named(desk: Desk) -> None:
    desk.fault("business_rule_abort", rule="Freeze")
    outcome = desk.send(task())
    assert (outcome.result, outcome.reason) == ("rejected", Reason.FORBIDDEN)
    assert "Freeze" in outcome.detail


def test_a_hibernating_instance_is_waited_for(desk: Desk) -> None:
    desk.fault("html_200", method="")
    outcome = desk.send(task(wanted=wanted(address={})))
    assert (outcome.result, outcome.reason, outcome.after) == ("retry", Reason.BAD_ANSWER, timedelta(minutes=5))


def test_a_rate_limit_is_honoured(desk: Desk) -> None:
    desk.fault("rate_limit", method="", after_s=40)
    outcome = desk.send(task())
    assert (outcome.result, outcome.after) == ("retry", timedelta(seconds=40))


def test_a_wrong_password_is_unauthorized_and_not_shown(desk: Desk) -> None:
    outcome = Desk(desk.running, password="wrong-pass-phrase").send(task())
    assert (outcome.result, outcome.reason) == ("rejected", Reason.UNAUTHORIZED)
    assert "wrong-pass-phrase" not in repr(outcome)


@pytest.mark.parametrize("auth", ["oauth_password", "oauth_client_credentials"])
def test_oauth_tokens_are_kept_and_refreshed_once(desk: Desk, auth: str) -> None:
    oauth = Desk(desk.running, auth=auth, client_id="admin", client_secret="tocsin")
    assert oauth.send(task()).result == "done"
    assert oauth.send(task(wanted=wanted(key="0" * 32))).result == "done"
    assert sum(call["path"] == "/oauth_token.do" for call in desk.running.front.calls) == 1
    oauth.http.remember("token", type(oauth.config.password)("expired"), for_s=60)
    assert oauth.send(task(wanted=wanted(key="9" * 32))).result == "done"
    assert sum(call["path"] == "/oauth_token.do" for call in desk.running.front.calls) == 2
