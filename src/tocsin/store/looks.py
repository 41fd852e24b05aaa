"""How far each destination was looked at, what was seen there, and what is not as we left it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import Connection, text

from tocsin.decide.people import event_name
from tocsin.domain.audit import AuditEntry
from tocsin.domain.message import RecordUpdate
from tocsin.domain.people import Stance
from tocsin.domain.record import Record
from tocsin.domain.seen import Discrepancy, Drift
from tocsin.store import records
from tocsin.store.database import Database, bulk, dumped, rows, run
from tocsin.store.inbox import Signal, keep_signals, write_audit
from tocsin.store.people import STANCE, is_key, taken

Kind = Literal["poll", "survey"]
LOCKS: Mapping[Kind, int] = {"poll": 7_204, "survey": 7_205}
"""Advisory locks: one process polls, and one surveys, at a time."""

SURVEYED_FOR = timedelta(days=30)
"""Records that were wanted open or have ended so short a time ago are looked after."""


@contextmanager
def looking(database: Database, kind: Kind) -> Iterator[bool]:
    """May this process look now? False while another does."""
    with database.engine.connect() as connection:
        held = bool(connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCKS[kind]}).scalar_one())
        connection.commit()
        try:
            yield held
        finally:
            if held:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCKS[kind]})
                connection.commit()


def due(database: Database, kind: Kind, every: Mapping[str, timedelta]) -> list[tuple[str, str]]:
    """Of these destinations (name → how often), those whose turn it is, with their watermarks; longest ago first."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT e.destination, coalesce(l.watermark, '') AS watermark"
            " FROM unnest(CAST(:names AS text[]), CAST(:seconds AS float8[])) AS e (destination, seconds)"
            " LEFT JOIN looks l ON l.destination = e.destination"
            " WHERE coalesce(CASE WHEN :kind = 'poll' THEN l.polled_at ELSE l.surveyed_at END, '-infinity')"
            "  <= clock_timestamp() - make_interval(secs => e.seconds)"
            " ORDER BY coalesce(CASE WHEN :kind = 'poll' THEN l.polled_at ELSE l.surveyed_at END, '-infinity'),"
            "  e.destination",
            names=sorted(every),
            seconds=[every[name].total_seconds() for name in sorted(every)],
            kind=kind,
        )
    return [(row.destination, row.watermark) for row in found]


def failed(database: Database, kind: Kind, destination: str, detail: str) -> None:
    """The look came to nothing; the next one is made in its turn."""
    with database.transaction() as connection:
        run(connection, _FAILED[kind], destination=destination, detail=detail)


