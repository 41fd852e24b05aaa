"""A world on a fresh database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.world import World


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    made = World(database, tmp_path)
    yield made
    made.close()
