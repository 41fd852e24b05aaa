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
from threading import Thread
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, Service
from celery.signals import task_prerun
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tocsin import delivery, pipeline, polling, reconciling
from tocsin.bootstrap import App
from tocsin.config.settings import Settings
from tocsin.domain.errors import TocsinError, Unavailable
from tocsin.store import inbox, storms, sweeps

log = logging.getLogger(__name__)

WORK, ATTRIBUTE, DELIVER, KEEP_HOUSE = "tocsin.work", "tocsin.attribute", "tocsin.deliver", "tocsin.keep_house"
LOOK, ERRANDS, DRAW = "tocsin.look", "tocsin.errands", "tocsin.draw"
QUEUE, ATTRIBUTE_QUEUE = "tocsin", "attribute"
BEAT_LOCK = 7_203
LONGEST_WORK_S = 5.0
"""A work task gives its process back after this, so that deliveries and shutdowns are never starved."""
CONNECTIONS = 20
"""To the database, kept by one process; an attempt needs one before and after its calls only."""
DRAW_SHARE = 0.2
FEW, ROUND_S = 20, 0.05
"""A round of work with fewer signals and decisions than this lasts so long at least."""
UNHEARD = 4
"""So many wake-ups waiting, and none taken up for HEARD_S, mean that no worker listens: all dead, or still in Celery's
pause (up to 30 s) between two tries to reach a broker that is back. Workers that are busy are not deaf."""


def broker_url(redis_url: str) -> str:
    """Celery's spelling of a Redis address (redis-py says unix://, kombu redis+socket://)."""
    return redis_url.replace("unix://", "redis+socket://", 1)


app = Celery("tocsin")
app.conf.update(
    broker_url=broker_url(os.environ.get("TOCSIN_REDIS_URL", "redis://127.0.0.1:6379/0")),
    task_ignore_result=True,
    task_default_queue=QUEUE,
    task_routes={ATTRIBUTE: {"queue": ATTRIBUTE_QUEUE}, DRAW: {"queue": ATTRIBUTE_QUEUE}},
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
        for name, seconds in (
            *((WORK, 1), (ATTRIBUTE, 1), (DRAW, 1), (DELIVER, 1), (ERRANDS, 1)),
            *((LOOK, 10), (KEEP_HOUSE, 300)),
        )
    },
)


@cache
def tocsin() -> App:
    """This process's App; first asked for after the fork."""
    return App(Settings(), pool_size=CONNECTIONS)


@cache
def _couriers() -> delivery.Couriers:
    return delivery.Couriers(app=tocsin())


@app.task(name=WORK)
def work() -> None:
    """Understand and decide until nothing waits, or another process is at it and this one not needed. While it lasts no
    wake-up is asked for but one a second, by which more processes join in where one is too slow."""
    until = time.monotonic() + LONGEST_WORK_S
    done, needed = _round()
    while done and needed and time.monotonic() < until:
        done, needed = _round()
    tocsin().waker.awake(WORK)
    if needed and sweeps.due(tocsin().database).work:  # what came between the last look and now asked for no wake-up
        tocsin().waker.wake(WORK, QUEUE)
    _wake_followers()


def _round() -> tuple[int, bool]:
    """How much was done, and whether this process is of use. A small round is stretched: one of five messages costs
    little more than one of a single message."""
    began = time.monotonic()
    understood = pipeline.understand(tocsin())
    waiting = sweeps.environments_due(tocsin().database)
    decided = sum(pipeline.decide(tocsin(), name) for name in waiting)
    if decided:
        _wake_followers()
    done = understood + decided + pipeline.carry_out_job(tocsin())
    needed = decided > 0 or not waiting or understood == inbox.CLAIM_SIZES[0]
    if 0 < done < FEW and needed:
        time.sleep(max(0.0, ROUND_S - (time.monotonic() - began)))
    return done, needed


