"""Play a batch of schedules on one database against one desk, until nothing is left to do."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import orjson
import psycopg
import requests
import uuid_utils.compat

from benchmarks.chaos.clock import Clock, moved
from benchmarks.chaos.desks import Desk
from benchmarks.chaos.desks.desk import SECRET
from benchmarks.chaos.desks.servicenow import ServiceNowDesk
from benchmarks.chaos.life import Edit, Life, absorbed, born, moved_on
from benchmarks.chaos.script import Happening, Script
from benchmarks.chaos.wire import HERE, Killed, Trip, Wire, tapped
from tocsin import delivery
from tocsin.bootstrap import App
from tocsin.config.settings import Settings
from tocsin.decide.compose import compose
from tocsin.decide.plan import plan, record_key
from tocsin.domain.record import Record
from tocsin.pipeline import desk_of
from tocsin.store import records

WORKERS = 6
AT_ONCE = 50
"""Incidents that live at the same time, as on a busy day."""
GENERATIONS = 12
"""More than any schedule can start."""
LONGEST_S = 6 * 3_600.0
"""What is not at rest after so long never will be."""
STEP_S = 0.001
"""Past the moment at which something is due, when the clock jumps."""
LONGEST_STEP_S = 1.0
MOST_ATTEMPTS = 400
"""Of one incident; schedules of a healthy product take a tenth."""
REVIVALS = 5
"""How often the operator replays dead letters before the trial gives up."""

_POLICIES = """
hooks:
  am: {source: alertmanager, environment: production, unverified: true}
policies:
  catch_all: alpha
  defaults: {page: [out-1], ticket: [out-1]}
