"""What runs told of lineage: read, marked where it is used, decided again and exported as it was, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.cli.operating import Operator
from tests.pipeline.runs import Pipelines, three_runs


@pytest.fixture
def pipelines(database: str, tmp_path: Path) -> Iterator[Pipelines]:
    made = Pipelines(database, tmp_path)
    yield made
    made.close()


@pytest.fixture
def operator(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> Operator:
    return Operator(pipelines, monkeypatch)


def an_outage(world: Pipelines) -> None:
    """Yesterday's and today's runs, then one that fails, and what it is said to have broken."""
    three_runs(world, minutes=5 - 1440)
    three_runs(world)
    world.settle()
    world.post("ci", {"kind": "pipelinerun.finished", "subject": "job:load", "outcome": "failure"}, minutes=62)
    world.alert("Stale", minutes=70, dataset="mart.orders", symptom="freshness")
    world.alert("Old", minutes=75, dataset="staging.orders", symptom="freshness")
    world.settle()


def test_it_is_shown_edge_by_edge_and_forgotten(pipelines: Pipelines, operator: Operator) -> None:
    assert "0 edges of lineage learned from runs of 0 jobs" in operator.runs("learned").stdout
    three_runs(pipelines, minutes=5 - 1440)
    three_runs(pipelines)
    pipelines.settle()
    assert "5 edges of lineage learned from runs of 3 jobs; --lineage lists them" in operator.runs("learned").stdout
    [edge] = [one for one in operator.asks("learned")["lineage"] if one["downstream"] == "dataset:mart.orders"]
    assert (edge["upstream"], edge["job"], edge["days"]) == ("job:build", "job:build", 2)
    assert edge["first_told_at"] < edge["last_told_at"]
    assert "dataset:raw.orders      job:load                job:load" in operator.runs("learned", "--lineage").stdout
    assert operator.asks("learned", "--reset")["lineage"] == []


def test_impact_marks_what_runs_told(pipelines: Pipelines, operator: Operator) -> None:
    three_runs(pipelines)
    pipelines.settle()
    told = operator.asks("impact", "dataset:raw.orders")
    assert [(row["subject"], row["hops"]) for row in told["hit"]] == [
        *(("job:load", 1), ("dataset:staging.orders", 2), ("job:build", 3), ("dataset:mart.orders", 4))
    ]
    assert told["hit"][1]["learned"] == [["dataset:raw.orders", "job:load"], ["job:load", "dataset:staging.orders"]]
    assert told["hit"][1]["impact"] == "impact not mapped"
    (pipelines.app.mappings_dir / "more.yaml").write_text("services: {shop: {depends_on: ['dataset:mart.orders']}}")
    said = operator.runs("impact", "job:build").stdout
    assert "known from" in said
    assert said.splitlines()[2].rstrip().endswith("runs")
    assert "known from" not in operator.runs("impact", "dataset:mart.orders").stdout
    elsewhere = operator.runs("impact", "dataset:raw.orders", "--environment", "staging", status=2)
    assert "the catalogue has no dataset:raw.orders" in elsewhere.output


def test_a_replay_decides_as_it_was_decided(pipelines: Pipelines, operator: Operator) -> None:
    """What was told before the replay's first message counts as it did then, and what is told in it from its own hour
    on."""
    an_outage(pipelines)
    since = pipelines.at(58).isoformat()
    told = operator.asks("replay", "--since", since)
    assert told["differences"] == []
    assert told["was"] == told["would_be"]
    assert told["was"]["incidents"] == 1, "the two are one by learned lineage alone"


def test_an_exported_case_holds_the_lineage_that_was_known(
    pipelines: Pipelines, operator: Operator, tmp_path: Path
) -> None:
    an_outage(pipelines)
    since, at = (pipelines.at(minutes).isoformat() for minutes in (-180, 118))
    later = f"'production', 'dataset:mart.orders', 'job:later', '{since}', '{at}'"
    pipelines.do(f"INSERT INTO lineage VALUES ({later})")
    summary = operator.asks("export-cases", tmp_path / "was.jsonl")
    assert (summary["cases"], summary["answer_as_then"]) == (1, 1)
    [line] = (tmp_path / "was.jsonl").read_bytes().splitlines()
    entries = {entry["subject"]: entry for entry in orjson.loads(line)["catalog"]["entries"]}
    assert entries["dataset:mart.orders"] == {
        "subject": "dataset:mart.orders",
        "depends_on": ["job:build"],
        "monitored": True,
        "learned": ["job:build"],
    }
    assert entries["job:build"] == {
        "subject": "job:build",
        "depends_on": ["dataset:staging.orders"],
        "monitored": False,
        "learned": ["dataset:staging.orders"],
        "mapped": False,
    }
    assert "job:later" not in entries
    operator.asks("export-cases", "--catalog", "is", tmp_path / "is.jsonl")
    [line] = (tmp_path / "is.jsonl").read_bytes().splitlines()
    assert "job:later" in {entry["subject"] for entry in orjson.loads(line)["catalog"]["entries"]}
