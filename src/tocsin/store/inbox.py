"""What arrived and is not yet understood: claim a batch, keep what it said, forget the claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from tocsin.decide.mirror import Mirrored
from tocsin.domain.audit import AuditEntry
from tocsin.domain.change import Change
from tocsin.domain.message import Message
from tocsin.store import courses, lineage, mirroring
from tocsin.store.database import Database, bulk, rows, run
from tocsin.store.sealed import Seal

CLAIM_SIZES = (200, 14, 1)
"""Messages per claim at the first, second and third try: a batch that died is retried ever smaller, so that the one
message that kills its reader ends up alone."""

LEASE_S = 15
"""A claim older than this belongs to a dead worker."""

POISON = "its reader died three times"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    message: Message
    claims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One alert or record update on its way to the environment's one writer."""

    environment: str
    received_at: datetime
    message_id: UUID
    seq: int
    kind: str
    payload: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    message: Message
    reason: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """Everything that one batch of messages said."""

    claimed: Sequence[Claimed]
    signals: Sequence[Signal]
    changes: Sequence[Change]
    quarantined: Sequence[Quarantined]
    audit: Sequence[AuditEntry]
    mirrored: Sequence[Mirrored] = ()
    brought: Sequence[tuple[UUID, courses.Brought]] = ()
    """Measured courses, each with the message that brought them."""


def claim(database: Database, seal: Seal) -> list[Claimed]:
    """The next batch in receipt order, its claim committed before anybody looks inside; empty when nothing waits."""
    with database.transaction() as connection:
        for claims in (0, 2, 1):
            picked = rows(connection, _CLAIM, claims=claims, size=CLAIM_SIZES[claims], lease=LEASE_S)
            if picked:
                break
        else:
            return []
        ids = [row.id for row in picked]
        kept = rows(
            connection,
            "SELECT * FROM messages WHERE received_at BETWEEN :first AND :last AND id = ANY(:ids)",
            first=min(row.received_at for row in picked),
            last=max(row.received_at for row in picked),
            ids=ids,
        )
    by_id = {row.id: row for row in kept}
    return [
        Claimed(
            claims=claims + 1,
            message=Message(
                id=row.id,
                hook=row.hook,
                source=row.source,
                environment=row.environment,
                received_at=row.received_at,
                headers=row.headers,
                query=row.query,
                body=seal.open(bytes(row.body)),
            ),
        )
        for row in (by_id[i] for i in sorted(by_id, key=lambda i: (by_id[i].received_at, i)))
    ]


_CLAIM = """
UPDATE inbox SET claims = claims + 1, claimed_until = clock_timestamp() + make_interval(secs => :lease)
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM inbox
    WHERE claims = :claims AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
    ORDER BY received_at, id LIMIT :size FOR UPDATE SKIP LOCKED))
RETURNING id, received_at
"""
# by ctid: a plan that was cached while the inbox was empty joins by id in quadratic time when it is full


def put_aside_poison(database: Database, tell: Callable[[Message], tuple[Signal, AuditEntry]]) -> list[UUID]:
    """Quarantine messages that were claimed alone three times and never came back; `tell` makes our own alert and the
    audit line of each (the message comes without its body: nobody reads it again)."""
    with database.transaction() as connection:
        dead = rows(
            connection,
            "WITH dead AS (DELETE FROM inbox WHERE claims >= 3 AND claimed_until < clock_timestamp()"
            " RETURNING id, received_at)"
            " SELECT m.id, m.received_at, m.hook, m.source, m.environment FROM dead JOIN messages m"
            " USING (received_at, id)",
        )
        messages = [
            Message(
                id=row.id,
                hook=row.hook,
                source=row.source,
                environment=row.environment,
                received_at=row.received_at,
                body=b"",
            )
            for row in dead
        ]
        put_aside(connection, messages, POISON, tell)
    return [message.id for message in messages]


