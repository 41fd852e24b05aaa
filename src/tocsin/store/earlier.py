"""What changed before an incident, and when had its alerts opened? Asked of two indexes, for the likeliest alone."""

from __future__ import annotations

from datetime import datetime

from tocsin.decide.recurrence import MOST_MADE, MOST_OPENED, Asked, Earlier, Like, Opening
from tocsin.domain.change import ChangeKind
from tocsin.domain.subject import Subject
from tocsin.store.database import Database, dumped, rows


def read(database: Database, asked: Asked, *, known_at: datetime) -> Earlier:
    """What was known by then of the time that is asked for: nothing from before what was learned was last reset, and
    nothing of the incident itself."""
    incident = asked.incident
    span = {"environment": incident.environment, "since": asked.since, "until": asked.until, "known_at": known_at}
    like = dumped([{"kind": kind, "subject": subject} for kind, subject in asked.like])
    with database.transaction() as connection:
        changes = rows(connection, _MADE, **span, like=like, most=MOST_MADE)
        openings = rows(
            connection, _OPENED, **span, fingerprints=list(asked.fingerprints), id=incident.id, most=MOST_OPENED
        )
    made: dict[Like, list[datetime]] = {}
    for row in changes:
        made.setdefault((ChangeKind(row.kind), Subject(row.subject)), []).append(row.occurred_at)
    opened = [Opening(fingerprint=row.fingerprint, outage=row.outage, at=row.starts_at) for row in openings]
    return Earlier(since=asked.since, until=asked.until, made=made, opened=opened)


_MADE = (
    "SELECT l.kind, l.subject, c.occurred_at"
    " FROM jsonb_to_recordset(CAST(:like AS jsonb)) AS l (kind text, subject text)"
    " CROSS JOIN LATERAL (SELECT occurred_at FROM changes WHERE environment = :environment AND kind = l.kind"
    "  AND subject = l.subject AND occurred_at >= CAST(:since AS timestamptz) AND occurred_at < :until"
    "  AND occurred_at >= (SELECT learn_since FROM installation) AND received_at <= :known_at"
    "  ORDER BY occurred_at DESC LIMIT :most) AS c"
)
_OPENED = (
    "SELECT f.fingerprint, o.outage, o.starts_at FROM unnest(CAST(:fingerprints AS text[])) AS f (fingerprint)"
    " CROSS JOIN LATERAL (SELECT starts_at, COALESCE(incident_id::text, fingerprint || episode) AS outage"
    "  FROM occurrences WHERE environment = :environment AND fingerprint = f.fingerprint"
    # an episode is written down when it has ended; these are the days to look at
    "   AND written_at >= CAST(:since AS timestamptz) AND written_at <= CAST(:known_at AS timestamptz)"
    "   AND starts_at >= :since AND starts_at < :until AND starts_at >= (SELECT learn_since FROM installation)"
    "   AND incident_id IS DISTINCT FROM :id ORDER BY written_at DESC, starts_at DESC LIMIT :most) AS o"
)
