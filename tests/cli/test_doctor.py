"""Does `tocsin doctor` tell, before 3 a.m., what would go wrong then, and touch nothing while it looks?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from tests.cli.operating import Operator
from tests.pipeline.world import MAPPINGS, World
from tocsin import simulators
from tocsin.cli import main
from tocsin.cli._doctor.itself import BEAT_LOCK
from tocsin.store import destinations

GROUPS = {"sys_user_group": ["Platform", "Data Engineering", "ML"]}


@pytest.fixture(scope="module")
def _desk() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=GROUPS) as running:
        yield running


@pytest.fixture
def desk(_desk: simulators.Running) -> simulators.Running:
    _desk.reset()
    return _desk


def mappings(desk: simulators.Running) -> dict[str, str]:
    connector = f"""out: {{kind: console, path: OUT}}
          desk:
            kind: servicenow
            url: {desk.url}
            username: admin
            password: {{env: DESK_PASSWORD}}
            default_assignment_group: Platform"""
    policies = MAPPINGS["policies.yaml"].replace("out: {kind: console, path: OUT}", connector)
    hook = """
    hooks:
      from-desk: {source: servicenow, environment: production, secret: {env: DESK_PASSWORD}}
    """
    policies = policies.replace("page: [out], ticket: [out]", "page: [out], ticket: [desk]")
    return {**MAPPINGS, "policies.yaml": policies, "hooks.yaml": hook}


@pytest.fixture
def world(database: str, tmp_path: Path, desk: simulators.Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("DESK_PASSWORD", "tocsin")
    made = World(database, tmp_path, mappings(desk))
    yield made
    made.close()


class Person:
    """Somebody at a terminal that knows mappings and no database."""

    def __init__(self, tree: Path, desk: simulators.Running) -> None:
        self.tree = tree
        tree.mkdir()
        for name, text in mappings(desk).items():
            (tree / name).write_text(dedent(text).replace("OUT", str(tree.parent / "out.txt")))

    def asks(self, *words: str | Path, status: int = 0) -> Any:
        """What `tocsin doctor … --json` answers."""
        said = CliRunner().invoke(main, ["doctor", *map(str, words), "--json"])
        assert said.exit_code == status, said.output + said.stderr + repr(said.exception)
        return orjson.loads(said.stdout)


@pytest.fixture
def person(tmp_path: Path, desk: simulators.Running, monkeypatch: pytest.MonkeyPatch) -> Person:
    for name in ("TOCSIN_DATABASE_URL", "TOCSIN_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOCSIN_MAPPINGS_DIR", str(tmp_path / "tree"))
    monkeypatch.setenv("TOCSIN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DESK_PASSWORD", "tocsin")
    return Person(tmp_path / "tree", desk)


def of(told: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    """check → the worst finding of it."""
    rank = ("ok", "note", "warning", "error")
    found = sorted((one for one in told["findings"] if one["part"] == part), key=lambda one: rank.index(one["grade"]))
    return {one["check"]: one for one in found}


# --- destinations, by the files alone ---


def test_one_destination_is_looked_at_by_reading_alone(person: Person, desk: simulators.Running) -> None:
    told = person.asks("desk", status=1)
    seen = of(told, "desk")
    assert told["worst"] == "warning"
    assert (seen["credentials"]["grade"], seen["assignment_group"]["value"]) == ("ok", "Platform")
    assert seen["hook"]["says"] == "Signed"
    assert seen["category"]["grade"] == "warning"
    assert {one["part"] for one in told["findings"]} == {"desk"}
    assert {call["method"] for call in desk.front.calls} == {"GET"}


def test_nothing_to_mend_is_status_0(person: Person) -> None:
    seen = of(person.asks("out"), "out")
    assert seen["output"]["grade"] == seen["mode"]["grade"] == "ok"


def test_people_read_the_remedy_under_each_fault(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_PASSWORD", "hunter2")
    said = CliRunner().invoke(main, ["doctor", "desk"])
    assert said.exit_code == 2
    assert "✗ credentials" in said.stdout
    assert "→ correct the user and the secret" in said.stdout
    assert "1 error" in said.stdout
    assert "hunter2" not in said.output


def test_a_secret_that_is_not_here_is_told_and_the_vendor_left_alone(
    person: Person, desk: simulators.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESK_PASSWORD")
    seen = of(person.asks("desk", status=2), "desk")
    assert "DESK_PASSWORD" in seen["secret"]["says"]
    assert desk.front.calls == []


def test_options_that_do_not_fit_are_told_without_their_values(person: Person) -> None:
    policies = person.tree / "policies.yaml"
    policies.write_text(policies.read_text().replace("username: admin", "username: admin\n    read_timeout_s: 999"))
    seen = of(person.asks("desk", status=2), "desk")
    assert (seen["config"]["value"], "999" in seen["config"]["says"]) == ("read_timeout_s", False)


def test_mappings_can_be_looked_at_before_they_are_applied(person: Person, tmp_path: Path) -> None:
    following = tmp_path / "next"
    shutil.copytree(person.tree, following)
    policies = (following / "policies.yaml").read_text()
    (following / "policies.yaml").write_text(policies.replace("group: Platform", "group: Nope"))
    seen = of(person.asks("desk", "--mappings", following, status=2), "desk")
    assert (seen["assignment_group"]["value"], seen["assignment_group"]["grade"]) == ("Nope", "error")


def test_a_destination_that_is_not_there_is_told_with_those_that_are(person: Person) -> None:
    said = CliRunner().invoke(main, ["doctor", "jra"])
    assert (said.exit_code, "there are: desk, out" in said.stderr) == (2, True)


def test_without_a_database_the_rest_is_looked_at_all_the_same(person: Person) -> None:
    told = person.asks(status=2)
    assert of(told, "tocsin")["database"]["value"] == "none"
    assert of(told, "desk")["credentials"]["grade"] == "ok"


# --- Tocsin itself ---


def test_tocsin_itself_is_looked_at_first(world: World, operator: Operator) -> None:
    world.post("am", b"{", minutes=1)
    world.settle()
    told = operator.asks("doctor", status=2)
    seen = of(told, "tocsin")
    assert told["findings"][0]["part"] == "tocsin"
    assert seen["database"]["grade"] == seen["schema"]["grade"] == seen["data_key"]["grade"] == "ok"
    assert seen["clock"]["grade"] == seen["workers"]["grade"] == "ok"
    assert seen["mappings"]["value"] == "version 1"
    assert seen["quarantine"]["value"] == "1 messages"
    assert (seen["redis"]["grade"], seen["beat"]["grade"]) == ("error", "error")


def test_what_only_shows_under_way_is_told(
    world: World, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")  # and no worker
    monkeypatch.setenv("TOCSIN_DATA_KEY", "b" * 43 + "=")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1-ab.spool").write_bytes(b"{}\n")
    with world.app.database.engine.connect() as beat:
        beat.exec_driver_sql(f"SELECT pg_advisory_lock({BEAT_LOCK})")
        seen = of(operator.asks("doctor", status=2), "tocsin")
    assert seen["beat"]["grade"] == "ok"
    assert "min late" in seen["understanding"]["value"]
    assert seen["data_key"]["value"] == "another"
    assert seen["spool"]["grade"] == "warning"


def test_the_lock_is_the_one_that_the_beat_holds() -> None:
    from tocsin import worker

    assert worker.BEAT_LOCK == BEAT_LOCK


def test_a_paused_destination_and_dead_letters_are_told(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    world.do("UPDATE records SET state = 'dead', next_attempt_at = NULL")
    destinations.pause(world.app.database, "out", actor="kim", why="moving house")
    world.do("INSERT INTO looks (destination, poll_failed) VALUES ('out', 'unauthorized')")
    seen = of(operator.asks("doctor", "out", status=2), "out")
    assert "moving house" in seen["paused"]["says"]
    assert seen["dead_letters"]["value"] == "1"
    assert seen["polling"]["value"] == "unauthorized"
    assert "tocsin deadletters list --destination out" in seen["dead_letters"]["remedy"]


def test_a_database_without_schema_says_what_to_run(
    person: Person, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE_URL", postgres_url)
    seen = of(person.asks(status=2), "tocsin")
    assert "tocsin db upgrade" in seen["schema"]["remedy"]


# --- writing ---


def incidents(desk: simulators.Running) -> list[dict[str, str]]:
    found: list[dict[str, str]] = desk.state().get("incident", [])  # type: ignore[assignment]
    return found


@pytest.mark.usefixtures("person")
def test_a_probe_names_the_group_and_asks(desk: simulators.Running) -> None:
    said = CliRunner().invoke(main, ["doctor", "desk", "--probe-write"], input="n\n")
    assert "one incident in the group 'Platform'" in said.stderr
    assert desk.url in said.stderr
    assert incidents(desk) == []


def test_a_probe_that_was_allowed_takes_its_record_back(person: Person, desk: simulators.Running) -> None:
    told = person.asks("desk", "--probe-write", "--probe-at", "ML", "--yes", status=1)
    (incident,) = incidents(desk)
    assert incident["state"] == "8"
    assert of(told, "desk")["probe"]["value"] == incident["number"]
