"""One thing could not be decided: put it aside by name, so that the rest of its environment goes on."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from tocsin.domain.audit import AuditEntry
from tocsin.store.database import Database, rows
from tocsin.store.inbox import write_audit

MISTAKES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError),
    SQLAlchemyError,
)
"""What a mistake of ours, or of a library on input that it did not foresee, raises. A database that is away or busy
(OperationalError, Unavailable) is none: there the same is tried again."""

WAIT_S = 300
"""An alert or incident that could not be decided is tried again after this."""

_FIRST = {
    "signal": "WITH first AS (SELECT received_at, message_id, seq FROM signals WHERE environment = :environment"
    "  ORDER BY received_at, message_id, seq LIMIT 1),"
    " gone AS (DELETE FROM signals USING first WHERE signals.environment = :environment"
    "  AND signals.received_at = first.received_at AND signals.message_id = first.message_id"
    "  AND signals.seq = first.seq RETURNING signals.message_id, signals.received_at),"
    " aside AS (INSERT INTO quarantine (message_id, received_at, hook, source, environment, reason)"
    "  SELECT m.id, m.received_at, m.hook, m.source, m.environment, :words FROM gone"
    "  JOIN messages m ON m.id = gone.message_id AND m.received_at = gone.received_at"
    "  ON CONFLICT (message_id) DO UPDATE SET reason = excluded.reason, replayed_at = NULL)"
    " SELECT message_id, NULL::uuid AS incident_id, '' AS fingerprint, clock_timestamp() AS at FROM gone",
    "alert": "UPDATE alerts SET look_again_at = clock_timestamp() + make_interval(secs => :wait) WHERE environment ="
    " :environment AND fingerprint = (SELECT fingerprint FROM alerts WHERE environment = :environment"
    "  AND look_again_at <= clock_timestamp() ORDER BY look_again_at, fingerprint LIMIT 1)"
    " RETURNING NULL::uuid AS message_id, incident_id, fingerprint, clock_timestamp() AS at",
    "incident": "UPDATE incidents SET decide_again_at = clock_timestamp() + make_interval(secs => :wait) WHERE id ="
    " (SELECT id FROM incidents WHERE environment = :environment AND decide_again_at <= clock_timestamp()"
    "  ORDER BY opened_at, id LIMIT 1)"
    " RETURNING NULL::uuid AS message_id, id AS incident_id, '' AS fingerprint, clock_timestamp() AS at",
}


def put_aside(database: Database, environment: str, what: str, words: str) -> bool:
    """Put the first waiting `signal`, due `alert` or due `incident` of an environment aside: a signal's message goes
    to quarantine (to be replayed after the mending), the others wait WAIT_S. False when there is none."""
    values: dict[str, object] = {"environment": environment}
    values |= {"words": words[:500]} if what == "signal" else {"wait": WAIT_S}
    with database.transaction() as connection:
        found = rows(connection, _FIRST[what], **values)
        write_audit(
            connection,
            [
                AuditEntry(
                    at=row.at,
                    action=f"{what}.undecided",
                    reason="failed",
                    environment=environment,
                    message_id=row.message_id,
                    incident_id=row.incident_id,
                    fingerprint=row.fingerprint,
                    because={"why": words[:500]},
                )
                for row in found
            ],
        )
    return bool(found)
