"""Alerta, the field's best known alert desk in Python, on the same PostgreSQL server, for comparison."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.company import bodies, utc_now
from benchmarks.installation import Installation, free_port, wait_until
from benchmarks.sending import post_all, rate_of
from tocsin.cli.embedded.postgres import OWNER

VERSION = "9.1.0"
VENV = Path(__file__).parents[1] / ".venv-bench"
WEBHOOK = "/webhooks/prometheus"
LAYOUTS = (
    ("--worker-class", "sync", "--workers", "3"),
    ("--worker-class", "gthread", "--workers", "1", "--threads", "8"),
    ("--worker-class", "gthread", "--workers", "2", "--threads", "4"),
)
"""Tried in each run; the fastest one is compared with."""
TRIAL = 60
MISSING = (
    "Alerta is not installed: python3 -m venv .venv-bench && "
    f".venv-bench/bin/pip install alerta-server=={VERSION} gunicorn psycopg2-binary"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerta:
    port: int
    url: str
    layout: str

    def alerts(self) -> int:
        """How many alerts it keeps."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM alerts").fetchone()
        return int(row[0]) if row else 0


def is_installed() -> bool:
    return (VENV / "bin" / "gunicorn").exists()


@contextmanager
def alerta(beside: Installation) -> Iterator[Alerta]:
    """A running Alerta, in its fastest layout, with a database of its own on the installation's PostgreSQL."""
    with psycopg.connect(host=beside.socket_directory, user=OWNER, dbname="postgres", autocommit=True) as owner:
        owner.execute("DROP DATABASE IF EXISTS alerta WITH (FORCE)")
        owner.execute("CREATE DATABASE alerta")
    url = f"postgresql://{OWNER}@/alerta?host={beside.socket_directory}"
    # Two workers racing on the first schema creation kill the first start: one makes it, alone.
    with _served(url, beside.place, ("--workers", "1")):
        pass
    fastest = max(LAYOUTS, key=lambda layout: _trial(url, beside.place, layout))
    with _served(url, beside.place, fastest) as port:
        yield Alerta(port=port, url=url, layout=" ".join(fastest))


def _trial(url: str, place: Path, layout: tuple[str, ...]) -> float:
    sent = list(bodies(range(TRIAL), count=TRIAL, alerts=2, run=f"t{layout}", now=utc_now()))
    with _served(url, place, layout) as port:
        return rate_of(post_all(port, WEBHOOK, sent, secret="")).per_second


@contextmanager
def _served(url: str, place: Path, layout: tuple[str, ...]) -> Iterator[int]:
    port = free_port()
    command = [str(VENV / "bin" / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--preload", *layout, "--log-level",
               "warning", "alerta:create_app()"]  # fmt: skip
    environment = {**os.environ, "DATABASE_URL": url, "DATABASE_NAME": "alerta", "AUTH_REQUIRED": "False",
                   "SECRET_KEY": "only-for-this-benchmark"}  # fmt: skip
    with (place / "alerta.log").open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=place, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: _is_ready(port), within_s=60, what="Alerta", every_s=0.2)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_ready(port: int) -> bool:
    """It takes an empty webhook, which makes its schema."""
    with suppress(OSError, EOFError):
        return post_all(port, WEBHOOK, [b'{"alerts": []}'], connections=1, secret="")[0].status not in (0, 404, 500)
    time.sleep(0.1)
    return False
