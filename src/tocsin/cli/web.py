"""Serve hooks, console and API; one of the commands that servers run, any number of times."""

from __future__ import annotations

import os
import sys
import tempfile

import click

from tocsin.cli.embedded.address import address

SECTION = "run it"
BLOCKING_THREADS = 4  # a worker process; measured: 8,878 requests/s on 2 cores
KILL_AFTER_S = 2  # a request takes milliseconds; what is left after this long hangs


@click.command(context_settings={"show_default": True})
@click.option("--bind", default="127.0.0.1:8080", envvar="TOCSIN_BIND", help="HOST:PORT for hooks and console.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes.")
def web(bind: str, workers: int) -> None:
    """Serve hooks, console and API (needs TOCSIN_DATABASE_URL, TOCSIN_REDIS_URL)."""
    listen = address(bind)
    from tocsin.config.settings import Settings

    Settings().require("database_url", "data_key")  # a wrong setting is said here once, not by every process
    listen.refuse_taken()
    # The processes' metrics meet in files; https://prometheus.github.io/client_python/multiprocess/
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="tocsin-metrics-"))
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", listen.host, "--port", str(listen.port),
        "--workers", str(workers), "--blocking-threads", str(BLOCKING_THREADS), "--respawn-failed-workers",
        "--workers-kill-timeout", str(KILL_AFTER_S), "--no-ws", "--log-level", "warning", "tocsin.web:app",
    ]  # fmt: skip
    os.execv(sys.executable, command)  # signals go straight to granian  # noqa: S606
