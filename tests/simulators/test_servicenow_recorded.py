"""Does the simulator answer as the recorded instance did? Shapes, fields, headers and error bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.conftest import Client

HEADERS = ("Content-Type", "X-Is-Logged-In", "X-Transaction-ID", "Cache-control", "Location", "X-Total-Count")
NEWER = {"cause", "service_offering"}
"""Fields that newer releases have and the recorded one (2018) had not."""


def recorded(contracts: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((contracts / "servicenow" / "recorded" / name).read_text())
    return found


def payload(exchange: dict[str, Any]) -> Any:
    return json.loads(exchange["response"]["payload"])


def test_a_new_incident_has_the_recorded_fields_and_defaults(servicenow: Client, contracts: Path) -> None:
    real = payload(recorded(contracts, "output.ServiceNowOutputTest_insertRecord.json")[0])["result"]
    answer = servicenow.post(
        "/table/incident", {"number": real["number"]}, params={"sysparm_exclude_reference_link": "true"}
    )
    ours = answer.json()["result"]
    assert set(ours) - set(real) == NEWER
    assert set(real) <= set(ours)
    moving = {name for name, value in real.items() if "2018-" in value} | {"sys_id", "opened_by"}
    assert {name: ours[name] for name in set(real) - moving} == {name: real[name] for name in set(real) - moving}


@pytest.mark.parametrize(
    ("name", "at", "method", "path", "body"),
    [
        ("output.ServiceNowOutputTest_insertRecord.json", 0, "POST", "/table/incident", {"number": "A1"}),
        ("output.ServiceNowOutputTest_deleteNonExistingRecord.json", 0, "DELETE", "/table/incident/NoId", None),
        ("service.TableApiClientTest_healthCheckOk.json", 0, "GET", "/table/incident", None),
    ],
)
def test_status_headers_and_outline_are_the_recorded_ones(
    servicenow: Client, contracts: Path, name: str, at: int, method: str, path: str, body: Any
) -> None:
    real = recorded(contracts, name)[at]["response"]
    answer = servicenow.call(method, path, body)
    assert answer.status_code == real["status"]
    assert [header for header in HEADERS if header in real["headers"] and header not in answer.headers] == []
    assert answer.headers["Content-Type"] == real["headers"]["Content-Type"]
    assert set(answer.json()) == set(json.loads(real["payload"]))


def test_error_bodies_are_the_recorded_ones(servicenow: Client, contracts: Path) -> None:
    gone = recorded(contracts, "output.ServiceNowOutputTest_deleteNonExistingRecord.json")[0]
    assert servicenow.call("DELETE", "/table/incident/NoId").json() == payload(gone)
    taken = recorded(contracts, "output.ServiceNowOutputTest_insertRecordError.json")[1]
    first = servicenow.post("/table/incident", {"number": "1"}).json()["result"]["sys_id"]
    second = servicenow.post("/table/incident", {"sys_id": first, "number": "2135483521432"})
    assert second.json() == payload(taken)


def test_a_stranger_gets_the_recorded_401(servicenow: Client, contracts: Path) -> None:
    real = recorded(contracts, "service.TableApiClientTest_healthCheckInvalidCredentials.json")[0]["response"]
    answer = servicenow.get("/table/incident", auth=("admin", "wrong"))
    assert (answer.status_code, answer.json()) == (401, json.loads(real["payload"]))
    assert answer.headers["WWW-Authenticate"] == real["headers"]["WWW-Authenticate"]


def test_an_insert_without_response_body_is_empty(servicenow: Client, contracts: Path) -> None:
    real = recorded(contracts, "output.ServiceNowOutputTest_insertRecordNoResponse.json")[0]["response"]
    answer = servicenow.post("/table/incident", {}, headers={"X-no-response-body": "true"})
    assert (answer.status_code, answer.text) == (real["status"], real["payload"])
    assert "/table/incident/" in answer.headers["Location"]
