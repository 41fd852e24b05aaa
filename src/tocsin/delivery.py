"""Bring each record to its wanted state; the only caller of connectors.

A record is leased with a token, sent, and settled by compare-and-set on that token. What an attempt came to is a value;
when to try again is a column that the beat reads, so that neither a restart nor a lost broker forgets anything.
"""

from __future__ import annotations

import logging
import random
import socket
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime

import uuid_utils.compat
from prometheus_client import Counter, Histogram

from tocsin.bootstrap import App
from tocsin.connectors import clock_s
from tocsin.couriers import Courier, Couriers
from tocsin.decide.shadow import would_send
from tocsin.decide.standing import after, charged
from tocsin.domain.audit import AuditEntry
from tocsin.domain.record import Confirmation, Outcome, Reason, Record, Task
from tocsin.domain.standing import Standing
from tocsin.settling import raise_alert, settle
from tocsin.store import destinations, mirroring, records, shadows, slots
from tocsin.store.inbox import write_audit

__all__ = ["AT_ONCE", "Couriers", "attempt", "deliver"]

log = logging.getLogger(__name__)

AT_ONCE = 24
"""Vendor calls under way at once in one delivering process. One destination has at most 16 of them (`Standing`), and
three quarters of what the others leave it, so that one whose answers take half a minute never holds up the others."""

CHANGES_AT_ONCE, CHANGES_EVERY_S = 4, 0.5
"""Changes shown beside vendors' incidents that are taken up together, when no record is due."""

DELIVER_LOCK = 7_202
LONGEST_S = 5.0
"""After this a worker's process is given back however much is due: nothing more is taken up but what others may be
sent while the last answers of slow destinations are awaited."""

GATHER_S = 0.02
"""Places that become free so shortly after one another are filled at once: each filling asks the database three times,
and of many answers a second few would come alone."""

DELIVERED = Histogram("tocsin_delivery_seconds", "Seconds of one attempt", ["connector", "reason"])
OPENED = Counter("tocsin_circuit_opened_total", "Times that a destination was put to rest", ["destination", "reason"])


def deliver(app: App, couriers: Couriers) -> int:
    """Send what is due, AT_ONCE records at a time, for LONGEST_S or a little more; returns how many attempts were made.
    One caller a host works at a time (another returns 0 at once, unless the first has fallen silent), so that slow
    vendors never take all of a worker's processes."""
    couriers.follow()
    _tell_of_long_rests(app)
    with slots.taken(app.database, DELIVER_LOCK, socket.gethostname()) as slot:
        return _Rounds(app, couriers, slot).made() if slot else 0


class _Rounds:
    """What one process has under way."""

    def __init__(self, app: App, couriers: Couriers, slot: slots.Slot) -> None:
        self._app, self._couriers, self._slot = app, couriers, slot
        self._under_way: dict[Future[None], tuple[str, float]] = {}
        """Each with its destination and when it was taken up."""
        self._ends_s = clock_s() + LONGEST_S
        self._changes_at_s = 0.0

    def made(self) -> int:
        """How many attempts were made until nothing was due, or the time was over."""
        made = 0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver") as pool:
            while True:
                self._slot.beat()
                made += self._take_up(pool)
                if not self._under_way:
                    return made
                wait(self._under_way, timeout=0.5, return_when=FIRST_COMPLETED)
                finished, _ = wait(self._under_way, timeout=GATHER_S)
                for future in finished:
                    del self._under_way[future]
                    future.result()

    def _take_up(self, pool: ThreadPoolExecutor) -> int:
        free = AT_ONCE - len(self._under_way)
        if not free or not self._goes_on():
            return 0
        now_s = clock_s()
        until_s = now_s + records.LEASE_S
        leased = records.lease(
            self._app.database, free, [uuid_utils.compat.uuid7() for _ in range(free)], room=self._room
        )
        for record in leased:
            future = pool.submit(attempt, self._app, self._couriers, record, until_s=until_s)
            self._under_way[future] = record.destination, now_s
        if leased or (self._under_way and now_s < self._changes_at_s):
            return len(leased)
        self._changes_at_s = now_s + CHANGES_EVERY_S
        return self._take_up_changes(pool, min(free, CHANGES_AT_ONCE))

    def _take_up_changes(self, pool: ThreadPoolExecutor, limit: int) -> int:
        now_s = clock_s()
        changes = mirroring.lease(self._app.database, limit, but=self._slow())
        for change in changes:
            future = pool.submit(_mirror, self._app, self._couriers, change, until_s=now_s + mirroring.LEASE_S)
            self._under_way[future] = change.destination, now_s
        return len(changes)

    def _goes_on(self) -> bool:
        return clock_s() < self._ends_s or bool(self._slow())

    def _slow(self) -> set[str]:
        """When the time is over: destinations with answers outstanding since before. They get nothing more."""
        if clock_s() < self._ends_s:
            return set()
        return {destination for destination, since_s in self._under_way.values() if since_s < self._ends_s}

    def _room(self, destination: str) -> int:
        """How many more may be under way at this destination."""
        if destination in self._slow():
            return 0
        here = sum(1 for name, _ in self._under_way.values() if name == destination)
        left = AT_ONCE - (len(self._under_way) - here)
        return max(1, left * 3 // 4) - here


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
    settle(app, record, outcome, seconds)


def _sent(app: App, couriers: Couriers, courier: Courier | Outcome, record: Record, within_s: float) -> Outcome:
    """What the vendor says; refused credentials are read anew once, and tried again when they have changed."""
    if isinstance(courier, Outcome):
        return courier
    if record.wanted.status == "resolved" and record.never_went_out:
        unsaid = Confirmation(
            external_id="",
            notes=tuple(note.id for note in record.notes),
            attachments=tuple(file.id for file in record.attachments),
        )
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
        settle(app, record, courier, 0.0)
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
    with app.database.transaction() as connection:
        records.settle(connection, record, outcome, state="shadow", retry_after=None, ambiguous=False, seconds=0.0)


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
                raise_alert(
                    connection, RESTS, record.destination, "it answers again", now=app.database.now(), over=True
                )


RESTS = "DestinationRests"


def _tell_of_long_rests(app: App) -> None:
    for standing in destinations.alerts_due(app.database):
        since = standing.open_since or app.database.now()
        words = f"{standing.name} has been away since {since:%H:%M}Z: {standing.rests_why}"
        with app.database.transaction() as connection:
            raise_alert(connection, RESTS, standing.name, f"{words} {standing.rests_detail}", now=app.database.now())


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


def _mirror(app: App, couriers: Couriers, one: mirroring.Leased, *, until_s: float) -> None:
    """Show a change beside the vendor's incidents; one that fails is tried again later."""
    courier = couriers.of(one.destination)
    within_s = until_s - mirroring.LEASE_S / 2 - clock_s()
    if isinstance(courier, Outcome):
        outcome = courier
    elif courier.connector.mirror is None:
        outcome = Outcome(result="rejected", reason=Reason.CLIENT_ERROR, detail="changes cannot be shown there")
    else:
        http = courier.http.attempt(app.database.now(), within_s=within_s)
        outcome = courier.connector.mirror(courier.config, one.change, http)
    mirroring.settle(app.database, one, outcome)
