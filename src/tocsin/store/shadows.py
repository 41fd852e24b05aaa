"""What records in shadow would have sent, for review beside today's process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from tocsin.decide.shadow import ShadowCall
from tocsin.domain.audit import AuditEntry
from tocsin.domain.record import Record
from tocsin.store.database import Database, bulk, rows, run
from tocsin.store.inbox import write_audit

LIST_LIMIT = 1_000


def keep(database: Database, record: Record, calls: Sequence[ShadowCall]) -> None:
    """Keep what was not sent; keeping it twice keeps it once."""
    with database.transaction() as connection:
        bulk(
            connection,
            "INSERT INTO shadow_calls (record_id, incident_id, destination, key, call, body)"
            " SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (record_id uuid, incident_id uuid,"
            "  destination text, key text, call text, body jsonb) ON CONFLICT DO NOTHING",
            [
                {
                    "record_id": record.id,
                    "incident_id": record.incident_id,
                    "destination": record.destination,
                    "key": call.key,
                    "call": call.call,
                    "body": call.body,
                }
                for call in calls
            ],
        )


def calls(
    database: Database, destination: str = "", *, number: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """What would have been sent, newest last: each with its incident, record and the rendered body; of one destination
    or incident, or of all. `elsewhere` holds what the incident's live records are called at the vendors."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT * FROM (SELECT c.id, c.at, c.destination, c.call, c.body, c.incident_id, r.kind, r.generation,"
            " 'TOC-' || i.number AS incident, i.state AS incident_state, r.wanted->>'title' AS title,"
            " r.wanted->>'team' AS team, r.wanted->>'want' AS want,"
            " (SELECT coalesce(jsonb_agg(jsonb_build_object('destination', o.destination, 'number', o.number,"
            "   'url', o.url) ORDER BY o.destination, o.generation), '[]') FROM records o"
            "   WHERE o.incident_id = c.incident_id AND o.number <> '') AS elsewhere"
            " FROM shadow_calls c JOIN records r ON r.id = c.record_id LEFT JOIN incidents i ON i.id = c.incident_id"
            " WHERE (:destination = '' OR c.destination = :destination)"
            " AND (CAST(:number AS bigint) IS NULL OR i.number = :number)"
            " ORDER BY c.id DESC LIMIT :limit) AS latest ORDER BY id",
            destination=destination,
            number=number,
            limit=min(limit, LIST_LIMIT),
        )
    return [dict(row._mapping) for row in found]


def adopt(database: Database, destination: str, *, actor: str) -> int:
    """Have the open incidents judged again that stand at this destination in shadow only: under a live destination
    their records go out then. Returns how many."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE incidents SET decide_again_at = clock_timestamp() WHERE state = 'open' AND id IN"
            " (SELECT incident_id FROM records WHERE destination = :destination AND mode = 'shadow')"
            " RETURNING id, clock_timestamp() AS at",
            destination=destination,
        )
        if found:
            line = AuditEntry(
                at=found[0].at,
                action="destination.adopted",
                reason="asked",
                destination=destination,
                actor=actor,
                because={"incidents": len(found)},
            )
            write_audit(connection, [line])
    return len(found)


def forget(connection: Connection, older_than: timedelta) -> None:
    """Drop what was kept longer ago."""
    run(connection, "DELETE FROM shadow_calls WHERE at < clock_timestamp() - CAST(:age AS interval)", age=older_than)
