"""A vendor that answers slowly costs the others nothing, and gives the process back in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.pipeline.operating import KEY, Desks, always, desks, running
from tocsin import delivery, simulators

__all__ = ["desks", "running"]

SLOW_S = 6.0
LONGEST_S = 0.5


@pytest.fixture
def world(
    database: str, tmp_path: Path, desks: dict[str, simulators.Running], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desks]:
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setattr(delivery, "LONGEST_S", LONGEST_S)
    made = Desks(database, tmp_path, desks)
    yield made
    made.close()


def test_while_a_desk_keeps_us_waiting_the_others_are_served(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.crowd(60)
    always(world.desks["pagerduty"], "slow", after_s=SLOW_S)
    sending = Thread(target=delivery.deliver, args=(world.app, delivery.Couriers(app=world.app)))
    began = time.monotonic()
    sending.start()
    time.sleep(4 * LONGEST_S)  # its time is over, and it waits for PagerDuty's answers
    for number in range(3):
        world.do(_TICKET.format(number=number))
        posted = time.monotonic()
        while not world.sql("SELECT FROM records WHERE destination = 'servicenow' AND number <> ''"):
            assert time.monotonic() - posted < SLOW_S / 2, "the ticket waits for the slow pages"
            time.sleep(0.05)
        world.do("DELETE FROM records WHERE destination = 'servicenow'")
        assert sending.is_alive()
    under_way = world.sql("SELECT count(*) AS n FROM records WHERE destination = 'pagerduty' AND lease_until > now()")
    sending.join(3 * SLOW_S)
    assert not sending.is_alive(), "the process is given back"
    assert time.monotonic() - began < 3 * SLOW_S
    assert 0 < under_way[0]["n"] <= 16
    assert len(world.sql("SELECT FROM records WHERE destination = 'pagerduty' AND next_attempt_at <= now()")) > 20


_TICKET = (
    "INSERT INTO records (id, incident_id, environment, destination, kind, generation, mode, state, wanted, told,"
    "  next_attempt_at)"
    " SELECT gen_random_uuid(), gen_random_uuid(), environment, 'servicenow', 'servicenow', 1, mode, 'pending',"
    "  wanted || jsonb_build_object('key', md5('ticket {number}'), 'incident_id', gen_random_uuid(),"
    "   'address', jsonb_build_object('assignment_group', 'Platform')), told, now()"
    " FROM records ORDER BY created_at, id LIMIT 1"
)


def test_several_slow_desks_leave_a_place_for_the_next(world: Desks) -> None:
    rounds = delivery._Rounds(world.app, delivery.Couriers(app=world.app), slot=None)  # type: ignore[arg-type]
    taken = []
    for name in ("one", "two", "three", "four"):
        room = min(16, rounds._room(name))
        taken.append(room)
        rounds._under_way |= {object(): (name, 0.0) for _ in range(room)}  # type: ignore[misc]
    assert taken == [16, 6, 1, 1]
    assert rounds._room("one") <= 0
