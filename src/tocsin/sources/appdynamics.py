"""Which health rule of AppDynamics is violated or healthy again, and what changed in an application?

AppDynamics posts what its HTTP request template says. Read are the template below and the usual others: names of the
variables in camel case or snake case, flat, or one object per event under `events`.
https://docs.appdynamics.com/ (HTTP Request Actions and Templates, Events Reference)
"""

from __future__ import annotations

import re
from datetime import timedelta

from tocsin.domain.alert import Alert, Resolves, Severity, Status
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, change, fields_of
from tocsin.sources._json import parsed
from tocsin.sources._verify import shared_secret

NAME = "appdynamics"

SEVERITIES = {
    "error": Severity.CRITICAL,
    "critical": Severity.CRITICAL,
    "warn": Severity.WARNING,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
}
"""ERROR is how AppDynamics words a critical violation."""

CHANGES = {
    "APPLICATION_DEPLOYMENT": ChangeKind.SERVICE_DEPLOYED,
    "APPLICATION_CONFIG_CHANGE": ChangeKind.ENVIRONMENT_MODIFIED,
    "APP_SERVER_RESTART": ChangeKind.ENVIRONMENT_MODIFIED,
    "AGENT_CONFIGURATION_CHANGE": ChangeKind.ENVIRONMENT_MODIFIED,
    "SYSTEM_LOG": ChangeKind.ENVIRONMENT_MODIFIED,
}
"""Event types that may explain a later violation rather than report one."""

EVENT_EXPIRES_AFTER = timedelta(hours=24)
"""Events that are no violation (ERROR, STALL, SLOW …) have no end."""

_ENDS = re.compile(
    r"_(CLOSE|CANCELED|CANCELLED|RESOLVED)(_|$)|\b(ended|ends|closed|cancell?ed|resolved)\b", re.IGNORECASE
)
_LEVEL = re.compile(r"\b(critical|warning)\b", re.IGNORECASE)
_VIOLATES = re.compile(
    r"<b>([^<]+)</b>\s+(?:continues to violate|started violating|stopped violating|violat|is no longer)"
)
_AFFECTED = re.compile(r"problem with (?:Application|Tier|Business Transaction|Node|Service Endpoint)? ?<b>([^<]+)</b>")
_MARKUP = re.compile(r"<[^<>]{1,80}>")
"""Messages of AppDynamics are HTML: `problem with Tier <b>cart</b>.<br><b>Error rate</b> started violating …`."""
_PREFIX = re.compile(
    r"^(new |ongoing |health rule violation (started|ended|opened|closed|continues|upgraded|downgraded|cancell?ed)\b"
    r"|(critical|warning)( health rule violation)?\b|[-: ]+)+",
    re.IGNORECASE,
)


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert or change per event. Raises BadPayload for an exported template and without a name of the event."""
    if isinstance(parsed(message.body), list):
        raise BadPayload("an array: that is an export of HTTP request templates, not what a template makes", path="0")
    body = fields_of(message)
    latest = body.inner("latestEvent")
    events = body.each("events") or body.each("fullEventList") or [latest if latest.data else body]
    alerts: list[Alert] = []
    changes: list[Change] = []
    for event in events:
        if _type(event) in CHANGES:
            changes.append(_change(event, body, message, hook))
        else:
            alerts.append(_alert(event, body, message, hook))
    return Normalized(alerts=tuple(alerts), changes=tuple(changes))


def _type(event: Fields) -> str:
    return event.text("eventTypeKey", "eventType", "event_type", "type").upper()


def _application(event: Fields, body: Fields) -> str:
    names = ("application_name", "applicationName", "app_name", "application", "app")
    inner = event.data.get("application")
    return (Fields(inner).text("name") if isinstance(inner, dict) else "") or event.text(*names) or body.text(*names)


def _about(event: Fields, body: Fields) -> tuple[str, str]:
    """The service (tier before application) and the node."""
    tier = event.text("tier_name", "tierName", "tier") or body.text("tier_name", "tierName", "tier")
    node = event.text("node_name", "nodeName", "node") or body.text("node_name", "nodeName", "node")
    return tier or _application(event, body), node


def _alert(event: Fields, body: Fields, message: Message, hook: Hook) -> Alert:
    kind = _type(event)
    display = event.text("displayName", "event_name", "eventName", "name")
    rule = event.text("health_rule_name", "healthRuleName", "health_rule", "healthRule")
    if not (kind or display or rule):
        event.need("eventTypeKey", "displayName", "name")
    lasts = not kind or kind.startswith(("POLICY_", "HEALTH_RULE_", "ANOMALY_"))
    over = bool(_ENDS.search(kind) or (not kind and _ENDS.search(display)))
    incident = event.text("incident_id", "incidentId")
    service, node = _about(event, body)
    words = event.text("summaryMessage", "summary", "description") or event.text("eventMessage", "event_message")
    message_text = event.text("eventMessage", "event_message", "message", limit=4096)
    html = f"{words}\n{message_text}"
    violated, affected = _VIOLATES.search(html), _AFFECTED.search(html)
    service = service or (affected[1].strip() if affected else "")
    rule = rule or (violated[1].strip() if violated else "")
    name = rule or _PREFIX.sub("", display).strip() or incident or "health rule violation"
    at = event.time("eventTime", "event_time", "lastReceived", "time", "timestamp") or body.time("eventTime")
    return alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", service) if service else Subject.of("unknown", name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=_severity(event, body, kind, display),
        summary=_plain(words) or display or name,
        description=_plain(message_text),
        starts_at=None if over else at,
        ends_at=at,
        labels={
            "application": _application(event, body),
            "event_type": kind,
            "display_name": display,
            "policy": body.text("policy_name", "policy"),
            "node": node,
            "affected": event.text("affected_entity_name", "affectedEntityName", "affected"),
        },
        links={
            "event": event.text("deepLink", "event_deep_link", "url", "link"),
            "controller": body.text("controllerUrl"),
        },
        resource=node,
        sender_key=incident or name,
        resolves=Resolves.SENDER if lasts else Resolves.EXPIRY,
        expires_after=None if lasts else EVENT_EXPIRES_AFTER,
    )


def _plain(html: str) -> str:
    return " ".join(_MARKUP.sub(" ", html).split())[:1024]


def _severity(event: Fields, body: Fields, kind: str, display: str) -> Severity:
    """The violation's own level in its type or name; events that end one are all INFO in AppDynamics."""
    if "UPGRADED" in kind or "DOWNGRADED" in kind:
        return Severity.CRITICAL if "UPGRADED" in kind else Severity.WARNING
    levels = _LEVEL.findall(kind.replace("_", " ")) or _LEVEL.findall(display)  # `Warning to Critical`: the last holds
    word = levels[-1] if levels else event.text("severity") or body.text("topSeverity", "severity")
    return SEVERITIES.get(word.lower(), Severity.WARNING)


