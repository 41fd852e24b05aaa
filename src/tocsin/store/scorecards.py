"""What did each alert rule lead to? Counted from episodes, incidents and the audit trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from tocsin.domain.alert import Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.scorecard import COMES_BACK, Scorecard, worst_first
from tocsin.domain.subject import Subject
from tocsin.store.database import Database, rows


def scorecards(
    database: Database, catalog: Catalog, *, since: datetime, until: datetime, environment: str = "", team: str = ""
) -> list[Scorecard]:
    """A scorecard for each rule that fired in a span of time, worst first; of one team when `team` is given. The owner
    is who owns what fired under this catalogue."""
    values = {"since": since, "until": until, "environment": environment, "comes_back": COMES_BACK}
    with database.transaction() as connection:
        fired = rows(connection, _FIRED, **values)
        ids = sorted({incident_id for row in fired for incident_id in row.incidents})
        facts = {row.id: row for row in rows(connection, _INCIDENTS, ids=ids)}
    cards: dict[tuple[str, str, str], _Count] = {}
    for row in fired:
        owner = catalog.owner(Subject(row.subject), Symptom(row.symptom))
        key = (row.name, row.source, owner.team if owner else "")
        cards.setdefault(key, _Count()).add(row)
    days = (until - since) / timedelta(days=1)
    return worst_first([_card(key, count, facts, days) for key, count in cards.items() if team in ("", key[2])])


@dataclass(slots=True)
class _Count:
    fired: int = 0
    busiest: int = 0
    came_back: int = 0
    lasted: list[float] = field(default_factory=list)
    incidents: set[UUID] = field(default_factory=set)

    def add(self, row: Row[Any]) -> None:
        self.fired += row.fired
        self.busiest = max(self.busiest, row.fired)
        self.came_back += row.came_back
        self.lasted += [seconds for seconds in row.lasted if seconds is not None]
        self.incidents |= set(row.incidents)


def _card(key: tuple[str, str, str], count: _Count, facts: dict[UUID, Row[Any]], days: float) -> Scorecard:
    known = [facts[incident_id] for incident_id in sorted(count.incidents) if incident_id in facts]
    recorded = [row for row in known if row.recorded]
    judged = [row for row in recorded if row.acted or row.resolved]
    return Scorecard(
        name=key[0],
        source=key[1],
        owner=key[2],
        fired=count.fired,
        incidents=len(known),
        recorded=len(recorded),
        judged=len(judged),
        acted=sum(row.acted for row in judged),
        told=sum(row.told for row in recorded),
        came_back=count.came_back,
        busiest=count.busiest,
        days=round(days, 2),
        median=timedelta(seconds=median(count.lasted)) if count.lasted else None,
        muted=_held(known),
    )


def _held(known: Sequence[Row[Any]]) -> dict[str, int]:
    return dict(sorted(Counter(row.held_by for row in known if not row.recorded and row.held_by).items()))


_FIRED = """
WITH episodes AS (
    SELECT environment, fingerprint, incident_id, starts_at, ends_at FROM occurrences
        WHERE written_at >= :since AND starts_at >= :since AND starts_at < :until
    UNION ALL
    SELECT environment, fingerprint, incident_id, CAST(state->>'starts_at' AS timestamptz), NULL FROM alerts
        WHERE status = 'firing' AND CAST(state->>'starts_at' AS timestamptz) >= :since
            AND CAST(state->>'starts_at' AS timestamptz) < :until),
seen AS (
    SELECT *, starts_at - lag(ends_at) OVER (PARTITION BY environment, fingerprint ORDER BY starts_at)
        < CAST(:comes_back AS interval) AS back
    FROM episodes WHERE :environment IN ('', environment))
SELECT a.state->'alert'->>'name' AS name, a.state->'alert'->>'source' AS source,
    a.state->'alert'->>'subject' AS subject, a.state->'alert'->>'symptom' AS symptom,
    count(*) AS fired, count(*) FILTER (WHERE s.back) AS came_back,
    array_agg(CAST(extract(epoch FROM s.ends_at - s.starts_at) AS float8)) AS lasted,
    coalesce(array_agg(DISTINCT s.incident_id) FILTER (WHERE s.incident_id IS NOT NULL), '{}') AS incidents
FROM seen s JOIN alerts a USING (environment, fingerprint) GROUP BY 1, 2, 3, 4
"""

_INCIDENTS = """
SELECT i.id, i.state = 'resolved' AS resolved,
    i.human_touched OR i.confirmed_change <> '' OR coalesce(i.hands->>'acknowledged_by', '') <> '' AS acted,
    EXISTS (SELECT FROM records r WHERE r.incident_id = i.id) AS recorded,
    coalesce(i.enrichment->>'runbook', '') <> ''
        OR coalesce(i.attribution->'suspects'->0->>'band', '') IN ('likely', 'suspect')
        OR coalesce(i.enrichment->'advice'->0->>'kind', 'wait') NOT IN ('wait', 'investigate') AS told,
    (SELECT l.reason FROM audit l WHERE l.incident_id = i.id AND l.action = 'incident.decided'
        AND l.reason NOT IN ('page', 'ticket', 'none') ORDER BY l.id DESC LIMIT 1) AS held_by
FROM incidents i WHERE i.id = ANY(:ids)
"""
