"""The pages for people show what is there, and nothing of it as markup."""

from __future__ import annotations

import requests

from tests.simulators.conftest import ROUTING_KEY, Client
from tests.simulators.test_jira import document, fields, paragraph, text

EVIL = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


def page(vendor: Client, path: str) -> str:
    answer = requests.get(vendor.url + path, timeout=5)
    assert answer.status_code == 200
    return answer.text


def test_servicenows_list_and_form(servicenow: Client) -> None:
    body = {"sys_id": "a" * 32, "short_description": EVIL, "impact": "1", "urgency": "1", "description": "a\n  b"}
    servicenow.post("/table/incident", body)
    servicenow.post("/table/incident", {"short_description": "child", "parent_incident": "a" * 32})
    for note in ("older note", f"newer note {EVIL} https://example.org/run"):
        servicenow.patch("/table/incident/" + "a" * 32, {"work_notes": note})
    listed = page(servicenow, "/")
    assert "INC0010001" in listed
    assert "1 - Critical" in listed
    form = page(servicenow, "/incident/INC0010001")
    assert ESCAPED in form
    assert EVIL not in listed + form
    assert form.index("newer note") < form.index("older note")
    assert '<a href="https://example.org/run"' in form
    assert "INC0010002" in form


def test_servicenows_deep_link_leads_to_the_form(servicenow: Client) -> None:
    servicenow.post("/table/incident", {"sys_id": "a" * 32})
    assert "INC0010001" in page(servicenow, f"/nav_to.do?uri=incident.do?sys_id={'a' * 32}")
    assert "INC0010001" in page(servicenow, f"/incident.do?sys_id={'a' * 32}")


def test_pagerdutys_list_and_timeline(pagerduty: Client) -> None:
    payload = {"summary": EVIL, "source": "x", "severity": "error", "custom_details": {"why": EVIL}}
    event = {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "k", "payload": payload}
    pagerduty.post("/v2/enqueue", event | {"links": [{"href": "javascript:alert(1)", "text": "bad"}]})
    one = pagerduty.get("/incidents").json()["incidents"][0]
    pagerduty.post(f"/incidents/{one['id']}/notes", {"note": {"content": "rolling back"}})
    shown = page(pagerduty, one["html_url"].removeprefix(pagerduty.url))
    assert "rolling back" in shown
    assert 'href="javascript' not in shown
    assert EVIL not in shown + page(pagerduty, "/")


def test_jiras_list_and_issue(jira: Client) -> None:
    link = {"type": "text", "text": "run", "marks": [{"type": "link", "attrs": {"href": "javascript:alert(1)"}}]}
    jira.post("/issue", fields(summary=EVIL, description=document(paragraph(text(EVIL, "strong"), link))))
    shown = page(jira, "/browse/OPS-1")
    assert f"<strong>{ESCAPED}</strong>" in shown
    assert "javascript:" not in shown
    assert EVIL not in shown + page(jira, "/")


def test_an_unknown_page_is_404(servicenow: Client, pagerduty: Client, jira: Client) -> None:
    paths = [(servicenow, "/incident/INC9"), (pagerduty, "/ui/incidents/P9"), (jira, "/browse/OPS-9")]
    assert {requests.get(vendor.url + path, timeout=5).status_code for vendor, path in paths} == {404}
