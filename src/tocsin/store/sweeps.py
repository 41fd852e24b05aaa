"""What is due, and the housekeeping of days: all timers are columns, read on the database's clock."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.domain.policy import Retention
from tocsin.store import courses, lineage, mirroring, pictures, shadows
from tocsin.store.database import Database, rows, run
from tocsin.store.decisions import environments_due

__all__ = ["Due", "due", "environments_due", "keep_house"]

PARTITIONED = ("messages", "audit", "attempts", "occurrences")
DAYS_AHEAD = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Which kinds of work wait now."""

    work: bool
    attribute: bool
    deliver: bool
    errands: bool = False
    draw: bool = False


def due(database: Database) -> Due:
    """One cheap look at every queue and timer."""
    with database.glance() as connection:
        [row] = rows(
            connection,
            "SELECT EXISTS (SELECT FROM inbox WHERE claimed_until IS NULL OR claimed_until < clock_timestamp())"
            "  OR EXISTS (SELECT FROM signals)"
            "  OR EXISTS (SELECT FROM jobs WHERE finished_at IS NULL AND started_at IS NULL)"
            "  OR EXISTS (SELECT FROM incidents WHERE decide_again_at <= clock_timestamp())"
            "  OR EXISTS (SELECT FROM alerts WHERE look_again_at <= clock_timestamp()) AS work,"
            " EXISTS (SELECT FROM incidents WHERE attribute_due_at <= clock_timestamp()) AS attribute,"
            " EXISTS (SELECT FROM records WHERE next_attempt_at <= clock_timestamp()"
            "  AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND NOT EXISTS"
            "   (SELECT FROM destinations d WHERE d.name = records.destination AND (d.paused_at IS NOT NULL"
            "    OR d.rests_until > clock_timestamp() OR d.mode = 'off'"
            "    OR (d.mode = 'shadow' AND records.mode = 'live'))))"
            "  OR EXISTS (SELECT FROM mirrored_changes m WHERE next_attempt_at <= clock_timestamp()"
            "   AND NOT EXISTS (SELECT FROM destinations d WHERE d.name = m.destination"
            "    AND (d.paused_at IS NOT NULL OR d.rests_until > clock_timestamp() OR d.mode <> 'live')))"
            "  OR EXISTS (SELECT FROM destinations WHERE alert_at <= clock_timestamp() AND paused_at IS NULL)"
            " AS deliver,"
            " EXISTS (SELECT FROM errands WHERE next_attempt_at <= clock_timestamp()) AS errands,"
            " EXISTS (SELECT FROM pictures WHERE due_at <= clock_timestamp() AND tries < :most) AS draw",
            most=pictures.MOST_TRIES,
        )
    return Due(work=row.work, attribute=row.attribute, deliver=row.deliver, errands=row.errands, draw=row.draw)


def keep_house(database: Database, retention: Retention) -> None:
    """Make the coming days' partitions, drop those past their retention, forget old message ids."""
    keep_days = {
        "messages": retention.raw.days,
        "audit": retention.audit.days,
        "occurrences": retention.audit.days,
        "attempts": retention.attempts.days,
    }
    for parent in PARTITIONED:
        with database.transaction() as connection:
            run(
                connection,
                "SELECT tocsin_partition(:parent, day::date) FROM generate_series((now() AT TIME ZONE 'UTC')::date,"
                " (now() AT TIME ZONE 'UTC')::date + :ahead, '1 day') AS day",
                parent=parent,
                ahead=DAYS_AHEAD,
            )
            old = rows(
                connection,
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " WHERE i.inhparent = CAST(:parent AS regclass) AND c.relname ~ '_[0-9]{8}$'"
                "  AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date - :days",
                parent=parent,
                days=keep_days[parent] + 1,
            )
            for row in old:
                run(connection, f'DROP TABLE "{row.relname}"')
    with database.transaction() as connection:
        run(
            connection,
            "DELETE FROM message_ids WHERE seen_at < now() - make_interval(days => :days)",
            days=retention.raw.days,
        )
        shadows.forget(connection, retention.attempts)
        mirroring.forget(connection, retention.attempts)
        pictures.forget(connection, retention)
        courses.forget(connection, retention)
        lineage.forget(connection, retention)
