"""Measured courses that an alert brings: kept beside it, bounded, and scored with its incident."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.world import MAPPINGS, World

HOOKS = """
    hooks:
      mine: {source: native_alert, environment: production, unverified: true}
      theirs: {source: native_change, environment: production, unverified: true}
"""
DEPLOYED_AT, STEP_AT, INNOCENT_AT, ALERT_AT = 4.0, 6.0, 17.0, 20.0


@pytest.fixture
def world(database: str, tmp_path: Path) -> World:
    return World(database, tmp_path, {**MAPPINGS, "hooks.yaml": HOOKS})


def course(world: World, *, until: float = ALERT_AT, step_at: float = STEP_AT) -> list[list[Any]]:
    """A value a minute from an hour before, .2 and from the step on 4.1, with noise."""
    chance = random.Random(3)
    minutes = range(-40, int(until) + 1)
    return [[world.at(m).isoformat(), (4.1 if m >= step_at else 0.2) + chance.gauss(0, 0.05)] for m in minutes]


def fires(world: World, *, minutes: float = ALERT_AT, name: str = "ErrorRatio", **more: Any) -> None:
    body = {"name": name, "subject": "service:checkout", "symptom": "errors", "severity": "critical",
            "starts_at": world.at(ALERT_AT).isoformat(), **more}  # fmt: skip
    world.post("mine", body, minutes=minutes)


def outage(world: World, **more: Any) -> dict[str, Any]:
    """Two deploys, an alert: what the score says."""
    for n, minutes in enumerate((DEPLOYED_AT, INNOCENT_AT)):
        body = {"kind": "service.deployed", "subject": "service:checkout", "version": f"4.{n}", "id": f"deploy-{n}",
                "occurred_at": world.at(minutes).isoformat()}  # fmt: skip
        world.post("theirs", body, minutes=minutes)
    fires(world, **more)
    world.settle()
    [row] = world.sql("SELECT attribution FROM incidents")
    found: dict[str, Any] = row["attribution"]
    return found


def first(score: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = score["suspects"][0]
    return found


def test_the_deploy_before_the_step_is_named_instead_of_the_nearer_one(world: World) -> None:
    score = outage(world, series=[{"metric": "error_ratio", "points": course(world)}])
    assert first(score)["change"]["version"] == "4.0"
    assert score["onset_at"][:16] == world.at(STEP_AT).isoformat()[:16]
    because = " | ".join(first(score)["because"])
    assert "changed 2 min before error_ratio of service:checkout left its baseline, 14 min before the first alert" in (
        because
    )
    assert "error_ratio of service:checkout went from 0." in because
    assert "(p < .0001, effect " in because
    world.close()


def test_without_its_course_the_nearer_one_is_named(world: World) -> None:
    assert first(outage(world))["change"]["version"] == "4.1"
    assert world.sql("SELECT * FROM courses") == world.sql("SELECT * FROM scored_courses") == []
    world.close()


def test_it_is_kept_beside_the_alert_and_with_the_score(world: World) -> None:
    outage(world, series=[{"metric": "error_ratio", "points": course(world)}])
    [state] = world.sql("SELECT state FROM alerts")
    assert state["state"]["alert"]["series"] == []
    [kept] = world.sql("SELECT series FROM courses")
    [scored] = world.sql("SELECT series FROM scored_courses")
    assert kept["series"] == scored["series"]
    assert (kept["series"][0]["metric"], len(kept["series"][0]["points"])) == ("error_ratio", 61)
    world.close()


def test_repeats_add_their_points(world: World) -> None:
    points = course(world, until=30)
    half = len(points) // 2
    for minutes, some in ((21.0, points[half:]), (20.0, points[: half + 5])):
        fires(world, minutes=minutes, series=[{"metric": "error_ratio", "points": some}])
        world.settle()
    [kept] = world.sql("SELECT series FROM courses")
    assert len(kept["series"][0]["points"]) == len([at for at, _ in points if at <= world.at(23).isoformat()])
    world.close()


def test_what_cannot_be_read_is_named_and_costs_no_alert(world: World) -> None:
    fires(world, series=[{"metric": "error_ratio", "points": [["noon", 1]]}, {"metric": "ok", "points": course(world)}])
    world.settle()
    [line] = world.sql("SELECT because FROM audit WHERE action = 'message.understood'")
    assert line["because"]["why"] == "series.0.points.0.0: 'noon' is not a time"
    assert line["because"]["alerts"] == 1
    [kept] = world.sql("SELECT series FROM courses")
    assert [one["metric"] for one in kept["series"]] == ["ok"]
    world.close()


def test_a_secret_in_a_metrics_name_is_not_kept(world: World) -> None:
    fires(world, series=[{"metric": "errors?password=hunter2secret", "points": course(world)}])
    world.settle()
    [kept] = world.sql("SELECT series::text AS series FROM courses")
    assert "hunter2secret" not in kept["series"]
    world.close()
