"""Does replay tell what other mappings would have made of the same messages, and leave no trace but an audit line?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.operating import Operator
from tests.pipeline.world import World
from tocsin.cli import replay as command
from tocsin.cli.replay import admin_url
from tocsin.store import confirmations
from tocsin.store.replaying import SCRATCH


def candidate(world: World, directory: Path, old: str, new: str) -> Path:
    """The world's mappings with one text changed."""
    tree = directory / "candidate"
    shutil.copytree(world.app.settings.mappings_dir, tree)
    for file in tree.glob("*.yaml"):
        file.write_text(file.read_text().replace(old, new))
    return tree


def an_afternoon(world: World) -> None:
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    world.alert("DiskFull", minutes=8, service="search")
    world.settle()
    world.alert("DiskFull", minutes=20, resolved=True, service="search")
    world.settle()


def scratch_databases(world: World) -> list[str]:
    return [
        r["datname"] for r in world.sql("SELECT datname FROM pg_database WHERE starts_with(datname, :s)", s=SCRATCH)
    ]


def test_the_same_mappings_would_have_done_the_same(world: World, operator: Operator) -> None:
    an_afternoon(world)
    told = operator.asks("replay", "--since", "1h")
    assert told["messages"] == 4
    assert told["differences"] == []
    assert told["was"] == told["would_be"]
    assert (told["was"]["incidents"], told["was"]["page"], told["was"]["with_likely_cause"]) == (2, 2, 1)


def test_a_changed_route_shows_tickets_instead_of_pages(world: World, operator: Operator, tmp_path: Path) -> None:
    an_afternoon(world)
    tree = candidate(world, tmp_path, "critical-pages, want: page", "critical-pages, want: ticket")
    told = operator.asks("replay", "--since", "1h", "--mappings", tree)
    assert (told["was"]["page"], told["would_be"]["page"], told["would_be"]["ticket"]) == (2, 0, 2)
    assert [(d["incident"], d["differs"]) for d in told["differences"]] == [
        ("TOC-1001", ["outcome"]),
        ("TOC-1002", ["outcome"]),
    ]


def test_a_changed_owner_shows_the_team(world: World, operator: Operator, tmp_path: Path) -> None:
    an_afternoon(world)
    tree = candidate(world, tmp_path, "search: {}", "search: {owner: data}")
    [difference] = operator.asks("replay", "--since", "1h", "--mappings", tree)["differences"]
    assert (difference["was"]["team"], difference["would_be"]["team"]) == ("platform", "data")


def test_a_maintenance_window_would_have_muted(world: World, operator: Operator, tmp_path: Path) -> None:
    an_afternoon(world)
    tree = candidate(world, tmp_path, "never there", "")
    start = world.at(-60).strftime("%Y-%m-%dT%H:%M:%SZ")
    window = f"{{subjects: ['service:search'], starts_at: {start}, duration: 3h}}"
    (tree / "maintenance.yaml").write_text(f"maintenance:\n  disks: {window}\n")
    [difference] = operator.asks("replay", "--since", "1h", "--mappings", tree)["differences"]
    assert (difference["was"]["outcome"], difference["would_be"]["outcome"]) == ("page", "muted")
    assert difference["would_be"]["muted"] == "in_window"


