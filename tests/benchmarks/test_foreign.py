"""The worlds of another make: the same seed makes the same case file, and the product reads every line of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson
import pytest
from benchmarks.attribution.foreign import callgraphs, feeds, reactions, rollouts
from benchmarks.attribution.foreign.lines import Json
from benchmarks.attribution.foreign.rules import SAME_SERVICE, Graph, rank_of, scores

from tocsin.cli._backtest.cases import Reader

WORLDS = [
    lambda: rollouts.cases(1, days=60),
    lambda: rollouts.cases(1, days=60, lags="minutes"),
    lambda: callgraphs.cases(1, days=8),
    lambda: feeds.cases(1, days=12),
    lambda: reactions.cases(1, days=12),
]


@pytest.mark.parametrize("made", WORLDS)
def test_a_seed_makes_the_same_cases_and_each_can_be_read(made: Callable[[], Iterator[Json]]) -> None:
    cases = list(made())
    assert cases == list(made())
    assert {bool(one["truth"]["change"]) for one in cases} == {True, False}
    reader = Reader()
    for one in cases:
        read = reader.case(orjson.dumps(one), one["id"])
        assert read.members, "something alerts"
        assert {change.id for change in read.changes} == {change["id"] for change in one["changes"]}


def test_changes_at_one_moment_share_a_rules_place() -> None:
    numbers = {"a": (1.0, 5.0), "b": (1.0, 5.0), "c": (0.0, 9.0)}
    assert rank_of("a", numbers) == (0.5, 1.0, 0.75)
    assert rank_of("c", numbers) == (0.0, 1.0, 1 / 3)
    assert rank_of("not there", numbers) == (0.0, 0.0, 0.0)


def test_latest_on_the_same_service_leaves_out_what_came_after_the_alert() -> None:
    def change(name: str, subject: str, minute: int) -> Json:
        return {"id": name, "subject": subject, "occurred_at": f"2031-02-03T10:{minute:02d}:00.000Z"}

    asked = {
        "alerts": [{"subject": "service:a", "starts_at": "2031-02-03T10:30:00.000Z"}],
        "changes": [
            change("early", "service:a", 1),
            change("other", "service:b", 29),
            change("after", "service:a", 40),
        ],
    }
    found = scores(asked, Graph([{"subject": "service:a"}]))[SAME_SERVICE]
    assert max(found, key=lambda name: found[name]) == "early"
    assert "after" not in found
