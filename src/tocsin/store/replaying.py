"""A past period decided again: a scratch database with a clock of its own, and what a period came to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from tocsin.decide.lineage import FORGOTTEN_AFTER
from tocsin.domain.errors import BadSetting
from tocsin.store.database import Database, bulk, migrate, rows, run

SCRATCH = "tocsin_replay_"
"""Scratch databases are named so, with the moment of their making."""

# Unqualified names are looked up in pg_catalog first unless the search path says otherwise: here every
# clock_timestamp() of our queries asks the replayed clock.
_CLOCK = """
CREATE SCHEMA replayed;
CREATE TABLE replayed.clock (at timestamptz NOT NULL);
INSERT INTO replayed.clock VALUES ('-infinity');
CREATE TABLE replayed.sent (id uuid PRIMARY KEY, external_id text, number text, url text);
CREATE FUNCTION replayed.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT at FROM replayed.clock';
CREATE FUNCTION replayed.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM replayed.clock'
"""


LEFT_OVER = timedelta(days=1)
"""A scratch database this old belongs to nobody any more: its replay was killed."""


def scratch_name(now: datetime, word: str) -> str:
    """A name that no other replay has; `word` is random."""
    return f"{SCRATCH}{now:%Y%m%d%H%M%S}_{word}"


def drop_left_over(admin_url: str, *, now: datetime) -> None:
    """Drop the scratch databases of replays that were killed."""
    admin = create_engine(admin_url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            old = rows(
                connection,
                "SELECT datname FROM pg_database WHERE datname ~ :pattern AND datname < :newest"
                " AND pg_has_role(datdba, 'MEMBER')",
                pattern=f"^{SCRATCH}[0-9]{{14}}_[0-9a-f]+$",
                newest=scratch_name(now - LEFT_OVER, ""),
            )
            for row in old:
                connection.execute(text(f'DROP DATABASE IF EXISTS "{row.datname}"'))
    finally:
        admin.dispose()


@contextmanager
def scratch(database: Database, *, admin_url: str, name: str) -> Iterator[Database]:
    """An empty, migrated database beside this one whose clock is set by `set_clock`; dropped at the end, come what
    may. `admin_url` may create databases; `name` begins with SCRATCH. Raises BadSetting when it may not."""
    url = make_url(database.url).set(database=name)
    owner = make_url(database.url).username
    admin = create_engine(admin_url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            try:
                connection.execute(text(f'CREATE DATABASE "{name}"' + (f' OWNER "{owner}"' if owner else "")))
            except ProgrammingError as error:
                who = make_url(admin_url).username
                raise BadSetting(
                    f"a replay needs a scratch database, and {who} may not create one ({error.orig}); as the"
                    f" administrator of PostgreSQL: ALTER ROLE {who} CREATEDB"
                ) from None
        made = Database(url.render_as_string(hide_password=False), pool_size=2)
        try:
            _furnish(made, name)
            yield made
        finally:
            made.close()
            with admin.connect() as connection:
                connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    finally:
        admin.dispose()


def _furnish(made: Database, name: str) -> None:
    migrate(made.url)
    with made.transaction() as connection:
        for statement in _CLOCK.split(";"):
            connection.execute(text(statement))
        connection.execute(text(f'ALTER DATABASE "{name}" SET search_path = replayed, pg_catalog, public'))
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))  # it may be lost
    made.close()  # the search path is a new connection's


def set_clock(made: Database, at: datetime) -> None:
    """From now on it is `at` in the scratch database."""
    with made.transaction() as connection:
        run(connection, "UPDATE replayed.clock SET at = :at", at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What is decided again: messages from `warm_at`, so that what fired already at `since` is known."""

    warm_at: datetime
    since: datetime
    until: datetime
    environment: str = ""


