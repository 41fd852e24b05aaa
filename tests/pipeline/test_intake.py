"""While nothing could be received, no alert expires for want of a report."""

from datetime import timedelta

from tests.pipeline.world import World
from tocsin.store import intake

OVERDUE = """
    UPDATE alerts SET look_again_at = clock_timestamp() - interval '10 minutes',
     state = state || jsonb_build_object('expires_at', clock_timestamp() - interval '10 minutes')
"""


def _due_in(world: World) -> timedelta:
    [alert] = world.sql("SELECT look_again_at - clock_timestamp() AS due FROM alerts")
    due = alert["due"]
    assert isinstance(due, timedelta)
    return due


def test_an_alert_that_is_overdue_after_an_outage_of_the_intake_gets_the_outage_added(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    assert intake.alive(world.app.database) == timedelta(0)
    world.do(OVERDUE)
    world.do("UPDATE installation SET intake_at = clock_timestamp() - interval '1 hour'")
    world.settle()
    assert [i["state"] for i in world.incidents()] == ["open"]  # time stands still

    outage = intake.alive(world.app.database)
    assert timedelta(minutes=60) <= outage < timedelta(minutes=61)
    world.settle()
    assert [i["state"] for i in world.incidents()] == ["open"]
    assert timedelta(minutes=49) < _due_in(world) < timedelta(minutes=51)


def test_without_an_outage_it_expires_in_time(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    intake.alive(world.app.database)
    world.do(OVERDUE)
    world.settle()
    assert intake.alive(world.app.database) == timedelta(0)
    assert [i["state"] for i in world.incidents()] == ["resolved"]
    assert world.audit("alert.expired") == ["expired"]
