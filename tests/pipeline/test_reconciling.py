"""What drifted, vanished or doubled at a desk is found and mended; what the database does not know is only reported."""

from __future__ import annotations

from tests.pipeline.conftest import AtWork
from tests.pipeline.staffed import Staff, Staffed
from tocsin import reconciling


def found(surveys: list[reconciling.Surveyed]) -> list[str]:
    return sorted(f"{one.destination} {one.finding}" for survey in surveys for one in survey.found)


def resolved(world: Staffed) -> None:
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    world.poll()


def test_records_that_stand_as_we_left_them_are_no_finding(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    surveys = world.reconcile()
    assert [(one.records, one.failed) for one in surveys] == [(1, "")] * 3
    assert found(surveys) == []
    staff.in_servicenow("assign", to="Jane Archer", group="Network")
    assert found(world.reconcile()) == [], "what a person did is no drift"


def test_a_record_that_stands_open_after_our_resolve_is_resolved_again(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    resolved(world)
    instance = staff.servicenow.front.simulator.instance  # type: ignore[attr-defined]
    instance.tables["incident"][staff.ticket()["sys_id"]].update(state="2", incident_state="2", sys_updated_by="admin")
    surveys = world.reconcile()
    assert found(surveys) == ["servicenow drifted"]
    world.settle()
    assert staff.ticket()["state"] == "6"
    assert found(world.reconcile()) == []
    assert world.reasons("record.reconciled") == ["record.reconciled drifted"]


def test_a_page_that_a_late_trigger_left_open_is_closed(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    resolved(world)
    account = staff.pagerduty.front.simulator.account  # type: ignore[attr-defined]
    account.incidents[0].status = "triggered"
    account.incidents[0].status_by = ""
    for alert in getattr(account.incidents[0], "alerts", ()):
        alert.status = "triggered"
    assert found(world.reconcile()) == ["pagerduty drifted"]
    world.settle()
    assert staff.page()["status"] == "resolved"


def test_what_a_person_opened_again_is_left_open(at_work: AtWork, staff: Staff) -> None:
    world = at_work("inbound: {defaults: {reopen: note}}")
    resolved(world)
    staff.in_servicenow("reopen")
    assert found(world.reconcile()) == []
    world.poll()
    assert found(world.reconcile()) == []
    assert staff.ticket()["state"] == "2"


def test_a_deleted_ticket_is_followed_by_the_next_while_the_incident_is_open(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("delete")
    surveys = world.reconcile()
    assert found(surveys) == ["servicenow vanished"]
    world.settle()
    assert len(staff.tickets()) == 1
    generations = world.sql("SELECT generation, state FROM records WHERE kind = 'servicenow' ORDER BY generation")
    assert [(row["generation"], row["state"]) for row in generations] == [(1, "vanished"), (2, "settled")]


def test_a_ticket_deleted_after_the_end_is_reported_and_nothing_opened(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    resolved(world)
    staff.in_servicenow("delete")
    assert found(world.reconcile()) == ["servicenow vanished"]
    world.settle()
    assert staff.tickets() == []
    assert found(world.reconcile()) == [], "told once"


def test_when_most_records_seem_gone_nothing_is_opened_anew(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    for at, service in enumerate(("a", "b", "c", "d", "e")):
        world.alert(f"Odd{service}", minutes=2 + at * 0.1, service=f"{service * 9}-alone", severity="critical")
    world.settle()
    tickets = len(staff.tickets())
    assert tickets > 3
    staff.servicenow.reset()
    [survey] = [one for one in world.reconcile() if one.destination == "servicenow"]
    assert {str(one.finding) for one in survey.found} == {"vanished"}
    assert survey.mended == ()
    world.settle()
    assert staff.tickets() == []


def test_a_second_issue_under_our_key_is_closed_as_a_duplicate(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    site = staff.jira.front.simulator.site  # type: ignore[attr-defined]
    [first] = site.issues.values()
    site.create(first.project, dict(first.fields))
    assert found(world.reconcile()) == ["jira doubled"]
    world.settle()
    assert [one["status_category"] for one in staff.issues()] == ["new", "done"]
    assert found(world.reconcile()) == []


def test_records_of_another_database_are_reported_and_never_written(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    world.do("DELETE FROM records WHERE kind = 'servicenow'")
    instance = staff.servicenow.front.simulator.instance  # type: ignore[attr-defined]
    instance.tables["incident"][staff.ticket()["sys_id"]]["sys_created_on"] = world.start.strftime("%Y-%m-%d %H:%M:%S")
    before = staff.ticket()
    assert found(world.reconcile()) == ["servicenow unknown"]
    assert found(world.reconcile()) == ["servicenow unknown"]
    world.settle()
    assert staff.ticket() == before
    assert world.reasons("record.reconciled") == ["record.reconciled unknown"], "audited once"


def test_without_repair_nothing_is_touched(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("delete")
    assert found(world.reconcile(repair=False)) == ["servicenow vanished"]
    world.settle()
    assert staff.tickets() == []
    [row] = world.sql("SELECT state FROM records WHERE kind = 'servicenow'")
    assert row["state"] == "settled"


def test_a_desk_that_cannot_be_asked_says_so(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.servicenow.front.plans.add({"fault": "html_200", "times": 9})
    [survey] = [one for one in world.reconcile() if one.destination == "servicenow"]
    assert survey.failed
    assert survey.found == ()
