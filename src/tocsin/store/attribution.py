"""Which incidents must be scored, and their scores, written by compare-and-set outside the decide lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.domain.change import Change
from tocsin.domain.incident import Attribution, Incident
from tocsin.domain.series import Series
from tocsin.store import courses
from tocsin.store.database import Database, dumped, rows, run
from tocsin.store.incidents import load_changes, load_incidents

ROUNDS = (timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=15))
"""When an incident is scored again after the last alert that joined it (correlation.md §2.1)."""

BUSY_S = 10
"""A scorer that took an incident and died is replaced after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    incident: Incident
    round: int
    series: tuple[Series, ...] = ()
    """What its alerts brought of measured courses."""
    until: datetime
    """Taken until then; alerts that join meanwhile make it due before."""


def take_due(database: Database, limit: int = 20) -> list[Due]:
    """Incidents to score now, oldest due first; each is taken for BUSY_S."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE incidents SET attribute_due_at = clock_timestamp() + make_interval(secs => :busy) WHERE id IN ("
            " SELECT id FROM incidents WHERE attribute_due_at <= clock_timestamp() ORDER BY attribute_due_at, id"
            " LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING id, attribute_round, attribute_due_at",
            busy=BUSY_S,
            limit=limit,
        )
        loaded = load_incidents(connection, [row.id for row in found])
        brought = courses.of_incidents(connection, list(loaded.values()))
    return [
        Due(
            incident=loaded[row.id],
            round=row.attribute_round,
            series=brought.get(row.id, ()),
            until=row.attribute_due_at,
        )
        for row in found
        if row.id in loaded
    ]


def keep(database: Database, due: Due, attribution: Attribution, *, tell: bool) -> bool:
    """Write a score unless alerts have joined since it was taken (then it is due again anyway). `tell`: the answer
    changed, so that the incident is decided again."""
    following = ROUNDS[due.round] if due.round < len(ROUNDS) else None
    with database.transaction() as connection:
        kept = bool(
            run(
                connection,
                "UPDATE incidents SET attribution = CAST(:attribution AS jsonb), attribute_round = attribute_round + 1,"
                " attribute_due_at = CASE WHEN attribute_due_at < :until THEN attribute_due_at"
                "  ELSE clock_timestamp() + CAST(:following AS interval) END,"
                " decide_again_at = CASE WHEN :tell THEN clock_timestamp() ELSE decide_again_at END"
                " WHERE id = :id AND attribute_round = :round",
                id=due.incident.id,
                round=due.round,
                until=due.until,
                attribution=dumped(attribution),
                following=following,
                tell=tell,
            )
        )
        if kept and due.series:
            courses.scored(connection, due.incident.id, due.series, attribution.scored_at)
        return kept


def candidates(database: Database, environment: str, since: datetime, until: datetime) -> list[Change]:
    """Changes of an environment in a span of time."""
    with database.transaction() as connection:
        return load_changes(connection, environment, since, until)


def stop(database: Database, incident_id: UUID) -> None:
    """This incident needs no more scoring."""
    with database.transaction() as connection:
        run(connection, "UPDATE incidents SET attribute_due_at = NULL WHERE id = :id", id=incident_id)


def postpone(database: Database, incident_id: UUID, seconds: float) -> None:
    """Score this incident not before so many seconds have passed."""
    with database.transaction() as connection:
        run(
            connection,
            "UPDATE incidents SET attribute_due_at = clock_timestamp() + make_interval(secs => :s) WHERE id = :id",
            id=incident_id,
            s=seconds,
        )
