"""A world on a fresh database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.staffed import ROUTING_KEY, TOKEN, Staff, Staffed, running
from tests.pipeline.world import World


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    made = World(database, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def _staff() -> Iterator[Staff]:
    with running() as staff:
        yield staff


@pytest.fixture
def staff(_staff: Staff) -> Staff:
    """ServiceNow, PagerDuty and Jira, empty."""
    for desk in (_staff.servicenow, _staff.pagerduty, _staff.jira):
        desk.reset()
    return _staff


AtWork = Callable[..., Staffed]


@pytest.fixture
def at_work(database: str, tmp_path: Path, staff: Staff, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtWork]:
    """Makes a world with one page, one ticket and one issue about checkout; its argument is further policies."""
    monkeypatch.setenv("SECRET", TOKEN)
    monkeypatch.setenv("KEY", ROUTING_KEY)
    made: list[Staffed] = []

    def make(more: str = "") -> Staffed:
        world = Staffed(database, tmp_path, staff, more=more)
        made.append(world)
        world.alert("HighLatency", minutes=1, service="checkout")
        world.settle()
        world.poll()
        return world

    yield make
    for world in made:
        world.close()
