"""However a create goes wrong, and whatever kind of instance it is: one outage, one incident, and none but ours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from tests.connectors.builders import KEY, note, task, wanted
from tests.connectors.canned import Canned, canned
from tests.connectors.servicenow_desk import FOREIGN, SEED, SERVICENOW, Desk, changed, known, later
from tocsin import simulators
from tocsin.connectors import open_http
from tocsin.domain.record import Outcome, Reason, Task

LATE = timedelta(seconds=60)
BARE = wanted(address={})


@pytest.fixture(scope="module")
def running() -> Iterator[simulators.Running]:
    with simulators.start("servicenow", seed=SEED) as one:
        yield one


@pytest.fixture(scope="module")
def choosing() -> Iterator[simulators.Running]:
    """An instance that ignores the sys_id of a caller."""
    with simulators.start("servicenow", seed=SEED, keep_sys_id=False) as one:
        yield one


@pytest.fixture
def desk(running: simulators.Running) -> Desk:
    running.reset()
    return Desk(running)


def settled(desk: Desk, wish: Task, attempts: int = 4) -> Outcome:
    """The first outcome that settles, when delivery waits as it is told."""
    for _ in range(attempts):
        outcome = desk.send(wish)
        if outcome.settled:
            return outcome
        assert outcome.result != "rejected", outcome
        wish = later(outcome, wish)
    raise AssertionError(outcome)


# --- our own sys_id ---


@pytest.mark.parametrize("fault", ["commit_then_drop", "server_error_after", "slow"])
def test_a_lost_answer_leaves_one_incident(desk: Desk, fault: str) -> None:
    desk.fault(fault)
    assert settled(desk, task(), attempts=2).result == "duplicate"
    assert desk.incident["sys_id"] == KEY


@pytest.mark.parametrize("fault", ["drop_before_commit", "server_error_before"])
def test_a_create_that_never_happened_is_made_again(desk: Desk, fault: str) -> None:
    desk.fault(fault)
    assert settled(desk, task(), attempts=3).result == "done"
    assert desk.incident["sys_id"] == KEY


def test_where_our_sys_ids_are_kept_it_is_made_again_at_once(desk: Desk) -> None:
    desk.send(task(wanted=wanted(key="0" * 32)))
    desk.fault("drop_before_commit")
    lost = desk.send(task())
    assert lost.result == "ambiguous"
    assert desk.send(replace(later(lost, task()), now=task().now)).result == "done"


def test_a_create_that_commits_late_is_the_same_incident(desk: Desk) -> None:
    desk.fault("slow_commit", after_s=1.2)
    assert settled(desk, task()).settled
    assert desk.incident["sys_id"] == KEY


def test_two_workers_at_once_make_one_incident(desk: Desk) -> None:
    desk.send(task(wanted=wanted(key="0" * 32)))
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: desk.send(task()), range(4)))
    assert sorted(outcome.result for outcome in outcomes) == ["done", "duplicate", "duplicate", "duplicate"]
    assert {known(outcome).external_id for outcome in outcomes} == {KEY}
    assert sum(row["correlation_id"] == KEY for row in desk.incidents) == 1


def test_an_incident_of_somebody_else_is_never_written(desk: Desk) -> None:
    desk.running.seed({"incident": [{"sys_id": KEY, "correlation_id": "theirs", "short_description": "Printer"}]})
    before = desk.incident
    lost = desk.send(task())
    told = desk.send(task(external_id=KEY, sent={"impact": "3"}, notes=(note(1),)))
    assert (lost.result, lost.reason) == (told.result, told.reason) == ("rejected", Reason.NOT_OURS)
    assert desk.incident == before
    assert desk.work_notes == []


def test_an_incident_whose_link_a_person_cut_is_left_alone(desk: Desk) -> None:
    second = desk.opened()
    desk.person(correlation_id="")
    outcome = desk.send(replace(changed(second, impact=1), notes=(note(1),)))
    assert (outcome.result, outcome.reason, outcome.confirmation) == ("rejected", Reason.NOT_OURS, None)
    assert desk.calls("PATCH") == 0


def test_a_correlation_id_that_is_not_kept_is_told_at_once(desk: Desk) -> None:
    desk.fault("silent_field_drop", fields=["correlation_id"])
    outcome = desk.send(task())
    assert outcome.result == "done"
    assert "correlation_id was not kept" in known(outcome).warnings[0]


# --- an instance that chooses sys_ids itself ---


def test_an_instance_that_ignores_our_sys_id_is_remembered(choosing: simulators.Running) -> None:
    choosing.reset()
    desk = Desk(choosing)
    outcome = desk.send(task())
    assert known(outcome).external_id == desk.incident["sys_id"] != KEY
    assert "chooses sys_ids itself" in outcome.detail
    desk.send(task(wanted=replace(BARE, key="0" * 32)))
    first, second = (call for call in choosing.front.calls if call["method"] == "POST")
    assert "sys_id" in str(first)
    assert desk.calls("GET", "/table/incident") == 1  # from now on it looks before it creates
    assert second


@pytest.mark.parametrize("fault", ["commit_then_drop", "slow_commit", "drop_before_commit", "server_error_after"])
@pytest.mark.parametrize("known_before", [True, False])
def test_a_lost_answer_is_looked_for_by_correlation_id(
    choosing: simulators.Running, fault: str, known_before: bool
) -> None:
    choosing.reset()
    desk = Desk(choosing, late_commit_s=1)
    if known_before:
        desk.send(task(wanted=replace(BARE, key="0" * 32)))
    desk.fault(fault, after_s=1.2)
    lost = desk.send(task(wanted=BARE))
    outcome = lost
    if not lost.settled:
        desk.running.front.stopping.wait(0.8)  # what is late arrives
        outcome = settled(desk, later(lost, task(wanted=BARE)))
    ours = [row for row in desk.incidents if row["correlation_id"] == KEY]
    assert [row["sys_id"] for row in ours] == [known(outcome).external_id]


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit", "server_error_after"])
def test_with_lookup_an_incident_is_looked_for_before_each_create(desk: Desk, fault: str) -> None:
    looking = Desk(desk.running, identity="lookup")
    looking.fault(fault)
    assert settled(looking, task(wanted=BARE)).settled
    assert desk.incident["correlation_id"] == KEY != desk.incident["sys_id"]
    again = Desk(desk.running, identity="lookup").send(task(wanted=BARE))  # a database that forgot everything
    assert (again.result, known(again).external_id) == ("duplicate", desk.incident["sys_id"])


def test_with_lookup_a_lost_create_is_not_repeated_while_it_may_come_late(desk: Desk) -> None:
    looking = Desk(desk.running, identity="lookup")
    looking.fault("drop_before_commit")
    lost = looking.send(task(wanted=BARE))
    assert (lost.result, lost.after) == ("ambiguous", LATE)
    early = looking.send(replace(later(lost, task(wanted=BARE)), now=task().now + LATE / 2))
    assert (early.result, early.after) == ("ambiguous", LATE / 2)
    assert desk.incidents == []
    assert looking.send(later(lost, task(wanted=BARE))).result == "done"


def test_of_two_that_carry_our_key_the_older_is_kept_and_both_are_named(desk: Desk) -> None:
    twin = {"correlation_id": KEY, "short_description": "Twin"}
    old, new = "a" * 32, "b" * 32
    desk.running.seed({"incident": [{**twin, "sys_id": new}, {**twin, "sys_id": old}]})
    desk.tables["incident"][old]["sys_created_on"] = "2020-01-01 00:00:00"
    outcome = Desk(desk.running, identity="lookup").send(task(wanted=BARE))
    assert (outcome.result, known(outcome).external_id) == ("duplicate", old)
    assert "carry our correlation_id" in known(outcome).warnings[0]


# --- an instance that ignores the query ---


def ignoring(*, in_doubt: bool) -> tuple[Outcome, Canned]:
    """What comes of a create where every query answers somebody else's incident."""

    def answer(script: Canned) -> None:
        made = {**orjson.loads(script.asked[-1].body or b"{}"), "sys_id": "e" * 32, "number": "INC0000009"}
        foreign = {"sys_id": FOREIGN, "correlation_id": "theirs", "number": "INC0000001"}
        posted = script.asked[-1].method == "POST"
        script.status = 201 if posted else 200
        script.body = orjson.dumps({"result": made if posted else [foreign, foreign]})

    with canned(answers=[answer] * 9) as vendor:
        config = SERVICENOW.Config(url=vendor.url, username="u", password="p", identity="lookup")
        wish = task(wanted=BARE, ambiguous_since=task().now - LATE * 2 if in_doubt else None)
        return SERVICENOW.send(config, wish, open_http(config, blip_wait_s=0)), vendor


