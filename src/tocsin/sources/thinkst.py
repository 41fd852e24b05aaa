"""Who touched a Thinkst Canary or a Canarytoken?

Nothing legitimate does, so that every incident is critical; nobody tells of an end. Read are the console's generic
webhook and that of canarytokens.org, which share no field. https://docs.canary.tools/webhooks/generic.html
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said
from tocsin.sources._verify import shared_secret

NAME = "thinkst"
EXPIRES_AFTER = timedelta(hours=24)

TEST_DEVICE = "0000000testnode"
TEST_WORDS = ("this is a dummy", "dummy incident", "canary webhook test", "congrats! the newly saved webhook works")

SECRETS = ("password", "passwd", "key", "secret", "token", "hash")
"""Details under such a name are an intruder's guesses or a person's own: they stay out."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The incident. Raises BadPayload for a body of neither console nor canarytokens.org."""
    body = fields_of(message)
    words = body.text("Intro", "intro", "memo", "text").lower()
    if body.text("CanaryID") == TEST_DEVICE or words.startswith(TEST_WORDS):
        return Normalized(ignored="Thinkst's test of the webhook")
    if "AlertType" not in body and ("manage_url" in body or "channel" in body):
        return _public_token(body, message, hook)
    kind = body.need("AlertType")
    if "CanaryDisconnected" in kind or "disconnected" in body.text("Description").lower():
        return _connection(body, message, hook, over=False)
    if "CanaryReconnected" in kind or "reconnected" in body.text("Description").lower():
        return _connection(body, message, hook, over=True)
    if not kind.endswith("Incident"):
        return Normalized(ignored=f"{kind[:40]}: a record of the console's own settings")
    return _incident(body, kind, message, hook)


def _incident(body: Fields, kind: str, message: Message, hook: Hook) -> Normalized:
    token = kind == "CanarytokenIncident"
    what = body.text("Description") or ("Canarytoken triggered" if token else "Canary incident")
    name = body.text("Reminder", "Memo") if token else body.text("CanaryName")
    name = name or body.need("Reminder" if token else "CanaryName")
    source = body.text("SourceIP", "SrcIP")
    told = alert(
        message,
        hook,
        source=NAME,
        name=what,
        subject=Subject.of("unknown", name) if token else Subject.of("host", name),
        status=Status.FIRING,
        severity=Severity.CRITICAL,
        summary=body.text("Intro") or f"{what} on {name}",
        symptom=Symptom.AVAILABILITY,
        starts_at=body.time("Timestamp"),
        labels={
            **_details(body),
            "alert_type": kind,
            "canary_ip": body.text("CanaryIP"),
            "canary_port": body.text("CanaryPort"),
            "canary_id": body.text("CanaryID"),
            "location": body.text("CanaryLocation"),
            "flock": body.text("Flock"),
            "source_ip": source,
            "source_name": body.text("ReverseDNS"),
            "triggered": body.text("Triggered"),
        },
        resource=source,
        sender_key=body.text("IncidentHash") or f"{name}:{source}",
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _details(body: Fields) -> dict[str, object]:
    """AdditionalDetails, pairs of a name and a value, without what may be a secret."""
    pairs = body.data.get("AdditionalDetails")
    found: dict[str, object] = {}
    for pair in pairs[:20] if isinstance(pairs, list) else []:
        if not isinstance(pair, list) or len(pair) < 2:
            continue
        key, value = said(pair[0], 60).lower().replace(" ", "_"), said(pair[1], 255)
        if key and value and not any(word in key for word in SECRETS):
            found[key] = value
    return found


def _connection(body: Fields, message: Message, hook: Hook, *, over: bool) -> Normalized:
    name = body.text("CanaryName") or body.need("CanaryName", "CanaryID")
    at = body.time("Timestamp")
    told = alert(
        message,
        hook,
        source=NAME,
        name="canary disconnected",
        subject=Subject.of("host", name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.WARNING,
        summary=body.text("Intro", "Description") or f"{name} is {'connected again' if over else 'disconnected'}",
        symptom=Symptom.AVAILABILITY,
        starts_at=None if over else at,
        ends_at=at,
        labels={"canary_ip": body.text("CanaryIP"), "location": body.text("CanaryLocation")},
        sender_key=f"{body.text('CanaryID') or name}:connection",
    )
    return Normalized(alerts=(told,))


def _public_token(body: Fields, message: Message, hook: Hook) -> Normalized:
    more = body.inner("additional_data")
    name = body.text("memo") or body.need("memo", "token")
    source = more.text("src_ip") or body.text("src_ip")
    channel = body.text("channel") or "canarytoken"
    told = alert(
        message,
        hook,
        source=NAME,
        name=f"Canarytoken triggered ({channel})",
        subject=Subject.of("unknown", name),
        status=Status.FIRING,
        severity=Severity.CRITICAL,
        summary=f"Canarytoken triggered: {name}",
        symptom=Symptom.AVAILABILITY,
        starts_at=body.time("time"),
        labels={"channel": channel, "source_ip": source, "user_agent": more.text("useragent")},
        links={"token": body.text("manage_url")},
        resource=source,
        sender_key=body.text("token") or name,
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


SOURCE = Source(
    name=NAME,
    title="Thinkst Canary",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    aliases=("canary", "canarytokens"),
    ignores=("the dummy incident that tests the webhook", "records of the console's own settings"),
    setup="""\
Canary console → Settings → Webhooks → **Generic**, URL `{url}`, custom header `Authorization: Bearer {secret}` (where
headers cannot be set, `{url}?token={secret}`). Each source address that touches a bird is an alert of its own,
critical, and ends a day after its last report. A bird that loses its connection is a warning and ends when it is back.
""",
)
