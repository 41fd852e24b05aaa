"""One running simulator of each kind, emptied before every test, and a small client for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tocsin import simulators

ROUTING_KEY = "a1" * 16
GROUPS = {"sys_user_group": ["ML Platform", "Data Engineering"]}


@dataclass
class Clock:
    """A clock that stands still until it is told to go on."""

    now: datetime = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Client:
    """Calls one simulator as a connector would."""

    running: simulators.Running
    root: str = ""
    auth: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.running.url

    def call(self, method: str, path: str, json: Any = None, **more: Any) -> requests.Response:
        headers = self.headers | more.pop("headers", {})
        more.setdefault("timeout", 5)
        more.setdefault("auth", self.auth)
        return requests.request(method, self.url + self.root + path, json=json, headers=headers, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> requests.Response:
        return self.call("POST", path, json, **more)

    def put(self, path: str, json: Any = None, **more: Any) -> requests.Response:
        return self.call("PUT", path, json, **more)

    def patch(self, path: str, json: Any = None, **more: Any) -> requests.Response:
        return self.call("PATCH", path, json, **more)

    def plan(self, fault: str, **more: Any) -> None:
        answer = requests.post(self.url + "/__faults", json={"fault": fault, **more}, timeout=5)
        assert answer.status_code == 201, answer.text

    def control(self, method: str, path: str, json: Any = None) -> Any:
        answer = requests.request(method, self.url + path, json=json, timeout=5)
        return answer.json() if answer.content else None


@pytest.fixture(scope="session")
def _clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(_clock: Clock) -> Clock:
    """The time of the simulators' world: 2026-11-21 09:00 UTC at the start of each test."""
    _clock.now = Clock().now
    return _clock


@pytest.fixture(scope="session")
def _servicenow(_clock: Clock) -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=GROUPS, clock=_clock) as running:
        yield running


@pytest.fixture(scope="session")
def _pagerduty(_clock: Clock) -> Iterator[simulators.Running]:
    with simulators.start("pagerduty", clock=_clock) as running:
        yield running


@pytest.fixture(scope="session")
def _jira(_clock: Clock) -> Iterator[simulators.Running]:
    with simulators.start("jira", clock=_clock) as running:
        yield running


@pytest.fixture
def servicenow(_servicenow: simulators.Running, clock: Clock) -> Client:
    _servicenow.reset()
    return Client(_servicenow, "/api/now/v2", ("admin", "tocsin"))


@pytest.fixture
def pagerduty(_pagerduty: simulators.Running, clock: Clock) -> Client:
    _pagerduty.reset()
    return Client(_pagerduty, headers={"Authorization": "Token token=tocsin", "From": "bot@example.org"})


@pytest.fixture
def jira(_jira: simulators.Running, clock: Clock) -> Client:
    _jira.reset()
    return Client(_jira, "/rest/api/3", ("admin", "tocsin"))


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The vendors' contracts, which are no part of the product."""
    path = Path(os.environ.get("TOCSIN_CONTRACTS", Path(__file__).parents[2].parent / "shared" / "contracts"))
    if not path.is_dir():
        pytest.skip(f"no vendor contracts at {path} (set TOCSIN_CONTRACTS)")
    return path
