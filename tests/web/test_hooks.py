"""What a sender is answered: 202 once durable, 4xx only for credentials, size and unknown routes."""

import gzip
import json
from pathlib import Path
from uuid import UUID

from werkzeug.test import Client

from tests.pipeline.world import World
from tocsin.receive import Receiver
from tocsin.store import inbox

BEARER = {"Authorization": "Bearer s3cret"}


def test_a_verified_message_is_stored_before_its_202_and_its_secret_is_not(client: Client, world: World) -> None:
    answer = client.post("/hooks/signed", data=b'{"a": 1}', headers=BEARER)
    assert answer.status_code == 202
    receipt = UUID(json.loads(answer.data)["receipt"])
    [row] = world.sql("SELECT id, headers::text AS headers, body FROM messages")
    assert row["id"] == receipt
    assert "s3cret" not in row["headers"]
    assert b'{"a": 1}' not in bytes(row["body"])
    [claimed] = inbox.claim(world.app.database, world.app.seal)
    assert claimed.message.body == b'{"a": 1}'


def test_a_wrong_secret_is_401_and_names_no_secret(client: Client, world: World) -> None:
    answer = client.post("/hooks/signed", data=b"{}", headers={"Authorization": "Bearer other"})
    assert answer.status_code == 401
    assert b"s3cret" not in answer.data
    assert world.sql("SELECT FROM messages") == []


def test_an_unknown_hook_is_404_with_the_remedy(client: Client) -> None:
    answer = client.post("/hooks/nobody", data=b"{}")
    assert answer.status_code == 404
    assert b"tocsin hooks list" in answer.data


def test_a_body_above_the_limit_is_413_also_when_gzip_hides_it(client: Client) -> None:
    big = b"x" * 5_000_001
    assert client.post("/hooks/am", data=big).status_code == 413
    bomb = client.post("/hooks/am", data=gzip.compress(big), headers={"Content-Encoding": "gzip"})
    assert bomb.status_code == 413


def test_a_gzipped_body_is_stored_plain(client: Client, world: World) -> None:
    client.post("/hooks/am", data=gzip.compress(b'{"z": 1}'), headers={"Content-Encoding": "gzip"})
    [claimed] = inbox.claim(world.app.database, world.app.seal)
    assert claimed.message.body == b'{"z": 1}'


def test_a_body_nobody_can_read_is_still_accepted(client: Client, world: World) -> None:
    assert client.post("/hooks/am", data=b"\xff\xfe not json").status_code == 202
    assert client.post("/hooks/am", data=b"[" * 100_000).status_code == 202
    world.settle()
    assert len(world.sql("SELECT FROM quarantine")) == 2


def test_bytes_that_the_database_cannot_keep_stop_nobody(
    client: Client, world: World, receiver: Receiver, tmp_path: Path
) -> None:
    alert = {"labels": {"alertname": "a\0b", "service": "check\0out"}, "status": "firing", "annotations": {"x": "\0"}}
    body = json.dumps({"version": "4", "status": "firing", "alerts": [alert], "groupKey": "\0", "receiver": "\0"})
    assert client.post("/hooks/am?x=%00&a%00=1&b=%ff", data=body, headers={"X-Thing": "\x85"}).status_code == 202
    assert client.post("/hooks/am%00", data=body).status_code == 404
    assert client.post("/hooks/am", data=b"{}").status_code == 202
    assert not list((tmp_path / "spool").glob("*"))
    world.settle()
    assert len(world.sql("SELECT FROM messages")) == 2
    assert len(world.sql("SELECT FROM alerts WHERE state -> 'alert' ->> 'source' = 'alertmanager'")) == 1


def test_health_readiness_and_metrics_answer(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    client.post("/hooks/am", data=b"{}")
    assert b"tocsin_messages_received_total" in client.get("/metrics").data


def test_a_sender_s_own_id_is_deduplicated_only_after_it_was_understood(client: Client, world: World) -> None:
    ping = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "d-1", "Content-Type": "application/json"}
    for _ in range(2):
        assert client.post("/hooks/gh", data=b'{"zen": "x", "hook_id": 1, "hook": {}}', headers=ping).status_code == 202
        world.settle()
    assert world.audit("message.understood") == ["ignored", "duplicate"]


def test_while_the_database_is_away_messages_are_spooled_and_readyz_stays_200(
    client: Client, receiver: Receiver, world: World
) -> None:
    receiver._writer.away = True
    assert client.post("/hooks/am", data=b"{}").status_code == 202
    assert world.sql("SELECT FROM messages") == []
    assert client.get("/readyz").status_code == 200
    receiver._drain()
    assert len(world.sql("SELECT FROM messages")) == 1
