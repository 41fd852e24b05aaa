"""Which process of a host is at work? One holds the slot; another takes its place when it falls silent.

A slot is an advisory lock of a session, so that whoever is killed has given it back. Who holds one says something on
that connection every BEAT_S; a process that is stopped (SIGSTOP, a frozen machine) or hangs does not, and PostgreSQL
knows since when (pg_stat_activity.state_change).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from sqlalchemy import Connection

from tocsin.store.database import Database, rows

SILENT_S = 10.0
"""Who holds a slot and says nothing for this long is passed over."""
BEAT_S = 1.0
MOST = 8
"""Slots of a host, for as many holders that fell silent one after the other."""


class Slot:
    """A slot that is held."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._said_s = monotonic()

    def beat(self) -> None:
        """Say that its holder is alive; to be called every second or oftener."""
        if monotonic() - self._said_s >= BEAT_S:
            self._said_s = monotonic()
            rows(self._connection, "SELECT 1")


@contextmanager
def taken(database: Database, lock: int, host: str) -> Iterator[Slot | None]:
    """The host's slot for as long as the block lasts; None while another process holds it and is alive."""
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        name = _take(connection, lock, host)
        try:
            yield Slot(connection) if name else None
        finally:
            if name:
                rows(connection, "SELECT pg_advisory_unlock(:lock, hashtext(:name))", lock=lock, name=name)


def _take(connection: Connection, lock: int, host: str) -> str:
    """Takes the first slot that nobody holds, if all before it are held by the silent; "" otherwise."""
    for number in range(MOST):
        name = f"{host} {number}"
        asked = "SELECT pg_try_advisory_lock(:lock, hashtext(:name)) AS ours"
        if rows(connection, asked, lock=lock, name=name)[0].ours:
            return name
        if not rows(connection, _SILENT, lock=lock, name=name, silent=SILENT_S)[0].silent:
            return ""
    return ""


_SILENT = """
SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pg_locks.database = pg_stat_activity.datid
    AND datname = current_database() AND classid = CAST(:lock AS oid) AND objid = CAST(hashtext(:name) AS oid)
    AND objsubid = 2 AND state_change < clock_timestamp() - make_interval(secs => :silent)) AS silent
"""
