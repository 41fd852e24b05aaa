"""Records at vendors: what is wanted, who is at work on it, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row

from tocsin.domain.record import Confirmation, Note, Outcome, Plan, Record, Told, Wanted
from tocsin.store.database import Database, bulk, dumped, rows, run

WANTED = TypeAdapter(Wanted)
TOLD = TypeAdapter(Told)

LEASE_S = 60
"""A record under delivery belongs to its worker for this long; an HTTP deadline is under half of it."""


def of_incidents(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Record]]:
    """All records of these incidents, by destination and generation."""
    if not ids:
        return {}
    found = rows(
        connection,
        "SELECT * FROM records WHERE incident_id = ANY(:ids) ORDER BY destination, generation",
        ids=list(ids),
    )
    by_incident: dict[UUID, list[Record]] = {}
    for row in found:
        by_incident.setdefault(row.incident_id, []).append(_record(row))
    return by_incident


def want(connection: Connection, plans: Sequence[Plan]) -> None:
    """Set the wanted state of records; what is new becomes due."""
    changed = [p for p in plans if p.changed]
    bulk(
        connection,
        "INSERT INTO records AS known (id, incident_id, environment, destination, kind, generation, mode, state,"
        "  wanted, told, next_attempt_at)"
        " SELECT id, incident_id, environment, destination, kind, generation, mode,"
        "  CASE WHEN mode = 'shadow' THEN 'shadow' ELSE 'pending' END, wanted, told,"
        "  CASE WHEN mode = 'shadow' THEN NULL ELSE clock_timestamp() + make_interval(secs => hold_s) END"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, incident_id uuid, environment text,"
        "  destination text, kind text, generation int, mode text, wanted jsonb, told jsonb, hold_s float8)"
        " ON CONFLICT (incident_id, destination, generation) DO UPDATE SET wanted = excluded.wanted,"
        "  told = excluded.told, wanted_version = known.wanted_version + 1, changed_at = clock_timestamp(),"
        "  next_attempt_at = CASE WHEN known.state IN ('shadow', 'dead', 'closed') THEN known.next_attempt_at"
        "   WHEN known.failures > 0 THEN coalesce(known.next_attempt_at, clock_timestamp())"
        "   ELSE excluded.next_attempt_at END",
        [{name: getattr(p, name) for name in _PLAN_COLUMNS} for p in changed],
    )
    noted = [p for p in plans if p.note is not None]
    bulk(
        connection,
        "INSERT INTO notes (id, record_id, text) SELECT n.id, records.id, n.text"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id uuid, incident_id uuid, destination text,"
        "  generation int, text text) JOIN records USING (incident_id, destination, generation)"
        " ON CONFLICT DO NOTHING",
        [
            {
                "id": p.note.id,
                "text": p.note.text,
                "incident_id": p.incident_id,
                "destination": p.destination,
                "generation": p.generation,
            }
            for p in noted
            if p.note is not None
        ],
    )
    if noted:
        run(
            connection,
            "UPDATE records SET told = r.told, next_attempt_at = CASE WHEN state IN ('pending', 'settled')"
            "  THEN coalesce(next_attempt_at, clock_timestamp()) ELSE next_attempt_at END"
            " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, told jsonb) WHERE records.id = r.id",
            rows=dumped([{"id": p.id, "told": p.told} for p in noted]),
        )


_PLAN_COLUMNS = (
    "id",
    "incident_id",
    "environment",
    "destination",
    "kind",
    "generation",
    "mode",
    "wanted",
    "told",
    "hold_s",
)


def add_note(connection: Connection, record_ids: Sequence[UUID], note_ids: Sequence[UUID], text: str) -> None:
    """The same note for several records (cross-links)."""
    bulk(
        connection,
        "INSERT INTO notes (id, record_id, text) SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
        " AS r (id uuid, record_id uuid, text text) ON CONFLICT DO NOTHING",
        [{"id": n, "record_id": r, "text": text} for n, r in zip(note_ids, record_ids, strict=True)],
    )
    run(
        connection,
        "UPDATE records SET next_attempt_at = coalesce(next_attempt_at, clock_timestamp())"
        " WHERE id = ANY(:ids) AND state IN ('pending', 'settled')",
        ids=list(record_ids),
    )


def lease(database: Database, limit: int, tokens: Sequence[UUID]) -> list[Record]:
    """Take up to `limit` due records for delivery, oldest due first; each gets one of `tokens`."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "WITH due AS (SELECT id FROM records WHERE next_attempt_at <= clock_timestamp()"
            "  AND (lease_until IS NULL OR lease_until < clock_timestamp())"
            "  ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED),"
            " numbered AS (SELECT id, row_number() OVER () AS n FROM due)"
            " UPDATE records SET lease_until = clock_timestamp() + make_interval(secs => :lease),"
            # a token that still stands belongs to a worker that died: what it sent may have arrived
            "  ambiguous_since = CASE WHEN lease_token IS NULL THEN ambiguous_since"
            "   ELSE coalesce(ambiguous_since, lease_until - make_interval(secs => :lease)) END,"
            "  lease_token = (CAST(:tokens AS uuid[]))[numbered.n], attempts = attempts + 1"
            " FROM numbered WHERE records.id = numbered.id RETURNING records.*",
            limit=min(limit, len(tokens)),
            lease=LEASE_S,
            tokens=list(tokens),
        )
        ids = [row.id for row in found]
        waiting: dict[UUID, list[Note]] = {}
        for row in rows(
            connection,
            "SELECT id, record_id, text FROM notes WHERE record_id = ANY(:ids) AND confirmed_at IS NULL"
            " ORDER BY created_at, id",
            ids=ids,
        ):
            waiting.setdefault(row.record_id, []).append(Note(id=row.id, text=row.text))
    return [_record(row, tuple(waiting.get(row.id, ()))) for row in found]


