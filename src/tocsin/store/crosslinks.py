"""Which records of one incident are to name each other? Told as notes, each link once in each direction.

A vendor may tell a record's number later than it takes the record (PagerDuty does). A record that its courier will look
at again by itself is therefore not named before it has a number: two notes would name it twice, first by our key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from tocsin.decide.hands import cross_link
from tocsin.domain.record import Confirmation, Record
from tocsin.store import records
from tocsin.store.database import rows


def tell(connection: Connection, record: Record, confirmation: Confirmation) -> None:
    """Tell the incident's other records of this one, which was just confirmed and will get no better name, and this
    one of the others."""
    kept = records.of_incidents(connection, [record.incident_id]).get(record.incident_id, [])
    latest = {one.destination: one for one in kept if one.mode == "live"}
    before = [one for one in kept if one.destination == record.destination and one.generation == record.generation - 1]
    others = [one for one in latest.values() if one.destination != record.destination]
    number, url = confirmation.number or record.number, confirmation.url or record.url
    words = cross_link(record.kind, number=number, url=url, key=record.wanted.key)
    links = [(one, words) for one in (*others, *before)]
    links += [
        (record, cross_link(one.kind, number=one.number, url=one.url, key=one.wanted.key))
        for one in _named(connection, others)
    ]
    # in the order in which deciding writes them too, so that two that do it at once wait for one another in turn
    for one, said in sorted(links, key=lambda link: (link[0].destination, link[0].generation)):
        _note(connection, one.id, said)


def _named(connection: Connection, others: Sequence[Record]) -> list[Record]:
    """Those that stand and have a number, or that nobody is about to look at for one."""
    nameless = [one.id for one in others if one.external_id and not one.number]
    settled = rows(connection, "SELECT id FROM records WHERE id = ANY(:ids) AND next_attempt_at IS NULL", ids=nameless)
    final = {row.id for row in settled}
    return [one for one in others if one.external_id and (one.number or one.id in final)]


def _note(connection: Connection, record_id: UUID, words: str) -> None:
    digest = hashlib.sha256(f"link|{record_id}|{words}".encode()).digest()
    records.add_note(connection, [record_id], [UUID(bytes=digest[:16])], words)