def put_aside(
    connection: Connection,
    messages: Sequence[Message],
    reason: str,
    tell: Callable[[Message], tuple[Signal, AuditEntry]],
) -> None:
    """Quarantine messages for this reason; `tell` makes our own alert and the audit line of each."""
    told = [tell(message) for message in messages]
    bulk(connection, _KEEP_SIGNALS, [_signal_row(signal) for signal, _ in told])
    bulk(connection, _KEEP_QUARANTINE, [_quarantine_row(Quarantined(message=m, reason=reason)) for m in messages])
    write_audit(connection, [entry for _, entry in told])


def keep(database: Database, batch: Understood, sender_ids: dict[UUID, tuple[str, str]]) -> set[UUID]:
    """Store what the batch said, for those messages that are still ours; returns the ids whose first delivery this
    was not (another worker was faster): nothing of them is stored."""
    with database.transaction() as connection:
        ours = _release(connection, batch.claimed)
        doubles = _note_sender_ids(connection, {i: pair for i, pair in sender_ids.items() if i in ours})
        fresh = ours - doubles
        keep_signals(connection, [s for s in batch.signals if s.message_id in fresh])
        courses.keep(connection, [one for message_id, one in batch.brought if message_id in fresh])
        for changes in _rounds(batch.changes):
            bulk(connection, _KEEP_CHANGES, changes)
        lineage.keep(connection, batch.changes)
        mirroring.keep(connection, batch.mirrored)
        bulk(connection, _KEEP_QUARANTINE, [_quarantine_row(q) for q in batch.quarantined if q.message.id in ours])
        write_audit(connection, [e for e in batch.audit if e.message_id is None or e.message_id in fresh])
        write_audit(connection, [_double(c.message, 0) for c in batch.claimed if c.message.id in doubles])
    return doubles


def keep_signals(connection: Connection, signals: Sequence[Signal]) -> None:
    """Hand signals to their environments' writers. What a desk says of a record belongs to the environment of that
    record, whichever hook it came through."""
    bulk(connection, _KEEP_SIGNALS, [_signal_row(signal) for signal in signals])
    told = [signal.message_id for signal in signals if signal.kind == "record_update"]
    if told:
        run(connection, _AT_HOME, messages=told)


def _double(message: Message, version: int) -> AuditEntry:
    return AuditEntry(
        at=message.received_at,
        action="message.understood",
        reason="duplicate",
        environment=message.environment,
        message_id=message.id,
        mapping_version=version,
        because={"hook": message.hook},
    )


def _release(connection: Connection, claimed: Sequence[Claimed]) -> set[UUID]:
    if not claimed:
        return set()
    found = rows(
        connection,
        "DELETE FROM inbox USING unnest(CAST(:ids AS uuid[]), CAST(:claims AS int[])) AS mine (id, claims)"
        " WHERE inbox.id = mine.id AND inbox.claims = mine.claims RETURNING inbox.id",
        ids=[c.message.id for c in claimed],
        claims=[c.claims for c in claimed],
    )
    return {row.id for row in found}


def _note_sender_ids(connection: Connection, pairs: dict[UUID, tuple[str, str]]) -> set[UUID]:
    if not pairs:
        return set()
    ordered = sorted(pairs.items(), key=lambda item: (item[1], item[0]))
    found = rows(
        connection,
        "INSERT INTO message_ids (hook, sender_id, message_id)"
        " SELECT * FROM unnest(CAST(:hooks AS text[]), CAST(:ids AS text[]), CAST(:messages AS uuid[]))"
        " ON CONFLICT DO NOTHING RETURNING message_id",
        hooks=[pair[0] for _, pair in ordered],
        ids=[pair[1] for _, pair in ordered],
        messages=[i for i, _ in ordered],
    )
    return set(pairs) - {row.message_id for row in found}


_KEEP_SIGNALS = """
INSERT INTO signals (environment, received_at, message_id, seq, kind, payload)
SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (environment text, received_at timestamptz, message_id uuid, seq int, kind text, payload jsonb)
ON CONFLICT DO NOTHING
"""

_AT_HOME = """
UPDATE signals AS s SET environment = r.environment FROM records AS r
WHERE s.message_id = ANY(:messages) AND s.kind = 'record_update' AND s.environment <> r.environment AND (
    r.id = CASE WHEN s.payload->>'record_key' ~ '^[0-9a-f]{32}$' THEN CAST(s.payload->>'record_key' AS uuid) END
    OR (r.external_id <> '' AND r.kind = s.payload->>'source' AND r.external_id = s.payload->>'external_id')
    OR r.id IN (SELECT record_id FROM stances WHERE vendor_id <> '' AND vendor_id = s.payload->>'external_id'))
"""

