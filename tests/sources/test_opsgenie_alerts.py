"""Opsgenie's Alert API as a drop-in: who may send, what is answered, and what closes what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message, Receipt
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = "4f1c-a-genie-key"
SOURCE = find("opsgenie_alerts")
HOOK = hook_of("opsgenie_alerts")
RECEIPT = Receipt(id=UUID("01934c2f-0000-7000-8000-000000000001"), hook=HOOK.name)


def sent(body: object = None, headers: dict[str, str] | None = None, **query: str) -> Message:
    raw = orjson.dumps(body) if body is not None else b""
    return replace(message_of(raw, HOOK, NOW, headers), query=query)


def operation(name: str, identifier: str, **query: str) -> Message:
    return sent(None, None, operation=name, identifier=identifier, **query)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"GenieKey {KEY}"},
        {"Authorization": f"geniekey  {KEY}"},
        {"Authorization": f"Bearer {KEY}"},
    ],
)
def test_the_genie_key_verifies_and_names_the_hook(headers: dict[str, str]) -> None:
    message = sent({}, headers)
    assert SOURCE.verify(message, ("previous", KEY)).verdict == "verified"
    assert SOURCE.verify(message, ("previous",)).reason.startswith("wrong credential")
    assert SOURCE.route_secret
    assert SOURCE.route_secret(message) == KEY


def test_without_a_key_nobody_is_let_in() -> None:
    assert SOURCE.verify(sent({}), (KEY,)).reason.startswith("missing credential")
    assert SOURCE.verify(sent({}, {"Authorization": "Basic §§"}), (KEY,)).verdict == "refused"
    assert SOURCE.route_secret
    assert SOURCE.route_secret(sent({})) == ""


def test_it_answers_in_opsgenies_own_shape() -> None:
    answer = SOURCE.answer(sent({"message": "m"}), RECEIPT)
    assert answer.status == 202
    assert answer.body == {"result": "Request will be processed", "took": 0.001, "requestId": str(RECEIPT.id)}
    assert SOURCE.answer(message_of(b"\xff", HOOK, NOW), RECEIPT).status == 202


@pytest.mark.parametrize("alias", ["churn-auc", "größe/§ 7", "a" * 512])
def test_a_client_that_waits_for_the_id_closes_by_it(alias: str) -> None:
    create = sent({"message": "AUC of churn below 0.80", "alias": alias})
    request_id = SOURCE.answer(create, RECEIPT).body["requestId"]
    look_up = next(iter(SOURCE.lookups.values()))
    told = orjson.loads(orjson.dumps(look_up(sent(request_id=str(request_id))).body))
    assert (told["data"]["isSuccess"], told["data"]["alias"]) == (True, alias)
    (opened,) = SOURCE.normalize(create, HOOK).alerts
    closes = [operation("close", told["data"]["alertId"]), operation("close", alias, identifierType="alias")]
    closes.append(sent(None, None, identifier=alias, identifierType="alias"))  # DELETE
    for close in closes:
        (closed,) = SOURCE.normalize(close, HOOK).alerts
        assert closed.status is Status.RESOLVED
        assert closed.fingerprint == opened.fingerprint


def test_without_an_alias_the_answered_id_closes() -> None:
    create = sent({"message": "Disk of db-1 is full"})
    request_id = str(SOURCE.answer(create, RECEIPT).body["requestId"])
    (opened,), (closed,) = (
        SOURCE.normalize(message, HOOK).alerts for message in (create, operation("close", request_id))
    )
    assert opened.fingerprint == closed.fingerprint


def test_two_creates_without_an_alias_are_two_alerts() -> None:
    first = sent({"message": "Disk of db-1 is full"})
    second = replace(first, id=UUID(int=9))
    assert len({SOURCE.normalize(each, HOOK).alerts[0].fingerprint for each in (first, second)}) == 2


@pytest.mark.parametrize("name", ["acknowledge", "notes", "snooze", "assign", "tags", "Priority"])
def test_what_leaves_the_symptom_as_it_is_is_ignored_by_name(name: str) -> None:
    assert "the symptom stands" in SOURCE.normalize(operation(name, "churn-auc"), HOOK).ignored


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (operation("close", "17", identifierType="tiny"), "identifierType"),
        (operation("levitate", "x"), "operation"),
        (operation("close", ""), "identifier"),
        (sent({"alias": "x"}), "message"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(message: Message, path: str) -> None:
    with pytest.raises(BadPayload) as refused:
        SOURCE.normalize(message, HOOK)
    assert refused.value.path == path


def test_a_request_id_that_is_not_ours_says_nothing() -> None:
    foreign = [f"{RECEIPT.id}._", f"{RECEIPT.id}.____", "43a29c5c-3dbf-4fa4-9c26-f4f71023e120", ""]
    look_up = next(iter(SOURCE.lookups.values()))
    for request_id in foreign:
        assert orjson.loads(orjson.dumps(look_up(sent(request_id=request_id)).body))["data"]["alias"] == ""
