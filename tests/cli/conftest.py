"""What tests of the command line may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.operating import Operator
from tests.cli.processes import OrdinaryUser, an_ordinary_user, open_place
from tests.pipeline.world import World


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can walk through, as pytest's own are not."""
    with open_place() as directory:
        yield directory


@pytest.fixture(scope="session")
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Someone who is not root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become someone else")
    with an_ordinary_user() as user:
        yield user


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    """A whole Tocsin on a fresh database."""
    made = World(database, tmp_path)
    yield made
    made.close()


@pytest.fixture
def operator(world: World, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody at the terminal of that world."""
    return Operator(world, monkeypatch)