_FAILED: Mapping[Kind, str] = {
    "poll": "INSERT INTO looks AS l (destination, polled_at, poll_failed) VALUES (:destination, clock_timestamp(),"
    " :detail) ON CONFLICT (destination) DO UPDATE SET polled_at = clock_timestamp(), poll_failed = :detail",
    "survey": "INSERT INTO looks AS l (destination, surveyed_at, survey_failed) VALUES (:destination,"
    " clock_timestamp(), :detail) ON CONFLICT (destination) DO UPDATE SET surveyed_at = clock_timestamp(),"
    " survey_failed = :detail",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a poll came to."""

    kept: int = 0
    strange: int = 0
    """Updates of records that we do not know."""


def hear(database: Database, destination: str, updates: Sequence[RecordUpdate], watermark: str) -> Heard:
    """Queue what is new of the updates, in their order, for the writers of their records' environments, and remember
    how far was looked, in one transaction: exactly as if they had been posted."""
    with database.transaction() as connection:
        known = taken(connection, updates) if updates else set()
        fresh = [update for update in updates if event_name(update) not in known]
        homes = _homes(connection, destination, fresh)
        found = [(environment, update) for update in fresh if (environment := _home_of(update, homes))]
        at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        batch = uuid_utils.compat.uuid7()
        keep_signals(
            connection,
            [
                Signal(
                    environment=environment,
                    received_at=at,
                    message_id=batch,
                    seq=seq,
                    kind="record_update",
                    payload=replace(update, environment=environment, received_at=at),
                )
                for seq, (environment, update) in enumerate(found)
            ],
        )
        run(
            connection,
            "INSERT INTO looks (destination, watermark, polled_at) VALUES (:destination, :watermark, clock_timestamp())"
            " ON CONFLICT (destination) DO UPDATE SET watermark = excluded.watermark, polled_at = clock_timestamp(),"
            "  poll_failed = ''",
            destination=destination,
            watermark=watermark,
        )
    return Heard(kept=len(found), strange=len(fresh) - len(found))


def _homes(connection: Connection, destination: str, updates: Sequence[RecordUpdate]) -> dict[str, str]:
    """Our key or the vendor's id → the environment of that record of this destination."""
    found = rows(
        connection,
        "SELECT environment, wanted->>'key' AS key, external_id FROM records WHERE destination = :destination"
        " AND (id = ANY(:keys) OR (external_id <> '' AND external_id = ANY(:ids)))",
        destination=destination,
        keys=[UUID(hex=key) for key in sorted({u.record_key for u in updates if is_key(u.record_key)})],
        ids=sorted({u.external_id for u in updates if u.external_id}),
    )
    return {name: row.environment for row in found for name in (row.key, row.external_id) if name}


def _home_of(update: RecordUpdate, homes: Mapping[str, str]) -> str:
    return homes.get(update.record_key) or homes.get(update.external_id) or ""


# --- reconciliation ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A record of ours with what people's last word on it was."""

    record: Record
    stance: Stance | None = None


def surveyed(database: Database, destination: str, *, older_than: timedelta) -> list[Looked]:
    """The destination's records that should stand there: sent, under no way, open or ended a short time ago."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT r.incident_id, r.id, s.stance FROM records r LEFT JOIN stances s ON s.record_id = r.id"
            " WHERE r.destination = :destination AND r.mode = 'live' AND r.state = 'settled' AND r.external_id <> ''"
            " AND r.next_attempt_at IS NULL AND r.changed_at < clock_timestamp() - CAST(:young AS interval)"
            " AND (r.wanted->>'status' = 'open' OR r.changed_at > clock_timestamp() - CAST(:kept AS interval))"
            " ORDER BY r.created_at LIMIT 10000",
            destination=destination,
            young=older_than,
            kept=SURVEYED_FOR,
        )
        stances = {row.id: STANCE.validate_python(row.stance) if row.stance else None for row in found}
        kept = records.of_incidents(connection, sorted({row.incident_id for row in found}))
    ours = [record for each in kept.values() for record in each if record.id in stances]
    return [Looked(record=record, stance=stances[record.id]) for record in ours]


def known_keys(database: Database, keys: Sequence[str]) -> set[str]:
    """Those of the keys that the database knows, at whatever destination."""
    ids = [UUID(hex=key) for key in keys if is_key(key)]
    with database.transaction() as connection:
        found = rows(connection, "SELECT id FROM records WHERE id = ANY(:ids)", ids=ids)
    return {row.id.hex for row in found}


def report(database: Database, destination: str, found: Sequence[Discrepancy]) -> list[Discrepancy]:
    """Keep what was found in place of what was found before; answers, and audits, what is new."""
    with database.transaction() as connection:
        before = rows(
            connection,
            "SELECT finding, external_id FROM discrepancies WHERE destination = :destination",
            destination=destination,
        )
        known = {(row.finding, row.external_id) for row in before}
        run(
            connection,
            "DELETE FROM discrepancies WHERE destination = :destination AND NOT ((finding, external_id) IN"
            " (SELECT * FROM unnest(CAST(:findings AS text[]), CAST(:ids AS text[]))))",
            destination=destination,
            findings=[str(one.finding) for one in found],
            ids=[one.external_id for one in found],
        )
        bulk(connection, _REPORT, [_reported(one) for one in found])
        run(
            connection,
            "INSERT INTO looks (destination, surveyed_at) VALUES (:destination, clock_timestamp())"
            " ON CONFLICT (destination) DO UPDATE SET surveyed_at = clock_timestamp(), survey_failed = ''",
            destination=destination,
        )
        new = [one for one in found if (str(one.finding), one.external_id) not in known]
        at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        write_audit(connection, [_audited(one, at) for one in new])
    return new


_REPORT = """
INSERT INTO discrepancies (destination, finding, external_id, number, url, incident_id, says)
SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (destination text, finding text, external_id text,
    number text, url text, incident_id uuid, says text)
ON CONFLICT (destination, finding, external_id) DO UPDATE SET seen_at = clock_timestamp(), says = excluded.says
"""


def _reported(one: Discrepancy) -> dict[str, object]:
    names = ("destination", "finding", "external_id", "number", "url", "incident_id", "says")
    return {name: getattr(one, name) for name in names}


def _audited(one: Discrepancy, at: datetime) -> AuditEntry:
    return AuditEntry(
        at=at,
        action="record.reconciled",
        reason=one.finding,
        environment=one.environment,
        incident_id=one.incident_id,
        destination=one.destination,
        because={"record": one.number or one.external_id, "says": one.says, "remedy": one.remedy},
    )


def mend(database: Database, one: Discrepancy) -> bool:
    """Have a record brought to its wanted state again, or its incident decided where the record is gone; False when
    somebody is at work on it already."""
    if one.record_id is None or one.incident_id is None:
        return False
    with database.transaction() as connection:
        if one.finding is Drift.VANISHED:
            moved = run(
                connection,
                "UPDATE records SET state = 'vanished', changed_at = clock_timestamp() WHERE id = :id"
                " AND state = 'settled' AND lease_token IS NULL",
                id=one.record_id,
            )
            if moved:
                records.ask_again(connection, one.incident_id)
            return bool(moved)
        return bool(
            run(
                connection,
                "UPDATE records SET sent = sent || CAST(:rebase AS jsonb), wanted_version = wanted_version + 1,"
                " next_attempt_at = clock_timestamp(), changed_at = clock_timestamp()"
                " WHERE id = :id AND state = 'settled' AND lease_token IS NULL",
                id=one.record_id,
                rebase=dumped(dict(one.rebase)),
            )
        )
