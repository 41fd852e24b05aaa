"""Approved change requests are maintenance; a canceled one is none any more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.world import MAPPINGS, World

HOOK = "hooks: {snow: {source: servicenow, environment: production, unverified: true}}"


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    made = World(database, tmp_path, {**MAPPINGS, "snow.yaml": HOOK})
    yield made
    made.close()


def request(world: World, state: str, *, minutes: float) -> None:
    """A change request on checkout, planned from minute 10 for two hours."""
    times = {"start_date": 10, "end_date": 130}
    planned = {name: world.at(minute).strftime("%Y-%m-%d %H:%M:%S") for name, minute in times.items()}
    facts = {"sys_id": "c83c", "number": "CHG0030007", "state": state, "approval": "approved", "cmdb_ci": "checkout"}
    world.post("snow", {"table": "change_request", **facts, **planned}, minutes=minutes)


def gate_of(world: World) -> tuple[str, str]:
    [incident] = world.incidents()
    return str(incident["gate"]), str(incident["gate_reason"])


def test_an_approved_window_mutes_until_the_request_is_canceled(world: World) -> None:
    request(world, "Scheduled", minutes=5)
    world.alert("HighLatency", minutes=20, service="checkout")
    world.settle()
    assert gate_of(world) == ("muted", "in_window")
    assert world.sql("SELECT FROM records") == []
    request(world, "Canceled", minutes=22)
    world.alert("HighErrorRate", minutes=23, service="checkout")
    world.settle()
    assert gate_of(world)[0] == "active"
    assert len(world.sql("SELECT FROM records")) == 1


def test_a_request_that_is_not_approved_mutes_nothing(world: World) -> None:
    times = {"table": "change_request", "sys_id": "c83c", "number": "CHG0030007", "cmdb_ci": "checkout"}
    world.post("snow", {**times, "state": "Assess", "approval": "requested"}, minutes=5)
    world.alert("HighLatency", minutes=20, service="checkout")
    world.settle()
    assert gate_of(world)[0] == "active"
