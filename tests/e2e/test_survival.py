"""Whatever dies in the middle of a storm: is nothing lost, and nothing doubled?

Each test breaks one thing while webhooks arrive, then has the auditor compare receipts with messages, and records with
what stands at the desks.
"""

from __future__ import annotations

import gzip
import os
import signal
import time
from datetime import UTC, datetime

import pytest
import redis

from tests.e2e.company import services
from tests.e2e.stack import LONG, WORKERS, Stack, wait_until
from tests.e2e.storm import Storm, alert, alertmanager, audit, incidents_of, one_alert, settle
from tocsin.store import slots

pytestmark = pytest.mark.e2e

TURNS = 20
REDIS_AWAY_S = 300.0 if LONG else 60.0
POSTGRES_AWAY_S = 60.0 if LONG else 20.0
TICKET_WITHIN_S = 30.0
GZIPPED = {"Content-Encoding": "gzip"}


def survived(stack: Stack, storm: Storm, tag: str) -> None:
    """Every webhook was answered 202, every outage is one incident, and the auditor is content."""
    assert (set(storm.statuses), storm.failed) == ({202}, [])
    seconds = settle(stack, tag, incidents=len(services(tag)))
    assert len(incidents_of(stack, tag)) == len(services(tag))
    audit(stack)
    print(f"\n{tag}: {storm.posted} webhooks, all delivered {seconds:.1f} s after the last")


def test_a_killed_worker_takes_nothing_along(stack: Stack) -> None:
    with Storm(stack, services("worker"), turns=TURNS) as storm:
        storm.await_share(0.3)
        stack.end_part("worker-1")
    survived(stack, storm, "worker")


def test_with_all_workers_dead_the_beat_does_their_work(stack: Stack) -> None:
    with Storm(stack, services("dead"), turns=TURNS) as storm:
        storm.await_share(0.2)
        for part in ("attribute", *WORKERS):
            stack.end_part(part)
    survived(stack, storm, "dead")


def test_a_wiped_redis_takes_nothing_along(stack: Stack) -> None:
    with Storm(stack, services("wiped"), turns=TURNS) as storm:
        storm.await_share(0.3)
        with redis.Redis.from_url(stack.redis.url()) as broker:
            broker.flushall()
    survived(stack, storm, "wiped")


def test_without_redis_tickets_open_within_half_a_minute(stack: Stack) -> None:
    first, second, *others = services("redis")
    stack.end_redis()
    began = time.monotonic()
    ticket_s = one_alert(stack, first)
    with Storm(stack, others, turns=TURNS) as storm:
        pass
    settled_s = settle(stack, "redis", incidents=len(others) + 1, timeout_s=REDIS_AWAY_S)
    wait_until(lambda: time.monotonic() - began > REDIS_AWAY_S, REDIS_AWAY_S + 1, "the outage is over")
    stack.redis.launch()
    after_s = one_alert(stack, second)
    print(f"\nwithout Redis: a ticket after {ticket_s:.1f} s, a storm after {settled_s:.1f} s; with it {after_s:.1f} s")
    assert max(ticket_s, after_s) < TICKET_WITHIN_S
    survived(stack, storm, "redis")


def test_a_redis_that_hangs_holds_nothing_up(stack: Stack) -> None:
    first, *others = services("frozen")
    assert stack.redis.process is not None
    stack.redis.process.send_signal(signal.SIGSTOP)
    try:
        ticket_s = one_alert(stack, first)
    finally:
        stack.redis.process.send_signal(signal.SIGCONT)
    print(f"\nRedis hangs: a ticket after {ticket_s:.1f} s")
    assert ticket_s < TICKET_WITHIN_S
    with Storm(stack, others, turns=1) as storm:
        pass
    survived(stack, storm, "frozen")


def test_a_database_that_restarts_loses_nothing(stack: Stack) -> None:
    with Storm(stack, services("restart"), turns=TURNS) as storm:
        storm.await_share(0.3)
        stack.end_postgres()
        stack.postgres.launch()
    survived(stack, storm, "restart")


def test_webhooks_are_accepted_while_the_database_is_away(stack: Stack) -> None:
    hit = services("away")
    stack.end_postgres()
    began = time.monotonic()
    with Storm(stack, hit, turns=TURNS) as storm:
        pass
    assert storm.posted == TURNS * len(hit)
    assert stack.address.answers("/readyz") == 200
    wait_until(lambda: time.monotonic() - began > POSTGRES_AWAY_S, POSTGRES_AWAY_S + 1, "the outage is over")
    stack.postgres.launch()
    survived(stack, storm, "away")


