"""Whatever goes wrong, in whatever order, with attempts that die and an index that lags: one issue survives, nobody
else's is touched, no note comes twice, and it ends as wanted. `TRIALS=1000 pytest …` tries more seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from tests.connectors.builders import note, task, wanted
from tests.connectors.jira.board import Board
from tests.simulators.conftest import Clock
from tocsin import simulators
from tocsin.domain.record import Outcome, Task, Wanted

SEEDS = range(int(os.environ.get("TRIALS", "20")))
TROUBLE = (
    *("commit_then_drop", "drop_before_commit", "server_error_before", "server_error_after"),
    *("rate_limit", "html_200", "index_lag", "person_edits"),
)
EDITS = ({"do": "comment", "text": "I see it."}, {"do": "assign", "to": "ada"}, {"do": "priority", "to": "Lowest"})
STATES = (
    wanted(links=()),
    wanted(links=(), severity="critical"),
    wanted(links=(), severity="warning"),
    wanted(links=(), status="resolved", close_notes="Rolled back."),
)


@dataclass
class Delivery:
    """One record as delivery keeps it: leases that may die, compare-and-set, a retry column."""

    board: Board
    clock: Clock
    random: Random
    task: Task = field(default_factory=lambda: task(wanted=STATES[0]))
    leased: bool = False
    told: set[str] = field(default_factory=set)

    def attempt(self) -> Outcome | None:
        """One lease; None when its worker died before it could tell."""
        dead_since = self.clock.now - timedelta(seconds=60) if self.leased else None
        self.task = replace(
            self.task,
            now=self.clock.now,
            attempts=self.task.attempts + 1,
            ambiguous_since=self.task.ambiguous_since or dead_since,
        )
        self.leased = True
        fate = self.random.random()
        if fate < 0.05:  # died before it did anything
            self.clock.go_on(seconds=61)
            return None
        outcome = self.board.send(self.task)
        self.task = replace(self.task, tried=(*self.task.tried, self.task.wanted))
        if fate > 0.93:  # died when all was done
            self.clock.go_on(seconds=61)
            return None
        self.leased = False
        self.settle(outcome)
        return outcome

    def settle(self, outcome: Outcome) -> None:
        known = outcome.confirmation
        kept: dict[str, Any] = {"ambiguous_since": None}
        if outcome.result == "ambiguous":
            kept["ambiguous_since"] = self.task.ambiguous_since or self.task.now
        if known is not None:
            kept |= {"external_id": known.external_id or self.task.external_id, "sent": known.sent or self.task.sent}
            kept["notes"] = tuple(one for one in self.task.notes if one.id not in known.notes)
        if outcome.settled:
            kept |= {"sent_wanted": self.task.wanted, "tried": ()}
        self.task = replace(self.task, **kept)

    def wish(self, state: Wanted, notes: int) -> None:
        numbers = [len(self.told) + at for at in range(notes)]
        self.told |= {str(note(number).id) for number in numbers}
        more = tuple(note(number, f"Note {number}.") for number in numbers)
        if state.status == "resolved":
            state = replace(state, resolved_at=self.clock.now)
        self.task = replace(self.task, wanted=state, notes=(*self.task.notes, *more))

    def until_settled(self) -> None:
        for _ in range(60):
            outcome = self.attempt()
            if outcome is not None and outcome.settled:
                return
            assert outcome is None or outcome.result != "rejected", outcome
            self.clock.go_on(seconds=((outcome.after if outcome else None) or timedelta(seconds=20)).total_seconds())
        raise AssertionError(f"never settled: {outcome}")


@pytest.fixture(scope="module")
def lagging() -> Iterator[tuple[simulators.Running, Clock]]:
    clock = Clock()
    with simulators.start("jira", clock=clock, index_lag_s=90) as running:
        yield running, clock


@pytest.mark.parametrize("seed", SEEDS)
def test_one_issue_survives(lagging: tuple[simulators.Running, Clock], seed: int) -> None:
    running, clock = lagging
    running.reset()
    random = Random(seed)
    board = Board(running, probe_by_key=random.random() < 0.5)
    foreign = board.api("POST", "/issue", {"fields": {**FOREIGN, "labels": [f"tocsin-{'0' * 32}", "tocsin"]}})
    delivery = Delivery(board, clock, random)
    if random.random() < 0.2:  # the index hides the first issue for longer than anybody waits for it
        board.fault("commit_then_drop")
        board.fault("index_lag", path="/search", after_s=300, times=0)
        delivery.until_settled()
    for _ in range(random.randint(2, 5)):
        board.clear()
        for _ in range(random.randint(0, 3)):
            trouble(board, random, running)
        delivery.wish(random.choice(STATES), random.randint(0, 2))
        delivery.until_settled()
        clock.go_on(seconds=random.choice((1, 30, 300)))
    board.clear()
    delivery.wish(random.choice((STATES[1], STATES[3])), 1)
    delivery.until_settled()
    clock.go_on(minutes=11)
    delivery.random = Random(1)  # nobody dies any more
    delivery.until_settled()
    judged(board, delivery, foreign["key"])


FOREIGN = {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "Printer"}


def trouble(board: Board, random: Random, running: simulators.Running) -> None:
    kind = random.choice(TROUBLE)
    more: dict[str, Any] = {"times": random.randint(1, 3), "skip": random.randint(0, 4), "after_s": 200}
    if kind == "person_edits":
        ours = [one["key"] for one in board.issues if one["key"] != "OPS-1"]
        if not ours:
            return
        more["edit"] = {"record": ours[0], **random.choice(EDITS)}
    board.fault(
        kind, method=random.choice(("POST", "GET", "PUT")), path=random.choice(("", "/issue", "/comment$")), **more
    )


def judged(board: Board, delivery: Delivery, foreign: str) -> None:
    alien, *ours = board.issues
    assert (alien["key"], alien["history"], alien["comments"], alien["links"]) == (foreign, [], [], [])
    kept = next(one for one in ours if one["id"] == delivery.task.external_id)
    others = [one for one in ours if one is not kept]
    assert [one["status_category"] for one in others] == ["done"] * len(others)
    assert ["Duplicate" in str(one["links"]) for one in others] == [True] * len(others)
    resolved = delivery.task.wanted.status == "resolved"
    assert (kept["status_category"] == "done") is resolved
    told = [one["properties"].get("tocsin-note", []) for one in kept["comments"]]
    ids = [each for one in told for each in ([one] if isinstance(one, str) else one)]
    assert len(ids) == len(set(ids))
    everywhere = {each for one in ours for each in str([c["properties"] for c in one["comments"]]).split("'")}
    assert delivery.told <= everywhere
