"""What did an attempt come to, and what follows from it?

All in one transaction: the record's new state, the audit line, the links on the incident's other records, and a new
decision where a person has acted. Whoever is killed in between: an attempt is kept whole or, its lease over, made anew.
"""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from uuid import uuid5

import uuid_utils.compat
from prometheus_client import Counter
from psycopg.errors import DeadlockDetected
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from tocsin.bootstrap import App
from tocsin.domain.audit import AuditEntry
from tocsin.domain.record import Confirmation, Outcome, Reason, Record
from tocsin.store import crosslinks, database, kin, records
from tocsin.store.inbox import keep_signals, write_audit
from tocsin.understanding import alert_of_ours, signal_of_ours

log = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=15)
"""Retries double from the first to the longest, with jitter; a vendor's Retry-After is always honoured."""

DEAD = Counter("tocsin_records_dead_total", "Records that need a person, by reason", ["connector", "reason"])


def settle(app: App, record: Record, outcome: Outcome, seconds: float) -> None:
    """Keep what an attempt of so many seconds came to; nothing where its lease was lost meanwhile.

    Notes go across the records of an incident, which deciding writes too: who is chosen to end a deadlock tries again.
    """
    state, _ = following(record, outcome)
    log.info(
        "record=%s destination=%s generation=%d result=%s reason=%s calls=%d",
        record.wanted.display,
        record.destination,
        record.generation,
        outcome.result,
        outcome.reason,
        outcome.calls,
    )
    for attempt in Retrying(
        retry=retry_if_exception(_is_deadlock), stop=stop_after_attempt(5), wait=wait_random(0, 0.2), reraise=True
    ):
        with attempt, app.database.transaction() as connection:
            held = _keep(connection, record, outcome, seconds)
            if held:
                _tell(connection, record, outcome, state, database.now(connection))
    if held and state == "dead":
        DEAD.labels(record.kind, outcome.reason).inc()


def _is_deadlock(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and isinstance(error.orig, DeadlockDetected)


def _keep(connection: Connection, record: Record, outcome: Outcome, seconds: float) -> bool:
    """The record as the attempt left it; False when the lease was lost."""
    state, retry = following(record, outcome)
    if outcome.confirmation is not None:
        records.one_at_a_time(connection, record.incident_id)
    unsure = record.ambiguous_since is not None and not outcome.settled and outcome.confirmation is None
    return records.settle(
        connection,
        record,
        outcome,
        state=state,
        retry_after=retry,
        ambiguous=outcome.result == "ambiguous" or unsure,
        seconds=seconds,
    )


def following(record: Record, outcome: Outcome) -> tuple[str, timedelta | None]:
    """The record's next state and when it is tried again (None: not by itself). Refused credentials are the
    destination's fault, so that its records wait."""
    if outcome.settled:
        return "settled", outcome.after
    if outcome.result == "rejected" and outcome.reason is not Reason.UNAUTHORIZED:
        stood = record.external_id or (outcome.confirmation is not None and outcome.confirmation.external_id)
        return ("closed", outcome.after) if outcome.reason is Reason.GONE and stood else ("dead", None)
    backoff = min(FIRST_RETRY * 2 ** min(record.failures, 10), LONGEST_RETRY)
    jittered = backoff * random.uniform(0.8, 1.2)  # noqa: S311 spreading retries needs no secrecy
    return record.state, max(outcome.after or timedelta(0), jittered if outcome.after is None else outcome.after)


def _tell(connection: Connection, record: Record, outcome: Outcome, state: str, now: datetime) -> None:
    """Audit, cross-links for a record that was just opened, and a new decision where a person has acted."""
    confirmation = outcome.confirmation
    first = bool(confirmation and confirmation.external_id and outcome.settled and not record.external_id)
    touched = confirmation is not None and confirmation.human_touched
    if first:
        kin.ask_children(connection, record.incident_id)
    if state == "closed" or touched:
        records.ask_again(connection, record.incident_id, human_touched=touched)
    if confirmation is not None and _is_named(record, outcome, first=first):
        crosslinks.tell(connection, record, confirmation)
    write_audit(connection, [_line(record, outcome, state, now), *_warned(connection, record, confirmation, now)])
    if state == "dead":
        raise_alert(
            connection,
            "RecordsDead",
            record.destination,
            f"{record.wanted.display} could not be recorded: {outcome.reason} {outcome.detail}. See"
            f" `tocsin deadletters list --destination {record.destination}`",
            environment=record.environment,
            now=now,
        )


def _is_named(record: Record, outcome: Outcome, *, first: bool) -> bool:
    """Whether the incident's other records can name this one now and could not, or may not have, before."""
    confirmation = outcome.confirmation
    if confirmation is None or not outcome.settled or not (confirmation.external_id or record.external_id):
        return False
    if confirmation.number or record.number:
        return first or not record.number
    return outcome.after is None


def _line(record: Record, outcome: Outcome, state: str, now: datetime) -> AuditEntry:
    confirmation = outcome.confirmation
    return AuditEntry(
        at=now,
        action=f"record.{'confirmed' if outcome.settled else 'attempted' if state != 'dead' else 'dead'}",
        reason=outcome.reason,
        environment=record.environment,
        incident_id=record.incident_id,
        destination=record.destination,
        because={
            "result": outcome.result,
            "detail": outcome.detail,
            "record": (confirmation.number if confirmation else "") or record.number,
            "generation": record.generation,
            "status": record.wanted.status,
            "calls": outcome.calls,
            **({"dropped": list(confirmation.dropped_fields)} if confirmation and confirmation.dropped_fields else {}),
        },
    )


def _warned(
    connection: Connection, record: Record, confirmation: Confirmation | None, now: datetime
) -> list[AuditEntry]:
    """What an operator should mend, said once on the record and once in the audit trail."""
    if confirmation is None:
        return []
    new = [words for words in confirmation.warnings if words not in record.warnings]
    for words in new if confirmation.takes_notes else ():
        records.add_note(connection, [record.id], [uuid5(record.id, words)], f"Set-up: {words}")
    return [
        AuditEntry(
            at=now,
            action="record.warned",
            reason="set_up",
            environment=record.environment,
            incident_id=record.incident_id,
            destination=record.destination,
            because={"warning": words},
        )
        for words in new
    ]


def raise_alert(
    connection: Connection,
    name: str,
    destination: str,
    words: str,
    *,
    now: datetime,
    environment: str = "",
    over: bool = False,
) -> None:
    """Our own alert about a destination, to the catch-all team."""
    alert = alert_of_ours(
        name, destination, words, environment=environment, labels={"destination": destination}, now=now, over=over
    )
    keep_signals(connection, [signal_of_ours(uuid_utils.compat.uuid7(), alert)])
