"""What have people confirmed, and what came to nothing? Read from history as it stands: nothing is kept twice.

Every number can thus be read (`tocsin learned`), reset (a moment before which nothing counts) and made again. All of it
stands as of the latest confirmed incident, so that it moves by people's words alone, and never with the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from tocsin.decide.candidates import in_reach
from tocsin.decide.experience import COLD, Confirmed, Experience, Exposure, learned
from tocsin.decide.guard import LATEST, LEARNED, NO_RECORD, RIVALS, Record, Trial, judged
from tocsin.decide.recurrence import Asked, Earlier
from tocsin.domain.audit import AuditEntry
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import NOT_AMONG_THEM, Incident
from tocsin.domain.subject import Subject
from tocsin.store import earlier, lineage
from tocsin.store.database import Database, rows, run
from tocsin.store.inbox import write_audit
from tocsin.store.incidents import ATTRIBUTION, load_changes_by_id, load_incidents

MOST = 500
"""The latest confirmations; the reference refits on 250 (correlation.md §2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What confirmed causes have taught, and the record of everybody who had foreseen them or not."""

    experience: Experience = COLD
    record: Record = NO_RECORD


class Learned:
    """What each environment has learned, read again when somebody has confirmed a cause. `known_at`, for a replay: only
    what people had said by that moment counts."""

    def __init__(self, database: Database, *, known_at: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._known_at = known_at
        self._kept: dict[str, tuple[tuple[Any, ...], Catalog, Taught]] = {}

    def of(self, environment: str, catalog: Catalog) -> Taught:
        """What was learned in this environment, by this catalogue's names."""
        known_at = self._known_at() if self._known_at else None
        state = _state(self._database, environment, known_at)
        kept = self._kept.get(environment)
        if kept and kept[0] == state and kept[1] is catalog:
            return kept[2]
        found = read(self._database, environment, catalog, known_at=known_at)
        self._kept[environment] = (state, catalog, found)
        return found

    def earlier(self, question: Asked, *, known_at: datetime) -> Earlier:
        """What was known by then of the time before an incident."""
        return earlier.read(self._database, question, known_at=known_at)


_CONFIRMED = (
    "environment = :environment AND confirmed_change <> '' AND (CAST(:known_at AS timestamptz) IS NULL OR NOT EXISTS"
    " (SELECT FROM audit l WHERE l.incident_id = incidents.id AND l.action = 'cause.confirmed' AND l.at > :known_at))"
)


def _state(database: Database, environment: str, known_at: datetime | None) -> tuple[Any, ...]:
    """Cheap to ask, and different after every confirmation and reset."""
    with database.transaction() as connection:
        row = rows(
            connection,
            "SELECT count(*) AS n, md5(string_agg(id::text || confirmed_change, ',' ORDER BY id)) AS causes,"  # noqa: S608
            f" (SELECT learn_since::text FROM installation) AS since FROM incidents WHERE {_CONFIRMED}",
            environment=environment,
            known_at=known_at,
        )[0]
    return tuple(row)


def read(database: Database, environment: str, catalog: Catalog, *, known_at: datetime | None = None) -> Taught:
    """What was learned and the record beside it, counted from the database; of what people had said by `known_at`. The
    lineage is that as of the latest confirmed incident: this too moves by people's words alone."""
    with database.transaction() as connection:
        confirmed = rows(
            connection,
            "SELECT id, confirmed_change, opened_at, attribution, attribution->>'onset_at' AS onset_at,"  # noqa: S608
            " attribution->>'onset_after' AS onset_after,"
            f" attribution->>'scored_at' AS scored_at FROM incidents WHERE {_CONFIRMED}"
            " AND opened_at >= (SELECT learn_since FROM installation) ORDER BY opened_at DESC, id DESC LIMIT :most",
            environment=environment,
            known_at=known_at,
            most=MOST,
        )
        if not confirmed:
            return Taught()
        counted = _counted(connection, environment, confirmed)
        catalog = lineage.of(connection, environment, catalog, counted.scored_at)
    experience = learned(
        [_exposure(row) for row in counted.exposed],
        [
            Confirmed(
                cause=counted.causes.get(row.confirmed_change),
                none=row.confirmed_change == NOT_AMONG_THEM,
                members=counted.incidents[row.id].members if row.id in counted.incidents else (),
                onset_at=_moment(row.onset_at, row.opened_at),
                onset_after=datetime.fromisoformat(row.onset_after) if row.onset_after else None,
            )
            for row in reversed(confirmed)
        ],
        catalog,
        incidents=counted.seen,
        now=counted.scored_at,
    )
    return Taught(experience=experience, record=judged(_trials(confirmed, counted.causes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What stood beside the confirmed incidents, as of the latest of them."""

    exposed: Sequence[Row[Any]]
    incidents: dict[UUID, Incident]
    causes: dict[str, Change]
    seen: int
    scored_at: datetime


def _counted(connection: Connection, environment: str, confirmed: Sequence[Row[Any]]) -> _Counted:
    last = confirmed[0]
    scored_at = _moment(last.scored_at, last.opened_at)
    exposed = rows(
        connection,
        "SELECT kind, subject, count(*) AS n, min(occurred_at) AS since FROM changes"
        " WHERE environment = :environment AND occurred_at >= (SELECT learn_since FROM installation)"
        " AND occurred_at <= :onset_at AND received_at <= :scored_at GROUP BY kind, subject",
        environment=environment,
        onset_at=_moment(last.onset_at, last.opened_at),
        scored_at=scored_at,
    )
    named = [row.confirmed_change for row in confirmed if row.confirmed_change != NOT_AMONG_THEM]
    seen = rows(
        connection,
        "SELECT count(*) AS incidents FROM incidents WHERE environment = :environment"
        " AND opened_at >= (SELECT learn_since FROM installation) AND (opened_at, id) <= (:opened_at, :id)",
        environment=environment,
        opened_at=last.opened_at,
        id=last.id,
    )[0]
    return _Counted(
        exposed=exposed,
        incidents=load_incidents(connection, [row.id for row in confirmed]),
        causes=load_changes_by_id(connection, environment, named),
        seen=int(seen.incidents),
        scored_at=scored_at,
    )


def _moment(text: str | None, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else otherwise


def _trials(confirmed: Sequence[Row[Any]], causes: dict[str, Change]) -> list[Trial]:
    """What everybody had answered to the latest confirmed incidents, oldest first. Without answers (an older release
    scored it) or with a cause that no longer is known nobody is judged."""
    found = []
    for row in reversed(confirmed[:LATEST]):
        none = row.confirmed_change == NOT_AMONG_THEM
        if row.attribution is None or not (none or row.confirmed_change in causes):
            continue
        scored = ATTRIBUTION.validate_python(row.attribution)
        if {LEARNED, *RIVALS} <= set(scored.answers):
            named = not none and in_reach(causes[row.confirmed_change].occurred_at, scored.onset_at)
            cause = row.confirmed_change if named else ""
            found.append(Trial(answers=scored.answers, candidates=scored.candidates, cause=cause))
    return found


def _exposure(row: Row[Any]) -> Exposure:
    return Exposure(kind=ChangeKind(row.kind), subject=Subject(row.subject), changes=int(row.n), since=row.since)


def reset(database: Database, *, actor: str) -> None:
    """Forget all that was learned until now."""
    with database.transaction() as connection:
        run(connection, "UPDATE installation SET learn_since = clock_timestamp()")
        at = rows(connection, "SELECT clock_timestamp() AS at")[0].at
        write_audit(connection, [AuditEntry(at=at, action="learning.reset", reason="asked", actor=actor)])
