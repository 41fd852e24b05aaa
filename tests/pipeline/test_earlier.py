"""What earlier changes like a suspect were followed by is read from history, up to the incident's beginning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pipeline.world import World
from tocsin.store import experience

DAY, WEEK = 1440.0, 7 * 1440.0
EARLIER = [-WEEK * n - DAY * (n % 5) for n in range(8, 0, -1)]


@pytest.fixture
def busy(world: World) -> World:
    """Eight deploys of payments over eight weeks; the last four were followed by an outage of checkout."""
    for n, minutes in enumerate(EARLIER):
        world.deploy("payments", minutes=minutes, deployment=n + 1)
        if n >= 4:
            world.alert("HighLatency", minutes=minutes + 12, service="checkout")
            world.alert("HighLatency", minutes=minutes + 22, service="checkout", resolved=True)
    world.settle(send=False)
    return world


def outage(world: World, minutes: float = 0) -> dict[str, Any]:
    """The latest incident, an hour after its alert, with what was found of its first suspect."""
    world.deploy("payments", minutes=minutes, deployment=100)
    world.alert("HighLatency", minutes=minutes + 10, service="checkout")
    world.settle(send=False)
    [row] = world.sql(
        "SELECT number, attribution->'suspects'->0 AS first, attribution->>'digest' AS digest FROM incidents"
        " ORDER BY number DESC LIMIT 1"
    )
    return row


def test_four_of_eight_deploys_were_followed_by_the_alert(busy: World) -> None:
    first = outage(busy)["first"]
    assert first["change"]["subject"] == "service:payments"
    seen = first["seen_before"]
    assert (seen["followed"], seen["of"], seen["others_followed"]) == (4, 8, 0)
    assert seen["q"] < 0.05
    assert any(words.startswith("seen before: 4 of 8 deploys of service:payments were") for words in first["because"])


def test_the_ticket_says_so(busy: World) -> None:
    outage(busy)
    [row] = busy.sql("SELECT wanted->>'body' AS body FROM records ORDER BY created_at DESC LIMIT 1")
    assert "4 of 8 such changes were followed by these alerts before" in " ".join(row["body"].split()), row["body"]


def test_an_answer_is_the_same_however_often_it_is_asked(busy: World) -> None:
    before = outage(busy)
    busy.do("UPDATE incidents SET attribute_due_at = now(), attribute_round = 0")
    busy.settle()
    [again] = busy.sql(
        f"SELECT attribution->'suspects'->0->'seen_before' AS seen FROM incidents WHERE number = {before['number']}"
    )
    assert again["seen"] == before["first"]["seen_before"]


def test_what_came_before_a_reset_does_not_count(busy: World) -> None:
    experience.reset(busy.app.database, actor="kim")
    assert outage(busy)["first"]["seen_before"] is None