@app.task(name=ATTRIBUTE)
def attribute() -> None:
    """Score the incidents that are due, and have those decided again whose answer is new."""
    tocsin().waker.awake(ATTRIBUTE)
    if pipeline.attribute(tocsin()):
        tocsin().waker.wake(WORK, QUEUE)


@app.task(name=DRAW)
def draw() -> None:
    """Draw one picture and give the process back: a page may wait for a score, nobody waits for a picture. However many
    are wanted, drawing takes DRAW_SHARE of a process at most; the beat asks again every second."""
    tocsin().waker.awake(DRAW)
    if sweeps.due(tocsin().database).attribute:
        attribute()
    began = time.monotonic()
    if began >= _pencil.rests_until and pipeline.draw(tocsin()):
        now = time.monotonic()
        _pencil.rests_until = now + (now - began) * (1 / DRAW_SHARE - 1)
        _wake_followers()


@dataclass
class _Pencil:
    rests_until: float = 0.0


_pencil = _Pencil()


@app.task(name=DELIVER)
def deliver() -> None:
    """Send what is due."""
    tocsin().waker.awake(DELIVER)
    if delivery.deliver(tocsin(), _couriers()):
        _wake_followers()


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
    if due.draw:
        tocsin().waker.wake(DRAW, ATTRIBUTE_QUEUE)
    if due.deliver:
        tocsin().waker.wake(DELIVER, QUEUE)
    if due.errands:
        tocsin().waker.wake(ERRANDS, QUEUE)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What the beat watches: is it due, where is it queued, how is it done here when the broker is away?"""

    is_due: Callable[[sweeps.Due], bool]
    queue: str
    here: Callable[[], None] | None
    """None: it waits until a worker is back."""


SWEEPS = {
    WORK: Sweep(lambda due: due.work, QUEUE, work),
    ATTRIBUTE: Sweep(lambda due: due.attribute, ATTRIBUTE_QUEUE, attribute),
    DRAW: Sweep(lambda due: due.draw, ATTRIBUTE_QUEUE, None),
    DELIVER: Sweep(lambda due: due.deliver, QUEUE, deliver),
    ERRANDS: Sweep(lambda due: due.errands, QUEUE, run_errands),
    LOOK: Sweep(lambda _due: True, QUEUE, look),
    KEEP_HOUSE: Sweep(lambda _due: True, QUEUE, keep_house),
}


@task_prerun.connect
def took_up(task: Any, **_: object) -> None:  # noqa: ANN401 Celery's
    """A worker has taken a wake-up; what the beat does itself is not heard here."""
    tocsin().waker.took_up(SWEEPS[task.name].queue)


class Sweeper(Scheduler):
    """Celery's scheduler, but: one beat of any number works at a time (advisory lock), it asks the database whether
    there is anything to do, and it does the work itself when the broker cannot be told or no worker listens."""

    _lock: Connection | None = None
    _sending: Thread | None = None
    """Deliveries that the beat makes itself: a slow vendor must not keep it from what decides."""
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
        waker = tocsin().waker
        heard = waker.waiting(sweep.queue) < UNHEARD or waker.heard(sweep.queue)
        if heard and waker.wake(task, sweep.queue):
            return
        if sweep.here is not None:
            log.warning("sweep=%s %s: done here", task, "broker is away" if heard else "no worker takes wake-ups")
            (self._send_here if task == DELIVER else sweep.here)()

    def _send_here(self) -> None:
        if self._sending is None or not self._sending.is_alive():
            self._sending = Thread(target=_send_here, name="deliver", daemon=True)
            self._sending.start()

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


def _send_here() -> None:
    try:
        deliver()
    except (TocsinError, DBAPIError) as error:
        log.warning("sweep=%s %s", DELIVER, error)


def run_beat() -> None:
    """The beat process: returns on SIGTERM or SIGINT."""
    service = Service(app, scheduler_cls=Sweeper, schedule_filename=None)
    service.start()
