"""What people do in PagerDuty, and what it tells of them: merges, webhooks, queues, limits, users."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from tests.simulators.conftest import ROUTING_KEY, Client, Clock
from tests.simulators.test_pagerduty import event, incidents, only
from tocsin import simulators

REFERENCE = {"type": "incident_reference"}


class Receiver:
    """Takes webhooks and answers as told, 202 unless `statuses` says else."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/pagerduty"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(body)["event"] for _, body in self.got]

    @property
    def kinds(self) -> list[str]:
        return [one["event_type"].partition(".")[2] for one in self.events]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def account(clock: Clock) -> Iterator[Client]:
    """One of its own, that tries unanswered webhooks again at once."""
    with simulators.start("pagerduty", clock=clock, webhook_retry_s=0.05) as running:
        yield Client(running, headers={"Authorization": "Token token=tocsin", "From": "jane@example.org"})


def subscribe(account: Client, receiver: Receiver, *events: str) -> dict[str, Any]:
    body = {
        "type": "webhook_subscription",
        "delivery_method": {"type": "http_delivery_method", "url": receiver.url},
        "events": list(events) or ["incident.triggered", "incident.acknowledged", "incident.resolved"],
        "filter": {"type": "account_reference"},
    }
    answer = account.post("/webhook_subscriptions", {"webhook_subscription": body})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["webhook_subscription"]
    return made


def settled(account: Client) -> bool:
    hooks = account.running.front.simulator.hooks  # type: ignore[attr-defined]
    return bool(hooks.settled())


def act(account: Client, **change: Any) -> None:
    answer = account.put(f"/incidents/{only(account)['id']}", {"incident": {**REFERENCE, **change}})
    assert answer.status_code == 200, answer.text