def test_foreign_rows_of_an_ignored_query_are_not_taken_for_ours() -> None:
    outcome, vendor = ignoring(in_doubt=False)
    assert (outcome.result, known(outcome).external_id) == ("done", "e" * 32)
    assert "answered other incidents" in known(outcome).warnings[0]
    assert not [one for one in vendor.asked if FOREIGN in one.path]


def test_nothing_is_created_in_doubt_while_the_look_up_cannot_be_trusted() -> None:
    outcome, vendor = ignoring(in_doubt=True)
    assert (outcome.result, outcome.after) == ("ambiguous", timedelta(minutes=5))
    assert {one.method for one in vendor.asked} == {"GET"}


# --- an instance that refuses our sys_id ---


def refusing() -> tuple[list[Outcome], Canned]:
    """Outcomes of two attempts at an instance that refuses each insert which brings a sys_id."""
    rows: list[dict[str, str]] = []

    def answer(script: Canned) -> None:
        asked = script.asked[-1]
        body = orjson.loads(asked.body or b"{}")
        script.status, result = 200, list(rows)
        if asked.method == "POST" and "sys_id" in body:
            script.status = 403
            error = {"message": "Operation Failed", "detail": "Error during insert of incident (INC0000009)"}
            script.body = orjson.dumps({"error": error, "status": "failure"})
            return
        if asked.method == "POST":
            rows.append({**body, "sys_id": "e" * 32, "number": "INC0000009", "sys_mod_count": "0"})
            script.status, script.body = 201, orjson.dumps({"result": rows[-1]})
        elif asked.path.partition("?")[0].endswith(KEY):
            script.status, script.body = 404, b'{"error": {"message": "No Record found", "detail": ""}}'
        else:
            script.body = orjson.dumps({"result": result})

    with canned(answers=[answer] * 20) as vendor:
        config = SERVICENOW.Config(url=vendor.url, username="u", password="p")
        http = open_http(config, blip_wait_s=0)
        attempt, outcomes = task(wanted=BARE), []
        for _ in range(2):
            outcomes.append(SERVICENOW.send(config, attempt, http))
            attempt = later(outcomes[-1], attempt)
        return outcomes, vendor


