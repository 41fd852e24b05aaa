"""Make a message durable before it is answered: one INSERT, or one fsynced line when the database is away."""

from __future__ import annotations

import base64
import errno
import fcntl
import logging
import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import orjson
import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from tocsin.domain.errors import Unavailable
from tocsin.store.database import dumped

log = logging.getLogger(__name__)

T = TypeVar("T")

DATABASE_TIMEOUT_S = 0.25
"""The receiver never waits longer for the database (design.md §1); then it spools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message as it is stored: headers redacted, body sealed."""

    id: UUID
    received_at: datetime
    hook: str
    source: str
    environment: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


MOST = 16
"""Messages of one commit: as many as there may be requests under way in a process, and few shapes of one statement."""
PAGE = 8192
"""Bytes of a page of PostgreSQL: a row of this size, of noise that does not compress, needs room on the disk."""

_ROW = "(%s, %s, %s, %s, %s, %s, %s, %b)"
_TRY = """
INSERT INTO messages (id, received_at, hook, source, environment, headers, query, body)
VALUES (gen_random_uuid(), now(), '', '', '', '{}', '{}', %b)
"""


class _Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait ends after DATABASE_TIMEOUT_S, also when the server is frozen."""

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.05, timeout: float | None = None) -> T:
        return super().wait(gen, interval, DATABASE_TIMEOUT_S if timeout is None else timeout)


class Unstorable(Unavailable):
    """The database answers, and refuses this row. It would again."""


class _Turn:
    """One arrival that waits for its commit."""

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival
        self.called = threading.Lock()
        self.called.acquire()
        self.taken = False
        """Somebody commits it, or has."""
        self.error: Unavailable | None = Unavailable("it was not written")


class Writer:
    """Writes arrivals into PostgreSQL over one connection, for any number of threads. What arrives while a commit is
    under way waits for it, and is then committed together: a busy receiver pays for one statement and one flush for
    several messages, and a message that comes alone waits for nobody."""

    def __init__(self, url: str) -> None:
        parts = make_url(url)
        self._conninfo = make_conninfo(
            parts.set(drivername="postgresql").render_as_string(hide_password=False),
            connect_timeout=2,
            options="-c timezone=UTC -c statement_timeout=250",
        )
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        """Only who leads uses it."""
        self._order = threading.Lock()
        self._waiting: list[_Turn] = []
        self._busy = False
        self.away = False
        """The database failed; until `probe` finds it back, messages go straight to the spool."""

    def write(self, arrival: Arrival) -> None:
        """Raises Unavailable when the row may not be durable, Unstorable when the database refuses it for itself."""
        if self.away:
            raise Unavailable("the database is away")
        turn = _Turn(arrival)
        with self._order:
            self._waiting.append(turn)
            leads, self._busy = not self._busy, True
        if not leads and not turn.called.acquire(timeout=DATABASE_TIMEOUT_S) and self._gives_up(turn):
            raise Unavailable("the database did not answer in time")
        if not turn.taken:
            self._lead()
        if turn.error is not None:
            raise turn.error

    def _gives_up(self, turn: _Turn) -> bool:
        """Leave the queue, unless it is this one's turn by now. What another is committing meanwhile is written to
        the spool as well, and is one message all the same: it has its id."""
        with self._order:
            if turn.called.acquire(blocking=False):
                return False
            if turn in self._waiting:
                self._waiting.remove(turn)
            return True

    def _lead(self) -> None:
        """Commit all that waits, and call those who waited; then whoever came meanwhile leads."""
        with self._order:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            for turn in batch:
                turn.taken = True
        try:
            self._settle(batch)
        finally:
            with self._order:  # who gives up must know whether it was called
                self._busy = bool(self._waiting)
                for turn in (*batch, *self._waiting[:1]):
                    turn.called.release()

    def _settle(self, batch: list[_Turn]) -> None:
        """Give every turn its end. A row that the database refuses takes no other with it."""
        error: Unavailable | None = Unavailable("the database is away")
        if not self.away:
            error = self._insert([turn.arrival for turn in batch])
        if isinstance(error, Unstorable) and len(batch) > 1:
            for turn in batch:
                self._settle([turn])
            return
        for turn in batch:
            turn.error = error

    def _insert(self, arrivals: list[Arrival]) -> Unavailable | None:
        try:
            self._connected().execute(
                _insert(len(arrivals)), [column for one in arrivals for column in _columns(one)], prepare=True
            )
        except psycopg.DataError as error:
            return Unstorable(f"the database refuses the message: {error}")
        except psycopg.Error as error:
            self.away = True
            self._drop()
            return Unavailable(f"the database does not answer: {type(error).__name__}")
        return None

    def probe(self) -> bool:
        """Can a row be written now? Clears or sets `away`. A full disk answers every question, so a row is really
        written, and taken back."""
        try:
            with self._opened() as connection, connection.transaction(force_rollback=True):
                connection.execute(_TRY, (os.urandom(PAGE),))
        except psycopg.Error:
            self.away = True
            return False
        self.away = False
        return True

    def close(self) -> None:
        """Let go of the connection; nobody writes any more."""
        self._drop()

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = self._opened()
        return self._connection

    def _opened(self) -> psycopg.Connection[tuple[Any, ...]]:
        return _Bounded.connect(self._conninfo, autocommit=True)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@lru_cache(maxsize=MOST)
def _insert(rows: int) -> bytes:
    """Message and inbox rows of so many arrivals, in one statement."""
    return f"""
    WITH kept AS (
        INSERT INTO messages (id, received_at, hook, source, environment, headers, query, body)
        VALUES {", ".join([_ROW] * rows)} ON CONFLICT DO NOTHING RETURNING id, received_at, environment)
    INSERT INTO inbox (id, received_at, environment)
    SELECT id, received_at, environment FROM kept ON CONFLICT DO NOTHING
    """.encode()  # noqa: S608  no value is part of the text


def _columns(arrival: Arrival) -> tuple[Any, ...]:
    return (
        arrival.id,
        arrival.received_at,
        arrival.hook,
        arrival.source,
        arrival.environment,
        dumped(arrival.headers),
        dumped(arrival.query),
        arrival.body,
    )


class Spool:
    """An append-only file of this process, for as long as the database is away. Another process's file is drained by
    whoever first finds its owner gone (an flock tells)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._file: FileIO | None = None

    def append(self, arrival: Arrival) -> None:
        """Durable on return; raises OSError when the disk refuses."""
        line = orjson.dumps(
            {
                "id": arrival.id,
                "received_at": arrival.received_at,
                "hook": arrival.hook,
                "source": arrival.source,
                "environment": arrival.environment,
                "headers": arrival.headers,
                "query": arrival.query,
                "body": base64.b64encode(arrival.body).decode(),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        with self._lock:
            file = self._open()
            before = file.tell()
            try:
                written = file.write(line)
                if written < len(line):
                    raise OSError(errno.ENOSPC, "the disk took a part of the line only")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)  # the sender is told to come again; a part of its message helps nobody
                file.seek(before)
                raise

    def writable(self) -> bool:
        """Would an append of a page work? Asked by /readyz."""
        try:
            with self._lock:
                self._open()
            disk = os.statvfs(self._directory)
            return disk.f_bavail * disk.f_frsize >= PAGE
        except OSError:
            return False

    def drain(self, writer: Writer) -> int:
        """Move every spooled line into the database; returns how many. Raises Unavailable when it is still away:
        nothing is lost then, lines are only removed after all of a file is in."""
        moved = 0
        with self._lock:
            if self._file is not None and self._file.tell() > 0:
                moved += _drain_file(Path(self._file.name), writer)
                self._file.truncate(0)
                self._file.seek(0)
        for path in self._abandoned():
            moved += _drain_file(path, writer)
            path.unlink(missing_ok=True)
        return moved

    def close(self) -> None:
        """Let go of this process's file; whoever finds it unlocked drains it."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    @property
    def pending(self) -> bool:
        """Does this process's file hold lines, or is there another's?"""
        own = self._file is not None and self._file.tell() > 0
        return own or any(path.stat().st_size for path in self._others())

    def _open(self) -> FileIO:
        if self._file is None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = (self._directory / f"{os.getpid()}-{os.urandom(4).hex()}.spool").open("ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = file
            _sync_directory(self._directory)
        return self._file

    def _others(self) -> list[Path]:
        own = Path(self._file.name) if self._file is not None else None
        return [path for path in sorted(self._directory.glob("*.spool")) if path != own]

    def _abandoned(self) -> Iterator[Path]:
        for path in self._others():
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield path
            except OSError:
                continue


def _drain_file(path: Path, writer: Writer) -> int:
    moved = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break  # torn by a crash before its fsync: it was never answered 202
            try:
                arrival = _arrival(orjson.loads(line))
            except (ValueError, KeyError, TypeError):
                _set_aside(path, line)
                continue
            try:
                writer.write(arrival)
            except Unstorable:
                _set_aside(path, line)
                continue
            moved += 1
    return moved


def _set_aside(path: Path, line: bytes) -> None:
    """Keep a line that a failing disk has damaged, or that the database refuses, beside the spool, and go on with the
    others."""
    damaged = path.with_suffix(".damaged")
    log.error("spool=%s holds a line that cannot be stored; it is kept in %s", path, damaged)
    with damaged.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _arrival(fields: dict[str, Any]) -> Arrival:
    return Arrival(
        id=UUID(fields["id"]),
        received_at=datetime.fromisoformat(fields["received_at"]),
        hook=fields["hook"],
        source=fields["source"],
        environment=fields["environment"],
        headers=fields["headers"],
        query=fields["query"],
        body=base64.b64decode(fields["body"]),
    )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
