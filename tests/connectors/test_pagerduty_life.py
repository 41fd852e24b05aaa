"""A page's whole life in PagerDuty: late queues, new owners, people who act, and the REST API's share.

A clock that only these tests move drives both sides.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.connectors.builders import KEY, after, note, task, wanted
from tests.connectors.pagerduty_desk import ORDERS, RETURNS, Desk, blind, clock, desk, running
from tests.simulators.conftest import Clock
from tocsin import simulators
from tocsin.connectors.pagerduty import Config
from tocsin.connectors.pagerduty.later import LOOKS, REPEAT_AFTER
from tocsin.connectors.pagerduty.mirror import mirror
from tocsin.domain.alert import Severity
from tocsin.domain.record import Reason
from tocsin.domain.seen import MirroredChange

__all__ = ["blind", "clock", "desk", "running"]


def test_a_trigger_that_a_resolve_overtook_in_the_queue_ends_resolved(blind: Desk) -> None:
    blind.fault("late", after_s=60)
    blind.want()
    first = blind.want(status="resolved")
    assert (first.result, first.after, blind.shown()) == ("done", REPEAT_AFTER, [])
    blind.wait(timedelta(seconds=61))
    assert blind.shown() == [(RETURNS, "triggered")]  # the page that a single resolve would leave open
    blind.wait(timedelta(seconds=59))
    assert blind.want().after is None
    assert blind.shown() == [(RETURNS, "resolved")]


def test_an_ambiguous_trigger_and_then_a_resolve_end_resolved(blind: Desk) -> None:
    blind.running.seed({"queue_s": 90})
    blind.fault("commit_then_drop", times=3)
    assert blind.want().result == "ambiguous"
    blind.running.seed({"queue_s": 0})
    second = blind.want(status="resolved")
    blind.again(second)
    assert {status for _, status in blind.shown()} == {"resolved"}


def test_a_resolve_is_repeated_once(desk: Desk) -> None:
    desk.want()
    first = desk.want(status="resolved")
    assert first.confirmation is not None
    assert first.confirmation.sent["resolve_repeated"] is False
    second = desk.again(first)
    assert (second.result, second.after) == ("done", None)
    assert desk.known.sent["resolve_repeated"] is True
    desk.wait(timedelta(hours=1))
    assert desk.want().calls == 0


def test_a_note_before_the_repeat_does_not_count_as_it(desk: Desk) -> None:
    desk.want()
    desk.want(status="resolved")
    desk.wait(timedelta(seconds=30))
    outcome = desk.want(notes=(note(1),))
    assert outcome.after == timedelta(seconds=90)
    assert desk.again(outcome).after is None
    assert len(desk.incidents[0]["notes"]) == 1


def test_what_no_event_can_close_is_closed_by_rest(desk: Desk) -> None:
    desk.want()
    first = desk.want(status="resolved")
    desk.running.seed({"queue_s": 600})
    incident = desk.account.incidents[0]
    incident.status, incident.status_by = "triggered", ""  # the resolve came to nothing in PagerDuty
    desk.again(first)
    assert desk.shown() == [(RETURNS, "resolved")]


def test_a_page_that_a_person_opened_again_stays_open(desk: Desk) -> None:
    desk.want()
    desk.wait(timedelta(minutes=5))
    first = desk.want(status="resolved")
    desk.wait(timedelta(seconds=30))
    desk.person("triggered")
    outcome = desk.again(replace(first, after=timedelta(seconds=90)))
    assert desk.shown() == [(RETURNS, "triggered")]
    assert outcome.confirmation is not None
    assert outcome.confirmation.human_touched
    assert "opened again by jane@example.com" in outcome.detail


def test_notes_at_the_end_are_shown_after_it(desk: Desk) -> None:
    desk.want()
    desk.fault("server_error_before", path="/notes$")
    desk.want(status="resolved", notes=(note(1, "All is well."),))
    assert desk.shown() == [(RETURNS, "resolved")]  # a failing REST API keeps no page open
    desk.want()
    assert [one["content"].splitlines()[0] for one in desk.incidents[0]["notes"]] == ["All is well."]
    assert desk.asked("POST", "/v2/enqueue") == 2


# -- a new owner -----------------------------------------------------------------------------------------------------


def test_a_new_owner_is_paged_once_and_the_old_page_ends(desk: Desk) -> None:
    desk.want()
    moved = desk.want(address={"routing_key": "orders"})
    assert desk.shown() == [(RETURNS, "resolved"), (ORDERS, "triggered")]
    assert moved.confirmation is not None
    assert moved.confirmation.number == "2"
    assert desk.again(moved).after is None
    assert desk.want(severity="critical").settled
    assert desk.shown() == [(RETURNS, "resolved"), (ORDERS, "triggered")]
    assert desk.again(desk.want(status="resolved")).after is None
    assert desk.shown() == [(RETURNS, "resolved"), (ORDERS, "resolved")]


def test_the_new_owner_is_paged_even_when_the_old_page_cannot_be_closed_yet(blind: Desk) -> None:
    blind.want()
    blind.fault("server_error_before", skip=1, times=3)
    outcome = blind.want(address={"routing_key": "orders"})
    assert outcome.result == "ambiguous"
    assert blind.shown() == [(RETURNS, "triggered"), (ORDERS, "triggered")]
    assert blind.want().settled
    assert blind.shown() == [(RETURNS, "resolved"), (ORDERS, "triggered")]
    assert blind.incidents[1]["triggers"] == 1


def test_a_move_that_died_halfway_is_closed_on_both_keys(blind: Desk) -> None:
    blind.want()
    before = blind.known
    blind.want(address={"routing_key": "orders"})
    died = replace(before, wanted=wanted(status="resolved", address={"routing_key": "orders"}), attempts=3)
    blind.account.set_status(blind.account.incidents[0], "triggered", by="")  # as if only the first event had gone out
    assert blind.send(replace(died, ambiguous_since=blind.clock.now)).settled
    assert {status for _, status in blind.shown()} == {"resolved"}


def test_a_page_whose_worker_died_is_closed_when_the_owner_changes_meanwhile(blind: Desk) -> None:
    unknown = blind.known
    blind.want(address={"routing_key": "returns"})  # its worker died before it could tell
    moved = replace(unknown.wanted, address={"routing_key": "orders"})
    died = replace(unknown, wanted=moved, tried=(blind.known.wanted,), attempts=2, ambiguous_since=blind.clock.now)
    assert blind.send(died).settled
    assert blind.shown() == [(RETURNS, "resolved"), (ORDERS, "triggered")]


def test_a_moved_page_whose_worker_died_rings_no_more_once_a_person_has_closed_it(desk: Desk) -> None:
    desk.want()
    told = desk.known
    desk.wait(timedelta(seconds=30))
    desk.want(address={"routing_key": "orders"})  # its worker died before it could tell
    moved = replace(told, wanted=desk.known.wanted, tried=(desk.known.wanted,), ambiguous_since=desk.clock.now)
    desk.wait(timedelta(minutes=1))
    desk.known = after(desk.send(replace(moved, now=desk.clock.now, attempts=3)), moved)
    desk.account.set_status(desk.account.incidents[1], "resolved", by="beth@example.org")
    assert desk.want(severity=Severity.CRITICAL).reason is Reason.GONE
    assert desk.shown() == [(RETURNS, "resolved"), (ORDERS, "resolved")]


def test_a_page_that_an_untold_attempt_closed_rings_when_its_owner_gets_it_back(desk: Desk) -> None:
    desk.want()
    told = desk.known
    desk.want(address={"routing_key": "orders"})  # its worker died before it could tell
    assert desk.send(replace(told, tried=(desk.known.wanted,), attempts=3, ambiguous_since=desk.clock.now)).settled
    assert desk.shown() == [(RETURNS, "resolved"), (ORDERS, "resolved"), (RETURNS, "triggered")]


def test_back_to_the_first_owner(desk: Desk) -> None:
    desk.want()
    desk.want(address={"routing_key": "orders"})
    back = desk.want(address={"routing_key": "returns"})
    assert desk.shown() == [(RETURNS, "resolved"), (ORDERS, "resolved"), (RETURNS, "triggered")]
    desk.again(back)
    assert desk.shown()[-1] == (RETURNS, "triggered")


def test_two_names_of_one_key_are_one_place(running: simulators.Running, clock: Clock) -> None:
    desk = Desk(running, clock, routing_keys={"returns": RETURNS, "refunds": RETURNS})
    desk.want()
    assert desk.want(address={"routing_key": "refunds"}).settled
    assert desk.shown() == [(RETURNS, "triggered")]


def test_an_owner_without_a_key_leaves_the_page_where_it_is(running: simulators.Running, clock: Clock) -> None:
    desk = Desk(running, clock, default_routing_key=None)
    desk.want()
    assert desk.want(address={"routing_key": "nowhere"}).settled
    assert desk.want(status="resolved").settled
    assert desk.shown() == [(RETURNS, "resolved")]


def test_a_key_that_was_taken_out_of_the_config_is_told(running: simulators.Running, clock: Clock) -> None:
    desk = Desk(running, clock, api_token=None)
    desk.want()
    later = Desk(running, clock, api_token=None, routing_keys={"orders": ORDERS}, default_routing_key=None)
    later.known = desk.known
    outcome = later.want(status="resolved", address={"routing_key": "orders"})
    assert outcome.confirmation is not None
    assert "by hand" in outcome.confirmation.warnings[0]


# -- people ----------------------------------------------------------------------------------------------------------


def test_a_merged_page_is_followed_into_the_other_incident_and_nothing_is_written_there(desk: Desk) -> None:
    other = desk.account.open_incident(
        desk.account.service(ORDERS), key="x", title="Big", severity="critical", event={}
    )
    desk.want()
    desk.account.merge(other, [desk.account.incidents[1]], by="jane@example.com")
    outcome = desk.want(severity="critical", notes=(note(1, "Worse."),))
    assert outcome.settled, outcome
    assert outcome.confirmation is not None
    assert outcome.confirmation.number == "1"
    assert desk.incidents[0]["notes"] == []
    assert desk.account.alerts[0].event["payload"]["custom_details"]["updates"] == ["Worse."]
    assert len(desk.incidents) == 2
    desk.again(desk.want(status="resolved"))
    assert desk.account.alerts[0].status == "resolved"


def test_incidents_that_show_no_key_are_found_by_their_alert(clock: Clock) -> None:
    with simulators.start("pagerduty", password="rest-token", clock=clock, incident_keys=False) as vendor:
        desk = Desk(vendor, clock)
        first = desk.want()
        assert first.confirmation is not None
        assert first.confirmation.number == "1"
        desk.want(notes=(note(1),))
        assert len(desk.incidents[0]["notes"]) == 1


def test_a_foreign_row_is_never_ours(desk: Desk) -> None:
    account = desk.account
    foreign = account.open_incident(account.service(ORDERS), key="x", title="Other", severity="info", event={})
    desk.want()
    account.keyed = lambda _key: account.incidents  # a query that was ignored returns everybody's
    desk.want(notes=(note(1),))
    assert foreign.notes == []
    assert len(desk.incidents[1]["notes"]) == 1


# -- what REST adds --------------------------------------------------------------------------------------------------


def test_an_incident_that_is_not_there_yet_is_looked_for_and_then_missed(desk: Desk) -> None:
    desk.running.seed({"queue_s": 3600})
    outcome = desk.want(notes=(note(1),))
    waits = [outcome.after]
    while outcome.after:
        outcome = desk.again(outcome)
        waits.append(outcome.after)
    assert waits == [*LOOKS, None]
    assert outcome.confirmation is not None
    assert any("shows no incident" in text for text in outcome.confirmation.warnings)
    assert desk.asked("POST", "/v2/enqueue") == 1


def test_a_late_incident_gets_its_link_and_the_notes_that_waited(desk: Desk) -> None:
    desk.fault("late", after_s=4)
    first = desk.want(notes=(note(1),))
    assert first.confirmation is not None
    assert (first.confirmation.url, first.confirmation.notes) == ("", ())
    second = desk.again(first)
    assert second.confirmation is not None
    assert second.confirmation.url
    assert len(desk.incidents[0]["notes"]) == 1


def test_the_priority_follows_impact_and_urgency_until_a_person_sets_another(
    running: simulators.Running, clock: Clock
) -> None:
    desk = Desk(running, clock, priorities={1: "P1", 2: "P2", 3: "P3"})
    desk.want()
    assert desk.incidents[0]["priority"] == "P3"
    desk.want(impact=1)
    assert desk.incidents[0]["priority"] == "P2"
    desk.account.prioritise(desk.account.incidents[0], "P4", by="jane@example.com")
    desk.want(urgency=1)
    assert desk.incidents[0]["priority"] == "P4"


def test_an_unknown_priority_is_told_and_stops_nothing(running: simulators.Running, clock: Clock) -> None:
    desk = Desk(running, clock, priorities={3: "Sev-3"})
    outcome = desk.want()
    assert outcome.settled
    assert outcome.confirmation is not None
    assert "'Sev-3' is not in PagerDuty; it has P1" in outcome.confirmation.warnings[0]


def test_an_unreachable_rest_api_delays_no_page_and_loses_no_note(desk: Desk) -> None:
    desk.fault("server_error_before", method="", path="^/incidents", times=0)
    outcome = desk.want(notes=(note(1),))
    assert outcome.result == "retry"
    assert desk.shown() == [(RETURNS, "triggered")]
    desk.running.front.plans.clear()
    desk.want()
    assert (len(desk.incidents[0]["notes"]), desk.incidents[0]["triggers"]) == (1, 1)


def test_a_quiet_incident_costs_eight_calls(desk: Desk) -> None:
    desk.want()
    desk.want(notes=(note(1),))
    desk.again(desk.want(status="resolved", notes=(note(2),)))
    assert len(desk.calls) == 8


# -- limits ----------------------------------------------------------------------------------------------------------


def test_events_are_paced_and_pages_go_before_updates(running: simulators.Running, clock: Clock) -> None:
    desk = Desk(running, clock, events_per_minute=10)
    pages = [task(wanted=wanted(key=f"{number:032x}"), now=clock.now) for number in range(12)]
    outcomes = [desk.send(page) for page in pages]
    assert [one.result for one in outcomes] == ["done"] * 10 + ["retry"] * 2
    assert outcomes[-1].alone
    clock.now += outcomes[-1].after or timedelta(0)
    better = after(outcomes[0], pages[0], now=clock.now, wanted=wanted(key=pages[0].wanted.key, severity="info"))
    assert desk.send(better).result == "retry"
    assert desk.send(replace(pages[-1], now=clock.now)).result == "done"


def test_more_than_512_kb_is_sent_without_details(desk: Desk) -> None:
    desk.fault("server_error_before", times=0, path="^/nowhere$")
    outcome = desk.want(details={"log": "x" * 600_000})
    assert outcome.settled
    details = desk.incidents[0]["event"]["payload"]["custom_details"]
    assert details["left_out_for_size"] == ["log"]


# -- changes ---------------------------------------------------------------------------------------------------------


def change(**given: Any) -> MirroredChange:
    told = {"id": "ch-1", "summary": "Deployed 4.12", "source": "argocd", "subject": "job:baskets"}
    address = {"routing_key": "orders"}
    return MirroredChange(**{**told, "occurred_at": Clock().now, "address": address, **given})


def test_a_change_is_shown_on_the_owners_service(desk: Desk) -> None:
    assert mirror(desk.config, change(url="https://ci.example.com/4.12"), desk.http).settled
    (shown,) = desk.account.changes
    assert shown.service.routing_key == ORDERS
    assert shown.event["payload"]["custom_details"] == {"subject": "job:baskets", "change_id": "ch-1"}
    assert shown.event["links"][0]["href"] == "https://ci.example.com/4.12"


def test_a_change_whose_answer_was_lost_is_looked_for(desk: Desk) -> None:
    desk.fault("commit_then_drop", path="/v2/change/enqueue")
    assert mirror(desk.config, change(), desk.http).result == "duplicate"
    assert len(desk.account.changes) == 1


def test_a_key_of_a_ruleset_takes_no_changes(desk: Desk) -> None:
    outcome = mirror(desk.config, change(address={"routing_key": "returns"}), desk.http)
    assert (outcome.result, outcome.calls) == ("rejected", 0)
    assert "ruleset" in outcome.detail


# -- the account -----------------------------------------------------------------------------------------------------


def test_the_region_sets_both_addresses() -> None:
    config = Config(region="eu")
    assert (config.url, config.api_url) == ("https://events.eu.pagerduty.com", "https://api.eu.pagerduty.com")
    assert Config(region="eu", url="https://relay.example.com").url == "https://relay.example.com"
    assert Config().url == "https://events.pagerduty.com"


def test_pictures_and_the_way_back_to_us_are_shown(desk: Desk) -> None:
    links = (("Graph", "https://g.example.com/p.png"), ("TOC-7", "https://tocsin.example.com/incidents/TOC-7"))
    desk.known = task(wanted=wanted(links=links), now=desk.clock.now)
    desk.want()
    event = desk.incidents[0]["event"]
    assert [one["src"] for one in event["images"]] == ["https://g.example.com/p.png"]
    assert event["client_url"] == "https://tocsin.example.com/incidents/TOC-7"
    assert event["dedup_key"] == KEY


def test_a_moment_of_the_api_is_aware() -> None:
    from tocsin.connectors.pagerduty.rest import iso, moment

    at = moment("2026-11-21T12:00:00Z")
    assert isinstance(at, datetime)
    assert iso(at) == "2026-11-21T12:00:00Z"
    assert moment("soon") is None
