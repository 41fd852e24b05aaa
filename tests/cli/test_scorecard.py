"""`tocsin scorecard`: what each alert rule led to, for its owner, worst first."""

from __future__ import annotations

from typing import Any

from tests.cli.operating import Operator
from tests.pipeline.world import World
from tocsin.store import confirmations


def by_name(operator: Operator, *words: str) -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in operator.asks("scorecard", *words)["rules"]}


def test_an_incident_that_a_person_acted_on_speaks_for_its_rule(world: World, operator: Operator) -> None:
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    confirmations.confirm(world.app.database, 1001, "none", actor="kim")
    world.alert("DiskFull", minutes=8, service="search")
    world.settle()
    world.alert("DiskFull", minutes=20, resolved=True, service="search")
    world.settle()
    found = by_name(operator)
    good, bad = found["HighLatency"], found["DiskFull"]
    assert (good["judged"], good["acted"], good["precision"]) == (1, 1, 1.0)
    assert (bad["judged"], bad["acted"], bad["precision"]) == (1, 0, 0.0)
    assert (bad["fired"], bad["incidents"], bad["median_duration_s"]) == (1, 1, 720.0)
    assert (good["source"], good["owner"]) == ("alertmanager", "platform")
    assert list(found) == ["DiskFull", "HighLatency"], "the worst first"
    assert good["actionability"] == 1.0, "its ticket named a likely cause"


def test_an_incident_under_way_is_not_judged_yet(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    [rule] = operator.asks("scorecard")["rules"]
    assert (rule["recorded"], rule["judged"], rule["precision"]) == (1, 0, None)
    assert rule["mend"] == "Too few incidents to judge it."


def test_what_comes_back_at_once_flaps(world: World, operator: Operator) -> None:
    for minutes in (1, 4, 7):
        world.alert("DiskFull", minutes=minutes, service="search")
        world.settle()
        world.alert("DiskFull", minutes=minutes + 1, resolved=True, service="search")
        world.settle()
    [rule] = operator.asks("scorecard")["rules"]
    assert rule["fired"] >= 2
    assert rule["came_back"] == rule["fired"] - 1


def test_what_held_it_back_is_named(world: World, operator: Operator) -> None:
    start = world.at(-60).strftime("%Y-%m-%dT%H:%M:%SZ")
    window = f"{{subjects: ['service:search'], starts_at: {start}, duration: 3h}}"
    (world.app.settings.mappings_dir / "maintenance.yaml").write_text(f"maintenance:\n  disks: {window}\n")
    world.app.apply(world.app.settings.mappings_dir, actor="kim")
    world.alert("DiskFull", minutes=6, service="search")
    world.settle()
    [rule] = operator.asks("scorecard")["rules"]
    assert (rule["recorded"], rule["muted"]) == (0, {"in_window": 1})


def test_a_team_sees_its_own_rules(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.alert("Drift", minutes=6, model="churn")
    world.settle()
    assert len(by_name(operator)) == 2
    owners = {rule["owner"] for rule in by_name(operator, "--team", "platform").values()}
    assert owners == {"platform"}
    said = operator.runs("scorecard", "--team", "nobody-we-know", status=2).stderr
    assert "there is no team nobody-we-know; known are data, ml, platform" in said


def test_people_see_a_table_and_the_period_counts(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    said = operator.runs("scorecard").stdout
    assert "HighLatency (alertmanager)" in said
    assert "Too few incidents to judge it." in said
    assert "No alert fired." in operator.runs("scorecard", "--since", "1m").stdout
