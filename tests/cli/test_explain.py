"""Does explain show every step of a decision, and leave everything as it was?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tests.cli.operating import Operator
from tests.pipeline.world import World


def an_alert(world: World, minutes: float, **labels: str) -> dict[str, Any]:
    one = {
        "status": "firing",
        "labels": {"alertname": "HighLatency", "severity": "critical", **labels},
        "annotations": {"summary": "p99 is 4 s"},
        "startsAt": world.at(minutes).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
    }
    return {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "tocsin", "alerts": [one]}


def saved(directory: Path, body: object) -> Path:
    path = directory / "payload.json"
    path.write_bytes(body if isinstance(body, bytes) else orjson.dumps(body))
    return path


def test_every_step_of_a_new_outage_is_told_with_its_reason(world: World, operator: Operator, tmp_path: Path) -> None:
    world.deploy("checkout", minutes=0)
    world.settle()
    told = operator.asks("explain", saved(tmp_path, an_alert(world, 6, service="checkout")), "--hook", "am")
    [alert], [incident] = told["alerts"], told["incidents"]
    assert told["verified"]["verdict"] == "not_asked"
    assert told["understood"]["outcome"] == "normalized"
    assert (alert["transition"], alert["joined"], alert["subject"]) == ("new", "opened", "service:checkout")
    assert alert["resolved_because"].startswith("it is in the catalogue (teams.yaml:")
    assert incident["opened"] is True
    assert incident["gate"]["state"] == "active"
    assert [s["kind"] for s in incident["attribution"]["suspects"]] == ["service.deployed"]
    assert incident["route"]["rule"] == "critical-pages"
    assert incident["route"]["origin"].startswith("policies.yaml:")
    assert incident["route"]["ownership"]["team"] == "platform"
    [record] = incident["records"]
    assert (record["action"], record["destination"]) == ("open", "out")
    assert "heckout" in record["title"]
    assert record["body"]


def test_it_changes_nothing(world: World, operator: Operator, tmp_path: Path) -> None:
    world.deploy("checkout", minutes=0)
    world.alert("HighLatency", minutes=5, service="checkout")
    world.settle()
    world.alert("Waiting", minutes=6, service="search")
    before, states = operator.counts(), world.sql("SELECT * FROM incidents")
    operator.runs("explain", saved(tmp_path, an_alert(world, 7, service="payments")), "--hook", "am")
    operator.runs("explain", saved(tmp_path, an_alert(world, 7, service="checkout")), "--hook", "am")
    operator.runs("explain", saved(tmp_path, b"{"), "--hook", "am")
    assert operator.counts() == before
    assert world.sql("SELECT * FROM incidents") == states
    assert world.sql("SELECT count(*) AS n FROM inbox") == [{"n": 1}]


def test_a_repeat_stays_in_its_incident(world: World, operator: Operator, tmp_path: Path) -> None:
    world.alert("HighLatency", minutes=5, service="checkout")
    world.settle()
    told = operator.asks("explain", saved(tmp_path, an_alert(world, 5, service="checkout")), "--hook", "am")
    [alert] = told["alerts"]
    assert (alert["transition"], alert["joined"], alert["incident"]) == ("repeat", "member_already", "TOC-1001")


def test_an_alert_of_a_dependent_service_says_what_it_joins_and_how_likely(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    world.alert("HighErrors", minutes=5, service="payments")
    world.settle()
    told = operator.asks("explain", saved(tmp_path, an_alert(world, 6, service="checkout")), "--hook", "am")
    [alert], [incident] = told["alerts"], told["incidents"]
    assert (alert["joined"], incident["opened"], incident["members"]) == ("grouped", False, 2)
    assert "times chance" in alert["joined_because"]


def test_a_change_is_told_too(world: World, operator: Operator, tmp_path: Path) -> None:
    body = {"deployment_status": {"state": "success", "created_at": world.at(1).strftime("%Y-%m-%dT%H:%M:%SZ")},
            "deployment": {"id": 3, "sha": "b" * 40, "environment": "production",
                           "created_at": world.at(1).strftime("%Y-%m-%dT%H:%M:%SZ")},
            "repository": {"name": "checkout", "full_name": "shop/checkout"}}  # fmt: skip
    told = operator.asks(
        "explain", saved(tmp_path, body), "--hook", "gh", "--header", "X-GitHub-Event=deployment_status"
    )
    [change] = told["changes"]
    assert (change["kind"], change["subject"], change["outcome"]) == ("service.deployed", "service:checkout", "success")


def test_what_cannot_be_read_is_explained_as_quarantined(world: World, operator: Operator, tmp_path: Path) -> None:
    told = operator.asks("explain", saved(tmp_path, b"{"), "--hook", "am")
    assert told["understood"]["outcome"] == "quarantined"
    assert [alert["name"] for alert in told["alerts"]] == ["MessageQuarantined"]


def test_people_read_it_step_by_step(world: World, operator: Operator, tmp_path: Path) -> None:
    said = operator.runs("explain", saved(tmp_path, an_alert(world, 6, service="checkout")), "--hook", "am").stdout
    steps = ["received", "verified", "normalized", "alert", "deduplicated", "grouped", "incident", "gate",
             "attributed", "enriched", "routed", "record"]  # fmt: skip
    assert [line.split()[0] for line in said.splitlines() if line.split()[:1] and line.split()[0] in steps] == steps
    assert said.endswith("Nothing was stored or sent.\n")


def test_a_hook_that_is_not_declared_is_named(world: World, operator: Operator, tmp_path: Path) -> None:
    said = operator.runs("explain", saved(tmp_path, {}), "--hook", "nagios", status=2)
    assert "no hook is named nagios; the active mappings declare am, gh, staging" in said.stderr
