"""One incident per outage in ServiceNow, against the shipped simulator: what it carries, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.connectors.builders import KEY, WANTED, after, note, task, wanted
from tests.connectors.servicenow_desk import SEED, SERVICENOW, Desk, changed, known, later
from tocsin import simulators
from tocsin.domain.record import Reason


@pytest.fixture(scope="module")
def running() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as one:
        yield one


@pytest.fixture
def desk(running: simulators.Running) -> Desk:
    running.reset()
    return Desk(running)


# --- what a new incident carries ---


def test_a_new_incident_has_our_fields_and_the_groups_sys_id(desk: Desk) -> None:
    outcome = desk.send(task(wanted=wanted(ci="returns-model", business_service="Web shop")))
    row = desk.incident
    assert (row["sys_id"], row["correlation_id"], row["correlation_display"]) == (KEY, KEY, "Tocsin")
    assert (row["impact"], row["urgency"], row["priority"], row["state"]) == ("2", "2", "3", "1")
    assert row["assignment_group"] == desk.id_of("sys_user_group", "ML Platform")
    assert row["cmdb_ci"] == desk.id_of("cmdb_ci", "returns-model")
    assert row["business_service"] == desk.id_of("cmdb_ci_service", "Web shop")
    assert "https://runbooks.example.com/drift" in row["description"]
    assert (known(outcome).number, known(outcome).warnings) == (row["number"], ())
    assert KEY in known(outcome).url
    assert not known(outcome).human_touched
    assert desk.work_notes == []


def test_a_teams_address_and_the_config_name_the_rest(desk: Desk) -> None:
    other = Desk(desk.running, caller_id="tocsin.bot", categories={"feature_drift": "software"})
    other.send(task(wanted=wanted(address={"service_offering": "Web shop, gold", "contact_type": "event"})))
    row = desk.incident
    assert row["caller_id"] == desk.id_of("sys_user", "tocsin.bot")
    assert row["service_offering"] == desk.id_of("service_offering", "Web shop, gold")
    assert (row["category"], row["contact_type"], row["assignment_group"]) == ("software", "event", "")


@pytest.mark.parametrize(
    ("name", "why"),
    [("Nobody", "not known"), ("Twins", "more than one"), ("x^ORname=ML Platform", "not known")],
)
def test_a_group_that_is_not_one_group_is_left_empty_and_said(desk: Desk, name: str, why: str) -> None:
    outcome = desk.send(task(wanted=wanted(address={"assignment_group": name})))
    assert (outcome.result, desk.incident["assignment_group"]) == ("done", "")
    (warning,) = known(outcome).warnings
    assert name in warning
    assert why in warning


def test_a_name_in_another_case_is_the_same_group(desk: Desk) -> None:
    desk.send(task(wanted=wanted(address={"assignment_group": "ml platform"})))
    found = desk.incident["assignment_group"]
    assert found in ("", desk.id_of("sys_user_group", "ML Platform"))  # an instance may compare by case


def test_a_group_is_looked_up_once(desk: Desk) -> None:
    desk.send(task())
    desk.send(task(wanted=wanted(key="0" * 32)))
    assert desk.calls("GET") == 1


def test_a_lookup_that_may_not_be_made_leaves_the_field_empty(desk: Desk) -> None:
    desk.fault("business_rule_abort", method="GET", path="sys_user_group")  # any 403
    outcome = desk.send(task())
    assert (outcome.result, desk.incident["assignment_group"]) == ("done", "")
    assert "could not be looked up (status 403)" in known(outcome).warnings[0]


def test_a_confirmed_cause_and_a_parent_are_linked_by_their_sys_ids(desk: Desk) -> None:
    first = desk.opened()
    outcome = desk.send(changed(first, caused_by="CHG0030042", parent="f" * 32))
    assert outcome.result == "done"
    assert (desk.incident["caused_by"], desk.incident["parent_incident"]) == ("c" * 32, "f" * 32)
    assert desk.incident["rfc"] == ""
    assert desk.calls("PATCH") == 1


def test_a_cause_that_a_person_has_set_stays(desk: Desk) -> None:
    first = desk.opened()
    desk.person(caused_by="d" * 32)
    desk.send(changed(first, caused_by="CHG0030042"))
    assert desk.incident["caused_by"] == "d" * 32


def test_a_cause_that_is_not_there_is_told(desk: Desk) -> None:
    outcome = desk.send(changed(desk.opened(), caused_by="CHG9999999"))
    assert (outcome.result, desk.incident["caused_by"]) == ("done", "")
    assert "CHG9999999" in known(outcome).warnings[0]


def test_custom_fields_follow_their_templates(desk: Desk) -> None:
    other = Desk(desk.running, fields={"subcategory": "{component}/{severity}", "company": ""})
    first = other.opened(component="model:returns")
    assert desk.incident["subcategory"] == "model:returns/error"
    other.send(changed(first, component="model:returns", severity="critical"))
    assert desk.incident["subcategory"] == "model:returns/critical"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"u_model": "{componnet}"}, "componnet"),
        ({"u_model": "{component.name}"}, "unknown"),
        ({"u_model": "{component!r}"}, "unknown"),
        ({"u_model": "{"}, "u_model"),
        ({"rfc": "{display}"}, "not set by a template"),
        ({"sys_id": "{key}"}, "no column"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_load(fields: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SERVICENOW.Config(url="https://desk.example.com", username="u", password="p", fields=fields)


# --- how it follows its incident ---


def test_only_what_changed_is_written(desk: Desk) -> None:
    outcome = desk.send(changed(desk.opened(), impact=1, title="Another title"))
    assert outcome.result == "done"
    assert (desk.incident["impact"], desk.incident["short_description"]) == ("1", WANTED.title)
    assert desk.calls("PATCH") == 1


def test_nothing_is_written_where_nothing_changed(desk: Desk) -> None:
    assert desk.send(changed(desk.opened())).result == "done"
    assert desk.calls("PATCH") == 0


def test_a_storm_of_updates_is_one_call(desk: Desk) -> None:
    storm = changed(desk.opened(), impact=1, urgency=1, address={"assignment_group": "Payments"})
    storm = replace(storm, notes=tuple(note(number, f"Member {number} joined.") for number in range(1, 60)))
    outcome = desk.send(storm)
    assert len(known(outcome).notes) == 59
    assert (desk.calls("PATCH"), len(desk.work_notes)) == (1, 1)
    assert desk.calls("GET") == 3  # two groups by name, the incident itself


def test_a_new_owner_gets_the_incident(desk: Desk) -> None:
    desk.send(changed(desk.opened(), address={"assignment_group": "Payments"}))
    assert desk.incident["assignment_group"] == desk.id_of("sys_user_group", "Payments")


def test_an_incident_taken_on_elsewhere_is_in_progress(desk: Desk) -> None:
    first = desk.opened()
    outcome = desk.send(changed(first, acknowledged_by="jane"))
    assert (desk.incident["state"], known(outcome).human_touched) == ("2", False)
    done = later(outcome, changed(first, acknowledged_by="jane"), wanted=wanted(status="resolved"))
    assert desk.send(done).result == "done"
    assert desk.incident["state"] == "6"


def test_a_resolved_outage_resolves_the_incident(desk: Desk) -> None:
    outcome = desk.send(changed(desk.opened(), status="resolved", close_notes="Rolled back."))
    row = desk.incident
    assert outcome.result == "done"
    assert (row["state"], row["close_code"], row["close_notes"]) == ("6", "Solution provided", "Rolled back.")


def test_a_refired_outage_opens_the_resolved_incident_again(desk: Desk) -> None:
    resolve = changed(desk.opened(), status="resolved")
    third = after(desk.send(resolve), resolve)
    outcome = desk.send(replace(third, wanted=WANTED))
    assert (outcome.result, desk.incident["state"]) == ("done", "2")
    assert desk.work_notes == ["TOC-7 fires again."]
    again = after(outcome, third, wanted=wanted(status="resolved"), sent_wanted=WANTED)
    assert desk.send(again).result == "done"
    assert desk.incident["state"] == "6"


@pytest.mark.parametrize("state", ["7", "8"])
def test_a_closed_incident_is_gone(desk: Desk, state: str) -> None:
    second = desk.opened()
    desk.person(state=state, incident_state=state)
    outcome = desk.send(changed(second, impact=1))
    assert (outcome.result, outcome.reason, outcome.detail) == ("rejected", Reason.GONE, "closed")
    assert known(outcome).observed["state"] == state
    assert desk.send(changed(second, status="resolved")).result == "done"
    assert desk.calls("PATCH") == 0


def test_a_deleted_incident_is_gone_and_not_made_again(desk: Desk) -> None:
    second = desk.opened()
    desk.delete()
    assert desk.send(changed(second, impact=1)).reason == Reason.GONE
    assert desk.incidents == []


def test_a_lost_right_to_read_is_no_deletion(desk: Desk) -> None:
    second = desk.opened()
    hidden = desk.tables["incident"].copy()
    desk.tables["incident"].clear()  # to a user without roles every table looks empty
    outcome = desk.send(changed(second, impact=1))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.FORBIDDEN)
    assert "roles" in outcome.detail
    desk.tables["incident"].update(hidden)
    assert desk.send(changed(second, impact=1)).result == "done"


# --- what the instance refuses or drops ---


def test_fields_that_the_instance_drops_are_told_once(desk: Desk) -> None:
    desk.fault("silent_field_drop", fields=["category", "cmdb_ci"])
    first = task(wanted=wanted(ci="returns-model"))
    outcome = desk.send(first)
    assert known(outcome).dropped_fields == ("category", "cmdb_ci")
    assert "fields not taken: category, cmdb_ci" in outcome.detail
    (told,) = desk.work_notes
    assert "category: feature_drift\ncmdb_ci: returns-model" in told
    assert desk.send(later(outcome, first)).result == "done"
    assert len(desk.work_notes) == 1


def test_what_was_dropped_is_told_in_the_next_attempt_when_this_one_fails(desk: Desk) -> None:
    desk.fault("silent_field_drop", fields=["description"])
    desk.fault("commit_then_drop", method="PATCH")
    first = task()
    lost = desk.send(first)
    assert lost.result == "ambiguous"
    outcome = desk.send(later(lost, first))
    assert outcome.result == "done"
    (told,) = desk.work_notes
    assert "the distribution has moved" in told


def test_a_text_that_a_rule_rewords_is_not_dropped(desk: Desk) -> None:
    outcome = desk.send(task(wanted=wanted(title="  Drift  of x ", body="Line one.\r\nLine two.  ")))
    assert (known(outcome).dropped_fields, desk.work_notes) == ((), [])


@pytest.mark.parametrize("step", ["create", "update"])
def test_a_business_rule_that_refuses_is_named(desk: Desk, step: str) -> None:
    first = task() if step == "create" else changed(desk.opened(), impact=1)
    desk.fault("business_rule_abort", method="POST" if step == "create" else "PATCH", rule="Freeze")
    outcome = desk.send(first)
    assert (outcome.result, outcome.reason) == ("rejected", Reason.FORBIDDEN)
    assert outcome.detail.startswith("business rule 'Freeze' refuses it")


def test_a_data_policy_that_refuses_is_named_and_the_note_still_goes_out(desk: Desk) -> None:
    first = changed(desk.opened(), status="resolved")
    desk.config = desk.config.model_copy(update={"close_code": ""})
    outcome = desk.send(replace(first, notes=(note(1),)))
    assert (outcome.result, desk.incident["state"], len(desk.work_notes)) == ("rejected", "1", 1)
    assert "mandatory" in outcome.detail
    assert len(known(outcome).notes) == 1


@pytest.mark.parametrize("step", ["create", "update"])
def test_a_hibernating_instance_is_waited_for(desk: Desk, step: str) -> None:
    first = task(wanted=wanted(address={})) if step == "create" else changed(desk.opened(), impact=1)
    desk.fault("html_200", method="", path="")
    outcome = desk.send(first)
    assert (outcome.result, outcome.reason, outcome.after) == ("retry", Reason.BAD_ANSWER, timedelta(minutes=5))


def test_a_rate_limit_is_honoured(desk: Desk) -> None:
    desk.fault("rate_limit", method="", path="", after_s=2400)
    outcome = desk.send(task())
    assert (outcome.result, outcome.after) == ("retry", timedelta(minutes=40))
