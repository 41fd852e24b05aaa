"""What a person does to one record moves the incident and its other records; what we wrote ourselves moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.pipeline.conftest import AtWork
from tests.pipeline.staffed import Staff, Staffed, page_body, rule_body


def test_an_acknowledgement_in_pagerduty_puts_ticket_and_issue_in_progress(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.set_page("acknowledged")
    world.poll()
    assert staff.ticket()["state"] == "2"
    assert staff.issue()["status_category"] == "indeterminate"
    assert "Acknowledged by" in staff.notes_of_ticket()
    assert "in PagerDuty" in staff.notes_of_ticket()
    assert "Acknowledged by" not in staff.notes_of_page(), "whoever did it there knows"
    assert world.incidents()[0]["state"] == "open"


def test_a_resolve_in_jira_ends_the_incident_everywhere_until_an_alert_fires_anew(
    at_work: AtWork, staff: Staff
) -> None:
    world = at_work()
    staff.move_issue("done")
    world.poll()
    assert (staff.ticket()["state"], staff.page()["status"]) == ("6", "resolved")
    assert "Resolved by Ada Lovett" in staff.ticket()["close_notes"]
    assert "1 alert still fires (HighLatency of checkout)" in staff.ticket()["close_notes"]
    world.alert("HighLatency", minutes=3, service="checkout")
    world.settle()
    assert staff.page()["status"] == "resolved", "a report of what fires already is no new episode"
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.alert("HighLatency", minutes=14, service="checkout")
    world.settle()
    assert [page["status"] for page in staff.pages()] == ["resolved", "triggered"]
    assert staff.ticket()["state"] == "2"
    assert world.hands()["held"] == ""


def test_taking_the_ticket_on_in_servicenow_stops_the_page_from_ringing(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("acknowledge")
    world.poll()
    assert staff.page()["status"] == "acknowledged"
    assert "Acknowledged by kim.doe in ServiceNow INC" in staff.notes_of_page()
    assert world.hands()["acknowledged_in"].startswith("ServiceNow INC")
    world.alert("Errors", minutes=2, service="payments")
    world.settle()
    assert staff.page()["status"] == "acknowledged", "more of the same outage rings nobody anew"


def test_what_a_person_did_counts_although_we_wrote_the_record_since(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("acknowledge")
    world.alert("HighLatency", minutes=2, service="checkout", severity="warning")
    world.do("INSERT INTO notes (id, record_id, text) SELECT gen_random_uuid(), id, 'News.' FROM records")
    world.do("UPDATE records SET next_attempt_at = now() WHERE kind = 'servicenow'")
    world.settle()
    assert staff.ticket()["sys_updated_by"] == "admin", "the last writer is us"
    world.poll()
    assert staff.page()["status"] == "acknowledged"


def test_a_resolve_in_servicenow_with_a_close_code_is_told_and_not_ours(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("resolve", code="Workaround provided", note="Restarted.")
    world.poll()
    assert (staff.page()["status"], staff.issue()["status_category"]) == ("resolved", "done")
    assert "Resolved by kim.doe (Workaround provided) in ServiceNow INC" in staff.comments_of_issue()
    assert staff.ticket()["close_notes"] == "Restarted.", "the person's own words stand"
    assert "Resolved by" not in staff.notes_of_ticket()
    world.poll()
    assert world.incidents()[0]["state"] == "resolved"


def test_a_person_s_resolve_may_end_that_record_only(at_work: AtWork, staff: Staff) -> None:
    world = at_work("inbound: {defaults: {resolve: note}, servicenow: {resolve: record}}")
    staff.in_servicenow("resolve")
    world.poll()
    assert (staff.page()["status"], staff.issue()["status_category"]) == ("triggered", "new")
    assert "Resolved by" not in staff.comments_of_issue()
    staff.move_issue("done")
    world.poll()
    assert staff.page()["status"] == "triggered"
    assert "Resolved by Ada Lovett" in staff.notes_of_page()
    assert world.incidents()[0]["state"] == "open"


def test_a_reopened_issue_opens_the_incident_again(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.move_issue("done")
    world.poll()
    staff.move_issue("indeterminate")
    world.poll()
    assert world.incidents()[0]["state"] == "open", "its alert never ended"
    assert staff.ticket()["state"] == "2"
    assert [page["status"] for page in staff.pages()] == ["resolved", "triggered"], "it still fires: somebody is needed"


def test_what_is_reopened_after_its_alerts_ended_stays_open_and_pages_nobody(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    world.poll()
    staff.in_servicenow("reopen")
    world.poll()
    assert world.incidents()[0]["state"] == "open"
    assert staff.issue()["status_category"] != "done"
    assert [page["status"] for page in staff.pages()] == ["resolved"]
    assert "Reopened by kim.doe in ServiceNow" in staff.comments_of_issue()
    staff.in_servicenow("resolve")
    world.poll()
    assert (world.incidents()[0]["state"], staff.issue()["status_category"]) == ("resolved", "done")


def test_whoever_assigns_the_ticket_chooses_the_owner(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("assign", to="Jane Archer", group="Data Engineering")
    world.poll()
    assert world.incidents()[0]["team"] == "data"
    assert "Assigned to Jane Archer of Data Engineering by kim.doe in ServiceNow INC" in staff.comments_of_issue()
    world.alert("Errors", minutes=2, service="payments")
    world.settle()
    assert world.incidents()[0]["team"] == "data", "no rule of ours takes it back"


def test_a_group_that_no_team_has_stops_automatic_reassignment_only(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("assign", to="Jane Archer", group="Network")
    world.poll()
    [row] = world.sql("SELECT human_touched, routing->'ownership'->>'team' AS team FROM incidents")
    assert (row["human_touched"], row["team"]) == (True, "platform")


def test_a_priority_set_by_a_person_is_followed(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow(set={"impact": "3", "urgency": "2"})
    world.poll()
    assert staff.issue()["fields"]["priority"]["name"] == "Low"
    assert "Priority set to 4" in staff.notes_of_page()
    assert (staff.ticket()["impact"], staff.ticket()["urgency"]) == ("3", "2"), "the person's own values stand"


def test_comments_are_mirrored_once_with_source_and_author_and_never_come_back(at_work: AtWork, staff: Staff) -> None:
    world = at_work("inbound: {defaults: {comments: mirror}}")
    staff.in_servicenow("note", note="Rolling back now.")
    for _ in range(3):
        world.poll()
    assert staff.notes_of_page().count("Rolling back now.") == 1
    assert "kim.doe in ServiceNow INC" in staff.notes_of_page()
    assert staff.comments_of_issue().count("Rolling back now.") == 1
    assert staff.notes_of_ticket().count("Rolling back now.") == 1, "its own, and no echo"
    staff.in_jira("POST", "/comment", {"body": {"type": "doc", "version": 1, "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "Thanks, watching."}]}]}})  # fmt: skip
    for _ in range(3):
        world.poll()
    assert staff.notes_of_ticket().count("Thanks, watching.") == staff.notes_of_page().count("Thanks, watching.") == 1


def test_comments_stay_where_they_are_unless_the_policy_says_so(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("note", note="Rolling back now.")
    world.poll()
    assert "Rolling back" not in staff.notes_of_page() + staff.comments_of_issue()
    assert "record.commented ignored_by_policy" in world.reasons("record.commented")


def test_our_own_writes_move_nothing(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    before = (staff.notes_of_ticket(), staff.notes_of_page(), staff.comments_of_issue())
    world.poll()
    world.poll()
    assert (staff.notes_of_ticket(), staff.notes_of_page(), staff.comments_of_issue()) == before
    counted = [line for line in world.reasons("record.%") if line.endswith(" taken")]
    assert counted == []
    assert world.hands() == {}


# --- webhooks, alone and beside polling ---


def test_a_webhook_that_comes_twice_or_is_polled_too_counts_once(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.set_page("acknowledged")
    at = str(staff.pages()[0]["status_at"])
    body = page_body(staff.page(), "incident.acknowledged", at=at.replace(" ", "T"))
    for minutes in (3, 4):
        world.post("pd", body, minutes=minutes, headers={"x-webhook-id": f"delivery-{minutes}"})
    world.settle()
    world.poll()
    in_pagerduty = "SELECT reason FROM audit WHERE action = 'record.acknowledged' AND actor = 'Kim Doe' ORDER BY id"
    assert [row["reason"] for row in world.sql(in_pagerduty)] == ["taken", "duplicate"]
    assert staff.notes_of_ticket().count("Acknowledged by") == 1


def test_an_update_older_than_what_we_know_does_nothing(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    page = staff.page()
    late = datetime.now(UTC) + timedelta(minutes=5)
    early = late - timedelta(seconds=30)
    world.post("pd", page_body(page, "incident.resolved", at=late.isoformat()), minutes=3)
    world.post("pd", page_body(page, "incident.acknowledged", at=early.isoformat()), minutes=4)
    world.settle()
    assert world.reasons("record.acknowledged") == ["record.acknowledged out_of_order"]
    assert (staff.ticket()["state"], world.incidents()[0]["state"]) == ("6", "resolved")


def test_a_late_update_of_another_kind_still_counts(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    ticket = staff.ticket()
    world.post("sn", rule_body(ticket, "priority_changed", revision=9, priority="1 - Critical"), minutes=3)
    world.post("sn", rule_body(ticket, "acknowledged", revision=8), minutes=4)
    world.settle()
    assert staff.page()["status"] == "acknowledged"


def test_one_hook_serves_the_records_of_every_environment(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    assert world.app.active().mappings.hooks["sn"].environment == "staging"
    world.post("sn", rule_body(staff.ticket(), "acknowledged"), minutes=3)
    world.settle()
    assert world.hands()["acknowledged_by"] == "kim.doe"


def test_a_note_in_pagerduty_is_known_by_the_incident_s_id_alone(at_work: AtWork, staff: Staff) -> None:
    world = at_work("inbound: {defaults: {comments: mirror}}")
    page = staff.page()
    note = {"id": "PNOTE1", "type": "incident_note", "content": "Looking.", "trimmed": False}
    about = {"incident": {"id": page["id"], "type": "incident_reference", "summary": "x"}}
    event = {"id": "E1", "event_type": "incident.annotated", "resource_type": "incident"}
    agent = {"id": "PKIM", "type": "user_reference", "summary": "Kim Doe"}
    at = datetime.now(UTC).isoformat()
    world.post("pd", {"event": {**event, "occurred_at": at, "agent": agent, "data": {**note, **about}}}, minutes=3)
    world.settle()
    assert "Kim Doe in PagerDuty" in staff.notes_of_ticket()
    assert "Looking." in staff.notes_of_ticket()


def test_a_copy_of_our_issue_that_carries_our_label_says_nothing_of_ours(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    issue = staff.issue()
    done = {"name": "Done", "statusCategory": {"key": "done"}}
    body = {
        "webhookEvent": "jira:issue_updated",
        "timestamp": int(datetime.now(UTC).timestamp() * 1000),
        "user": {"accountId": "ada", "displayName": "Ada Lovett"},
        "issue": {"id": "99999", "key": "OPS-77", "fields": {"status": done, "labels": issue["fields"]["labels"]}},
        "changelog": {"id": "5", "items": [{"field": "status", "toString": "Done", "fromString": "To Do"}]},
    }
    world.post("ji", body, minutes=3)
    world.settle()
    assert world.reasons("record.resolved") == ["record.resolved another_record"]
    assert world.incidents()[0]["state"] == "open"


def test_polling_alone_is_enough_after_hours_without_it(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    staff.in_servicenow("acknowledge")
    staff.in_servicenow("assign", to="Jane Archer", group="ML")
    staff.in_servicenow("note", note="It is the cache.")
    staff.in_servicenow("resolve", code="Workaround provided")
    assert world.poll() == 2, "one look at the incident, one note"
    assert (staff.page()["status"], world.incidents()[0]["team"]) == ("resolved", "ml")
    world.poll()
    assert world.poll() == 0, "what was heard once is not heard again"


# --- what people teach ---

CHANGE = """
INSERT INTO changes (environment, id, kind, subject, occurred_at, received_at, change) SELECT 'production', 'deploy-1',
 'service.deployed', 'service:checkout', opened_at - interval '5 min', opened_at, jsonb_build_object('id', 'deploy-1',
 'hook', 'gh', 'source', 'github', 'environment', 'production', 'kind', 'service.deployed', 'subject',
 'service:checkout', 'occurred_at', opened_at - interval '5 min', 'received_at', opened_at, 'ticket', 'CHG0030001')
 FROM incidents
