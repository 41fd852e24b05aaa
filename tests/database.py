"""A real PostgreSQL for tests: `postgres_url` (one server a session), `database` (fresh and migrated, one a test)."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tocsin.cli.embedded.postgres import OWNER, EmbeddedPostgres

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of the empty database `tocsin` on this session's own server (fsync off)."""
    # Not pytest's tmp_path: that lies under a 0700 directory, which the unprivileged server user cannot enter.
    place = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir="/tmp"))
    place.chmod(0o711)
    server = EmbeddedPostgres(fsync=False)
    try:
        yield server.start(place / "postgres")
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Call it for the URL of another fresh database, copied from a template that was migrated once."""
    numbers = itertools.count(1)
    with _owner(postgres_url) as owner:
        owner.execute(f"CREATE DATABASE {TEMPLATE} OWNER tocsin")
        _migrate(_sibling(postgres_url, TEMPLATE))

        def create() -> str:
            name = f"test_{next(numbers)}"
            owner.execute(f"CREATE DATABASE {name} OWNER tocsin TEMPLATE {TEMPLATE}")
            return _sibling(postgres_url, name)

        yield create


@pytest.fixture
def database(postgres_url: str, new_database: Callable[[], str]) -> Iterator[str]:
    """SQLAlchemy URL of a database of this test's own, migrated and empty; dropped afterwards whoever is connected."""
    url = new_database()
    yield url
    with _owner(postgres_url) as owner:
        owner.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


def _migrate(url: str) -> None:
    from tocsin.store import migrate

    migrate(url)


def _sibling(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _owner(url: str) -> psycopg.Connection:
    host = make_url(url).query["host"]
    assert isinstance(host, str)
    return psycopg.connect(host=host, user=OWNER, dbname="postgres", autocommit=True)
