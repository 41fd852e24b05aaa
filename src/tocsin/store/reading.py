"""What people look up: incidents, their story, the audit trail, the quarantine. Reads only, redacted data only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from tocsin.domain.incident import Incident
from tocsin.store.database import Database, rows
from tocsin.store.incidents import load_incidents

LIST_LIMIT = 200


def _plain(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)


def incident_list(
    database: Database, *, state: str = "", environment: str = "", limit: int = 50
) -> list[dict[str, Any]]:
    """Incidents, newest first, each with its records in short."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT i.number, i.environment, i.state, i.opened_at, i.resolved_at, i.title, i.changed_at,"
            " i.gate->>'state' AS gate, i.gate->>'reason' AS gate_reason, i.routing->>'want' AS want,"
            " i.routing->'ownership'->>'team' AS team, i.enrichment->>'head' AS head,"
            " i.attribution->'suspects'->0->'change'->>'id' AS likely_change,"
            " i.attribution->'suspects'->0->'change'->>'summary' AS likely_summary,"
            " (i.attribution->'suspects'->0->>'probability')::float8 AS probability,"
            " (SELECT count(*) FROM alerts a WHERE a.incident_id = i.id) AS alerts,"
            " (SELECT coalesce(jsonb_agg(jsonb_build_object('destination', r.destination, 'number', r.number,"
            "   'url', r.url, 'state', r.state, 'status', r.wanted->>'status', 'generation', r.generation)"
            "   ORDER BY r.destination, r.generation), '[]') FROM records r WHERE r.incident_id = i.id) AS records"
            " FROM incidents i WHERE (:state = '' OR i.state = :state)"
            " AND (:environment = '' OR i.environment = :environment) ORDER BY i.number DESC LIMIT :limit",
            state=state,
            environment=environment,
            limit=min(limit, LIST_LIMIT),
        )
    return [{"display": f"TOC-{row.number}", **_plain(row)} for row in found]


def incident(database: Database, number: int) -> Incident | None:
    """One incident whole."""
    with database.transaction() as connection:
        found = rows(connection, "SELECT id FROM incidents WHERE number = :number", number=number)
        if not found:
            return None
        return load_incidents(connection, [found[0].id])[found[0].id]


def incident_story(database: Database, number: int) -> dict[str, list[dict[str, Any]]]:
    """An incident's records, attempts and audit lines."""
    with database.transaction() as connection:
        wanted = {
            "records": "SELECT r.id, r.destination, r.kind, r.generation, r.mode, r.state, r.number, r.url, r.wanted,"
            " r.attempts, r.last_reason, r.last_detail, r.warnings, r.next_attempt_at, r.created_at, r.changed_at"
            " FROM records r JOIN incidents i ON i.id = r.incident_id WHERE i.number = :number"
            " ORDER BY r.destination, r.generation",
            "notes": "SELECT n.text, n.created_at, n.confirmed_at, r.destination FROM notes n"
            " JOIN records r ON r.id = n.record_id JOIN incidents i ON i.id = r.incident_id"
            " WHERE i.number = :number ORDER BY n.created_at",
            "attempts": "SELECT a.at, a.destination, a.result, a.reason, a.detail, a.calls, a.seconds FROM attempts a"
            " JOIN records r ON r.id = a.record_id JOIN incidents i ON i.id = r.incident_id"
            " WHERE i.number = :number ORDER BY a.at DESC LIMIT 100",
            "audit": "SELECT a.at, a.action, a.reason, a.actor, a.destination, a.because FROM audit a"
            " JOIN incidents i ON i.id = a.incident_id WHERE i.number = :number ORDER BY a.id DESC LIMIT 200",
        }
        return {name: [_plain(row) for row in rows(connection, sql, number=number)] for name, sql in wanted.items()}


def audit_after(database: Database, after: int, *, limit: int = 200) -> list[dict[str, Any]]:
    """Audit lines with an id above `after`, oldest first; with `after` below 0 the latest ones."""
    with database.transaction() as connection:
        if after < 0:
            found = rows(
                connection,
                "SELECT * FROM (SELECT a.*, i.number FROM audit a LEFT JOIN incidents i ON i.id = a.incident_id"
                " ORDER BY a.id DESC LIMIT :limit) AS latest ORDER BY id",
                limit=min(limit, 1000),
            )
        else:
            found = rows(
                connection,
                "SELECT a.*, i.number FROM audit a LEFT JOIN incidents i ON i.id = a.incident_id"
                " WHERE a.id > :after ORDER BY a.id LIMIT :limit",
                after=after,
                limit=min(limit, 1000),
            )
    return [_plain(row) for row in found]


def quarantined(database: Database, *, limit: int = 100) -> list[dict[str, Any]]:
    """Messages put aside and not yet replayed, newest first."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT message_id, received_at, hook, source, environment, reason, path, quarantined_at FROM quarantine"
            " WHERE replayed_at IS NULL ORDER BY quarantined_at DESC LIMIT :limit",
            limit=limit,
        )
    return [_plain(row) for row in found]


def queues(database: Database) -> dict[str, int]:
    """What waits or needs a person: the sizes of the small, hot tables. Cheap enough for every scrape. A record that
    stands as wanted and is only looked at once more (a resolve repeated, a double swept) is not undelivered."""
    with database.transaction() as connection:
        row = rows(
            connection,
            "SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM awaiting_key) AS waiting,"
            " (SELECT count(*) FROM signals) AS undecided,"
            " (SELECT count(*) FROM quarantine WHERE replayed_at IS NULL) AS quarantined,"
            " (SELECT count(*) FROM incidents WHERE state = 'open') AS open_incidents,"
            " (SELECT count(*) FROM records WHERE next_attempt_at IS NOT NULL AND state <> 'closed'"
            "  AND (state <> 'settled' OR sent_version < wanted_version OR failures > 0"
            "  OR EXISTS (SELECT FROM notes WHERE record_id = records.id AND confirmed_at IS NULL))) AS undelivered,"
            " (SELECT count(*) FROM records WHERE state = 'dead') AS dead",
        )[0]
    return {name: int(value) for name, value in _plain(row).items()}


def figures(database: Database) -> Mapping[str, int]:
    """How much there is of everything, for the console: the queues, messages of the last day, alerts that fire."""
    with database.transaction() as connection:
        row = rows(
            connection,
            "SELECT (SELECT count(*) FROM messages WHERE received_at > now() - interval '1 day') AS messages,"
            " (SELECT count(*) FROM alerts WHERE status = 'firing') AS firing",
        )[0]
    return {**queues(database), **{name: int(value) for name, value in _plain(row).items()}}


def unaccounted(database: Database) -> list[dict[str, Any]]:
    """The auditor: stored messages that are neither waiting nor named in the audit trail or in quarantine.
    An empty answer proves promise 3."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT m.id, m.received_at, m.hook FROM messages m"
            " WHERE NOT EXISTS (SELECT FROM inbox i WHERE i.id = m.id)"
            " AND NOT EXISTS (SELECT FROM awaiting_key k WHERE k.id = m.id)"
            " AND NOT EXISTS (SELECT FROM audit a WHERE a.message_id = m.id AND a.action = 'message.understood')"
            " AND NOT EXISTS (SELECT FROM quarantine q WHERE q.message_id = m.id) LIMIT 100",
        )
    return [_plain(row) for row in found]
