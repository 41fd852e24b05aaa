"""Records at vendors: what is wanted, who is at work on it, what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row

from tocsin.decide.standing import allowance, charged
from tocsin.domain.record import Attachment, Confirmation, Note, Outcome, Plan, Record, Told, Wanted
from tocsin.domain.standing import Standing
from tocsin.store import attachments, destinations
from tocsin.store.database import Database, bulk, dumped, rows, run

WANTED = TypeAdapter(Wanted)
TOLD = TypeAdapter(Told)

LEASE_S = 60
"""A record under delivery belongs to its worker for this long; an HTTP deadline is under half of it."""

AGAIN_S = 60
"""Notes and attachments that an attempt left unconfirmed, though all else stands, are tried again after this."""


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
    """Set the wanted state of records; what is new becomes due. A record that was kept in shadow and is wanted live now
    starts anew: nothing of it has gone out."""
    changed = [p for p in plans if p.changed]
    if changed:
        _want_destinations(connection, changed)
    bulk(connection, _WANT, [{name: getattr(p, name) for name in _PLAN_COLUMNS} for p in changed])
    noted = [(p, p.note) for p in plans if p.note is not None]
    bulk(
        connection,
        "INSERT INTO notes (id, record_id, text) SELECT n.id, records.id, n.text"
        " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id uuid, incident_id uuid, destination text,"
        "  generation int, text text) JOIN records USING (incident_id, destination, generation)"
        " ON CONFLICT DO NOTHING",
        [{**_place(p), "id": note.id, "text": note.text} for p, note in noted],
    )
    if noted:
        run(
            connection,
            "UPDATE records SET told = r.told, next_attempt_at = CASE WHEN state IN ('pending', 'settled', 'shadow')"
            "  THEN coalesce(next_attempt_at, clock_timestamp()) ELSE next_attempt_at END"
            " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, told jsonb) WHERE records.id = r.id",
            rows=dumped([{"id": p.id, "told": p.told} for p, _ in noted]),
        )
    attachments.keep(connection, plans)


_WANT = """
INSERT INTO records AS known (id, incident_id, environment, destination, kind, generation, mode, state, wanted, told,
    next_attempt_at)
SELECT id, incident_id, environment, destination, kind, generation, mode,
    CASE WHEN mode = 'shadow' THEN 'shadow' ELSE 'pending' END, wanted, told,
    clock_timestamp() + make_interval(secs => hold_s)
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, incident_id uuid, environment text, destination text,
    kind text, generation int, mode text, wanted jsonb, told jsonb, hold_s float8)
ON CONFLICT (incident_id, destination, generation) DO UPDATE SET wanted = excluded.wanted, told = excluded.told,
    wanted_version = known.wanted_version + 1, changed_at = clock_timestamp(), mode = excluded.mode,
    state = CASE WHEN known.mode = 'shadow' AND excluded.mode = 'live' THEN 'pending' ELSE known.state END,
    sent_version = CASE WHEN known.mode = 'shadow' AND excluded.mode = 'live' THEN 0 ELSE known.sent_version END,
    sent_wanted = CASE WHEN known.mode = 'shadow' AND excluded.mode = 'live' THEN NULL ELSE known.sent_wanted END,
    attempts = CASE WHEN known.mode = 'shadow' AND excluded.mode = 'live' THEN 0 ELSE known.attempts END,
    created_at = CASE WHEN known.mode = 'shadow' AND excluded.mode = 'live' THEN now() ELSE known.created_at END,
    next_attempt_at = CASE WHEN known.state IN ('dead', 'closed') THEN known.next_attempt_at
        WHEN known.failures > 0 THEN coalesce(known.next_attempt_at, clock_timestamp())
        ELSE excluded.next_attempt_at END
