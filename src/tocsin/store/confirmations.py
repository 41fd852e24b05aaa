"""A person said what the cause was. Only that teaches; the machine never writes here."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from tocsin.domain.audit import AuditEntry
from tocsin.domain.incident import NOT_AMONG_THEM
from tocsin.store.database import Database, rows
from tocsin.store.inbox import write_audit

CHANGES_BACK = timedelta(days=14)
"""A cause that a person names by its number is looked for among the changes of so long before the outage."""


def confirm(database: Database, number: int, change_id: str, *, actor: str) -> UUID | None:
    """Note the confirmed cause of TOC-<number> (NOT_AMONG_THEM: none of the shown changes), to be decided again;
    answers its id, or None when there is no such incident or the change is not known in its environment."""
    with database.transaction() as connection:
        found = rows(connection, "SELECT id FROM incidents WHERE number = :number", number=number)
        if found and confirm_one(connection, found[0].id, change_id, actor=actor):
            incident_id: UUID = found[0].id
            return incident_id
    return None


def confirm_one(connection: Connection, incident_id: UUID, change_id: str, *, actor: str, by_way_of: str = "") -> bool:
    """The same for an incident's id, inside the caller's transaction; `by_way_of` names what the person said it in.
    `actor` must be an authenticated person, never we ourselves."""
    found = rows(
        connection,
        "UPDATE incidents SET confirmed_change = :change, decide_again_at = clock_timestamp(), human_touched = true"
        " WHERE id = :id"
        " AND (:change = 'none' OR EXISTS (SELECT FROM changes c WHERE c.environment = incidents.environment"
        "  AND c.id = :change)) RETURNING environment, clock_timestamp() AS at",
        id=incident_id,
        change=change_id,
    )
    if not found:
        return False
    because = {"change": change_id, "by_way_of": by_way_of} if by_way_of else {"change": change_id}
    entry = AuditEntry(
        at=found[0].at,
        action="cause.confirmed",
        reason="not_the_cause" if change_id == NOT_AMONG_THEM else "confirmed",
        environment=found[0].environment,
        incident_id=incident_id,
        actor=actor,
        because=because,
    )
    write_audit(connection, [entry])
    return True


def change_named(connection: Connection, incident_id: UUID, named: str) -> str:
    """The id of the change that a person means by a change record's number, an id or an address: the last one before
    the outage; empty when none is known by that name."""
    found = rows(
        connection,
        "SELECT c.id FROM incidents i JOIN changes c ON c.environment = i.environment"
        "  AND c.occurred_at BETWEEN i.opened_at - CAST(:back AS interval) AND i.opened_at + interval '5 minutes'"
        " WHERE i.id = :id AND :named IN (c.id, c.change->>'ticket', c.change->>'url')"
        " ORDER BY c.occurred_at DESC, c.id LIMIT 1",
        id=incident_id,
        named=named.strip(),
        back=CHANGES_BACK,
    )
    return str(found[0].id) if found and named.strip() else ""


def likely_cause(connection: Connection, incident_id: UUID) -> str:
    """The id of the change that was told as the likeliest; empty when none was."""
    found = rows(
        connection,
        "SELECT attribution->'suspects'->0->'change'->>'id' AS change FROM incidents WHERE id = :id",
        id=incident_id,
    )
    return str(found[0].change or "") if found else ""


def unknown_cause(connection: Connection, incident_id: UUID, named: str, *, actor: str) -> None:
    """A person named a cause that is no change we know: kept in the trail, and nothing is learned."""
    found = rows(
        connection, "SELECT environment, clock_timestamp() AS at FROM incidents WHERE id = :id", id=incident_id
    )
    for row in found:
        entry = AuditEntry(
            at=row.at,
            action="cause.confirmed",
            reason="unknown_change",
            environment=row.environment,
            incident_id=incident_id,
            actor=actor,
            because={"named": named[:200]},
        )
        write_audit(connection, [entry])
