"""Do answers fit the vendors' own OpenAPI schemas? (an outside judge; skipped where the contracts are not at hand)"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

from tests.simulators.conftest import ROUTING_KEY, Client
from tests.simulators.test_jira import document, fields


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0 says nullable where JSON Schema lists a type null."""
    if isinstance(node, list):
        return [_nullable(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _nullable(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [{"type": "null"}, kept]} if node.get("nullable") is True else kept


class Judge:
    """Checks answers against one OpenAPI document."""

    def __init__(self, path: Path) -> None:
        self.document = _nullable(json.loads(path.read_text()))
        resource = DRAFT4.create_resource(self.document)
        self.registry: Registry[Any] = Registry().with_resource("urn:api", resource)

    def faults(self, method: str, path: str, status: str, body: object) -> list[str]:
        pointer = f"/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}/responses/{status}"
        response = self.document["paths"][path][method]["responses"][status]
        if "$ref" in response:
            pointer = response["$ref"].removeprefix("#")
        schema = {"$ref": f"urn:api#{pointer}/content/application~1json/schema"}
        validator = Draft4Validator(schema, registry=self.registry)
        return [f"{error.json_path}: {error.message}"[:300] for error in validator.iter_errors(body)]


@pytest.fixture(scope="module")
def pagerduty_api(contracts: Path) -> Judge:
    return Judge(contracts / "pagerduty" / "rest.openapi.json")


@pytest.fixture(scope="module")
def jira_api(contracts: Path) -> Judge:
    return Judge(contracts / "jira" / "platform-v3.sanitized.json")


def test_pagerdutys_answers_fit_its_schemas(pagerduty: Client, pagerduty_api: Judge) -> None:
    payload = {"summary": "s", "source": "x", "severity": "error", "custom_details": {"a": 1}}
    event = {"routing_key": ROUTING_KEY, "dedup_key": "k", "event_action": "trigger", "payload": payload}
    pagerduty.post("/v2/enqueue", event | {"links": [{"href": "https://example.org", "text": "x"}]})
    pagerduty.post("/v2/change/enqueue", {"routing_key": ROUTING_KEY, "payload": {"summary": "deploy"}})
    key = pagerduty.get("/incidents").json()["incidents"][0]["id"]
    put = {"incident": {"type": "incident_reference", "status": "acknowledged"}}
    note = {"note": {"content": "x"}}
    faults = {
        "list": pagerduty_api.faults("get", "/incidents", "200", pagerduty.get("/incidents").json()),
        "put": pagerduty_api.faults("put", "/incidents/{id}", "200", pagerduty.put(f"/incidents/{key}", put).json()),
        "note": pagerduty_api.faults(
            "post", "/incidents/{id}/notes", "200", pagerduty.post(f"/incidents/{key}/notes", note).json()
        ),
        "alerts": pagerduty_api.faults(
            "get", "/incidents/{id}/alerts", "200", pagerduty.get(f"/incidents/{key}/alerts").json()
        ),
        "changes": pagerduty_api.faults(
            "get",
            "/incidents/{id}/related_change_events",
            "200",
            pagerduty.get(f"/incidents/{key}/related_change_events").json(),
        ),
        "priorities": pagerduty_api.faults("get", "/priorities", "200", pagerduty.get("/priorities").json()),
        "services": pagerduty_api.faults("get", "/services", "200", pagerduty.get("/services").json()),
    }
    assert {name: found for name, found in faults.items() if found} == {}


def test_jiras_answers_fit_its_schemas(jira: Client, jira_api: Judge) -> None:
    made = jira.post("/issue", fields(description=document()))
    comment = jira.post("/issue/OPS-1/comment", {"body": document()})
    search = jira.post("/search/jql", {"jql": "project=OPS", "fields": ["*all"]})
    root, one = "/rest/api/3", "/rest/api/3/issue/{issueIdOrKey}"
    faults = {
        "create": jira_api.faults("post", root + "/issue", "201", made.json()),
        "read": jira_api.faults("get", one, "200", jira.get("/issue/OPS-1").json()),
        "search": jira_api.faults("post", root + "/search/jql", "200", search.json()),
        "transitions": jira_api.faults("get", one + "/transitions", "200", jira.get("/issue/OPS-1/transitions").json()),
        "comment": jira_api.faults("post", one + "/comment", "201", comment.json()),
        "createmeta": jira_api.faults(
            "get",
            root + "/issue/createmeta/{projectIdOrKey}/issuetypes/{issueTypeId}",
            "200",
            jira.get("/issue/createmeta/OPS/issuetypes/10004").json(),
        ),
        "fields": jira_api.faults("get", root + "/field", "200", jira.get("/field").json()),
        "me": jira_api.faults("get", root + "/myself", "200", jira.get("/myself").json()),
        "server": jira_api.faults("get", root + "/serverInfo", "200", jira.get("/serverInfo").json()),
    }
    assert {name: found for name, found in faults.items() if found} == {}