def test_what_people_do_is_signed_and_told_in_order(account: Client, receiver: Receiver) -> None:
    made = subscribe(account, receiver)
    event(account, "trigger")
    act(account, status="acknowledged")
    act(account, status="resolved")
    assert settled(account)
    assert receiver.kinds == ["triggered", "acknowledged", "resolved"]
    headers, body = receiver.got[1]
    digest = hmac.new(made["delivery_method"]["secret"].encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-PagerDuty-Signature"] == f"v1={digest}"
    first, second, _ = receiver.events
    assert (first["agent"]["type"], second["agent"]["type"]) == ("service_reference", "user_reference")
    assert (second["agent"]["summary"], second["data"]["incident_key"]) == ("Jane", "k")


def test_only_the_events_that_were_asked_for(account: Client, receiver: Receiver) -> None:
    subscribe(account, receiver, "incident.annotated")
    event(account, "trigger")
    account.post(f"/incidents/{only(account)['id']}/notes", {"note": {"content": "Looking."}})
    assert settled(account)
    (told,) = receiver.events
    assert (told["data"]["type"], told["data"]["content"]) == ("incident_note", "Looking.")


def test_an_unanswered_webhook_comes_again_under_the_same_id_before_later_ones(
    account: Client, receiver: Receiver
) -> None:
    subscribe(account, receiver)
    receiver.statuses = [503, 429]
    event(account, "trigger")
    act(account, status="resolved")
    assert settled(account)
    assert receiver.kinds == ["triggered", "triggered", "triggered", "resolved"]
    assert len({headers["X-Webhook-Id"] for headers, _ in receiver.got}) == 2


def test_three_refusals_disable_a_subscription_until_it_is_enabled(account: Client, receiver: Receiver) -> None:
    made = subscribe(account, receiver)
    receiver.statuses = [401, 404, 400]
    for number in range(3):
        event(account, "trigger", f"k{number}")
    assert settled(account)
    event(account, "trigger", "k4")
    shown = account.get(f"/webhook_subscriptions/{made['id']}").json()["webhook_subscription"]
    assert (shown["delivery_method"]["temporarily_disabled"], len(receiver.got)) == (True, 3)
    assert shown["delivery_method"]["secret"] is None
    account.post(f"/webhook_subscriptions/{made['id']}/enable")
    account.post(f"/webhook_subscriptions/{made['id']}/ping")
    assert settled(account)
    assert receiver.events[-1]["event_type"] == "pagey.ping"


def test_webhooks_misbehave_on_demand(account: Client, receiver: Receiver) -> None:
    account.running.seed({"webhooks": [{"url": receiver.url, "secret": "s"}], "webhook_faults": ["twice", "disorder"]})
    event(account, "trigger")
    act(account, status="acknowledged")
    assert settled(account)
    assert receiver.kinds == ["acknowledged", "acknowledged", "triggered", "triggered"]


def test_a_late_event_is_overtaken(pagerduty: Client, clock: Clock) -> None:
    pagerduty.plan("late", after_s=5)
    assert event(pagerduty, "trigger").status_code == 202
    event(pagerduty, "resolve")
    assert incidents(pagerduty) == []
    clock.go_on(seconds=6)
    assert only(pagerduty)["status"] == "triggered"


def test_a_queue_works_off_in_its_order(pagerduty: Client, clock: Clock) -> None:
    pagerduty.running.seed({"queue_s": 3})
    event(pagerduty, "trigger")
    event(pagerduty, "resolve")
    assert pagerduty.control("GET", "/__state")["queued"] == 2
    clock.go_on(seconds=4)
    assert only(pagerduty)["status"] == "resolved"


def test_a_merge_moves_the_alert_and_ends_the_source(pagerduty: Client) -> None:
    event(pagerduty, "trigger", "k")
    event(pagerduty, "trigger", "other")
    mine, other = incidents(pagerduty)
    sources = {"source_incidents": [{"id": mine["id"], **REFERENCE}]}
    assert pagerduty.put(f"/incidents/{other['id']}/merge", sources).status_code == 200
    held = incidents(pagerduty, incident_key="k")
    assert [one["status"] for one in held] == ["resolved", "triggered"]
    assert held[0]["resolve_reason"]["incident"]["id"] == other["id"]
    keys = [one["alert_key"] for one in pagerduty.get(f"/incidents/{other['id']}/alerts").json()["alerts"]]
    assert keys == ["k", "other"]
    event(pagerduty, "resolve", "other")
    assert incidents(pagerduty)[1]["status"] == "triggered"
    event(pagerduty, "resolve", "k")
    assert incidents(pagerduty)[1]["status"] == "resolved"
    again = pagerduty.put(f"/incidents/{other['id']}/merge", sources)
    assert again.json()["error"]["code"] == 1019


def test_an_incident_is_handed_to_a_user(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    path = f"/incidents/{only(pagerduty)['id']}"
    (user,) = pagerduty.get("/users", params={"query": "admin"}).json()["users"]
    to = {"assignments": [{"assignee": {"id": user["id"], "type": "user_reference"}}]}
    assert pagerduty.put(path, {"incident": REFERENCE | to}).json()["incident"]["assignments"][0]["assignee"]["summary"]
    nobody = {"assignments": [{"assignee": {"id": "PNOBODY", "type": "user_reference"}}]}
    assert pagerduty.put(path, {"incident": REFERENCE | nobody}).json()["error"]["code"] == 1007


def test_only_known_users_may_write_once_users_are_seeded(pagerduty: Client) -> None:
    pagerduty.running.seed({"users": ["jane.doe@example.org"]})
    event(pagerduty, "trigger")
    path, note = f"/incidents/{only(pagerduty)['id']}/notes", {"note": {"content": "x"}}
    assert pagerduty.post(path, note).json()["error"]["code"] == 1008
    taken = pagerduty.post(path, note, headers={"From": "jane.doe@example.org"})
    assert taken.json()["note"]["user"]["summary"] == "Jane Doe"


def test_a_service_in_maintenance_opens_nothing(clock: Clock) -> None:
    seed = {"routing_keys": {ROUTING_KEY: "ML"}, "services": {"ML": "maintenance"}}
    with simulators.start("pagerduty", seed=seed, clock=clock) as running:
        client = Client(running, headers={"Authorization": "Token token=tocsin"})
        assert event(client, "trigger").status_code == 202
        assert incidents(client) == []
        assert client.get("/services").json()["services"][0]["status"] == "maintenance"


def test_the_rest_api_counts_calls_by_the_minute(clock: Clock) -> None:
    with simulators.start("pagerduty", clock=clock, rest_per_minute=2) as running:
        client = Client(running, headers={"Authorization": "Token token=tocsin"})
        answers = [client.get("/priorities") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert (answers[1].headers["ratelimit-remaining"], answers[2].json()["error"]["code"]) == ("0", 2020)
        clock.go_on(seconds=61)
        assert client.get("/priorities").status_code == 200


def test_services_show_their_keys_and_who_is_on_call(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    (service,) = pagerduty.get("/services", params={"include[]": "integrations"}).json()["services"]
    assert service["integrations"][0]["integration_key"] == ROUTING_KEY
    (on_call,) = pagerduty.get("/oncalls").json()["oncalls"]
    assert on_call["escalation_policy"]["id"] == service["escalation_policy"]["id"]


def test_spans_of_more_than_six_months_are_refused(pagerduty: Client) -> None:
    answer = pagerduty.get("/incidents", params={"since": "2026-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 2005)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client": 7}, "'client' must be a string"),
        ({"links": [{"href": "https://example.org", "text": 7}]}, "'links' is invalid"),
        ({"payload": {"custom_details": "text"}}, "'payload.custom_details' is invalid"),
        ({"payload": {"timestamp": "yesterday"}}, "'payload.timestamp' is invalid"),
        ({"payload": {"component": []}}, "'payload.component' must be a string"),
        ({"routing_key": 7}, "'routing_key' must be a string"),
    ],
)
def test_what_breaks_the_published_schema_is_refused(pagerduty: Client, change: dict[str, Any], error: str) -> None:
    payload = {"summary": "s", "source": "x", "severity": "info", **change.pop("payload", {})}
    answer = event(pagerduty, "trigger", payload=payload, **change)
    assert (answer.status_code, any(error in one for one in answer.json()["errors"])) == (400, True), answer.text
