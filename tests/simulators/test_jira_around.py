"""People, webhooks, limits, workflows and operations alerts of the Jira simulator."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.connectors.canned import Asked, Canned, canned
from tests.simulators.conftest import Client, Clock
from tests.simulators.test_jira import create, document, fields, move
from tocsin import simulators
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources.jira import SOURCE

SECRET = "It's a Secret to Everybody"


def waited(until: Callable[[], bool]) -> bool:
    """Whether it comes true within five seconds."""
    ends_at = time.monotonic() + 5
    while time.monotonic() < ends_at:
        if until():
            return True
        time.sleep(0.02)
    return until()


def hooked(jira: Client, desk: Canned, **more: Any) -> None:
    jira.running.seed({"webhooks": [{"url": desk.url, "secret": SECRET}], **more})


def events(desk: Canned) -> list[str]:
    return [orjson.loads(one.body)["webhookEvent"] for one in desk.asked]


def understood(asked: Asked, **defaults: str) -> Normalized:
    """What our own source makes of a call; it must be verified first."""
    headers = {name.lower(): value for name, value in asked.headers.items()}
    message = Message(
        id=UUID(int=1),
        hook="jira",
        source="jira",
        environment="production",
        received_at=Clock().now,
        body=asked.body,
        headers=headers,
    )
    assert SOURCE.verify(message, (SECRET,)).verdict == "verified"
    assert SOURCE.verify(message, ("another",)).verdict == "refused"
    hook = Hook(name="jira", source="jira", environment="production", secrets=(SECRET,), defaults=defaults)
    return SOURCE.normalize(message, hook)


# webhooks


def test_the_signature_is_that_of_the_published_example() -> None:
    digest = hmac.new(SECRET.encode(), b"Hello World!", sha256).hexdigest()
    assert digest == "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"


def test_what_people_do_arrives_signed_and_our_source_understands_it(jira: Client) -> None:
    with canned() as desk:
        hooked(jira, desk)
        key = create(jira, labels=[f"tocsin-{'ab' * 16}"])
        jira.control("POST", "/__person", {"record": key, "do": "acknowledge"})
        jira.control("POST", "/__person", {"record": key, "as": "beth", "do": "assign", "to": "beth"})
        jira.control("POST", "/__person", {"record": key, "do": "comment", "text": "A disk is full."})
        jira.control("POST", "/__person", {"record": key, "do": "priority", "to": "Low"})
        jira.control("POST", "/__person", {"record": key, "do": "resolve", "resolution": "Won't Do"})
        jira.control("POST", "/__person", {"record": key, "do": "delete"})
        assert waited(lambda: len(desk.asked) == 7)
        updates = [update for one in desk.asked for update in understood(one).record_updates]
    assert [str(update.action) for update in updates] == [
        *("created", "acknowledged", "reassigned", "commented", "priority_changed", "resolved", "deleted")
    ]
    assert updates[2].actor == "Beth Ogilvy"
    assert updates[3].comment == "A disk is full."
    assert (updates[5].close_code, updates[5].record_key) == ("Won't Do", "ab" * 16)
    assert updates[3].record_key == ""  # an event of a comment names few fields, and no labels


def test_the_same_event_comes_again_under_the_same_identifier(jira: Client) -> None:
    with canned() as desk:
        hooked(jira, desk, webhook_weather={"repeat": 1})
        create(jira)
        assert waited(lambda: len(desk.asked) == 2)
        names = {one.headers["X-Atlassian-Webhook-Identifier"] for one in desk.asked}
    assert len(names) == 1


def test_events_may_come_in_another_order(jira: Client) -> None:
    with canned() as desk:
        hooked(jira, desk, webhook_weather={"reverse": 2})
        jira.post(f"/issue/{create(jira)}/comment", {"body": document()})
        assert waited(lambda: len(desk.asked) == 2)
        assert events(desk) == ["comment_created", "jira:issue_created"]


@pytest.mark.parametrize(("status", "comes_again"), [(503, True), (429, True), (409, True), (400, False), (401, False)])
def test_some_refusals_are_tried_again(status: int, comes_again: bool) -> None:
    with simulators.start("jira", webhook_retry_s=0.05) as running, canned(status=status) as desk:
        running.seed({"webhooks": [{"url": desk.url, "events": ["jira:issue_created"]}]})
        jira = Client(running, "/rest/api/3", ("admin", "tocsin"))
        create(jira)
        waited(lambda: len(desk.asked) > 1 or (bool(running.state()["webhook_calls"]) and not comes_again))
        desk.status = 200
        assert (len(desk.asked) > 1) is comes_again
        assert desk.asked[0].headers.get("X-Atlassian-Webhook-Retry") is None
        if comes_again:
            assert desk.asked[1].headers["X-Atlassian-Webhook-Retry"] == "1"
        assert "X-Hub-Signature" not in desk.asked[0].headers


def test_an_event_may_never_come(jira: Client) -> None:
    with canned() as desk:
        hooked(jira, desk, webhook_weather={"lose": 1})
        create(jira)
        create(jira)
        assert waited(lambda: len(desk.asked) == 1)
        assert orjson.loads(desk.asked[0].body)["issue"]["key"] == "OPS-2"


def test_an_administrator_registers_and_removes_webhooks(jira: Client) -> None:
    jira.root = "/rest/webhooks/1.0"
    made = jira.post("/webhook", {"name": "Tocsin", "url": "http://127.0.0.1:9/hooks/jira", "secret": "s"})
    assert (made.status_code, made.json()["isSigned"]) == (201, True)
    assert [one["name"] for one in jira.get("/webhook").json()] == ["Tocsin"]
    assert jira.call("DELETE", "/webhook/1").status_code == 204
    assert jira.get("/webhook").json() == []


# people


def test_everybody_acts_in_their_own_name(jira: Client) -> None:
    key = create(jira)
    jira.post(f"/issue/{key}/comment", {"body": document()}, auth=("ada", "tocsin"))
    jira.put(f"/issue/{key}/assignee", {"accountId": "beth"}, auth=("automation", "tocsin"))
    assert jira.get(f"/issue/{key}/comment").json()["comments"][0]["author"]["displayName"] == "Ada Lovett"
    change = jira.get(f"/issue/{key}/changelog").json()["values"][0]
    assert (change["author"]["accountType"], change["items"][0]["toString"]) == ("app", "Beth Ogilvy")
    assert jira.get(f"/issue/{key}", params={"fields": "assignee"}).json()["fields"]["assignee"]["accountId"] == "beth"


def test_a_stranger_cannot_be_assigned(jira: Client) -> None:
    answer = jira.put(f"/issue/{create(jira)}/assignee", {"accountId": "nobody"})
    assert (answer.status_code, answer.json()["errors"]) == (400, {"assignee": "User 'nobody' does not exist."})


def test_a_person_edits_right_before_a_call_is_carried_out(jira: Client) -> None:
    key = create(jira)
    jira.plan("person_edits", edit={"record": key, "do": "resolve"}, match={"method": "PUT"})
    jira.put(f"/issue/{key}", {"fields": {"summary": "worse"}})
    assert jira.get(f"/issue/{key}").json()["fields"]["status"]["name"] == "Done"
    wrong = jira.control("POST", "/__person", {"record": key, "do": "dance"})
    assert "known are assign" in wrong["error"]


# workflows and screens


def test_a_workflow_leads_only_where_it_leads(jira: Client) -> None:
    jira.running.seed({"projects": [{"key": "ITSM", "transitions": {"To Do": ["In Progress"], "Done": []}}]})
    key = create(jira, project={"key": "ITSM"})

    def ways() -> list[str]:
        return [one["name"] for one in jira.get(f"/issue/{key}/transitions").json()["transitions"]]

    assert ways() == ["In Progress"]
    move(jira, key, "indeterminate")
    move(jira, key, "done")
    assert ways() == []


def test_a_screen_may_demand_a_resolution(jira: Client) -> None:
    jira.running.seed({"projects": [{"key": "ITSM", "screens": {"Done": {"resolution": True}}}]})
    path = f"/issue/{create(jira, project={'key': 'ITSM'})}"
    shown = jira.get(path, params={"expand": "transitions"}).json()["transitions"]
    assert [(one["name"], one["hasScreen"], "fields" in one) for one in shown][-1] == ("Done", True, False)
    bare = jira.post(f"{path}/transitions", {"transition": {"id": "31"}})
    assert (bare.status_code, bare.json()["errors"]) == (400, {"resolution": "Resolution is required."})
    full = {"transition": {"id": "31"}, "fields": {"resolution": {"name": "Duplicate"}}}
    assert jira.post(f"{path}/transitions", full).status_code == 204
    assert jira.get(path).json()["fields"]["resolution"]["name"] == "Duplicate"


def test_required_custom_fields_are_named_as_people_know_them(jira: Client) -> None:
    area = {"customfield_10042": {"name": "Root area", "kind": "option", "values": ["Payments"]}}
    jira.running.seed({"custom_fields": area, "projects": [{"key": "ITSM", "required": ["customfield_10042"]}]})
    answer = jira.post("/issue", fields(project={"key": "ITSM"}))
    assert answer.json()["errors"] == {"customfield_10042": "Root area is required."}
    wrong = jira.post("/issue", fields(project={"key": "ITSM"}, customfield_10042={"value": "Kitchen"}))
    assert wrong.json()["errors"] == {"customfield_10042": "Specify a valid 'value' for Root area"}
    assert create(jira, project={"key": "ITSM"}, customfield_10042={"value": "Payments"}) == "ITSM-1"


def test_a_field_off_the_screen_cannot_be_set(jira: Client) -> None:
    jira.running.seed({"projects": [{"key": "ITSM", "off_screen": ["priority"]}]})
    answer = jira.post("/issue", fields(project={"key": "ITSM"}, priority={"name": "High"}))
    assert "not on the appropriate screen" in answer.json()["errors"]["priority"]
    kinds = jira.get("/issue/createmeta/ITSM/issuetypes/10004").json()["fields"]
    assert "priority" not in [one["fieldId"] for one in kinds]


def test_data_center_calls_every_list_values() -> None:
    with simulators.start("jira", deployment="Server") as running:
        jira = Client(running, "/rest/api/2", headers={"Authorization": "Bearer tocsin"})
        assert jira.get("/issue/createmeta/OPS/issuetypes").json()["values"][0]["name"] == "Task"
        assert jira.get("/myself").json()["name"] == "admin"
        jira.headers = {"Authorization": "Bearer ada:tocsin"}
        assert jira.get("/myself").json()["name"] == "ada"


# limits


def test_an_issue_takes_20_writes_in_2_seconds(jira: Client, clock: Clock) -> None:
    first, second = create(jira), create(jira)
    codes = [jira.put(f"/issue/{first}", {"fields": {"summary": f"s{at}"}}).status_code for at in range(20)]
    assert set(codes) == {204}
    busy = jira.put(f"/issue/{first}", {"fields": {"summary": "once more"}})
    assert (busy.status_code, busy.headers["RateLimit-Reason"]) == (429, "jira-per-issue-on-write")
    assert busy.headers["Retry-After"] == "2"
    assert jira.get(f"/issue/{first}").status_code == 200
    assert jira.put(f"/issue/{second}", {"fields": {"summary": "x"}}).status_code == 204
    clock.go_on(seconds=2)
    assert jira.put(f"/issue/{first}", {"fields": {"summary": "now"}}).status_code == 204


@pytest.mark.parametrize("reason", ["jira-burst-based", "jira-per-issue-on-write", "jira-quota-tenant-based"])
def test_every_limit_has_its_own_dialect(jira: Client, reason: str) -> None:
    jira.plan("rate_limit", rule=reason, after_s=17)
    answer = jira.post("/issue", fields())
    assert (answer.status_code, answer.headers["RateLimit-Reason"], answer.headers["Retry-After"]) == (
        429,
        reason,
        "17",
    )
    assert answer.headers["X-RateLimit-Reset"] == "2026-11-21T09:00:17Z"


# operations alerts


def test_an_alias_is_unique_among_open_alerts(jira: Client) -> None:
    jira.root = "/jsm/ops/api/local/v1"
    body = {"message": "Checkout is slow", "alias": "a"}
    first = jira.post("/alerts", body)
    assert first.status_code == 202
    told = jira.get(f"/alerts/requests/{first.json()['requestId']}").json()
    assert (told["isSuccess"], told["alias"]) == (True, "a")
    jira.post("/alerts", body)
    (only,) = jira.get("/alerts").json()["values"]
    assert (only["count"], only["id"]) == (2, told["alertId"])
    jira.post(f"/alerts/{only['id']}/close", {})
    assert jira.get("/alerts/alias", params={"alias": "a"}).status_code == 404
    jira.post("/alerts", body)
    found = jira.get("/alerts", params={"query": 'alias:"a"'}).json()
    assert [one["status"] for one in found["values"]] == ["open", "closed"]


def test_what_operations_refuse(jira: Client) -> None:
    jira.root = "/jsm/ops/api/local/v1"
    assert jira.post("/alerts", {}).json()["errors"] == {"message": "Message can not be empty."}
    assert jira.post("/alerts", {"message": "x", "priority": "P9"}).status_code == 422
    assert jira.get("/alerts/nope").status_code == 404
    assert jira.get("/alerts", auth=("ada", "wrong")).status_code == 401
    jira.root = "/jsm/ops/api/elsewhere/v1"
    assert jira.get("/alerts").status_code == 404
    jira.root = ""
    assert jira.get("/_edge/tenant_info").json() == {"cloudId": "local"}