"""


_DUE = """
SELECT extract(epoch FROM min(greatest(next_attempt_at, lease_until, rests_until)) - clock_timestamp())
FROM records LEFT JOIN destinations ON destinations.name = destination WHERE next_attempt_at IS NOT NULL
"""
"""Seconds until the next record may be sent."""


@dataclass(slots=True)
class _Frozen:
    """A worker that stands still until `at_s`."""

    at_s: float
    go_on: threading.Event = field(default_factory=threading.Event)


class Trial:
    """One desk, one database, several workers. `play` plays a batch; the next batch may follow on the same desk."""

    def __init__(self, url: str, desk: Desk, clock: Clock, directory: Path, *, at_once: int = AT_ONCE) -> None:
        self.desk, self.clock = desk, clock
        self.app = _app(url, desk, directory, at_once=at_once)
        self.couriers = [delivery.Couriers(app=self.app) for _ in range(WORKERS)]
        self.planning = desk_of(self.app, self.app.active())
        self.session = requests.Session()
        self.session.trust_env = False
        self.sql = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self._lives: dict[UUID, Life] = {}
        self._running = 0
        self._frozen: list[_Frozen] = []
        self._changed = threading.Condition()
        self.wire = Wire(desk=desk, clock=clock, freeze=self._stand_still)
        self._turn = 0
        self.timed_out = False
        clock.move(self.sql, 0.0)

    def close(self) -> None:
        self.session.close()
        self.sql.close()
        self.app.database.close()

    def play(self, scripts: Sequence[Script]) -> list[Life]:
        """The lives of these schedules, at rest."""
        self._lives = {}
        for number, script in enumerate(scripts, start=1):
            life = self._alive(script, number)
            self._lives[life.incident_id] = life
        self.desk.remember_foreign()
        with ThreadPoolExecutor(64, thread_name_prefix="worker") as pool:
            try:
                self._until_rest(pool)
            finally:
                self._let_go()
        return list(self._lives.values())

    def _until_rest(self, pool: ThreadPoolExecutor) -> None:
        """Let everything happen, and the clock jump from one thing to the next, until nothing is left to do."""
        happenings = self._happenings()
        started_s, revivals, step_s = self.clock.at_s(), REVIVALS, STEP_S
        self.timed_out = False
        while True:
            busy = self._happen(happenings) | self.wire.land(self.session) | self._thaw()
            busy |= self._deliver(pool) or self._wait()
            if busy:
                step_s = STEP_S
                continue
            ahead_s = self._ahead_s(happenings)
            if ahead_s is None:
                if not (revivals and records.revive(self.app.database)):
                    return
                revivals -= 1
            elif self.clock.at_s() - started_s > LONGEST_S or self._restless():
                self.timed_out = True
                return
            else:
                # what is due and not given out waits for another's lease: look again, each time a little later
                step_s = min(2 * step_s, LONGEST_STEP_S) if ahead_s <= 0 else STEP_S
                self.clock.move(self.sql, max(ahead_s, 0.0) + step_s)

    def forget(self) -> None:
        """Nothing of this batch is left, in the database or at the desk."""
        self.sql.execute("TRUNCATE records, notes, destinations, attachments CASCADE")
        self.desk.empty()
        self.couriers = [delivery.Couriers(app=self.app) for _ in range(WORKERS)]

    # what happens

    def _alive(self, script: Script, number: int) -> Life:
        incident_id, now = uuid_utils.compat.uuid7(), self.clock.now()
        way = _way(number)
        incident = born(script, incident_id, number, now, way)
        keys = [
            record_key(self.planning.installation_id, incident_id, way, generation)
            for generation in range(1, GENERATIONS)
        ]
        title = compose(
            incident,
            catalog=self.planning.catalog,
            redactor=self.planning.redactor,
            key=keys[0],
            destination=way,
            generation=1,
            previous="",
            links={"incident": "https://t.example/i", "confirm": "https://t.example/c"},
            now=now,
        ).title
        self.desk.plant(keys[0], title)
        if script.key_taken and isinstance(self.desk, ServiceNowDesk):
            self.desk.plant_under(keys[0])
        return Life(script=script, incident=incident, started_s=self.clock.at_s(), keys=keys, way=way)

    def _happenings(self) -> list[tuple[float, Life, Happening]]:
        """All moments to come, latest first."""
        found = [
            (life.started_s + happening.at_s, life, happening)
            for life in self._lives.values()
            for happening in life.script.happenings
        ]
        return sorted(found, key=lambda one: one[0], reverse=True)

    def _happen(self, happenings: list[tuple[float, Life, Happening]]) -> bool:
        now_s, moved_any = self.clock.at_s(), False
        while happenings and happenings[-1][0] <= now_s:
            _, life, happening = happenings.pop()
            self._one(life, happening)
            moved_any = True
        for life in self._lives.values():
            if life.again_at is not None and life.again_at <= self.clock.now():
                life.again_at = None
                self._plan(life)
                moved_any = True
        return moved_any

    def _one(self, life: Life, happening: Happening) -> None:
        now_s = self.clock.at_s()
        kind, _, edit = happening.kind.partition(" ")
        if kind != "person":
            life.tell(now_s, kind)
            if kind == "merge":
                life.merged = True
                life.incident = absorbed(life.incident, life.way, self.desk.parent(life.keys[-1]))
            life.incident = moved_on(life.incident, kind, self.clock.now())
            life.refires += kind == "refire"
            self._plan(life)
            return
        generation = self._generation(life)
        key = life.keys[generation - 1]
        if self.desk.person(edit, key):
            life.tell(now_s, happening.kind)
            life.edits.append(Edit(at_s=now_s - life.started_s, kind=edit, key=key, generation=generation))

    def _generation(self, life: Life) -> int:
        found = self.sql.execute("SELECT max(generation) FROM records WHERE incident_id = %s", (life.incident_id,))
        row = found.fetchone()
        return int(row[0]) if row and row[0] else 1

    def _plan(self, life: Life) -> None:
        """What the product wants of the records now; and when it wants to be asked again."""
        now = self.clock.now()
        with self.app.database.transaction() as connection:
            known = records.of_incidents(connection, [life.incident_id]).get(life.incident_id, [])
            planned = plan(life.incident, known, self.planning, now=now)
            records.want(connection, planned.plans)
        life.again_at = planned.again_at

    # who works

    def _deliver(self, pool: ThreadPoolExecutor) -> bool:
        free = WORKERS - (self._running - len(self._frozen))
        row = self.sql.execute(_DUE).fetchone() if free > 0 else None
        if row is None or row[0] is None or row[0] > 0:  # asked for here, it costs a fifth of asking each destination
            return False
        leased = records.lease(self.app.database, free, [uuid_utils.compat.uuid7() for _ in range(free)])
        for record in leased:
            with self._changed:
                self._running += 1
            self._turn += 1
            pool.submit(self._attempt, record, self._turn % WORKERS).add_done_callback(self._ended)
        return bool(leased)

    def _attempt(self, record: Record, worker: int) -> None:
        life = self._lives[record.incident_id]
        life.attempts += 1
        life.tell(self.clock.at_s(), f"attempt at generation {record.generation} ({record.wanted.status})")
        HERE.trip = Trip(life=life, wire=self.wire)
        try:
            delivery.attempt(self.app, self.couriers[worker], record, until_s=self.clock.at_s() + records.LEASE_S)
        except Killed:
            pass
        finally:
            HERE.trip = None

    def _ended(self, future: Future[None]) -> None:
        with self._changed:
            self._running -= 1
            error = future.exception()
            if error is not None:
                self.crash(error)
            self._changed.notify_all()

    def crash(self, error: BaseException) -> None:
        """An attempt that raised: sending never does."""
        next(iter(self._lives.values())).crashes.append(f"{type(error).__name__}: {error}")

    def _wait(self) -> bool:
        """Until a worker has ended or stands still; False when none is at work."""
        with self._changed:
            before = self._running - len(self._frozen)
            if before <= 0:
                return False
            self._changed.wait_for(lambda: self._running - len(self._frozen) != before, timeout=30)
            return True

    def _stand_still(self, seconds: float) -> None:
        frozen = _Frozen(self.clock.at_s() + seconds)
        with self._changed:
            self._frozen.append(frozen)
            self._changed.notify_all()
        frozen.go_on.wait()

    def _thaw(self) -> bool:
        now_s = self.clock.at_s()
        with self._changed:
            ready = [one for one in self._frozen if one.at_s <= now_s]
            self._frozen = [one for one in self._frozen if one not in ready]
        for one in ready:
            one.go_on.set()
        return bool(ready)

    def _restless(self) -> bool:
        """Whether an incident takes so many attempts that it will never come to rest."""
        return any(life.attempts > MOST_ATTEMPTS for life in self._lives.values())

    def _let_go(self) -> None:
        for one in self._frozen:
            one.go_on.set()
        self._frozen = []

    def _ahead_s(self, happenings: list[tuple[float, Life, Happening]]) -> float | None:
        """Seconds until the next thing is due; None when nothing is."""
        now_s, now = self.clock.at_s(), self.clock.now()
        waits = [happenings[-1][0] - now_s] if happenings else []
        waits += [one.at_s - now_s for one in self._frozen] + [one.at_s - now_s for one in self.wire.late]
        waits += [(one.again_at - now).total_seconds() for one in self._lives.values() if one.again_at]
        row = self.sql.execute(_DUE).fetchone()
        waits += [float(row[0])] if row and row[0] is not None else []
        return min(waits, default=None)


@contextmanager
def under_trial(clock: Clock) -> Iterator[None]:
    """The product on the trial's clock and wire."""
    with ExitStack() as stack:
        stack.enter_context(moved(clock))
        stack.enter_context(tapped())
        yield