"""


def test_a_cause_that_a_person_sets_is_confirmed_and_one_of_ours_is_not(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    world.do(CHANGE)
    ticket = staff.ticket()
    world.post("sn", rule_body(ticket, "cause_set", by="admin", revision=4, caused_by="CHG0030002"), minutes=3)
    world.settle()
    assert world.reasons("cause.%") == []
    world.post("sn", rule_body(ticket, "cause_set", revision=5, caused_by="CHG0030001"), minutes=4)
    world.settle()
    [row] = world.sql("SELECT confirmed_change FROM incidents")
    assert row["confirmed_change"] == "deploy-1"
    assert world.reasons("cause.%") == ["cause.confirmed confirmed"]
    [entry] = world.sql("SELECT actor, because FROM audit WHERE action = 'cause.confirmed'")
    assert (entry["actor"], entry["because"]["by_way_of"]) == ("kim.doe", "caused by")


def test_a_cause_that_we_do_not_know_is_kept_in_the_trail_only(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    world.post("sn", rule_body(staff.ticket(), "cause_set", caused_by="CHG0099999"), minutes=3)
    world.settle()
    assert world.reasons("cause.%") == ["cause.confirmed unknown_change"]
    assert world.sql("SELECT confirmed_change FROM incidents") == [{"confirmed_change": ""}]


def test_a_close_code_teaches_where_the_policy_gives_it_a_meaning(at_work: AtWork, staff: Staff) -> None:
    world = at_work('inbound: {servicenow: {close_codes: {"User error": no_change}}}')
    staff.in_servicenow("resolve", code="User error")
    world.poll()
    assert world.sql("SELECT confirmed_change FROM incidents") == [{"confirmed_change": "none"}]


# --- closed records ---


def again(world: Staffed, staff: Staff, *, minutes: float = 20) -> None:
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=minutes, service="checkout")
    world.settle()


def test_a_record_is_opened_again_within_its_time_and_followed_later(at_work: AtWork, staff: Staff) -> None:
    world = at_work("closed_records: {servicenow: {reopen_within: 5m}, jira: {reopen_within: 1h}}")
    again(world, staff)
    assert [ticket["state"] for ticket in staff.tickets()] == ["6", "1"]
    first, second = staff.tickets()
    assert first["number"] in second["description"], "linked to the one before"
    assert len(staff.issues()) == 1
    assert staff.issue()["status_category"] != "done"


def test_comment_only_tells_the_old_record_and_opens_nothing(at_work: AtWork, staff: Staff) -> None:
    world = at_work("closed_records: {servicenow: {reopen_within: 5m, then: comment_only}}")
    again(world, staff)
    assert staff.ticket()["state"] == "6"
    assert "Back since" in staff.notes_of_ticket()
    world.alert("HighLatency", minutes=25, resolved=True, service="checkout")
    world.settle()
    assert staff.ticket()["state"] == "6"


# --- cross-links ---


def test_each_record_names_the_others_once(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    page, ticket, issue = f"PagerDuty #{staff.page()['number']}", staff.ticket()["number"], staff.issue()["key"]
    world.poll()
    assert staff.notes_of_ticket().count(f"See also {page}") == 1
    assert staff.notes_of_ticket().count(f"See also Jira {issue}") == 1
    assert staff.notes_of_page().count(f"See also ServiceNow {ticket}") == 1
    assert staff.comments_of_issue().count(f"See also ServiceNow {ticket}") == 1


def test_the_next_page_is_told_where_the_ticket_stands(at_work: AtWork, staff: Staff) -> None:
    world = at_work()
    again(world, staff)
    first, second = staff.pages()
    assert staff.ticket()["number"] in str(second["notes"])
    assert f"PagerDuty #{second['number']}" in str(first["notes"]) + staff.notes_of_ticket()
