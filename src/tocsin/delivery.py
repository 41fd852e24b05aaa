"""Bring each record to its wanted state; the only caller of connectors.

A record is leased with a token, sent, and settled by compare-and-set on that token. What an attempt came to is a value;
when to try again is a column that the beat reads, so that neither a restart nor a lost broker forgets anything.
"""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid5

import uuid_utils.compat
from prometheus_client import Counter, Histogram
from sqlalchemy import Connection, text

from tocsin.bootstrap import App
from tocsin.connectors import clock_s
from tocsin.couriers import Courier, Couriers
from tocsin.decide.shadow import would_send
from tocsin.decide.standing import after, charged
from tocsin.domain.audit import AuditEntry
from tocsin.domain.record import Confirmation, Outcome, Reason, Record, Task
from tocsin.domain.standing import Standing
from tocsin.store import crosslinks, destinations, kin, mirroring, records, shadows
from tocsin.store.inbox import keep_signals, write_audit
from tocsin.understanding import alert_of_ours, signal_of_ours

__all__ = ["AT_ONCE", "Couriers", "attempt", "deliver"]

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Vendor calls under way at once in one delivering process."""

DELIVER_LOCK = 7_202
SLOTS = 2
"""Processes of one host that deliver at a time: a second one takes over when the first hangs or is stopped."""

FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=15)
"""Retries double from the first to the longest, with jitter; a vendor's Retry-After is always honoured."""

DELIVERED = Histogram("tocsin_delivery_seconds", "Seconds of one attempt", ["connector", "reason"])
DEAD = Counter("tocsin_records_dead_total", "Records that need a person, by reason", ["connector", "reason"])
OPENED = Counter("tocsin_circuit_opened_total", "Times that a destination was put to rest", ["destination", "reason"])


def deliver(app: App, couriers: Couriers, *, until_idle: bool = True) -> int:
    """Send what is due, AT_ONCE records at a time; returns how many attempts were made. Only SLOTS callers a host work
    at a time (another returns 0 at once), so that slow vendors never take all of a worker's processes."""
    couriers.follow()
    _tell_of_long_rests(app)
    with _slot(app) as held:
        if not held:
            return 0
        made = _rounds(app, couriers, until_idle=until_idle)
        return made + _mirror(app, couriers)


@contextmanager
def _slot(app: App) -> Iterator[bool]:
    """One of the host's slots, for as long as the block lasts; False when all are taken."""
    with app.database.engine.connect() as connection:
        taken = next((name for name in _slot_names() if _lock(connection, "pg_try_advisory_lock", name)), "")
        try:
            yield bool(taken)
        finally:
            if taken:
                _lock(connection, "pg_advisory_unlock", taken)


def _slot_names() -> list[str]:
    return [f"{socket.gethostname()} {slot}" for slot in range(SLOTS)]


def _lock(connection: Connection, function: str, name: str) -> bool:
    held = connection.execute(
        text(f"SELECT {function}(:lock, hashtext(:name))"), {"lock": DELIVER_LOCK, "name": name}
    ).scalar_one()
    connection.commit()
    return bool(held)


def _rounds(app: App, couriers: Couriers, *, until_idle: bool) -> int:
    made = 0
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver") as pool:
        while True:
            free = AT_ONCE - len(running)
            until_s = clock_s() + records.LEASE_S
            leased = records.lease(app.database, free, [uuid_utils.compat.uuid7() for _ in range(free)]) if free else []
            running |= {pool.submit(attempt, app, couriers, record, until_s=until_s) for record in leased}
            made += len(leased)
            if not running:
                return made
            finished, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
            if not until_idle and not leased and not running:
                return made


def attempt(app: App, couriers: Couriers, record: Record, *, until_s: float | None = None) -> None:
    """One try at one record, and what it came to. The lease ends at `until_s` (see `clock_s`; left out: it was just
    taken). Calls are made in the first half of a lease only: with less left, nothing is sent, the lease given back."""
    started_s = clock_s()
    ends_s = started_s + records.LEASE_S if until_s is None else until_s
    within_s = ends_s - records.LEASE_S / 2 - started_s
    if within_s <= 0:
        records.release(app.database, record)
        return
    courier = couriers.of(record.destination)
    if record.mode == "shadow":
        _show(app, courier, record)
        return
    outcome = _sent(app, couriers, courier, record, within_s)
    seconds = clock_s() - started_s
    DELIVERED.labels(record.kind, outcome.reason).observe(seconds)
    _stand(app, record, outcome)
    _settle(app, record, outcome, seconds)


