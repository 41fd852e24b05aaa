"""Does PagerDuty's own client take our simulator for PagerDuty? It insists on https, so the simulator serves it."""

from __future__ import annotations

import json

import pytest

from tests.judges.conftest import Clients, Vendors

LIFE = """
import sys, json, pagerduty
url, key, token = sys.argv[1:4]
events = pagerduty.EventsApiV2Client(key, base_url=url)
dedup = events.trigger("error rate 4 %", "prometheus", dedup_key="k1", severity="critical",
                       custom_details={"p99_s": 4.1}, links=[{"href": "https://example.org", "text": "Graph"}])
events.acknowledge(dedup)
events.send_change_event({"summary": "Deployed 4.12", "source": "ci"})
rest = pagerduty.RestApiV2Client(token, default_from="jane@example.com", base_url=url)
(incident,) = rest.list_all("incidents", params={"incident_key": "k1"})
note = rest.rpost(f"incidents/{incident['id']}/notes", json={"content": "Looking at it."})
priorities = rest.list_all("priorities")
changed = rest.rput(f"incidents/{incident['id']}", json={"type": "incident_reference",
                    "priority": {"id": priorities[0]["id"], "type": "priority_reference"}})
alerts = rest.list_all(f"incidents/{incident['id']}/alerts")
events.resolve(dedup)
ended = rest.rget(f"incidents/{incident['id']}")
log = rest.list_all(f"incidents/{incident['id']}/log_entries")
services = rest.list_all("services")
changes = rest.list_all(f"services/{services[0]['id']}/change_events")
many = [events.trigger(f"n {n}", "x") for n in range(30)]
print(json.dumps({"dedup": dedup, "status": [incident["status"], ended["status"]], "note": note["content"],
    "priority": changed["priority"]["summary"], "alert": alerts[0]["alert_key"],
    "log": sorted(one["type"] for one in log), "change": changes[0]["summary"], "user": note["user"]["summary"],
    "all": len(list(rest.iter_all("incidents"))), "keys": len(set(many))}))
"""

REFUSED = """
import sys, pagerduty
url, key, token = sys.argv[1:4]
try:
    pagerduty.EventsApiV2Client(key, base_url=url).trigger("x" * 2000, "source", severity="critical")
except pagerduty.Error as refused:
    print(refused.response.status_code, refused.response.json()["errors"][0])
try:
    pagerduty.RestApiV2Client("wrong", base_url=url).rget("incidents")
except pagerduty.Error as refused:
    print(refused.response.status_code)
"""

LIMITED = """
import sys, pagerduty
url, key, token = sys.argv[1:4]
rest = pagerduty.RestApiV2Client(token, base_url=url)
rest.sleep_timer_base = rest.sleep_timer = 0.01
print(len(rest.list_all("priorities")))
"""


@pytest.fixture
def account(vendors: Vendors) -> tuple[str, str, str]:
    """(address, routing key, token)"""
    return vendors("pagerduty", tls=True).url, "7" * 32, "tocsin"


def test_the_vendors_client_leads_a_whole_life(clients: Clients, account: tuple[str, str, str]) -> None:
    told = json.loads(clients.script(LIFE, *account))
    assert told == {
        "dedup": "k1",
        "status": ["acknowledged", "resolved"],
        "note": "Looking at it.",
        "user": "Jane",
        "priority": "P1",
        "alert": "k1",
        "log": [f"{kind}_log_entry" for kind in ("acknowledge", "annotate", "priority_change", "resolve", "trigger")],
        "change": "Deployed 4.12",
        "all": 31,
        "keys": 30,
    }


def test_the_vendors_client_sees_refusals(clients: Clients, account: tuple[str, str, str]) -> None:
    said = clients.script(REFUSED, *account).splitlines()
    assert said == ["400 'summary' is too long (maiximum is 1024 characters)", "401"]


def test_the_vendors_client_waits_out_a_rate_limit(
    clients: Clients, vendors: Vendors, account: tuple[str, str, str]
) -> None:
    vendors("pagerduty", tls=True).front.plans.add({"fault": "rate_limit", "match": {"path": "/priorities"}})
    assert clients.script(LIMITED, *account).strip() == "5"
