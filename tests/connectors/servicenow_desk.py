"""A simulated ServiceNow instance, with what the tests ask and do there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import requests

from tests.connectors.builders import NOW, after, task, wanted
from tocsin import simulators
from tocsin.connectors import Http, find, open_http
from tocsin.domain.record import Confirmation, Outcome, Task

SERVICENOW = find("servicenow")
SEED = {
    "sys_user_group": [
        "ML Platform",
        "Payments",
        {"name": "Twins", "sys_id": "1" * 32},
        {"name": "Twins", "sys_id": "2" * 32},
    ],
    "cmdb_ci": ["returns-model"],
    "cmdb_ci_service": ["Web shop"],
    "service_offering": ["Web shop, gold"],
    "sys_user": [{"user_name": "tocsin.bot", "name": "Tocsin"}],
    "change_request": [{"number": "CHG0030042", "short_description": "Baskets 2.4", "sys_id": "c" * 32}],
    "incident": [{"number": "INC0000001", "short_description": "Printer on fire", "sys_id": "f" * 32}],
}
FOREIGN = "f" * 32


class Desk:
    """An instance that somebody else's incident stands in already."""

    def __init__(self, running: simulators.Running, **config: Any) -> None:
        self.running = running
        given = {"url": running.url, "username": "admin", "password": "tocsin", "read_timeout_s": 0.8, **config}
        self.config = SERVICENOW.Config(**given)
        self.http: Http = open_http(self.config, blip_wait_s=0)

    def send(self, task: Task) -> Outcome:
        return SERVICENOW.send(self.config, task, self.http)

    def fault(self, kind: str, method: str = "POST", path: str = "/table/incident", **more: Any) -> None:
        plan = {"match": {"method": method, "path": path}, "fault": kind, **more}
        requests.post(f"{self.running.url}/__faults", json=plan, timeout=5).raise_for_status()

    def person(self, by: str = "jane", updates: int = 1, **fields: str) -> None:
        """Somebody edits our incident by hand."""
        row = self.tables["incident"][self.incident["sys_id"]]
        row.update(fields, sys_updated_by=by, sys_mod_count=str(int(row["sys_mod_count"]) + updates))

    def delete(self) -> None:
        """Somebody deletes our incident."""
        del self.tables["incident"][self.incident["sys_id"]]

    @property
    def tables(self) -> dict[str, dict[str, dict[str, str]]]:
        """The instance's own rows, by table and sys_id."""
        tables: dict[str, dict[str, dict[str, str]]] = self.running.front.simulator.instance.tables  # type: ignore[attr-defined]
        return tables

    def rows(self, table: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.running.state().get(table, [])  # type: ignore[assignment]
        return found

    @property
    def incidents(self) -> list[dict[str, str]]:
        """All but the one that was there before us."""
        return [row for row in self.rows("incident") if row["sys_id"] != FOREIGN]

    @property
    def incident(self) -> dict[str, str]:
        (only,) = self.incidents
        return only

    def id_of(self, table: str, name: str) -> str:
        (only,) = [row["sys_id"] for row in self.rows(table) if name in (row.get("name"), row.get("user_name"))]
        return only

    @property
    def work_notes(self) -> list[str]:
        return [row["value"] for row in self.rows("sys_journal_field") if row["element"] == "work_notes"]

    def calls(self, method: str, path: str = "") -> int:
        return sum(call["method"] == method and path in str(call["path"]) for call in self.running.front.calls)

    def opened(self, **changes: Any) -> Task:
        """The task after a create that went well."""
        first = task(wanted=wanted(**changes))
        outcome = self.send(first)
        assert outcome.result == "done", outcome
        return after(outcome, first)


def later(outcome: Outcome, before: Task, **changes: Any) -> Task:
    """The next attempt, when delivery has waited as long as it was told."""
    return after(outcome, before, **{"now": before.now + (outcome.after or timedelta(seconds=5)), **changes})


def changed(before: Task, **changes: Any) -> Task:
    """The same record five minutes on, when the incident has moved."""
    return task(
        wanted=wanted(**changes),
        sent_wanted=before.sent_wanted,
        sent=before.sent,
        observed=before.observed,
        external_id=before.external_id,
        number=before.number,
        now=NOW + timedelta(minutes=5),
    )


def known(outcome: Outcome) -> Confirmation:
    """What an outcome confirms."""
    assert outcome.confirmation is not None, outcome
    return outcome.confirmation
