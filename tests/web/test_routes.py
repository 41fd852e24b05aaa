"""Producers' own paths: the key in the request names the hook, and a client that asks after its request is answered."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from werkzeug.test import Client

from tests.pipeline.world import MAPPINGS, World
from tocsin.receive import Receiver
from tocsin.store import inbox
from tocsin.web.hooks import HooksFirst
from tocsin.web.site import site

KEY = {"Authorization": "GenieKey g3nie"}


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    tree = tmp_path / "mappings"
    tree.mkdir()
    (tree / "genie.secret").write_text("g3nie")
    secret = "environment: production, secret: {file: genie.secret}"
    hooks = f"hooks:\n  og: {{source: opsgenie_alerts, {secret}}}\n  prometheus: {{source: alertmanager, {secret}}}\n"
    made = World(database, tmp_path, {**MAPPINGS, "hooks.yaml": hooks})
    yield made
    made.close()


@pytest.fixture
def client(world: World, tmp_path: Path) -> Iterator[Client]:
    receiver = Receiver(world.app, spool_dir=tmp_path / "spool")
    receiver.refresh()
    app = site(world.app.settings, receiver)
    yield Client(HooksFirst(receiver, app.wsgi_app))
    app.extensions["tocsin.database"].close()
    receiver.stop()


def test_an_opsgenie_client_creates_asks_and_closes(client: Client, world: World) -> None:
    created = client.post("/v2/alerts", json={"message": "AUC is low", "alias": "a/ü b"}, headers=KEY)
    assert created.status_code == 202
    request_id = orjson.loads(created.data)["requestId"]
    asked = client.get(f"/v2/alerts/requests/{request_id}", headers=KEY)
    assert (asked.status_code, orjson.loads(asked.data)["data"]["alias"]) == (200, "a/ü b")
    closed = client.post(f"/v2/alerts/{request_id}/close", query_string={"identifierType": "id"}, headers=KEY)
    assert orjson.loads(closed.data)["result"] == "Request will be processed"
    first, second = inbox.claim(world.app.database, world.app.seal)
    assert dict(first.message.query) == {}
    assert dict(second.message.query) == {
        "identifier": request_id,
        "operation": "close",
        "identifierType": "id",
    }


def test_what_a_client_deletes_reaches_the_source(client: Client, world: World) -> None:
    assert client.delete("/v2/alerts/a?identifierType=alias", headers=KEY).status_code == 202
    assert client.delete("/v2/alerts/a/tags?tags=x", headers=KEY).status_code == 202
    first, second = inbox.claim(world.app.database, world.app.seal)
    assert dict(first.message.query) == {"identifier": "a", "identifierType": "alias"}
    assert second.message.query["operation"] == "tags"


def test_an_alias_in_the_path_reaches_the_source_as_it_was_written(client: Client, world: World) -> None:
    client.post("/v2/alerts/disk%2Fdb-1%20%C3%BC/close?identifierType=alias", headers=KEY)
    [claimed] = inbox.claim(world.app.database, world.app.seal)
    assert claimed.message.query["identifier"] == "disk/db-1 ü"


def test_a_wrong_key_is_401_on_every_path_and_keeps_nothing(client: Client, world: World) -> None:
    wrong = {"Authorization": "GenieKey other"}
    answers = [
        client.post("/v2/alerts", json={"message": "m"}, headers=wrong),
        client.post("/v2/alerts/x/close", headers=wrong),
        client.get("/v2/alerts/requests/x", headers=wrong),
        client.get("/v2/alerts/requests/x"),
    ]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert world.sql("SELECT FROM messages") == []


def test_a_path_of_a_producer_without_a_hook_is_nobodys(client: Client) -> None:
    assert client.post("/v2/enqueue", json={}).status_code in (404, 405)
    assert client.get("/v2/alerts/x").status_code == 404


def test_what_an_opsgenie_client_closes_has_ended(client: Client, world: World) -> None:
    client.post("/v2/alerts", json={"message": "5xx", "alias": "a", "details": {"service": "checkout"}}, headers=KEY)
    world.settle()
    client.post("/v2/alerts/a/close?identifierType=alias", headers=KEY)
    world.settle()
    [row] = world.sql("SELECT status, state->'alert'->>'subject' AS subject FROM alerts")
    assert (row["status"], row["subject"]) == ("resolved", "service:checkout")
    assert world.sql("SELECT FROM quarantine") == []


def test_prometheus_posts_to_the_path_of_an_alertmanagers_api(client: Client, world: World) -> None:
    alerts = [{"labels": {"alertname": "Down", "service": "search"}, "annotations": {}}]
    assert client.post("/api/v2/alerts", json=alerts, headers={"Authorization": "Bearer other"}).status_code == 401
    assert client.post("/api/v2/alerts", json=alerts, headers={"Authorization": "Bearer g3nie"}).status_code == 202
    world.settle()
    [row] = world.sql("SELECT status, state->'alert'->>'subject' AS subject FROM alerts")
    assert (row["status"], row["subject"]) == ("firing", "service:search")


def test_a_sender_of_cloud_events_may_ask_first(client: Client) -> None:
    asked = client.options("/hooks/events", headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    assert (asked.status_code, asked.headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.azure.net")
    assert client.options("/hooks/events", headers={"WebHook-Request-Origin": 'a b"<x>'}).status_code == 400
