"""Which incidents may have to do with these: share their cause, or have begun while a check looked?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from tocsin.decide.fold import SHORTLY
from tocsin.decide.merging import STAY, causes_of
from tocsin.domain.family import Kin
from tocsin.domain.incident import NOT_AMONG_THEM, Incident
from tocsin.store.database import rows, run


def near(connection: Connection, environment: str, incidents: Iterable[Incident]) -> list[Kin]:
    """Open incidents of the environment that are parent or child of one of these, or share a cause with one that both
    are sure enough of to stay joined."""
    these = list(incidents)
    if not these:
        return []
    known = [causes_of(incident) for incident in these]
    causes = sorted({cause for causes, probability in known if probability > STAY for cause in causes})
    found = rows(
        connection,
        "SELECT i.id, i.number, i.title, i.opened_at, i.parent_id, i.confirmed_change,"
        " i.attribution->'suspects'->0->'change'->>'id' AS change, i.attribution->'suspects'->0->'members' AS members,"
        " CAST(i.attribution->'suspects'->0->>'probability' AS float8) AS probability,"
        " (SELECT jsonb_object_agg(r.destination, jsonb_build_array(r.external_id, r.number) ORDER BY r.generation)"
        "  FROM records r WHERE r.incident_id = i.id AND r.wanted->>'status' = 'open' AND r.state <> 'closed')"
        "  AS records"
        " FROM incidents i WHERE i.environment = :environment AND i.state = 'open' AND (i.id = ANY(:parents)"
        "  OR i.parent_id = ANY(:ids) OR i.confirmed_change = ANY(:causes)"
        "  OR :sure AND CAST(i.attribution->'suspects'->0->>'probability' AS float8) > :stay"
        "   AND (i.attribution->'suspects'->0->'change'->>'id' = ANY(:causes)"
        "    OR jsonb_exists_any(i.attribution->'suspects'->0->'members', CAST(:causes AS text[]))))"
        " ORDER BY i.opened_at, i.id LIMIT 500",
        environment=environment,
        ids=[incident.id for incident in these],
        parents=[incident.parent_id for incident in these if incident.parent_id is not None],
        causes=causes,
        sure=bool(causes),
        stay=STAY,
    )
    return [_kin(row) for row in found]


def alive_since(connection: Connection, environment: str, since: datetime) -> list[UUID]:
    """Incidents that were not over before that time and have alerted since, or shortly before: at most 500, those that
    grew last. A check that looked at hours may tell of any of them."""
    found = rows(
        connection,
        "SELECT id FROM incidents WHERE environment = :environment AND last_alert_at >= :since_shortly"
        " AND (state = 'open' OR resolved_at >= :since) ORDER BY last_alert_at DESC, id LIMIT 500",
        environment=environment,
        since=since,
        since_shortly=since - SHORTLY,
    )
    return [row.id for row in found]


def ask_again(connection: Connection, ids: Collection[UUID]) -> None:
    """Have these incidents decided again at once."""
    if ids:
        run(
            connection,
            "UPDATE incidents SET decide_again_at = clock_timestamp() WHERE id = ANY(:ids)",
            ids=sorted(ids),
        )


def ask_children(connection: Connection, parent_id: UUID) -> None:
    """Have those children decided again that have tickets of their own: their parent's has just been opened."""
    run(
        connection,
        "UPDATE incidents AS i SET decide_again_at = clock_timestamp() WHERE parent_id = :parent_id"
        " AND EXISTS (SELECT FROM records r WHERE r.incident_id = i.id)",
        parent_id=parent_id,
    )


def _kin(row: Row[Any]) -> Kin:
    causes: Sequence[str] = [row.change, *(row.members or ())] if row.change else []
    probability = row.probability or 0.0
    if row.confirmed_change:
        causes, probability = [row.confirmed_change], 1.0
    if row.confirmed_change == NOT_AMONG_THEM:
        causes, probability = [], 0.0
    return Kin(
        id=row.id,
        display=f"TOC-{row.number}",
        title=row.title,
        opened_at=row.opened_at,
        parent_id=row.parent_id,
        causes=frozenset(causes),
        probability=probability,
        records={name: (known[0], known[1]) for name, known in (row.records or {}).items()},
    )
