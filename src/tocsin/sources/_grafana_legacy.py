"""Grafana's legacy dashboard alerting (version 8 and older): one rule a body, known by its ruleId.

https://grafana.com/docs/grafana/v7.5/alerting/notifications/#webhook
"""

from __future__ import annotations

import re
from typing import Any

from tocsin.domain.alert import Alert, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields
from tocsin.sources._identity import labels_of, severity_of
from tocsin.sources._json import number
from tocsin.sources._monitor import alert_of, filled

SILENT = {
    "pending": "state pending: the rule waits before it fires",
    "paused": "state paused: a person paused the rule",
    "unknown": "state unknown: the rule was not evaluated yet",
}
"""States in which the rule says nothing of its symptom."""

TEST_MESSAGE = "Someone is testing the alert notification within grafana."
"""What the Send Test button of a notification channel sends, about a rule `Test rule` with ruleId 0."""

_PREFIX = re.compile(r"^\[(?:Alerting|OK|No Data|Pending|Paused|Unknown)\]\s*", re.IGNORECASE)


def is_legacy(body: dict[str, Any]) -> bool:
    """Unified alerting has a list of alerts; legacy alerting has the rule's number instead."""
    return "alerts" not in body and "ruleId" in body


def normalize(body: dict[str, Any], message: Message, hook: Hook, *, source: str) -> Normalized:
    """The rule's alert. Raises BadPayload without ruleId or with a state that Grafana does not have."""
    told = Fields(body)
    if told.text("message") == TEST_MESSAGE:
        return Normalized(ignored="Grafana's test notification")
    state = told.need("state").lower()
    if state in SILENT:
        return Normalized(ignored=SILENT[state])
    if state not in ("alerting", "ok", "no_data"):
        raise BadPayload(f"{state[:40]!r} is no state of a legacy rule", path="state")
    return Normalized(alerts=(_alert(told, state, message, hook, source),))


def _alert(told: Fields, state: str, message: Message, hook: Hook, source: str) -> Alert:
    rule = told.need("ruleId")
    name = told.text("ruleName") or _PREFIX.sub("", told.text("title")) or told.need("ruleName")
    matches = told.each("evalMatches") if isinstance(told.data.get("evalMatches"), list) else []
    tags = labels_of(told.data.get("tags"))
    labels = _shared([labels_of(match.data.get("tags")) for match in matches]) | tags
    named = {"grafana_rule": rule, "org": told.text("orgId"), "dashboard_id": told.text("dashboardId")}
    labels |= filled({**named, "matches": len(matches) or ""})
    values = [value for match in matches if (value := number(match.data.get("value"))) is not None]
    words = told.text("message")
    return alert_of(
        message,
        hook,
        source=source,
        name=name,
        about=Subject.of("unknown", name[:255]),
        status=Status.RESOLVED if state == "ok" else Status.FIRING,
        severity=severity_of(tags.get("severity") or tags.get("priority")) if tags else Severity.WARNING,
        labels=labels,
        symptom=Symptom.AVAILABILITY if state == "no_data" else None,
        summary=f"{name}: {words}" if words and words != name else name,
        key=f"legacy:{told.text('orgId')}:{rule}",
        metric=matches[0].text("metric", limit=255) if matches else "",
        observed=values[0] if values else None,
        links={"rule": told.text("ruleUrl", limit=2048), "image": told.text("imageUrl", limit=2048)},
    )


def _shared(groups: list[dict[str, str]]) -> dict[str, str]:
    """The tags on which all matching series agree: they are what the rule's one alert is about."""
    if not groups:
        return {}
    return {key: value for key, value in groups[0].items() if all(other.get(key) == value for other in groups[1:])}
