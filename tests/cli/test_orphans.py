"""Names that nobody mapped are shown with the nearest entry; an alias ends it, and the audit trail says which held."""

from __future__ import annotations

from tests.cli.operating import Operator
from tests.pipeline.world import World


def test_what_the_catalogue_does_not_know_is_listed_with_the_nearest_entry(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=5, service="checkout")
    world.alert("HighLatency", minutes=6, service="chekout")
    world.deploy("chekout", minutes=1)
    world.settle()
    told = operator.asks("orphans")
    [orphan] = told["orphans"]
    assert (orphan["subject"], orphan["nearest"], orphan["alerts"], orphan["changes"]) == (
        "service:chekout",
        "service:checkout",
        1,
        1,
    )
    assert orphan["owner"], "a pattern routes it all the same"
    assert "1 of 2 subjects have no entry" in operator.runs("orphans").stdout


def test_nothing_strange_is_said_so(operator: Operator) -> None:
    assert "All 0 subjects" in operator.runs("orphans").stdout


def test_the_name_that_a_sender_used_stays_in_the_audit_trail(world: World, operator: Operator) -> None:
    known = next(iter(world.app.active().mappings.catalog.entries))
    world.alert("HighLatency", minutes=5, subject=f"unknown:{known.name}")
    world.settle()
    [line] = world.sql("SELECT because FROM audit WHERE action = 'message.understood'")
    assert line["because"]["subjects"] == {f"unknown:{known.name}": str(known)}
    assert operator.asks("orphans")["orphans"] == []
