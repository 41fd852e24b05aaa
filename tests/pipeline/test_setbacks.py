"""What goes wrong while deciding costs no message: a busy database, alerts that moved on, too many changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tests.pipeline.world import MAPPINGS, World
from tocsin import pipeline
from tocsin.decide import judge
from tocsin.store import incidents
from tocsin.store.database import now


@pytest.fixture
def world(database: str, tmp_path: Path) -> World:
    return World(database, tmp_path, MAPPINGS)


def test_a_busy_database_puts_no_message_aside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    really: Callable[..., object] = judge.judge
    setbacks = [TypeError("a mistake of ours"), OperationalError("UPDATE incidents", {}, Exception("deadlock"))]

    def judged(*args: object, **kwargs: object) -> object:
        if setbacks:
            raise setbacks.pop(0)
        return really(*args, **kwargs)

    monkeypatch.setattr(pipeline, "judge", judged)
    world.alert("HighLatency", minutes=3, service="checkout")
    pipeline.understand(world.app)
    with pytest.raises(OperationalError):
        pipeline.decide(world.app, "production")
    assert world.sql("SELECT FROM quarantine") == []
    pipeline.decide(world.app, "production")
    assert [incident["head"] for incident in world.incidents()] == ["service:checkout"]
    world.close()


def test_an_incident_stays_about_an_alert_that_fires_again_in_a_later_one(world: World) -> None:
    world.alert("HighLatency", minutes=20, service="checkout")
    world.alert("HighLatency", minutes=20, service="search")
    world.settle(send=False)
    world.do("UPDATE alerts SET incident_id = (SELECT min(id::text)::uuid FROM incidents)")
    [first] = world.sql("SELECT min(id::text)::uuid AS id FROM incidents")
    world.do(
        "INSERT INTO occurrences (environment, fingerprint, episode, incident_id, starts_at, ends_at)"
        " SELECT environment, fingerprint, 1, incident_id, now() - interval '9 min', now() FROM alerts"
        " ORDER BY fingerprint LIMIT 1"
    )
    world.do("UPDATE alerts SET incident_id = NULL WHERE fingerprint = (SELECT min(fingerprint) FROM alerts)")
    with world.app.database.transaction() as connection:
        found = incidents.load_incidents(connection, [first["id"]])[first["id"]]
    assert sorted(member.alert.subject.name for member in found.members) == ["checkout", "search"]
    assert sorted(member.status for member in found.members) == ["firing", "resolved"]
    world.close()


def test_of_too_many_changes_the_latest_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "MAX_CHANGES", 2)
    for place in range(4):
        world.deploy("checkout", minutes=place, deployment=place + 1)
    world.settle(send=False)
    with world.app.database.transaction() as connection:
        found = incidents.load_changes(connection, "production", world.at(-60), now(connection))
    assert [change.occurred_at for change in found] == [world.at(place).replace(microsecond=0) for place in (2, 3)]
    world.close()