def test_what_a_killed_receiver_had_spooled_is_drained_by_the_next(stack: Stack) -> None:
    stack.end_postgres()
    with Storm(stack, services("spool"), turns=2) as storm:
        pass
    stack.end_part("web")
    stack.postgres.launch()
    stack.launch("web")
    survived(stack, storm, "spool")


def test_a_stopped_worker_that_held_the_deliveries_is_replaced(stack: Stack) -> None:
    """It holds the host's slot and 16 records; their leases and its standstill last longer than the test waits."""
    first, second, third, *others = [service for service in services("stopped") if service.startswith("ticketed")]
    stack.end_part("worker-2")
    stack.desks["servicenow"].front.plans.add({"fault": "slow", "after_s": 2.5, "times": 0})
    stack.post("am", alertmanager([alert(first, starts_at=datetime.now(UTC))]))
    wait_until(lambda: stack.sql("SELECT FROM records WHERE lease_until > now()"), 30, "the ticket is under way")
    os.killpg(stack.processes["worker-1"].pid, signal.SIGSTOP)
    try:
        stack.desks["servicenow"].front.plans.clear()
        stack.launch("worker-2")
        replaced_s = one_alert(stack, second)
        again_s = one_alert(stack, third)
    finally:
        os.killpg(stack.processes["worker-1"].pid, signal.SIGCONT)
    print(f"\nstopped: the next ticket after {replaced_s:.1f} s, the one after it {again_s:.1f} s")
    assert again_s < slots.SILENT_S
    for service in others:
        one_alert(stack, service)
    settle(stack, "stopped", incidents=3 + len(others))
    audit(stack)


def test_two_beats_take_turns_and_one_replaces_the_other(stack: Stack) -> None:
    stack.launch("beat-2")
    asked = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock($1)%'"
    wait_until(lambda: len(stack.sql(asked)) == 2, 60, "both beats have asked for the lead")
    stack.end_redis()  # the beats do all the work themselves
    with Storm(stack, services("beats"), turns=TURNS) as storm:
        storm.await_share(0.5)
        stack.end_part("beat")
    survived(stack, storm, "beats")


def test_an_answer_that_is_lost_after_the_commit_makes_no_second_record(stack: Stack) -> None:
    for desk in stack.desks.values():
        desk.front.plans.add({"fault": "commit_then_drop", "match": {"method": "POST"}, "times": 3})
    with Storm(stack, services("lost"), turns=2) as storm:
        pass
    survived(stack, storm, "lost")
    struck = [call["fault"] for desk in stack.desks.values() for call in desk.front.calls if call["fault"]]
    assert struck.count("commit_then_drop") == 3 * len(stack.desks)


def test_a_desk_that_answers_too_late_gets_no_second_record(stack: Stack) -> None:
    for desk in stack.desks.values():
        desk.front.plans.add({"fault": "slow", "after_s": 4, "match": {"method": "POST"}, "times": 2})
    late = {"fault": "slow_commit", "after_s": 4, "match": {"method": "POST", "path": "/incident$"}, "times": 2}
    stack.desks["servicenow"].front.plans.add(late)
    with Storm(stack, services("slow"), turns=2) as storm:
        pass
    survived(stack, storm, "slow")


def test_bombs_and_garbage_harm_nobody_and_what_was_accepted_is_told(stack: Stack) -> None:
    service = services("bombs")[0]
    huge = b'{"alerts": [' + b" " * 5_000_000 + b"]}"
    assert stack.post("am", huge).status_code == 413
    assert stack.post("am", gzip.compress(bytes(200_000_000)), GZIPPED).status_code == 413
    assert stack.post("am", gzip.compress(huge), GZIPPED).status_code == 413
    for body in (b"[" * 1_000_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, os.urandom(4096), b"", b"null"):
        assert stack.post("am", body).status_code == 202
    assert stack.post("am", b"no gzip", GZIPPED).status_code == 202
    ticket_s = one_alert(stack, service)
    own_s = wait_until(lambda: stack.ticket_of("tocsin"), 60, "our own alert is a ticket")
    wait_until(stack.is_idle, 60, "all is delivered")
    assert stack.figures()["quarantined"] == 6
    audit(stack)
    print(f"\nbombs: a ticket after {ticket_s:.1f} s, our own alert {own_s:.1f} s later")
