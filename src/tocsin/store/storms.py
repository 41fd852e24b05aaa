"""Storms that are under way: what they absorbed, and how much room the cap has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from tocsin.decide.cap import EXAMPLES, SPAN, audit_line, capped, left, parent, storm_id
from tocsin.decide.plan import Desk
from tocsin.domain.alert import Severity
from tocsin.domain.audit import AuditEntry
from tocsin.domain.policy import Mode, Want
from tocsin.domain.record import Plan, Record
from tocsin.domain.storm import Absorbed, Group, Storm
from tocsin.store.database import Database, bulk, rows, run
from tocsin.store.records import of_incidents


def used(
    connection: Connection, environment: str, destinations: Collection[str], span: timedelta = SPAN
) -> dict[tuple[str, str], int]:
    """How many records each (destination, team) of an environment got within the span; parents of storms apart."""
    if not destinations:
        return {}
    found = rows(
        connection,
        "SELECT destination, team, count(*) AS n FROM records"
        " WHERE destination = ANY(:destinations) AND environment = :environment"
        " AND created_at > clock_timestamp() - CAST(:span AS interval)"
        " AND NOT EXISTS (SELECT FROM storms s WHERE s.id = records.incident_id)"
        " GROUP BY destination, team",
        destinations=sorted(destinations),
        environment=environment,
        span=span,
    )
    return {(row.destination, row.team): int(row.n) for row in found}


def within_caps(
    connection: Connection,
    desk: Desk,
    plans: Sequence[Plan],
    kept: Mapping[UUID, Sequence[Record]],
    *,
    environment: str,
    judged: Sequence[UUID],
    now: datetime,
) -> tuple[list[Plan], list[AuditEntry]]:
    """Of the plans for the incidents that were `judged`, those that the caps let through, and those of the parents that
    stand for the rest; with a line for each incident that must wait. `kept` are the incidents' records so far."""
    new = _new(plans, kept)
    storms = under_way(connection, environment, judged)
    if not new and not storms:
        return list(plans), []
    result = capped(plans, new, used(connection, environment, {p.destination for p in plans if p.id in new}), desk)
    ids, audit = {storm.group: storm.id for storm in storms}, []
    holds = {storm.group: storm.holds for storm in storms}
    for group, found in result.absorbed.items():
        ids.setdefault(group, storm_id(desk.installation_id, group, found[0].incident_id))
        absorb(connection, ids[group], group, found, now=now)
        held = holds.get(group, frozenset())
        audit += [audit_line(one, group, desk, now=now) for one in found if one.incident_id not in held]
    for storm in storms:
        leave(connection, storm.id, left(storm.holds, storm.group, result))
    return [*result.plans, *_parents(connection, desk, list(ids.values()), now=now)], audit


def _new(plans: Sequence[Plan], kept: Mapping[UUID, Sequence[Record]]) -> set[UUID]:
    """Plans of records that the destination has not seen: also of those that leave the shadow."""
    modes = {record.id: record.mode for found in kept.values() for record in found}
    return {p.id for p in plans if p.id not in modes or (modes[p.id] == Mode.SHADOW and p.mode == Mode.LIVE)}


