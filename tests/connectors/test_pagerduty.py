"""One page per outage in PagerDuty, against the shipped simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import requests

from tests.connectors.builders import KEY, NOW, after, note, task, wanted
from tests.connectors.canned import Canned, canned
from tocsin import simulators
from tocsin.connectors import find, open_http
from tocsin.connectors.pagerduty import Config
from tocsin.connectors.pagerduty.render import MAX_EVENT_BYTES, fitting, minimal, render
from tocsin.domain.record import Outcome, Reason, Task

PAGERDUTY = find("pagerduty")
RETURNS, FALLBACK = "R" * 32, "F" * 32
RESOLVED = wanted(status="resolved")


class Pager:
    """A simulated account, with what a test asks and does there."""

    def __init__(self, running: simulators.Running, **config: Any) -> None:
        self.running = running
        given = {"url": running.url, "api_url": running.url, "read_timeout_s": 0.5, "from_email": "bot@example.com"}
        keys = {"routing_keys": {"returns": RETURNS}, "default_routing_key": FALLBACK}
        self.config = Config(**{**given, **keys, **config})
        self.http = open_http(self.config, blip_wait_s=0)

    def send(self, task: Task) -> Outcome:
        return PAGERDUTY.send(self.config, task, self.http)

    def fault(self, kind: str, method: str = "POST", path: str = "/v2/enqueue", **more: Any) -> None:
        plan = {"match": {"method": method, "path": path}, "fault": kind, **more}
        requests.post(f"{self.running.url}/__faults", json=plan, timeout=5).raise_for_status()

    @property
    def incidents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.running.state()["incidents"]  # type: ignore[assignment]
        return found

    def person(self, status: str) -> None:
        account = self.running.front.simulator.account  # type: ignore[attr-defined]
        account.set_status(account.incidents[-1], status, by="jane@example.com")

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.running.front.calls


@pytest.fixture
def running() -> Iterator[simulators.Running]:
    with simulators.start("pagerduty", password="rest-token") as vendor:
        yield vendor


@pytest.fixture
def pager(running: simulators.Running) -> Pager:
    return Pager(running)


@pytest.fixture
def desk(running: simulators.Running) -> Pager:
    """The same with an API token."""
    return Pager(running, api_token="rest-token")


def opened(pager: Pager, **changes: Any) -> Task:
    first = task(**changes)
    outcome = pager.send(first)
    assert outcome.settled, outcome
    return after(outcome, first, notes=())


def test_a_page_goes_to_the_teams_routing_key(pager: Pager) -> None:
    outcome = pager.send(task())
    (incident,) = pager.incidents
    assert (incident["key"], incident["service"]["routing_key"], incident["severity"]) == (KEY, RETURNS, "error")
    assert outcome.confirmation is not None
    assert (outcome.confirmation.external_id, outcome.confirmation.url) == (KEY, "")
    assert RETURNS not in repr(outcome)


def test_an_unlisted_routing_key_falls_back(pager: Pager) -> None:
    pager.send(task(wanted=wanted(address={"routing_key": "unknown"})))
    assert pager.incidents[0]["service"]["routing_key"] == FALLBACK


def test_no_routing_key_at_all_is_refused_with_the_remedy(running: simulators.Running) -> None:
    outcome = Pager(running, default_routing_key=None).send(task(wanted=wanted(address={})))
    assert (outcome.result, outcome.calls) == ("rejected", 0)
    assert "default_routing_key" in outcome.detail


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after", "slow"])
def test_a_lost_answer_leaves_one_incident(pager: Pager, fault: str) -> None:
    pager.fault(fault, times=1 if fault == "slow" else 3)  # the others are tried again at once, as blips
    first = task()
    lost = pager.send(first)
    assert lost.result == "ambiguous"
    assert pager.send(after(lost, first)).settled
    assert len(pager.incidents) == 1


def test_what_may_have_paged_is_resolved_too(pager: Pager) -> None:
    pager.fault("commit_then_drop", times=3)
    first = task()
    lost = pager.send(first)
    assert pager.send(after(lost, first, wanted=RESOLVED)).settled
    assert [one["status"] for one in pager.incidents] == ["resolved"]


def test_an_earlier_trigger_is_not_forgotten_by_a_try_that_reached_nobody(pager: Pager) -> None:
    pager.fault("commit_then_drop", times=3)
    pager.fault("rate_limit")
    first = task()
    lost = after(pager.send(first), first)
    limited = pager.send(lost)
    assert (limited.result, limited.reason) == ("ambiguous", Reason.RATE_LIMITED)
    assert pager.send(after(limited, lost, wanted=RESOLVED, now=NOW + timedelta(seconds=31))).settled
    assert [one["status"] for one in pager.incidents] == ["resolved"]


def test_a_page_of_an_attempt_that_died_is_resolved(pager: Pager) -> None:
    pager.send(task())
    assert pager.send(task(wanted=RESOLVED, attempts=2)).settled
    assert [one["status"] for one in pager.incidents] == ["resolved"]


def test_an_outage_that_ended_before_its_page_pages_nobody(pager: Pager) -> None:
    outcome = pager.send(task(wanted=RESOLVED, notes=(note(1),)))
    assert (outcome.result, outcome.calls) == ("done", 0)
    assert pager.incidents == []


def test_a_resolve_goes_to_the_key_that_was_paged(pager: Pager) -> None:
    second = opened(pager)
    outcome = pager.send(replace(second, wanted=wanted(status="resolved", address={"routing_key": "others"})))
    assert outcome.settled
    assert [one["status"] for one in pager.incidents] == ["resolved"]


def test_a_resolved_page_is_never_triggered_again(pager: Pager) -> None:
    second = replace(opened(pager), wanted=RESOLVED)
    third = after(pager.send(second), second, wanted=wanted())
    outcome = pager.send(third)
    assert (outcome.result, outcome.reason) == ("rejected", Reason.GONE)
    assert len(pager.incidents) == 1


def test_a_new_severity_updates_the_same_page(pager: Pager) -> None:
    second = replace(opened(pager), wanted=wanted(severity="critical"))
    assert pager.send(second).settled
    (incident,) = pager.incidents
    assert (incident["severity"], incident["triggers"]) == ("critical", 2)


def test_a_new_title_alone_sends_nothing(pager: Pager) -> None:
    second = replace(opened(pager), wanted=wanted(title="Other words"))
    assert pager.send(second).calls == 0


def test_without_sight_a_note_rings_nobody_and_that_is_told(pager: Pager) -> None:
    second = replace(opened(pager), notes=(note(1),))
    pager.person("resolved")
    outcome = pager.send(second)
    assert (outcome.calls, len(pager.incidents)) == (0, 1)
    assert outcome.confirmation is not None
    assert outcome.confirmation.notes == (second.notes[0].id,)
    assert "api_token" in outcome.confirmation.warnings[0]


def test_notes_as_events_shows_them_among_the_details(running: simulators.Running) -> None:
    pager = Pager(running, notes_as_events=True)
    second = replace(opened(pager), notes=(note(1, "First."), note(2, "Second.")))
    outcome = pager.send(second)
    (incident,) = pager.incidents
    assert incident["event"]["payload"]["custom_details"]["updates"] == ["First.", "Second."]
    assert outcome.confirmation is not None
    assert len(outcome.confirmation.notes) == 2


def test_with_a_token_the_incident_is_linked_and_noted(desk: Pager) -> None:
    first = task()
    outcome = desk.send(first)
    assert outcome.confirmation is not None
    assert outcome.confirmation.url.startswith("http")
    assert desk.send(after(outcome, first, notes=(note(1, "Rolled back."),))).settled
    (incident,) = desk.incidents
    assert [one["content"].splitlines()[0] for one in incident["notes"]] == ["Rolled back."]
    assert incident["triggers"] == 1


def test_a_note_whose_answer_was_lost_is_not_doubled(desk: Pager) -> None:
    second = replace(opened(desk), notes=(note(1), note(2)))
    desk.fault("commit_then_drop", path="/notes$")
    lost = desk.send(second)
    assert lost.result == "ambiguous"
    assert desk.send(after(lost, second)).settled
    assert len(desk.incidents[0]["notes"]) == 2


def test_notes_that_rest_refuses_go_inside_the_event(running: simulators.Running) -> None:
    pager = Pager(running, api_token="rest-token", from_email="")
    second = replace(opened(pager), notes=(note(1, "Rolled back."),))
    assert pager.send(second).settled
    assert pager.incidents[0]["event"]["payload"]["custom_details"]["updates"] == ["Rolled back."]


def test_a_wrong_token_never_stops_a_page(running: simulators.Running) -> None:
    pager = Pager(running, api_token="wrong-token-of-mine")
    outcome = pager.send(task(notes=(note(1),)))
    assert outcome.settled
    assert "wrong-token-of-mine" not in repr(outcome)
    assert len(pager.incidents) == 1


def test_a_page_that_a_person_resolved_is_gone(desk: Pager) -> None:
    second = replace(opened(desk), wanted=wanted(severity="critical"))
    desk.person("resolved")
    outcome = desk.send(second)
    assert (outcome.result, outcome.reason) == ("rejected", Reason.GONE)
    assert outcome.confirmation is not None
    assert outcome.confirmation.human_touched


def test_note_only_leaves_an_acknowledged_page_to_its_person(desk: Pager) -> None:
    second = replace(opened(desk), wanted=RESOLVED, when_human_touched="note_only", notes=(note(1),))
    desk.person("acknowledged")
    assert desk.send(second).settled
    (incident,) = desk.incidents
    assert (incident["status"], len(incident["notes"])) == ("acknowledged", 1)


def test_a_refused_event_goes_once_more_without_its_trimmings() -> None:
    def refuse(vendor: Canned) -> None:
        vendor.status, vendor.body = 400, b'{"status":"invalid event","errors":["\'links\' is wrong"]}'

    def accept(vendor: Canned) -> None:
        vendor.status, vendor.body = 202, b'{"status":"success"}'

    with canned(answers=[refuse, accept]) as vendor:
        config = Config(url=vendor.url, default_routing_key=FALLBACK)
        outcome = PAGERDUTY.send(config, task(), open_http(config))
        second = orjson.loads(vendor.asked[1].body)
    assert outcome.settled
    assert "'links' is wrong" in outcome.detail
    assert set(second) == {"routing_key", "event_action", "dedup_key", "payload", "client"}
    assert outcome.confirmation is not None
    assert outcome.confirmation.dropped_fields == ("links",)


def test_an_event_is_cut_to_its_limit_by_leaving_out_the_largest_details() -> None:
    details = {"small": 1, **{f"large_{n}": "x" * 200_000 for n in range(4)}}
    event = fitting(render(Config(), wanted(details=details, title="long " * 1000)))
    assert len(orjson.dumps(event)) < MAX_EVENT_BYTES
    assert event["payload"]["custom_details"]["small"] == 1
    assert len(event["payload"]["custom_details"]["left_out_for_size"]) == 2
    assert len(event["payload"]["summary"]) <= 1024
    assert set(minimal(event)["payload"]) == {"summary", "source", "severity"}


def test_a_rate_limit_is_a_retry(pager: Pager) -> None:
    pager.fault("rate_limit")
    limited = pager.send(task())
    assert (limited.result, limited.after, limited.alone) == ("retry", timedelta(seconds=30), True)
    waiting = pager.send(task(now=NOW + timedelta(seconds=10)))
    assert (waiting.result, waiting.calls, waiting.after) == ("retry", 0, timedelta(seconds=20))
    assert pager.send(task(now=NOW + timedelta(seconds=31))).settled


OURS = ("TOC-1042", "https://tocsin.example.com/incidents/TOC-1042")


def test_the_timeline_is_linked_below_our_own_page() -> None:
    event = render(Config(), wanted(display=OURS[0], links=(OURS,)))
    assert event["links"][1] == {"href": f"{OURS[1]}/timeline.png", "text": "Timeline"}
    assert "images" not in event, "responders' browsers have no session of our console"


def test_the_timeline_is_shown_where_responders_reach_it_over_https() -> None:
    shown = Config(timeline_images=True)
    [image] = render(shown, wanted(display=OURS[0], links=(OURS,)))["images"]
    assert image == {"src": f"{OURS[1]}/timeline.png", "href": f"{OURS[1]}/timeline.png", "alt": "Timeline"}
    plain = (OURS[0], OURS[1].replace("https", "http"))
    assert "images" not in render(shown, wanted(display=OURS[0], links=(plain,)))
