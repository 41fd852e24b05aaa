"""Do the work behind the hooks; one of the commands that servers run, any number of times."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress

import click

SECTION = "run it"


@click.command()
@click.option("--attribute", is_flag=True, help="Only look for likely causes, which can take a second of CPU each.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes.")
def worker(attribute: bool, concurrency: int) -> None:
    """Understand, decide and deliver (needs TOCSIN_DATABASE_URL, TOCSIN_REDIS_URL)."""
    from celery.exceptions import SecurityWarning

    from tocsin.config.logs import start as start_logging
    from tocsin.config.settings import Settings

    settings = Settings().require("database_url", "redis_url", "data_key")
    start_logging(settings.log_level)
    from tocsin.worker import ATTRIBUTE_QUEUE, QUEUE, app, broker_url

    if attribute:
        if settings.data_dir.is_dir():  # matplotlib's list of fonts lies with our files, not in somebody's home
            os.environ.setdefault("MPLCONFIGDIR", str(settings.data_dir / "matplotlib"))
        import tocsin.decide.attribute
        import tocsin.decide.statistics

        with suppress(ImportError):  # drawing will name it; scoring needs it not
            import tocsin.drawing  # noqa: F401

    app.conf.update(broker_url=broker_url(settings.redis_url))  # which may come from a file
    queue = ATTRIBUTE_QUEUE if attribute else QUEUE
    arguments = [f"--queues={queue}", f"--hostname={queue}@%h", f"--concurrency={concurrency}"]
    # Celery warns root because of pickled messages; we accept JSON only.
    warnings.filterwarnings("ignore", message=r"\s*You're running the worker with superuser", category=SecurityWarning)
    app.worker_main(["--quiet", "worker", *arguments, "--without-gossip", "--without-mingle", "--loglevel=WARNING"])
