"""What people did to records: how each record stood, which events were taken, whose hands are in which incident."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row

from tocsin.decide.acts import Lesson, Word
from tocsin.decide.people import People, event_name
from tocsin.domain.incident import NOT_AMONG_THEM
from tocsin.domain.message import RecordUpdate
from tocsin.domain.people import Hands, Kept, Stance
from tocsin.store import confirmations, records
from tocsin.store.database import Database, bulk, rows, run
from tocsin.store.incidents import HANDS

STANCE = TypeAdapter(Stance)

EVENTS_KEPT = timedelta(days=30)
"""PagerDuty repeats a webhook for 48 h, a poll looks back for minutes; the rest is for outages of ours."""


def recall(connection: Connection, environment: str, updates: Sequence[RecordUpdate]) -> dict[str, tuple[Kept, ...]]:
    """The environment's records that these updates may mean: by our key, or by `kind:vendor's id`."""
    if not updates:
        return {}
    keys = {u.record_key for u in updates if is_key(u.record_key)}
    ids = {u.external_id for u in updates if u.external_id}
    found = rows(
        connection,
        _RECALL,
        environment=environment,
        keys=[UUID(hex=key) for key in sorted(keys)],
        ids=sorted(ids),
        kinds=sorted({u.source for u in updates}),
    )
    known: dict[str, tuple[Kept, ...]] = {}
    for row in found:
        kept = _kept(row)
        names = {kept.key, f"{kept.kind}:{kept.external_id}", f"{kept.kind}:{row.vendor_id}", *_by_address(kept, row)}
        for name in names:
            known[name] = (*known.get(name, ()), kept)
    return known


_RECALL = """
SELECT r.id, r.incident_id, r.destination, r.kind, r.external_id, r.number, r.url, r.wanted->>'key' AS key, r.sent,
    r.wanted->>'status' AS wanted_status, r.wanted->>'acknowledged_by' AS wanted_by,
    r.sent_wanted->>'status' AS sent_status, r.sent_wanted->>'acknowledged_by' AS sent_by,
    coalesce(s.vendor_id, '') AS vendor_id, s.stance,
    NOT EXISTS (SELECT FROM records n WHERE n.incident_id = r.incident_id AND n.destination = r.destination
        AND n.generation > r.generation) AS latest
FROM records r LEFT JOIN stances s ON s.record_id = r.id
WHERE r.environment = :environment AND (r.id = ANY(:keys)
    OR (r.kind = ANY(:kinds) AND r.external_id <> '' AND r.external_id = ANY(:ids))
    OR r.id IN (SELECT record_id FROM stances WHERE vendor_id <> '' AND vendor_id = ANY(:ids)))
"""


def _kept(row: Row[Any]) -> Kept:
    statuses = {row.wanted_status, row.sent_status} - {None}
    taken_on = {"acknowledged"} if row.wanted_by or row.sent_by else set()
    return Kept(
        id=row.id,
        incident_id=row.incident_id,
        destination=row.destination,
        kind=row.kind,
        key=row.key,
        external_id=row.external_id,
        number=row.number,
        latest=row.latest,
        expected=frozenset(statuses | (taken_on if "open" in statuses else set())),
        sent=row.sent,
        stance=STANCE.validate_python(row.stance) if row.stance else None,
    )


def _by_address(kept: Kept, row: Row[Any]) -> set[str]:
    """Where a record is addressed by our key, the vendor's id may stand at the end of its page's address."""
    return {f"{kept.kind}:{row.url.rpartition('/')[2]}"} if row.url and kept.external_id == kept.key else set()


def is_key(text: str) -> bool:
    """Does the text look like one of our record keys?"""
    return len(text) == 32 and not set(text) - set("0123456789abcdef")


def taken(connection: Connection, updates: Sequence[RecordUpdate]) -> set[str]:
    """Names of those events that were taken before."""
    found = rows(
        connection,
        "SELECT event FROM record_events WHERE source = ANY(:sources) AND event = ANY(:events)",
        sources=sorted({u.source for u in updates}),
        events=[event_name(u) for u in updates],
    )
    return {row.event for row in found}


def hands(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Hands]:
    """What people did about these incidents, where they did anything."""
    found = rows(
        connection, "SELECT id, hands FROM incidents WHERE id = ANY(:ids) AND hands IS NOT NULL", ids=list(ids)
    )
    return {row.id: HANDS.validate_python(row.hands) for row in found}


def keep(connection: Connection, people: People) -> None:
    """Write what a batch of updates came to: hands, stances, events, what other records are told, what is learned."""
    ledger = people.ledger
    bulk(
        connection,
        "UPDATE incidents AS i SET hands = r.hands FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
        " AS r (id uuid, hands jsonb) WHERE i.id = r.id",
        [{"id": i, "hands": ledger.hands[i]} for i in sorted(ledger.moved)],
    )
    bulk(
        connection,
        "INSERT INTO stances (record_id, vendor_id, stance)"
        " SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (record_id uuid, vendor_id text, stance jsonb)"
        " ON CONFLICT (record_id) DO UPDATE SET vendor_id = excluded.vendor_id, stance = excluded.stance,"
        "  changed_at = clock_timestamp()",
        [{"record_id": i, "vendor_id": s.vendor_id, "stance": s} for i, s in sorted(people.stances.items())],
    )
    bulk(
        connection,
        "UPDATE records SET number = r.number FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, number text)"
        " WHERE records.id = r.id AND records.number = ''",
        [{"id": i, "number": number} for i, number in sorted(people.numbers.items())],
    )
    bulk(
        connection,
        "INSERT INTO record_events (source, event) SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
        " AS r (source text, event text) ON CONFLICT DO NOTHING",
        [{"source": source, "event": event} for event, source in sorted(people.taken.items())],
    )
    if ledger.words:
        _tell(connection, ledger.words)
    for lesson in ledger.lessons:
        _learn(connection, lesson)


def _tell(connection: Connection, words: Sequence[Word]) -> None:
    """A note on each of the incident's other records that stand for it now."""
    found = rows(
        connection,
        "SELECT DISTINCT ON (incident_id, destination) id, incident_id FROM records WHERE incident_id = ANY(:ids)"
        " AND mode <> 'off' ORDER BY incident_id, destination, generation DESC",
        ids=sorted({word.incident_id for word in words}),
    )
    for word in words:
        others = [row.id for row in found if row.incident_id == word.incident_id and row.id != word.origin]
        records.add_note(connection, others, [_note_id(other, word) for other in others], word.text)


def _note_id(record_id: UUID, word: Word) -> UUID:
    return UUID(bytes=hashlib.sha256(f"{record_id}|{word.seed}".encode()).digest()[:16])


def _learn(connection: Connection, lesson: Lesson) -> None:
    """What a person named becomes the confirmed cause, if it is a change that we know."""
    if lesson.no_change:
        change, way = NOT_AMONG_THEM, "close code"
    elif lesson.likely_cause:
        change, way = confirmations.likely_cause(connection, lesson.incident_id), "close code"
    else:
        change, way = confirmations.change_named(connection, lesson.incident_id, lesson.named), "caused by"
    if change:
        confirmations.confirm_one(connection, lesson.incident_id, change, actor=lesson.actor, by_way_of=way)
    elif lesson.named:
        confirmations.unknown_cause(connection, lesson.incident_id, lesson.named, actor=lesson.actor)


def forget(database: Database) -> None:
    """Drop events that nobody sends again."""
    with database.transaction() as connection:
        run(
            connection,
            "DELETE FROM record_events WHERE seen_at < clock_timestamp() - CAST(:kept AS interval)",
            kept=EVENTS_KEPT,
        )
