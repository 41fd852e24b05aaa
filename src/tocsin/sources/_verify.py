"""Is the sender who it claims to be? Shared secrets and HMAC signatures, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterator, Sequence

from tocsin.domain.message import Message, Verdict

Check = Callable[[Message, Sequence[str]], Verdict]

VERIFIED = Verdict(verdict="verified")
MISSING = "missing"
"""First word of the reason when the request carries no credential at all."""


def refused(reason: str) -> Verdict:
    """A refusal; the reason never holds the secret or what was sent instead of it."""
    return Verdict(verdict="refused", reason=reason)


def shared_secret(message: Message, secrets: Sequence[str]) -> Verdict:
    """Verified when the request carries one of the secrets as `Authorization: Bearer S`, as the password of Basic,
    as `X-Tocsin-Token: S` or as the query's `token=S`. Every credential is compared with every secret."""
    offered = tuple(_credentials(message))
    if not offered:
        return refused("missing credential: send Authorization: Bearer, Basic, X-Tocsin-Token or ?token=")
    matches = [hmac.compare_digest(_bytes(o), _bytes(s)) for o in offered for s in secrets if s]
    return VERIFIED if any(matches) else refused("wrong credential: none of the hook's secrets matches")


def hmac_hex(*, header: str, prefix: str = "", algorithm: str = "sha256") -> Check:
    """A check of a header that holds the body's HMAC in hex after `prefix`; several may stand there, separated by
    commas (senders do so while a secret is rotated)."""
    name = header.lower()

    def check(message: Message, secrets: Sequence[str]) -> Verdict:
        value = message.headers.get(name, "")
        if not value:
            return refused(f"missing signature: header {header} is absent")
        return verdict_of_signature(header, value, message.body, secrets, prefix=prefix, algorithm=algorithm)

    return check


def token_in(header: str) -> Check:
    """A check of a header that holds one of the secrets itself, for senders that only let a token be set."""
    name = header.lower()

    def check(message: Message, secrets: Sequence[str]) -> Verdict:
        offered = message.headers.get(name, "").strip()
        if not offered:
            return refused(f"missing credential: header {header} is absent")
        matches = [hmac.compare_digest(_bytes(offered), _bytes(s)) for s in secrets if s]
        return VERIFIED if any(matches) else refused(f"wrong credential: header {header} is none of the hook's secrets")

    return check


def verdict_of_signature(
    header: str, value: str, signed: bytes, secrets: Sequence[str], *, prefix: str = "", algorithm: str = "sha256"
) -> Verdict:
    """Verified when a signature in `value` is the hex HMAC of the bytes `signed` under one of the secrets."""
    offered = [
        part.strip().removeprefix(prefix).lower() for part in value.split(",") if part.strip().startswith(prefix)
    ]
    if not offered:
        return refused(f"wrong signature: header {header} does not start with {prefix!r}")
    expected = [hmac.new(_bytes(s), signed, algorithm).hexdigest() for s in secrets if s]
    matches = [hmac.compare_digest(_bytes(o), _bytes(e)) for o in offered for e in expected]
    return VERIFIED if any(matches) else refused(f"wrong signature: header {header} fits none of the hook's secrets")


def any_of(*checks: Check) -> Check:
    """Verified when one of the checks verifies; else `needs_key` when one asks for it; else the most telling refusal:
    a wrong credential before a missing one."""

    def check(message: Message, secrets: Sequence[str]) -> Verdict:
        verdicts = [each(message, secrets) for each in checks]
        for wanted in ("verified", "needs_key"):
            for verdict in verdicts:
                if verdict.verdict == wanted:
                    return verdict
        return min(verdicts, key=lambda v: v.reason.startswith(MISSING))

    return check


def _credentials(message: Message) -> Iterator[str]:
    scheme, _, value = message.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        yield value.strip()
    if scheme.lower() == "basic" and value.strip():
        yield _password(value.strip())
    if token := message.headers.get("x-tocsin-token", "").strip():
        yield token
    if token := message.query.get("token", ""):
        yield token


def _password(credentials: str) -> str:
    """The password of Basic credentials (RFC 7617); empty when they cannot be read, which no secret equals."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
