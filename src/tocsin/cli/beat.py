"""Ring when something is due; run as many as you like, they take turns by a database lock."""

from __future__ import annotations

import click

SECTION = "run it"


@click.command()
def beat() -> None:
    """Run the sweeps and timers (needs TOCSIN_DATABASE_URL, TOCSIN_REDIS_URL)."""
    from tocsin.config.logs import start as start_logging
    from tocsin.config.settings import Settings

    settings = Settings().require("database_url", "redis_url", "data_key")
    start_logging(settings.log_level)
    from tocsin.worker import app, broker_url, run_beat

    app.conf.update(broker_url=broker_url(settings.redis_url))  # which may come from a file
    run_beat()
