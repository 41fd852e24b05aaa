"""What does the catalogue of sources cost: microseconds to read a body, and seconds of the receiver's start?

Bodies are the tests' own fixtures. Starts are processes that load the receiver and the source of one hook, in turns:
with every source beside it, with that one alone, and with a hook of every source. What counts is the difference within
one run, in CPU seconds, because the machine may do other things meanwhile.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from tests.sources.reading import bodies, companion, hook_of, message_of

from benchmarks.report import Figure, below
from tocsin.domain.errors import BadPayload
from tocsin.sources import names, of

REPEATS, STARTS = 15, 9
HOOK, ALIAS = "signalfx", "splunk_observability"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEDIAN_US, SLOWER_S = 200, 0.2

_RECEIVER = "import tocsin.web.hooks, tocsin.web.site, tocsin.sources as s\n"
STARTS_WITH = {
    "one": f"{_RECEIVER}s.names = lambda: ({HOOK!r},)\ns.find({HOOK!r})",
    "catalogue": f"{_RECEIVER}s.find({HOOK!r})",
    "alias": f"{_RECEIVER}s.find({ALIAS!r})",
    "every hook": f"{_RECEIVER}[s.find(name) for name in s.names()]",
}
"""What a receiver does before it is ready, but for its database: import itself and find the sources of its hooks."""


def catalogue() -> Iterator[Figure]:
    """Normalizing's cost, then the start's."""
    spent = sorted(_spent_us())
    note = f"{len(spent)} bodies of {len(names())} sources, median of {REPEATS} each; slowest {spent[-1]:,.0f} µs"
    yield below("catalogue", "normalizing one body, median", statistics.median(spent), MEDIAN_US, "µs", note)
    yield Figure(
        measure="catalogue", what="normalizing one body, p99", value=f"{spent[int(len(spent) * 0.99)]:,.0f} µs"
    )
    yield from _starts()


def _spent_us() -> Iterator[float]:
    for source in names():
        for body in bodies(source):
            declared = companion(body, "hook")
            hook = hook_of(source, **declared)
            message = message_of(body.read_bytes(), hook, NOW, companion(body, "headers"))
            normalize = of(hook).normalize
            times = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                with suppress(BadPayload):
                    normalize(message, hook)
                times.append(time.perf_counter() - began)
            yield statistics.median(times) * 1e6


def _starts() -> Iterator[Figure]:
    seconds: dict[str, list[float]] = {name: [] for name in STARTS_WITH}
    for _ in range(STARTS):
        for name, code in STARTS_WITH.items():
            seconds[name].append(_cpu_seconds(code))
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    one = middle["one"]
    note = f"{middle['catalogue']:.2f} s of CPU with {len(names())} sources, {one:.2f} s with one: medians of {STARTS}"
    yield below("catalogue", "receiver's start, slower by", max(0.0, middle["catalogue"] - one), SLOWER_S, "s", note)
    yield below("catalogue", "the same, for a hook by an alias", max(0.0, middle["alias"] - one), SLOWER_S, "s")
    yield Figure(
        measure="catalogue",
        what="the same, with a hook of every source",
        value=f"{middle['every hook'] - one:.2f} s",
        note=f"{middle['every hook'] / one:.1f} × the start with one hook",
    )


def _cpu_seconds(code: str) -> float:
    """User and system seconds of one process from nothing to ready."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
