"""How destinations stand, as programs and Prometheus see it."""

from __future__ import annotations

import orjson
from werkzeug.test import Client

from tests.pipeline.world import World
from tocsin.store import destinations

TOKEN = {"Authorization": "Bearer token"}


def test_a_pause_shows_in_the_api_and_in_metrics(world: World, client: Client) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    destinations.pause(world.app.database, "out", actor="kim", why="new printer")
    world.settle()
    [out] = orjson.loads(client.get("/api/v1/destinations", headers=TOKEN).data)["destinations"]
    assert (out["name"], out["paused_by"], out["paused_why"], out["waiting"]) == ("out", "kim", "new printer", 1)
    metrics = client.get("/metrics").get_data(as_text=True)
    assert 'tocsin_destination_paused{destination="out"} 1.0' in metrics
    assert 'tocsin_destination_waiting{destination="out"} 1.0' in metrics


def test_dead_records_are_counted_by_reason(world: World, client: Client) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.do("UPDATE records SET state = 'dead', next_attempt_at = NULL, last_reason = 'forbidden'")
    metrics = client.get("/metrics").get_data(as_text=True)
    assert 'tocsin_dead_records{destination="out",reason="forbidden"} 1.0' in metrics


def test_what_a_shadow_would_have_sent_is_answered(world: World, client: Client) -> None:
    policies = world.app.mappings_dir / "policies.yaml"
    policies.write_text(policies.read_text().replace("kind: console", "kind: console, mode: shadow"))
    world.app.apply(world.app.mappings_dir, actor="test")
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    [call] = orjson.loads(client.get("/api/v1/shadow?destination=out", headers=TOKEN).data)["calls"]
    assert (call["call"], call["incident"]) == ("create", "TOC-1001")
