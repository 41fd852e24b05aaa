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


FORBIDDEN_TO_DIFFER = {"Transfer-Encoding", "Connection", "Date", "Content-Length", "X-Transaction-ID", "Set-Cookie"}
"""Headers of the recording that belong to its connection; ours may lack them."""


@pytest.mark.parametrize(
    ("name", "at", "method", "path", "body"),
    [
        ("output.ServiceNowOutputTest_insertRecord.json", 0, "POST", "/table/incident", {"number": "A1"}),
        ("output.ServiceNowOutputTest_deleteNonExistingRecord.json", 0, "DELETE", "/table/incident/NoId", None),
        ("service.ServiceNowTableServiceTest_guessTableSchemaTest.json", 0, "GET", "/table/incident", None),
    ],
)
def test_every_recorded_header_has_its_recorded_value(
    servicenow: Client, contracts: Path, name: str, at: int, method: str, path: str, body: Any
) -> None:
    params = {"sysparm_suppress_pagination_header": "true", "sysparm_exclude_reference_link": "true"}
    real = recorded(contracts, name)[at]["response"]["headers"]
    ours = servicenow.call(method, path, body, params=params).headers
    own = {"Location", "X-Total-Count"}
    assert {h: ours.get(h) for h in set(real) - FORBIDDEN_TO_DIFFER - own} == {
        h: real[h] for h in set(real) - FORBIDDEN_TO_DIFFER - own
    }


def test_an_updated_record_has_the_recorded_fields(servicenow: Client, contracts: Path) -> None:
    exchange = recorded(contracts, "output.ServiceNowOutputTest_updateRecord.json")[1]
    real = payload(exchange)["result"]
    made = servicenow.post("/table/incident", {"number": "720B0"}).json()["result"]["sys_id"]
    answer = servicenow.put(
        f"/table/incident/{made}", {"number": real["number"]}, params={"sysparm_exclude_reference_link": "true"}
    )
    ours = answer.json()["result"]
    assert answer.status_code == exchange["response"]["status"]
    assert set(ours) - set(real) == NEWER
    assert set(real) <= set(ours)
    assert (ours["number"], ours["sys_mod_count"]) == (real["number"], real["sys_mod_count"])


def test_an_empty_list_and_a_short_one_are_the_recorded_ones(servicenow: Client, contracts: Path) -> None:
    real = recorded(contracts, "service.ServiceNowTableServiceTest_guessTableSchemaWhenNoRecordTest.json")[0]
    params = {"sysparm_query": "number=ImpossibleNumber007", "sysparm_offset": "0", "sysparm_limit": "1"}
    answer = servicenow.get("/table/incident", params=params)
    assert (answer.status_code, answer.json()) == (real["response"]["status"], payload(real))
    assert answer.headers["X-Total-Count"] == real["response"]["headers"]["X-Total-Count"]
    short = recorded(contracts, "source.ServiceNowMapperTest_readRecordByNumber.json")[1]
    servicenow.post("/table/incident", {"number": "INC0000060"})
    asked = {"sysparm_query": "number=INC0000060", "sysparm_fields": "number", "sysparm_limit": "1"}
    assert servicenow.get("/table/incident", params=asked).json() == payload(short)


def test_every_parameter_of_the_table_api_is_understood(servicenow: Client, contracts: Path) -> None:
    """The platform's own export of the API names them; none may change what a plain call answers but as it says."""
    spec = json.loads((contracts / "servicenow" / "openapi" / "table_latest.json").read_text())
    sample = {
        "sysparm_query": "numberISNOTEMPTY",
        "sysparm_display_value": "false",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
        "sysparm_fields": "number",
        "sysparm_limit": "1",
        "sysparm_view": "desktop",
        "sysparm_query_category": "list",
        "sysparm_query_no_domain": "true",
        "sysparm_no_count": "true",
        "sysparm_input_display_value": "false",
        "sysparm_suppress_auto_sys_field": "true",
    }
    made = servicenow.post("/table/incident", {"urgency": "2"}).json()["result"]["sys_id"]
    addresses = {"{tableName}": "incident", "{sys_id}": made}
    for path, methods in spec["paths"].items():
        address = path.removeprefix("/api/now")
        for name, value in addresses.items():
            address = address.replace(name, value)
        for method in ("get", "put", "patch", "post", "delete"):
            if method not in methods:
                continue
            named = {one["name"] for one in methods[method].get("parameters", [])} - {"tableName", "sys_id"}
            assert named <= set(sample)
            answer = servicenow.call(method.upper(), address, {}, params={name: sample[name] for name in named})
            assert answer.status_code in (200, 201, 204), (method, address, answer.text)
            result = answer.json()["result"] if answer.content else {"number": ""}
            row = result[0] if isinstance(result, list) else result
            assert set(row) == {"number"}
