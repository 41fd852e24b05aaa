"""pause, resume, shadow, deadletters: what an operator does about a destination."""

from __future__ import annotations

from tests.cli.operating import Operator
from tests.pipeline.world import World


def test_a_destination_is_paused_and_resumed(world: World, operator: Operator) -> None:
    assert operator.asks("pause", "out", "--why", "moving") == {"destination": "out", "paused": True, "changed": True}
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    assert not world.out.exists()
    assert "was paused already" in operator.runs("pause", "out").stdout
    assert operator.asks("resume", "out") == {"destination": "out", "paused": False, "changed": True, "waiting": 1}
    world.settle()
    assert "checkout" in world.out.read_text()
    assert "was not paused" in operator.runs("resume", "out").stdout


def test_a_name_that_no_destination_bears_is_refused(operator: Operator) -> None:
    assert "known are out" in operator.runs("pause", "nowhere", status=2).stderr


def test_dead_records_are_chosen_by_reason_replayed_or_dropped(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle(send=False)
    world.do("UPDATE records SET state = 'dead', next_attempt_at = NULL, last_reason = 'forbidden'")
    assert operator.asks("deadletters", "list", "--reason", "gone") == {"deadletters": []}
    assert operator.asks("deadletters", "replay", "--reason", "gone") == {"revived": 0}
    assert operator.asks("deadletters", "drop", "--yes", "--reason", "forbidden") == {"dropped": 1}
    assert operator.asks("deadletters", "list") == {"deadletters": []}
    world.settle()
    assert not world.out.exists(), "dropped is dropped"
    assert world.audit("record.dropped") == ["asked"]


def test_what_a_shadow_would_have_sent_is_printed_and_adopted_once_live(world: World, operator: Operator) -> None:
    policies = world.app.mappings_dir / "policies.yaml"
    live = policies.read_text()
    policies.write_text(live.replace("kind: console", "kind: console, mode: shadow"))
    world.app.apply(world.app.mappings_dir, actor="test")
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    said = operator.runs("shadow").stdout
    assert "TOC-1001 out create" in said
    assert "checkout" in said
    assert len(operator.asks("shadow", "out", "--incident", "TOC-1001")["calls"]) == 1
    assert "is not live" in operator.runs("shadow", "out", "--adopt", status=2).stderr
    policies.write_text(live)
    world.app.apply(world.app.mappings_dir, actor="test")
    assert operator.asks("shadow", "out", "--adopt") == {"destination": "out", "adopted": 1}
    world.settle()
    assert "checkout" in world.out.read_text()
