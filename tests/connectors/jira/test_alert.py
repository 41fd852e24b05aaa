"""Alerts of Jira Service Management operations as the target: our key is their alias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.connectors.builders import KEY, after, note, task, wanted
from tests.connectors.jira.board import QUIET, RESOLVED, Board
from tests.simulators.conftest import Clock
from tocsin import simulators
from tocsin.domain.record import Reason


class Ops(Board):
    """The operations side of a site."""

    def __init__(self, running: simulators.Running, **config: Any) -> None:
        alerts = {"target": "alert", "cloud_id": "local", "alerts_url": running.url, "read_timeout_s": 2}
        super().__init__(running, **{**alerts, **config})

    @property
    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.running.state()["alerts"]  # type: ignore[assignment]
        return found

    @property
    def alert(self) -> dict[str, Any]:
        (only,) = self.alerts
        return only

    def by_hand(self, action: str) -> None:
        """Somebody acknowledges or closes it."""
        import requests

        url = f"{self.running.url}/jsm/ops/api/local/v1/alerts/{self.alert['id']}/{action}"
        requests.post(url, json={}, auth=("ada", "tocsin"), timeout=5).raise_for_status()


@pytest.fixture(scope="module")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def _vendor(_clock: Clock) -> Iterator[simulators.Running]:
    with simulators.start("jira", clock=_clock, alert_lag_s=0) as running:
        yield running


@pytest.fixture
def ops(_vendor: simulators.Running) -> Ops:
    _vendor.reset()
    return Ops(_vendor)


def test_an_alert_is_opened_under_our_key_as_its_alias(ops: Ops) -> None:
    outcome = ops.send(task(wanted=wanted(address={"alert_team": "team-1"}), attempts=1))
    assert outcome.settled, outcome
    one = ops.alert
    assert (one["alias"], one["priority"], one["source"]) == (KEY, "P2", "Tocsin")
    assert one["responders"] == [{"type": "team", "id": "team-1"}]
    assert "https://runbooks.example.com/drift" in one["description"]
    assert outcome.confirmation is not None
    assert (outcome.confirmation.external_id, outcome.confirmation.number) == (one["id"], "#1")


def test_a_write_that_is_carried_out_later_is_asked_for_and_not_repeated() -> None:
    clock = Clock()
    with simulators.start("jira", clock=clock, alert_lag_s=5) as running:
        ops = Ops(running)
        first = task(wanted=QUIET, attempts=1)
        waiting = ops.send(first)
        assert (waiting.result, "not carried out yet" in waiting.detail) == ("retry", True)
        clock.go_on(seconds=6)
        assert ops.send(after(waiting, first)).settled
        assert (ops.alert["count"], sum(call.startswith("POST") for call in ops.calls)) == (1, 1)


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after"])
def test_a_lost_create_is_repeated_under_the_same_alias(ops: Ops, fault: str) -> None:
    ops.fault(fault, path="/alerts$")
    first = task(wanted=QUIET, attempts=1)
    outcome = ops.send(first)
    if not outcome.settled:
        outcome = ops.send(after(outcome, first))
    assert outcome.settled
    assert len(ops.alerts) == 1


def test_a_retry_after_people_have_closed_it_does_not_page_again(ops: Ops) -> None:
    ops.send(task(wanted=QUIET, attempts=1))
    ops.by_hand("close")
    outcome = ops.send(task(wanted=QUIET, attempts=2))
    assert outcome.result == "duplicate"
    assert outcome.confirmation is not None
    assert outcome.confirmation.human_touched
    assert len(ops.alerts) == 1


def test_an_outage_that_is_over_before_it_was_opened_pages_nobody(ops: Ops) -> None:
    outcome = ops.send(task(wanted=RESOLVED, notes=(note(1),), attempts=1))
    assert outcome.settled
    assert ops.alerts == []
    assert outcome.confirmation is not None
    assert outcome.confirmation.notes == (note(1).id,)


def test_a_severity_moves_the_priority_unless_people_have_set_theirs(ops: Ops) -> None:
    second = ops.opened()
    third = ops.settled(replace(second, wanted=wanted(severity="critical", links=())))
    assert ops.alert["priority"] == "P1"
    ops.running.front.simulator.alerts.alerts[0].priority = "P4"  # type: ignore[attr-defined]
    ops.settled(replace(third, wanted=wanted(severity="warning", links=())))
    assert ops.alert["priority"] == "P4"


def test_notes_arrive_once_even_when_the_answer_is_lost(ops: Ops) -> None:
    second = replace(ops.opened(), notes=(note(1), note(2, "Second.")))
    ops.fault("commit_then_drop", path="/notes$")
    lost = ops.send(second)
    assert lost.result == "ambiguous"
    ops.settled(after(lost, second))
    assert len(ops.alert["notes"]) == 2


def test_it_is_closed_at_the_end_even_when_somebody_had_acknowledged_it(ops: Ops) -> None:
    second = replace(ops.opened(), wanted=RESOLVED)
    ops.by_hand("acknowledge")
    noted = ops.send(replace(second, when_human_touched="note_only"))
    assert (noted.settled, ops.alert["status"]) == (True, "open")
    ops.settled(second)
    assert ops.alert["status"] == "closed"


def test_what_somebody_took_on_elsewhere_pages_nobody_here(ops: Ops) -> None:
    second = replace(ops.opened(), wanted=wanted(acknowledged_by="Ada", links=()))
    third = ops.settled(second)
    assert ops.alert["acknowledged"]
    outcome = ops.send(third)
    assert outcome.confirmation is not None
    assert not outcome.confirmation.human_touched


def test_what_was_closed_gets_a_next_generation(ops: Ops) -> None:
    second = ops.settled(replace(ops.opened(), wanted=RESOLVED))
    outcome = ops.send(replace(second, wanted=QUIET))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.GONE)
    ops.opened(wanted=wanted(key="88" * 16, generation=1, links=()))
    assert [one["status"] for one in ops.alerts] == ["closed", "open"]


def test_an_alert_that_is_not_ours_is_never_written(ops: Ops) -> None:
    ops.opened(wanted=wanted(key="99" * 16, links=()))
    before = ops.alert
    outcome = ops.send(task(external_id=before["id"], wanted=RESOLVED, notes=(note(1),)))
    assert (outcome.result, outcome.reason) == ("rejected", Reason.NOT_OURS)
    assert ops.alert == before


def test_a_create_that_is_refused_is_told_in_the_vendors_words(ops: Ops) -> None:
    ops.fault("silent_field_drop", path="/alerts$", fields=["message"])
    outcome = ops.send(task(wanted=QUIET, attempts=1))
    assert outcome.result == "rejected"
    assert "Message can not be empty" in outcome.detail


@pytest.mark.parametrize(
    ("config", "words"),
    [({"cloud_id": ""}, "_edge/tenant_info"), ({"flavour": "datacenter"}, "Jira Cloud only")],
)
def test_a_config_that_cannot_work_is_refused_with_the_remedy(ops: Ops, config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Ops(ops.running, **config)
