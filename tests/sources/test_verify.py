"""Who may send: shared secrets and signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from uuid import UUID

import orjson
import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Message, Receipt
from tocsin.sources import find
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NOW = datetime.fromisoformat("2026-11-21T12:00:00Z")
SECRET = "k3y-öf-the-hook"


def message(headers: dict[str, str] | None = None, body: bytes = b"{}", query: dict[str, str] | None = None) -> Message:
    plain = message_of(body, hook_of("alertmanager"), NOW, headers)
    return Message(
        id=plain.id,
        hook=plain.hook,
        source=plain.source,
        environment=plain.environment,
        received_at=NOW,
        body=body,
        headers=plain.headers,
        query=query or {},
    )


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"grafana:{password}".encode()).decode()


def signature(content: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), content, algorithm).hexdigest()


@pytest.mark.parametrize(
    "sent",
    [
        message({"Authorization": f"Bearer {SECRET}"}),
        message({"Authorization": f"bearer  {SECRET}"}),
        message({"Authorization": basic(SECRET)}),
        message({"X-Tocsin-Token": SECRET}),
        message(query={"token": SECRET}),
        message({"Authorization": "Bearer something-else"}, query={"token": SECRET}),
    ],
)
def test_the_secret_verifies_wherever_a_sender_can_put_it(sent: Message) -> None:
    assert shared_secret(sent, ("previous", SECRET)).verdict == "verified"


@pytest.mark.parametrize(
    "sent",
    [
        message({"Authorization": f"Bearer {SECRET}x"}),
        message({"Authorization": basic("wrong")}),
        message({"Authorization": "Basic %%%"}),
        message(query={"token": SECRET.upper()}),
    ],
)
def test_a_wrong_credential_is_refused_without_repeating_it(sent: Message) -> None:
    verdict = shared_secret(sent, (SECRET,))
    assert verdict.verdict == "refused"
    assert verdict.reason.startswith("wrong credential")
    assert SECRET not in verdict.reason


@pytest.mark.parametrize("sent", [message(), message({"Authorization": "Bearer "}), message({"Authorization": "x"})])
def test_a_missing_credential_is_told_apart_from_a_wrong_one(sent: Message) -> None:
    assert shared_secret(sent, (SECRET,)).reason.startswith("missing credential")


def test_an_empty_secret_opens_nothing() -> None:
    assert shared_secret(message({"Authorization": basic("")}), ("",)).verdict == "refused"
    assert hmac_hex(header="X-Sig")(message({"X-Sig": signature(b"{}", "")}), ("",)).verdict == "refused"


def test_a_signature_over_the_exact_body_verifies() -> None:
    check = hmac_hex(header="X-Sig", prefix="sha256=")
    sent = message({"X-Sig": "sha256=" + signature(b'{"a": 1}')}, b'{"a": 1}')
    assert check(sent, (SECRET,)).verdict == "verified"
    assert check(message(dict(sent.headers), b'{"a":1}'), (SECRET,)).reason.startswith("wrong signature")
    assert check(message(), (SECRET,)).reason.startswith("missing signature")


def test_one_of_several_signatures_is_enough_while_a_secret_is_rotated() -> None:
    check = hmac_hex(header="X-Sig", prefix="v1=", algorithm="sha512")
    both = f"v1={signature(b'{}', 'new', 'sha512')},v1={signature(b'{}', SECRET, 'sha512')}"
    assert check(message({"X-Sig": both}), (SECRET,)).verdict == "verified"


def test_any_of_prefers_to_say_what_was_wrong_over_what_was_missing() -> None:
    check = any_of(hmac_hex(header="X-Sig"), shared_secret)
    assert check(message({"X-Tocsin-Token": SECRET}), (SECRET,)).verdict == "verified"
    assert check(message({"X-Tocsin-Token": "no"}), (SECRET,)).reason.startswith("wrong credential")
    assert check(message(), (SECRET,)).reason.startswith("missing signature")


def test_grafana_signs_the_body_or_the_time_and_the_body() -> None:
    verify, body = find("grafana").verify, b'{"alerts": []}'
    plain = message({"X-Grafana-Alerting-Signature": signature(body)}, body)
    assert verify(plain, (SECRET,)).verdict == "verified"
    headers = {"X-Grafana-Alerting-Signature": signature(b"1795262400:" + body)}
    timed = {**headers, "X-Grafana-Alerting-Timestamp": "1795262400"}
    assert verify(message(timed, body), (SECRET,)).verdict == "verified"
    moved = {**headers, "X-Grafana-Alerting-Timestamp": "1795262401"}
    assert verify(message(moved, body), (SECRET,)).verdict == "refused"
    assert verify(message(headers, body), (SECRET,)).verdict == "refused"


def test_the_routing_key_in_the_body_verifies_and_names_the_hook() -> None:
    source = find("pagerduty_events")
    sent = message(body=orjson.dumps({"routing_key": SECRET, "event_action": "trigger"}))
    assert source.verify(sent, (SECRET,)).verdict == "verified"
    assert source.verify(sent, ("other",)).reason.startswith("wrong credential")
    assert source.verify(message(), (SECRET,)).reason.startswith("missing credential")
    assert source.route_secret
    assert source.route_secret(sent) == SECRET
    assert source.route_secret(message(body=b"no json")) == ""


def test_an_events_client_gets_its_dedup_key_back() -> None:
    source = find("pagerduty_events")
    receipt = Receipt(id=UUID(int=7), hook="h")
    own = source.answer(message(body=b'{"event_action": "trigger", "dedup_key": "k1"}'), receipt)
    assert (own.status, own.body["dedup_key"]) == (202, "k1")
    made = source.answer(message(body=b'{"event_action": "trigger"}'), receipt)
    assert made.body == {"status": "success", "message": "Event processed", "dedup_key": receipt.id.hex}
    change = source.answer(message(body=b'{"payload": {"summary": "Deployed"}}'), receipt)
    assert "dedup_key" not in change.body
    assert source.answer(message(body=b"\xff"), receipt).status == 202


def test_the_key_that_we_make_up_is_the_one_that_resolves() -> None:
    source, hook = find("pagerduty_events"), hook_of("pagerduty_events")
    payload = {"summary": "Disk is full", "source": "db-1", "severity": "error"}
    sent = message_of(orjson.dumps({"event_action": "trigger", "payload": payload}), hook, NOW)
    key = source.answer(sent, Receipt(id=sent.id, hook=hook.name)).body["dedup_key"]
    end = message_of(orjson.dumps({"event_action": "resolve", "dedup_key": key}), hook, NOW)
    (opened,), (closed,) = source.normalize(sent, hook).alerts, source.normalize(end, hook).alerts
    assert opened.fingerprint == closed.fingerprint


def test_hashes_are_compared_as_hex_of_any_case() -> None:
    upper = hashlib.sha256(b"").hexdigest().upper()
    assert hmac_hex(header="X-Sig")(message({"X-Sig": upper}), (SECRET,)).verdict == "refused"
    assert hmac_hex(header="X-Sig")(message({"X-Sig": signature(b"{}").upper()}), (SECRET,)).verdict == "verified"
