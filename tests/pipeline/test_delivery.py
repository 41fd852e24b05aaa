"""Records follow their incident through trouble: one at each vendor, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uuid_utils.compat

from tests.pipeline.world import MAPPINGS, World
from tocsin import settling, simulators
from tocsin.domain.record import Outcome, Reason
from tocsin.store import records

KEY = "0123456789abcdef0123456789abcdef"

CONNECTORS = """
    connectors:
      servicenow: {{kind: servicenow, url: "{servicenow}", auth: basic, username: admin, password: {{env: SECRET}}}}
      pagerduty: {{kind: pagerduty, url: "{pagerduty}", default_routing_key: {{env: KEY}}}}
    policies:
      defaults: {{page: [pagerduty, servicenow], ticket: [servicenow]}}
      catch_all: platform
      routes:
        - {{name: critical-pages, want: page, when: {{severity: critical}}}}
      reopen_within: 24h
    hooks:
      am: {{source: alertmanager, environment: production, unverified: true}}
      gh: {{source: github, environment: production, unverified: true}}
"""


@pytest.fixture
def servicenow() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed={"sys_user_group": ["Platform", "Data Engineering"]}) as running:
        yield running


@pytest.fixture
def pagerduty() -> Iterator[simulators.Running]:
    with simulators.start("pagerduty") as running:
        yield running


@pytest.fixture
def world(
    database: str,
    tmp_path: Path,
    servicenow: simulators.Running,
    pagerduty: simulators.Running,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.setenv("SECRET", "tocsin")
    monkeypatch.setenv("KEY", KEY)
    text = CONNECTORS.format(servicenow=servicenow.url, pagerduty=pagerduty.url)
    made = World(
        database,
        tmp_path,
        {"teams.yaml": MAPPINGS["teams.yaml"].replace("{out:", "{servicenow:"), "policies.yaml": text},
    )
    yield made
    made.close()


def incidents_of(running: simulators.Running) -> list[dict[str, Any]]:
    """What the vendor holds."""
    state: dict[str, Any] = running.state()
    if running.kind == "servicenow":
        return list(state["tables"]["incident"]) if "tables" in state else list(state["incident"])
    return list(state["incidents"])


def make_due(world: World) -> None:
    """As if the waiting time of every retry had passed."""
    world.do(
        "UPDATE records SET next_attempt_at = now() - interval '1 s',"
        " ambiguous_since = ambiguous_since - interval '10 min' WHERE next_attempt_at IS NOT NULL"
    )
    world.do("UPDATE destinations SET rests_until = now() - interval '1 s' WHERE rests_until IS NOT NULL")


def test_a_page_and_its_ticket_open_once_and_resolve_once(
    world: World, servicenow: simulators.Running, pagerduty: simulators.Running
) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    assert len(incidents_of(servicenow)) == len(incidents_of(pagerduty)) == 1
    world.alert("HighLatency", minutes=15, resolved=True, service="checkout")
    world.settle()
    [ticket], [page] = incidents_of(servicenow), incidents_of(pagerduty)
    assert (ticket["state"], page["status"]) == ("6", "resolved")
    assert [r["state"] for r in world.sql("SELECT state FROM records")] == ["settled", "settled"]


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit", "server_error_after", "html_200"])
def test_a_lost_answer_still_leaves_one_incident(world: World, servicenow: simulators.Running, fault: str) -> None:
    servicenow.front.plans.add({"fault": fault, "match": {"method": "POST"}, "times": 1})
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    for _ in range(3):
        make_due(world)
        world.settle()
    assert len(incidents_of(servicenow)) == 1
    assert {r["state"] for r in world.sql("SELECT state FROM records")} == {"settled"}


def test_a_vendor_that_refuses_ends_in_dead_letters_and_replays_after_the_mending(
    world: World, servicenow: simulators.Running
) -> None:
    servicenow.front.plans.add({"fault": "business_rule_abort", "match": {"method": "POST"}, "times": 1})
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    [dead] = world.sql("SELECT destination, last_detail FROM records WHERE state = 'dead'")
    assert dead["destination"] == "servicenow"
    assert dead["last_detail"]
    assert records.revive(world.app.database, "servicenow") == 1
    world.settle()
    assert len([one for one in incidents_of(servicenow) if "checkout" in one["short_description"].lower()]) == 1
    told = world.sql(
        "SELECT state->'alert'->>'summary' AS words FROM alerts WHERE state->'alert'->>'name' = 'RecordsDead'"
    )
    assert "tocsin deadletters list --destination servicenow" in told[0]["words"], "our own alert to the catch-all team"


def test_a_refired_alert_reopens_the_ticket_and_pages_anew(
    world: World, servicenow: simulators.Running, pagerduty: simulators.Running
) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=20, service="checkout")
    world.settle()
    [ticket] = incidents_of(servicenow)
    assert ticket["state"] == "2"
    assert sorted(page["status"] for page in incidents_of(pagerduty)) == ["resolved", "triggered"]
    found = world.sql("SELECT destination, generation FROM records ORDER BY destination, generation")
    assert [(r["destination"], r["generation"]) for r in found] == [
        ("pagerduty", 1),
        ("pagerduty", 2),
        ("servicenow", 1),
    ]


def test_a_worker_that_lost_its_lease_changes_nothing(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.do("UPDATE records SET next_attempt_at = now()")
    slow = records.lease(world.app.database, 1, [uuid_utils.compat.uuid7()])[0]
    world.do("UPDATE records SET lease_until = now() - interval '1 s'")
    [quick] = [r for r in records.lease(world.app.database, 9, uuids(9)) if r.id == slow.id]
    late = Outcome(result="done", reason=Reason.OK)
    assert not _keep(world, slow, late, state="settled", retry_after=None, ambiguous=False, seconds=0.1)
    assert quick.ambiguous_since is not None, "the first holder may have sent it: look before creating"
    assert _keep(world, quick, late, state="settled", retry_after=None, ambiguous=False, seconds=0.1)


def test_what_changes_while_a_record_is_under_way_is_sent_afterwards(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.do("UPDATE records SET next_attempt_at = now()")
    held = records.lease(world.app.database, 9, uuids(9))
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle(send=False)
    for record in held:
        _keep(
            world,
            record,
            Outcome(result="done", reason=Reason.OK),
            state="settled",
            retry_after=None,
            ambiguous=False,
            seconds=0.1,
        )
    assert len(records.lease(world.app.database, 9, uuids(9))) == len(held)


def test_retries_wait_longer_each_time_and_honour_what_the_vendor_asks(world: World) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.do("UPDATE records SET next_attempt_at = now()")
    record = records.lease(world.app.database, 1, uuids(1))[0]
    busy = Outcome(result="retry", reason=Reason.RATE_LIMITED, after=timedelta(minutes=7))
    down = Outcome(result="retry", reason=Reason.UNREACHABLE)
    assert settling.following(record, busy) == ("pending", timedelta(minutes=7))
    _, first = settling.following(record, down)
    assert first is not None
    assert timedelta(seconds=1) < first < timedelta(seconds=3)


def uuids(count: int) -> list[Any]:
    return [uuid_utils.compat.uuid7() for _ in range(count)]


def _keep(world: World, *attempt: Any, **result: Any) -> bool:
    with world.app.database.transaction() as connection:
        return records.settle(connection, *attempt, **result)
