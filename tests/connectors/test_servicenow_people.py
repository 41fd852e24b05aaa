"""People win: what they changed stays. What the instance changed by itself is nobody's edit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import pytest

from tests.connectors.builders import after, note, wanted
from tests.connectors.servicenow_desk import SEED, Desk, changed, known, later
from tocsin import simulators

Policy = Literal["note_only", "resolve_unless_state_changed"]


@pytest.fixture(scope="module")
def running() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as one:
        yield one


@pytest.fixture
def desk(running: simulators.Running) -> Desk:
    running.reset()
    return Desk(running)


def test_what_people_changed_stays(desk: Desk) -> None:
    second = desk.opened()
    desk.person(impact="3", assignment_group="")
    outcome = desk.send(changed(second, impact=1, urgency=1, address={"assignment_group": "Payments"}))
    assert (desk.incident["impact"], desk.incident["urgency"], desk.incident["assignment_group"]) == ("3", "1", "")
    assert known(outcome).human_touched


def test_a_group_that_the_instance_filled_in_is_nobodys_edit(desk: Desk) -> None:
    desk.running.seed({"cmdb_ci": [{"name": "basket-db", "support_group": "Payments"}]})
    second = desk.opened(ci="basket-db", address={})
    assert desk.incident["assignment_group"] == desk.id_of("sys_user_group", "Payments")
    outcome = desk.send(changed(second, ci="basket-db", address={"assignment_group": "ML Platform"}))
    assert not known(outcome).human_touched
    assert desk.incident["assignment_group"] == desk.id_of("sys_user_group", "ML Platform")


@pytest.mark.parametrize(("by", "touched"), [("system", False), ("admin", False), ("jane", True)])
def test_an_assignment_is_a_persons_only_when_a_person_made_it(desk: Desk, by: str, touched: bool) -> None:
    second = desk.opened()
    desk.person(by=by, assigned_to="d" * 32)
    outcome = desk.send(changed(second, impact=1))
    assert known(outcome).human_touched is touched
    third = later(outcome, changed(second, impact=1))
    assert known(desk.send(third)).human_touched is touched  # and stays so


def test_two_changes_of_which_one_is_a_persons_are_a_persons(desk: Desk) -> None:
    second = desk.opened()
    desk.person(by="jane", assigned_to="d" * 32)
    desk.person(by="system", knowledge="true")
    assert known(desk.send(changed(second))).human_touched


def test_a_job_that_resolves_the_incident_does_not_reopen_it(desk: Desk) -> None:
    second = desk.opened()
    desk.person(by="system", state="6", incident_state="6")
    desk.send(changed(second, impact=1))
    assert desk.incident["state"] == "6"


def test_people_who_moved_it_resolve_it_themselves(desk: Desk) -> None:
    second = desk.opened()
    desk.person(state="2", incident_state="2")
    outcome = desk.send(replace(changed(second, status="resolved"), notes=(note(1),)))
    assert (outcome.result, desk.incident["state"], len(desk.work_notes)) == ("done", "2", 1)
    assert "left to them" in outcome.detail


def test_an_assigned_incident_that_nobody_moved_is_resolved(desk: Desk) -> None:
    second = desk.opened()
    desk.person(assigned_to="d" * 32)
    outcome = desk.send(changed(second, status="resolved"))
    assert (outcome.result, desk.incident["state"]) == ("done", "6")


def test_note_only_leaves_an_assigned_incident_alone(desk: Desk) -> None:
    second = desk.opened()
    desk.person(assigned_to="d" * 32)
    third = replace(changed(second, status="resolved", impact=1), notes=(note(1),), when_human_touched="note_only")
    outcome = desk.send(third)
    assert (outcome.result, desk.incident["state"], desk.incident["impact"]) == ("done", "1", "2")
    assert len(desk.work_notes) == 1


def test_a_close_code_that_a_person_chose_stays(desk: Desk) -> None:
    second = desk.opened()
    desk.person(close_code="Known error")
    desk.send(changed(second, status="resolved", close_notes="Rolled back."))
    row = desk.incident
    assert (row["state"], row["close_code"], row["close_notes"]) == ("6", "Known error", "Rolled back.")


@pytest.mark.parametrize("policy", ["note_only", "resolve_unless_state_changed"])
def test_an_update_whose_answer_was_lost_is_still_ours(desk: Desk, policy: Policy) -> None:
    second = replace(desk.opened(), wanted=wanted(impact=1, status="resolved"), when_human_touched=policy)
    desk.fault("slow", method="PATCH")
    lost = desk.send(second)
    assert lost.result == "ambiguous"
    third = later(lost, second)
    outcome = desk.send(third)
    assert not known(outcome).human_touched
    assert desk.calls("PATCH") == 1
    fourth = after(outcome, third, wanted=wanted(impact=2), when_human_touched=policy)
    assert desk.send(fourth).settled
    assert (desk.incident["impact"], desk.incident["state"]) == ("2", "2")


def test_a_late_update_does_not_outlive_the_next_one(desk: Desk) -> None:
    second = changed(desk.opened(), impact=1)
    desk.fault("slow_commit", method="PATCH", after_s=1.2)
    lost = desk.send(second)
    assert lost.after is not None  # nothing is sent while the first may still be carried out
    desk.running.front.stopping.wait(0.8)
    assert desk.send(later(lost, second, wanted=wanted(impact=3))).result == "done"
    assert desk.incident["impact"] == "3"


def test_a_person_who_writes_between_our_read_and_our_write_is_seen(desk: Desk) -> None:
    second = desk.opened()
    desk.fault("slow_commit", method="PATCH", after_s=0.2)
    sent = changed(second, impact=1)

    def meanwhile() -> None:
        while not desk.calls("GET", "/table/incident/"):
            desk.running.front.stopping.wait(0.01)
        desk.person(state="2", incident_state="2")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(meanwhile)
        outcome = desk.send(sent)
    assert outcome.result == "done"
    assert known(outcome).human_touched
    assert desk.send(later(outcome, sent, wanted=wanted(status="resolved"))).settled
    assert desk.incident["state"] == "2"


def test_an_end_and_a_return_that_were_never_told_are_ours(desk: Desk) -> None:
    known_open = desk.opened()
    ended = changed(known_open, status="resolved", close_notes="over")
    desk.send(ended)
    back = replace(ended, wanted=replace(ended.wanted, status="open"), sent_wanted=ended.wanted, sent={"state": "6"})
    desk.send(back)  # neither worker lived to tell
    tried = (known_open.wanted, ended.wanted)
    again = replace(known_open, wanted=ended.wanted, tried=tried, ambiguous_since=known_open.now)
    assert desk.incident["state"] == "2"
    assert not known(desk.send(again)).human_touched
    assert desk.incident["state"] == "6"
