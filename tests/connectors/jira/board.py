"""A simulated site, with what a test asks and does there."""

from __future__ import annotations

from typing import Any

import requests

from tests.connectors.builders import after, task, wanted
from tocsin import simulators
from tocsin.connectors import find, open_http
from tocsin.connectors.jira import Config
from tocsin.domain.record import Outcome, Task

JIRA = find("jira")
QUIET = wanted(links=())
RESOLVED = wanted(status="resolved", close_notes="Rolled back at 12:20.", links=())


class Board:
    """Sends tasks to a running simulator as delivery does, and looks at what came of it."""

    def __init__(self, running: simulators.Running, **config: Any) -> None:
        self.running = running
        usual = {"url": running.url, "email": "admin", "api_token": "tocsin", "project": "OPS", "read_timeout_s": 0.5}
        self.config = Config(**{**usual, **config})
        self.http = open_http(self.config, blip_wait_s=0)

    def but(self, **config: Any) -> Board:
        """The same site under another config."""
        return Board(self.running, **config)

    def send(self, task: Task) -> Outcome:
        return JIRA.send(self.config, task, self.http)

    def settled(self, task: Task) -> Task:
        """One attempt that must settle; the task as the next attempt finds it."""
        outcome = self.send(task)
        assert outcome.settled, outcome
        return after(outcome, task)

    def opened(self, **changes: Any) -> Task:
        """An issue that stands as wanted."""
        return self.settled(task(**{"wanted": QUIET, **changes}))

    def fault(self, kind: str, method: str = "POST", path: str = "/issue$", **more: Any) -> None:
        plan = {"match": {"method": method, "path": path}, "fault": kind, **more}
        requests.post(f"{self.running.url}/__faults", json=plan, timeout=5).raise_for_status()

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        requests.delete(f"{self.running.url}/__faults", timeout=5).raise_for_status()

    @property
    def issues(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.running.state()["issues"]  # type: ignore[assignment]
        return found

    @property
    def issue(self) -> dict[str, Any]:
        (only,) = self.issues
        return only

    @property
    def open_issues(self) -> list[dict[str, Any]]:
        return [one for one in self.issues if one["status_category"] != "done"]

    @property
    def calls(self) -> list[str]:
        """What was asked of the API: `POST /rest/api/3/issue` …"""
        return [f"{call['method']} {call['path']}" for call in self.running.front.calls]

    def creates(self) -> int:
        return sum(call.endswith("/issue") and call.startswith("POST") for call in self.calls)

    def api(self, method: str, path: str, json: Any = None, *, by: str = "ada") -> Any:
        """Somebody does something by hand; the answer's body."""
        url = f"{self.running.url}/rest/api/3{path}"
        answer = requests.request(method, url, json=json, auth=(by, "tocsin"), timeout=5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def moves(self, status: str, *, by: str = "ada", key: str = "OPS-1") -> None:
        """Somebody moves the issue by hand."""
        ways = self.api("GET", f"/issue/{key}/transitions")["transitions"]
        way = next(one for one in ways if one["to"]["name"] == status)
        self.api("POST", f"/issue/{key}/transitions", {"transition": {"id": way["id"]}}, by=by)
