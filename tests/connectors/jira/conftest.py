"""One simulated site for all tests of the connector, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.jira.board import Board
from tocsin import simulators


@pytest.fixture(scope="session")
def _site() -> Iterator[simulators.Running]:
    with simulators.start("jira") as running:
        yield running


@pytest.fixture
def board(_site: simulators.Running) -> Board:
    _site.reset()
    return Board(_site)
