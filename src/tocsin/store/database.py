"""The connection to PostgreSQL and its migrations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from psycopg.types.json import set_json_loads
from sqlalchemy import Connection, Engine, Row, TextClause, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from tocsin.domain.errors import Unavailable

DECIDE_LOCK = 7_201
"""First half of the advisory lock of an environment's one writer."""

MIGRATION_LOCK = 7_201_042
"""Advisory lock that lets only one process migrate at a time."""

OPTIONS = "-c timezone=UTC -c jit=off -c idle_in_transaction_session_timeout=60s"
"""Of every session. A process that is stopped in the middle of a transaction holds its locks, and everybody up, for a
minute at most: as long as a lease."""


def dumped(value: object) -> str:
    """JSON text of domain values, as PostgreSQL's jsonb takes it (NUL characters cannot be stored and go)."""
    told = orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    return _NUL.sub(r"\1", told) if "\\u0000" in told else told


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL; after an odd backslash it is the six characters themselves, as log lines quote them."""


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(value)
    if hasattr(value, "total_seconds"):
        return _iso_duration(value.total_seconds())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _iso_duration(seconds: float) -> str:
    sign = "-" if seconds < 0 else ""
    return f"{sign}PT{abs(seconds):.6f}S"


set_json_loads(orjson.loads)


class Database:
    """An engine with the few ways in which we use it: a transaction, a query, rows from JSON."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.url = url
        self.engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=10,
            connect_args={"connect_timeout": 5, "options": OPTIONS},
        )
        _ask_the_idle(self.engine)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction; raises Unavailable when the server does not answer."""
        with self._answering(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For single reads: each its own snapshot, and no round trips to begin and end a transaction. Raises
        Unavailable when the server does not answer."""
        with self._answering(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if error.connection_invalidated or _is_away(error):
                raise Unavailable(f"PostgreSQL does not answer: {error.orig}") from error
            raise

    def now(self) -> datetime:
        """The database's clock, by which all timers run."""
        with self.glance() as connection:
            return now(connection)

    def installation_id(self) -> UUID:
        """Identity of this installation; part of every vendor key."""
        with self.transaction() as connection:
            found = connection.execute(text("SELECT id FROM installation")).scalar_one()
            assert isinstance(found, UUID)
            return found

    def close(self) -> None:
        self.engine.dispose()


ASK_AFTER_S = 1.0
"""A connection that was used a moment ago is taken to live: asking each time would cost one round trip in four."""


def _ask_the_idle(engine: Engine) -> None:
    """Ask a connection that has been idle whether it still lives, before work is given to it; SQLAlchemy's own
    pool_pre_ping asks always."""

    @event.listens_for(engine, "checkin")
    def put_back(_dbapi: Any, record: Any) -> None:  # noqa: ANN401 SQLAlchemy's
        record.info["used_s"] = monotonic()

    @event.listens_for(engine, "checkout")
    def take(dbapi: Any, record: Any, _proxy: Any) -> None:  # noqa: ANN401 SQLAlchemy's
        used_s = record.info.get("used_s")
        if used_s is None or monotonic() - used_s < ASK_AFTER_S:
            return
        try:
            engine.dialect.do_ping(dbapi)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # a fresh connection is made; the others are as old


def now(connection: Connection) -> datetime:
    """The database's clock, inside a transaction that is under way."""
    at = connection.execute(_statement("SELECT clock_timestamp()")).scalar_one()
    assert isinstance(at, datetime)
    return at


def _is_away(error: DBAPIError) -> bool:
    words = str(error.orig)
    return "connection" in words or "server closed" in words or "starting up" in words or "shutting down" in words


def rows(connection: Connection, sql: str, **values: object) -> Sequence[Row[Any]]:
    """All rows of a query."""
    return connection.execute(_statement(sql), values).all()


def run(connection: Connection, sql: str, **values: object) -> int:
    """Rows touched by a statement."""
    return connection.execute(_statement(sql), values).rowcount


def bulk(connection: Connection, sql: str, values: Sequence[Mapping[str, object]]) -> None:
    """A statement over `jsonb_to_recordset(:rows)`: one round trip for any number of rows."""
    if values:
        connection.execute(_statement(sql), {"rows": dumped(values)})


@lru_cache(maxsize=512)
def _statement(sql: str) -> TextClause:
    """Read once: our statements are few and asked thousands of times a minute."""
    return text(sql)


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema; several callers at once wait for one another."""
    from alembic import command  # noqa: PLC0415 8 MB that only a migration needs
    from alembic.config import Config  # noqa: PLC0415

    engine = create_engine(url, connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
    except DBAPIError as error:
        raise Unavailable(
            f"cannot migrate the database: {error.orig}. Check TOCSIN_DATABASE_URL and that the server runs."
        ) from error
    finally:
        engine.dispose()
