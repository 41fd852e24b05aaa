"""What people did is heard from each desk, all of it, also over pages; what is not ours is left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
import requests

from tests.connectors.builders import KEY
from tocsin import connectors, simulators
from tocsin.connectors import Failure
from tocsin.connectors.jira.poll import plain
from tocsin.domain.seen import Polled, Seen

OTHER = "0" * 31 + "1"
LOGIN = {"servicenow": {"username": "admin", "password": "tocsin"}, "jira": {"email": "admin", "api_token": "tocsin"}}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, simulators.Running]]:
    with (
        simulators.start("servicenow") as servicenow,
        simulators.start("pagerduty") as pagerduty,
        simulators.start("jira", seed={"projects": ["OPS"]}) as jira,
    ):
        yield {"servicenow": servicenow, "pagerduty": pagerduty, "jira": jira}


@pytest.fixture
def desks(running: dict[str, simulators.Running]) -> dict[str, simulators.Running]:
    for desk in running.values():
        desk.reset()
    return running


def reached(desk: simulators.Running, **more: Any) -> tuple[Any, Any, Any]:
    connector = connectors.find(desk.kind)
    said = {"url": desk.url, **LOGIN.get(desk.kind, {}), **more}
    if desk.kind == "pagerduty":
        said = {"api_url": desk.url, "default_routing_key": "a" * 32, **said}
    config = connector.Config(**said)
    return connector, config, connectors.open_http(config)


def poll(desk: simulators.Running, watermark: str = "", **more: Any) -> Polled:
    connector, config, http = reached(desk, **more)
    found = connector.poll(config, watermark, datetime.now(UTC), http)
    assert isinstance(found, Polled), found
    return found


def survey(desk: simulators.Running, keys: list[str], **more: Any) -> tuple[Seen, ...]:
    connector, config, http = reached(desk, **more)
    found = connector.survey(config, keys, datetime.now(UTC) - timedelta(days=1), http)
    assert isinstance(found, tuple), found
    return found


def row(desk: simulators.Running, **fields: str) -> str:
    instance = desk.front.simulator.instance  # type: ignore[attr-defined]
    values = {"correlation_id": KEY, "correlation_display": "Tocsin", "short_description": "x", **fields}
    return str(instance.insert("incident", values)["sys_id"])


# --- ServiceNow ---


def test_servicenow_s_people_are_heard_over_pages_and_each_once(
    desks: dict[str, simulators.Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = import_module("tocsin.connectors.servicenow.poll")
    monkeypatch.setattr(polls, "PAGE", 3)
    monkeypatch.setattr(polls, "PAGES", 2)
    desk = desks["servicenow"]
    ids = {row(desk, correlation_id=f"{n:032x}") for n in range(1, 6)}
    found = poll(desk)
    assert {update.external_id for update in found.updates} == ids
    assert not found.more
    row(desk, correlation_id=f"{6:032x}")
    assert poll(desk).more


def test_a_row_that_does_not_carry_our_mark_is_nobody_s_business_of_ours(desks: dict[str, simulators.Running]) -> None:
    desk = desks["servicenow"]
    row(desk, correlation_display="Somebody", correlation_id="theirs")
    row(desk, correlation_id="no key")
    assert poll(desk).updates == ()
    assert survey(desk, []) == ()


def test_a_journal_that_cannot_be_read_costs_the_notes_only(desks: dict[str, simulators.Running]) -> None:
    desk = desks["servicenow"]
    desk.person({"record": row(desk), "as": "kim.doe", "do": "note", "note": "Looking."})
    assert sorted(update.action for update in poll(desk).updates) == ["commented", "updated"]
    desk.front.plans.add({"fault": "business_rule_abort", "match": {"path": "sys_journal_field"}, "times": 9})
    assert [update.action for update in poll(desk).updates] == ["updated"]


def test_a_hibernating_instance_is_a_failure_and_no_empty_answer(desks: dict[str, simulators.Running]) -> None:
    desk = desks["servicenow"]
    desk.front.plans.add({"fault": "html_200", "times": 9})
    connector, config, http = reached(desk)
    assert isinstance(connector.poll(config, "", datetime.now(UTC), http), Failure)
    assert isinstance(connector.survey(config, [KEY], datetime.now(UTC), http), Failure)


def test_servicenow_s_survey_shows_doubles_and_who_wrote_last(desks: dict[str, simulators.Running]) -> None:
    desk = desks["servicenow"]
    first, second = row(desk), row(desk)
    desk.person({"record": second, "as": "kim.doe", "do": "acknowledge"})
    row(desk, correlation_id=OTHER)
    found = {seen.external_id: seen for seen in survey(desk, [KEY])}
    assert {seen.status for seen in found.values()} == {"open", "acknowledged"}
    assert (found[first].values["moved_by_people"], found[second].values["moved_by_people"]) == (False, True)
    assert len(survey(desk, [])) == 3


# --- PagerDuty ---


def test_without_a_token_pagerduty_tells_nothing(desks: dict[str, simulators.Running]) -> None:
    desk = desks["pagerduty"]
    assert poll(desk, "before").watermark == "before"
    connector, config, http = reached(desk)
    assert isinstance(connector.survey(config, [KEY], datetime.now(UTC), http), Failure)


def test_pagerduty_s_log_tells_who_did_what_to_incidents_with_a_key_like_ours(
    desks: dict[str, simulators.Running],
) -> None:
    desk = desks["pagerduty"]
    for key in (KEY, "somebody-elses"):
        event = {"routing_key": "a" * 32, "event_action": "trigger", "dedup_key": key,
                 "payload": {"summary": "s", "source": "x", "severity": "critical"}}  # fmt: skip
        assert requests.post(f"{desk.url}/v2/enqueue", json=event, timeout=5).status_code == 202
    headers = {"Authorization": "Token token=tocsin", "From": "kim@example.org"}
    state: Any = desk.state()
    for incident in state["incidents"]:
        body = {"incident": {"type": "incident_reference", "status": "acknowledged"}}
        url = f"{desk.url}/incidents/{incident['id']}"
        assert requests.put(url, json=body, headers=headers, timeout=5).ok
        note = {"note": {"content": "Looking."}}
        assert requests.post(f"{url}/notes", json=note, headers=headers, timeout=5).ok
    found = poll(desk, api_token="tocsin", from_email="tocsin@example.org").updates
    assert {(one.action, one.actor_kind, one.record_key) for one in found} == {
        ("acknowledged", "user", KEY),
        ("commented", "user", KEY),
    }
    ours = poll(desk, api_token="tocsin", from_email="kim@example.org").updates
    assert {one.actor_kind for one in ours} == {"integration"}, "the user in whose name we write is us"
    assert [seen.status for seen in survey(desk, [KEY], api_token="tocsin")] == ["acknowledged"]


# --- Jira ---


@pytest.mark.parametrize("flavour", ["cloud", "datacenter"])
def test_jira_s_history_and_comments_tell_who_did_what(desks: dict[str, simulators.Running], flavour: str) -> None:
    desk = desks["jira"]
    fields = {"project": {"key": "OPS"}, "issuetype": {"name": "Incident"}, "summary": "s"}
    made = requests.post(
        f"{desk.url}/rest/api/2/issue",
        json={"fields": {**fields, "labels": ["tocsin", f"tocsin-{KEY}"]}},
        auth=("admin", "tocsin"),
        timeout=5,
    ).json()
    url = f"{desk.url}/rest/api/2/issue/{made['key']}"
    ways = requests.get(f"{url}/transitions", auth=("ada", "tocsin"), timeout=5).json()["transitions"]
    done = next(one["id"] for one in ways if one["to"]["statusCategory"]["key"] == "done")
    assert requests.post(f"{url}/comment", json={"body": "Looking."}, auth=("ada", "tocsin"), timeout=5).ok
    moved = requests.post(f"{url}/transitions", json={"transition": {"id": done}}, auth=("ada", "tocsin"), timeout=5)
    assert moved.ok
    found = poll(desk, flavour=flavour).updates
    told = {(one.action, one.actor, one.comment.strip()) for one in found}
    assert told == {("resolved", "Ada Lovett", ""), ("commented", "Ada Lovett", "Looking.")}
    assert {one.record_key for one in found} == {KEY}
    assert [(seen.number, seen.status) for seen in survey(desk, [KEY], flavour=flavour)] == [(made["key"], "resolved")]
    assert [seen.key for seen in survey(desk, [], flavour=flavour)] == [KEY]


def test_a_comment_s_document_reads_as_text() -> None:
    def paragraph(*texts: str) -> dict[str, object]:
        return {"type": "paragraph", "content": [{"type": "text", "text": text} for text in texts]}

    document = {"type": "doc", "version": 1, "content": [paragraph("Rolled ", "back."), paragraph("Watching.")]}
    assert plain(document) == "Rolled back.\nWatching.\n"
    assert plain("as it is") == "as it is"
