"""Measured courses: what alerts brought, kept beside them and bounded, and what each incident's last score looked at.

An alert without any costs nothing here when it arrives; a batch of scores asks once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import Connection

from tocsin.domain.incident import Incident
from tocsin.domain.policy import Retention
from tocsin.domain.series import Series, latest
from tocsin.domain.subject import Subject
from tocsin.store.database import bulk, dumped, rows, run

MOST = 40
"""Courses of one incident that are scored with it: those of the alerts that began first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What one report brought; `fingerprint` is its alert's."""

    environment: str
    fingerprint: str
    received_at: datetime
    series: tuple[Series, ...]


def _series(text: str) -> tuple[Series, ...]:
    """As `dumped` wrote them: thousands of points, of which nothing must be asked again."""
    return tuple(
        Series(
            subject=Subject(one["subject"]),
            metric=one["metric"],
            points=tuple((datetime.fromisoformat(at), float(value)) for at, value in one["points"]),
        )
        for one in orjson.loads(text)
    )


def keep(connection: Connection, brought: Sequence[Brought]) -> None:
    """Add these to what is known of their alerts. The same is kept in whatever order and by how many they come."""
    if not brought:
        return
    known = {(one.environment, one.fingerprint): one.series for one in brought}
    for one in brought:
        key = one.environment, one.fingerprint
        known[key] = latest((*known[key], *one.series))
    at = max(one.received_at for one in brought)
    keys = [{"environment": environment, "fingerprint": fingerprint} for environment, fingerprint in sorted(known)]
    bulk(connection, _MAKE, [{**key, "series": [], "received_at": at} for key in keys])
    for row in rows(connection, _HOLD, rows=dumped(keys)):
        key = row.environment, row.fingerprint
        known[key] = latest((*_series(row.series), *known[key]))
    bulk(
        connection,
        _KEEP,
        [{**key, "series": known[key["environment"], key["fingerprint"]], "received_at": at} for key in keys],
    )


# the row is there before anybody reads it, so that two who bring something at once wait for each other
_MAKE = """
INSERT INTO courses (environment, fingerprint, series, received_at)
SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (environment text, fingerprint text, series jsonb, received_at timestamptz)
    ORDER BY environment, fingerprint ON CONFLICT DO NOTHING
"""
_HOLD = """
SELECT c.environment, c.fingerprint, c.series::text AS series FROM courses c
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (environment text, fingerprint text)
    USING (environment, fingerprint) ORDER BY c.environment, c.fingerprint FOR UPDATE OF c
"""
_KEEP = """
UPDATE courses c SET series = r.series, received_at = greatest(c.received_at, r.received_at)
FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (environment text, fingerprint text, series jsonb, received_at timestamptz)
WHERE c.environment = r.environment AND c.fingerprint = r.fingerprint
"""


def of_incidents(connection: Connection, incidents: Sequence[Incident]) -> dict[UUID, tuple[Series, ...]]:
    """What the alerts of these incidents brought, as far as it is scored; only those with any."""
    if not incidents:
        return {}
    found = rows(
        connection,
        "SELECT environment, fingerprint, series::text AS series FROM courses"
        " WHERE environment = ANY(:environments) AND fingerprint = ANY(:fingerprints)",
        environments=sorted({incident.environment for incident in incidents}),
        fingerprints=sorted({member.fingerprint for incident in incidents for member in incident.members}),
    )
    known = {(row.environment, row.fingerprint): _series(row.series) for row in found}
    looked = {incident.id: _of_incident(incident, known) for incident in incidents} if known else {}
    return {incident_id: series for incident_id, series in looked.items() if series}


def _of_incident(incident: Incident, known: Mapping[tuple[str, str], tuple[Series, ...]]) -> tuple[Series, ...]:
    members = sorted(incident.members, key=lambda member: (member.starts_at, member.fingerprint))
    brought = [one for m in members for one in known.get((incident.environment, m.fingerprint), ())]
    return tuple(brought[:MOST])


def scored(connection: Connection, incident_id: UUID, series: tuple[Series, ...], at: datetime) -> None:
    """An incident's score looked at these."""
    run(
        connection,
        "INSERT INTO scored_courses AS known (incident_id, series, scored_at) VALUES (:id, CAST(:series AS jsonb), :at)"
        " ON CONFLICT (incident_id) DO UPDATE SET series = excluded.series, scored_at = excluded.scored_at",
        id=incident_id,
        series=dumped(series),
        at=at,
    )


def looked_at(connection: Connection, incident_ids: Sequence[UUID]) -> dict[UUID, tuple[Series, ...]]:
    """What the last scores of these incidents looked at; only those that looked at any."""
    found = rows(
        connection,
        "SELECT incident_id, series::text AS series FROM scored_courses WHERE incident_id = ANY(:ids)",
        ids=list(incident_ids),
    )
    return {row.incident_id: _series(row.series) for row in found}


def forget(connection: Connection, retention: Retention) -> None:
    """Drop what alerts brought with the bodies that brought it, and what scores looked at with the audit trail."""
    run(
        connection,
        "DELETE FROM courses WHERE received_at < now() - make_interval(days => :days)",
        days=retention.raw.days,
    )
    run(
        connection,
        "DELETE FROM scored_courses WHERE scored_at < now() - make_interval(days => :days)",
        days=retention.audit.days,
    )
