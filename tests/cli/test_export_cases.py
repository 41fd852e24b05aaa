"""Past incidents as case files: what backtest answers to them is what the installation answered then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.operating import Operator
from tests.pipeline.world import World
from tocsin.cli._backtest.cases import CaseLine
from tocsin.store import confirmations


def outage(world: World, service: str, minutes: float, *, deploys: tuple[str, ...] = ()) -> str:
    """Deploys two minutes apart, then an alert; answers the last deploy's id."""
    for at, deployed in enumerate(deploys or (service,)):
        world.deploy(deployed, minutes=minutes + 2 * at, deployment=int(minutes) * 100 + at)
    world.alert("HighLatency", minutes=minutes + 8, service=service)
    world.settle()
    [row] = world.sql("SELECT id FROM changes ORDER BY received_at DESC, id LIMIT 1")
    return str(row["id"])


def exported(operator: Operator, file: Path, *words: str | Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    summary = operator.asks("export-cases", *words, file)
    return [orjson.loads(line) for line in file.read_bytes().splitlines()], summary


def decided(world: World) -> dict[str, dict[str, float]]:
    """What each incident's stored score says: P by change, and of no change."""
    found = world.sql("SELECT id, attribution FROM incidents ORDER BY opened_at")
    return {
        str(row["id"]): {
            name: probability
            for one in row["attribution"]["suspects"]
            for name, probability in (
                (one["change"]["id"], one["probability"] - sum(one["member_shares"])),
                *zip(one["members"], one["member_shares"], strict=True),
            )
        }
        | {"": row["attribution"]["no_change"]}
        for row in found
    }


def answered(operator: Operator, file: Path, *words: str | Path) -> dict[str, dict[str, float]]:
    return {
        said["id"]: {one["change"]: one["probability"] for one in said["suspects"]} | {"": said["no_change"]}
        for said in operator.lines("backtest", file, *words)[:-1]
    }


def test_cold_backtest_answers_as_the_installation_did(world: World, operator: Operator, tmp_path: Path) -> None:
    outage(world, "checkout", 1, deploys=("search", "checkout"))
    outage(world, "search", 18)
    cases, summary = exported(operator, tmp_path / "cases.jsonl")
    assert [CaseLine.model_validate(case).id for case in cases] == list(decided(world))
    assert (summary["cases"], summary["answer_as_then"], summary["answer_otherwise"]) == (2, 2, 0)
    found, stored = answered(operator, tmp_path / "cases.jsonl"), decided(world)
    for case, probabilities in stored.items():
        assert found[case] == pytest.approx(probabilities, abs=1e-9)


def test_with_its_history_backtest_answers_as_the_taught_installation_did(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    first = outage(world, "checkout", 1, deploys=("search", "checkout"))
    confirmations.confirm(world.app.database, 1001, first, actor="kim")
    outage(world, "search", 11)
    confirmations.confirm(world.app.database, 1002, "none", actor="kim")
    outage(world, "churn-api", 21, deploys=("search", "churn-api"))
    [opened] = world.sql("SELECT opened_at FROM incidents WHERE number = 1003")
    until = opened["opened_at"].isoformat()
    history, _ = exported(operator, tmp_path / "history.jsonl", "--until", until)
    assert [case["truth"] for case in history] == [{"change": first}, {"change": None}]
    cases, _ = exported(operator, tmp_path / "cases.jsonl", "--since", until)
    assert len(cases) == 1
    assert "truth" not in cases[0]
    taught = answered(operator, tmp_path / "cases.jsonl", "--learn", tmp_path / "history.jsonl")
    cold = answered(operator, tmp_path / "cases.jsonl")
    stored = decided(world)[cases[0]["id"]]
    assert taught[cases[0]["id"]] == pytest.approx(stored, abs=1e-9)
    assert cold[cases[0]["id"]] != pytest.approx(stored, abs=1e-4), "what was learned shows"


def test_nothing_later_than_the_score_is_given_away(world: World, operator: Operator, tmp_path: Path) -> None:
    outage(world, "checkout", 1)
    world.do("UPDATE incidents SET attribute_due_at = NULL")
    [scored] = world.sql("SELECT attribution->>'scored_at' AS at FROM incidents")
    world.do("UPDATE changes SET received_at = clock_timestamp() + interval '1 s' WHERE subject = 'service:search'")
    world.deploy("search", minutes=3, deployment=7)  # received late, as told below
    world.settle()
    world.do("UPDATE changes SET received_at = clock_timestamp() + interval '1 s' WHERE subject = 'service:search'")
    [case], summary = exported(operator, tmp_path / "cases.jsonl")
    assert [change["subject"] for change in case["changes"]] == ["service:checkout"]
    assert case["decide_at"] == scored["at"].replace("+00:00", "Z")
    assert summary["answer_as_then"] == 1


def test_an_end_that_came_later_is_left_out(world: World, operator: Operator, tmp_path: Path) -> None:
    outage(world, "checkout", 1)
    world.do('UPDATE changes SET change = change || \'{"finished_at": "2999-01-01T00:00:00Z", "outcome": "failure"}\'')
    [case], _ = exported(operator, tmp_path / "cases.jsonl")
    assert case["changes"][0]["outcome"] == "running"
    assert "finished_at" not in case["changes"][0]


def test_what_is_no_longer_as_it_was_is_named(world: World, operator: Operator, tmp_path: Path) -> None:
    outage(world, "checkout", 1)
    world.do("DELETE FROM changes")
    _, summary = exported(operator, tmp_path / "cases.jsonl")
    assert (summary["answer_otherwise"], summary["otherwise"]) == (1, ["TOC-1001"])
    said = operator.runs("export-cases", tmp_path / "again.jsonl").stdout
    assert "1 answer otherwise, for what they rested on has changed: TOC-1001" in said


def test_the_catalogue_as_it_was_or_as_it_is(world: World, operator: Operator, tmp_path: Path) -> None:
    outage(world, "checkout", 1)
    teams = world.app.settings.mappings_dir / "teams.yaml"
    teams.write_text(teams.read_text().replace("  search: {}", "  search: {}\n  basket: {}"))
    world.app.apply(world.app.settings.mappings_dir, actor="kim")

    def subjects(*words: str) -> set[str]:
        [case], _ = exported(operator, tmp_path / "cases.jsonl", *words)
        return {entry["subject"] for entry in case["catalog"]["entries"]}

    assert "service:basket" not in subjects()
    assert subjects("--catalog", "is") - subjects() == {"service:basket"}


def test_on_standard_output_the_cases_stand_alone(world: World, operator: Operator) -> None:
    outage(world, "checkout", 1)
    said = operator.runs("export-cases", "-")
    assert orjson.loads(said.stdout)["id"]
    assert "1 answer as they did then" in said.stderr


def test_texts_are_redacted_and_only_what_joins_changes_is_kept(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    outage(world, "checkout", 1)
    world.do(
        'UPDATE changes SET change = change || \'{"summary": "by kim@example.org",'
        ' "labels": {"commit": "abc", "who": "kim"}}\''
    )
    [case], _ = exported(operator, tmp_path / "cases.jsonl")
    assert "kim" not in orjson.dumps(case).decode()
    assert case["changes"][0]["labels"] == {"commit": "abc"}
