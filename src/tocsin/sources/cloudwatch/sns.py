"""Did Amazon SNS send this? Its envelope, its RSA signature, and the addresses that may be fetched for it.

SignatureVersion 1 is SHA-1 with RSA, 2 is SHA-256; https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message, Verdict
from tocsin.sources._json import parsed, text
from tocsin.sources._times import moment
from tocsin.sources._verify import VERIFIED, refused, shared_secret

NOTIFICATION, CONFIRMATION, GOODBYE = "Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"
TYPES = frozenset({NOTIFICATION, CONFIRMATION, GOODBYE})

SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    GOODBYE: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What the signature covers, in this order; a field that is absent is left out."""

REPLAY_WINDOW = timedelta(days=1)
"""SNS tries again for at most an hour; within the window a repeat has the MessageId of the first, which we keep for
longer than this."""

_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-\d{1,2}\.amazonaws\.com(?:\.cn)?")
_CERTIFICATE = re.compile(r"/SimpleNotificationService(?:-[0-9a-zA-Z]{1,64})?\.pem")


def may_fetch(url: str) -> bool:
    """Is this an address of SNS itself: a signing certificate, or the confirmation of a subscription? Only https on
    the host `sns.<region>.amazonaws.com`, without port, user or fragment."""
    try:
        parts = urlsplit(url)
        plain = parts.port is None and parts.username is None and not parts.fragment
    except ValueError:
        return False
    if (
        len(url) > 2048
        or parts.scheme != "https"
        or not plain
        or not _HOST.fullmatch(parts.netloc)
        or not url.isprintable()
    ):
        return False
    if _CERTIFICATE.fullmatch(parts.path) and not parts.query:
        return True
    return parts.path in ("", "/") and parse_qs(parts.query).get("Action") == ["ConfirmSubscription"]


def envelope_of(message: Message) -> dict[str, Any]:
    """SNS's envelope when the body is one with a signature, else nothing."""
    try:
        body = parsed(message.body)
    except BadPayload:
        return {}
    if isinstance(body, dict) and isinstance(body.get("Type"), str) and body["Type"] in TYPES and "Signature" in body:
        return body
    return {}


def verify(message: Message, secrets: Sequence[str]) -> Verdict:
    """Anybody may own a topic, so that Amazon's signature alone proves nothing: the request must carry the hook's
    secret, or come from a topic whose ARN is one of the hook's secrets. A signed envelope then needs its certificate;
    what is not signed (raw delivery, EventBridge, a Lambda function) needs the secret."""
    envelope = envelope_of(message)
    if not envelope:
        return shared_secret(message, secrets)
    topic = text(envelope.get("TopicArn"), 512).encode("utf-8", "surrogatepass")
    named = [hmac.compare_digest(topic, s.encode("utf-8", "surrogatepass")) for s in secrets if s.startswith("arn:")]
    if not any(named) and (verdict := shared_secret(message, secrets)).verdict != "verified":
        return verdict
    url = certificate_url(envelope)
    if not may_fetch(url) or not url.endswith(".pem"):
        return refused("wrong signature: SigningCertURL is no certificate of Amazon SNS")
    return Verdict(verdict="needs_key", key_url=url)


def certificate_url(envelope: Mapping[str, Any]) -> str:
    return text(envelope.get("SigningCertURL", envelope.get("SigningCertUrl")), 2048)


def verify_with_key(message: Message, key: bytes) -> Verdict:
    """Verified when the envelope's signature is that of the certificate `key` (PEM), which was valid at the receipt."""
    from cryptography import x509  # noqa: PLC0415 the receiver never gets here
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    envelope = envelope_of(message)
    if not envelope:
        return refused("wrong signature: the body is no signed message of SNS")
    try:
        certificate = x509.load_pem_x509_certificate(key)
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return refused("wrong signature: what SigningCertURL gave is no certificate")
    if not certificate.not_valid_before_utc <= message.received_at <= certificate.not_valid_after_utc:
        return refused("wrong signature: the certificate was not valid when the message came")
    if not isinstance(public, RSAPublicKey):
        return refused("wrong signature: the certificate holds no RSA key")
    if not _is_recent(envelope, message):
        return refused("wrong signature: its Timestamp is more than a day away from the receipt")
    try:
        _check(public, envelope)
    except (InvalidSignature, binascii.Error, ValueError, UnsupportedAlgorithm):
        return refused("wrong signature: it is not that of the certificate")
    return VERIFIED


def _check(public: Any, envelope: Mapping[str, Any]) -> None:  # noqa: ANN401  # an RSAPublicKey, imported late
    """Raises InvalidSignature, or ValueError for what is no signature at all."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415

    version = str(envelope.get("SignatureVersion"))
    if version not in ("1", "2"):
        raise ValueError("an unknown SignatureVersion")
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303 version 1 is Amazon's
    signature = base64.b64decode(text(envelope.get("Signature"), 4096), validate=True)
    public.verify(signature, signed_text(envelope), PKCS1v15(), algorithm)


def signed_text(envelope: Mapping[str, Any]) -> bytes:
    """What SNS signs: name and value of each of SIGNED, each on a line of its own."""
    names = SIGNED[str(envelope["Type"])]
    told = ((name, envelope.get(name)) for name in names)
    return "".join(f"{name}\n{value}\n" for name, value in told if value is not None).encode("utf-8", "surrogatepass")


def _is_recent(envelope: Mapping[str, Any], message: Message) -> bool:
    try:
        at = moment(envelope.get("Timestamp"))
    except BadPayload:
        return False
    return at is not None and abs(message.received_at - at) <= REPLAY_WINDOW
