"""How each destination stands: paused, at rest, how many records are under way, how many calls are left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from tocsin.domain.audit import AuditEntry
from tocsin.domain.policy import Destination, Mode
from tocsin.domain.standing import Standing
from tocsin.store.database import Database, bulk, rows, run
from tocsin.store.inbox import write_audit

_KEPT = tuple(Standing.__slots__)
_MOVES = (
    *("failures", "at_once", "open_since", "openings", "rests_until", "rests_why", "rests_detail"),
    *("minute_left", "hour_left", "refilled_at", "alert_at", "alerted_at"),
)
"""What delivery writes; the rest is said by mappings and people."""


def declare(database: Database, declared: Iterable[tuple[Destination, float | None, float | None]]) -> None:
    """Keep what the mappings say of destinations: each with its calls a minute and an hour (None: not limited)."""
    with database.transaction() as connection:
        bulk(
            connection,
            "INSERT INTO destinations AS known (name, kind, mode, calls_per_minute, calls_per_hour)"
            " SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (name text, kind text, mode text,"
            "  per_minute float8, per_hour float8)"
            " ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, mode = excluded.mode,"
            "  calls_per_minute = excluded.calls_per_minute, calls_per_hour = excluded.calls_per_hour"
            " WHERE (known.kind, known.mode, known.calls_per_minute, known.calls_per_hour)"
            "  IS DISTINCT FROM (excluded.kind, excluded.mode, excluded.calls_per_minute, excluded.calls_per_hour)",
            [
                {"name": d.name, "kind": d.kind, "mode": d.mode, "per_minute": per_minute, "per_hour": per_hour}
                for d, per_minute, per_hour in sorted(declared, key=lambda one: one[0].name)
            ],
        )


def meet(connection: Connection) -> None:
    """Give a row to every destination that has records due and none yet (a release before this one made them)."""
    run(
        connection,
        "INSERT INTO destinations (name, kind) SELECT DISTINCT destination, kind FROM records"
        " WHERE next_attempt_at IS NOT NULL AND NOT EXISTS (SELECT FROM destinations d WHERE d.name = destination)"
        " ON CONFLICT DO NOTHING",
    )


def waiting(connection: Connection) -> list[tuple[Standing, int]]:
    """Destinations with records due that may be sent, locked until the transaction ends, and how many records of each
    are under way now."""
    found = rows(
        connection,
        "SELECT d.*, (SELECT count(*) FROM records r WHERE r.destination = d.name"
        "  AND r.lease_until >= clock_timestamp()) AS under_way FROM destinations d"
        " WHERE EXISTS (SELECT FROM records r WHERE r.destination = d.name AND r.next_attempt_at <= clock_timestamp()"
        "  AND (r.lease_until IS NULL OR r.lease_until < clock_timestamp())) AND paused_at IS NULL"
        " AND mode <> 'off' AND (rests_until IS NULL OR rests_until <= clock_timestamp())"
        " ORDER BY name FOR UPDATE OF d",
    )
    return [(_standing(row), int(row.under_way)) for row in found]


def move(
    database: Database, name: str, step: Callable[[Standing, datetime], Standing]
) -> tuple[Standing, Standing] | None:
    """Change how a destination stands, one host at a time; returns it before and after, None when nothing moved."""
    with database.glance() as connection:
        found = rows(connection, "SELECT *, clock_timestamp() AS now FROM destinations WHERE name = :name", name=name)
    if not found or step(_standing(found[0]), found[0].now) == _standing(found[0]):
        return None  # the usual case needs no lock
    with database.transaction() as connection:
        row = rows(
            connection,
            "SELECT *, clock_timestamp() AS now FROM destinations WHERE name = :name FOR UPDATE",
            name=name,
        )[0]
        before = _standing(row)
        moved = step(before, row.now)
        keep(connection, moved)
        if before.open_since is not None and moved.open_since is None:
            _hurry(connection, name)
    return before, moved


def keep(connection: Connection, standing: Standing) -> None:
    """Write how a destination stands."""
    run(
        connection,
        "UPDATE destinations SET failures = :failures, at_once = :at_once, open_since = :open_since,"
        " openings = :openings, rests_until = :rests_until, rests_why = :rests_why, rests_detail = :rests_detail,"
        " minute_left = :minute_left, hour_left = :hour_left, refilled_at = :refilled_at, alert_at = :alert_at,"
        " alerted_at = :alerted_at WHERE name = :name",
        **{column: getattr(standing, column) for column in ("name", *_MOVES)},
    )


def _hurry(connection: Connection, name: str) -> None:
    """It answers again: what only waits because it did not is due now; how much goes out at once, the window says."""
    run(
        connection,
        "UPDATE records SET next_attempt_at = clock_timestamp() WHERE destination = :name AND failures > 0"
        " AND next_attempt_at > clock_timestamp() AND lease_token IS NULL"
        " AND last_reason IN ('unreachable', 'timeout', 'server_error', 'bad_answer', 'unauthorized')"
        " AND ambiguous_since IS NULL",
        name=name,
    )


def alerts_due(database: Database) -> list[Standing]:
    """Destinations whose circuit has been open so long that we must say so, and again from time to time, lest our own
    alert expires while it lasts."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE destinations SET alerted_at = clock_timestamp(), alert_at = clock_timestamp() + interval '30 min'"
            " WHERE alert_at <= clock_timestamp() AND paused_at IS NULL RETURNING *",
        )
    return [_standing(row) for row in found]


