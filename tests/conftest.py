"""What every test may ask for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import settings

settings.register_profile("tocsin", deadline=None)  # what a busy machine takes is measured in benchmarks/
settings.load_profile("tocsin")

pytest_plugins = ("tests.database",)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite golden files (*.expected.json …); then read them")


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    """True when golden files are to be rewritten from what the code says now."""
    return bool(request.config.getoption("--accept"))


@pytest.fixture
def fixed_now() -> datetime:
    """The one moment at which tests happen."""
    return datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
