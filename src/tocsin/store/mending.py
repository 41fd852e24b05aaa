"""What needs an operator's hand: quarantined messages, records given up, open incidents under new mappings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tocsin.domain.audit import AuditEntry
from tocsin.domain.incident import Incident
from tocsin.store.database import Database, rows, run
from tocsin.store.inbox import put_back, write_audit
from tocsin.store.incidents import load_incidents
from tocsin.store.records import revive


def open_incidents(database: Database, limit: int = 1_000) -> list[Incident]:
    """Open incidents, newest first."""
    with database.transaction() as connection:
        found = rows(
            connection, "SELECT id FROM incidents WHERE state = 'open' ORDER BY number DESC LIMIT :limit", limit=limit
        )
        loaded = load_incidents(connection, [row.id for row in found])
    return [loaded[row.id] for row in found if row.id in loaded]


def dead_records(database: Database, destination: str = "", reason: str = "") -> list[dict[str, Any]]:
    """Records that need a person, those of the newest incident first."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT coalesce('TOC-' || i.number, r.wanted->>'display') AS incident, r.destination, r.kind,"
            " r.generation, r.number, r.wanted->>'title' AS title, r.last_reason AS reason, r.last_detail AS detail,"
            " r.attempts, r.changed_at FROM records r LEFT JOIN incidents i ON i.id = r.incident_id"
            " WHERE r.state = 'dead'"
            " AND (:destination = '' OR r.destination = :destination) AND (:reason = '' OR r.last_reason = :reason)"
            " ORDER BY i.number DESC NULLS FIRST, r.destination",
            destination=destination,
            reason=reason,
        )
    return [dict(row._mapping) for row in found]


def release(database: Database, hook: str = "", *, actor: str) -> tuple[int, int]:
    """Put quarantined messages, of one hook or of all, back into the inbox; returns how many, and how many stay
    because their bodies have expired."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT q.message_id, q.environment, q.hook, clock_timestamp() AS at, EXISTS (SELECT FROM messages m"
            "  WHERE m.id = q.message_id AND m.received_at = q.received_at) AS kept FROM quarantine q"
            " WHERE q.replayed_at IS NULL AND (:hook = '' OR q.hook = :hook)"
            " ORDER BY q.received_at, q.message_id FOR UPDATE OF q",
            hook=hook,
        )
        kept = [row for row in found if row.kept]
        ids = [row.message_id for row in kept]
        put_back(connection, ids)
        run(connection, "UPDATE quarantine SET replayed_at = clock_timestamp() WHERE message_id = ANY(:ids)", ids=ids)
        write_audit(
            connection,
            [
                AuditEntry(
                    at=row.at,
                    action="message.replayed",
                    reason="quarantine",
                    environment=row.environment,
                    message_id=row.message_id,
                    actor=actor,
                    because={"hook": row.hook},
                )
                for row in kept
            ],
        )
    return len(kept), len(found) - len(kept)


def revive_records(database: Database, destination: str = "", reason: str = "", *, actor: str) -> int:
    """Make dead records due again, of one destination and one reason or of all; returns how many."""
    revived = revive(database, destination, reason)
    _say(database, "record.revived", destination, actor, {"records": revived, "given_up_for": reason})
    return revived


def drop_records(database: Database, destination: str = "", reason: str = "", *, actor: str) -> int:
    """Close dead records for good, of one destination and one reason or of all; returns how many."""
    with database.transaction() as connection:
        dropped = run(
            connection,
            "UPDATE records SET state = 'closed', next_attempt_at = NULL, changed_at = clock_timestamp()"
            " WHERE state = 'dead' AND (:destination = '' OR destination = :destination)"
            " AND (:reason = '' OR last_reason = :reason)",
            destination=destination,
            reason=reason,
        )
    _say(database, "record.dropped", destination, actor, {"records": dropped, "given_up_for": reason})
    return dropped


def _say(database: Database, action: str, destination: str, actor: str, because: dict[str, object]) -> None:
    if because["records"]:
        line = AuditEntry(
            at=database.now(), action=action, reason="asked", destination=destination, actor=actor, because=because
        )
        with database.transaction() as connection:
            write_audit(connection, [line])


def audit_before(database: Database, since: datetime) -> int:
    """The id after which the audit trail since then is complete."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT coalesce(min(id) - 1, (SELECT max(id) FROM audit), 0) AS id FROM audit WHERE at >= :at",
            at=since,
        )
        return int(found[0].id)
