"""With Redis away the beat does the work itself, and what a slow vendor holds up is that vendor's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event
from types import SimpleNamespace

import pytest

from tests.pipeline.world import World
from tocsin import worker


@pytest.fixture
def beat(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[worker.Sweeper]:
    """A beat of this world, whose Redis is nowhere."""
    monkeypatch.setattr(worker, "tocsin", lambda: world.app)
    made = worker.Sweeper(app=worker.app, lazy=True)
    yield made
    if made._lock is not None:
        made._lock.close()


ALL = (worker.WORK, worker.ATTRIBUTE, worker.WORK, worker.DELIVER)


def sweep(beat: worker.Sweeper, *tasks: str) -> None:
    for task in tasks:
        beat.apply_async(SimpleNamespace(task=task), advance=False)  # type: ignore[arg-type]


def test_while_its_deliveries_hang_it_goes_on_deciding(
    world: World, beat: worker.Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, begun = Event(), []

    def hang() -> None:
        begun.append(time.monotonic())
        answered.wait(30)

    monkeypatch.setattr(worker, "deliver", hang)
    world.alert("HighLatency", minutes=1, service="checkout")
    sweep(beat, *ALL)
    assert len(begun) == 1, "what was decided is being sent"
    world.alert("DiskFull", minutes=9, service="search")
    sweep(beat, *ALL)
    assert len(world.incidents()) == 2
    assert len(begun) == 1, "one delivers at a time"
    answered.set()
    while beat._sending is not None and beat._sending.is_alive():
        time.sleep(0.01)
    sweep(beat, worker.DELIVER)
    assert len(begun) == 2


def test_it_delivers_what_it_has_decided(world: World, beat: worker.Sweeper) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    sweep(beat, *ALL)
    assert beat._sending is not None
    beat._sending.join(30)
    assert "checkout" in world.out.read_text()