def settle(
    database: Database,
    record: Record,
    outcome: Outcome,
    *,
    state: str,
    retry_after: timedelta | None,
    ambiguous: bool,
    seconds: float,
) -> bool:
    """Record what an attempt came to, by compare-and-set on the lease token; False when the lease was lost.

    `retry_after` None means: nothing more to do unless the wanted state or the notes have moved meanwhile.
    """
    confirmation = outcome.confirmation
    with database.transaction() as connection:
        held = run(
            connection,
            _SETTLE,
            id=record.id,
            token=record.lease_token,
            state=state,
            settled=outcome.settled,
            version=record.wanted_version,
            sent_wanted=dumped(record.wanted),
            ambiguous=ambiguous,
            retry_s=retry_after.total_seconds() if retry_after is not None else None,
            reason=outcome.reason,
            detail=outcome.detail,
            **_confirmed(confirmation),
        )
        run(
            connection,
            "INSERT INTO attempts (record_id, destination, result, reason, detail, calls, seconds)"
            " VALUES (:id, :destination, :result, :reason, :detail, :calls, :seconds)",
            id=record.id,
            destination=record.destination,
            result=outcome.result,
            reason=outcome.reason,
            detail=outcome.detail,
            calls=outcome.calls,
            seconds=seconds,
        )
        if held and confirmation and confirmation.notes:
            run(
                connection,
                "UPDATE notes SET confirmed_at = clock_timestamp() WHERE id = ANY(:ids)",
                ids=list(confirmation.notes),
            )
        if held:
            run(
                connection,
                "UPDATE records SET next_attempt_at = coalesce(next_attempt_at, clock_timestamp()) WHERE id = :id"
                " AND state IN ('pending', 'settled') AND (sent_version < wanted_version OR EXISTS"
                "  (SELECT FROM notes WHERE record_id = :id AND confirmed_at IS NULL))",
                id=record.id,
            )
    return bool(held)


_SETTLE = """
UPDATE records SET
    lease_token = NULL, lease_until = NULL, state = :state,
    sent_version = CASE WHEN :settled THEN :version ELSE sent_version END,
    sent_wanted = CASE WHEN :settled THEN CAST(:sent_wanted AS jsonb) ELSE sent_wanted END,
    sent = coalesce(CAST(:sent AS jsonb), sent),
    observed = coalesce(CAST(:observed AS jsonb), observed),
    external_id = CASE WHEN :external_id = '' THEN external_id ELSE :external_id END,
    number = CASE WHEN :number = '' THEN number ELSE :number END,
    url = CASE WHEN :url = '' THEN url ELSE :url END,
    ambiguous_since = CASE WHEN :ambiguous THEN coalesce(ambiguous_since, clock_timestamp()) ELSE NULL END,
    failures = CASE WHEN :settled THEN 0 ELSE failures + 1 END,
    last_reason = :reason, last_detail = :detail, changed_at = clock_timestamp(),
    next_attempt_at = clock_timestamp() + make_interval(secs => CAST(:retry_s AS float8))
WHERE id = :id AND lease_token = :token
"""


def _confirmed(confirmation: Confirmation | None) -> dict[str, object]:
    if confirmation is None:
        return {"sent": None, "observed": None, "external_id": "", "number": "", "url": ""}
    return {
        "sent": dumped(confirmation.sent) if confirmation.sent else None,
        "observed": dumped(confirmation.observed) if confirmation.observed else None,
        "external_id": confirmation.external_id,
        "number": confirmation.number,
        "url": confirmation.url,
    }


def ask_again(connection: Connection, incident_id: UUID, *, human_touched: bool = False) -> None:
    """Have the incident decided again soon."""
    run(
        connection,
        "UPDATE incidents SET decide_again_at = clock_timestamp(), human_touched = human_touched OR :touched"
        " WHERE id = :id",
        id=incident_id,
        touched=human_touched,
    )


def revive(database: Database, destination: str = "") -> int:
    """Make dead records due again, of one destination or of all; returns how many."""
    with database.transaction() as connection:
        return run(
            connection,
            "UPDATE records SET state = 'pending', failures = 0, next_attempt_at = clock_timestamp()"
            " WHERE state = 'dead' AND (:destination = '' OR destination = :destination)",
            destination=destination,
        )


def due_in_s(database: Database) -> float | None:
    """Seconds until the next record is due (0 or less: now); None when none waits."""
    with database.transaction() as connection:
        found = rows(
            connection,
            "SELECT extract(epoch FROM min(greatest(next_attempt_at, coalesce(lease_until, next_attempt_at)))"
            " - clock_timestamp()) AS s FROM records WHERE next_attempt_at IS NOT NULL",
        )
    return None if found[0].s is None else float(found[0].s)


def _record(row: Row[Any], notes: tuple[Note, ...] = ()) -> Record:
    return Record(
        id=row.id,
        incident_id=row.incident_id,
        environment=row.environment,
        destination=row.destination,
        kind=row.kind,
        generation=row.generation,
        mode=row.mode,
        state=row.state,
        wanted=WANTED.validate_python(row.wanted),
        wanted_version=row.wanted_version,
        sent_version=row.sent_version,
        sent_wanted=WANTED.validate_python(row.sent_wanted) if row.sent_wanted else None,
        sent=row.sent,
        observed=row.observed,
        external_id=row.external_id,
        number=row.number,
        url=row.url,
        attempts=row.attempts,
        failures=row.failures,
        ambiguous_since=row.ambiguous_since,
        lease_token=row.lease_token,
        notes=notes,
        told=TOLD.validate_python(row.told) if row.told else None,
        created_at=row.created_at,
    )
