"""A drift check that looks at hours tells of what began while it looked, when that is over already."""

from pathlib import Path

import pytest

from tests.pipeline.world import MAPPINGS, World

HOOK = "hooks: {drift: {source: native_alert, environment: production, unverified: true}}"


@pytest.fixture
def world(database: str, tmp_path: Path) -> World:
    return World(database, tmp_path, {**MAPPINGS, "drift.yaml": HOOK})


def _drift(world: World, *, minutes: float, looked_since: float) -> None:
    """The model's drift check fires, having looked at the time since `looked_since`."""
    body = {
        "name": "PredictionDrift", "subject": "model:churn", "symptom": "prediction_drift", "severity": "error",
        "starts_at": world.at(minutes).isoformat(), "window_starts_at": world.at(looked_since).isoformat(),
    }  # fmt: skip
    world.post("drift", body, minutes=minutes)


@pytest.mark.parametrize("at_once", [True, False])
def test_it_joins_the_incident_that_began_then_and_opens_it_again(world: World, at_once: bool) -> None:
    world.alert("Late", minutes=-60, dataset="warehouse.orders")
    world.alert("Nulls", minutes=-58, feature="order_count")
    if not at_once:
        world.settle()
    world.alert("Late", minutes=-45, resolved=True, dataset="warehouse.orders")
    world.alert("Nulls", minutes=-45, resolved=True, feature="order_count")
    if not at_once:
        world.settle()
    _drift(world, minutes=0, looked_since=-62)
    world.settle()
    [incident] = world.incidents()
    assert incident["state"] == "open"
    assert world.audit("alert.joined") == ["opened", "grouped", "reopened"]
    world.close()


def test_it_opens_one_of_its_own_when_nothing_began_while_it_looked(world: World) -> None:
    world.alert("Late", minutes=-400, dataset="warehouse.orders")
    world.alert("Late", minutes=-390, resolved=True, dataset="warehouse.orders")
    _drift(world, minutes=0, looked_since=-60)
    world.settle()
    assert [incident["state"] for incident in world.incidents()] == ["resolved", "open"]
    world.close()
