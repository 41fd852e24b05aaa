"""Dynatrace: a custom integration's problem notifications, by the template below; also problems as its API has them.

https://docs.dynatrace.com/docs/analyze-explore-automate/notifications-and-alerting/problem-notifications/webhook-integration
A problem that was MERGED into another is over: the other one stands for it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields
from tocsin.sources._identity import labels_of, severity_of
from tocsin.sources._json import parsed_object
from tocsin.sources._monitor import alert_of, any_time, filled
from tocsin.sources._verify import shared_secret

NAME = "dynatrace"

STATES = {
    "open": Status.FIRING,
    "active": Status.FIRING,
    "resolved": Status.RESOLVED,
    "closed": Status.RESOLVED,
    "merged": Status.RESOLVED,
}
SEVERITIES = {
    "availability": (Severity.CRITICAL, Symptom.AVAILABILITY),
    "error": (Severity.ERROR, Symptom.ERRORS),
    "performance": (Severity.WARNING, Symptom.LATENCY),
    "slowdown": (Severity.WARNING, Symptom.LATENCY),
    "resource_contention": (Severity.WARNING, Symptom.SATURATION),
    "resource": (Severity.WARNING, Symptom.SATURATION),
    "monitoring_unavailable": (Severity.WARNING, Symptom.AVAILABILITY),
    "custom_alert": (Severity.WARNING, None),
    "custom": (Severity.WARNING, None),
    "info": (Severity.INFO, None),
}
"""Dynatrace's severity level says what is wrong rather than how badly; a custom alert's title tells it by its words."""

ENTITIES = {
    "service": "service",
    "application": "service",
    "mobile_application": "service",
    "custom_application": "service",
    "process_group": "service",
    "process_group_instance": "service",
    "synthetic_test": "service",
    "http_check": "service",
    "kubernetes_workload": "service",
    "cloud_application": "service",
    "host": "host",
    "kubernetes_node": "host",
    "queue": "queue",
}
"""Type of a monitored entity → kind of subject; any other stays unknown."""

_TEST = re.compile(r"problem notification test run", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{[A-Z][A-Za-z0-9]*\}")
_CONTEXT = re.compile(r"^\[[^\]]*\]")
_TYPE_OF_ID = re.compile(r"^([A-Z_]+)-[0-9A-F]{16}$")


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert of a problem. Raises BadPayload without a problem's id or title, with an unknown state, or when a
    placeholder of the template was not replaced."""
    body = Fields(parsed_object(message.body))
    details = _details(body)
    title = body.text("ProblemTitle", "title", "event.name", "problem_title") or details.text("title")
    if _TEST.search(title):
        return Normalized(ignored="Dynatrace's test notification")
    state = _stated(body, details)
    status = STATES.get(state.lower())
    if status is None:
        raise BadPayload(f"{state[:40]!r} is neither OPEN, RESOLVED nor MERGED", path="State")
    number = body.text("ProblemID", "displayId", "display_id", "problem_id")
    key = body.text("PID", "problemId", "event.id", "pid") or number or body.need("PID")
    title = title or (f"problem {number or key}" if status is Status.RESOLVED else body.need("ProblemTitle"))
    level = body.text("ProblemSeverity", "severityLevel", "event.category", "severity") or details.text("severityLevel")
    severity, symptom = SEVERITIES.get(level.lower(), (severity_of(level), None))
    entities = _entities(body, details)
    labels = _tags(body, details) | filled(
        {
            "problem": number,
            "severity_level": level,
            "impact": body.text("ProblemImpact", "impactLevel") or details.text("impactLevel"),
            "entities": ", ".join(name for _, name in entities),
            "root_cause": _entity(details.data.get("rootCauseEntity"))[1],
            "merged": "true" if state.lower() == "merged" else "",
            "management_zones": ", ".join(_names(details.data.get("managementZones"))),
        }
    )
    about = next(
        ((kind, name) for kind, name in entities if kind in ENTITIES), entities[0] if entities else ("", title)
    )
    alert = alert_of(
        message,
        hook,
        source=NAME,
        name=title,
        about=Subject.of(ENTITIES.get(about[0], "unknown"), about[1][:255]),
        status=status,
        severity=severity_of(labels["severity"]) if "severity" in labels else severity,
        labels=labels,
        symptom=symptom,
        summary=_summary(title, entities, body),
        key=key,
        starts_at=_time(body, details, "ProblemStartTime", "startTime", "event.start")
        if status is Status.FIRING
        else None,
        ends_at=_time(body, details, "ProblemEndTime", "endTime", "event.end"),
        links={"problem": body.text("ProblemURL", "url", limit=2048)},
    )
    return Normalized(alerts=(alert,))


