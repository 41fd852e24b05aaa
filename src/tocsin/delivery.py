"""Bring each record to its wanted state; the only caller of connectors.

A record is leased with a token, sent, and settled by compare-and-set on that token. What an attempt came to is a value;
when to try again is a column that the beat reads, so that neither a restart nor a lost broker forgets anything.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import uuid_utils.compat
from prometheus_client import Counter, Histogram
from sqlalchemy import text

from tocsin.bootstrap import App
from tocsin.connectors import Connector, Http, find, open_http
from tocsin.domain.audit import AuditEntry
from tocsin.domain.record import Outcome, Reason, Record, Task
from tocsin.store import records
from tocsin.store.inbox import write_audit

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Vendor calls under way at once on this host."""

DELIVER_LOCK = 7_202

FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=15)
"""Retries double from the first to the longest, with jitter; a vendor's Retry-After is always honoured."""

DELIVERED = Histogram("tocsin_delivery_seconds", "Seconds of one attempt", ["connector", "reason"])
DEAD = Counter("tocsin_records_dead_total", "Records that need a person, by reason", ["connector", "reason"])


@dataclass(kw_only=True)
class Couriers:
    """Connector, config and HTTP client of each destination, kept for as long as the mappings stay the same."""

    app: App
    version: int = -1
    known: dict[str, tuple[Connector[Any], Any, Http]] = field(default_factory=dict)

    def of(self, destination: str) -> tuple[Connector[Any], Any, Http] | None:
        active = self.app.active()
        if active.version != self.version:
            self.known, self.version = {}, active.version
        if destination not in self.known:
            declared = active.mappings.destinations.get(destination)
            if declared is None:
                return None
            connector = find(declared.kind)
            config = connector.Config(**declared.options)
            self.known[destination] = (connector, config, open_http(config, redact=active.redactor.text))
        return self.known[destination]


def deliver(app: App, couriers: Couriers, *, until_idle: bool = True) -> int:
    """Send what is due, AT_ONCE records at a time; returns how many attempts were made. Only one caller a host works
    at a time (another returns 0 at once), so that slow vendors never take all of a worker's processes."""
    with app.database.engine.connect() as slot:
        held = slot.execute(
            text("SELECT pg_try_advisory_lock(:lock, hashtext(:host))"),
            {"lock": DELIVER_LOCK, "host": socket.gethostname()},
        ).scalar_one()
        slot.commit()
        if not held:
            return 0
        try:
            return _rounds(app, couriers, until_idle=until_idle)
        finally:
            slot.execute(
                text("SELECT pg_advisory_unlock(:lock, hashtext(:host))"),
                {"lock": DELIVER_LOCK, "host": socket.gethostname()},
            )
            slot.commit()


def _rounds(app: App, couriers: Couriers, *, until_idle: bool) -> int:
    made = 0
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver") as pool:
        while True:
            free = AT_ONCE - len(running)
            leased = records.lease(app.database, free, [uuid_utils.compat.uuid7() for _ in range(free)]) if free else []
            running |= {pool.submit(attempt, app, couriers, record) for record in leased}
            made += len(leased)
            if not running:
                return made
            finished, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
            if not until_idle and not leased and not running:
                return made


def attempt(app: App, couriers: Couriers, record: Record) -> None:
    """One try at one record, and what it came to."""
    courier = couriers.of(record.destination)
    started = time.monotonic()
    if courier is None:
        outcome = Outcome(
            result="rejected",
            reason=Reason.GONE,
            detail=f"destination {record.destination} is no longer in the mappings; declare it again and replay",
        )
    else:
        connector, config, http = courier
        outcome = connector.send(config, _task(app, record), http)
    seconds = time.monotonic() - started
    DELIVERED.labels(record.kind, outcome.reason).observe(seconds)
    _settle(app, record, outcome, seconds)


def _task(app: App, record: Record) -> Task:
    return Task(
        wanted=record.wanted,
        notes=record.notes,
        sent_wanted=record.sent_wanted,
        sent=record.sent,
        observed=record.observed,
        external_id=record.external_id,
        number=record.number,
        url=record.url,
        ambiguous_since=record.ambiguous_since,
        attempts=record.attempts,
        now=app.database.now(),
    )


def _settle(app: App, record: Record, outcome: Outcome, seconds: float) -> None:
    state, retry = _following(record, outcome)
    held = records.settle(
        app.database,
        record,
        outcome,
        state=state,
        retry_after=retry,
        ambiguous=outcome.result == "ambiguous",
        seconds=seconds,
    )
    log.info(
        "record=%s destination=%s generation=%d result=%s reason=%s calls=%d",
        record.wanted.display,
        record.destination,
        record.generation,
        outcome.result,
        outcome.reason,
        outcome.calls,
    )
    if not held:
        return
    if state == "dead":
        DEAD.labels(record.kind, outcome.reason).inc()
    _tell(app, record, outcome, state)


def _following(record: Record, outcome: Outcome) -> tuple[str, timedelta | None]:
    """The record's next state and when it is tried again (None: not by itself)."""
    if outcome.settled:
        return "settled", None
    if outcome.result == "rejected":
        return ("closed", None) if outcome.reason is Reason.GONE and record.external_id else ("dead", None)
    backoff = min(FIRST_RETRY * 2 ** min(record.failures, 10), LONGEST_RETRY)
    jittered = backoff * random.uniform(0.8, 1.2)  # noqa: S311 spreading retries needs no secrecy
    return record.state, max(outcome.after or timedelta(0), jittered if outcome.after is None else outcome.after)


def _tell(app: App, record: Record, outcome: Outcome, state: str) -> None:
    """Audit, cross-links for a record that was just opened, and a new decision where a person has acted."""
    confirmation, now = outcome.confirmation, app.database.now()
    first = bool(confirmation and outcome.settled and not record.external_id)
    with app.database.transaction() as connection:
        if first and confirmation is not None:
            _link(connection, record, confirmation.number or confirmation.external_id, confirmation.url)
        if state == "closed" or (confirmation is not None and confirmation.human_touched):
            records.ask_again(
                connection,
                record.incident_id,
                human_touched=bool(confirmation and confirmation.human_touched),
            )
        write_audit(
            connection,
            [
                AuditEntry(
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
                    },
                )
            ],
        )


def _link(connection: Any, record: Record, number: str, url: str) -> None:  # noqa: ANN401
    """Tell the incident's other records of this one, once."""
    siblings = [
        other
        for other in records.of_incidents(connection, [record.incident_id]).get(record.incident_id, [])
        if other.id != record.id and other.mode == "live"
    ]
    words = f"See also {record.kind} {number}" + (f": {url}" if url else "")
    records.add_note(connection, [o.id for o in siblings], [uuid_utils.compat.uuid7() for _ in siblings], words)