def test_an_instance_that_refuses_our_sys_id_gets_the_incident_without_it() -> None:
    (first, second), vendor = refusing()
    assert (first.result, first.after) == ("ambiguous", LATE)  # perhaps somebody else's create is under way
    assert (second.result, known(second).external_id) == ("done", "e" * 32)
    assert [b'"sys_id"' in one.body for one in vendor.asked if one.method == "POST"] == [True, True, False]


# --- an import set ---


def importing(rows: list[dict[str, object]], **found: str) -> tuple[Outcome, Canned]:
    """What comes of a create through an import set that answers these rows; `found` differs in the incident."""
    row: dict[str, str] = {}

    def answer(script: Canned) -> None:
        asked = script.asked[-1]
        if asked.method == "POST":
            row.update({name.removeprefix("u_"): value for name, value in orjson.loads(asked.body).items()}, **found)
            script.status = 201
            script.body = orjson.dumps({"import_set": "ISET0010001", "staging_table": "u_tocsin", "result": rows})
        elif "sysparm_query" in asked.path:
            script.status, script.body = 200, orjson.dumps({"result": []})
        else:
            script.status, script.body = 200, orjson.dumps({"result": row})

    with canned(answers=[answer] * 9) as vendor:
        config = SERVICENOW.Config(
            url=vendor.url,
            username="u",
            password="p",
            identity="import_set",
            staging_table="u_tocsin",
            staging_prefix="u_",
        )
        return SERVICENOW.send(config, task(wanted=BARE), open_http(config, blip_wait_s=0)), vendor