def _change(event: Fields, body: Fields, message: Message, hook: Hook) -> Change:
    kind = _type(event)
    service, node = _about(event, body)
    key = event.text("guid", "event_guid", "event_id", "id")
    at = event.time("eventTime", "event_time", "lastReceived", "time")
    return change(
        message,
        hook,
        source=NAME,
        id=key or f"{kind}:{service}:{at}",
        kind=CHANGES[kind],
        subject=Subject.of("service", service or event.need("application_name")),
        occurred_at=at,
        finished_at=at,
        outcome=ChangeOutcome.SUCCESS,
        url=event.text("deepLink", "event_deep_link", "url"),
        summary=event.text("summaryMessage", "summary", "description", "displayName", "name") or kind,
        labels={"event_type": kind, "node": node, "application": _application(event, body)},
    )


SOURCE = Source(
    name=NAME,
    title="AppDynamics",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup="""\
Alert & Respond → HTTP Request Templates → New: POST `{url}`, custom header `Authorization: Bearer {secret}`, MIME type
`application/json`, payload:

```json
{{"event_type": "${{latestEvent.eventTypeKey}}", "event_name": "${{latestEvent.displayName}}",
  "severity": "${{latestEvent.severity}}", "health_rule_name": "${{latestEvent.healthRule.name}}",
  "incident_id": "${{latestEvent.incident.id}}", "event_guid": "${{latestEvent.guid}}",
  "event_time": "${{latestEvent.eventTime}}", "summary": "${{latestEvent.summaryMessage}}",
  "event_message": "${{latestEvent.eventMessage}}", "app_name": "${{latestEvent.application.name}}",
  "tier_name": "${{latestEvent.tier.name}}", "node_name": "${{latestEvent.node.name}}",
  "event_deep_link": "${{latestEvent.deepLink}}", "policy": "${{policy.name}}"}}
```

Use it in policies on health rule violations with *started*, *upgraded*, *downgraded*, *ended* and *canceled*. With
application deployments and restarts in a policy, those arrive as changes.
""",
)
