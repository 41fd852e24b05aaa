"""Changes on their way to be shown at a vendor: which are due, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import TypeAdapter
from sqlalchemy import Connection

from tocsin.decide.mirror import Mirrored
from tocsin.domain.record import Outcome
from tocsin.domain.seen import MirroredChange
from tocsin.store.database import Database, bulk, rows, run

CHANGE = TypeAdapter(MirroredChange)

LEASE_S = 60
MOST_TRIES = 12
"""Then it is left: a change that is hours old helps no responder."""
LONGEST_WAIT_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """One change to be shown now."""

    destination: str
    change: MirroredChange


def keep(connection: Connection, changes: Sequence[Mirrored]) -> None:
    """Have these changes shown; one that was shown already, or is known under the same id, is not shown twice."""
    latest = {(one.destination, one.change.id): one for one in changes}
    bulk(
        connection,
        "INSERT INTO mirrored_changes AS known (destination, change_id, environment, payload, next_attempt_at)"
        " SELECT destination, change_id, environment, payload, clock_timestamp()"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (destination text, change_id text, environment text,"
        "  payload jsonb)"
        " ON CONFLICT (destination, change_id) DO UPDATE SET payload = excluded.payload"
        " WHERE known.confirmed_at IS NULL",
        [
            {
                "destination": destination,
                "change_id": change_id,
                "environment": one.environment,
                "payload": one.change,
            }
            for (destination, change_id), one in sorted(latest.items())
        ],
    )


def lease(database: Database, limit: int, *, but: Collection[str] = ()) -> list[Leased]:
    """Take up to `limit` changes that are due, oldest first, of destinations that neither rest nor are paused nor are
    named in `but`."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "WITH due AS (SELECT destination, change_id FROM mirrored_changes m"
            "  WHERE next_attempt_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())"
            "  AND destination <> ALL(:but)"
            "  AND NOT EXISTS (SELECT FROM destinations d WHERE d.name = m.destination AND (d.paused_at IS NOT NULL"
            "   OR d.rests_until > clock_timestamp() OR d.mode <> 'live'))"
            "  ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED)"
            " UPDATE mirrored_changes m SET lease_until = clock_timestamp() + make_interval(secs => :lease) FROM due"
            " WHERE m.destination = due.destination AND m.change_id = due.change_id RETURNING m.destination, m.payload",
            limit=limit,
            lease=LEASE_S,
            but=list(but),
        )
    return [Leased(destination=row.destination, change=CHANGE.validate_python(row.payload)) for row in found]


def settle(database: Database, leased: Leased, outcome: Outcome) -> None:
    """Keep what came of one: shown, tried again later, or left."""
    with database.transaction() as connection:
        run(
            connection,
            "UPDATE mirrored_changes SET lease_until = NULL, last_reason = :reason, last_detail = :detail,"
            " failures = CASE WHEN :settled THEN failures ELSE failures + 1 END,"
            " confirmed_at = CASE WHEN :settled THEN clock_timestamp() ELSE confirmed_at END,"
            " next_attempt_at = CASE WHEN :settled OR :left OR failures + 1 >= :most THEN NULL ELSE clock_timestamp()"
            "  + make_interval(secs => greatest(:after, least(5 * 2 ^ failures, :longest))) END"
            " WHERE destination = :destination AND change_id = :change",
            destination=leased.destination,
            change=leased.change.id,
            settled=outcome.settled,
            left=outcome.result == "rejected",
            reason=outcome.reason,
            detail=outcome.detail,
            after=outcome.after.total_seconds() if outcome.after else 0.0,
            most=MOST_TRIES,
            longest=LONGEST_WAIT_S,
        )


def forget(connection: Connection, older_than: timedelta) -> None:
    """Drop what was shown or left longer ago."""
    run(
        connection,
        "DELETE FROM mirrored_changes WHERE next_attempt_at IS NULL"
        " AND created_at < clock_timestamp() - CAST(:age AS interval)",
        age=older_than,
    )
