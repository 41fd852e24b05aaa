"""Measured courses and windows of checks in exported cases and in a replay: they answer as the installation did."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import orjson
import pytest

from tests.cli.operating import Operator
from tests.pipeline.test_courses import ALERT_AT, HOOKS, course, fires, outage
from tests.pipeline.world import World


@pytest.fixture
def measured(world: World) -> World:
    """A world with hooks of our own JSON."""
    (world.app.settings.mappings_dir / "hooks.yaml").write_text(dedent(HOOKS))
    world.app.apply(world.app.settings.mappings_dir, actor="test")
    return world


def test_exported_courses_are_those_that_were_scored(measured: World, operator: Operator, tmp_path: Path) -> None:
    score = outage(measured, series=[{"metric": "error_ratio", "points": course(measured)}])
    measured.do("UPDATE incidents SET attribute_due_at = NULL")
    fires(measured, minutes=28, series=[{"metric": "error_ratio", "points": course(measured, until=28)}])
    measured.settle()
    summary = operator.asks("export-cases", tmp_path / "cases.jsonl")
    assert (summary["answer_as_then"], summary["answer_otherwise"]) == (1, 0)
    [case] = [orjson.loads(line) for line in (tmp_path / "cases.jsonl").read_bytes().splitlines()]
    [series] = case["series"]
    assert (series["subject"], series["metric"], len(series["points"])) == ("service:checkout", "error_ratio", 61)
    answer, _ = operator.lines("backtest", tmp_path / "cases.jsonl")
    assert answer["suspects"][0]["probability"] == pytest.approx(score["suspects"][0]["probability"], abs=1e-9)


def test_exported_windows_are_those_that_were_scored(measured: World, operator: Operator, tmp_path: Path) -> None:
    since = measured.at(ALERT_AT - 360).isoformat()
    score = outage(measured, window_starts_at=since)
    assert score["onset_after"] == since
    summary = operator.asks("export-cases", tmp_path / "cases.jsonl")
    assert (summary["answer_as_then"], summary["answer_otherwise"]) == (1, 0)
    [case] = [orjson.loads(line) for line in (tmp_path / "cases.jsonl").read_bytes().splitlines()]
    assert case["alerts"][0]["window_starts_at"] == since.replace("+00:00", "Z")


def test_a_replay_scores_the_courses_again(measured: World, operator: Operator) -> None:
    outage(measured, series=[{"metric": "error_ratio", "points": course(measured)}])
    told = operator.asks("replay", "--since", "1h")
    assert told["differences"] == []
    assert told["would_be"]["with_likely_cause"] == told["was"]["with_likely_cause"]
