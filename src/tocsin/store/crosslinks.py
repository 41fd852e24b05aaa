"""Which records of one incident are to name each other? Told as notes, each link once in each direction.

A vendor may tell a record's number later than it takes the record (PagerDuty does). A record that its courier will look
at again by itself is therefore not named before it has a number: two notes would name it twice, first by our key.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from tocsin.decide.hands import cross_link
from tocsin.domain.record import Confirmation, Record
from tocsin.store import records
from tocsin.store.database import rows


def tell(connection: Connection, record: Record, confirmation: Confirmation) -> None:
    """Tell the incident's other records of this one, which was just confirmed and will get no better name, and this
    one of the others."""
    kept = rows(
        connection,
        "SELECT id, destination, generation, kind, mode, external_id, number, url, wanted->>'key' AS key,"
        " takes_notes, next_attempt_at IS NULL AS settled FROM records WHERE incident_id = :incident"
        " ORDER BY destination, generation",
        incident=record.incident_id,
    )
    latest = {one.destination: one for one in kept if one.mode == "live"}
    before = [one for one in kept if one.destination == record.destination and one.generation == record.generation - 1]
    others = [one for one in latest.values() if one.destination != record.destination]
    number, url = confirmation.number or record.number, confirmation.url or record.url
    words = cross_link(record.kind, number=number, url=url, key=record.wanted.key)
    links = [(one.destination, one.generation, one.id, words) for one in (*others, *before) if one.takes_notes]
    links += [
        (
            record.destination,
            record.generation,
            record.id,
            cross_link(one.kind, number=one.number, url=one.url, key=one.key),
        )
        for one in others
        if confirmation.takes_notes and _is_named(one)
    ]
    # in the order in which deciding writes them too, so that two that do it at once wait for one another in turn
    for _, _, record_id, said in sorted(links, key=lambda link: link[:2]):
        records.add_note(connection, [record_id], [_note_id(record_id, said)], said)


def _is_named(one: Row[Any]) -> bool:
    """It stands and has a number, or nobody is about to look at it for one."""
    return bool(one.external_id and (one.number or one.settled))


def _note_id(record_id: UUID, words: str) -> UUID:
    digest = hashlib.sha256(f"link|{record_id}|{words}".encode()).digest()
    return UUID(bytes=digest[:16])
