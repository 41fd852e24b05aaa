"""What a person starts from the console or the API, carried out by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import uuid_utils.compat

from tocsin.store.database import Database, dumped, rows, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    id: UUID
    kind: str
    arguments: Mapping[str, Any]
    actor: str


def add(database: Database, kind: str, arguments: Mapping[str, object], *, actor: str) -> UUID:
    """Queue a job; returns its id."""
    job_id = uuid_utils.compat.uuid7()
    with database.transaction() as connection:
        run(
            connection,
            "INSERT INTO jobs (id, kind, arguments, actor) VALUES (:id, :kind, CAST(:arguments AS jsonb), :actor)",
            id=job_id,
            kind=kind,
            arguments=dumped(dict(arguments)),
            actor=actor,
        )
    return job_id


def take(database: Database) -> Job | None:
    """The oldest job that nobody works on; one whose worker died a minute ago is taken again."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "UPDATE jobs SET started_at = clock_timestamp() WHERE id = (SELECT id FROM jobs WHERE finished_at IS NULL"
            "  AND (started_at IS NULL OR started_at < clock_timestamp() - interval '1 minute')"
            "  ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, kind, arguments, actor",
        )
    if not found:
        return None
    row = found[0]
    return Job(id=row.id, kind=row.kind, arguments=row.arguments, actor=row.actor)


def finish(database: Database, job: Job, result: Mapping[str, object]) -> None:
    """The job is done; `result` says how it ended."""
    with database.transaction() as connection:
        run(
            connection,
            "UPDATE jobs SET finished_at = clock_timestamp(), result = CAST(:result AS jsonb) WHERE id = :id",
            id=job.id,
            result=dumped(dict(result)),
        )
