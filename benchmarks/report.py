"""What was measured, as a table on the screen, as JSON, and as the page docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import orjson
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.alerta import VERSION as ALERTA

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
VERSIONS = ("granian", "psycopg", "celery", "pydantic", "sqlalchemy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing; `target` empty: shown for information. `met` None: it was skipped, `note` says why."""

    measure: str
    what: str
    target: str = ""
    value: str = ""
    met: bool | None = True
    note: str = ""

    @property
    def verdict(self) -> Literal["ok", "miss", "skipped", ""]:
        if self.met is None:
            return "skipped"
        if not self.target:
            return ""
        return "ok" if self.met else "miss"


def at_least(measure: str, what: str, value: float, target: float, unit: str, note: str = "") -> Figure:
    """A figure that should be no smaller than its target."""
    return Figure(
        measure=measure, what=what, target=f"≥ {target:,g} {unit}", value=f"{value:,.{_digits(value)}f} {unit}",
        met=value >= target, note=note,
    )  # fmt: skip


def below(measure: str, what: str, value: float, target: float, unit: str, note: str = "") -> Figure:
    """A figure that should be smaller than its target."""
    return Figure(
        measure=measure, what=what, target=f"< {target:,g} {unit}", value=f"{value:,.{_digits(value)}f} {unit}",
        met=value < target, note=note,
    )  # fmt: skip


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def show(figures: Sequence[Figure], load: Sequence[float]) -> None:
    """The table on the screen."""
    table = Table(title=f"Tocsin on {_machine()}; {_loads(load)}")
    for heading in ("measure", "what", "target", "figure", "", "note"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("target", "figure") else "left")
    colours = {"ok": "green", "miss": "red", "skipped": "yellow", "": "default"}
    for one in figures:
        verdict = f"[{colours[one.verdict]}]{one.verdict}[/]"
        table.add_row(one.measure, one.what, one.target, one.value, verdict, one.note)
    Console(width=160).print(table)


def as_json(figures: Sequence[Figure], load: Sequence[float]) -> str:
    """The same for programs."""
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine(), "versions": _versions(),
        "load": list(load), "figures": [{**asdict(one), "verdict": one.verdict} for one in figures],
    }  # fmt: skip
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


def write_page(figures: Sequence[Figure], load: Sequence[float]) -> None:
    """Rewrite docs/benchmarks.md."""
    rows = "\n".join(
        f"| {one.measure} | {one.what} | {one.target} | {one.value} | {one.verdict} | {one.note} |" for one in figures
    )
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(_PAGE.format(rows=rows, versions=versions, machine=_machine(), loads=_loads(load), alerta=ALERTA,
                                 day=f"{datetime.now(UTC):%d %B %Y}"))  # fmt: skip


_PAGE = """\
# Benchmarks

Written by `make bench` on {day}; do not edit. {machine}; {loads}.
{versions}.

Everything runs as `tocsin up` runs it: granian, Celery workers, beat, PostgreSQL with fsync on, Redis, between the
shipped ServiceNow and PagerDuty simulators, in a temporary directory, over loopback. The load generator, the
simulators and every server share the same cores, so figures rise on a machine of your own: use the ratios.

| measure | what | target | figure | | note |
|---|---|---|---|---|---|
{rows}

## What each measure does

- **catalogue**: every body among the tests' fixtures is read by its source, the median of 15 readings each. Starts are
  processes that import the receiver and the source of one hook, in turns beside all sources and alone, in CPU seconds:
  only the difference counts. A hook of every source is what nobody has; it is shown for information.
- **receiver**: workers stopped; 16 kept connections post one Alertmanager body with the hook's secret; every request
  is a committed row before its 202. wrk posts where it is installed, else a generator in Python (slower, same cores).
- **end to end**: webhooks of two new alerts each, spread over 22 services of a catalogue of 165 entries, posted as
  fast as they are taken; the clock stops when every alert is deduplicated, grouped and decided, its incident's cause
  was looked for, and the records are wanted. The median of three rounds, each on other services.
- **Alerta**: the same bodies to Alerta on the same PostgreSQL server, alternating with Tocsin's rounds in one run; it
  answers when a request's alerts are deduplicated and stored, and does no grouping, cause or ticket.
- **storm**: 5,000 webhooks with 10,000 new alerts on 66 services; from the first byte until every wanted record
  stands in the simulators and nothing waits.
- **steady**: 50 webhooks/s; every fifth opens an incident. From the moment a webhook was due until the simulator got
  the call that creates the record, page and ticket each.
- **memory**: after the storm, and again after a soak at 50 webhooks/s (`SOAK=30` for 30 minutes). RSS counts shared
  pages in every process, PSS divides them.

## Repeat it

```sh
make bench                                        # everything, under 12 minutes; rewrites this page
.venv/bin/python -m benchmarks.run --only storm   # one measure: catalogue receiver end_to_end alerta storm
                                                  # steady memory
.venv/bin/python -m benchmarks.run --json         # for programs
```

Alerta is measured when it is there:

```sh
python3 -m venv .venv-bench
.venv-bench/bin/pip install alerta-server=={alerta} gunicorn psycopg2-binary
```
"""


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def _versions() -> dict[str, str]:
    return {name: version(name) for name in VERSIONS}


def _loads(load: Sequence[float]) -> str:
    return f"load average {load[0]:.1f} before and {load[-1]:.1f} after (idle machine: 0 before)"
