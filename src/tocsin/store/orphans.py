"""What do senders speak of that the catalogue does not know?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.domain.subject import Subject
from tocsin.store.database import Database, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A subject as alerts and changes name it."""

    subject: Subject
    alerts: int
    changes: int
    sources: tuple[str, ...]
    last_at: datetime


_SPOKEN = """
WITH said AS (
    SELECT state->'alert'->>'subject' AS subject, state->'alert'->>'source' AS source,
           last_received_at AS at, 1 AS alert
    FROM alerts WHERE last_received_at >= :since
    UNION ALL
    SELECT subject, change->>'source', received_at, 0 FROM changes WHERE received_at >= :since
)
SELECT subject, sum(alert) AS alerts, count(*) - sum(alert) AS changes, max(at) AS last_at,
       array_agg(DISTINCT source ORDER BY source) AS sources
FROM said GROUP BY subject ORDER BY max(at) DESC
"""


def spoken_of(database: Database, *, within: timedelta) -> list[Spoken]:
    """Every subject of the alerts and changes of this span, the latest first; an alert counts once however often it
    was repeated."""
    with database.transaction() as connection:
        found = rows(connection, _SPOKEN, since=database.now() - within)
    return [
        Spoken(
            subject=Subject(row.subject),
            alerts=int(row.alerts),
            changes=int(row.changes),
            sources=tuple(row.sources),
            last_at=row.last_at,
        )
        for row in found
    ]


def unknown(spoken: list[Spoken], known: Mapping[Subject, object]) -> list[Spoken]:
    """Those that are not in the catalogue; what we say of ourselves needs no entry."""
    return [one for one in spoken if one.subject not in known and one.subject != Subject("service:tocsin")]
