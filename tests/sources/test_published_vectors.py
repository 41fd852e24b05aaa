"""Do signatures that vendors themselves print verify here? Bodies, secrets and signatures as their pages give them.

Where a vendor prints none, the scheme's own standard does: RFC 4231 for the HMAC that it names.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Message
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Printed(NamedTuple):
    """A vendor's own example."""

    source: str
    body: bytes
    secret: str
    headers: dict[str, str]
    at: datetime = NOW
    """When it was signed, where the signature covers the time."""

    def sent(self) -> Message:
        return message_of(self.body, hook_of(self.source), self.at, self.headers)


def circleci(body: bytes, secret: str, signature: str) -> Printed:
    """https://circleci.com/docs/guides/integration/outbound-webhooks/#validate-webhooks"""
    return Printed("circleci", body, secret, {"circleci-signature": f"v1={signature}"})


# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
GITHUB = Printed("github", b"Hello, World!", "It's a Secret to Everybody", {
    "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"})  # fmt: skip
CIRCLECI = (
    circleci(b"hello world", "secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"),
    circleci(b"lalala", "another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
    circleci(
        b"an-important-request-payload",
        "hunter123",
        "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
    ),
)
# GitLab's signing tokens are Standard Webhooks: https://docs.svix.com/receiving/verifying-payloads/how-manual
STANDARD_WEBHOOKS = (
    Printed("gitlab", b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }, datetime.fromtimestamp(1614265330, UTC)),
    Printed("gitlab", b'{"event_type":"ping","data":{"success":true}}', "whsec_plJ3nmyCDGBKInavdOK15jsl", {
        "webhook-id": "msg_loFOjxBNrRLzqYUf", "webhook-timestamp": "1731705121",
        "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }, datetime.fromtimestamp(1731705121, UTC)),
)  # fmt: skip
# https://www.rfc-editor.org/rfc/rfc4231#section-4.3
RFC_BODY, RFC_KEY = b"what do ya want for nothing?", "Jefe"
RFC_256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
RFC_512 = (
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
)
RFC = tuple(
    Printed(source, RFC_BODY, RFC_KEY, {header: value})
    for source, header, value in (
        ("cdevents", "X-Hub-Signature-256", f"sha256={RFC_256}"),
        ("databricks", "X-Databricks-Signature", RFC_256),
        ("dbt", "Authorization", RFC_256),
        ("flux", "X-Signature", f"sha256={RFC_256}"),
        ("grafana", "X-Grafana-Alerting-Signature", RFC_256),
        ("jira", "X-Hub-Signature", f"sha256={RFC_256}"),
        ("launchdarkly", "X-LD-Signature", RFC_256),
        ("pagerduty", "X-PagerDuty-Signature", f"v1={RFC_256}"),
        ("semaphore", "X-Semaphore-Signature-256", f"sha256={RFC_256}"),
        ("sentry", "Sentry-Hook-Signature", RFC_256),
        ("sonarqube", "X-Sonar-Webhook-HMAC-SHA256", RFC_256),
        ("terraform_cloud", "X-TFE-Notification-Signature", RFC_512),
    )
)
EVERY = (GITHUB, *CIRCLECI, *STANDARD_WEBHOOKS, *RFC)


def named(printed: Printed) -> str:
    return f"{printed.source}: {printed.body[:20].decode()}"


@pytest.mark.parametrize("printed", EVERY, ids=named)
def test_a_printed_signature_verifies(printed: Printed) -> None:
    verify, message = find(printed.source).verify, printed.sent()
    assert verify(message, (printed.secret,)).verdict == "verified"
    assert verify(message, ("the one before", printed.secret)).verdict == "verified"


@pytest.mark.parametrize("printed", EVERY, ids=named)
def test_it_fits_no_other_body_and_no_other_secret(printed: Printed) -> None:
    verify, message = find(printed.source).verify, printed.sent()
    assert verify(message, (printed.secret + "x",)).verdict == "refused"
    assert verify(replace(message, body=printed.body + b"\n"), (printed.secret,)).verdict == "refused"


@pytest.mark.parametrize("printed", STANDARD_WEBHOOKS, ids=named)
def test_a_printed_signature_is_of_its_own_hour(printed: Printed) -> None:
    late = replace(printed.sent(), received_at=printed.at + timedelta(hours=2))
    assert find("gitlab").verify(late, (printed.secret,)).verdict == "refused"
