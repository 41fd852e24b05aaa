"""Which Freshping check stopped answering, slowed down or came back?

One check per body: under `webhook_event_data`, or flat in newer bodies (`response_state`); nothing is signed.
https://support.freshping.io/ (Webhook integration)
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, told_in
from tocsin.sources._verify import shared_secret

NAME = "freshping"

STATES = {
    "available": (Status.RESOLVED, Severity.CRITICAL, Symptom.AVAILABILITY),
    "up": (Status.RESOLVED, Severity.CRITICAL, Symptom.AVAILABILITY),
    "connection timeout": (Status.FIRING, Severity.CRITICAL, Symptom.AVAILABILITY),
    "not responding": (Status.FIRING, Severity.CRITICAL, Symptom.AVAILABILITY),
    "down": (Status.FIRING, Severity.CRITICAL, Symptom.AVAILABILITY),
    "reporting error": (Status.FIRING, Severity.CRITICAL, Symptom.ERRORS),
    "performance degraded": (Status.FIRING, Severity.WARNING, Symptom.LATENCY),
    "degraded": (Status.FIRING, Severity.WARNING, Symptom.LATENCY),
}
"""check_state_name, in lower case."""

NO_STATES = frozenset({"paused", "restarted", "created", "deleted", "pending", "unknown", "no data"})
TEST_APPLICATION = "webhook test"


def normalize(message: Message, hook: Hook) -> Normalized:
    """The check's new state. Raises BadPayload without the check's name or with an unknown state."""
    body = fields_of(message)
    data = _flat(body) if "check_name" in body else body.need_inner("webhook_event_data")
    if data.text("application_name").lower() == TEST_APPLICATION:
        return Normalized(ignored="Freshping's test of the webhook")
    name = data.need("check_name")
    word = data.need("check_state_name")
    if word.lower() in NO_STATES:
        return Normalized(ignored=f"check {word[:40].lower()}: no symptom")
    if word.lower() not in STATES:
        raise BadPayload(f"{word[:40]!r} is no state of a check", path=data.at_path("check_state_name"))
    status, severity, symptom = STATES[word.lower()]
    at = data.time("recently_started_check_start_time", "request_start_time") or body.time("webhook_event_created_on")
    slow = symptom is Symptom.LATENCY
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", name),
        status=status,
        severity=severity,
        summary=f"{name}: {word.lower()}",
        symptom=symptom,
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        labels={
            "target": data.text("request_url"),
            "http_status": data.text("http_status_code"),
            "application_name": data.text("application_name"),
            "response_time_ms": data.text("response_time"),
            "organization": body.text("organization_name"),
            "reason": data.text("response_summary"),
            "probe": data.text("request_location"),
        },
        links={"target": data.text("request_url")},
        metric="response_time" if slow else "",
        observed=data.number("response_time") if slow else None,
        threshold=data.number("check_target_response_time") if slow else None,
        sender_key=data.text("check_id"),
        known_by=f"check:{data.text('check_id') or name}",
    )
    return Normalized(alerts=(told,))


def _flat(body: Fields) -> Fields:
    """A flat body under the names of `webhook_event_data`."""
    return Fields(
        {
            **body.data,
            "check_state_name": body.text("response_state", "response_summary"),
            "request_url": body.data.get("check_url"),
            "http_status_code": body.data.get("response_status_code"),
            "request_start_time": body.data.get("request_datetime"),
        }
    )


def _event_id(message: Message) -> str:
    """`webhook_event_id` of the body, or `event_data.event_id` of a flat one."""
    return told_in(message, "webhook_event_id") or told_in(message, "event_data", "event_id")


SOURCE = Source(
    name=NAME,
    title="Freshping",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_event_id,
    ignores=("the test of the webhook (application *Webhook test*)", "checks that are paused, restarted or removed"),
    setup="""\
Settings → Integrations → Webhook: callback URL `{url}?token={secret}`, event type *Up/Down* and *Performance degraded*,
full content as JSON. Freshping signs nothing, so the secret stands in the address.
""",
)