def prepare(database: Database, made: Database, period: Period, *, changes_back: timedelta) -> int:
    """Give the scratch database this installation's identity, the changes and the lineage known before the period, and
    the vendors' ids of records and their certificates; returns how many messages will be replayed."""
    with database.transaction() as live, made.transaction() as connection:
        known = rows(
            live,
            "SELECT environment, id, kind, subject, occurred_at, received_at, change FROM changes"
            " WHERE received_at < :warm AND occurred_at >= :since",
            warm=period.warm_at,
            since=period.warm_at - changes_back,
        )
        sent = rows(
            live,
            "SELECT id, external_id, number, url FROM records WHERE external_id <> '' AND created_at >= :warm",
            warm=period.warm_at,
        )
        count = rows(
            live,
            "SELECT count(*) AS n FROM messages WHERE received_at >= :warm AND received_at < :until"
            " AND (:environment = '' OR environment IN (:environment, '*'))",
            **_period(period),
        )[0].n
        told = rows(
            live,
            "SELECT environment, upstream, downstream, since, told_at FROM lineage"
            " WHERE told_at < :warm AND told_at >= :warm - CAST(:age AS interval)",
            warm=period.warm_at,
            age=FORGOTTEN_AFTER,
        )
        ours = rows(live, "SELECT id, learn_since::text AS since FROM installation")[0]
        since = "UPDATE installation SET id = :id, learn_since = CAST(:since AS timestamptz)"
        run(connection, since, id=ours.id, since=ours.since)
        bulk(
            connection,
            "INSERT INTO changes SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (environment text,"
            " id text, kind text, subject text, occurred_at timestamptz, received_at timestamptz, change jsonb)",
            [dict(row._mapping) for row in known],
        )
        bulk(
            connection,
            "INSERT INTO lineage SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (environment text,"
            " upstream text, downstream text, since timestamptz, told_at timestamptz)",
            [dict(row._mapping) for row in told],
        )
        bulk(
            connection,
            "INSERT INTO replayed.sent SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
            " AS r (id uuid, external_id text, number text, url text)",
            [dict(row._mapping) for row in sent],
        )
        _carry_keys(live, connection)
    return int(count)


def _carry_keys(live: Connection, connection: Connection) -> None:
    """The certificates that signed messages are checked with: nothing is fetched in a replay."""
    keys = rows(
        live,
        "SELECT url, kind, source, hook, environment, encode(answer, 'hex') AS answer FROM errands"
        " WHERE answer IS NOT NULL",
    )
    bulk(
        connection,
        "INSERT INTO errands (url, kind, source, hook, environment, answer, next_attempt_at)"
        " SELECT url, kind, source, hook, environment, decode(answer, 'hex'), NULL"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
        " AS r (url text, kind text, source text, hook text, environment text, answer text)",
        [dict(row._mapping) for row in keys],
    )


def _period(period: Period) -> dict[str, object]:
    return {"warm": period.warm_at, "until": period.until, "environment": period.environment}


Place = tuple[datetime, UUID]
"""A message's place in the receipt order."""
FEED = 200
TOGETHER = timedelta(seconds=5)


def next_messages(database: Database, period: Period, after: Place) -> list[Row[Any]]:
    """The next messages in receipt order, those that came within TOGETHER of one another; none at the end."""
    with database.transaction() as live:
        found = rows(
            live,
            "SELECT id, received_at, hook, source, environment, headers, query, body FROM messages"
            " WHERE received_at >= :warm AND received_at < :until AND (received_at, id) > (:at, :id)"
            " AND (:environment = '' OR environment IN (:environment, '*')) ORDER BY received_at, id LIMIT :limit",
            **_period(period),
            at=after[0],
            id=after[1],
            limit=FEED,
        )
    return [row for row in found if row.received_at - found[0].received_at <= TOGETHER]


def feed(made: Database, messages: Sequence[Row[Any]]) -> None:
    """These messages arrive in the scratch database."""
    with made.transaction() as connection:
        bulk(
            connection,
            "WITH kept AS (INSERT INTO messages SELECT id, received_at, hook, source, environment, headers, query,"
            "  decode(body, 'hex') FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid,"
            "   received_at timestamptz, hook text, source text, environment text, headers jsonb, query jsonb,"
            "   body text) RETURNING id, received_at, environment)"
            " INSERT INTO inbox (id, received_at, environment) SELECT id, received_at, environment FROM kept",
            [{**row._mapping, "body": bytes(row.body).hex()} for row in messages],
        )


