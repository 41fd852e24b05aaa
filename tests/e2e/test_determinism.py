"""Do eight workers, in whatever order they happen to work, end with the same incidents from the same messages?

Compared is everything that follows from the messages: incidents with numbers, ids, members and times; each alert's
whole state; ended occurrences; changes and lineage; the named decision on every alert; and, of open incidents, all
suspects with their probabilities and all wanted values of records, texts too, once the later rounds of scoring ran.

Not compared, because it rests on when a worker looked: notes (gathered for a minute), records of incidents that opened
and ended between two looks (nobody needs a ticket then), pages for what was critical between two looks, what a score
said before late changes were known, wall times.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.backlog import COUNT, messages, store, work, write_mappings
from tests.e2e.stack import LONG
from tocsin.store import Database, reading
from tocsin.store.database import rows
from tocsin.store.database import run as run_sql

pytestmark = pytest.mark.e2e

WORKERS = 8
BATCHES = (200, 23, 61)
"""Messages that a worker claims at once: another number each run."""
RUNS = 20 if LONG else 3

DECIDED = {
    "incidents": "SELECT i.number, i.id, i.state, i.opened_at, i.last_alert_at, i.reopened, i.routing->>'want' AS want,"
    " i.routing->'ownership'->>'team' AS team, i.enrichment->>'head' AS head,"
    " (SELECT array_agg(fingerprint ORDER BY fingerprint) FROM alerts WHERE incident_id = i.id) AS members"
    " FROM incidents i ORDER BY number",
    "alerts": "SELECT fingerprint, state FROM alerts ORDER BY fingerprint",
    "occurrences": "SELECT fingerprint, episode, incident_id, starts_at, ends_at, reports FROM occurrences"
    " ORDER BY fingerprint, episode, ends_at",
    "changes": "SELECT id, change FROM changes ORDER BY id",
    "decisions": "SELECT at, action, reason, message_id, fingerprint, incident_id, because FROM audit"
    " WHERE action LIKE 'alert.%' OR action = 'message.understood' ORDER BY at, message_id, fingerprint, id",
    "lineage": "SELECT * FROM lineage ORDER BY upstream, downstream, since",
    "suspects": "SELECT number, attribution->'suspects' AS suspects FROM incidents WHERE state = 'open'"
    " ORDER BY number",
    "records": "SELECT r.id, r.destination, r.generation, r.wanted FROM records r JOIN incidents i"
    " ON i.id = r.incident_id WHERE i.state = 'open' AND (r.destination = 'out' OR i.routing->>'want' = 'page')"
    " ORDER BY i.number, r.destination, r.generation",
}


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessPoolExecutor]:
    """Processes that have imported everything once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.e2e.backlog", "tocsin.decide.attribute"])
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        yield pool


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Where two rows differ, in words."""
    for name in one.keys() | other.keys():
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            yield from unlike(mine, theirs)
        elif mine != theirs:
            yield f"{name}: {mine!r} is not {theirs!r}"


def bring_forward(url: str, timer: str) -> None:
    """Have all incidents scored, or decided, now: the rounds at +2, +5 and +15 min, by when late changes are known."""
    database = Database(url, pool_size=1)
    with database.transaction() as connection:
        run_sql(connection, f"UPDATE incidents SET {timer} = clock_timestamp() WHERE state = 'open'")
    database.close()


def decided(url: str) -> dict[str, list[dict[str, Any]]]:
    """What the workers made of the messages."""
    database = Database(url, pool_size=1)
    assert reading.unaccounted(database) == []
    with database.transaction() as connection:
        found = {name: [dict(row._mapping) for row in rows(connection, sql)] for name, sql in DECIDED.items()}
    database.close()
    return found


def test_eight_workers_always_end_with_the_same_incidents(
    new_database: Callable[[], str], workers: ProcessPoolExecutor, tmp_path: Path
) -> None:
    mappings = tmp_path / "mappings"
    write_mappings(mappings)
    stored = list(messages(seed=7))
    first: dict[str, list[dict[str, Any]]] = {}
    for run in range(RUNS):
        url = new_database()
        store(url, mappings, stored)
        began = time.monotonic()
        batch = BATCHES[run % len(BATCHES)]
        running = [workers.submit(work, url, mappings, 100 * run + worker, batch) for worker in range(WORKERS)]
        worked = [one.result() for one in running]
        for due in ("attribute_due_at", "decide_again_at"):
            bring_forward(url, due)
            workers.submit(work, url, mappings, run, batch).result()
        found = decided(url)
        counts = {name: len(values) for name, values in found.items()}
        print(f"\nrun {run}: {time.monotonic() - began:.1f} s, steps {worked}, {counts}")
        first = first or found
        for name, values in found.items():
            assert len(values) == len(first[name])
            differing = list(chain.from_iterable(map(unlike, first[name], values)))
            assert differing == [], f"{name} differ in {len(differing)} values"
    assert counts["decisions"] > COUNT
    assert any("a fault of job:" in str(row["because"]) for row in found["decisions"]), "learned lineage groups"
