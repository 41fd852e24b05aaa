"""Events API v2 and the REST API around incidents."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.conftest import ROUTING_KEY, Client, Clock
from tocsin import simulators

PAYLOAD = {"summary": "error rate 4 %", "source": "prometheus", "severity": "critical"}


def event(pagerduty: Client, action: str, key: str | None = "k", **more: Any) -> Any:
    body = {"routing_key": ROUTING_KEY, "event_action": action, **({"dedup_key": key} if key else {}), **more}
    if action == "trigger":
        body.setdefault("payload", PAYLOAD)
    return pagerduty.post("/v2/enqueue", body)


def incidents(pagerduty: Client, **params: Any) -> list[dict[str, Any]]:
    answer = pagerduty.get("/incidents", params={"date_range": "all", **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["incidents"]
    return found


def only(pagerduty: Client) -> dict[str, Any]:
    (one,) = incidents(pagerduty)
    return one


def test_a_trigger_opens_one_incident(pagerduty: Client) -> None:
    answer = event(pagerduty, "trigger")
    assert (answer.status_code, answer.json()) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "k"},
    )
    one = only(pagerduty)
    assert (one["status"], one["title"], one["incident_key"]) == ("triggered", "error rate 4 %", "k")


def test_a_repeated_trigger_updates_the_open_alert(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    event(pagerduty, "trigger", payload=PAYLOAD | {"custom_details": {"now": "9 %"}})
    alert = pagerduty.get(f"/incidents/{only(pagerduty)['id']}/alerts").json()["alerts"][0]
    assert alert["body"]["details"] == {"now": "9 %"}


def test_acknowledge_and_resolve_apply_to_the_open_alert(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    event(pagerduty, "acknowledge")
    assert only(pagerduty)["status"] == "acknowledged"
    event(pagerduty, "resolve")
    assert only(pagerduty)["status"] == "resolved"


def test_a_trigger_after_the_resolve_pages_again(pagerduty: Client) -> None:
    for action in ("trigger", "resolve", "trigger"):
        event(pagerduty, action)
    assert [one["status"] for one in incidents(pagerduty, incident_key="k")] == ["resolved", "triggered"]


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_without_an_open_alert_it_is_dropped_with_202(pagerduty: Client, action: str) -> None:
    assert event(pagerduty, action).status_code == 202
    assert incidents(pagerduty) == []


def test_the_dedup_key_counts_per_routing_key(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    event(pagerduty, "resolve", routing_key="b2" * 16)
    assert only(pagerduty)["status"] == "triggered"


def test_a_trigger_without_key_always_opens_a_new_alert(pagerduty: Client) -> None:
    keys = {event(pagerduty, "trigger", None).json()["dedup_key"] for _ in range(2)}
    assert len(keys) == len(incidents(pagerduty)) == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"routing_key": ""}, "'routing_key' is missing or blank"),
        ({"routing_key": "short"}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"event_action": "explode"}, "'event_action' is invalid"),
        ({"payload": None}, "'payload' is missing or blank"),
        ({"payload": PAYLOAD | {"summary": " "}}, "'payload.summary' is missing or blank"),
        ({"payload": PAYLOAD | {"summary": "x" * 1025}}, "'summary' is too long (maiximum is 1024 characters)"),
        ({"payload": PAYLOAD | {"source": ""}}, "'payload.source' is missing or blank"),
        ({"payload": PAYLOAD | {"severity": "fatal"}}, "'payload.severity' is invalid"),
        ({"dedup_key": "x" * 256}, "'dedup_key' is too long"),
        ({"event_action": "resolve", "dedup_key": None}, "'dedup_key' is missing or blank"),
        ({"links": [{"text": "no address"}]}, "'links' is invalid"),
        ({"images": [{"src": "http://example.org/a.png"}]}, "'images' is invalid"),
    ],
)
def test_what_the_events_api_refuses(pagerduty: Client, change: dict[str, Any], error: str) -> None:
    body = {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "k", "payload": PAYLOAD} | change
    answer = pagerduty.post("/v2/enqueue", body)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")
    assert any(error in one for one in answer.json()["errors"])
    assert incidents(pagerduty) == []


def test_1024_characters_are_not_too_many(pagerduty: Client) -> None:
    assert event(pagerduty, "trigger", payload=PAYLOAD | {"summary": "ü" * 1024}).status_code == 202


def test_more_than_512_kb_is_413(pagerduty: Client) -> None:
    assert event(pagerduty, "trigger", payload=PAYLOAD | {"custom_details": {"log": "x" * 530_000}}).status_code == 413


def test_a_configured_set_of_keys_refuses_others() -> None:
    seed = {"routing_keys": {ROUTING_KEY: "ML Platform"}}
    with simulators.start("pagerduty", seed=seed) as running:
        client = Client(running, headers={"Authorization": "Token token=tocsin"})
        assert event(client, "trigger").status_code == 202
        assert only(client)["service"]["summary"] == "ML Platform"
        assert event(client, "trigger", routing_key="c3" * 16).status_code == 400


def test_120_events_a_minute_when_limited(clock: Clock) -> None:
    with simulators.start("pagerduty", clock=clock, events_per_minute=120) as running:
        codes = [event(Client(running), "trigger").status_code for _ in range(121)]
        clock.go_on(seconds=61)
        codes.append(event(Client(running), "trigger").status_code)
    assert codes == [202] * 120 + [429, 202]


def test_changes_are_shown_with_the_incident_of_the_service(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    change = {"routing_key": ROUTING_KEY, "payload": {"summary": "Deployed 4.12", "source": "ci"}}
    assert pagerduty.post("/v2/change/enqueue", change).status_code == 202
    one = only(pagerduty)
    related = pagerduty.get(f"/incidents/{one['id']}/related_change_events").json()["change_events"]
    of_service = pagerduty.get(f"/services/{one['service']['id']}/change_events").json()["change_events"]
    assert [found["summary"] for found in related + of_service] == ["Deployed 4.12"] * 2
    assert pagerduty.post("/v2/change/enqueue", change | {"routing_key": "R" * 32}).status_code == 400


def test_put_moves_renames_and_prioritises(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    path = f"/incidents/{only(pagerduty)['id']}"
    priority = pagerduty.get("/priorities").json()["priorities"][0]
    change = {"type": "incident_reference", "status": "acknowledged", "title": "worse", "priority": priority}
    changed = pagerduty.put(path, {"incident": change}).json()["incident"]
    assert (changed["status"], changed["title"], changed["priority"]["summary"]) == ("acknowledged", "worse", "P1")
    resolved = {"type": "incident_reference", "status": "resolved", "resolution": "rolled back"}
    assert pagerduty.put(path, {"incident": resolved}).json()["incident"]["status"] == "resolved"
    again = pagerduty.put(path, {"incident": resolved})
    assert (again.status_code, again.json()["error"]["code"]) == (400, 1001)
    reopened = pagerduty.put(path, {"incident": {"type": "incident_reference", "status": "triggered"}})
    assert reopened.json()["incident"]["status"] == "triggered"
    kinds = [one["type"] for one in pagerduty.get(path + "/log_entries").json()["log_entries"]]
    assert kinds[0] == "reopen_log_entry"
    assert kinds[-1] == "trigger_log_entry"


def test_notes_are_not_idempotent(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    path = f"/incidents/{only(pagerduty)['id']}/notes"
    for _ in range(2):
        assert pagerduty.post(path, {"note": {"content": "[tocsin:1] rolling back"}}).status_code == 200
    assert len(pagerduty.get(path).json()["notes"]) == 2


def test_lists_are_filtered_and_paged(pagerduty: Client) -> None:
    for number in range(30):
        event(pagerduty, "trigger", f"k{number}")
    event(pagerduty, "resolve", "k0")
    assert len(incidents(pagerduty, **{"statuses[]": ["triggered", "acknowledged"], "limit": 100})) == 29
    page = pagerduty.get("/incidents", params={"offset": 25, "total": "true"}).json()
    assert (len(page["incidents"]), page["more"], page["total"], page["limit"]) == (5, False, 30, 25)
    assert pagerduty.get("/incidents", params={"offset": 10_000}).status_code == 400


def test_old_incidents_need_date_range_all(pagerduty: Client, clock: Clock) -> None:
    event(pagerduty, "trigger")
    clock.go_on(days=31)
    assert pagerduty.get("/incidents").json()["incidents"] == []
    assert len(incidents(pagerduty)) == 1


def test_creating_by_rest_refuses_an_open_key(pagerduty: Client) -> None:
    event(pagerduty, "trigger")
    service = only(pagerduty)["service"]
    body = {"incident": {"type": "incident", "title": "by hand", "service": service, "incident_key": "k"}}
    assert pagerduty.post("/incidents", body).json()["error"]["code"] == 2002
    event(pagerduty, "resolve")
    assert pagerduty.post("/incidents", body).status_code == 201


def test_strangers_unknown_ids_and_a_missing_sender(pagerduty: Client) -> None:
    stranger = pagerduty.get("/incidents", headers={"Authorization": "Token token=wrong"})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, 2006)
    missing = pagerduty.get("/incidents/PNOPE")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, 2100)
    event(pagerduty, "trigger")
    note = {"note": {"content": "x"}}
    assert pagerduty.post(f"/incidents/{only(pagerduty)['id']}/notes", note, headers={"From": ""}).status_code == 400


def test_rest_answers_tell_their_limits(pagerduty: Client) -> None:
    headers = pagerduty.get("/incidents").headers
    assert (headers["ratelimit-limit"], int(headers["ratelimit-remaining"]) > 0) == ("960", True)