# A later event of the same thing completes the earlier one; a late early event never takes an outcome away.
_KEEP_CHANGES = """
INSERT INTO changes AS known (environment, id, kind, subject, occurred_at, received_at, change)
SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (environment text, id text, kind text, subject text, occurred_at timestamptz, received_at timestamptz,
        change jsonb)
ON CONFLICT (environment, id) DO UPDATE SET
    kind = excluded.kind,
    occurred_at = least(known.occurred_at, excluded.occurred_at),
    change = CASE WHEN excluded.change->>'finished_at' IS NULL AND known.change->>'finished_at' IS NOT NULL
        THEN excluded.change || jsonb_strip_nulls(known.change)
        ELSE known.change || jsonb_strip_nulls(excluded.change) END
        || jsonb_build_object('occurred_at', least(known.occurred_at, excluded.occurred_at))
"""

_KEEP_QUARANTINE = """
INSERT INTO quarantine (message_id, received_at, hook, source, environment, reason, path)
SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (message_id uuid, received_at timestamptz, hook text, source text, environment text, reason text, path text)
ON CONFLICT (message_id) DO UPDATE SET reason = excluded.reason, path = excluded.path, quarantined_at = now(),
    replayed_at = NULL
"""


def _signal_row(signal: Signal) -> dict[str, object]:
    return {
        "environment": signal.environment,
        "received_at": signal.received_at,
        "message_id": signal.message_id,
        "seq": signal.seq,
        "kind": signal.kind,
        "payload": signal.payload,
    }


def _rounds(changes: Sequence[Change]) -> list[list[dict[str, object]]]:
    """Rows for one statement each: two events of one thing must not meet in one statement."""
    found: list[dict[tuple[str, str], dict[str, object]]] = []
    for change in changes:
        key = (change.environment, change.id)
        level = next((level for level in found if key not in level), None)
        if level is None:
            found.append(level := {})
        level[key] = _change_row(change)
    return [[level[key] for key in sorted(level)] for level in found]


def _change_row(change: Change) -> dict[str, object]:
    return {
        "environment": change.environment,
        "id": change.id,
        "kind": change.kind,
        "subject": change.subject,
        "occurred_at": change.occurred_at,
        "received_at": change.received_at,
        "change": change,
    }


def _quarantine_row(quarantined: Quarantined) -> dict[str, object]:
    message = quarantined.message
    return {
        "message_id": message.id,
        "received_at": message.received_at,
        "hook": message.hook,
        "source": message.source,
        "environment": message.environment,
        "reason": quarantined.reason,
        "path": quarantined.path,
    }


def write_audit(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Append to the audit trail."""
    bulk(
        connection,
        "INSERT INTO audit (at, action, reason, environment, message_id, fingerprint, incident_id, destination, actor,"
        " mapping_version, because) SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (at timestamptz,"
        " action text, reason text, environment text, message_id uuid, fingerprint text, incident_id uuid,"
        " destination text, actor text, mapping_version int, because jsonb)",
        [_audit_row(e) for e in entries],
    )


def _audit_row(entry: AuditEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in AuditEntry.__slots__}


def waiting(database: Database) -> bool:
    """Is there anything to understand now?"""
    with database.transaction() as connection:
        return bool(
            connection.execute(
                text(
                    "SELECT EXISTS (SELECT FROM inbox WHERE claimed_until IS NULL OR claimed_until < clock_timestamp())"
                )
            ).scalar_one()
        )


def put_back(connection: Connection, message_ids: Sequence[UUID]) -> int:
    """Queue stored messages again (replay of quarantine after a mapping was mended)."""
    return run(
        connection,
        "INSERT INTO inbox (id, received_at, environment) SELECT id, received_at, environment FROM messages"
        " WHERE id = ANY(:ids) ON CONFLICT DO NOTHING",
        ids=list(message_ids),
    )
