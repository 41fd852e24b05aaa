"""Do plan and apply tell what would change, and refuse what must not?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.operating import Operator
from tests.pipeline.world import World


@pytest.fixture
def candidate(world: World, tmp_path: Path) -> Path:
    """A copy of the active mappings, to be changed."""
    return Path(shutil.copytree(world.app.settings.mappings_dir, tmp_path / "candidate"))


def edit(tree: Path, file: str, old: str, new: str) -> None:
    text = (tree / file).read_text()
    assert old in text
    (tree / file).write_text(text.replace(old, new))


def test_the_active_mappings_change_nothing(operator: Operator) -> None:
    told = operator.asks("plan")
    assert (told["same"], told["errors"], told["sections"]) == (True, 0, {})
    assert "says the same" in operator.runs("plan").stdout


def test_catalogue_owners_routes_and_hooks_are_told(operator: Operator, candidate: Path) -> None:
    edit(candidate, "teams.yaml", "search: {}", "search: {owner: data}\n  catalog: {}")
    edit(candidate, "policies.yaml", "critical-pages, want: page", "critical-pages, want: ticket")
    edit(candidate, "policies.yaml", "  staging: {source: alertmanager, environment: staging, unverified: true}\n", "")
    told = operator.asks("plan", candidate)
    sections = told["sections"]
    assert sections["catalogue"]["added"] == ["service:catalog"]
    assert sections["catalogue"]["changed"] == {"service:search": {"owner": ["nothing", "data"]}}
    assert sections["routes"]["changed"] == {"critical-pages": {"want": ["page", "ticket"]}}
    assert sections["hooks"]["removed"] == ["staging"]
    [owner] = told["owners"]
    assert (owner["subject"], owner["before"], owner["after"]) == ("service:search", "platform", "data")


def test_open_incidents_that_would_be_treated_otherwise_are_told(
    world: World, operator: Operator, candidate: Path
) -> None:
    world.alert("DiskFull", minutes=1, service="search")
    world.settle()
    edit(candidate, "teams.yaml", "search: {}", "search: {owner: data}")
    edit(candidate, "policies.yaml", "critical-pages, want: page", "critical-pages, want: ticket")
    [moved] = operator.asks("plan", candidate)["incidents"]
    assert (moved["incident"], moved["team"], moved["asks_for"]) == (
        "TOC-1001",
        ["platform", "data"],
        ["page", "ticket"],
    )
    said = operator.runs("plan", candidate).stdout
    assert "~ TOC-1001: asks for: page → ticket; team: platform → data" in said


def test_a_destination_with_open_records_cannot_be_dropped(world: World, operator: Operator, candidate: Path) -> None:
    world.alert("DiskFull", minutes=1, service="search")
    world.settle()
    edit(candidate, "policies.yaml", "  out: {", "  elsewhere: {")
    edit(candidate, "policies.yaml", "[out]", "[elsewhere]")
    edit(candidate, "teams.yaml", "{out:", "{elsewhere:")
    told = operator.asks("plan", candidate, status=1)
    [refused] = told["refused"]
    assert refused.startswith("connectors.out: is dropped, but holds 1 open records; keep it with mode: off")
    refusal = operator.asks("apply", candidate, status=1)
    assert (refusal["applied"], refusal["version"]) == (False, 1)
    world.alert("DiskFull", minutes=12, resolved=True, service="search")
    world.settle()
    assert operator.asks("apply", candidate)["version"] == 2


def test_apply_makes_a_version_active_for_all(world: World, operator: Operator, candidate: Path) -> None:
    edit(candidate, "teams.yaml", "search: {}", "search: {owner: data}")
    assert "Version 2 is active." in operator.runs("apply", candidate).stdout
    assert world.app.active().version == 2
    assert world.app.active().mappings.catalog.entries["service:search"].owner == "data"  # type: ignore[index]
    assert world.sql("SELECT created_by FROM mapping_versions WHERE version = 2")[0]["created_by"]


def test_apply_refuses_what_check_finds(world: World, operator: Operator, candidate: Path) -> None:
    edit(candidate, "teams.yaml", 'depends_on: ["service:payments"]', 'depends_on: ["service:paymnets"]')
    told = operator.asks("apply", candidate, status=1)
    assert (told["applied"], told["version"]) == (False, 1)
    assert any("paymnets" in finding["message"] for finding in told["findings"])
    assert world.app.active().version == 1


def test_a_secret_is_never_shown(operator: Operator, candidate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AM_TOKEN", "s3cret-value")
    edit(candidate, "policies.yaml", "am: {source: alertmanager, environment: production, unverified: true}",
         "am: {source: alertmanager, environment: production, secret: {env: AM_TOKEN}}")  # fmt: skip
    for said in (operator.runs("plan", candidate).output, operator.runs("plan", candidate, "--json").output):
        assert "s3cret" not in said
        assert "secrets" in said


def test_a_directory_that_is_not_there_says_what_to_do(operator: Operator, tmp_path: Path) -> None:
    said = operator.runs("plan", tmp_path / "nowhere", status=2)
    assert "run `tocsin init" in said.stderr