def _sent(app: App, couriers: Couriers, courier: Courier | Outcome, record: Record, within_s: float) -> Outcome:
    """What the vendor says; refused credentials are read anew once, and tried again when they have changed."""
    if isinstance(courier, Outcome):
        return courier
    if record.wanted.status == "resolved" and record.never_went_out:
        unsaid = Confirmation(external_id="", notes=tuple(note.id for note in record.notes))
        return Outcome(result="done", reason=Reason.OK, detail="over before anything was sent", confirmation=unsaid)
    begun_s = clock_s()
    task = _task(app, record, courier)
    outcome = courier.connector.send(courier.config, task, courier.http, within_s=within_s)
    left_s = within_s - (clock_s() - begun_s)
    if outcome.reason is Reason.UNAUTHORIZED and left_s > 0 and couriers.renewed(record.destination):
        fresh = couriers.of(record.destination)
        if not isinstance(fresh, Outcome):
            again = fresh.connector.send(fresh.config, task, fresh.http, within_s=left_s)
            return replace(again, calls=again.calls + outcome.calls)
    return outcome


def _show(app: App, courier: Courier | Outcome, record: Record) -> None:
    """Keep what would be sent; nothing is."""
    if isinstance(courier, Outcome):
        _settle(app, record, courier, 0.0)
        return
    told = record.sent_wanted
    calls = would_send(
        record.wanted,
        courier.rendered(record.wanted),
        version=record.wanted_version,
        told=told,
        told_rendered=courier.rendered(told) if told else None,
        notes=record.notes,
        attachments=record.attachments,
    )
    shadows.keep(app.database, record, calls)
    shown = Confirmation(
        external_id="",
        notes=tuple(note.id for note in record.notes),
        attachments=tuple(file.id for file in record.attachments),
    )
    outcome = Outcome(result="done", reason=Reason.OK, confirmation=shown)
    records.settle(app.database, record, outcome, state="shadow", retry_after=None, ambiguous=False, seconds=0.0)


def _task(app: App, record: Record, courier: Courier) -> Task:
    return Task(
        wanted=record.wanted,
        notes=record.notes,
        attachments=record.attachments,
        sent_wanted=record.sent_wanted,
        sent=record.sent,
        observed=record.observed,
        external_id=record.external_id,
        number=record.number,
        url=record.url,
        ambiguous_since=record.ambiguous_since,
        tried=record.tried,
        attempts=record.attempts,
        now=app.database.now(),
        when_human_touched=courier.when_human_touched,
    )


