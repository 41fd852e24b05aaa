"""From messages to incidents, records and audit lines, on the real database."""

from tests.pipeline.world import World
from tocsin.store import reading


def test_a_deploy_and_its_latency_alert_become_one_ticket_that_names_the_deploy(world: World) -> None:
    world.deploy("checkout", minutes=0)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    [incident] = world.incidents()
    assert (incident["want"], incident["team"], incident["likely_change"] is not None) == ("page", "platform", True)
    [record] = incident["records"]
    assert (record["destination"], record["state"], record["status"]) == ("out", "settled", "open")
    assert "checkout" in world.out.read_text()
    assert reading.unaccounted(world.app.database) == []


def test_a_repeated_alert_stays_one_incident_and_one_record(world: World) -> None:
    for minute in range(5):
        world.alert("HighLatency", minutes=1 + minute / 100, service="checkout")
    world.settle()
    assert len(world.incidents()) == 1
    assert len(world.sql("SELECT FROM records")) == 1


def test_forty_pods_are_one_incident(world: World) -> None:
    for pod in range(40):
        world.alert("PodErrors", minutes=1 + pod / 60, service="checkout", pod=f"checkout-{pod}")
    world.settle()
    [incident] = world.incidents()
    assert incident["alerts"] == 40


def test_unrelated_services_are_two_incidents(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.alert("DiskFull", minutes=2, service="search")
    world.settle()
    assert len(world.incidents()) == 2


def test_when_all_recover_the_record_is_resolved_once(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    [incident] = world.incidents()
    assert incident["state"] == "resolved"
    assert [r["status"] for r in incident["records"]] == ["resolved"]
    assert world.audit("record.confirmed") == ["ok", "ok"]


def test_a_refired_alert_reopens_its_incident(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=20, service="checkout")
    world.settle()
    [incident] = world.incidents()
    assert incident["state"] == "open"
    assert "reopened" in world.audit("alert.joined")


def test_what_cannot_be_read_is_quarantined_and_told_to_the_catch_all_team(world: World) -> None:
    world.post("am", b'{"nothing": "we know"', minutes=1)
    world.settle()
    [incident] = world.incidents()
    assert incident["team"] == "platform"
    assert len(reading.quarantined(world.app.database)) == 1
    assert reading.unaccounted(world.app.database) == []


def test_staging_and_production_never_share_an_incident(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.alert("HighLatency", minutes=1, service="checkout", hook="staging")
    world.settle()
    assert sorted(i["environment"] for i in world.incidents()) == ["production", "staging"]
