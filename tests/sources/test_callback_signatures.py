"""GitHub, PagerDuty, Jira and ServiceNow: the right secret verifies, one changed byte does not."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Message
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECRET = "s3cret"
BODY = '{"greeting": "grüß"}'.encode()

SIGNED_BODY = [
    ("github", "X-Hub-Signature-256", "sha256="),
    ("jira", "X-Hub-Signature", "sha256="),
    ("pagerduty", "X-PagerDuty-Signature", "v1="),
]


def digest(signed: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), signed, "sha256").hexdigest()


def sent(source: str, headers: dict[str, str]) -> Message:
    return message_of(BODY, hook_of(source), NOW, headers)


def verdict(source: str, message: Message, *secrets: str) -> str:
    return find(source).verify(message, secrets or (SECRET,)).verdict


@pytest.mark.parametrize(("source", "header", "prefix"), SIGNED_BODY)
def test_the_bodys_signature_verifies(source: str, header: str, prefix: str) -> None:
    message = sent(source, {header: prefix + digest(BODY)})
    assert verdict(source, message) == "verified"
    assert verdict(source, message, "old", SECRET) == "verified"
    assert verdict(source, message, "old") == "refused"
    assert verdict(source, replace(message, body=BODY.replace(b"g", b"G", 1))) == "refused"


@pytest.mark.parametrize(("source", "header", "prefix"), SIGNED_BODY)
def test_a_request_without_credentials_is_refused(source: str, header: str, prefix: str) -> None:
    assert verdict(source, sent(source, {})) == "refused"
    assert verdict(source, sent(source, {header: digest(BODY)})) == "refused", f"{prefix} is missing"


def test_github_takes_nothing_but_its_signature() -> None:
    assert verdict("github", sent("github", {"Authorization": f"Bearer {SECRET}"})) == "refused"


def test_pagerduty_signs_with_both_secrets_while_one_is_rotated() -> None:
    value = f"v1={digest(BODY, 'old')}, v1={digest(BODY)},v2=ffff"
    message = sent("pagerduty", {"X-PagerDuty-Signature": value})
    assert verdict("pagerduty", message) == "verified"
    assert verdict("pagerduty", message, "old") == "verified"


@pytest.mark.parametrize("source", ["pagerduty", "jira", "servicenow"])
def test_a_shared_secret_will_do_where_the_sender_cannot_sign(source: str) -> None:
    assert verdict(source, sent(source, {"Authorization": f"Bearer {SECRET}"})) == "verified"
    assert verdict(source, sent(source, {"Authorization": "Bearer guess"})) == "refused"


def test_jiras_published_example_verifies() -> None:
    """Secret, body and signature as Atlassian's documentation prints them (reference/vendors.md §2.5)."""
    signature = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    message = message_of(b"Hello World!", hook_of("jira"), NOW, {"X-Hub-Signature": signature})
    assert verdict("jira", message, "It's a Secret to Everybody") == "verified"


def from_servicenow(at: datetime, *, body: bytes = BODY) -> Message:
    stamp = str(int(at.timestamp()))
    headers = {"X-Tocsin-Timestamp": stamp, "X-Tocsin-Signature": "sha256=" + digest(f"{stamp}.".encode() + body)}
    return sent("servicenow", headers)


def test_servicenows_signature_covers_time_and_body() -> None:
    message = from_servicenow(NOW)
    assert verdict("servicenow", message) == "verified"
    assert verdict("servicenow", replace(message, body=BODY + b" ")) == "refused"
    later = {**message.headers, "x-tocsin-timestamp": str(int(NOW.timestamp()) + 1)}
    assert verdict("servicenow", replace(message, headers=later)) == "refused"


@pytest.mark.parametrize("away", [timedelta(minutes=-16), timedelta(minutes=16)])
def test_an_old_signature_of_servicenow_is_refused(away: timedelta) -> None:
    assert verdict("servicenow", from_servicenow(NOW + away)) == "refused"
    assert verdict("servicenow", from_servicenow(NOW + away / 2)) == "verified"


def test_a_signature_without_a_time_is_refused() -> None:
    message = sent("servicenow", {"X-Tocsin-Signature": "sha256=" + digest(b"." + BODY)})
    assert verdict("servicenow", message) == "refused"


def test_openlineages_api_key_names_the_hook_and_verifies() -> None:
    source = find("openlineage")
    message = sent("openlineage", {"Authorization": f"Bearer {SECRET}"})
    assert source.route_secret is not None
    assert source.route_secret(message) == SECRET
    assert source.route_secret(sent("openlineage", {"Authorization": "Basic eDp5"})) == ""
    assert verdict("openlineage", message) == "verified"


def test_our_own_account_is_known_as_an_integration() -> None:
    agent = {"id": "PBOT", "summary": "Tocsin", "type": "user_reference"}
    event = {"id": "e", "event_type": "incident.resolved", "occurred_at": "2026-11-21T10:00:00Z", "agent": agent}
    body = orjson.dumps({"event": event | {"data": {"id": "Q1", "type": "incident"}}})
    for own, kind in ((None, "user"), ("PBOT", "integration"), ("Tocsin", "integration")):
        hook = hook_of("pagerduty", defaults={"own_account": own} if own else {})
        found = find("pagerduty").normalize(message_of(body, hook, NOW), hook)
        assert found.record_updates[0].actor_kind == kind
