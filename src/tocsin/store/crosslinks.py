"""Which records of one incident are to name each other? Told as notes, each link once in each direction."""

from __future__ import annotations

import hashlib
from uuid import UUID

from sqlalchemy import Connection

from tocsin.decide.hands import cross_link
from tocsin.domain.record import Confirmation, Record
from tocsin.store import records


def tell(connection: Connection, record: Record, confirmation: Confirmation) -> None:
    """Tell the incident's other records of this one, which was just confirmed, and this one of the others."""
    kept = records.of_incidents(connection, [record.incident_id]).get(record.incident_id, [])
    latest = {one.destination: one for one in kept if one.mode == "live"}
    before = [one for one in kept if one.destination == record.destination and one.generation == record.generation - 1]
    others = [one for one in latest.values() if one.destination != record.destination]
    number, url = confirmation.number or record.number, confirmation.url or record.url
    words = cross_link(record.kind, number=number, url=url, key=record.wanted.key)
    links = [(one, words) for one in (*others, *before)]
    links += [
        (record, cross_link(one.kind, number=one.number, url=one.url, key=one.wanted.key))
        for one in others
        if one.external_id
    ]
    # in the order in which deciding writes them too, so that two that do it at once wait for one another in turn
    for one, said in sorted(links, key=lambda link: (link[0].destination, link[0].generation)):
        _note(connection, one.id, said)


def _note(connection: Connection, record_id: UUID, words: str) -> None:
    digest = hashlib.sha256(f"link|{record_id}|{words}".encode()).digest()
    records.add_note(connection, [record_id], [UUID(bytes=digest[:16])], words)
