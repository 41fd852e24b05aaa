"""Shadow, pause, rests, dead letters and storms: what an operator sees happen to records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.pipeline.operating import KEY, Desks, always, desks, running, uuids
from tocsin import delivery, settling, simulators
from tocsin.connectors import clock_s
from tocsin.decide.standing import FAILURES
from tocsin.domain.record import Attachment, Confirmation, Outcome, Plan, Reason, Record
from tocsin.store import destinations, records, shadows, storms, sweeps

__all__ = ["desks", "running"]


@pytest.fixture
def world(
    database: str, tmp_path: Path, desks: dict[str, simulators.Running], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desks]:
    monkeypatch.setenv("KEY", KEY)
    made = Desks(database, tmp_path, desks)
    yield made
    made.close()


# --- shadow ---


def test_a_shadow_keeps_every_call_that_it_would_have_made_and_sends_none(world: Desks) -> None:
    world.apply(mode="shadow")
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=15, resolved=True, service="checkout")
    world.settle()
    assert world.held("pagerduty") == []
    create, *_, resolve, recovery = shadows.calls(world.app.database, "pagerduty")
    assert [one["call"] for one in (create, resolve, recovery)] == ["create", "resolve", "note"]
    assert "checkout" in str(create["body"])
    assert KEY not in str(create["body"]), "a key to the vendor is not for review"
    assert [r["state"] for r in world.sql("SELECT state FROM records")] == ["shadow"]


def test_an_open_incident_leaves_the_shadow_with_the_text_of_then_and_a_past_one_stays(world: Desks) -> None:
    world.apply(mode="shadow")
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    world.alert("HighLatency", minutes=5, resolved=True, service="checkout")
    world.alert("DiskFull", minutes=6, service="search")
    world.settle()
    world.apply(mode="live")
    world.settle()
    assert world.held("pagerduty") == [], "nothing was judged since"
    assert shadows.adopt(world.app.database, "pagerduty", actor="kim") == 1
    world.settle()
    [page] = world.held("pagerduty")
    assert "search" in str(page)
    found = world.sql("SELECT mode, wanted->>'title' AS title FROM records ORDER BY created_at")
    assert {(r["mode"], "search" in r["title"]) for r in found} == {("shadow", False), ("live", True)}


def test_a_live_record_waits_while_its_destination_is_in_shadow(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle()
    world.apply(mode="shadow")
    world.alert("HighLatency", minutes=15, resolved=True, service="checkout")
    world.settle()
    [page] = world.held("pagerduty")
    assert page["status"] == "triggered"
    assert not sweeps.due(world.app.database).deliver, "nobody is woken for it"
    world.apply(mode="live")
    world.settle()
    assert world.held("pagerduty")[0]["status"] == "resolved"


# --- pause ---


def test_a_paused_destination_gets_nothing_and_afterwards_only_what_still_matters(world: Desks) -> None:
    assert destinations.pause(world.app.database, "pagerduty", actor="kim", why="moving accounts")
    assert not destinations.pause(world.app.database, "pagerduty", actor="lee"), "it was paused already"
    world.alert("HighLatency", minutes=1, service="checkout")
    world.alert("DiskFull", minutes=9, service="search")
    world.settle()
    world.alert("HighLatency", minutes=12, resolved=True, service="checkout")
    world.settle()
    assert world.held("pagerduty") == []
    assert not sweeps.due(world.app.database).deliver
    [seen] = [d for d in destinations.overview(world.app.database) if d["name"] == "pagerduty"]
    assert (seen["paused_by"], seen["paused_why"], seen["waiting"]) == ("kim", "moving accounts", 2)
    assert destinations.resume(world.app.database, "pagerduty", actor="kim")
    world.settle()
    assert [page["status"] for page in world.held("pagerduty")] == ["triggered"], "the outage that is over pages nobody"
    assert world.audit("destination.paused") == world.audit("destination.resumed") == ["asked"]


# --- rests ---


def test_an_outage_is_probed_by_single_records_and_ends_without_a_stampede(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.crowd(40)
    plan = {"fault": "server_error_before", "times": 0, "status": 503}
    world.desks["pagerduty"].front.plans.add(plan)
    world.due()
    world.settle()
    tried = world.sql("SELECT count(*) AS n FROM attempts")[0]["n"]
    assert FAILURES <= tried < 16 + FAILURES, "the rest waits untouched"
    assert world.standing("pagerduty")["rests_why"] == "server_error"
    world.due()
    world.settle()
    assert world.sql("SELECT count(*) AS n FROM attempts")[0]["n"] == tried + 1, "one probe"
    world.desks["pagerduty"].front.plans.plans.clear()
    world.due()
    world.settle()
    assert len(world.held("pagerduty")) == 41
    standing = world.standing("pagerduty")
    assert (standing["open_since"], standing["failures"], standing["at_once"]) == (None, 0, 16)
    assert world.audit("destination.rested") == ["server_error"]
    assert world.audit("destination.recovered") == ["ok"]


def test_one_desk_that_is_away_holds_up_no_other(world: Desks) -> None:
    always(world.desks["servicenow"], "drop_before_commit")
    world.alert("Slow", minutes=1, service="search", severity="warning")
    world.alert("HighLatency", minutes=9, service="checkout")
    world.settle()
    assert (len(world.held("pagerduty")), world.held("servicenow")) == (1, [])


def test_a_429_stops_the_whole_destination_until_the_vendor_wants_more(world: Desks) -> None:
    world.desks["servicenow"].front.plans.add({"fault": "rate_limit", "after_s": 600})
    world.alert("Slow", minutes=1, service="search", severity="warning")
    world.settle()
    standing = world.standing("servicenow")
    assert standing["rests_why"] == "rate_limited"
    assert standing["rests_until"] - world.app.database.now() > timedelta(minutes=9)
    world.alert("HighLatency", minutes=9, service="checkout")
    world.settle()
    assert len(world.held("pagerduty")) == 1


def test_a_long_rest_raises_our_own_alert_and_its_end_ends_it(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.crowd(8)
    always(world.desks["pagerduty"], "server_error_before")
    world.due()
    world.settle()
    world.do("UPDATE destinations SET alert_at = now() - interval '1 s' WHERE name = 'pagerduty'")
    world.settle()
    world.settle()
    assert "pagerduty has been away since" in world.out.read_text()
    world.desks["pagerduty"].front.plans.plans.clear()
    world.due()
    world.settle()
    world.settle()
    states = world.sql("SELECT status FROM alerts WHERE state->'alert'->>'name' = 'DestinationRests'")
    assert [s["status"] for s in states] == ["resolved"]


def test_refused_credentials_rest_the_destination_and_kill_no_record(world: Desks) -> None:
    world.password.write_text("wrong")
    world.alert("Slow", minutes=1, service="search", severity="warning")
    world.app.reread()
    world.settle()
    [record] = world.sql("SELECT state, last_reason, next_attempt_at FROM records")
    assert (record["state"], record["last_reason"]) == ("pending", "unauthorized")
    assert world.standing("servicenow")["rests_why"] == "unauthorized"
    world.password.write_text("tocsin")
    world.due()
    world.settle()
    assert len(world.held("servicenow")) == 1
    assert world.standing("servicenow")["open_since"] is None


def test_a_replaced_secret_is_taken_up_in_the_attempt_that_it_fails(world: Desks) -> None:
    world.password.write_text("wrong")
    world.app.reread()
    world._couriers.follow()
    world.password.write_text("tocsin")
    world.alert("Slow", minutes=1, service="search", severity="warning")
    world.settle()
    assert len(world.held("servicenow")) == 1
    assert world.standing("servicenow")["openings"] == 0, "no rest was needed"


# --- order, leases, contract ---


def test_creates_of_pages_go_first_then_creates_ends_updates_and_notes(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.crowd(4)
    changes = [
        "sent_version = 1",
        "sent_version = 1, wanted_version = 2",
        'sent_version = 1, wanted_version = 2, wanted = wanted || \'{"status": "resolved"}\'',
        'wanted = wanted || \'{"want": "ticket"}\'',
    ]
    for n, change in enumerate(changes, start=1):
        world.do(
            f"UPDATE records SET {change}, next_attempt_at = now() - interval '{9 - n} min' WHERE id = md5('{n}')::uuid"
        )
    world.do("UPDATE records SET next_attempt_at = now() WHERE wanted->>'display' = 'TOC-1001'")
    order = [records.lease(world.app.database, 1, uuids(1))[0].wanted.display for _ in range(5)]
    assert order == ["TOC-1001", "TOC-5004", "TOC-5003", "TOC-5002", "TOC-5001"]


def test_a_worker_that_slept_through_half_its_lease_sends_nothing_and_gives_it_back(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.due()
    [record] = records.lease(world.app.database, 1, uuids(1))
    delivery.attempt(world.app, delivery.Couriers(app=world.app), record, until_s=clock_s() + records.LEASE_S / 2 - 1)
    assert world.held("pagerduty") == []
    [row] = world.sql("SELECT lease_token, attempts, ambiguous_since FROM records")
    assert (row["lease_token"], row["attempts"], row["ambiguous_since"]) == (None, 0, None)


def test_done_with_a_time_is_tried_once_more_then(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.due()
    [record] = records.lease(world.app.database, 1, uuids(1))
    outcome = Outcome(result="done", reason=Reason.OK, after=timedelta(minutes=2))
    state, again = settling.following(record, outcome)
    _keep(world, record, outcome, state=state, retry_after=again, ambiguous=False, seconds=0.1)
    [row] = world.sql("SELECT state, next_attempt_at - clock_timestamp() AS wait FROM records")
    assert row["state"] == "settled"
    assert timedelta(seconds=110) < row["wait"] <= timedelta(minutes=2)


def test_files_are_confirmed_one_by_one_and_given_up_after_three_tries(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    files = tuple(Attachment(id=uuid4(), name=f"{n}.txt", media_type="text/plain", content=b"\x00why") for n in "ab")
    [record] = [r for rs in _all_records(world).values() for r in rs]
    plan = _plan_of(record, files)
    with world.app.database.transaction() as connection:
        records.want(connection, [plan])
    tries = []
    for _ in range(4):
        world.due()
        world.do("UPDATE records SET next_attempt_at = now() - interval '1 s'")
        [held] = records.lease(world.app.database, 1, uuids(1))
        tries.append([file.name for file in held.attachments])
        confirmed = Confirmation(external_id="X", attachments=(files[0].id,))
        outcome = Outcome(result="done", reason=Reason.OK, confirmation=confirmed)
        _keep(world, held, outcome, state="settled", retry_after=None, ambiguous=False, seconds=0.1)
    assert tries == [["a.txt", "b.txt"], ["b.txt"], ["b.txt"], []]


def test_what_is_over_before_it_is_sent_needs_no_files_and_comes_to_rest(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    world.alert("HighLatency", minutes=15, resolved=True, service="checkout")
    world.settle(send=False)
    [record] = [r for rs in _all_records(world).values() for r in rs]
    file = Attachment(id=uuid4(), name="timeline.png", media_type="image/png", content=b"\x00why")
    with world.app.database.transaction() as connection:
        records.want(connection, [replace(_plan_of(record, (file,)), wanted=record.wanted)])
    world.due()
    world.settle()
    assert world.sql("SELECT state, next_attempt_at FROM records") == [{"state": "settled", "next_attempt_at": None}]
    assert world.held("pagerduty") == []


def _all_records(world: Desks) -> dict[UUID, list[Record]]:
    ids = [row["incident_id"] for row in world.sql("SELECT incident_id FROM records")]
    with world.app.database.transaction() as connection:
        return dict(records.of_incidents(connection, ids))


def _plan_of(record: Record, files: tuple[Attachment, ...]) -> Plan:
    assert record.told is not None
    return Plan(
        id=record.id,
        incident_id=record.incident_id,
        environment=record.environment,
        destination=record.destination,
        kind=record.kind,
        generation=record.generation,
        mode=record.mode,
        wanted=replace(record.wanted, title="Checkout is slow"),
        told=record.told,
        attachments=files,
    )


def test_what_an_operator_should_mend_is_said_once(world: Desks) -> None:
    world.alert("HighLatency", minutes=1, service="checkout")
    world.settle(send=False)
    for _ in range(2):
        world.do("UPDATE records SET next_attempt_at = now(), lease_until = NULL, lease_token = NULL")
        [record] = records.lease(world.app.database, 1, uuids(1))
        known = Confirmation(external_id="X", warnings=("two groups are called Platform; give its sys_id",))
        settling.settle(world.app, record, Outcome(result="done", reason=Reason.OK, confirmation=known), 0.1)
    assert world.audit("record.warned") == ["set_up"]
    assert [n["text"] for n in world.sql("SELECT text FROM notes WHERE text LIKE 'Set-up%'")] == [
        "Set-up: two groups are called Platform; give its sys_id"
    ]


# --- storms ---


def incidents(world: Desks, count: int, *, first: int = 0) -> None:
    """So many unrelated critical outages."""
    names = ["Disk", "Latency", "Errors", "Queue", "Certificate", "Memory", "Restart", "Backup", "Clock", "Quota"]
    for n in range(first, first + count):
        world.alert(f"{names[n]}{n}Trouble", minutes=1 + n * 2, service=f"shop-{names[n].lower()}")


def test_beyond_the_cap_one_parent_stands_for_the_rest_and_lists_them(world: Desks) -> None:
    world.apply(cap=2)
    incidents(world, 7)
    world.settle(send=False)
    opened = world.sql("SELECT count(*) AS n FROM incidents")[0]["n"]
    world.due()
    world.settle()
    titles = [r["title"] for r in world.sql("SELECT wanted->>'title' AS title FROM records ORDER BY created_at")]
    storm = [title for title in titles if title.startswith("Storm")]
    assert len(titles) == 3
    assert storm == [f"Storm: {opened - 2} more critical incidents for Platform since {storm[0][-5:]}"]
    [parent] = [page for page in world.held("pagerduty") if "Storm" in str(page)]
    assert parent["status"] == "triggered"
    assert world.audit("record.capped") == ["max_new_per_hour"] * (opened - 2)


def test_when_there_is_room_again_the_open_ones_get_their_own_and_the_storm_ends(world: Desks) -> None:
    world.apply(cap=2)
    incidents(world, 5)
    world.settle()
    world.due()
    world.settle()
    world.do("UPDATE records SET created_at = created_at - interval '2 h'")
    assert storms.calm(world.app.database, {"pagerduty": 2}) == 2
    world.settle()
    own = "SELECT count(*) AS n FROM records WHERE wanted->>'display' LIKE 'TOC-%'"
    assert world.sql(own)[0]["n"] == 4
    world.do("UPDATE records SET created_at = created_at - interval '2 h'")
    storms.calm(world.app.database, {"pagerduty": 2})
    world.settle()
    assert world.sql(own)[0]["n"] == 5
    [parent] = world.sql("SELECT wanted->>'status' AS status FROM records WHERE wanted->>'display' LIKE 'STORM-%'")
    assert parent["status"] == "resolved"


# --- changes ---


def test_a_deploy_is_shown_beside_the_owning_teams_pages_once(world: Desks) -> None:
    world.deploy("checkout", minutes=1)
    world.settle()
    world.settle()
    [kept] = world.sql("SELECT destination, confirmed_at, last_reason, last_detail FROM mirrored_changes")
    assert kept["destination"] == "pagerduty"
    assert kept["confirmed_at"] is not None, kept


def test_the_evidence_goes_along_as_a_file_once(world: Desks) -> None:
    world.deploy("search", minutes=1)
    world.alert("Slow", minutes=4, service="search", severity="warning")
    world.settle()
    world.settle()
    [file] = world.sql("SELECT name, content, confirmed_at FROM attachments")
    assert file["name"] == "evidence.txt"
    assert "No known change explains it:" in bytes(file["content"]).decode()
    assert "service:search" in bytes(file["content"]).decode()
    assert file["confirmed_at"] is not None


def _keep(world: Desks, *attempt: Any, **result: Any) -> bool:
    with world.app.database.transaction() as connection:
        return records.settle(connection, *attempt, **result)
