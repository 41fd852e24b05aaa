"""What time is it in the trial? PostgreSQL, the simulators and the product read one clock, and we move it.

Hours of retries pass in a second: nothing sleeps, the clock jumps to the next thing that is due. The product's SQL runs
unchanged: a schema before pg_catalog in the search path answers `clock_timestamp()` and `now()`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import psycopg
import tenacity.nap

_SETUP = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.clock (at timestamptz NOT NULL);
INSERT INTO chaos.clock VALUES (pg_catalog.now());
CREATE FUNCTION chaos.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM chaos.clock';
CREATE FUNCTION chaos.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM chaos.clock';
ALTER TABLE records ALTER created_at SET DEFAULT chaos.now(), ALTER changed_at SET DEFAULT chaos.now();
ALTER TABLE notes ALTER created_at SET DEFAULT chaos.now();
"""
DAYS = 8
"""Partitions that are made ahead: no trial lasts longer."""


class Clock:
    """The trial's time. It stands while anybody works, so that a schedule goes alike on any machine."""

    def __init__(self) -> None:
        self._began_at = datetime.fromtimestamp(time.time(), UTC)
        self._began_s = time.monotonic()
        self.ahead_s = 0.0

    def now(self) -> datetime:
        """For the simulators."""
        return self._began_at + timedelta(seconds=self.ahead_s)

    def at_s(self) -> float:
        """Seconds on a clock that never goes back; moved together with `now`."""
        return self._began_s + self.ahead_s

    def move(self, connection: psycopg.Connection, seconds: float) -> None:
        """Jump ahead, in the database and everywhere."""
        self.ahead_s += seconds
        connection.execute("UPDATE chaos.clock SET at = %s", (self.now(),))


def furnish(url: str) -> None:
    """Make the moved clock the clock of this migrated database, for connections opened from now on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SETUP)
        for parent in ("attempts", "audit", "messages", "occurrences"):
            connection.execute(
                "SELECT tocsin_partition(%s, (pg_catalog.now() + make_interval(days => n))::date)"
                " FROM generate_series(0, %s) AS n",
                (parent, DAYS),
            )
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET search_path = chaos, pg_catalog, public'.encode())
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())


class _Moved:
    """The module `time` as the product sees it: moved, and nobody waits."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 whatever else the module has
        return getattr(time, name)

    def monotonic(self) -> float:
        return self.clock.at_s()

    def clock_gettime(self, _which: int) -> float:
        return self.clock.at_s()

    def time(self) -> float:
        return self.clock.now().timestamp()

    def sleep(self, _seconds: float) -> None:
        """Blips are over at once."""


class _Even:
    """The module `random` as the product sees it: spreading is off, so that a schedule can be played again."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 whatever else the module has
        return getattr(random, name)

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


@contextmanager
def moved(clock: Clock) -> Iterator[None]:
    """While this lasts the product's modules (and tenacity's naps) read this clock."""
    product = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("tocsin.") and not name.startswith("tocsin.cli")
    ]
    fakes: dict[str, tuple[ModuleType, Any]] = {"time": (time, _Moved(clock)), "random": (random, _Even())}
    places = [
        (module, name)
        for module in (*product, tenacity.nap)
        for name, (real, _) in fakes.items()
        if vars(module).get(name) is real
    ]
    for module, name in places:
        vars(module)[name] = fakes[name][1]
    try:
        yield
    finally:
        for module, name in places:
            vars(module)[name] = fakes[name][0]
