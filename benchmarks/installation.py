"""A `tocsin up` in a temporary directory, between simulated service desks; and what it has done so far."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg
from psycopg.rows import dict_row
from sqlalchemy.engine import make_url

from benchmarks.company import ROUTING_KEY, SECRET, write_mappings
from tocsin.cli.embedded.running import settings_of

HOOK = "/hooks/prometheus"
START_S, STOP_S = 90.0, 25.0
PARTS = {"granian": "web", "--attribute": "attribute", "worker": "worker", "beat": "beat"}
"""A word of the command line → the part; the first that is found tells."""


class TooSlowError(Exception):
    """What was waited for did not come."""


@dataclass(kw_only=True)
class Installation:
    """One running `tocsin up`."""

    place: Path
    port: int
    desks: dict[str, str]
    """Kind → address of its simulator."""
    process: subprocess.Popen[bytes]
    settings: dict[str, str] = field(default_factory=dict)

    @cached_property
    def database(self) -> psycopg.Connection[dict[str, Any]]:
        url = make_url(self.settings["TOCSIN_DATABASE_URL"]).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, row_factory=dict_row)

    @property
    def socket_directory(self) -> str:
        """Where PostgreSQL listens."""
        return str(make_url(self.settings["TOCSIN_DATABASE_URL"]).query["host"])

    def sql(self, query: str, *values: object) -> list[dict[str, Any]]:
        return self.database.execute(query.encode(), values).fetchall()

    def left(self) -> dict[str, int]:
        """How much of each kind of work is not done yet."""
        return {name: int(value) for name, value in self.sql(_LEFT)[0].items()}

    def undecided(self) -> int:
        """Messages and alerts that have no decision, and incidents without a look for their cause."""
        left = self.left()
        return left["waiting"] + left["undecided"] + left["unexplained"]

    def unfinished(self) -> int:
        """All of it, vendors' records included."""
        return sum(self.left().values())

    def desk(self, kind: str, page: str) -> Any:  # noqa: ANN401 JSON
        """A control page of a simulator: `calls` or `state`."""
        with urllib.request.urlopen(f"{self.desks[kind]}/__{page}", timeout=30) as answer:
            return orjson.loads(answer.read())

    def parts(self) -> dict[str, list[psutil.Process]]:
        """The processes of each part of Tocsin itself, servers aside."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                words = process.cmdline()
                part = next((part for word, part in PARTS.items() if word in words), "")
                if part:
                    found.setdefault(part, []).append(process)
        return found

    @contextmanager
    def workers_stopped(self) -> Iterator[None]:
        """Only what receives is running inside the block."""
        stopped = [p for part, members in self.parts().items() if part != "web" for p in members]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()


_LEFT = """
SELECT (SELECT count(*) FROM inbox) AS waiting, (SELECT count(*) FROM signals) AS undecided,
    (SELECT count(*) FROM incidents WHERE attribution IS NULL) AS unexplained,
    (SELECT count(*) FROM incidents WHERE decide_again_at <= clock_timestamp()) AS asked_again,
    (SELECT count(*) FROM records WHERE sent_version < wanted_version OR state <> 'settled') AS unsent
"""


def wait_until(done: Callable[[], object], *, within_s: float, what: str, every_s: float = 0.05) -> None:
    """Raises TooSlowError when it is not done in time."""
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise TooSlowError(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def installation(*, workers: int = 2) -> Iterator[Installation]:
    """A fresh one; everything is gone after the block."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-", dir="/tmp")))
        place.chmod(0o711)  # the database's unprivileged user walks through it
        desks = {kind: stack.enter_context(_simulator(kind, place)) for kind in ("servicenow", "pagerduty")}
        write_mappings(place / "mappings", **desks)
        port = free_port()
        command = ("up", "--data", str(place / "data"), "--mappings", str(place / "mappings"), "--bind",
                   f"127.0.0.1:{port}", "--workers", str(workers))  # fmt: skip
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
            "BENCH_SECRET": SECRET, "BENCH_PASSWORD": "tocsin", "BENCH_ROUTING_KEY": ROUTING_KEY,
        }  # fmt: skip
        process = stack.enter_context(_running(command, environment, place / "up.log"))
        made = Installation(place=place, port=port, desks=desks, process=process)

        def is_up() -> bool:
            if process.poll() is not None:
                raise TooSlowError("tocsin up ended: " + (place / "up.log").read_text()[-2000:])
            made.settings = settings_of(place / "data")
            running = made.parts()
            return bool(made.settings) and len(running.get("worker", ())) > workers and "beat" in running

        wait_until(is_up, within_s=START_S, what="tocsin up")
        time.sleep(2.0)  # the attribute worker brings scipy
        yield made
        made.database.close()


@contextmanager
def _simulator(kind: str, place: Path) -> Iterator[str]:
    port = free_port()
    seeds = {"servicenow": {"sys_user_group": ["Platform"]}, "pagerduty": {"routing_keys": {ROUTING_KEY: "Platform"}}}
    seed = place / f"{kind}.json"
    seed.write_bytes(orjson.dumps(seeds[kind]))
    command = ("simulate", kind, "--port", str(port), "--seed", str(seed))
    with _running(command, os.environ, place / f"{kind}.log"):
        wait_until(lambda: _answers(port), within_s=20, what=f"the {kind} simulator")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin.cli", *words], stdout=output, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env=dict(environment), start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False
