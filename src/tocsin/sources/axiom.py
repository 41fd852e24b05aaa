"""Which Axiom monitor fired or closed?

A custom webhook posts a Go template; its default is an action and an event. A match monitor opens for every match and
never closes. Nothing is signed. https://axiom.co/docs/monitor-data/custom-webhook-notifier
"""

from __future__ import annotations

import re
from datetime import timedelta

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said, symptom_of_logs
from tocsin.sources._identity import SUBJECT_LABELS, labels_of
from tocsin.sources._verify import shared_secret

NAME = "axiom"

ACTIONS = {
    "open": Status.FIRING,
    "opened": Status.FIRING,
    "triggered": Status.FIRING,
    "firing": Status.FIRING,
    "closed": Status.RESOLVED,
    "close": Status.RESOLVED,
    "resolved": Status.RESOLVED,
}
MATCH_EXPIRES_AFTER = timedelta(hours=24)

_TITLE = re.compile(r"^(triggered|resolved|open|closed|no data|error)\s*:\s*", re.IGNORECASE)
_ABOUT = frozenset(name for _, names in SUBJECT_LABELS for name in names) | {"environment", "env", "severity", "region"}
"""Names in a matched event that say what it is about; the rest of the event is the log line's own business."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The monitor's state. Raises BadPayload without action or monitor."""
    body = fields_of(message)
    word = body.need("action", "Action")
    if word.lower() == "test":
        return Normalized(ignored="Axiom's test of the notifier")
    if word.lower() not in ACTIONS:
        raise BadPayload(f"{word[:40]!r} is neither Open nor Closed", path="action")
    status = ACTIONS[word.lower()]
    event = body.inner("event") if "event" in body else body
    title = event.text("title", "Title") or event.need("monitorID", "MonitorID")
    name = _TITLE.sub("", title) or title
    matched = event.inner("matchedEvent")
    tags = {key: value for key, value in _flat(matched).items() if key in _ABOUT}
    at = event.time("timestamp", "Timestamp", "queryEndTime")
    match = bool(matched.data)
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("unknown", name),
        status=status,
        severity=Severity.WARNING,
        summary=f"{name}: {words}" if (words := event.text("body", "Body")) else title,
        description=event.text("description", "Description"),
        symptom=symptom_of_logs({**hook.defaults, **tags}, name, event.text("description"), event.text("body")),
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=tags,
        labels={
            "monitor_id": event.text("monitorID", "MonitorID"),
            "query_from": event.text("queryStartTime"),
            "query_to": event.text("queryEndTime"),
            "group": event.text("groupKeys", "groupValues"),
        },
        links={"monitor": event.text("url", "monitorURL")},
        observed=None if match else event.number("value", "Value"),
        threshold=event.number("threshold"),
        sender_key=event.text("monitorID", "MonitorID"),
        known_by=_identity(event, name),
        resolves=Resolves.EXPIRY if match else Resolves.SENDER,
        expires_after=MATCH_EXPIRES_AFTER if match else None,
    )
    return Normalized(alerts=(told,))


def _identity(event: Fields, name: str) -> str:
    """The monitor and, where it groups, the group: each group opens and closes by itself."""
    keys = event.data.get("groupValues")
    group = ",".join(said(key) for key in keys) if isinstance(keys, list) else said(keys)
    return f"monitor:{event.text('monitorID', 'MonitorID') or name}:{group}"


def _flat(matched: Fields) -> dict[str, str]:
    """The event's own fields, and those of OpenTelemetry's `attributes` and `resource`."""
    found = labels_of(matched.data)
    for key in ("resource", "attributes"):
        if isinstance(value := matched.data.get(key), dict):
            found |= labels_of(value)
    return found


SOURCE = Source(
    name=NAME,
    title="Axiom",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=("the test of a notifier",),
    setup="""\
Monitors → Manage notifiers → New → **Custom webhook**: URL `{url}`, header `Authorization: Bearer {secret}`, the
default template. Threshold and anomaly monitors close by themselves; a match monitor never does, its alert ends a day
after the last match. Axiom knows no severity: say `severity` in a mapping, or use one hook per severity.
""",
)