def next_timer(made: Database) -> datetime | None:
    """When something is due in the scratch database without any message."""
    with made.transaction() as connection:
        found = rows(
            connection,
            "SELECT least((SELECT min(decide_again_at) FROM incidents), (SELECT min(attribute_due_at) FROM incidents),"
            " (SELECT min(look_again_at) FROM alerts), (SELECT min(next_attempt_at) FROM records)) AS at",
        )
    at: datetime | None = found[0].at
    return at


def pretend_delivered(made: Database) -> int:
    """Every record that is due stands at its vendor at once, under the id that the vendor really gave it."""
    with made.transaction() as connection:
        run(connection, "UPDATE notes SET confirmed_at = clock_timestamp() WHERE confirmed_at IS NULL")
        return run(
            connection,
            "UPDATE records SET state = 'settled', sent_version = wanted_version, sent_wanted = wanted,"
            " attempts = attempts + 1, next_attempt_at = NULL,"
            " external_id = coalesce((SELECT external_id FROM replayed.sent s WHERE s.id = records.id), external_id),"
            " number = coalesce((SELECT number FROM replayed.sent s WHERE s.id = records.id), number)"
            " WHERE next_attempt_at <= clock_timestamp()",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upshot:
    """What one incident came to: `outcome` is page, ticket, muted or none."""

    id: UUID
    display: str
    environment: str
    title: str
    opened_at: datetime
    outcome: str
    muted: str
    """By what, when nothing was ever recorded."""
    team: str
    why: str
    rule: str
    destinations: tuple[str, ...]
    cause: str
    """Id of the likely change; empty below P = .3."""
    cause_words: str
    """The same for people: its kind, subject and version."""
    probability: float
    alerts: frozenset[str]
    """Fingerprints of its members, now or once."""


def upshots(database: Database, period: Period) -> list[Upshot]:
    """The incidents that were open at some moment of the period or its warm-up, oldest first, each with all that ever
    happened to it."""
    with database.transaction() as connection:
        found = rows(connection, _UPSHOTS, **_period(period))
    return [_upshot(row) for row in found]


_UPSHOTS = """
SELECT i.id, i.number, i.environment, i.title, i.opened_at, i.routing, i.enrichment->>'head' AS head,
    i.attribution->'suspects'->0 AS suspect,
    ARRAY(SELECT a.fingerprint FROM alerts a WHERE a.incident_id = i.id
        UNION SELECT o.fingerprint FROM occurrences o WHERE o.incident_id = i.id) AS fingerprints,
    ARRAY(SELECT r.destination FROM records r WHERE r.incident_id = i.id ORDER BY r.destination) AS destinations,
    EXISTS (SELECT FROM audit l WHERE l.incident_id = i.id AND l.action = 'incident.decided' AND l.reason = 'page')
        AS paged,
    (SELECT l.reason FROM audit l WHERE l.incident_id = i.id AND l.action = 'incident.decided'
        AND l.reason NOT IN ('page', 'ticket', 'none') ORDER BY l.id DESC LIMIT 1) AS held_by
FROM incidents i WHERE opened_at < :until AND (resolved_at IS NULL OR resolved_at >= :warm OR opened_at >= :warm)
    AND (:environment = '' OR environment = :environment) ORDER BY opened_at, id
"""


def _upshot(row: Row[Any]) -> Upshot:
    routing, suspect = row.routing or {}, row.suspect or {}
    ownership = routing.get("ownership", {})
    recorded = ("page" if row.paged else "ticket") if row.destinations else ""
    muted = "" if recorded or routing.get("want") == "none" else row.held_by or ""
    named = suspect.get("band") in ("likely", "suspect")
    return Upshot(
        id=row.id,
        display=f"TOC-{row.number}",
        environment=row.environment,
        title=row.title or f"about {row.head}",
        opened_at=row.opened_at,
        outcome=recorded or ("muted" if muted else "none"),
        muted=muted,
        team=ownership.get("team", ""),
        why=ownership.get("why", ""),
        rule=routing.get("rule", ""),
        destinations=tuple(row.destinations),
        cause=suspect["change"]["id"] if named else "",
        cause_words=_change_words(suspect["change"]) if named else "",
        probability=round(float(suspect["probability"]), 3) if named else 0.0,
        alerts=frozenset(row.fingerprints),
    )


def _change_words(change: dict[str, Any]) -> str:
    return f"{change['kind']} {change['subject']} {change.get('version', '')}".rstrip()
