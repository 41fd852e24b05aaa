"""Files for records: kept until the vendor has them, sent one by one, given up after a few tries."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from tocsin.domain.record import Attachment, Plan
from tocsin.store.database import bulk, rows, run

MOST_TRIES = 3
"""An attachment that was not confirmed in so many attempts is left."""


def keep(connection: Connection, plans: Sequence[Plan]) -> None:
    """Keep the plans' files; one that was not sent yet is written anew."""
    files = [(p, file) for p in plans for file in p.attachments]
    bulk(
        connection,
        "INSERT INTO attachments AS known (id, record_id, name, media_type, content)"
        " SELECT f.id, records.id, f.name, f.media_type, decode(f.content, 'base64')"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS f (id uuid, incident_id uuid, destination text,"
        "  generation int, name text, media_type text, content text)"
        " JOIN records USING (incident_id, destination, generation)"
        " ON CONFLICT (id) DO UPDATE SET content = excluded.content WHERE known.confirmed_at IS NULL",
        [
            {
                "incident_id": p.incident_id,
                "destination": p.destination,
                "generation": p.generation,
                "id": file.id,
                "name": file.name,
                "media_type": file.media_type,
                "content": b64encode(file.content).decode("ascii"),
            }
            for p, file in files
        ],
    )
    if files:
        run(
            connection,
            "UPDATE records SET next_attempt_at = coalesce(next_attempt_at, clock_timestamp())"
            " WHERE id = ANY(:ids) AND state IN ('settled', 'shadow') AND EXISTS (SELECT FROM attachments a"
            "  WHERE a.record_id = records.id AND a.confirmed_at IS NULL AND a.tries < :most)",
            ids=[p.id for p, _ in files],
            most=MOST_TRIES,
        )


def take(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Attachment]]:
    """The files of these records that still have to be sent; each taking counts as a try."""
    waiting: dict[UUID, list[Attachment]] = {}
    for row in rows(
        connection,
        "UPDATE attachments SET tries = tries + 1 WHERE record_id = ANY(:ids) AND confirmed_at IS NULL"
        " AND tries < :most RETURNING id, record_id, name, media_type, content, created_at",
        ids=ids,
        most=MOST_TRIES,
    ):
        file = Attachment(id=row.id, name=row.name, media_type=row.media_type, content=bytes(row.content))
        waiting.setdefault(row.record_id, []).append(file)
    return waiting
