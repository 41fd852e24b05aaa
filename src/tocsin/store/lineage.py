"""Which lineage had runs told by some hour? One row for each edge and day, written with the changes that tell it.

What an hour knows follows from the messages received before it, in whatever order they were understood: an edge counts
when a row's first telling lies before the hour, within FORGOTTEN_AFTER, and after the last reset before the hour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from tocsin.decide.lineage import FORGOTTEN_AFTER, MOST_EDGES, Edge, Told, hour_of, seen_at, taught, with_learned
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident
from tocsin.domain.policy import Retention
from tocsin.domain.subject import Subject
from tocsin.store.database import Database, bulk, rows, run

HOURS = 64
"""Of these many hours and environments the catalogues are kept."""
MOST_ROWS = 1_000_000
"""270 MB; 5,000 edges told daily fill it in more than half a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A catalogue with the edges of an hour. Not `settled`: a message from before it may still wait to be read."""

    written: Catalog
    edges: tuple[Edge, ...]
    catalog: Catalog
    settled: bool


class Lineage:
    """Catalogues with what runs had told by an hour, asked for once an hour and environment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[str, datetime], _Seen] = OrderedDict()

    def of(self, environment: str, catalog: Catalog, at: datetime) -> Catalog:
        """The catalogue as an alert sees it that was received then: the very same object for as long as nothing is
        learned or forgotten, so that its tables are made once."""
        key = environment, hour_of(at)
        kept = self._kept.get(key)
        if kept is not None and kept.settled and kept.written is catalog:
            return kept.catalog
        with self._database.glance() as connection:
            edges, settled = _edges(connection, environment, key[1])
        alike = (seen.catalog for seen in self._kept.values() if seen.written is catalog and seen.edges == edges)
        made = next(alike, None) or with_learned(catalog, edges)
        self._kept[key] = _Seen(written=catalog, edges=edges, catalog=made, settled=settled)
        if len(self._kept) > HOURS:
            self._kept.popitem(last=False)
        return made

    def seen_by(self, incident: Incident, catalog: Catalog) -> Catalog:
        """The catalogue as this incident sees it."""
        return self.of(incident.environment, catalog, seen_at(incident))

    def unchanged(self, environment: str, catalog: Catalog, received: Sequence[datetime]) -> int:
        """How many of these signals, in receipt order, see the same lineage as the first."""
        if not received or hour_of(received[0]) == hour_of(received[-1]):
            return len(received)
        first = self.of(environment, catalog, received[0])
        changes = (n for n, at in enumerate(received) if self.of(environment, catalog, at) is not first)
        return next(changes, len(received))


def of(connection: Connection, environment: str, catalog: Catalog, at: datetime) -> Catalog:
    """The catalogue with what runs had told by the full hour before `at`."""
    return with_learned(catalog, _edges(connection, environment, hour_of(at))[0])


def _edges(connection: Connection, environment: str, hour: datetime) -> tuple[tuple[Edge, ...], bool]:
    """What was known by the hour, and whether that is settled."""
    [row] = rows(
        connection,
        f"SELECT ARRAY(SELECT ARRAY[upstream, downstream] FROM ({_TOLD}) AS told) AS edges,"  # noqa: S608 our own text
        " NOT EXISTS (SELECT FROM inbox WHERE environment IN (:environment, '*') AND received_at < :until) AS settled",
        environment=environment,
        until=hour,
        age=FORGOTTEN_AFTER,
        most=MOST_EDGES,
    )
    return tuple((Subject(above), Subject(below)) for above, below in row.edges), bool(row.settled)


_TOLD = """
SELECT upstream, downstream, min(told_at) AS first_told_at, max(told_at) AS last_told_at,
    count(DISTINCT (told_at AT TIME ZONE 'UTC')::date) AS days
FROM lineage WHERE environment = :environment AND told_at < :until AND told_at >= :until - CAST(:age AS interval)
    AND told_at >= (SELECT CASE WHEN learn_since <= :until THEN learn_since ELSE '-infinity' END FROM installation)
GROUP BY upstream, downstream ORDER BY days DESC, last_told_at DESC, upstream, downstream LIMIT :most
"""


def told(connection: Connection, environment: str, until: datetime) -> list[Told]:
    """Every learned edge that was told before then and is not forgotten, those told on most days first."""
    found = rows(connection, _TOLD, environment=environment, until=until, age=FORGOTTEN_AFTER, most=MOST_EDGES)
    return [
        Told(
            upstream=Subject(row.upstream),
            downstream=Subject(row.downstream),
            first_told_at=row.first_told_at,
            last_told_at=row.last_told_at,
            days=row.days,
        )
        for row in found
    ]


def keep(connection: Connection, changes: Sequence[Change]) -> None:
    """Note what these runs tell. What is known of the day is not written again: a job that runs every minute costs one
    row a day for each edge."""
    said = {(change.environment, *edge, change.received_at) for change in changes for edge in taught(change)}
    names = ("environment", "upstream", "downstream", "told_at")
    bulk(connection, _KEEP, [dict(zip(names, one, strict=True)) for one in sorted(said)])


# least() and the order of the rows: any two readers of the same messages leave the same rows, and never wait in a ring
_KEEP = """
WITH said AS (
    SELECT environment, upstream, downstream, min(told_at) AS told_at,
        greatest(date_trunc('day', told_at, 'UTC'), CASE WHEN learn_since <= told_at THEN learn_since END) AS since
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (environment text, upstream text, downstream text, told_at timestamptz), installation
    GROUP BY environment, upstream, downstream, 5)
INSERT INTO lineage AS known (environment, upstream, downstream, since, told_at)
SELECT environment, upstream, downstream, since, told_at FROM said
WHERE NOT EXISTS (SELECT FROM lineage l WHERE l.environment = said.environment AND l.downstream = said.downstream
    AND l.upstream = said.upstream AND l.since = said.since AND l.told_at <= said.told_at)
ORDER BY environment, downstream, upstream, since
ON CONFLICT (environment, downstream, upstream, since) DO UPDATE SET told_at = least(known.told_at, excluded.told_at)
"""


def forget(connection: Connection, retention: Retention) -> None:
    """Drop what was told before the audit trail begins, and all but the latest MOST_ROWS."""
    run(
        connection,
        "DELETE FROM lineage WHERE told_at <= greatest(now() - make_interval(days => :days),"
        " (SELECT told_at FROM lineage ORDER BY told_at DESC OFFSET :most LIMIT 1))",
        days=max(retention.audit.days, FORGOTTEN_AFTER.days),
        most=MOST_ROWS,
    )
