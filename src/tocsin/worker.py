"""Celery is the alarm clock: a task is one call into pipeline or delivery, and beat runs the sweeps.

PostgreSQL holds the work. A task that is lost, doubled or late costs time and nothing else: the beat finds what is due
every second, and does it itself, slowly, while Redis is away.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, Service
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tocsin import delivery, pipeline, polling, reconciling
from tocsin.bootstrap import App
from tocsin.config.settings import Settings
from tocsin.domain.errors import TocsinError, Unavailable
from tocsin.store import storms, sweeps

log = logging.getLogger(__name__)

WORK, ATTRIBUTE, DELIVER, KEEP_HOUSE = "tocsin.work", "tocsin.attribute", "tocsin.deliver", "tocsin.keep_house"
LOOK, ERRANDS = "tocsin.look", "tocsin.errands"
QUEUE, ATTRIBUTE_QUEUE = "tocsin", "attribute"
BEAT_LOCK = 7_203
LONGEST_WORK_S = 5.0
"""A work task gives its process back after this, so that deliveries and shutdowns are never starved."""
UNHEARD = 4
"""So many wake-ups waiting mean that no worker listens: all dead, or still in Celery's pause (up to 30 s) between two
tries to reach a broker that is back."""


def broker_url(redis_url: str) -> str:
    """Celery's spelling of a Redis address (redis-py says unix://, kombu redis+socket://)."""
    return redis_url.replace("unix://", "redis+socket://", 1)


app = Celery("tocsin")
app.conf.update(
    broker_url=broker_url(os.environ.get("TOCSIN_REDIS_URL", "redis://127.0.0.1:6379/0")),
    task_ignore_result=True,
    task_default_queue=QUEUE,
    task_routes={ATTRIBUTE: {"queue": ATTRIBUTE_QUEUE}},
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 2, "retry_on_timeout": True},
    beat_max_loop_interval=1,
    beat_schedule={
        name: {"task": name, "schedule": timedelta(seconds=seconds)}
        for name, seconds in ((WORK, 1), (ATTRIBUTE, 1), (DELIVER, 1), (ERRANDS, 1), (LOOK, 10), (KEEP_HOUSE, 300))
    },
)


@cache
def tocsin() -> App:
    """This process's App; first asked for after the fork."""
    return App(Settings(), pool_size=delivery.AT_ONCE + 4)


@cache
def _couriers() -> delivery.Couriers:
    return delivery.Couriers(app=tocsin())


@app.task(name=WORK)
def work() -> None:
    """Understand and decide until nothing waits."""
    tocsin().waker.awake(WORK)
    until = time.monotonic() + LONGEST_WORK_S
    moved = True
    while moved and time.monotonic() < until:
        moved = bool(pipeline.understand(tocsin()))
        for environment in sweeps.environments_due(tocsin().database):
            moved |= bool(pipeline.decide(tocsin(), environment))
        moved |= pipeline.carry_out_job(tocsin())
        _wake_followers()
    if moved:
        tocsin().waker.wake(WORK, QUEUE)


@app.task(name=ATTRIBUTE)
def attribute() -> None:
    """Score the incidents that are due and have them decided again."""
    tocsin().waker.awake(ATTRIBUTE)
    for environment in pipeline.attribute(tocsin()):
        pipeline.decide(tocsin(), environment)
    _wake_followers()


@app.task(name=DELIVER)
def deliver() -> None:
    """Send what is due."""
    tocsin().waker.awake(DELIVER)
    delivery.deliver(tocsin(), _couriers())


@app.task(name=LOOK)
def look() -> None:
    """Ask the service desks whose turn it is what people did there, and whether our records stand as we left them."""
    tocsin().waker.awake(LOOK)
    if polling.poll(tocsin(), _couriers()):
        tocsin().waker.wake(WORK, QUEUE)
    reconciling.reconcile_due(tocsin(), _couriers())


@app.task(name=ERRANDS)
def run_errands() -> None:
    """Fetch what senders' protocols need: signing certificates, confirmations of subscriptions."""
    tocsin().waker.awake(ERRANDS)
    if polling.run_errands(tocsin()):
        tocsin().waker.wake(WORK, QUEUE)


@app.task(name=KEEP_HOUSE)
def keep_house() -> None:
    """New partitions ahead, old ones dropped, senders' message ids forgotten."""
    tocsin().waker.awake(KEEP_HOUSE)
    mappings = tocsin().active().mappings
    sweeps.keep_house(tocsin().database, mappings.policy.retention)
    storms.calm(tocsin().database, {name: d.max_new_per_hour for name, d in mappings.destinations.items()})


def _wake_followers() -> None:
    due = sweeps.due(tocsin().database)
    if due.attribute:
        tocsin().waker.wake(ATTRIBUTE, ATTRIBUTE_QUEUE)
    if due.deliver:
        tocsin().waker.wake(DELIVER, QUEUE)
    if due.errands:
        tocsin().waker.wake(ERRANDS, QUEUE)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What the beat watches: is it due, where is it queued, how is it done here when the broker is away?"""

    is_due: Callable[[sweeps.Due], bool]
    queue: str
    here: Callable[[], None]


SWEEPS = {
    WORK: Sweep(lambda due: due.work, QUEUE, work),
    ATTRIBUTE: Sweep(lambda due: due.attribute, ATTRIBUTE_QUEUE, attribute),
    DELIVER: Sweep(lambda due: due.deliver, QUEUE, deliver),
    ERRANDS: Sweep(lambda due: due.errands, QUEUE, run_errands),
    LOOK: Sweep(lambda _due: True, QUEUE, look),
    KEEP_HOUSE: Sweep(lambda _due: True, QUEUE, keep_house),
}


class Sweeper(Scheduler):
    """Celery's scheduler, but: one beat of any number works at a time (advisory lock), it asks the database whether
    there is anything to do, and it does the work itself when the broker cannot be told or no worker listens."""

    _lock: Connection | None = None
    producer = None  # type: ignore[assignment]
    """We wake through our own Waker; Celery's would wait here until the broker answers, and nothing be done."""

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> None:  # noqa: ANN401
        if advance:
            self.reserve(entry)
        try:
            self._sweep(str(entry.task))
        except (TocsinError, DBAPIError) as error:
            log.warning("sweep=%s %s", entry.task, error)

    def _sweep(self, task: str) -> None:
        sweep = SWEEPS[task]
        if not self._leads() or not sweep.is_due(sweeps.due(tocsin().database)):
            return
        heard = tocsin().waker.waiting(sweep.queue) < UNHEARD
        if heard and tocsin().waker.wake(task, sweep.queue):
            return
        log.warning("sweep=%s %s: done here", task, "broker is away" if heard else "no worker takes wake-ups")
        sweep.here()

    def _leads(self) -> bool:
        """Holds the beats' lock, for as long as its own connection lives."""
        try:
            if self._lock is None or self._lock.closed:
                self._lock = tocsin().database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            return bool(
                self._lock.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": BEAT_LOCK}).scalar_one()
            )
        except DBAPIError as error:
            self._lock = None
            raise Unavailable("the database is away") from error


def run_beat() -> None:
    """The beat process: returns on SIGTERM or SIGINT."""
    service = Service(app, scheduler_cls=Sweeper, schedule_filename=None)
    service.start()