def test_a_dependency_that_was_missing_would_have_made_one_incident_of_two(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    world.alert("HighLatency", minutes=6, service="search")
    world.settle()
    world.alert("HighErrors", minutes=7, service="checkout")
    world.settle()
    tree = candidate(world, tmp_path, 'depends_on: ["service:payments"]', 'depends_on: ["service:search"]')
    told = operator.asks("replay", "--since", "1h", "--mappings", tree)
    assert (told["was"]["incidents"], told["would_be"]["incidents"]) == (2, 1)
    assert [(d["incident"], d["merged_into"]) for d in told["differences"]] == [("TOC-1002", "TOC-1001")]


def test_it_leaves_nothing_but_an_audit_line(world: World, operator: Operator) -> None:
    an_afternoon(world)
    before = operator.counts()
    operator.runs("replay", "--since", "1h")
    assert operator.counts() == before | {"audit": before["audit"] + 1}
    [line] = world.sql("SELECT reason, actor, because FROM audit WHERE action = 'message.read'")
    assert (line["reason"], line["because"]["messages"]) == ("replay", 4)
    assert line["actor"]
    assert scratch_databases(world) == []


def test_ctrl_c_drops_the_scratch_database(world: World, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    an_afternoon(world)
    seen: list[str] = []

    def interrupted(*_: object) -> None:
        seen.extend(scratch_databases(world))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run", interrupted)
    operator.runs("replay", "--since", "1h", status=1)
    assert len(seen) == 1
    assert scratch_databases(world) == []


def test_messages_before_the_period_only_warm_up(world: World, operator: Operator) -> None:
    an_afternoon(world)
    told = operator.asks("replay", "--since", world.at(7).isoformat())
    assert told["messages"] == 4
    assert told["was"]["incidents"] == told["would_be"]["incidents"] == 1


def test_the_report_says_in_sentences_what_would_have_differed(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    an_afternoon(world)
    tree = candidate(world, tmp_path, "critical-pages, want: page", "critical-pages, want: ticket")
    (tree / "teams.yaml").write_text((tree / "teams.yaml").read_text().replace("search: {}", "search: {owner: data}"))
    told = operator.asks("replay", "--since", "1h", "--mappings", tree)
    assert told["summary"] == [
        "2 pages fewer (2 → 0).",
        "2 tickets more (0 → 2).",
        "2 pages would not have rung: TOC-1001, TOC-1002.",
        "1 incident would have gone to data instead of platform: TOC-1002.",
    ]
    assert told["teams"]["platform"]["was"]["page"] == 2
    assert told["teams"]["data"]["would_be"]["ticket"] == 1


def test_another_likely_cause_is_named_in_words(world: World, operator: Operator, tmp_path: Path) -> None:
    world.deploy("search", minutes=1, deployment=5)
    world.deploy("churn-api", minutes=4, deployment=6)
    world.alert("HighLatency", minutes=6, service="payments")
    world.settle()
    tree = candidate(world, tmp_path, "payments: {}", 'payments: {depends_on: ["service:search"]}')
    told = operator.asks("replay", "--since", "1h", "--mappings", tree)
    [difference] = told["differences"]
    assert difference["differs"] == ["likely_cause"]
    assert difference["would_be"]["cause_words"].startswith("service.deployed service:search")
    assert "1 incident would have had another likely cause: TOC-1001." in told["summary"]


def test_a_taught_installation_is_replayed_with_what_people_had_said_by_then(world: World, operator: Operator) -> None:
    an_afternoon(world)
    [change] = world.sql("SELECT id FROM changes")
    confirmations.confirm(world.app.database, 1002, "none", actor="kim")
    world.deploy("churn-api", minutes=22, deployment=9)
    world.alert("HighLatency", minutes=26, service="churn-api")
    world.settle()
    confirmations.confirm(world.app.database, 1003, "none", actor="kim")
    told = operator.asks("replay", "--since", "1h")
    assert told["differences"] == [], change


def test_the_report_is_a_page_too(world: World, operator: Operator, tmp_path: Path) -> None:
    an_afternoon(world)
    world.do("UPDATE incidents SET title = '<script>alert(1)</script>' WHERE number = 1002")
    tree = candidate(world, tmp_path, "critical-pages, want: page", "critical-pages, want: none")
    operator.runs("replay", "--since", "1h", "--mappings", tree, "--html", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "2 pages fewer (2 → 0)." in page
    assert "TOC-1001" in page
    assert "<script>" not in page


def test_people_see_a_table(world: World, operator: Operator, tmp_path: Path) -> None:
    an_afternoon(world)
    tree = candidate(world, tmp_path, "critical-pages, want: page", "critical-pages, want: none")
    said = operator.runs("replay", "--since", "1h", "--mappings", tree).stdout
    assert "4 messages" in said
    assert "TOC-1001" in said
    assert "2 pages would not have rung: TOC-1001, TOC-1002." in said
    assert "2 → 0" in said


def test_a_server_s_own_role_makes_the_database() -> None:
    assert admin_url("postgresql://tocsin:pw@db/tocsin") == "postgresql://tocsin:pw@db/tocsin"
