"""`tocsin reconcile` reports what does not stand as it should, and mends it only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.operating import Operator
from tests.pipeline.world import MAPPINGS, World
from tocsin import simulators

CONNECTED = """
    connectors:
      servicenow: {{kind: servicenow, url: "{url}", username: admin, password: {{env: SECRET}}}}
    policies: {{defaults: {{page: [servicenow], ticket: [servicenow]}}, catch_all: platform}}
    hooks: {{am: {{source: alertmanager, environment: production, unverified: true}}}}
"""


def test_a_deleted_ticket_is_reported_and_followed_when_asked(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "tocsin")
    with simulators.start("servicenow") as desk:
        mappings = {"teams.yaml": MAPPINGS["teams.yaml"], "policies.yaml": CONNECTED.format(url=desk.url)}
        mappings["teams.yaml"] = mappings["teams.yaml"].replace("{out:", "{servicenow:")
        world = World(database, tmp_path, mappings)
        world.alert("HighLatency", minutes=1, service="checkout")
        world.settle()
        operator = Operator(world, monkeypatch)
        world.do("UPDATE records SET changed_at = changed_at - interval '1 h'")
        assert operator.asks("reconcile")["destinations"] == [
            {"destination": "servicenow", "records": 1, "failed": "", "found": []}
        ]
        [record] = world.sql("SELECT external_id, number FROM records")
        desk.person({"record": record["external_id"], "do": "delete"})
        said = operator.runs("reconcile", "--destination", "servicenow", status=1)
        assert "vanished" in said.output
        assert record["number"] in said.output
        [survey] = operator.asks("reconcile", "--repair")["destinations"]
        assert [(one["finding"], one["repaired"]) for one in survey["found"]] == [("vanished", True)]
        world.settle()
        assert [row["generation"] for row in world.sql("SELECT generation FROM records ORDER BY 1")] == [1, 2]
        world.close()
