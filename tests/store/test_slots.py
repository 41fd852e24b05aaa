"""One process of a host holds the slot, and another takes its place when it is killed, stopped or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tocsin.domain.errors import Unavailable
from tocsin.store import Database, slots
from tocsin.store import database as sessions

LOCK, HOST = 7_299, "host-1"
SILENT_S = 1.5
HOLDER = f"""
import sys, time
from tocsin.store import Database, slots
slots.BEAT_S = 0.1
with slots.taken(Database(sys.argv[1]), {LOCK}, "{HOST}") as slot:
    print("held" if slot else "refused", flush=True)
    while slot:
        slot.beat()
        time.sleep(0.05)
"""


@pytest.fixture
def mine(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(slots, "SILENT_S", SILENT_S)
    made = Database(database)
    yield made
    made.close()


@pytest.fixture
def holder(mine: Database) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the slot."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, mine.url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def free(database: Database, host: str = HOST) -> bool:
    with slots.taken(database, LOCK, host) as slot:
        return slot is not None


def wait_until_free(database: Database) -> float:
    began = time.monotonic()
    while not free(database):
        assert time.monotonic() - began < 30
        time.sleep(0.05)
    return time.monotonic() - began


def test_a_slot_is_given_back(mine: Database) -> None:
    assert free(mine)
    assert free(mine)


def test_while_its_holder_lives_nobody_else_gets_it_but_another_host_has_its_own(
    mine: Database, holder: subprocess.Popen[str]
) -> None:
    until = time.monotonic() + 2 * SILENT_S
    while time.monotonic() < until:
        assert not free(mine)
        time.sleep(0.1)
    assert free(mine, "host-2")
    assert holder.poll() is None


def test_who_is_killed_has_given_it_back(mine: Database, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    assert wait_until_free(mine) < SILENT_S


def test_who_is_stopped_is_replaced_for_as_long_as_that_lasts(mine: Database, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    assert wait_until_free(mine) >= SILENT_S / 2
    for _ in range(20):
        assert free(mine), "there is no waiting for the second time"
    with slots.taken(mine, LOCK, HOST) as instead:
        assert instead is not None
        assert not free(mine), "the one in its stead is alive"
    os.kill(holder.pid, signal.SIGCONT)
    time.sleep(0.5)
    assert not free(mine)


def test_who_is_stopped_in_the_middle_of_a_transaction_does_not_hold_its_locks_for_long(
    mine: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "OPTIONS", sessions.OPTIONS.replace("=60s", "=1s"))
    stopped = Database(mine.url, pool_size=1)
    lock = "SELECT pg_advisory_xact_lock(7300)"
    with ExitStack() as ends:
        ends.enter_context(pytest.raises(Unavailable, match="idle-in-transaction"))
        held = ends.enter_context(stopped.transaction())
        sessions.rows(held, lock)
        with mine.transaction() as other:
            sessions.rows(other, lock)  # waits for as long as the first holds it
        sessions.rows(held, "SELECT 1")
    stopped.close()
