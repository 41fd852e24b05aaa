"""How does the installation itself stand: schema, clock, who sweeps, what is overdue, what its destinations came to?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.exc import ProgrammingError

from tocsin.store.database import Database, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """How long the oldest of each has waited beyond its time; None where nothing waits."""

    understanding: timedelta | None
    deciding: timedelta | None
    delivering: timedelta | None
    """Of destinations that may be sent to."""


def revision(database: Database) -> str:
    """The schema's revision; empty when there is none yet."""
    try:
        with database.transaction() as connection:
            found = rows(connection, "SELECT version_num FROM alembic_version")
    except ProgrammingError:  # there is no such table
        return ""
    return str(found[0].version_num) if found else ""


def newest_revision() -> str:
    """The revision that this release brings a database to."""
    from alembic.config import Config  # noqa: PLC0415 only doctor asks
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config).get_current_head() or ""


def server_version(database: Database) -> str:
    """PostgreSQL's own version, such as 16.2."""
    with database.transaction() as connection:
        return str(rows(connection, "SELECT current_setting('server_version') AS version")[0].version)


def held(database: Database, lock: int) -> bool:
    """Does any session hold this advisory lock (one bigint key)? The beat that leads does."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"
            "  AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = :lock) AS held",
            lock=lock,
        )
    return bool(found[0].held)


def overdue(database: Database) -> Overdue:
    """How late the steps are, by the database's clock."""
    with database.transaction() as connection:
        row = rows(
            connection,
            "SELECT clock_timestamp() - (SELECT min(received_at) FROM inbox) AS understanding,"
            " clock_timestamp() - (SELECT min(received_at) FROM signals) AS deciding,"
            " clock_timestamp() - (SELECT min(r.next_attempt_at) FROM records r WHERE r.next_attempt_at < now()"
            "  AND (r.lease_until IS NULL OR r.lease_until < now())"
            "  AND NOT EXISTS (SELECT FROM destinations d WHERE d.name = r.destination"
            "   AND (d.paused_at IS NOT NULL OR d.mode = 'off' OR d.rests_until > now()))) AS delivering",
        )[0]
    return Overdue(understanding=row.understanding, deciding=row.deciding, delivering=row.delivering)


def newest_body(database: Database) -> bytes | None:
    """The first bytes of the newest stored body, which tell the key that sealed it; None when there is none."""
    with database.transaction() as connection:
        found = rows(
            connection, "SELECT substring(body FROM 1 FOR 16) AS start FROM messages ORDER BY received_at DESC LIMIT 1"
        )
    return bytes(found[0].start) if found else None


def successes(database: Database) -> Mapping[str, datetime]:
    """Destination → when a live record there last came out well, within the last 30 days."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT a.destination, max(a.at) AS at FROM attempts a JOIN records r ON r.id = a.record_id"
            " WHERE a.result IN ('done', 'duplicate') AND r.mode = 'live' AND a.at > now() - interval '30 days'"
            " GROUP BY a.destination",
        )
    return {row.destination: row.at for row in found}


def looks(database: Database) -> Mapping[str, Mapping[str, Any]]:
    """Destination → why the last poll and the last reconciliation failed (empty: they did not), and how many
    discrepancies reconciliation left for a person."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT l.destination, l.poll_failed, l.survey_failed,"
            " (SELECT count(*) FROM discrepancies d WHERE d.destination = l.destination) AS discrepancies FROM looks l",
        )
    return {row.destination: dict(row._mapping) for row in found}
