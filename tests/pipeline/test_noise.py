"""Suppression annotates: what is muted or waits is asked again, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.pipeline.world import MAPPINGS, World
from tocsin.decide import seen
from tocsin.domain.alert import AlertState


@pytest.fixture
def worlds(database: str, tmp_path: Path) -> "Callable[[str], World]":
    def make(extra: str) -> World:
        return World(database, tmp_path, {**MAPPINGS, "extra.yaml": dedent(extra)})

    return make


def gate_of(world: World) -> tuple[str, str]:
    [incident] = world.incidents()
    return str(incident["gate"]), str(incident["gate_reason"])


def test_in_a_window_nobody_is_told_and_when_it_ends_the_ticket_opens(worlds: Callable[[str], World]) -> None:
    world = worlds("""
        maintenance:
          weekly: {subjects: ["service:checkout"], starts_at: "2026-01-04T00:00:00Z", duration: 24h, rrule: FREQ=DAILY}
        """)
    world.alert("HighLatency", minutes=29, service="checkout")
    world.settle()
    assert gate_of(world)[0] == "muted"
    assert world.sql("SELECT FROM records") == []
    [waiting] = world.sql("SELECT decide_again_at > now() AS later FROM incidents")
    assert waiting["later"]
    (world.app.mappings_dir / "extra.yaml").write_text("{}")
    world.app.apply(world.app.mappings_dir, actor="test")
    world.do("UPDATE incidents SET decide_again_at = now()")
    world.settle()
    assert gate_of(world)[0] == "active"
    assert len(world.sql("SELECT FROM records")) == 1
    world.close()


def test_a_symptom_that_must_persist_waits_and_a_recovery_in_time_tells_nobody(
    worlds: Callable[[str], World],
) -> None:
    world = worlds("""
        policies: {persistence: {latency: 45m}}
        """)
    world.alert("HighLatency", minutes=29, service="checkout")
    world.settle()
    assert gate_of(world)[0] == "waiting"
    world.alert("HighLatency", minutes=29.9, resolved=True, service="checkout")
    world.settle()
    assert gate_of(world) == ("muted", "recovered_before_persisting")
    assert world.sql("SELECT FROM records") == []
    world.close()


def test_a_bad_mapping_is_refused_and_the_old_version_decides_on(worlds: Callable[[str], World]) -> None:
    from tocsin.domain.errors import BadMapping

    world = worlds("{}")
    before = world.app.active().version
    (world.app.mappings_dir / "extra.yaml").write_text("teems: {}\n")
    with pytest.raises(BadMapping, match=r"extra.yaml:1: teems: unknown key; did you mean \"teams\""):
        world.app.apply(world.app.mappings_dir, actor="test")
    assert world.app.active().version == before
    world.close()


def test_what_cannot_be_decided_is_put_aside_alone_and_the_rest_goes_on(
    worlds: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(state: AlertState) -> object:
        if state.alert.name == "Cursed":
            raise TypeError("numpy has no JSON form")
        return seen_of(state)

    seen_of = seen.seen_of
    monkeypatch.setattr("tocsin.decide.fold.seen_of", bug)
    world = worlds("{}")
    world.alert("HighLatency", minutes=1, service="checkout")
    world.alert("Cursed", minutes=2, service="search")
    world.alert("DiskFull", minutes=3, service="search")
    world.settle()
    assert sorted(i["head"] for i in world.incidents()) == ["service:checkout", "service:search"]
    [aside] = world.sql("SELECT reason FROM quarantine")
    assert "numpy has no JSON form" in aside["reason"]
    assert world.audit("signal.undecided") == ["failed"]
    world.close()


def test_the_policy_says_what_a_sender_s_own_severity_means(worlds: Callable[[str], World]) -> None:
    world = worlds("""
        policies: {severities: {alertmanager: {sev9: critical}}}
        """)
    world.alert("HighLatency", minutes=1, service="checkout", severity="SEV9")
    world.settle()
    [incident] = world.incidents()
    assert incident["want"] == "page"
    world.close()


def test_an_incident_that_lost_its_alerts_to_a_later_one_is_ended_and_left_alone(
    worlds: Callable[[str], World],
) -> None:
    world = worlds("{}")
    world.alert("HighLatency", minutes=20, service="checkout")
    world.settle(send=False)
    [first] = world.sql("SELECT id FROM incidents")
    # it ended, and fires again as another incident's, before the end of the first was told
    world.do(
        "INSERT INTO occurrences (environment, fingerprint, episode, incident_id, starts_at, ends_at)"
        " SELECT environment, fingerprint, 1, incident_id, now() - interval '9 min', now() FROM alerts"
    )
    world.do("UPDATE alerts SET incident_id = NULL")
    world.do("UPDATE incidents SET decide_again_at = now(), state = 'resolved', resolved_at = now()")
    world.settle(send=False)
    assert world.sql("SELECT id FROM incidents WHERE decide_again_at <= clock_timestamp()") == []
    assert {row["status"] for row in world.sql("SELECT wanted->>'status' AS status FROM records")} <= {"resolved"}
    assert world.sql("SELECT id FROM incidents") == [first]
    world.do("DELETE FROM occurrences")
    world.do("UPDATE incidents SET decide_again_at = now()")
    world.settle(send=False)
    assert world.sql("SELECT id FROM incidents WHERE decide_again_at <= clock_timestamp()") == [], "nothing to decide"
    world.close()
