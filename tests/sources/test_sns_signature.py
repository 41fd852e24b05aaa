"""Amazon SNS: its signature, its certificate's address, and who may post at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sources.reading import hook_of, message_of
from tests.sources.sns import CERTIFICATE, CONFIRM, CONFIRMATION, NOW, TOPIC, certificate, signed
from tocsin.domain.message import Message
from tocsin.sources.cloudwatch.sns import may_fetch, verify, verify_with_key

SECRET = "s3cret"


def sent(body: dict[str, Any], *, token: str = SECRET) -> Message:
    message = message_of(orjson.dumps(body), hook_of("cloudwatch"), NOW)
    return replace(message, query={"token": token} if token else {})


def proven(body: dict[str, Any], key: bytes | None = None) -> str:
    return verify_with_key(sent(body), certificate() if key is None else key).verdict


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    "more", [{}, {"Subject": None}, CONFIRMATION, CONFIRMATION | {"Type": "UnsubscribeConfirmation"}]
)
def test_both_versions_of_the_signature_verify(version: str, more: dict[str, Any]) -> None:
    assert proven(signed(version=version, **more)) == "verified"


@pytest.mark.parametrize(
    "field", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Signature", "SignatureVersion"]
)
def test_one_changed_field_breaks_the_signature(field: str) -> None:
    body = signed()
    assert proven(body | {field: body[field].swapcase() if field != "SignatureVersion" else "1"}) == "refused"


def test_a_subscription_to_another_address_breaks_the_signature() -> None:
    assert proven(signed(**CONFIRMATION) | {"SubscribeURL": CONFIRM + "x"}) == "refused"


def test_another_ones_certificate_does_not_verify() -> None:
    assert proven(signed("somebody else")) == "refused"


@pytest.mark.parametrize("since", [timedelta(days=1), timedelta(days=-90)])
def test_a_certificate_that_is_not_valid_now_does_not_verify(since: timedelta) -> None:
    assert proven(signed(), certificate(since=since)) == "refused"


@pytest.mark.parametrize("key", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_verifies_nothing(key: bytes) -> None:
    assert proven(signed(), key) == "refused"


def test_a_certificate_without_an_rsa_key_verifies_nothing() -> None:
    assert proven(signed(), certificate(ec.generate_private_key(ec.SECP256R1()))) == "refused"


@pytest.mark.parametrize("signature", ["", "not base64 at all", "AAAA", "é" * 9])
def test_a_broken_signature_is_refused(signature: str) -> None:
    assert proven(signed() | {"Signature": signature}) == "refused"


@pytest.mark.parametrize(
    ("at", "verdict"),
    [("2026-11-21T11:00:00.000Z", "verified"), ("2026-11-19T11:00:00.000Z", "refused"), ("x", "refused")],
)
def test_a_replay_of_days_ago_is_refused(at: str, verdict: str) -> None:
    assert proven(signed(Timestamp=at)) == verdict


def test_the_hooks_secret_alone_is_not_enough_for_a_signed_message() -> None:
    found = verify(sent(signed()), (SECRET,))
    assert (found.verdict, found.key_url) == ("needs_key", CERTIFICATE)


def test_amazons_signature_alone_is_not_enough() -> None:
    assert verify(sent(signed(), token=""), (SECRET,)).reason.startswith("missing credential")
    assert verify(sent(signed(), token="guess"), (SECRET,)).reason.startswith("wrong credential")


def test_a_topic_that_is_one_of_the_hooks_secrets_needs_no_token() -> None:
    assert verify(sent(signed(), token=""), ("old", TOPIC)).verdict == "needs_key"
    assert verify(sent(signed(TopicArn=TOPIC + "2"), token=""), (TOPIC,)).verdict == "refused"


def test_what_is_not_signed_needs_the_secret() -> None:
    alarm = {"AlarmName": "a", "NewStateValue": "ALARM"}
    assert verify(sent(alarm), (SECRET,)).verdict == "verified"
    assert verify(sent(alarm, token=""), (SECRET,)).verdict == "refused"
    assert verify_with_key(sent(alarm), certificate()).verdict == "refused"


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE,
        CONFIRM,
        "https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0a.pem",
    ],
)
def test_addresses_of_sns_may_be_opened(url: str) -> None:
    assert may_fetch(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        CERTIFICATE.replace("https", "http"),
        CERTIFICATE.replace("amazonaws.com", "amazonaws.com.example.net"),
        CERTIFICATE.replace("sns.", "sns.evil."),
        CERTIFICATE.replace("sns.", "s3."),
        CERTIFICATE.replace(".com/", ".com:8443/"),
        CERTIFICATE.replace("//", "//user@"),
        CERTIFICATE.replace("//", "//169.254.169.254#@"),
        CERTIFICATE.replace("/Simple", "/../Simple"),
        CERTIFICATE.replace("/Simple", "/bucket/Simple"),
        CERTIFICATE + "?x=1",
        CERTIFICATE + "#x",
        CERTIFICATE.replace("sns", "SNS\n"),
        "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Action=DeleteTopic",
        "https://sns.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://[::1]/SimpleNotificationService-0a.pem",
        "https://[/SimpleNotificationService-0a.pem",
        CONFIRM + "x" * 3000,
    ],
)
def test_no_other_address_may_be_opened(url: str) -> None:
    assert not may_fetch(url)
    assert verify(sent(signed(SigningCertURL=url)), (SECRET,)).verdict == "refused"


def test_a_confirmations_address_is_no_certificate() -> None:
    assert verify(sent(signed(SigningCertURL=CONFIRM)), (SECRET,)).verdict == "refused"