def _details(body: Fields) -> Fields:
    """The problem as the API tells it, under one of the placeholders of that name; else the body itself."""
    for key in ("ProblemDetailsJSONv2", "ProblemDetailsJSON"):
        found = body.data.get(key)
        if isinstance(found, str) and found.startswith("{") and not _PLACEHOLDER.fullmatch(found):
            try:
                found = parsed_object(found.encode("utf-8", "replace"))
            except BadPayload:
                continue
        if isinstance(found, dict) and found:
            return Fields(found, key)
    return body


def _stated(body: Fields, details: Fields) -> str:
    state = body.text("State", "ProblemStatus", "status", "event.status", "state") or details.text("status")
    if _PLACEHOLDER.fullmatch(state):
        raise BadPayload(f"the placeholder {state} was not replaced: mend the template", path="State")
    return state or body.need("State")


def _summary(title: str, entities: list[tuple[str, str]], body: Fields) -> str:
    names = ", ".join(name for _, name in entities[:3])
    impact = body.text("ImpactedEntity")
    if impact and impact != title:
        return impact if title in impact else f"{title}: {impact}"
    return f"{title} on {names}" if names else title


def _entities(body: Fields, details: Fields) -> list[tuple[str, str]]:
    """Type in lower case and name of each impacted entity."""
    for source in (body, details):
        for key in ("ImpactedEntities", "impactedEntities", "affectedEntities"):
            found = source.data.get(key)
            if isinstance(found, list) and (listed := [_entity(one) for one in found if isinstance(one, dict)]):
                return [one for one in listed if one[1]]
    names = body.text("ImpactedEntityNames", "NamesOfImpactedEntities", "ImpactedEntities")
    return [("", name.strip()) for name in names.strip("[]").split(",") if name.strip()]


def _entity(one: Any) -> tuple[str, str]:  # noqa: ANN401
    if not isinstance(one, dict):
        return "", ""
    told = Fields(one)
    identity = told.inner("entityId") if isinstance(one.get("entityId"), dict) else told
    named_id = identity.text("id", "entity", "Entity", "entityId")
    of_id = _TYPE_OF_ID.match(named_id)
    kind = identity.text("type") or (of_id[1] if of_id else "")
    return kind.lower(), told.text("name", "Name", "entityName") or named_id


def _tags(body: Fields, details: Fields) -> dict[str, str]:
    """Tags of the impacted entities: `model:churn, [Kubernetes]app:web, plain`, or objects with key and value."""
    sent = body.data.get("Tags")
    if isinstance(sent, str) and sent.strip():
        pairs = [_CONTEXT.sub("", tag.strip()).partition(":")[::2] for tag in sent.split(",")]
        return filled(
            labels_of({key.strip(): value.strip() for key, value in pairs if not _PLACEHOLDER.fullmatch(key)})
        )
    for found in (
        sent,
        body.data.get("entityTags"),
        details.data.get("entityTags"),
        details.data.get("tagsOfAffectedEntities"),
    ):
        if isinstance(found, list):
            objects = [tag for tag in found if isinstance(tag, dict) and isinstance(tag.get("key"), str)]
            texts = [_CONTEXT.sub("", tag).partition(":")[::2] for tag in found if isinstance(tag, str)]
            return filled(labels_of({**dict(texts), **{tag["key"]: tag.get("value") for tag in objects}}))
    return {}


def _names(found: object) -> list[str]:
    return [Fields(one).text("name") for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _time(body: Fields, details: Fields, own: str, api: str, event: str) -> datetime | None:
    """In milliseconds; -1 stands for a problem that is still open."""
    return any_time(body.data.get(own), details.data.get(api), body.data.get(api), body.data.get(event))


SETUP = """\
Settings → Integration → Problem notifications → Add → **Custom integration**: webhook URL `{url}`, header
`Authorization: Bearer {secret}`, *Call webhook if problem is closed* on, payload:

```json
{{"PID": "{{PID}}", "ProblemID": "{{ProblemID}}", "State": "{{State}}", "ProblemTitle": "{{ProblemTitle}}",
 "ProblemSeverity": "{{ProblemSeverity}}", "ProblemImpact": "{{ProblemImpact}}", "ProblemURL": "{{ProblemURL}}",
 "ImpactedEntity": "{{ImpactedEntity}}", "ImpactedEntities": {{ImpactedEntities}}, "Tags": "{{Tags}}",
 "ProblemDetailsJSONv2": {{ProblemDetailsJSONv2}}}}
```

`ProblemDetailsJSONv2` brings the times. Tags of the entities `service`, `model`, `feature`, `dataset`, `severity` and
`symptom` (written `key:value`) say what a problem is about; otherwise the first impacted entity does.
"""

SOURCE = Source(
    name=NAME,
    title="Dynatrace",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("Dynatrace's test notification",),
)
