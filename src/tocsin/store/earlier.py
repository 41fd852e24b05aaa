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
    like = dumped([{"kind": kind, "subject": subject} for kind, subject in asked.like])
    with database.glance() as connection:
        found = rows(
            connection,
            _EARLIER,
            environment=incident.environment,
            id=incident.id,
            like=like,
            fingerprints=list(asked.fingerprints),
            since=asked.since,
            until=asked.until,
            known_at=known_at,
            most_made=MOST_MADE,
            most_opened=MOST_OPENED,
        )
    made: dict[Like, list[datetime]] = {}
    opened: list[Opening] = []
    for row in found:
        if row.kind:
            made.setdefault((ChangeKind(row.kind), Subject(row.of)), []).append(row.at)
        else:
            opened.append(Opening(fingerprint=row.of, outage=row.outage, at=row.at))
    return Earlier(since=asked.since, until=asked.until, made=made, opened=opened)


# Both in one statement: one round trip, and PostgreSQL comes to plan it once for all. By itself the second is planned
# anew each time for each of its sixty days, which takes four times as long as running it.
_EARLIER = (
    "SELECT l.kind, l.subject AS of, c.occurred_at AS at, NULL AS outage"
    " FROM jsonb_to_recordset(CAST(:like AS jsonb)) AS l (kind text, subject text)"
    " CROSS JOIN LATERAL (SELECT occurred_at FROM changes WHERE environment = :environment AND kind = l.kind"
    "  AND subject = l.subject AND occurred_at >= CAST(:since AS timestamptz) AND occurred_at < :until"
    "  AND occurred_at >= (SELECT learn_since FROM installation) AND received_at <= :known_at"
    "  ORDER BY occurred_at DESC LIMIT :most_made) AS c"
    " UNION ALL SELECT NULL, f.fingerprint, o.starts_at, o.outage"
    " FROM unnest(CAST(:fingerprints AS text[])) AS f (fingerprint)"
    " CROSS JOIN LATERAL (SELECT starts_at, COALESCE(incident_id::text, fingerprint || episode) AS outage"
    "  FROM occurrences WHERE environment = :environment AND fingerprint = f.fingerprint"
    # an episode is written down when it has ended; these are the days to look at
    "   AND written_at >= CAST(:since AS timestamptz) AND written_at <= CAST(:known_at AS timestamptz)"
    "   AND starts_at >= :since AND starts_at < :until AND starts_at >= (SELECT learn_since FROM installation)"
    "   AND incident_id IS DISTINCT FROM :id ORDER BY written_at DESC, starts_at DESC LIMIT :most_opened) AS o"
)