def pause(database: Database, name: str, *, actor: str, why: str = "") -> bool:
    """Send nothing to this destination until `resume`; False when it was paused already."""
    with database.transaction() as connection:
        paused = run(
            connection,
            "INSERT INTO destinations AS d (name, paused_at, paused_by, paused_why)"
            " VALUES (:name, clock_timestamp(), :actor, :why) ON CONFLICT (name) DO UPDATE SET"
            "  paused_at = excluded.paused_at, paused_by = excluded.paused_by, paused_why = excluded.paused_why"
            " WHERE d.paused_at IS NULL",
            name=name,
            actor=actor,
            why=why,
        )
        if paused:
            _tell(connection, "destination.paused", name, actor, {"why": why})
    return bool(paused)


def resume(database: Database, name: str, *, actor: str) -> bool:
    """Send again, slowly at first; a rest that was under way is over. False when it was not paused."""
    with database.transaction() as connection:
        resumed = run(
            connection,
            "UPDATE destinations SET paused_at = NULL, paused_by = '', paused_why = '', rests_until = NULL, at_once = 1"
            " WHERE name = :name AND paused_at IS NOT NULL",
            name=name,
        )
        if resumed:
            _tell(connection, "destination.resumed", name, actor, {})
    return bool(resumed)


def _tell(connection: Connection, action: str, name: str, actor: str, because: dict[str, object]) -> None:
    now = rows(connection, "SELECT clock_timestamp() AS at")[0].at
    write_audit(
        connection,
        [AuditEntry(at=now, action=action, reason="asked", destination=name, actor=actor, because=because)],
    )


def standings(database: Database) -> list[Standing]:
    """Every destination that is known here, by name."""
    with database.transaction() as connection:
        return [_standing(row) for row in rows(connection, "SELECT * FROM destinations ORDER BY name")]


def overview(database: Database) -> list[dict[str, Any]]:
    """Every destination with what waits, is under way, is dead or in shadow there: for API, metrics and doctor."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT d.name, d.kind, d.mode, d.paused_at, d.paused_by, d.paused_why, d.open_since,"
            " CASE WHEN d.rests_until > clock_timestamp() THEN d.rests_until END AS rests_until, d.rests_why,"
            " d.rests_detail, d.failures, d.at_once, d.calls_per_minute, d.calls_per_hour,"
            " count(r.id) FILTER (WHERE r.next_attempt_at IS NOT NULL) AS waiting,"
            " count(r.id) FILTER (WHERE r.lease_until >= clock_timestamp()) AS under_way,"
            " count(r.id) FILTER (WHERE r.state = 'dead') AS dead,"
            " count(r.id) FILTER (WHERE r.state = 'shadow') AS shadow,"
            " min(r.next_attempt_at) FILTER (WHERE r.next_attempt_at <= clock_timestamp()) AS waits_since"
            " FROM destinations d LEFT JOIN records r ON r.destination = d.name"
            "  AND (r.next_attempt_at IS NOT NULL OR r.lease_until IS NOT NULL OR r.state IN ('dead', 'shadow'))"
            " GROUP BY d.name ORDER BY d.name",
        )
    return [dict(row._mapping) for row in found]


def dead_by_reason(database: Database) -> list[tuple[str, str, int]]:
    """Destination, reason, and how many records need a person for it."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT destination, last_reason, count(*) AS n FROM records WHERE state = 'dead'"
            " GROUP BY destination, last_reason ORDER BY destination, last_reason",
        )
    return [(row.destination, row.last_reason, int(row.n)) for row in found]


def _standing(row: Row[Any]) -> Standing:
    known = Standing(**{name: getattr(row, name) for name in _KEPT})
    return replace(known, mode=Mode(known.mode))