"""


def _want_destinations(connection: Connection, plans: Sequence[Plan]) -> None:
    """Each destination has its row before its first record is due."""
    names = {p.destination: (p.kind, p.mode) for p in plans}
    bulk(
        connection,
        "INSERT INTO destinations (name, kind, mode) SELECT name, kind, mode FROM"
        " jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (name text, kind text, mode text)"
        " WHERE NOT EXISTS (SELECT FROM destinations d WHERE d.name = r.name) ON CONFLICT DO NOTHING",
        [{"name": name, "kind": kind, "mode": mode} for name, (kind, mode) in sorted(names.items())],
    )


def _place(plan: Plan) -> dict[str, object]:
    return {"incident_id": plan.incident_id, "destination": plan.destination, "generation": plan.generation}


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
    """The same note for several records (cross-links); one that is known already asks for nothing."""
    bulk(
        connection,
        "WITH added AS (INSERT INTO notes (id, record_id, text)"
        " SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, record_id uuid, text text)"
        " ON CONFLICT DO NOTHING RETURNING record_id)"
        " UPDATE records SET next_attempt_at = coalesce(next_attempt_at, clock_timestamp())"
        " FROM added WHERE records.id = added.record_id AND state IN ('pending', 'settled')",
        [{"id": n, "record_id": r, "text": text} for n, r in zip(note_ids, record_ids, strict=True)],
    )


def lease(
    database: Database, limit: int, tokens: Sequence[UUID], *, room: Callable[[str], int] | None = None
) -> list[Record]:
    """Take up to `limit` due records for delivery, each with one of `tokens`: of every destination what it may be sent
    now, creates of pages first, then creates, ends, updates and notes, each oldest due first. `room` says how many of a
    destination the caller has a place for."""
    free = list(tokens[:limit])
    leased: list[Row[Any]] = []
    with database.transaction() as connection:
        now = rows(connection, "SELECT clock_timestamp() AS at")[0].at
        ready = [(one, busy) for one, busy in destinations.waiting(connection) if room is None or room(one.name) > 0]
        for behind, (standing, under_way) in enumerate(ready):
            share = -(-len(free) // (len(ready) - behind))
            allowed = min(
                share, allowance(standing, under_way=under_way, now=now), room(standing.name) if room else limit
            )
            found = _lease_of(connection, standing, free[:allowed]) if allowed else []
            del free[: len(found)]
            if found and standing.limited:
                destinations.keep(connection, charged(standing, len(found), now=now))
            leased += found
        ids = [row.id for row in leased]
        notes = _open_notes(connection, ids)
        files = attachments.take(connection, ids)
    return [_record(row, tuple(notes.get(row.id, ())), tuple(files.get(row.id, ()))) for row in leased]


def _lease_of(connection: Connection, standing: Standing, tokens: Sequence[UUID]) -> Sequence[Row[Any]]:
    return rows(
        connection,
        "WITH due AS (SELECT id, tried AS tried_before FROM records WHERE destination = :destination"
        "  AND next_attempt_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())"
        "  AND (:live OR mode <> 'live') ORDER BY rank, next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED),"
        " numbered AS (SELECT id, tried_before, row_number() OVER () AS n FROM due)"
        " UPDATE records SET lease_until = clock_timestamp() + make_interval(secs => :lease),"
        # a token that still stands belongs to a worker that died: what it sent may have arrived
        "  ambiguous_since = CASE WHEN lease_token IS NULL THEN ambiguous_since"
        "   ELSE coalesce(ambiguous_since, lease_until - make_interval(secs => :lease)) END,"
        "  lease_token = (CAST(:tokens AS uuid[]))[numbered.n], attempts = attempts + 1,"
        # what is still written after the create; more than 20 states unconfirmed are as good as any
        "  tried = CASE WHEN tried @> jsonb_build_array(wanted - 'body' - 'details' - 'links') THEN tried"
        "   ELSE CASE WHEN jsonb_array_length(tried) < 20 THEN tried ELSE tried - 0 END"
        "    || jsonb_build_array(wanted - 'body' - 'details' - 'links') END"
        " FROM numbered WHERE records.id = numbered.id RETURNING records.*, numbered.tried_before",
        destination=standing.name,
        live=standing.mode == "live",
        limit=len(tokens),
        lease=LEASE_S,
        tokens=list(tokens),
    )


def _open_notes(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Note]]:
    waiting: dict[UUID, list[Note]] = {}
    for row in rows(
        connection,
        "SELECT id, record_id, text FROM notes WHERE record_id = ANY(:ids) AND confirmed_at IS NULL"
        " ORDER BY created_at, id",
        ids=ids,
    ):
        waiting.setdefault(row.record_id, []).append(Note(id=row.id, text=row.text))
    return waiting


def release(database: Database, record: Record) -> None:
    """Give back a lease under which nothing was sent."""
    with database.transaction() as connection:
        run(
            connection,
            "UPDATE records SET lease_token = NULL, lease_until = NULL, attempts = attempts - 1"
            " WHERE id = :id AND lease_token = :token",
            id=record.id,
            token=record.lease_token,
        )


def settle(
    connection: Connection,
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
    # what could not be made tried none of its files
    untried = bool(record.attachments) and not (record.external_id or (confirmation and confirmation.external_id))
    # who writes a note or a wish holds the record until it is kept: what is read after the lock knows of it
    run(connection, "SELECT FROM records WHERE id = :id FOR UPDATE", id=record.id)
    held = bool(
        rows(
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
            destination=record.destination,
            result=outcome.result,
            reason=outcome.reason,
            detail=outcome.detail,
            calls=outcome.calls,
            seconds=seconds,
            left=_left_over(record, confirmation),
            again=AGAIN_S,
            most=attachments.MOST_TRIES + untried,
            **_confirmed(confirmation),
        )
    )
    if held and untried:
        attachments.not_tried(connection, record.id)
    return held


def _left_over(record: Record, confirmation: Confirmation | None) -> bool:
    """Did the attempt leave something unconfirmed that it was given?"""
    given = {note.id for note in record.notes} | {file.id for file in record.attachments}
    return not given <= {
        *(confirmation.notes if confirmation else ()),
        *(confirmation.attachments if confirmation else ()),
    }


_SETTLE = """
WITH was AS (
    SELECT r.id, CASE WHEN :settled THEN :version ELSE r.sent_version END < r.wanted_version AS moved,
        EXISTS (SELECT FROM notes n WHERE n.record_id = r.id AND n.confirmed_at IS NULL AND n.id <> ALL(:notes))
        OR EXISTS (SELECT FROM attachments f WHERE f.record_id = r.id AND f.confirmed_at IS NULL AND f.tries < :most
            AND f.id <> ALL(:files)) AS open,
        clock_timestamp() + make_interval(secs => CAST(:retry_s AS float8)) AS retry_at
    FROM records r WHERE r.id = :id AND r.lease_token = :token
), held AS (
    UPDATE records r SET
        lease_token = NULL, lease_until = NULL, state = :state,
        sent_version = CASE WHEN :settled THEN :version ELSE sent_version END,
        sent_wanted = CASE WHEN :settled THEN CAST(:sent_wanted AS jsonb) ELSE sent_wanted END,
        sent = coalesce(CAST(:sent AS jsonb), sent),
        observed = coalesce(CAST(:observed AS jsonb), observed),
        external_id = CASE WHEN :external_id = '' THEN external_id ELSE :external_id END,
        number = CASE WHEN :number = '' THEN number ELSE :number END,
        url = CASE WHEN :url = '' THEN url ELSE :url END,
        warnings = coalesce(CAST(:warnings AS jsonb), warnings),
        takes_notes = coalesce(:takes_notes, takes_notes),
        tried = CASE WHEN :settled THEN CAST('[]' AS jsonb) ELSE tried END,
        ambiguous_since = CASE WHEN :ambiguous THEN coalesce(ambiguous_since, clock_timestamp()) ELSE NULL END,
        failures = CASE WHEN :settled THEN 0 ELSE failures + 1 END,
        last_reason = :reason, last_detail = :detail, changed_at = clock_timestamp(),
        next_attempt_at = CASE
            WHEN :state NOT IN ('pending', 'settled', 'shadow') OR NOT (was.moved OR was.open) THEN was.retry_at
            WHEN (was.moved OR NOT :left) AND :settled THEN clock_timestamp()
            WHEN was.moved OR NOT :left THEN coalesce(was.retry_at, clock_timestamp())
            ELSE coalesce(was.retry_at, clock_timestamp() + make_interval(secs => :again)) END
    FROM was WHERE r.id = was.id RETURNING r.id
), attempted AS (
    INSERT INTO attempts (record_id, destination, result, reason, detail, calls, seconds)
    VALUES (:id, :destination, :result, :reason, :detail, :calls, :seconds)
), said AS (
    UPDATE notes SET confirmed_at = clock_timestamp() WHERE id = ANY(:notes) AND EXISTS (SELECT FROM held)
), attached AS (
    UPDATE attachments SET confirmed_at = clock_timestamp() WHERE id = ANY(:files) AND EXISTS (SELECT FROM held)
)
SELECT id FROM held
"""
"""All at once: the attempt, and where its lease still stands the record, what it confirms, and when it is due."""


def _confirmed(confirmation: Confirmation | None) -> dict[str, object]:
    known = confirmation or Confirmation(external_id="")
    return {
        "notes": list(known.notes),
        "files": list(known.attachments),
        "warnings": dumped(known.warnings) if confirmation else None,
        "takes_notes": known.takes_notes if confirmation and known.external_id else None,
        "sent": dumped(known.sent) if known.sent else None,
        "observed": dumped(known.observed) if known.observed else None,
        "external_id": known.external_id,
        "number": known.number,
        "url": known.url,
    }


def one_at_a_time(connection: Connection, incident_id: UUID) -> None:
    """Wait until nobody else writes notes across this incident's records; two who do would block each other."""
    run(connection, "SELECT pg_advisory_xact_lock(7203, hashtext(:incident))", incident=str(incident_id))


