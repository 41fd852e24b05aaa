"""Do our connector's requests and our simulator's answers fit PagerDuty's published schemas, over a whole life?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.connectors.builders import note, task, wanted
from tests.connectors.canned import canned
from tests.judges.conftest import Prism, Proxies
from tests.judges.pagerduty.conftest import ORDERS, TOKEN, Desk
from tocsin.connectors._http import Failure
from tocsin.connectors.pagerduty.mirror import mirror
from tocsin.connectors.pagerduty.rest import ACCEPT, Rest
from tocsin.domain.record import Outcome, Reason
from tocsin.domain.seen import MirroredChange

LINKS = (
    ("Runbook", "https://runbooks.example.com/drift"),
    ("Graph", "https://graphs.example.com/p.png"),
    ("TOC-7", "https://tocsin.example.com/incidents/TOC-7"),
)
CHANGE = MirroredChange(
    id="ch-1",
    summary="Deployed job:baskets 4.12",
    source="argocd",
    subject="job:baskets",
    occurred_at=datetime(2026, 11, 21, 11, 48, tzinfo=UTC),
    url="https://ci.example.com/4.12",
    details={"author": "jane"},
    address={"routing_key": "returns"},
)


def test_a_whole_life_without_one_violation(desk: Desk) -> None:
    assert mirror(desk.config, CHANGE, desk.http).settled
    desk.known = task(wanted=wanted(links=LINKS, details={"p99_s": 4.1}))
    desk.want()
    desk.want(severity="critical", impact=1, notes=(note(1), note(2)))
    desk.want(address={"routing_key": "orders"}, wait=timedelta(seconds=10))
    desk.want(status="resolved", notes=(note(3),), wait=timedelta(minutes=3))
    desk.want(wait=timedelta(minutes=2))
    desk.known = task(wanted=wanted(key="0" * 32, generation=2, previous="2"))
    desk.want()
    desk.want(status="resolved", wait=timedelta(minutes=1))
    desk.want(wait=timedelta(minutes=2))
    assert [one.status for one in desk.account.incidents] == ["resolved"] * 3
    assert desk.violations() == []
    assert desk.events.checked() >= 8
    assert desk.rest.checked() >= 10


def test_every_look_up_without_one_violation(desk: Desk) -> None:
    mirror(desk.config, CHANGE, desk.http)
    desk.want(notes=(note(1),))
    account = desk.account
    other = account.open_incident(account.service(ORDERS), key="x", title="Big", severity="critical", event={})
    account.assign(account.incidents[0], [account.user("jane@example.com").email], by="jane@example.com")
    account.merge(other, [account.incidents[0]], by="jane@example.com")
    rest, now = Rest(desk.config, desk.http), account.clock()
    (mine, host) = rest.find(desk.known.wanted.key)  # type: ignore[misc]
    assert (mine.ours, host.ours) == (True, False)
    span = {"since": now - timedelta(hours=1), "until": now + timedelta(seconds=1)}
    for found in (
        rest.incidents(**span, statuses=("triggered", "acknowledged", "resolved")),
        rest.changes(),
        rest.notes(mine.id),
        rest.priorities(),
        rest.every("/services", "services", (("include[]", "integrations"),)),
        rest.every("/users", "users", (("query", "jane"),)),
        rest.every("/oncalls", "oncalls", ()),
        rest.every("/webhook_subscriptions", "webhook_subscriptions", ()),
    ):
        assert isinstance(found, (list, tuple, dict)), found
    assert desk.violations() == []


def test_what_people_did_without_one_violation(desk: Desk) -> None:
    account, jane = desk.account, "jane@example.com"
    one = account.open_incident(account.service(ORDERS), key="x", title="Big", severity="critical", event={})
    account.set_status(one, "acknowledged", by=jane)
    account.assign(one, [account.user(jane).email], by=jane)
    account.annotate(one, "Looking at it.", by=jane)
    account.set_status(one, "resolved", by=jane)
    now = account.clock()
    found = Rest(desk.config, desk.http).log_entries(since=now - timedelta(hours=1), until=now + timedelta(seconds=1))
    assert isinstance(found, list)
    kinds = ["resolve", "annotate", "assign", "acknowledge", "trigger"]
    assert [row["type"].partition("_")[0] for row in found] == kinds
    assert {row["incident"]["incident_key"] for row in found} == {"x"}
    assert desk.violations() == []


def test_a_rate_limit_fits_too(desk: Desk) -> None:
    desk.vendor.front.plans.add({"fault": "rate_limit", "match": {"method": "GET"}})
    found = Rest(desk.config, desk.http).priorities()
    assert isinstance(found, Failure)
    assert found.reason is Reason.RATE_LIMITED
    assert desk.violations() == []


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_stranger_is_refused_as_documented(desk: Desk, token: str) -> None:
    headers = {"Authorization": f"Token token={token}", "Accept": ACCEPT, "Content-Type": "application/json"}
    assert requests.get(desk.rest.url + "/incidents", headers=headers, timeout=10).status_code == 401
    assert desk.violations() == []


def test_people_who_act_by_rest_get_answers_that_fit(desk: Desk) -> None:
    desk.want()
    one = desk.account.incidents[0]
    headers = {
        "Authorization": f"Token token={TOKEN}",
        "Accept": ACCEPT,
        "From": "jane@example.com",
    }

    def put(path: str, body: object) -> int:
        return requests.put(desk.rest.url + path, json=body, headers=headers, timeout=10).status_code

    jane = desk.account.user("jane@example.com")
    assignments = [{"assignee": {"id": jane.id, "type": "user_reference"}}]
    reference = {"type": "incident_reference"}
    assert put(f"/incidents/{one.id}", {"incident": {**reference, "status": "acknowledged"}}) == 200
    assert put(f"/incidents/{one.id}", {"incident": {**reference, "assignments": assignments}}) == 200
    assert put("/incidents", {"incidents": [{**reference, "id": one.id, "status": "resolved"}]}) == 200
    alert = desk.account.alerts[0]
    changes = [{"id": alert.id, "type": "alert", "status": "resolved"}]
    assert put(f"/incidents/{one.id}/alerts", {"alerts": changes}) == 200
    hook = {
        "type": "webhook_subscription",
        "delivery_method": {"type": "http_delivery_method", "url": "https://tocsin.example.com/hooks/pagerduty"},
        "events": ["incident.resolved"],
        "filter": {"type": "account_reference"},
    }
    made = requests.post(
        desk.rest.url + "/webhook_subscriptions", json={"webhook_subscription": hook}, headers=headers, timeout=10
    )
    assert made.json()["webhook_subscription"]["delivery_method"]["secret"]
    assert desk.violations() == []


def sent(url: str, **changes: object) -> int:
    payload = {"summary": "s", "source": "x", "severity": "critical"}
    event = {"routing_key": "5" * 32, "event_action": "trigger", "dedup_key": "k", "payload": payload} | changes
    return requests.post(f"{url}/v2/enqueue", json=event, timeout=10).status_code


def test_the_judge_sees_a_request_that_does_not_fit(desk: Desk) -> None:
    sent(desk.events.url, event_action="explode")
    assert "event_action" in desk.violations()[0]


def test_the_judge_sees_an_answer_that_does_not_fit(prism: Proxies, events_document: Path) -> None:
    with canned(status=202, body=b'{"dedup_key": 7}') as vendor:
        proxy: Prism = prism(events_document, vendor.url)
        sent(proxy.url)
        found = proxy.violations()
    assert any("status" in one for one in found), found


def test_an_outcome_through_the_proxy_is_an_outcome(desk: Desk) -> None:
    outcome = desk.want()
    assert isinstance(outcome, Outcome)
    assert outcome.confirmation is not None
    assert outcome.confirmation.url.startswith("http")
