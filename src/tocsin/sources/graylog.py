"""Which event definition or stream alert of Graylog fired?

Since 3.1 an HTTP notification posts an event; before it posted a stream's check result. Nobody tells of an end:
the alert ends when a day passes without another. Basic authentication or an API key in a header is all
that Graylog can add.
https://go2docs.graylog.org/ (HTTP Notification)
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.domain.alert import Alert, Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, symptom_of_logs, told_in
from tocsin.sources._identity import labels_of
from tocsin.sources._verify import shared_secret

NAME = "graylog"
EXPIRES_AFTER = timedelta(hours=24)

PRIORITIES = {"1": Severity.INFO, "2": Severity.WARNING, "3": Severity.ERROR, "4": Severity.CRITICAL}
"""Low, normal, high, and critical since 6.1."""

TEST_TYPE = "test-dummy-v1"
TEST_ID = "NotificationTestId"


def normalize(message: Message, hook: Hook) -> Normalized:
    """The event or the stream's alert. Raises BadPayload for a body with neither."""
    body = fields_of(message)
    if "event" in body:
        return _event(body, message, hook)
    if "check_result" in body:
        return _stream(body, message, hook)
    raise BadPayload("neither event nor check_result is there", path="event")


def _event(body: Fields, message: Message, hook: Hook) -> Normalized:
    event = body.need_inner("event")
    if body.text("event_definition_type") == TEST_TYPE or TEST_ID in (
        body.text("event_definition_id"),
        event.text("event_definition_id"),
    ):
        return Normalized(ignored="Graylog's test notification")
    if event.data.get("alert") is False:
        return Normalized(ignored="an event that its definition does not call an alert")
    name = body.text("event_definition_title") or event.need("message")
    fields = labels_of(event.inner("fields").data)
    groups = labels_of(event.inner("group_by_fields").data)
    key = event.text("key") or ",".join(f"{field}={value}" for field, value in sorted(groups.items()))
    replay = event.inner("replay_info")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("unknown", name),
        status=Status.FIRING,
        severity=PRIORITIES.get(event.text("priority"), Severity.WARNING),
        summary=event.text("message") or name,
        description=body.text("event_definition_description"),
        starts_at=event.time("timestamp", "timestamp_processing"),
        tags={**fields, **groups},
        symptom=symptom_of_logs({**hook.defaults, **fields, **groups}, name, event.text("message")),
        labels={
            "event_id": event.text("id"),
            "event_definition_id": body.text("event_definition_id"),
            "source": event.text("source"),
            "query": replay.text("query"),
        },
        links={"replay": event.text("replay_url")},
        resource=key,
        sender_key=f"{body.text('event_definition_id') or name}:{key}",
        sample_size=len(backlog) if isinstance(backlog := body.data.get("backlog"), list) and backlog else None,
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(told,))


def _stream(body: Fields, message: Message, hook: Hook) -> Normalized:
    result, stream = body.need_inner("check_result"), body.inner("stream")
    condition = result.inner("triggered_condition")
    if "dummy" in condition.text("type").lower() or result.text("result_description").startswith("Dummy alert"):
        return Normalized(ignored="Graylog's test notification")
    return Normalized(alerts=(_condition(result, condition, stream, message, hook),))


def _condition(result: Fields, condition: Fields, stream: Fields, message: Message, hook: Hook) -> Alert:
    title = stream.text("title") or result.need("result_description")
    parameters = condition.inner("parameters")
    over = result.data.get("triggered") is False
    at = result.time("triggered_at")
    kind = condition.text("title", "type", "type_string").lower().replace("_", " ")
    matching = result.data.get("matching_messages")
    return alert(
        message,
        hook,
        source=NAME,
        name=f"{title}: {kind}" if kind else title,
        subject=Subject.of("unknown", title),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.WARNING,
        summary=result.text("result_description") or title,
        description=stream.text("description"),
        starts_at=None if over else at,
        ends_at=at,
        symptom=symptom_of_logs(hook.defaults, title, parameters.text("field"), condition.text("title")),
        labels={
            "stream": title,
            "stream_id": stream.text("id"),
            "condition_type": condition.text("type"),
            "condition_id": condition.text("id"),
            "threshold_type": parameters.text("threshold_type"),
        },
        metric=parameters.text("field"),
        threshold=parameters.number("threshold"),
        sample_size=len(matching) if isinstance(matching, list) and matching else None,
        sender_key=condition.text("id") or stream.text("id"),
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )


def _event_id(message: Message) -> str:
    """`event.id` of the body; older stream alerts have none."""
    return told_in(message, "event", "id")


SOURCE = Source(
    name=NAME,
    title="Graylog",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=EXPIRES_AFTER,
    message_id=_event_id,
    ignores=("test notifications", "events that are no alerts"),
    setup="""\
Alerts → Notifications → Create → **HTTP Notification** (or Custom HTTP Notification): URL
`{url}?token={secret}`, or Basic authentication `tocsin:{secret}`; allow the address under
System → URL Whitelist. Attach it to the event definitions.

Custom or group-by fields named `service`, `model`, `feature`, `dataset` or `host` say what an alert is about; each
group is an alert of its own. Graylog never tells of an end: an alert ends a day after its last event.
""",
)
