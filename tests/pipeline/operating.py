"""A world between a page and a ticket desk, both simulated, and hands to move its records about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uuid_utils.compat

from tests.pipeline.world import MAPPINGS, World
from tocsin import simulators

KEY = "0123456789abcdef0123456789abcdef"

POLICIES = """
    connectors:
      servicenow: {{kind: servicenow, url: "{servicenow}", auth: basic, username: admin, mode: {mode},
        password: {{file: secrets/desk}}, max_new_per_hour: {cap}}}
      pagerduty: {{kind: pagerduty, url: "{pagerduty}", default_routing_key: {{env: KEY}}, mode: {mode},
        max_new_per_hour: {cap}, mirror_changes: true}}
      out: {{kind: console, path: OUT}}
    policies:
      defaults: {{page: [pagerduty], ticket: [{tickets}]}}
      catch_all: platform
      routes:
        - {{name: our-own, want: ticket, when: {{sources: [tocsin]}}, destinations: [out]}}
        - {{name: critical-pages, want: page, when: {{severity: critical}}, destinations: [pagerduty]}}
    hooks:
      am: {{source: alertmanager, environment: production, unverified: true}}
      gh: {{source: github, environment: production, unverified: true}}
"""


class Desks(World):
    """A world with both desks; its mappings can be applied again with another mode or cap."""

    def __init__(self, url: str, directory: Path, running: dict[str, simulators.Running], **said: Any) -> None:
        self.desks, self.directory = running, directory
        secrets = directory / "mappings" / "secrets"
        secrets.mkdir(parents=True, exist_ok=True)
        self.password = secrets / "desk"
        self.password.write_text("tocsin")
        super().__init__(url, directory, self._mappings(**said))

    def _mappings(self, *, mode: str = "live", cap: int = 60, tickets: str = "servicenow") -> dict[str, str]:
        urls = {kind: desk.url for kind, desk in self.desks.items()}
        teams = MAPPINGS["teams.yaml"].replace("{out:", "{servicenow:")
        teams = teams.replace(
            "{assignment_group: Platform}", "{assignment_group: Platform}, pagerduty: {routing_key: P}"
        )
        return {"teams.yaml": teams, "policies.yaml": POLICIES.format(**urls, mode=mode, cap=cap, tickets=tickets)}

    def apply(self, **said: Any) -> None:
        """Make other mappings the active ones."""
        from textwrap import dedent

        for name, text in self._mappings(**said).items():
            path = self.directory / "mappings" / name
            path.write_text(dedent(text).replace("OUT", str(self.out)))
        self.app.apply(self.directory / "mappings", actor="test")

    def held(self, kind: str) -> list[dict[str, Any]]:
        """The incidents that a desk holds."""
        state: dict[str, Any] = self.desks[kind].state()
        tables = state.get("tables", state)
        return list(tables.get("incident") or tables.get("incidents") or [])

    def due(self) -> None:
        """As if the waiting time of every retry and rest had passed."""
        self.do(
            "UPDATE records SET next_attempt_at = now() - interval '1 s',"
            " ambiguous_since = ambiguous_since - interval '10 min' WHERE next_attempt_at IS NOT NULL"
        )
        self.do("UPDATE destinations SET rests_until = now() - interval '1 s' WHERE rests_until IS NOT NULL")

    def crowd(self, count: int) -> None:
        """So many records like the first one, all due."""
        self.do(
            "INSERT INTO records (id, incident_id, environment, destination, kind, generation, mode, state, wanted,"
            "  told, next_attempt_at)"
            " SELECT md5(n::text)::uuid, gen_random_uuid(), environment, destination, kind, 1, mode,"
            "  'pending', wanted || jsonb_build_object('key', md5(n::text), 'incident_id', md5('i' || n)::uuid,"
            "   'display', 'TOC-' || 5000 + n), told, now() - interval '1 min'"
            f" FROM (SELECT * FROM records ORDER BY created_at, id LIMIT 1) AS first, generate_series(1, {count}) AS n"
        )

    def standing(self, name: str) -> dict[str, Any]:
        return self.sql("SELECT * FROM destinations WHERE name = :name", name=name)[0]


@contextmanager
def two_desks() -> Iterator[dict[str, simulators.Running]]:
    """A ServiceNow and a PagerDuty."""
    with (
        simulators.start("servicenow", seed={"sys_user_group": ["Platform"]}) as servicenow,
        simulators.start("pagerduty") as pagerduty,
    ):
        yield {"servicenow": servicenow, "pagerduty": pagerduty}


def uuids(count: int) -> list[Any]:
    return [uuid_utils.compat.uuid7() for _ in range(count)]


def always(desk: simulators.Running, fault: str, **said: object) -> None:
    """From now on every call meets this fault."""
    desk.front.plans.add({"fault": fault, "times": 0, **said})


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, simulators.Running]]:
    with two_desks() as started:
        yield started


@pytest.fixture
def desks(running: dict[str, simulators.Running]) -> Iterator[dict[str, simulators.Running]]:
    """Both desks, empty."""
    for desk in running.values():
        desk.reset()
    yield running
    for desk in running.values():
        desk.reset()