INSERTED: dict[str, object] = {
    "transform_map": "Tocsin",
    "table": "incident",
    "display_name": "number",
    "display_value": "INC0000009",
    "status": "inserted",
    "sys_id": "e" * 32,
}


def test_an_import_set_row_is_followed_to_its_incident() -> None:
    outcome, vendor = importing([INSERTED], sys_id="e" * 32, number="INC0000009")
    assert (outcome.result, known(outcome).external_id, known(outcome).number) == ("done", "e" * 32, "INC0000009")
    (posted,) = [one for one in vendor.asked if one.method == "POST"]
    body = orjson.loads(posted.body)
    assert posted.path == "/api/now/import/u_tocsin"
    assert (body["u_correlation_id"], body["u_impact"]) == (KEY, "2")
    assert "u_sys_id" not in body
    assert all(isinstance(value, str) for value in body.values())


def test_an_error_inside_a_201_is_a_refusal_with_its_words() -> None:
    row: dict[str, object] = {"transform_map": "Tocsin", "status": "error", "error_message": "Row transform ignored"}
    outcome, _ = importing([row])
    assert (outcome.result, outcome.confirmation) == ("rejected", None)
    assert "Row transform ignored" in outcome.detail


def test_a_transform_map_that_wrote_somebody_elses_incident_is_caught() -> None:
    outcome, _ = importing([INSERTED], sys_id="e" * 32, correlation_id="theirs")
    assert (outcome.result, outcome.reason, outcome.confirmation) == ("rejected", Reason.NOT_OURS, None)
    assert "coalesce" in outcome.detail


def staging(desk: Desk) -> Desk:
    """The same instance, written through its import set."""
    return Desk(desk.running, identity="import_set", staging_table="u_tocsin_incident")


def test_an_import_set_carries_the_whole_life_of_an_incident(desk: Desk) -> None:
    through = staging(desk)
    first = through.opened()
    noted = replace(changed(first, impact=1), notes=(note(1),))
    assert through.send(noted).result == "done"
    assert (desk.incident["impact"], len(desk.work_notes)) == ("1", 1)
    ended = changed(first, impact=1, status="resolved", close_notes="Rolled back.")
    assert through.send(replace(ended, sent={**first.sent, "impact": "1"})).result == "done"
    assert (desk.incident["state"], desk.incident["close_notes"]) == ("6", "Rolled back.")
    assert desk.calls("PATCH") == 0
    assert desk.incident["sys_id"] != KEY


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit", "server_error_after"])
@pytest.mark.parametrize("step", ["create", "note"])
def test_a_lost_import_leaves_one_incident_and_one_note(desk: Desk, fault: str, step: str) -> None:
    through = staging(desk)
    wish = task() if step == "create" else replace(changed(through.opened()), notes=(note(1),))
    through.fault(fault, path="/import/")
    assert settled(through, wish).settled
    assert desk.incident["correlation_id"] == KEY
    assert len(desk.work_notes) == (step == "note")


def test_a_business_rule_behind_an_import_is_named(desk: Desk) -> None:
    rule = {"name": "Freeze", "collection": "incident", "active": "true", "abort_action": "true"}
    desk.running.seed({"sys_script": [{**rule, "action_insert": "true"}]})
    outcome = staging(desk).send(task())
    assert (outcome.result, outcome.reason) == ("rejected", Reason.CLIENT_ERROR)
    assert "Freeze" in outcome.detail
