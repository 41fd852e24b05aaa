"""Which Coralogix alert was triggered or resolved?

A generic webhook posts a template: top-level keys and a list `fields` of keys and values, in which variables without a
value stay (`$SERVICE`, `*insert desired application name*`). Notification Center's own schema nests `alert` and
`alertDef`. https://coralogix.com/docs/user-guides/alerting/outbound-webhooks/generic-outbound-webhooks/
"""

from __future__ import annotations

from typing import Any

import orjson

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said, symptom_of_logs, tags_of
from tocsin.sources._verify import shared_secret

NAME = "coralogix"

STATES = {
    "trigger": Status.FIRING,
    "triggered": Status.FIRING,
    "update": Status.FIRING,
    "resolve": Status.RESOLVED,
    "resolved": Status.RESOLVED,
}
SEVERITIES = {
    "critical": Severity.CRITICAL,
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
    "verbose": Severity.INFO,
    "debug": Severity.INFO,
    "p1": Severity.CRITICAL,
    "p2": Severity.ERROR,
    "p3": Severity.WARNING,
    "p4": Severity.INFO,
    "p5": Severity.INFO,
}
"""severity, and where it is absent the priority that took its place."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert's state. Raises BadPayload without a name and for an unknown action."""
    body = fields_of(message)
    if "alert" in body or "alertDef" in body:
        return _notification(body, message, hook)
    more = _more(body)
    name = body.text("name", "alert_name") or more.text("name", "alert_name") or body.need("name")
    word = body.text("alert_action") or more.text("alert_action", "alertAction") or "trigger"
    status = _status(word, "alert_action")
    application, subsystem = more.text("application"), more.text("subsystem")
    groups = _groups(more)
    tags = _labels(more) | groups
    service = body.text("service") or subsystem or application
    at = more.time("timestampMs", "timestampISO", "timestamp") or body.time("timestamp")
    key = more.text("alertUniqueIdentifier") or body.text("alert_id") or body.text("uuid")
    words = more.text("text")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", service) if service else Subject.of("unknown", name),
        status=status,
        severity=SEVERITIES.get(more.text("severity", "severityLowercase", "priority").lower(), Severity.WARNING),
        summary=body.text("description") or name,
        description=words,
        symptom=symptom_of_logs({**hook.defaults, **tags}, name, more.text("metricKey"), body.text("description")),
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=tags,
        labels={
            "application": application,
            "subsystem": subsystem,
            "team": more.text("team"),
            "priority": more.text("priority"),
            "query": more.text("queryText"),
            "window_minutes": body.text("timewindow"),
            "computer": more.text("computer"),
        },
        links={"alert": body.text("alert_url"), "logs": body.text("log_url")},
        resource=",".join(groups.values()),
        metric=more.text("metricKey"),
        observed=more.number("actualRatio", "hitCount"),
        threshold=more.number("definedRatioThreshold") if more.number("actualRatio") else body.number("threshold"),
        sender_key=key,
    )
    return Normalized(alerts=(told,))


def _status(word: str, path: str) -> Status:
    if word.lower() not in STATES:
        raise BadPayload(f"{word[:40]!r} is neither trigger nor resolve", path=path)
    return STATES[word.lower()]


def _more(body: Fields) -> Fields:
    """The list `fields` as one object; of keys that stand twice the first that says something counts."""
    found: dict[str, Any] = {}
    for entry in body.each("fields"):
        key, value = entry.text("key"), entry.data.get("value")
        if key and key not in found and (said(value) or isinstance(value, (list, dict))):
            found[key] = value
    return Fields(found, "fields")


def _labels(more: Fields) -> dict[str, str]:
    """metaLabelsJson (JSON inside a text), else the list or text of `key:value`."""
    try:
        meta = orjson.loads(more.text("metaLabelsJson") or "{}")
    except orjson.JSONDecodeError:
        meta = {}
    if isinstance(meta, dict) and meta:
        return {str(key): word for key, value in meta.items() if (word := said(value))}
    return tags_of(more.data.get("metaLabelsList") or more.data.get("metaLabels"))


def _groups(more: Fields) -> dict[str, str]:
    pairs = ((more.text(f"Group-by Field{n}"), more.text(f"Group-by Value{n}")) for n in (1, 2))
    return {key: value for key, value in pairs if key and value}


def _notification(body: Fields, message: Message, hook: Hook) -> Normalized:
    """Notification Center's schema: an alert with groups, and its definition."""
    sent, definition = body.inner("alert"), body.inner("alertDef")
    name = definition.text("name") or sent.need("name")
    status = _status(sent.text("status") or "triggered", "alert.status")
    groups = sent.each("groups")
    values: dict[str, str] = {}
    for group in groups:
        values |= _flattened(group.inner("keyValues").data)
    labels = {key: word for key, value in definition.inner("entityLabels").data.items() if (word := said(value))}
    at = sent.time("timestamp")
    service = values.get("coralogix.metadata.subsystemName") or values.get("coralogix.metadata.applicationName")
    priority = (groups[0].text("priority") if groups else "") or sent.text("priority") or definition.text("priority")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", service) if service else Subject.of("unknown", name),
        status=status,
        severity=SEVERITIES.get(priority.lower(), Severity.WARNING),
        summary=definition.text("description") or name,
        symptom=symptom_of_logs({**hook.defaults, **labels}, name, definition.text("description")),
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags={**labels, **values},
        labels={"priority": priority, "alert_type": definition.text("type"), "alert_id": sent.text("id")},
        links={"alert": sent.text("alertDataUrl", "url")},
        resource=",".join(value for _, value in sorted(values.items())),
        sender_key=sent.text("groupingKey", "id"),
    )
    return Normalized(alerts=(told,))


def _flattened(values: object, prefix: str = "") -> dict[str, str]:
    """Nested keys joined by dots, three levels deep."""
    found: dict[str, str] = {}
    if isinstance(values, dict) and prefix.count(".") < 3:
        for key, value in values.items():
            if isinstance(value, dict):
                found |= _flattened(value, f"{prefix}{key}.")
            elif word := said(value):
                found[f"{prefix}{key}"] = word
    return found


SOURCE = Source(
    name=NAME,
    title="Coralogix",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup="""\
Data Flow → Outbound Webhooks → Generic webhook: POST `{url}`, header `Authorization: Bearer {secret}`, the default
body. In the alert switch on *Notify when resolved*: the body then says `"alert_action": "resolve"`.

Alert labels such as `service:checkout`, `model:churn` or `feature:age_days` say what it is about; else the
subsystem, else the application is the service. Each group-by value is an alert of its own.
""",
)
