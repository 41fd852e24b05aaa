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
    """Keep the plans' files; one that was not tried yet is written anew."""
    files = [(p, file) for p in plans for file in p.attachments]
    bulk(
        connection,
        "INSERT INTO attachments AS known (id, record_id, name, media_type, content)"
        " SELECT f.id, records.id, f.name, f.media_type, decode(f.content, 'base64')"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS f (id uuid, incident_id uuid, destination text,"
        "  generation int, name text, media_type text, content text)"
        " JOIN records USING (incident_id, destination, generation)"
        " ON CONFLICT (id) DO UPDATE SET content = excluded.content"
        "  WHERE known.confirmed_at IS NULL AND known.tries = 0",
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
    _send_soon(connection, [p.id for p, _ in files])


def give(
    connection: Connection, incident_id: UUID, *, name: str, media_type: str, content: bytes, kinds: Sequence[str]
) -> None:
    """Give this file to the newest record of the incident at every desk of these kinds. One that was not tried yet is
    written anew; one that was is left as it is, so that a desk that may hold it already never gets a second."""
    given = rows(
        connection,
        "INSERT INTO attachments AS known (id, record_id, name, media_type, content)"
        " SELECT CAST(md5(r.id::text || '|' || CAST(:name AS text)) AS uuid), r.id, :name, :media_type, :content"
        " FROM records r WHERE r.incident_id = :incident AND r.kind = ANY(:kinds) AND r.state <> 'closed'"
        "  AND NOT EXISTS (SELECT FROM records later WHERE later.incident_id = r.incident_id"
        "   AND later.destination = r.destination AND later.generation > r.generation)"
        " ON CONFLICT (id) DO UPDATE SET content = excluded.content"
        "  WHERE known.confirmed_at IS NULL AND known.tries = 0"
        " RETURNING record_id",
        incident=incident_id,
        name=name,
        media_type=media_type,
        content=content,
        kinds=list(kinds),
    )
    _send_soon(connection, [row.record_id for row in given])


def _send_soon(connection: Connection, record_ids: Sequence[UUID]) -> None:
    """Files alone wake a record that else needs nothing."""
    if record_ids:
        run(
            connection,
            "UPDATE records SET next_attempt_at = coalesce(next_attempt_at, clock_timestamp())"
            " WHERE id = ANY(:ids) AND state IN ('settled', 'shadow') AND EXISTS (SELECT FROM attachments a"
            "  WHERE a.record_id = records.id AND a.confirmed_at IS NULL AND a.tries < :most)",
            ids=list(record_ids),
            most=MOST_TRIES,
        )


def not_tried(connection: Connection, record_id: UUID) -> None:
    """An attempt that could not make the record tried none of its files."""
    run(
        connection,
        "UPDATE attachments SET tries = tries - 1 WHERE record_id = :id AND confirmed_at IS NULL AND tries > 0",
        id=record_id,
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