def _parents(connection: Connection, desk: Desk, ids: Sequence[UUID], *, now: datetime) -> list[Plan]:
    storms = tallies(connection, ids)
    known = of_incidents(connection, [storm.id for storm in storms])
    plans = []
    for storm in storms:
        planned, again_at = parent(storm, next(iter(known.get(storm.id, [])), None), desk, now=now)
        plans += [planned] if planned else []
        if again_at:
            look_again(connection, storm.id, again_at)
    return plans


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A storm under way, and which of the incidents that were asked for it still absorbs."""

    id: UUID
    group: Group
    holds: frozenset[UUID]


def under_way(connection: Connection, environment: str, ids: Sequence[UUID]) -> list[Open]:
    """The storms of an environment that have not ended, with those of the incidents `ids` that they absorb."""
    found = rows(
        connection,
        "SELECT s.id, s.destination, s.team, s.critical_page, ARRAY(SELECT a.incident_id FROM absorbed a"
        "  WHERE a.storm_id = s.id AND a.left_at IS NULL AND a.incident_id = ANY(:ids)) AS holds"
        " FROM storms s WHERE s.environment = :environment AND s.ended_at IS NULL ORDER BY s.started_at, s.id",
        environment=environment,
        ids=list(ids),
    )
    return [
        Open(
            id=row.id,
            group=Group(
                environment=environment,
                destination=row.destination,
                team=row.team,
                critical_page=row.critical_page,
            ),
            holds=frozenset(row.holds),
        )
        for row in found
    ]


def absorb(connection: Connection, storm: UUID, group: Group, found: Sequence[Absorbed], *, now: datetime) -> None:
    """Have the storm stand for these incidents; a storm that is not known begins."""
    run(
        connection,
        "INSERT INTO storms (id, environment, destination, team, critical_page, started_at)"
        " VALUES (:id, :environment, :destination, :team, :critical, :now) ON CONFLICT DO NOTHING",
        id=storm,
        environment=group.environment,
        destination=group.destination,
        team=group.team,
        critical=group.critical_page,
        now=now,
    )
    bulk(
        connection,
        "INSERT INTO absorbed AS known (storm_id, incident_id, display, title, severity, rank, want, opened_at)"
        " SELECT storm_id, incident_id, display, title, severity, rank, want, opened_at"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (storm_id uuid, incident_id uuid, display text,"
        "  title text, severity text, rank int, want text, opened_at timestamptz)"
        " ON CONFLICT (storm_id, incident_id) DO UPDATE SET title = excluded.title, severity = excluded.severity,"
        "  rank = excluded.rank, want = excluded.want, left_at = NULL, left_why = ''",
        [
            {
                "storm_id": storm,
                "incident_id": one.incident_id,
                "display": one.display,
                "title": one.title,
                "severity": one.severity,
                "rank": one.severity.rank,
                "want": one.want,
                "opened_at": one.opened_at,
            }
            for one in found
        ],
    )


def leave(connection: Connection, storm: UUID, gone: Mapping[UUID, str]) -> None:
    """These incidents (id → why) stand in the storm no more."""
    run(
        connection,
        "UPDATE absorbed SET left_at = clock_timestamp(), left_why = r.why"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:whys AS text[])) AS r (id, why)"
        " WHERE storm_id = :storm AND incident_id = r.id AND left_at IS NULL",
        storm=storm,
        ids=list(gone),
        whys=list(gone.values()),
    )


def tallies(connection: Connection, ids: Sequence[UUID]) -> list[Storm]:
    """What these storms stand for now. One that absorbs nobody any more has ended with this answer."""
    if not ids:
        return []
    run(
        connection,
        "UPDATE storms SET ended_at = clock_timestamp() WHERE id = ANY(:ids) AND ended_at IS NULL"
        " AND NOT EXISTS (SELECT FROM absorbed a WHERE a.storm_id = storms.id AND a.left_at IS NULL)",
        ids=list(ids),
    )
    found = rows(
        connection,
        "SELECT s.*, (SELECT count(*) FROM absorbed a WHERE a.storm_id = s.id) AS total,"
        " (SELECT count(*) FROM absorbed a WHERE a.storm_id = s.id AND a.left_at IS NULL) AS still"
        " FROM storms s WHERE s.id = ANY(:ids) ORDER BY s.started_at, s.id",
        ids=list(ids),
    )
    return [
        Storm(
            id=row.id,
            group=Group(
                environment=row.environment,
                destination=row.destination,
                team=row.team,
                critical_page=row.critical_page,
            ),
            started_at=row.started_at,
            total=int(row.total),
            still=int(row.still),
            severity=(examples := _examples(connection, row.id))[0].severity if row.total else Severity.WARNING,
            examples=examples,
        )
        for row in found
    ]


def _examples(connection: Connection, storm: UUID) -> tuple[Absorbed, ...]:
    """The worst and oldest, those that are still absorbed first."""
    found = rows(
        connection,
        "SELECT a.* FROM absorbed a WHERE a.storm_id = :storm"
        " ORDER BY a.left_at IS NOT NULL, a.rank, a.opened_at, a.incident_id LIMIT :limit",
        storm=storm,
        limit=EXAMPLES,
    )
    return tuple(
        Absorbed(
            incident_id=row.incident_id,
            display=row.display,
            title=row.title,
            severity=Severity(row.severity),
            want=Want(row.want),
            opened_at=row.opened_at,
        )
        for row in found
    )


def look_again(connection: Connection, storm: UUID, at: datetime) -> None:
    """Have one of the storm's incidents judged at this time: then the storm is looked at too."""
    run(
        connection,
        "UPDATE incidents SET decide_again_at = least(decide_again_at, :at) WHERE id ="
        " (SELECT incident_id FROM absorbed WHERE storm_id = :storm AND left_at IS NULL ORDER BY opened_at LIMIT 1)",
        storm=storm,
        at=at,
    )


def calm(database: Database, caps: Mapping[str, int]) -> int:
    """Have as many absorbed incidents judged again as the caps (destination → records an hour) have room for, the
    worst and oldest first; returns how many."""
    asked = 0
    with database.transaction() as connection:
        storms = rows(connection, "SELECT * FROM storms WHERE ended_at IS NULL ORDER BY critical_page DESC, started_at")
        taken: dict[tuple[str, str, str], int] = {}
        for storm in storms:
            place = (storm.environment, storm.destination, storm.team)
            if place not in taken:
                counts = used(connection, storm.environment, [storm.destination])
                taken[place] = counts.get((storm.destination, storm.team), 0)
            room = caps.get(storm.destination, 0) - taken[place]
            if room <= 0:
                continue
            found = run(
                connection,
                "UPDATE incidents SET decide_again_at = clock_timestamp() WHERE id IN (SELECT a.incident_id"
                " FROM absorbed a WHERE a.storm_id = :storm AND a.left_at IS NULL"
                " ORDER BY a.rank, a.opened_at, a.incident_id LIMIT :room)",
                storm=storm.id,
                room=room,
            )
            taken[place] += found
            asked += found
    return asked