def _settle(app: App, record: Record, outcome: Outcome, seconds: float) -> None:
    state, retry = _following(record, outcome)
    unsure = record.ambiguous_since is not None and not outcome.settled and outcome.confirmation is None
    held = records.settle(
        app.database,
        record,
        outcome,
        state=state,
        retry_after=retry,
        ambiguous=outcome.result == "ambiguous" or unsure,
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
    """The record's next state and when it is tried again (None: not by itself). Refused credentials are the
    destination's fault, so that its records wait."""
    if outcome.settled:
        return "settled", outcome.after
    if outcome.result == "rejected" and outcome.reason is not Reason.UNAUTHORIZED:
        stood = record.external_id or (outcome.confirmation is not None and outcome.confirmation.external_id)
        return ("closed", None) if outcome.reason is Reason.GONE and stood else ("dead", None)
    backoff = min(FIRST_RETRY * 2 ** min(record.failures, 10), LONGEST_RETRY)
    jittered = backoff * random.uniform(0.8, 1.2)  # noqa: S311 spreading retries needs no secrecy
    return record.state, max(outcome.after or timedelta(0), jittered if outcome.after is None else outcome.after)


def _tell(app: App, record: Record, outcome: Outcome, state: str) -> None:
    """Audit, cross-links for a record that was just opened, and a new decision where a person has acted."""
    confirmation, now = outcome.confirmation, app.database.now()
    first = bool(confirmation and confirmation.external_id and outcome.settled and not record.external_id)
    with app.database.transaction() as connection:
        if confirmation is not None:
            records.one_at_a_time(connection, record.incident_id)
        if first:
            kin.ask_children(connection, record.incident_id)
        if state == "closed" or (confirmation is not None and confirmation.human_touched):
            records.ask_again(
                connection,
                record.incident_id,
                human_touched=bool(confirmation and confirmation.human_touched),
            )
        if confirmation is not None and (first or (confirmation.number and not record.number)):
            crosslinks.tell(connection, record, confirmation)
        write_audit(connection, [_line(record, outcome, state, now), *_warned(connection, record, confirmation, now)])
        if state == "dead":
            _raise_alert(
                connection,
                "RecordsDead",
                record.destination,
                f"{record.wanted.display} could not be recorded: {outcome.reason} {outcome.detail}. See"
                f" `tocsin deadletters list --destination {record.destination}`",
                environment=record.environment,
                now=now,
            )


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
    new = [words for words in confirmation.warnings if words not in record.warnings] if confirmation else []
    for words in new:
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


# -------------------------------------------------------------------------------------------------- destinations


def _stand(app: App, record: Record, outcome: Outcome) -> None:
    """Let the destination's circuit, window and buckets know what this attempt came to."""
    jitter = random.uniform(0.8, 1.2)  # noqa: S311 spreading probes needs no secrecy

    def step(standing: Standing, now: datetime) -> Standing:
        return after(charged(standing, outcome.calls - 1, now=now), outcome, jitter=jitter, now=now)

    moved = destinations.move(app.database, record.destination, step)
    if moved is None:
        return
    before, now_stands = moved
    if before.open_since is None and now_stands.open_since is not None:
        OPENED.labels(record.destination, outcome.reason).inc()
        log.warning("destination=%s rests reason=%s %s", record.destination, outcome.reason, outcome.detail)
        _say(app, "destination.rested", now_stands, outcome.reason)
    elif before.open_since is not None and now_stands.open_since is None:
        log.warning("destination=%s answers again", record.destination)
        _say(app, "destination.recovered", now_stands, "ok")
        if before.alerted_at is not None:
            with app.database.transaction() as connection:
                _raise_alert(
                    connection, RESTS, record.destination, "it answers again", now=app.database.now(), over=True
                )


RESTS = "DestinationRests"


def _tell_of_long_rests(app: App) -> None:
    for standing in destinations.alerts_due(app.database):
        since = standing.open_since or app.database.now()
        words = f"{standing.name} has been away since {since:%H:%M}Z: {standing.rests_why}"
        with app.database.transaction() as connection:
            _raise_alert(connection, RESTS, standing.name, f"{words} {standing.rests_detail}", now=app.database.now())


def _say(app: App, action: str, standing: Standing, reason: str) -> None:
    line = AuditEntry(
        at=app.database.now(),
        action=action,
        reason=reason,
        destination=standing.name,
        because={"detail": standing.rests_detail, "until": standing.rests_until},
    )
    with app.database.transaction() as connection:
        write_audit(connection, [line])


def _raise_alert(
    connection: Connection,
    name: str,
    destination: str,
    words: str,
    *,
    now: datetime,
    environment: str = "",
    over: bool = False,
) -> None:
    """Our own alert to the catch-all team."""
    alert = alert_of_ours(
        name, destination, words, environment=environment, labels={"destination": destination}, now=now, over=over
    )
    keep_signals(connection, [signal_of_ours(uuid_utils.compat.uuid7(), alert)])


def _mirror(app: App, couriers: Couriers) -> int:
    """Show changes beside the vendors' incidents, once the records are done; one that fails is tried again later and
    holds up nothing."""
    leased = mirroring.lease(app.database, AT_ONCE)
    for one in leased:
        courier = couriers.of(one.destination)
        if isinstance(courier, Outcome):
            outcome = courier
        elif courier.connector.mirror is None:
            outcome = Outcome(result="rejected", reason=Reason.CLIENT_ERROR, detail="changes cannot be shown there")
        else:
            http = courier.http.attempt(app.database.now(), within_s=records.LEASE_S / 2)
            outcome = courier.connector.mirror(courier.config, one.change, http)
        mirroring.settle(app.database, one, outcome)
    return len(leased)
