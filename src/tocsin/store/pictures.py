"""The timeline picture of each incident: which is to be drawn, the newest one, and the files that records get of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Connection

from tocsin.domain.audit import AuditEntry
from tocsin.domain.incident import Incident
from tocsin.domain.policy import Retention
from tocsin.domain.series import Series
from tocsin.domain.timeline import FILE
from tocsin.store import attachments, courses
from tocsin.store.database import Database, now, rows, run
from tocsin.store.inbox import write_audit
from tocsin.store.incidents import load_incidents

MEDIA_TYPE = "image/png"
MOST_TRIES = 3
BUSY_S = 30
"""A picture whose drawer died is drawn by another after this."""
SOON_S = 2
"""A picture waits for so long, so that a burst of alerts is scored and decided before anybody draws."""
EVERY_S = 30
"""In a storm an incident's picture is drawn anew this often at most."""


class NotDrawn(StrEnum):
    """Why there is no picture."""

    INTERRUPTED = "interrupted"
    """The process that drew it ended."""
    LIBRARY_MISSING = "library_missing"
    """matplotlib cannot be loaded here."""
    DRAWING_FAILED = "drawing_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A picture that is to be drawn now; another may be wanted meanwhile."""

    incident: Incident
    series: tuple[Series, ...] = ()
    """What its score looked at of measured courses."""
    until: datetime
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is of an incident's picture."""

    content: bytes | None
    drawn_at: datetime | None
    failed: str
    """Why the last try came to nothing; empty when it did not."""


def want(connection: Connection, incident_ids: Sequence[UUID]) -> None:
    """Have these incidents' pictures drawn, anew where there is one."""
    if incident_ids:
        run(
            connection,
            "INSERT INTO pictures AS known (incident_id, due_at)"
            " SELECT i, clock_timestamp() + make_interval(secs => :soon) FROM unnest(CAST(:ids AS uuid[])) AS i"
            " ON CONFLICT (incident_id) DO UPDATE SET tries = 0,"
            "  due_at = greatest(excluded.due_at, known.drawn_at + make_interval(secs => :every))",
            ids=sorted(set(incident_ids)),
            soon=SOON_S,
            every=EVERY_S,
        )


def take(database: Database) -> Taken | None:
    """The picture that has waited longest, for BUSY_S; None when none is to be drawn."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE pictures SET due_at = clock_timestamp() + make_interval(secs => :busy), tries = tries + 1,"
            " failed = :interrupted WHERE incident_id = (SELECT incident_id FROM pictures"
            "  WHERE due_at <= clock_timestamp() AND tries < :most ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " RETURNING incident_id, due_at, tries",
            busy=BUSY_S,
            interrupted=NotDrawn.INTERRUPTED,
            most=MOST_TRIES,
        )
        if not found:
            return None
        incident_id = found[0].incident_id
        loaded = load_incidents(connection, [incident_id])
        looked = courses.looked_at(connection, [incident_id])
    return Taken(
        incident=loaded[incident_id],
        series=looked.get(incident_id, ()),
        until=found[0].due_at,
        tries=found[0].tries,
    )


def keep(database: Database, taken: Taken, content: bytes, *, kinds: Sequence[str]) -> None:
    """Keep the picture, and give it to the incident's records at desks of these kinds as a file."""
    with database.transaction() as connection:
        run(
            connection,
            "UPDATE pictures SET content = :content, drawn_at = clock_timestamp(), failed = '',"
            " due_at = CASE WHEN due_at = :until THEN NULL ELSE due_at END WHERE incident_id = :id",
            content=content,
            until=taken.until,
            id=taken.incident.id,
        )
        attachments.give(connection, taken.incident.id, name=FILE, media_type=MEDIA_TYPE, content=content, kinds=kinds)


def give_up(database: Database, taken: Taken, reason: NotDrawn, words: str) -> None:
    """It could not be drawn; it is tried again a little later, MOST_TRIES times."""
    with database.transaction() as connection:
        run(
            connection,
            "UPDATE pictures SET failed = :reason, due_at = CASE WHEN tries < :most THEN due_at END"
            " WHERE incident_id = :id AND due_at = :until",
            reason=reason,
            most=MOST_TRIES,
            id=taken.incident.id,
            until=taken.until,
        )
        failed = AuditEntry(
            at=now(connection),
            action="picture.failed",
            reason=reason,
            environment=taken.incident.environment,
            incident_id=taken.incident.id,
            because={"why": words[:200], "tries": taken.tries},
        )
        write_audit(connection, [failed])


def of_incident(database: Database, number: int) -> Picture | None:
    """The newest picture of TOC-number; None when none was ever wanted."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT p.content, p.drawn_at, p.failed FROM pictures p JOIN incidents i ON i.id = p.incident_id"
            " WHERE i.number = :number",
            number=number,
        )
    if not found:
        return None
    content = bytes(found[0].content) if found[0].content is not None else None
    return Picture(content=content, drawn_at=found[0].drawn_at, failed=found[0].failed)


def forget(connection: Connection, retention: Retention) -> None:
    """Drop pictures past the audit's retention, and the bytes of files that the desks have held as long."""
    run(
        connection,
        "DELETE FROM pictures WHERE drawn_at < now() - make_interval(days => :days) AND due_at IS NULL",
        days=retention.audit.days,
    )
    run(
        connection,
        "UPDATE attachments SET content = '' WHERE confirmed_at < now() - make_interval(days => :days)"
        " AND content <> ''",
        days=retention.attempts.days,
    )
