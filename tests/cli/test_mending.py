"""incidents, quarantine, deadletters, confirm: does an operator see what is wrong, and set it right?"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.cli.operating import Operator
from tests.pipeline.world import World
from tocsin import pipeline
from tocsin.cli import main


def test_incidents_are_listed_and_shown_whole(world: World, operator: Operator) -> None:
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    [row] = operator.asks("incidents")["incidents"]
    assert (row["display"], row["want"], row["team"]) == ("TOC-1001", "page", "platform")
    listed = operator.runs("incidents").stdout
    assert "TOC-1001" in listed
    told = operator.asks("incidents", "toc-1001")
    assert told["incident"]["display"] == "TOC-1001"
    assert told["records"][0]["wanted"]["body"]
    said = operator.runs("incidents", "TOC-1001").stdout
    for heading in ("Likely causes", "Alerts (1 of 1 firing)", "Records", "Story"):
        assert f"\n{heading}\n" in said
    assert told["records"][0]["wanted"]["title"] in said


def test_an_incident_that_is_not_there_says_so(operator: Operator) -> None:
    assert "there is no incident TOC-9" in operator.runs("incidents", "TOC-9", status=2).stderr
    assert "is not an incident" in operator.runs("incidents", "nine", status=2).stderr


def test_an_unowned_list_is_empty_but_not_an_error(operator: Operator) -> None:
    assert operator.asks("incidents") == {"incidents": []}
    assert operator.asks("quarantine", "list") == {"quarantine": []}
    assert operator.asks("deadletters", "list") == {"deadletters": []}


def test_quarantine_is_listed_and_replayed_through_the_inbox(world: World, operator: Operator) -> None:
    world.post("am", b"{", minutes=1)
    world.settle()
    [row] = operator.asks("quarantine", "list")["quarantine"]
    assert (row["hook"], row["source"]) == ("am", "alertmanager")
    assert "am" in operator.runs("quarantine", "list").stdout
    assert operator.asks("quarantine", "replay", "--hook", "gh") == {"replayed": 0, "expired": 0}
    assert operator.asks("quarantine", "replay", "--hook", "am") == {"replayed": 1, "expired": 0}
    assert operator.asks("quarantine", "list") == {"quarantine": []}
    assert world.audit("message.replayed") == ["quarantine"]
    assert pipeline.understand(world.app) == 1
    assert world.audit("message.understood") == ["quarantined", "quarantined"]


def test_a_message_whose_body_has_expired_stays_in_quarantine(world: World, operator: Operator) -> None:
    world.post("am", b"{", minutes=1)
    world.settle()
    world.do("DELETE FROM messages")
    assert operator.asks("quarantine", "replay") == {"replayed": 0, "expired": 1}


def test_dead_records_are_listed_and_tried_again(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle(send=False)
    world.do("UPDATE records SET state = 'dead', next_attempt_at = NULL, last_reason = 'forbidden'")
    [row] = operator.asks("deadletters", "list")["deadletters"]
    assert (row["incident"], row["destination"], row["reason"]) == ("TOC-1001", "out", "forbidden")
    assert "forbidden" in operator.runs("deadletters", "list").stdout
    assert operator.asks("deadletters", "replay", "--destination", "other") == {"revived": 0}
    assert operator.asks("deadletters", "replay") == {"revived": 1}
    world.settle()
    assert [r["state"] for r in world.incidents()[0]["records"]] == ["settled"]
    assert world.audit("record.revived") == ["asked"]


def test_a_person_confirms_the_cause(world: World, operator: Operator) -> None:
    world.deploy("checkout", minutes=1)
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    [change] = world.sql("SELECT id FROM changes")
    told = operator.asks("confirm", "TOC-1001", "--change", change["id"], "--person", "kim")
    assert told == {"incident": "TOC-1001", "change": change["id"], "person": "kim"}
    assert f"Confirmed cause: {change['id']}" in operator.runs("incidents", "TOC-1001").stdout
    operator.runs("confirm", "TOC-1001", "--not-the-cause")
    assert world.audit("cause.confirmed") == ["confirmed", "not_the_cause"]


def test_a_cause_that_nobody_knows_is_refused(world: World, operator: Operator) -> None:
    world.alert("HighLatency", minutes=6, service="checkout")
    world.settle()
    assert "knows no change c-1" in operator.runs("confirm", "TOC-1001", "--change", "c-1", status=2).stderr
    operator.runs("confirm", "TOC-1001", status=2)


@pytest.mark.parametrize("words", [["incidents"], ["quarantine", "list"], ["plan"], ["deadletters", "list"]])
def test_without_a_database_it_says_which_setting_is_missing(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    for name in ("TOCSIN_DATABASE_URL", "TOCSIN_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 2
    assert "TOCSIN_DATABASE_URL (or TOCSIN_DATABASE_URL_FILE) is not set" in said.stderr


def test_a_database_without_schema_says_what_to_run(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE_URL", postgres_url)
    said = CliRunner().invoke(main, ["incidents"])
    assert said.exit_code == 2
    assert "run `tocsin db upgrade`" in said.stderr
