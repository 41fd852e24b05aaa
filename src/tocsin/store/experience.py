"""What have people confirmed, and what came to nothing? Read from history as it stands: nothing is kept twice.

Every number can thus be read (`tocsin learned`), reset (a moment before which nothing counts) and made again.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from tocsin.decide.experience import Confirmed, Experience, Exposure, learned
from tocsin.domain.audit import AuditEntry
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import ChangeKind
from tocsin.domain.incident import NOT_AMONG_THEM
from tocsin.domain.subject import Subject
from tocsin.store.database import Database, rows, run
from tocsin.store.inbox import write_audit
from tocsin.store.incidents import load_changes_by_id, load_incidents

MOST = 500
"""The latest confirmations; the reference refits on 250 (correlation.md §2.1)."""
KEPT_S = 600.0
"""Exposures are counted anew after this, confirmations at once."""


class Learned:
    """The experience of each environment, read again when somebody has confirmed a cause, or after ten minutes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[str, tuple[tuple[Any, ...], float, Catalog, Experience]] = {}

    def of(self, environment: str, catalog: Catalog) -> Experience:
        """What was learned in this environment, by this catalogue's names."""
        state = _state(self._database, environment)
        kept = self._kept.get(environment)
        if kept and kept[0] == state and kept[2] is catalog and time.monotonic() - kept[1] < KEPT_S:
            return kept[3]
        found = read(self._database, environment, catalog)
        self._kept[environment] = (state, time.monotonic(), catalog, found)
        return found


def _state(database: Database, environment: str) -> tuple[Any, ...]:
    """Cheap to ask, and different after every confirmation and reset."""
    with database.transaction() as connection:
        row = rows(
            connection,
            "SELECT count(*) AS n, md5(string_agg(id::text || confirmed_change, ',' ORDER BY id)) AS causes,"
            " (SELECT learn_since::text FROM installation) AS since FROM incidents"
            " WHERE environment = :environment AND confirmed_change <> ''",
            environment=environment,
        )[0]
    return tuple(row)


def read(database: Database, environment: str, catalog: Catalog) -> Experience:
    """The experience, counted from the database."""
    with database.transaction() as connection:
        exposed = rows(
            connection,
            "SELECT kind, subject, count(*) AS n, min(occurred_at) AS since FROM changes"
            " WHERE environment = :environment AND occurred_at >= (SELECT learn_since FROM installation)"
            " GROUP BY kind, subject",
            environment=environment,
        )
        confirmed = rows(
            connection,
            "SELECT id, confirmed_change, opened_at, attribution->>'onset_at' AS onset_at FROM incidents"
            " WHERE environment = :environment AND confirmed_change <> ''"
            " AND opened_at >= (SELECT learn_since FROM installation) ORDER BY opened_at DESC LIMIT :most",
            environment=environment,
            most=MOST,
        )
        incidents = load_incidents(connection, [row.id for row in confirmed])
        causes = load_changes_by_id(
            connection, environment, [r.confirmed_change for r in confirmed if r.confirmed_change != NOT_AMONG_THEM]
        )
        seen = rows(
            connection,
            "SELECT clock_timestamp() AS at, count(*) AS incidents FROM incidents WHERE environment = :environment"
            " AND opened_at >= (SELECT learn_since FROM installation)",
            environment=environment,
        )[0]
    return learned(
        [_exposure(row) for row in exposed],
        [
            Confirmed(
                cause=causes.get(row.confirmed_change),
                none=row.confirmed_change == NOT_AMONG_THEM,
                members=incidents[row.id].members if row.id in incidents else (),
                onset_at=datetime.fromisoformat(row.onset_at) if row.onset_at else row.opened_at,
            )
            for row in reversed(confirmed)
        ],
        catalog,
        incidents=int(seen.incidents),
        now=seen.at,
    )


def _exposure(row: Row[Any]) -> Exposure:
    return Exposure(kind=ChangeKind(row.kind), subject=Subject(row.subject), changes=int(row.n), since=row.since)


def reset(database: Database, *, actor: str) -> None:
    """Forget all that was learned until now."""
    with database.transaction() as connection:
        run(connection, "UPDATE installation SET learn_since = clock_timestamp()")
        at = rows(connection, "SELECT clock_timestamp() AS at")[0].at
        write_audit(connection, [AuditEntry(at=at, action="learning.reset", reason="asked", actor=actor)])