def _app(url: str, desk: Desk, directory: Path, *, at_once: int) -> App:
    tree = directory / "mappings"
    tree.mkdir(parents=True, exist_ok=True)
    # Each incident has a destination of its own, so that one's circuit breaker does not change another's schedule.
    ways = {_way(number): desk.destination() for number in range(1, at_once + 1)}
    teams = {
        team: {"title": team.title(), "owns": [f"service:{team}-*"], "destinations": dict.fromkeys(ways, address)}
        for team, address in desk.addresses.items()
    }
    (tree / "all.yaml").write_bytes(orjson.dumps({"connectors": ways, "teams": teams}))  # JSON is YAML
    (tree / "policies.yaml").write_text(_POLICIES)
    settings = Settings(
        database_url=url,
        redis_url=f"unix://{directory}/nowhere.sock",
        data_key=base64.b64encode(bytes(32)).decode(),
        api_token="trial",
        data_dir=directory,
        mappings_dir=tree,
    )
    secrets = {"CHAOS_SECRET": SECRET, "CHAOS_ALPHA": "a1" * 16, "CHAOS_BETA": "b2" * 16}
    app = App(settings, env={**os.environ, **secrets}, pool_size=WORKERS + 2)
    app.apply(tree, actor="chaos")
    return app


def _way(number: int) -> str:
    """The name of the n-th incident's destination."""
    return f"out-{number}"
