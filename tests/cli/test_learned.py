"""`tocsin learned`: every number that confirmed causes have taught, and who has foreseen them best."""

from __future__ import annotations

from tests.cli.operating import Operator
from tests.pipeline.world import World
from tocsin.store import confirmations


def test_it_shows_what_was_learned_and_the_record_and_forgets_both(world: World, operator: Operator) -> None:
    assert operator.asks("learned")["record"]["compared"] == 0
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    [change] = world.sql("SELECT id FROM changes")
    confirmations.confirm(world.app.database, 1001, change["id"], actor="kim")
    told = operator.asks("learned")
    assert (told["experience"]["confirmed"], told["record"]["compared"]) == (1, 1)
    assert told["unlisted"] == []
    said = operator.runs("learned").stdout
    assert "1 incidents confirmed" in said
    assert "learned  (orders the causes)" in said
    assert "order: learned; no balance has reached 4.6" in said
    assert "confirmed causes, foreseen by" not in operator.runs("learned", "--reset").stdout
