"""With `identity: event` an outage is one alert of Event Management: opened, updated and cleared under one key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest

from tests.connectors.builders import KEY, NOW, note, task, wanted
from tests.connectors.canned import canned
from tests.connectors.servicenow_desk import SEED, Desk, known, later
from tocsin import simulators
from tocsin.domain.record import Reason

EVENTS = "/api/global/em/jsonv2"


@pytest.fixture(scope="module")
def running() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as one:
        yield one


@pytest.fixture
def desk(running: simulators.Running) -> Desk:
    running.reset()
    return Desk(running, identity="event")


def test_an_outage_is_one_alert_from_its_start_to_its_end(desk: Desk) -> None:
    first = task(wanted=wanted(severity="critical", component="model:returns"))
    opened = desk.send(first)
    assert (opened.result, opened.calls, known(opened).external_id) == ("done", 1, KEY)
    worse = later(opened, first, notes=(note(1, "Two more models."),))
    noted = desk.send(worse)
    assert len(known(noted).notes) == 1
    ended = later(noted, worse, wanted=wanted(status="resolved", close_notes="Rolled back."))
    assert desk.send(ended).result == "done"
    (alert,) = desk.rows("em_alert")
    assert (alert["message_key"], alert["severity"], alert["state"]) == (KEY, "0", "Closed")
    events = desk.rows("em_event")
    assert [event["severity"] for event in events] == ["1", "1", "0"]
    assert [event["resolution_state"] for event in events] == ["New", "New", "Closing"]
    assert events[0]["time_of_event"] == "2026-11-21 12:00:00"  # GMT
    assert orjson.loads(events[1]["additional_info"])["notes"] == "Two more models."
    assert orjson.loads(events[2]["additional_info"])["close_notes"] == "Rolled back."
    assert desk.incidents == []


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit", "server_error_after", "slow"])
def test_a_lost_answer_leaves_one_alert(desk: Desk, fault: str) -> None:
    desk.fault(fault, path=EVENTS)
    first = task()
    outcome = desk.send(first)
    if not outcome.settled:
        outcome = desk.send(later(outcome, first))
    assert outcome.settled
    assert len(desk.rows("em_alert")) == 1


def test_an_event_that_may_come_late_is_waited_out_before_the_clear(desk: Desk) -> None:
    desk.fault("slow", path=EVENTS)
    lost = desk.send(task())
    assert (lost.result, lost.after) == ("ambiguous", timedelta(seconds=60))


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"result": {"Default Bulk Endpoint": "1 events were inserted"}}', "done"),
        (b'{"result": {"Default Bulk Endpoint": "0 events were inserted"}}', "rejected"),
        (b'{"records": []}', "retry"),
    ],
)
def test_the_answer_must_say_that_the_event_was_taken(desk: Desk, body: bytes, result: str) -> None:
    with canned(body=body) as vendor:
        other = Desk(desk.running, identity="event", url=vendor.url)
        assert other.send(task(now=NOW)).result == result


def test_a_missing_role_is_a_refusal(desk: Desk) -> None:
    desk.fault("server_error_before", path=EVENTS, status=403)
    outcome = desk.send(task())
    assert (outcome.result, outcome.reason) == ("rejected", Reason.FORBIDDEN)
    assert "Failed API level ACL Validation" in outcome.detail
