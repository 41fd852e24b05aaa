"""Tools that speak PagerDuty's Events API v2, pointed at us instead: alert events and change events.

https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tocsin.domain.alert import Alert, Resolves, Status
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Answer, Hook, Message, Normalized, Receipt, Source, Verdict
from tocsin.domain.subject import Subject
from tocsin.sources._identity import (
    METRIC_LABELS,
    REGION_LABELS,
    SEGMENT_LABELS,
    VERSION_LABELS,
    environment_of,
    first_of,
    labels_of,
    link_of,
    links_of,
    severity_of,
    subject_of,
    symptom_of,
)
from tocsin.sources._json import number, parsed_object, shaped, text
from tocsin.sources._times import moment
from tocsin.sources._verify import VERIFIED, any_of, refused, shared_secret

NAME = "pagerduty_events"
MAX_DEDUP_KEY = 255  # https://developer.pagerduty.com/docs/send-alert-event

CHANGE_WORDS: tuple[tuple[ChangeKind, tuple[str, ...]], ...] = (
    (ChangeKind.SERVICE_ROLLEDBACK, ("rollback", "rolled back", "revert")),
    (ChangeKind.FEATURE_FLAG_CHANGED, ("feature flag", "flag ")),
    (ChangeKind.DATASET_SCHEMA_CHANGED, ("schema", "migration")),
    (ChangeKind.MODEL_PROMOTED, ("model promoted", "promoted model", "champion")),
    (ChangeKind.SERVICE_DEPLOYED, ("deploy", "release", "rollout", "rolled out")),
    (ChangeKind.BUILD_FINISHED, ("build", "merge", "pipeline")),
)
"""Words of a change's summary, first match wins; anything else modified the environment. `custom_details.kind` with
one of our kinds says it outright."""

_FAILED = ("fail", "error", "abort")
_SUCCEEDED = ("success", "succeeded", "passed", "completed")


class _Link(BaseModel):
    href: str = ""
    text: str = ""


class _Payload(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    summary: str
    source: str = ""
    severity: str = ""
    timestamp: Any = None
    component: str | None = ""
    group: str | None = ""
    kind: str | None = Field(default="", alias="class")
    custom_details: Any = None


class _Event(BaseModel):
    event_action: Literal["trigger", "acknowledge", "resolve"] | None = None
    dedup_key: str | None = Field(default=None, max_length=MAX_DEDUP_KEY)
    payload: _Payload | None = None
    links: list[_Link] | None = None
    client: str | None = ""
    client_url: str | None = ""


def routing_key_of(message: Message) -> str:
    """The secret inside the body, which also names the hook on the shared routes; empty when it cannot be read."""
    try:
        return text(parsed_object(message.body).get("routing_key"), 255)
    except BadPayload:
        return ""


def verify(message: Message, secrets: Sequence[str]) -> Verdict:
    """Verified when the body's `routing_key` is one of the hook's secrets."""
    offered = routing_key_of(message)
    if not offered:
        return refused("missing credential: the body has no routing_key")
    matches = [hmac.compare_digest(offered.encode(), secret.encode()) for secret in secrets if secret]
    return VERIFIED if any(matches) else refused("wrong credential: routing_key is none of the hook's secrets")


def answer(message: Message, receipt: Receipt) -> Answer:
    """PagerDuty's own 202: clients keep the `dedup_key` in order to resolve."""
    try:
        body = parsed_object(message.body)
    except BadPayload:
        body = {}
    if "event_action" not in body:
        return Answer(status=202, body={"status": "success", "message": "Change event processed"})
    key = text(body.get("dedup_key"), MAX_DEDUP_KEY) or receipt.id.hex
    return Answer(status=202, body={"status": "success", "message": "Event processed", "dedup_key": key})


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert for trigger and resolve; a change when there is no `event_action`, as on /v2/change/enqueue."""
    event = shaped(_Event, parsed_object(message.body))
    if event.event_action == "acknowledge":
        return Normalized(ignored="acknowledge: someone looks at it, the symptom stands")
    if event.event_action is None:
        return Normalized(changes=(_change(event, message, hook),))
    return Normalized(alerts=(_alert(event, message, hook),))


def _alert(event: _Event, message: Message, hook: Hook) -> Alert:
    """A resolve may carry the key alone: so the key alone makes the fingerprint."""
    fires = event.event_action == "trigger"
    if fires and event.payload is None:
        raise BadPayload("a trigger needs a payload", path="payload")
    if not fires and not event.dedup_key:
        raise BadPayload("a resolve needs the dedup_key of its trigger", path="dedup_key")
    key = (event.dedup_key or "").strip() or message.id.hex
    payload = event.payload or _Payload(summary=f"resolved: {key}")
    labels = _labels(payload, hook)
    at = moment(payload.timestamp)
    details = payload.custom_details if isinstance(payload.custom_details, dict) else {}
    name = (payload.kind or payload.summary)[:255]
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of(labels, hook),
        name=name,
        subject=subject_of(labels, fallback=_fallback(payload, key)),
        symptom=symptom_of(labels, name, payload.summary),
        severity=severity_of(payload.severity),
        status=Status.FIRING if fires else Status.RESOLVED,
        summary=payload.summary[:1024],
        received_at=message.received_at,
        starts_at=at if fires else None,
        ends_at=None if fires else at,
        resource=payload.source[:255],
        segment=first_of(labels, SEGMENT_LABELS),
        region=first_of(labels, REGION_LABELS),
        metric=first_of(labels, METRIC_LABELS),
        observed=number(details.get("observed", details.get("value"))),
        threshold=number(details.get("threshold")),
        baseline=number(details.get("baseline")),
        model_version=first_of(labels, VERSION_LABELS),
        labels=labels,
        links=links_of({**_links(event), "client": event.client_url}),
        sender_key=key,
        fingerprint=_fingerprint(hook, key),
    )


def _fingerprint(hook: Hook, key: str) -> str:
    return hashlib.blake2b(f"{hook.name}\x1fdedup_key\x1f{key}".encode(), digest_size=16).hexdigest()


def _change(event: _Event, message: Message, hook: Hook) -> Change:
    payload = event.payload
    if payload is None:
        raise BadPayload("a change event needs a payload (an alert event needs an event_action)", path="payload")
    labels = _labels(payload, hook)
    sent_at = moment(payload.timestamp)
    at = sent_at or message.received_at
    minute = at.replace(second=0, microsecond=0)  # without a time, a quick retry is still the same change
    stable = f"{hook.name}\x1f{payload.source}\x1f{payload.summary}\x1f{sent_at or minute}"
    return Change(
        id=f"pagerduty:{hashlib.blake2b(stable.encode(), digest_size=12).hexdigest()}",
        hook=hook.name,
        source=NAME,
        environment=environment_of(labels, hook),
        kind=_change_kind(labels, payload.summary),
        subject=subject_of(labels, fallback=_fallback(payload, payload.summary[:80])),
        occurred_at=at,
        finished_at=at,
        received_at=message.received_at,
        outcome=_change_outcome(payload.summary),
        version=first_of(labels, (*VERSION_LABELS, "version")),
        author=first_of(labels, ("author", "user", "actor")),
        url=next((link_of(link.href) for link in event.links or () if link_of(link.href)), ""),
        summary=payload.summary[:1024],
        labels=labels,
    )


def _change_kind(labels: Mapping[str, str], summary: str) -> ChangeKind:
    if (named := labels.get("kind", "")) in _CHANGE_KINDS:
        return ChangeKind(named)
    words = summary.lower()
    for kind, signs in CHANGE_WORDS:
        if any(sign in words for sign in signs):
            return kind
    return ChangeKind.ENVIRONMENT_MODIFIED


_CHANGE_KINDS = frozenset(kind.value for kind in ChangeKind)


def _change_outcome(summary: str) -> ChangeOutcome:
    words = summary.lower()
    if any(sign in words for sign in _FAILED):
        return ChangeOutcome.FAILURE
    return ChangeOutcome.SUCCESS if any(sign in words for sign in _SUCCEEDED) else ChangeOutcome.UNKNOWN


def _labels(payload: _Payload, hook: Hook) -> dict[str, str]:
    """`custom_details` over the hook's defaults, with the event's own component, group, class and severity."""
    own = {"component": payload.component, "group": payload.group, "class": payload.kind, "severity": payload.severity}
    said = {key: value for key, value in own.items() if value}
    return {**hook.defaults, **labels_of(payload.custom_details), **labels_of(said)}


def _fallback(payload: _Payload, otherwise: str) -> Subject:
    """`component` is the part that is broken; `source` is where. The catalogue may know the name as anything."""
    if payload.component and payload.component.strip():
        return Subject.of("service", payload.component[:255])
    return Subject.of("unknown", payload.source.strip()[:255] or otherwise)


def _links(event: _Event) -> dict[str, str]:
    return {link.text.strip()[:80] or f"link {n}": link.href for n, link in enumerate(event.links or (), 1)}


SOURCE = Source(
    name=NAME,
    title="Tools that send to PagerDuty (Events API v2)",
    verify=any_of(verify, shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    answer=answer,
    routes=("/v2/enqueue", "/v2/change/enqueue"),
    route_secret=routing_key_of,
    ignores=("acknowledge events: the symptom stands",),
    aliases=("pagerduty_change",),
    setup="""\
Point the tool's PagerDuty endpoint at this installation and give it the hook's secret as the integration key:

- Events API address: the address of this installation with `/v2/enqueue` (changes: `/v2/change/enqueue`), or `{url}`
- `routing_key`: `{secret}`

```json
{{"routing_key": "{secret}", "event_action": "trigger", "dedup_key": "checkout-5xx",
 "payload": {{"summary": "5xx rate over 2 %", "source": "checkout-7f9", "severity": "error",
             "class": "HighErrorRate", "custom_details": {{"service": "checkout"}}}}}}
```

Always send a `dedup_key`: a trigger without one is an alert of its own, and only the key in our answer resolves it.
""",
)
