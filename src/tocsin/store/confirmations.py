"""A person said what the cause was. Only that teaches; the machine never writes here."""

from __future__ import annotations

from uuid import UUID

from tocsin.domain.audit import AuditEntry
from tocsin.store.database import Database, rows, run
from tocsin.store.inbox import write_audit

NOT_AMONG_THEM = "none"
"""Stored when a person says that no shown change was the cause."""


def confirm(database: Database, number: int, change_id: str, *, actor: str) -> UUID | None:
    """Note the confirmed cause of TOC-<number> (NOT_AMONG_THEM: none of the shown changes), to be decided again;
    answers its id, or None when there is no such incident or the change is not known in its environment."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE incidents SET confirmed_change = :change, decide_again_at = clock_timestamp()"
            " WHERE number = :number"
            " AND (:change = 'none' OR EXISTS (SELECT FROM changes c WHERE c.environment = incidents.environment"
            "  AND c.id = :change)) RETURNING id, environment, clock_timestamp() AS at",
            number=number,
            change=change_id,
        )
        if not found:
            return None
        row = found[0]
        reason = "not_the_cause" if change_id == NOT_AMONG_THEM else "confirmed"
        write_audit(
            connection,
            [
                AuditEntry(
                    at=row.at,
                    action="cause.confirmed",
                    reason=reason,
                    environment=row.environment,
                    incident_id=row.id,
                    actor=actor,
                    because={"change": change_id},
                )
            ],
        )
        run(connection, "UPDATE incidents SET human_touched = true WHERE id = :id", id=row.id)
        incident_id: UUID = row.id
    return incident_id
