"""What Amazon SNS would send: messages signed with a certificate that is made here."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from tocsin.sources.cloudwatch.sns import signed_text

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-central-1:111122223333:alarms"
CERTIFICATE = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CONFIRM = f"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t0ken"
CONFIRMATION: dict[str, Any] = {
    "Type": "SubscriptionConfirmation",
    "Subject": None,
    "SubscribeURL": CONFIRM,
    "Token": "t0ken",
}


@cache
def key_of(name: str) -> rsa.RSAPrivateKey:
    """A key of this name, made once."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
    *,
    since: timedelta = timedelta(days=-30),
    now: datetime = NOW,
) -> bytes:
    """A certificate of that key (Amazon's, unless given), valid for 60 days from `since`."""
    own = key or key_of("amazon")
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begins = now + since
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=60))
        .sign(own, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def signed(name: str = "amazon", *, version: str = "2", at: datetime = NOW, **more: Any) -> dict[str, Any]:
    """A message as SNS signs it with the key of this name."""
    body: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Subject": "ALARM",
        "Message": '{"AlarmName": "a", "NewStateValue": "ALARM"}',
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SigningCertURL": CERTIFICATE,
    }
    body = {key: value for key, value in (body | more).items() if value is not None}
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key_of(name).sign(signed_text(body), padding.PKCS1v15(), algorithm)
    return body | {"SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}