def ask_again(connection: Connection, incident_id: UUID, *, human_touched: bool = False) -> None:
    """Have the incident decided again soon."""
    run(
        connection,
        "UPDATE incidents SET decide_again_at = clock_timestamp(), human_touched = human_touched OR :touched"
        " WHERE id = :id",
        id=incident_id,
        touched=human_touched,
    )


def revive(database: Database, destination: str = "", reason: str = "") -> int:
    """Make dead records due again, of one destination and one reason or of all; returns how many."""
    with database.transaction() as connection:
        return run(
            connection,
            "UPDATE records SET state = 'pending', failures = 0, next_attempt_at = clock_timestamp()"
            " WHERE state = 'dead' AND (:destination = '' OR destination = :destination)"
            " AND (:reason = '' OR last_reason = :reason)",
            destination=destination,
            reason=reason,
        )


def _record(row: Row[Any], notes: tuple[Note, ...] = (), files: tuple[Attachment, ...] = ()) -> Record:
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
        tried=tuple(WANTED.validate_python({**row.wanted, **one}) for one in getattr(row, "tried_before", row.tried)),
        lease_token=row.lease_token,
        notes=notes,
        attachments=files,
        warnings=tuple(row.warnings),
        told=TOLD.validate_python(row.told) if row.told else None,
        created_at=row.created_at,
    )
