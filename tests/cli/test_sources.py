"""An unknown sender is a ten-minute job: a draft from one payload, tried at once, and checked against it for ever."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from tocsin.cli import main
from tocsin.cli._draft import draft
from tocsin.config.reads import ReadsIn

PAYLOAD = {
    "id": 77,
    "alert": {"rule_name": "PSI too high", "severity": "sev1", "state": "triggered"},
    "model_name": "churn",
    "value": 0.4,
    "threshold": "0.2",
    "triggered_at": "2026-11-21T10:00:00Z",
    "url": "https://drift.example.com/a",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    directory = tmp_path / "mappings"
    (directory / "teams").mkdir(parents=True)
    (directory / "teams" / "ops.yaml").write_text(
        "teams: {ops: {owns: ['service:*', 'model:*']}}\npolicies: {catch_all: ops}\n"
    )
    (tmp_path / "payload.json").write_bytes(orjson.dumps(PAYLOAD))
    return directory


def run(*words: object) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_draft_is_shown_and_tried_and_nothing_is_written(tree: Path) -> None:
    shown = run("sources", "new", "my-tool", "--sample", tree.parent / "payload.json", "--mappings", tree)
    assert "firing critical feature_drift of model:churn: PSI too high" in shown
    assert not (tree / "hooks").exists()


def test_a_written_draft_passes_the_check_and_reads_its_sample(tree: Path) -> None:
    run("sources", "new", "my-tool", "--sample", tree.parent / "payload.json", "--mappings", tree, "--write")
    assert "is good" in run("check", tree)
    sample = tree / "samples" / "my-tool.json"
    line = json.loads(run("normalize", "--hook", "my-tool", "--mappings", tree, "--json", sample))
    [alert] = line["alerts"]
    assert (alert["subject"], alert["observed"], alert["threshold"]) == ("model:churn", 0.4, 0.2)
    sample.write_bytes(orjson.dumps(PAYLOAD | {"alert": {"headline": "PSI"}}))
    done = CliRunner().invoke(main, ["check", str(tree)])
    assert done.exit_code == 1
    assert "samples/my-tool.json: name: Field required" in done.output


def test_a_hook_that_is_there_is_never_overwritten(tree: Path) -> None:
    words = ["sources", "new", "my-tool", "--sample", str(tree.parent / "payload.json"), "--mappings", str(tree)]
    run(*words, "--write")
    before = (tree / "hooks" / "my-tool.yaml").read_text()
    done = CliRunner().invoke(main, [*words, "--write"])
    assert done.exit_code == 2
    assert "is there already" in done.output
    assert (tree / "hooks" / "my-tool.yaml").read_text() == before


def test_lists_of_items_and_odd_keys_are_drafted_too() -> None:
    said = draft({"version": 1, "events": [{"check-name": "late", "@host": "db-1", "Level": "high"}]})
    assert said["each"] == "events"
    assert said["alerts"][0]["name"] == '"check-name"'
    assert said["alerts"][0]["subject"] == {"host": '"@host"'}
    ReadsIn.model_validate(said)


def test_every_source_is_listed_with_how_its_alerts_end() -> None:
    found = {one["name"]: one for one in json.loads(run("sources", "list", "--json"))["sources"]}
    assert found["alertmanager"]["resolves"] == "sender"
    assert {"generic", "evidently", "mlflow"} <= found.keys()
    assert "alertmanager" in run("sources", "list")
