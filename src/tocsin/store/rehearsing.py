"""Deciding for show: one transaction that sees the real history, and is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from tocsin.domain.alert import AlertState
from tocsin.domain.incident import Incident
from tocsin.domain.message import Message
from tocsin.domain.record import Record
from tocsin.store.database import Database, dumped, rows, run
from tocsin.store.inbox import put_back
from tocsin.store.incidents import STATE, load_incidents
from tocsin.store.records import of_incidents
from tocsin.store.sealed import Seal

# A temporary table or sequence goes before the real one of its name (pg_temp leads the search path): the queues are
# empty but for the rehearsed message, nobody's waiting work is touched, and no incident number is used up.
_STAGE = (
    "CREATE TEMPORARY TABLE messages (LIKE public.messages INCLUDING ALL) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE inbox (LIKE public.inbox INCLUDING ALL) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE signals (LIKE public.signals INCLUDING ALL) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE message_ids (LIKE public.message_ids INCLUDING ALL) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE audit (LIKE public.audit INCLUDING IDENTITY) ON COMMIT DROP",
    "CREATE TEMPORARY SEQUENCE incident_numbers",
    "SELECT setval('pg_temp.incident_numbers', last_value, is_called) FROM public.incident_numbers",
)


class Rehearsal(Database):
    """The database as one transaction sees it that is never committed."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.url, self.engine = database.url, database.engine
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A savepoint of the one transaction."""
        with self._connection.begin_nested():
            yield self._connection

    def receive(self, message: Message, seal: Seal) -> None:
        """The message has arrived."""
        values = {name: getattr(message, name) for name in ("id", "hook", "source", "environment", "received_at")}
        with self.transaction() as connection:
            run(
                connection,
                "INSERT INTO messages (id, received_at, hook, source, environment, headers, query, body) VALUES (:id,"
                " :received_at, :hook, :source, :environment, CAST(:headers AS jsonb), '{}', :body)",
                **values,
                headers=dumped(dict(message.headers)),
                body=seal.seal(message.body),
            )
            put_back(connection, [message.id])

    def waiting(self) -> list[str]:
        """Environments for which the message holds something that is not yet decided."""
        with self.transaction() as connection:
            return [row.environment for row in rows(connection, "SELECT DISTINCT environment FROM signals ORDER BY 1")]

    def leave_out_others(self) -> None:
        """What is due for incidents by itself is left to the workers; those at work are not waited for."""
        with self.transaction() as connection:
            run(
                connection,
                "UPDATE incidents SET attribute_due_at = NULL, decide_again_at = NULL WHERE id IN ("
                " SELECT id FROM incidents WHERE least(attribute_due_at, decide_again_at)"
                "  <= clock_timestamp() + interval '1 minute' FOR UPDATE SKIP LOCKED)",
            )

    def score_at_once(self) -> None:
        """Incidents that the message joined are scored now, not within the seconds that gather a storm."""
        with self.transaction() as connection:
            run(
                connection,
                "UPDATE incidents SET attribute_due_at = clock_timestamp() WHERE id IN"
                " (SELECT incident_id FROM audit WHERE action = 'alert.joined')",
            )

    def delivered_before(self, hook: str, sender_id: str) -> bool:
        """Was a message with this sender's id understood already?"""
        with self.transaction() as connection:
            known = "SELECT FROM public.message_ids WHERE hook = :hook AND sender_id = :id"
            return bool(rows(connection, known, hook=hook, id=sender_id[:200]))

    def states(self, fingerprints: Sequence[str]) -> dict[str, AlertState]:
        """What is known of these alerts."""
        with self.transaction() as connection:
            found = rows(connection, "SELECT state FROM alerts WHERE fingerprint = ANY(:f)", f=list(fingerprints))
        return {state.fingerprint: state for state in (STATE.validate_python(row.state) for row in found)}

    def audit(self) -> list[dict[str, Any]]:
        """What the rehearsal decided, in order."""
        with self.transaction() as connection:
            return [dict(row._mapping) for row in rows(connection, "SELECT * FROM audit ORDER BY id")]

    def incidents(self, ids: Sequence[UUID]) -> dict[UUID, Incident]:
        """These incidents as the rehearsal leaves them."""
        with self.transaction() as connection:
            return load_incidents(connection, ids)

    def records(self, ids: Sequence[UUID]) -> dict[UUID, list[Record]]:
        """Their records, with the wanted state that the rehearsal leaves."""
        with self.transaction() as connection:
            return of_incidents(connection, ids)


@contextmanager
def rehearsal(database: Database) -> Iterator[Rehearsal]:
    """The database to decide on for show; all that is written is rolled back at the end."""
    # A pool of its own: statements prepared before would still mean the real tables, those prepared here the others.
    own = Database(database.url, pool_size=1)
    try:
        with own.transaction() as connection:
            for statement in _STAGE:
                connection.execute(text(statement))
            try:
                yield Rehearsal(own, connection)
            finally:
                whole = connection.get_transaction()
                assert whole is not None
                whole.rollback()
    finally:
        own.close()
