"""A simulated PagerDuty account, and the records that delivery would keep, by a clock that only tests move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.connectors.builders import after, task
from tests.connectors.test_pagerduty import Pager
from tests.simulators.conftest import Clock
from tocsin import simulators
from tocsin.domain.record import Outcome, Task

ORDERS, RETURNS = "o" * 32, "R" * 32
KEYS = {"routing_keys": {"returns": RETURNS, "orders": ORDERS}}


class Desk(Pager):
    """A simulated account with a token, and the records that delivery keeps."""

    def __init__(self, running: simulators.Running, clock: Clock, **config: Any) -> None:
        super().__init__(running, **{**KEYS, "api_token": "rest-token", **config})
        self.clock = clock
        self.known: Task = task(now=clock.now)

    @property
    def account(self) -> Any:
        return self.running.front.simulator.account  # type: ignore[attr-defined]

    def want(self, **changes: Any) -> Outcome:
        """One attempt, as delivery makes it when the wanted state has changed."""
        given = {name: changes.pop(name) for name in ("notes", "when_human_touched") if name in changes}
        asked = replace(self.known, now=self.clock.now, wanted=replace(self.known.wanted, **changes), **given)
        outcome = self.send(asked)
        self.known = after(outcome, asked)
        return outcome

    def wait(self, span: timedelta) -> None:
        self.clock.now += span

    def again(self, outcome: Outcome) -> Outcome:
        """The attempt that an outcome's `after` asks for."""
        assert outcome.after is not None
        self.wait(outcome.after)
        return self.want()

    def shown(self) -> list[tuple[str, str]]:
        return [(one["service"]["routing_key"], one["status"]) for one in self.incidents]

    def asked(self, method: str, path: str) -> int:
        return sum(one["method"] == method and path in one["path"] for one in self.calls)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(clock: Clock) -> Iterator[simulators.Running]:
    with simulators.start("pagerduty", password="rest-token", clock=clock) as vendor:
        yield vendor


@pytest.fixture
def desk(running: simulators.Running, clock: Clock) -> Desk:
    return Desk(running, clock)


@pytest.fixture
def blind(running: simulators.Running, clock: Clock) -> Desk:
    """Without a token."""
    return Desk(running, clock, api_token=None)


# -- the end ---------------------------------------------------------------------------------------------------------
