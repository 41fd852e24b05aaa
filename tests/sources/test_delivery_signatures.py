"""Delivery tools are who they claim to be: each vendor's own scheme, rotation, and the fallbacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Message
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
BODY = b'{"some": "body"}'
OLD, SECRET = "the one before", "s3cret"
WHSEC = "whsec_" + base64.b64encode(b"thirty-two bytes of gitlab's own").decode()


def message(source: str, headers: dict[str, str], body: bytes = BODY) -> Message:
    return message_of(body, hook_of(source), NOW, headers)


def digest(algorithm: str = "sha256") -> str:
    return hmac.new(SECRET.encode(), BODY, algorithm).hexdigest()


@pytest.mark.parametrize(
    ("source", "header", "value"),
    [
        ("circleci", "circleci-signature", f"v1={digest()},v2=abc"),
        ("flux", "X-Signature", f"sha256={digest()}"),
        ("terraform_cloud", "X-TFE-Notification-Signature", digest("sha512")),
        ("launchdarkly", "X-LD-Signature", digest()),
        ("sonarqube", "X-Sonar-Webhook-HMAC-SHA256", digest()),
        ("semaphore", "X-Semaphore-Signature-256", f"sha256={digest()}"),
        ("cdevents", "X-Hub-Signature-256", f"sha256={digest()}"),
    ],
)
def test_the_bodys_hmac_verifies_and_another_bodys_does_not(source: str, header: str, value: str) -> None:
    verify = find(source).verify
    assert verify(message(source, {header: value}), (OLD, SECRET)).verdict == "verified"
    assert verify(message(source, {header: value}), (OLD,)).verdict == "refused"
    assert verify(message(source, {header: value}, BODY + b" "), (SECRET,)).verdict == "refused"


@pytest.mark.parametrize(
    ("source", "header"),
    [("gitlab", "X-Gitlab-Token"), ("harbor", "Authorization"), ("docker_registry", "Authorization")],
)
def test_a_token_in_the_vendors_header_verifies(source: str, header: str) -> None:
    verify = find(source).verify
    assert verify(message(source, {header: SECRET}), (OLD, SECRET)).verdict == "verified"
    assert verify(message(source, {header: "another"}), (OLD, SECRET)).verdict == "refused"
    assert verify(message(source, {}), (SECRET,)).verdict == "refused"


@pytest.mark.parametrize(
    "source",
    [
        *("argocd", "jenkins", "spinnaker", "ansibletower", "azuredevops", "rundeck"),
        *("teamcity", "travis", "appveyor", "buildbot", "gocd", "netlify"),
    ],
)
def test_where_nothing_is_signed_a_shared_secret_verifies(source: str) -> None:
    verify = find(source).verify
    assert verify(message(source, {"Authorization": f"Bearer {SECRET}"}), (OLD, SECRET)).verdict == "verified"
    assert verify(message(source, {"Authorization": "Bearer x"}), (SECRET,)).verdict == "refused"
    in_address = replace(message(source, {}), query={"token": SECRET})
    assert verify(in_address, (SECRET,)).verdict == "verified"


def gitlab_signed(secret: str, at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(key, f"d1.{stamp}.".encode() + body, "sha256").digest()
    signature = "v1,bm90IHRoaXM= v1," + base64.b64encode(mac).decode()
    return {"webhook-id": "d1", "webhook-timestamp": stamp, "webhook-signature": signature}


@pytest.mark.parametrize("secret", [WHSEC, SECRET, "whsec_not base64"])
def test_gitlabs_signing_token_verifies(secret: str) -> None:
    source = find("gitlab")
    headers = gitlab_signed(secret) if secret != "whsec_not base64" else gitlab_signed("x")
    expected = "verified" if secret != "whsec_not base64" else "refused"
    assert source.verify(message("gitlab", headers), (OLD, secret)).verdict == expected
    assert source.verify(message("gitlab", headers, b"{}"), (secret,)).verdict == "refused"
    assert source.message_id(message("gitlab", headers)) == "d1"


def test_gitlabs_signature_may_be_an_hour_old_and_no_more() -> None:
    verify = find("gitlab").verify
    for minutes, expected in ((59, "verified"), (61, "refused"), (-61, "refused")):
        headers = gitlab_signed(WHSEC, NOW - timedelta(minutes=minutes))
        assert verify(message("gitlab", headers), (WHSEC,)).verdict == expected
    odd = gitlab_signed(WHSEC) | {"webhook-timestamp": "soon"}
    assert verify(message("gitlab", odd), (WHSEC,)).verdict == "refused"


def jwt(secret: str, *, body: bytes = BODY, algorithm: str = "HS256") -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    content = (
        part({"alg": algorithm, "typ": "JWT"})
        + "."
        + part({"iss": "netlify", "sha256": hashlib.sha256(body).hexdigest()})
    )
    mac = hmac.new(secret.encode(), content.encode(), "sha256").digest()
    return content + "." + base64.urlsafe_b64encode(mac).decode().rstrip("=")


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (jwt(SECRET), "verified"),
        (jwt("another"), "refused"),
        (jwt(SECRET, body=b"{}"), "refused"),
        (jwt(SECRET, algorithm="none"), "refused"),
        ("a.b.c", "refused"),
        ("nonsense", "refused"),
    ],
)
def test_netlifys_token_verifies_the_body_that_it_names(token: str, expected: str) -> None:
    verify = find("netlify").verify
    assert verify(message("netlify", {"X-Webhook-Signature": token}), (OLD, SECRET)).verdict == expected


def test_buildkites_signature_covers_its_time() -> None:
    verify = find("buildkite").verify
    for minutes, expected in ((0, "verified"), (59, "verified"), (61, "refused")):
        stamp = str(int((NOW - timedelta(minutes=minutes)).timestamp()))
        mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + BODY, "sha256").hexdigest()
        headers = {"X-Buildkite-Signature": f"timestamp={stamp},signature={mac}"}
        assert verify(message("buildkite", headers), (OLD, SECRET)).verdict == expected
    assert verify(message("buildkite", {"X-Buildkite-Signature": "nonsense"}), (SECRET,)).verdict == "refused"
    assert verify(message("buildkite", {"X-Buildkite-Token": SECRET}), (SECRET,)).verdict == "verified"
