"""A whole Tocsin as real processes, each of which can be killed by itself, between real senders and simulated desks."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.cli.test_up import free_port
from tests.e2e.company import SECRET, VENDOR_PASSWORD, write_mappings
from tocsin import simulators
from tocsin.bootstrap import App
from tocsin.cli.embedded.address import Address
from tocsin.cli.embedded.child import end
from tocsin.cli.embedded.keys import api_token, data_key
from tocsin.cli.embedded.postgres import STOP as POSTGRES_STOP
from tocsin.cli.embedded.postgres import EmbeddedPostgres
from tocsin.cli.embedded.redis import STOP as REDIS_STOP
from tocsin.cli.embedded.redis import EmbeddedRedis
from tocsin.cli.embedded.supervisor import Part, Process, command_part
from tocsin.cli.up import WORK_STOP, WORK_TIER
from tocsin.cli.web import METRICS, fresh_metrics, serving
from tocsin.config.settings import Settings
from tocsin.store import Database, migrate, reading
from tocsin.store.database import rows

LONG = bool(os.environ.get("TOCSIN_LONG"))
"""The patient form of these tests: outages of minutes, twenty runs."""

ROUTING_KEY = "e" * 32
SEEDS: Mapping[str, Mapping[str, object]] = {
    "servicenow": {"sys_user_group": ["Platform", "Machine Learning", "Data Engineering"]},
    "pagerduty": {"routing_keys": {ROUTING_KEY: "Platform"}},
    "jira": {"projects": ["OPS"]},
}
TOCSIN = (sys.executable, "-m", "tocsin.cli")
WORKERS = ("worker-1", "worker-2")
USUAL = ("web", *WORKERS, "attribute", "beat")
EXTRA = {"beat-2"}


def wait_until(condition: Callable[[], object], timeout_s: float, message: str) -> float:
    """Wait until the condition holds; answers the seconds it took, fails with the message when it does not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, f"not within {timeout_s:g} s: {message}"
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass(kw_only=True)
class Stack:
    """Everything that `tocsin up` starts, started the same way, but nobody restarts what a test has killed."""

    place: Path
    address: Address
    desks: Mapping[str, simulators.Running]
    postgres: EmbeddedPostgres = field(default_factory=EmbeddedPostgres)
    redis: EmbeddedRedis = field(default_factory=EmbeddedRedis)
    environment: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    """Ids of every receipt that was answered 202 to one of our own posts, whichever test posted it."""

    # -- parts

    def start(self) -> None:
        """Start everything; ready when /readyz says so and a worker has worked."""
        database_url = self.postgres.start(self.place / "postgres")
        redis_url = self.redis.start(self.place / "redis")
        migrate(database_url)
        mappings = self.place / "mappings"
        write_mappings(mappings)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            "TOCSIN_DATABASE_URL": database_url,
            "TOCSIN_REDIS_URL": redis_url,
            "TOCSIN_DATA_KEY": data_key(self.place),
            "TOCSIN_API_TOKEN": api_token(self.place),
            "TOCSIN_MAPPINGS_DIR": str(mappings),
            "TOCSIN_SPOOL_DIR": str(self.place / "spool"),
            "TOCSIN_DATA_DIR": str(self.place),
            "TOCSIN_PUBLIC_URL": self.address.url,
            "E2E_HOOK_SECRET": SECRET,
            "E2E_VENDOR_PASSWORD": VENDOR_PASSWORD,
            "E2E_ROUTING_KEY": ROUTING_KEY,
            **{f"E2E_{kind.upper()}": desk.url for kind, desk in self.desks.items()},
            METRICS: str(fresh_metrics(self.place / "metrics")),
        }
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            data_key=self.environment["TOCSIN_DATA_KEY"],
            mappings_dir=mappings,
        )
        app = App(settings, env=self.environment, pool_size=1)
        app.apply(mappings, actor="test")
        app.database.close()
        self._declare()
        self.heal()

    def _declare(self) -> None:
        commands = {
            "web": serving(self.address, 2),
            **dict.fromkeys(WORKERS, (*TOCSIN, "worker", "--concurrency", "1")),
            "attribute": (*TOCSIN, "worker", "--attribute", "--concurrency", "1"),
            "beat": (*TOCSIN, "beat"),
            "beat-2": (*TOCSIN, "beat"),
        }
        for name, command in commands.items():
            self.parts[name] = command_part(
                name, command, environment=self.environment, show=self._show, tier=WORK_TIER, stop=WORK_STOP
            )

    def _show(self, part: str, line: str) -> None:
        self.lines.append(f"{part:<9} | {line}")

    def launch(self, name: str) -> None:
        """Start a part, or start it again."""
        self.processes[name] = self.parts[name].launch()

    def end_part(self, name: str) -> None:
        """kill -9 for all of one part's processes."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)

    def end_postgres(self) -> None:
        """Stop the database server as an operator's restart does (fast shutdown)."""
        assert self.postgres.process is not None
        end(self.postgres.process, steps=POSTGRES_STOP)

    def end_redis(self) -> None:
        """Stop the Redis server."""
        assert self.redis.process is not None
        end(self.redis.process, steps=REDIS_STOP)

    def heal(self) -> None:
        """Everything runs again and no desk has a fault left, whatever the last test did."""
        for server in (self.postgres, self.redis):
            if server.process is None or server.process.poll() is not None:
                server.launch()
        for name in EXTRA & self.processes.keys():
            self.end_part(name)
        for name in USUAL:
            if name not in self.processes or self.processes[name].poll() is not None:
                self.launch(name)
        for desk in self.desks.values():
            desk.front.plans.clear()
        wait_until(lambda: self.address.answers("/readyz") == 200, 60, "/readyz answers 200 again")

    def stop(self) -> None:
        """End everything at once; how parts end politely is tested with `tocsin up`."""
        for name in list(self.processes):
            self.end_part(name)
        self.redis.stop()
        self.postgres.stop()

    # -- what a sender does

    def post(self, hook: str, body: bytes, headers: Mapping[str, str] | None = None) -> requests.Response:
        """One webhook with the hook's secret; the receipt of a 202 is kept."""
        return self.posting(requests.Session(), hook, body, headers)

    def posting(
        self, session: requests.Session, hook: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """The same over a connection that is kept."""
        answer = session.post(
            f"{self.address.url}/hooks/{hook}",
            data=body,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}", **(headers or {})},
            timeout=30,
        )
        if answer.status_code == 202:
            self.accepted.append(answer.json()["receipt"])
        return answer

    # -- what came of it

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A connection of our own."""
        found = Database(self.environment["TOCSIN_DATABASE_URL"], pool_size=1)
        try:
            yield found
        finally:
            found.close()

    def sql(self, query: str, **values: object) -> list[dict[str, Any]]:
        """Rows of a query."""
        with self.database() as database, database.transaction() as connection:
            return [dict(row._mapping) for row in rows(connection, query, **values)]

    def figures(self) -> Mapping[str, int]:
        """How much waits, is open, is undelivered."""
        with self.database() as database:
            return reading.figures(database)

    def unaccounted(self) -> list[dict[str, Any]]:
        """Messages without a named outcome."""
        with self.database() as database:
            return reading.unaccounted(database)

    def is_idle(self) -> bool:
        """Nothing waits to be understood, decided or sent; a note that is gathered for later does not count."""
        found = self.figures()
        return not (found["waiting"] or found["undecided"] or found["undelivered"])

    def ticket_of(self, service: str) -> dict[str, str] | None:
        """The ServiceNow incident about this service."""
        found = [row for row in self.servicenow() if service in row["short_description"] + row["description"]]
        return found[0] if found else None

    def group(self, name: str) -> str:
        """The sys_id of an assignment group in the ServiceNow simulator."""
        groups: Any = self.desks["servicenow"].state()["sys_user_group"]
        return next(str(row["sys_id"]) for row in groups if row["name"] == name)

    def servicenow(self) -> list[dict[str, str]]:
        """All incidents of the ServiceNow simulator."""
        incidents: Any = self.desks["servicenow"].state().get("incident", [])
        return list(incidents)

    def keys(self, destination: str) -> list[str]:
        """Our record keys that stand at a desk, one for each record there; what is not ours shows as empty."""
        state: dict[str, Any] = dict(self.desks[destination].state())
        if destination == "servicenow":
            return [row["correlation_id"] for row in state.get("incident", [])]
        if destination == "pagerduty":
            return [one["key"] for one in state["incidents"]]
        labels = [
            [label for label in one["fields"]["labels"] if label.startswith("tocsin-")] for one in state["issues"]
        ]
        return [found[0].removeprefix("tocsin-") if found else "" for found in labels]

    def story(self) -> str:
        """The last things that all parts printed."""
        return "\n".join(self.lines[-80:])


@contextmanager
def running_stack() -> Iterator[Stack]:
    """A stack that runs until the block ends."""
    place = Path(tempfile.mkdtemp(prefix="tocsin-e2e-", dir="/tmp"))
    place.chmod(0o711)  # the database's unprivileged user walks through it
    desks = {kind: simulators.start(kind, password=VENDOR_PASSWORD, seed=seed) for kind, seed in SEEDS.items()}
    stack = Stack(place=place, address=Address("127.0.0.1", free_port()), desks=desks)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        for desk in desks.values():
            desk.stop()
        shutil.rmtree(place, ignore_errors=True)
