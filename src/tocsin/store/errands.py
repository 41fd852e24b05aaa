"""What must be opened for a sender before, or because, its message is understood? A row an address, kept once done:
a certificate serves every message that is signed with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from tocsin.domain.message import Message
from tocsin.store.database import Database, rows, run
from tocsin.store.inbox import Claimed

KEY, VISIT = "key", "visit"

MAX_OPEN = 50
"""Undone errands of one hook: whoever knows a hook's secret must not have us open addresses without end."""
LEASE_S = 60
LONGEST_PAUSE_S = 300
GIVES_UP_AFTER = timedelta(days=3)
"""A confirmation is asked for three days (SNS's token then expires); a key as long as somebody waits for it."""
WAITS_AT_MOST = timedelta(days=1)
"""After this a message goes to quarantine, unread; `tocsin quarantine replay` has it checked anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One address to open, and for whom."""

    url: str
    kind: str
    source: str
    hook: str
    environment: str
    failures: int = 0


def keys(database: Database, urls: Collection[str]) -> dict[str, bytes]:
    """What stood at these addresses, of those that were opened."""
    if not urls:
        return {}
    with database.transaction() as connection:
        found = rows(
            connection, "SELECT url, answer FROM errands WHERE url = ANY(:urls) AND answer IS NOT NULL", urls=[*urls]
        )
    return {row.url: bytes(row.answer) for row in found}


def ask(database: Database, errands: Sequence[Errand]) -> set[str]:
    """Have these opened, unless they are or were; at most MAX_OPEN of one hook at a time. Returns the addresses that
    are known now: any other was one too many."""
    with database.transaction() as connection:
        for each in errands:
            run(
                connection,
                "INSERT INTO errands (url, kind, source, hook, environment)"
                " SELECT :url, :kind, :source, :hook, :environment"
                " WHERE (SELECT count(*) FROM errands WHERE hook = :hook AND next_attempt_at IS NOT NULL) < :most"
                " ON CONFLICT (url) DO UPDATE SET next_attempt_at = now(), failures = 0"
                " WHERE errands.kind = 'key' AND errands.answer IS NULL AND errands.next_attempt_at IS NULL",
                url=each.url,
                kind=each.kind,
                source=each.source,
                hook=each.hook,
                environment=each.environment,
                most=MAX_OPEN,
            )
        found = rows(
            connection, "SELECT url FROM errands WHERE url = ANY(:urls)", urls=sorted({each.url for each in errands})
        )
    return {row.url for row in found}


def put_off(database: Database, waiting: Sequence[tuple[Claimed, str]]) -> None:
    """Take claimed messages out of the inbox until the key that each waits for is there: deciding goes on meanwhile,
    as it waits for everything that is in the inbox (ADR 1). A key that came just now sends them straight back."""
    with database.transaction() as connection:
        known = rows(
            connection,
            "SELECT url FROM errands WHERE url = ANY(:urls) AND answer IS NULL ORDER BY url FOR UPDATE",
            urls=sorted({url for _, url in waiting}),
        )
        missing = {row.url for row in known}
        run(
            connection,
            "WITH mine AS (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:claims AS int[]), CAST(:urls AS text[]))"
            "  AS mine (id, claims, url)), gone AS (DELETE FROM inbox USING mine"
            "  WHERE inbox.id = mine.id AND inbox.claims = mine.claims RETURNING inbox.*)"
            " INSERT INTO awaiting_key (id, received_at, environment, url)"
            " SELECT gone.id, gone.received_at, gone.environment, mine.url FROM gone JOIN mine USING (id)"
            " ON CONFLICT DO NOTHING",
            ids=[claimed.message.id for claimed, _ in waiting],
            claims=[claimed.claims for claimed, _ in waiting],
            urls=[url for _, url in waiting],
        )
        run(
            connection,
            "UPDATE errands SET next_attempt_at = now() WHERE url = ANY(:urls) AND next_attempt_at IS NULL",
            urls=sorted(missing),
        )
        for url in sorted({url for _, url in waiting} - missing):
            _send_back(connection, url)


def _send_back(connection: Connection, url: str) -> None:
    """What waits for this key is to be read now; what its retention took meanwhile is gone."""
    run(
        connection,
        "WITH freed AS (DELETE FROM awaiting_key WHERE url = :url RETURNING id, received_at)"
        " INSERT INTO inbox (id, received_at, environment)"
        " SELECT m.id, m.received_at, m.environment FROM freed JOIN messages m USING (received_at, id)"
        " ON CONFLICT DO NOTHING",
        url=url,
    )


def give_up(connection: Connection, url: str) -> list[Message]:
    """Messages that have waited for this key for longer than WAITS_AT_MOST, without their bodies; they wait no more."""
    found = rows(
        connection,
        "WITH late AS (DELETE FROM awaiting_key WHERE url = :url"
        "  AND received_at < clock_timestamp() - make_interval(secs => :most) RETURNING id, received_at)"
        " SELECT m.id, m.received_at, m.hook, m.source, m.environment FROM late"
        " JOIN messages m USING (received_at, id)",
        url=url,
        most=WAITS_AT_MOST.total_seconds(),
    )
    return [Message(**row._mapping, body=b"") for row in found]


def take(database: Database) -> Errand | None:
    """The next that is due, leased: nobody else takes it for LEASE_S."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE errands SET next_attempt_at = clock_timestamp() + make_interval(secs => :lease) WHERE url ="
            " (SELECT url FROM errands WHERE next_attempt_at <= clock_timestamp() ORDER BY next_attempt_at LIMIT 1"
            "  FOR UPDATE SKIP LOCKED) RETURNING url, kind, source, hook, environment, failures",
            lease=LEASE_S,
        )
    return Errand(**found[0]._mapping) if found else None


def done(connection: Connection, errand: Errand, answer: bytes) -> None:
    """It was opened, and what waited for it is to be read; of a confirmation the answer is not kept."""
    run(
        connection,
        "UPDATE errands SET answer = :answer, done_at = clock_timestamp(), next_attempt_at = NULL, error = ''"
        " WHERE url = :url",
        url=errand.url,
        answer=answer if errand.kind == KEY else None,
    )
    _send_back(connection, errand.url)


def failed(connection: Connection, errand: Errand, error: str) -> None:
    """It could not be opened: again in 2, 4, 8 … at most LONGEST_PAUSE_S seconds, unless nobody waits for it."""
    run(connection, "SELECT FROM errands WHERE url = :url FOR UPDATE", url=errand.url)  # who puts off now is seen below
    run(
        connection,
        "UPDATE errands SET failures = failures + 1, error = :error, next_attempt_at ="
        " CASE WHEN kind = 'visit' AND asked_at < clock_timestamp() - make_interval(secs => :patience) THEN NULL"
        " WHEN kind = 'key' AND NOT EXISTS (SELECT FROM awaiting_key w WHERE w.url = errands.url) THEN NULL"
        " ELSE clock_timestamp() + make_interval(secs => :pause) END WHERE url = :url",
        url=errand.url,
        error=error[:500],
        patience=GIVES_UP_AFTER.total_seconds(),
        pause=min(LONGEST_PAUSE_S, 2.0 ** min(errand.failures + 1, 10)),
    )
