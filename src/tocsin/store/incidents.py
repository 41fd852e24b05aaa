"""Incidents as stored, with their members, changes and like ones of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row

from tocsin.domain.alert import AlertState, Status
from tocsin.domain.change import Change
from tocsin.domain.incident import Attribution, Enrichment, Gate, Incident, IncidentState, Routing, Similar
from tocsin.domain.people import NOBODY, Hands
from tocsin.store.database import dumped, rows

STATE = TypeAdapter(AlertState)
CHANGE = TypeAdapter(Change)
ATTRIBUTION = TypeAdapter(Attribution)
ENRICHMENT = TypeAdapter(Enrichment)
GATE = TypeAdapter(Gate)
ROUTING = TypeAdapter(Routing)
HANDS = TypeAdapter(Hands)

MAX_MEMBERS = 200
"""Members of one incident that are looked at whole, the firing ones and the worst first; the rest only counts."""

MAX_CHANGES = 5000
"""Changes that are looked at as possible causes: 70 an hour over three days."""


@lru_cache(maxsize=2048)
def state_of(told: str) -> AlertState:
    """An alert's state from its row. In a storm a growing incident is judged and scored again and again with the same
    members: what has not moved is not read again."""
    return STATE.validate_json(told)


def load_incidents(
    connection: Connection, ids: Sequence[UUID], known: Mapping[str, AlertState] | None = None
) -> dict[UUID, Incident]:
    """Incidents by id, each with at most MAX_MEMBERS members. Alerts in `known` (by fingerprint, as they stand in the
    database) are not read again."""
    if not ids:
        return {}
    heads = rows(connection, "SELECT * FROM incidents WHERE id = ANY(:ids)", ids=list(ids))
    members = rows(
        connection,
        "SELECT i.id, a.fingerprint FROM unnest(CAST(:ids AS uuid[])) AS i (id)"
        " JOIN LATERAL (SELECT fingerprint FROM alerts WHERE incident_id = i.id"
        "  ORDER BY status, state->>'starts_at', fingerprint LIMIT :limit) AS a ON true",
        ids=list(ids),
        limit=MAX_MEMBERS,
    )
    states = dict(known or {})
    states |= _states_of(connection, ids, [row.fingerprint for row in members if row.fingerprint not in states])
    by_incident: dict[UUID, list[AlertState]] = {}
    for row in members:
        by_incident.setdefault(row.id, []).append(states[row.fingerprint])
    for incident_id, left in _left(connection, ids, min((row.opened_at for row in heads), default=None)).items():
        by_incident.setdefault(incident_id, []).extend(left)
    return {row.id: incident_of(row, tuple(by_incident.get(row.id, ()))) for row in heads}


def _left(connection: Connection, ids: Sequence[UUID], since: datetime | None) -> dict[UUID, list[AlertState]]:
    """Members that fire again in a later incident by now, as they ended in this one: it is still about them, whether
    it is decided before they moved on or after."""
    found = rows(
        connection,
        "SELECT o.incident_id, o.starts_at, o.ends_at, a.state::text AS state FROM ("
        "  SELECT DISTINCT ON (incident_id, fingerprint) * FROM occurrences WHERE incident_id = ANY(:ids)"
        # days to look at: every day of the past and the coming ones has a partition of its own
        "   AND written_at >= CAST(:since AS timestamptz) - interval '1 hour'"
        "   AND written_at < now() + interval '1 hour'"
        "  ORDER BY incident_id, fingerprint, episode DESC) AS o"
        " JOIN alerts a ON a.environment = o.environment AND a.fingerprint = o.fingerprint"
        "  AND a.incident_id IS DISTINCT FROM o.incident_id"
        " ORDER BY o.incident_id, o.starts_at, o.fingerprint LIMIT :limit",
        ids=list(ids),
        since=since,
        limit=MAX_MEMBERS * len(ids),
    )
    left: dict[UUID, list[AlertState]] = {}
    for row in found:
        state = state_of(row.state)
        ended = replace(
            state,
            alert=replace(state.alert, window_starts_at=None),  # it is the later episode's
            status=Status.RESOLVED,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            firing_keys=(),
            flapping_until=None,
            expires_at=None,
            incident_id=row.incident_id,
        )
        left.setdefault(row.incident_id, []).append(ended)
    return left


def _states_of(connection: Connection, ids: Sequence[UUID], fingerprints: Sequence[str]) -> dict[str, AlertState]:
    if not fingerprints:
        return {}
    found = rows(
        connection,
        "SELECT fingerprint, state::text AS state FROM alerts"
        " WHERE incident_id = ANY(:ids) AND fingerprint = ANY(:fingerprints)",
        ids=list(ids),
        fingerprints=list(fingerprints),
    )
    return {row.fingerprint: state_of(row.state) for row in found}


def incident_of(row: Row[Any], members: tuple[AlertState, ...]) -> Incident:
    """The incident that a row and its members make."""
    return Incident(
        id=row.id,
        number=row.number,
        environment=row.environment,
        state=IncidentState(row.state),
        opened_at=row.opened_at,
        last_alert_at=row.last_alert_at,
        resolved_at=row.resolved_at,
        members=members,
        reopened=row.reopened,
        parent_id=row.parent_id,
        attribution=ATTRIBUTION.validate_python(row.attribution) if row.attribution else None,
        enrichment=ENRICHMENT.validate_python(row.enrichment) if row.enrichment else None,
        gate=GATE.validate_python(row.gate) if row.gate else None,
        routing=ROUTING.validate_python(row.routing) if row.routing else None,
        reassigned=row.reassigned,
        human_touched=row.human_touched,
        confirmed_change=row.confirmed_change,
        hands=HANDS.validate_python(row.hands) if row.hands else NOBODY,
    )


def load_changes(connection: Connection, environment: str, since: datetime, until: datetime) -> list[Change]:
    """Changes of an environment in a span of time, oldest first; of more than MAX_CHANGES the latest."""
    found = rows(
        connection,
        "SELECT change::text AS change FROM changes WHERE environment = :environment"
        " AND occurred_at BETWEEN :since AND :until ORDER BY occurred_at DESC, id DESC LIMIT :limit",
        environment=environment,
        since=since,
        until=until,
        limit=MAX_CHANGES,
    )
    return [_change(row.change) for row in reversed(found)]


def load_changes_by_id(connection: Connection, environment: str, ids: Sequence[str]) -> dict[str, Change]:
    """Changes by id; those that retention has taken are missing."""
    found = rows(
        connection,
        "SELECT change::text AS change FROM changes WHERE environment = :environment AND id = ANY(:ids)",
        environment=environment,
        ids=list(ids),
    )
    return {change.id: change for change in (_change(row.change) for row in found)}


@lru_cache(maxsize=4096)
def _change(text: str) -> Change:
    """Each incident is judged and scored beside the same changes of three days."""
    return CHANGE.validate_json(text)


def load_similar(
    connection: Connection, environment: str, incidents: Sequence[Incident], limit: int
) -> dict[UUID, list[Similar]]:
    """For each of these incidents the latest resolved ones that share its head subject or a member's alert."""
    found = rows(
        connection,
        "SELECT a.id, s.number, s.title, s.resolved_at, s.confirmed_change,"
        " (SELECT r.number FROM records r WHERE r.incident_id = s.id AND r.number <> '' ORDER BY r.created_at LIMIT 1)"
        "  AS record_number"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS a (id uuid, subjects text[], fingerprints text[])"
        " CROSS JOIN LATERAL (SELECT * FROM incidents i WHERE i.environment = :environment AND i.state = 'resolved'"
        "  AND i.id <> a.id AND (i.enrichment->>'head' = ANY(a.subjects) OR EXISTS (SELECT FROM occurrences o"
        "   WHERE o.incident_id = i.id AND o.fingerprint = ANY(a.fingerprints)))"
        "  ORDER BY i.resolved_at DESC LIMIT :limit) AS s ORDER BY a.id, s.resolved_at DESC",
        rows=dumped(
            [
                {
                    "id": incident.id,
                    "subjects": [str(subject) for subject in incident.subjects],
                    "fingerprints": [member.fingerprint for member in incident.members[:50]],
                }
                for incident in incidents
            ]
        ),
        environment=environment,
        limit=limit,
    )
    similar: dict[UUID, list[Similar]] = {}
    for row in found:
        one = Similar(
            number=f"TOC-{row.number}",
            record_number=row.record_number or "",
            title=row.title,
            cause=row.confirmed_change,
            resolved_at=row.resolved_at,
        )
        similar.setdefault(row.id, []).append(one)
    return similar
