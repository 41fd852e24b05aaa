"""What would have been sent beside what stands: an incident's shadow calls and its live records, side by side."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tocsin.store.database import Database, rows
from tocsin.store.shadows import LIST_LIMIT, calls


def side_by_side(
    database: Database, destination: str = "", *, number: int | None = None, limit: int = 200
) -> list[dict[str, Any]]:
    """Incidents whose calls were kept in shadow, the one with the newest call first: each with `calls` by destination,
    oldest first, and `standing`, its records at live destinations. At most `limit` calls are looked at."""
    found: dict[UUID, dict[str, Any]] = {}
    kept = calls(database, destination, number=number, limit=min(limit, LIST_LIMIT))
    for call in reversed(kept):
        incident = found.setdefault(call["incident_id"], {**call, "calls": {}, "standing": []})
        incident["calls"].setdefault(call["destination"], []).insert(0, call)
    for record in _standing(database, list(found)):
        found[record["incident_id"]]["standing"].append(record)
    return list(found.values())


def _standing(database: Database, incident_ids: list[UUID]) -> list[dict[str, Any]]:
    """The live records of these incidents, with what they say and how many notes went to each."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT r.incident_id, r.destination, r.kind, r.generation, r.state, r.number, r.url, r.last_reason,"
            " r.last_detail, r.created_at, r.changed_at, r.wanted->>'status' AS status, r.wanted->>'title' AS title,"
            " r.wanted->>'body' AS body, r.wanted->'address' AS address,"
            " (SELECT count(*) FROM notes n WHERE n.record_id = r.id AND n.confirmed_at IS NOT NULL) AS notes"
            " FROM records r WHERE r.incident_id = ANY(:ids) AND r.mode = 'live'"
            " ORDER BY r.destination, r.generation",
            ids=incident_ids,
        )
    return [dict(row._mapping) for row in found]


def counted(database: Database) -> dict[str, dict[str, int]]:
    """Destination → kind of call → how many were kept in the last 7 days."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT destination, call, count(*) AS n FROM shadow_calls WHERE at > now() - interval '7 days'"
            " GROUP BY destination, call ORDER BY destination, call",
        )
    counts: dict[str, dict[str, int]] = {}
    for row in found:
        counts.setdefault(row.destination, {})[row.call] = int(row.n)
    return counts
