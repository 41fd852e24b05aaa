"""What needs an operator's hand: quarantined messages, records given up, open incidents under new mappings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from tocsin.domain.incident import Incident
from tocsin.store.database import Database, rows, run
from tocsin.store.incidents import load_incidents


def open_incidents(database: Database, limit: int = 1_000) -> list[Incident]:
    """Open incidents, newest first."""
    with database.transaction() as connection:
        found = rows(
            connection, "SELECT id FROM incidents WHERE state = 'open' ORDER BY number DESC LIMIT :limit", limit=limit
        )
        loaded = load_incidents(connection, [row.id for row in found])
    return [loaded[row.id] for row in found if row.id in loaded]


def dead_records(database: Database, destination: str = "") -> list[dict[str, Any]]:
    """Records that need a person, those of the newest incident first."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT 'TOC-' || i.number AS incident, r.destination, r.kind, r.generation, r.number,"
            " r.wanted->>'title' AS title, r.last_reason AS reason, r.last_detail AS detail, r.attempts, r.changed_at"
            " FROM records r JOIN incidents i ON i.id = r.incident_id WHERE r.state = 'dead'"
            " AND (:destination = '' OR r.destination = :destination) ORDER BY i.number DESC, r.destination",
            destination=destination,
        )
    return [dict(row._mapping) for row in found]


def quarantined_of(connection: Connection, hook: str) -> list[tuple[UUID, str, bool]]:
    """Quarantined messages, of one hook or of all: id, environment, and whether the body is still kept."""
    found = rows(
        connection,
        "SELECT q.message_id, q.environment, EXISTS (SELECT FROM messages m WHERE m.id = q.message_id"
        "  AND m.received_at = q.received_at) AS kept FROM quarantine q WHERE q.replayed_at IS NULL"
        " AND (:hook = '' OR q.hook = :hook) ORDER BY q.received_at, q.message_id",
        hook=hook,
    )
    return [(row.message_id, row.environment, row.kept) for row in found]


def mark_replayed(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """These messages have left quarantine."""
    run(
        connection,
        "UPDATE quarantine SET replayed_at = clock_timestamp() WHERE message_id = ANY(:ids)",
        ids=list(message_ids),
    )
