"""Serve hooks, console and API; one of the commands that servers run, any number of times."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tocsin.cli.embedded.address import Address, address

SECTION = "run it"
METRICS = "PROMETHEUS_MULTIPROC_DIR"  # https://prometheus.github.io/client_python/multiprocess/
BLOCKING_THREADS = 16  # a worker process; so many messages at most are committed together (store/arrivals.py)
KILL_AFTER_S = 2  # a request takes milliseconds; what is left after this long hangs


@click.command(context_settings={"show_default": True})
@click.option("--bind", default="127.0.0.1:8080", envvar="TOCSIN_BIND", help="HOST:PORT for hooks and console.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes.")
def web(bind: str, workers: int) -> None:
    """Serve hooks, console and API (needs TOCSIN_DATABASE_URL, TOCSIN_REDIS_URL)."""
    listen = address(bind)
    from tocsin.config.settings import Settings

    settings = Settings().require("database_url", "data_key")  # said here once, not by every process
    listen.refuse_taken()
    if METRICS not in os.environ:
        os.environ[METRICS] = str(fresh_metrics(settings.data_dir / "metrics" / str(listen.port)))
    command = serving(listen, workers)
    os.execv(command[0], command)  # noqa: S606  signals go straight to granian


def serving(listen: Address, workers: int) -> list[str]:
    """The command that serves the hooks, console and API with granian."""
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", listen.host, "--port", str(listen.port),
        "--workers", str(workers), "--blocking-threads", str(BLOCKING_THREADS), "--respawn-failed-workers",
        "--workers-kill-timeout", str(KILL_AFTER_S), "--no-ws", "--log-level", "warning", "tocsin.web:app",
    ]  # fmt: skip


def fresh_metrics(directory: Path) -> Path:
    """Where processes' metrics meet, emptied: one file a process, and those processes are gone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in directory.glob("*.db"):
        old.unlink()
    return directory
