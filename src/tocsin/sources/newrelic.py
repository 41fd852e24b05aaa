"""New Relic alerts: workflow webhooks (issues) and the legacy notification channel's webhook (incidents).

The workflow's body is a template of the customer's, the default one among them; the legacy body is New Relic's own.
https://docs.newrelic.com/docs/alerts/get-notified/notification-integrations/ · nothing is signed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said, tags_of
from tocsin.sources._identity import labels_of, severity_of, subject_of
from tocsin.sources._monitored import resource_beside
from tocsin.sources._times import moment
from tocsin.sources._verify import shared_secret

NAME = "newrelic"

FIRING = frozenset({"open", "opened", "acknowledged", "created", "activated", "active", "triggered", "new"})
RESOLVED = frozenset({"closed", "deactivated", "resolved"})
NO_STATE = frozenset({"test", "investigating"})

SEVERITIES = {
    "critical": Severity.CRITICAL,
    "high": Severity.ERROR,
    "medium": Severity.WARNING,
    "low": Severity.INFO,
}
"""New Relic's priorities of an issue, worst first; other words as everywhere."""

ID = ("id", "issueId", "issue_id", "incident_id", "incidentId")
STATE = ("state", "issueState", "current_state", "currentState", "status", "event")
CONDITION = ("alertConditionNames", "condition_name", "conditionName", "conditionNames", "condition")
POLICY = ("alertPolicyNames", "policy_name", "policyName", "policyNames")
ENTITIES = ("impactedEntities", "entityNames", "entitiesData", "targets", "entity", "entityName", "entity_name")
BEGAN = ("activatedAt", "createdAt", "createdAtUtc", "openedAt", "opened_at", "timestamp", "timestamp_utc_string")
ENDED = ("closedAt", "closed_at", "updatedAt", "timestamp", "timestamp_utc_string")
LINKS = {
    "issue": ("issueUrl", "issuePageUrl", "incident_url", "incidentUrl"),
    "runbook": ("runbookUrl", "runbook_url", "runbook"),
    "graph": ("violationChartUrl", "violation_chart_url", "violationChart"),
    "condition": ("condition_url", "conditionUrl", "policy_url", "policyUrl"),
    "acknowledge": ("issueAckUrl", "incident_acknowledge_url"),
}

HOSTS = frozenset({"host", "server", "servers", "infrastructure", "infrastructure_host", "infra"})
SYMPTOMS = {"synthetics": Symptom.AVAILABILITY, "synth": Symptom.AVAILABILITY, "monitor": Symptom.AVAILABILITY}


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert per notification. Raises BadPayload for a state that New Relic does not document and for a body
    without the issue's id."""
    told = fields_of(message)
    if _is_test(told):
        return Normalized(ignored="test notification of New Relic")
    state = told.text(*STATE).lower()
    if state in NO_STATE:
        return Normalized(ignored=f"state {state}: nothing began or ended")
    return Normalized(alerts=(_alert(told, _status(state, told), state, message, hook),))


def _is_test(told: Fields) -> bool:
    """The legacy channel's test says so; a workflow's sends invented values with the same name."""
    if told.text("current_state").lower() == "test":
        return True
    names = (_first(told, CONDITION), _first(told, POLICY), told.text("workflowName"))
    return any(name.startswith("New Relic Alert - Test") for name in names)


def _status(state: str, told: Fields) -> Status:
    if state in RESOLVED:
        return Status.RESOLVED
    if state in FIRING:
        return Status.FIRING
    trigger = told.text("trigger", "triggerEvent", "event_type").lower()
    if not state and trigger in (
        "activated",
        "acknowledged",
        "incident_open",
        "incident_opened",
        "incident_acknowledged",
    ):
        return Status.FIRING
    if not state and trigger in ("closed", "incident_closed", "incident_resolved"):
        return Status.RESOLVED
    path = next((key for key in STATE if key in told), "state")
    raise BadPayload(f"{state[:40]!r} is no state of an issue", path=path)


def _alert(told: Fields, status: Status, state: str, message: Message, hook: Hook) -> Alert:
    issue = told.need(*ID)
    condition = _first(told, CONDITION)
    title, details = told.text("title", "issueTitle"), told.text("details", "description", "message", limit=4000)
    name = condition or title or _first(told, POLICY) or "New Relic issue"
    entity, kind = _entity(told)
    tags = _labels(told)
    about = subject_of({**hook.defaults, **tags}, fallback=_subject(entity, kind, name))
    resource = resource_beside(about, tags, entity)
    if not (condition or title or entity):
        resource = issue  # the least template: nothing but its id tells one issue from another
    word = told.text("priority", "severity")
    return alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=about,
        status=status,
        severity=SEVERITIES.get(word.lower()) or severity_of(word),
        symptom=None if "symptom" in tags else SYMPTOMS.get(kind),
        summary=_summary(name, title, details, entity),
        description=details,
        starts_at=_began(told, status),
        ends_at=_moment(told, ENDED),
        tags=tags,
        labels={
            "severity": word,
            "state": state,
            "issue": issue,
            "policy": _first(told, POLICY),
            "workflow": told.text("workflowName", "workflow"),
            "owner": told.text("owner"),
            "entity": entity,
            "entity_type": kind,
            "incidents": told.text("totalIncidents", "open_violations_count_critical"),
            "account": told.text("account_name", "accountName", "account_id", "nrAccountId", "accountId"),
            "title": title if title != name else "",
        },
        links={label: told.text(*keys, limit=2048) for label, keys in LINKS.items()},
        resource=resource,
        metric=told.text("metric", "signal"),
        observed=told.number("value", "observed"),
        threshold=told.number("threshold"),
        sender_key=issue,
    )


def _began(told: Fields, status: Status) -> datetime | None:
    """The legacy body has one time, that of its event: a close does not tell when it began."""
    if status is Status.RESOLVED and not any(key in told for key in BEGAN[:5]):
        return None
    return _moment(told, BEGAN)


def _moment(told: Fields, keys: tuple[str, ...]) -> datetime | None:
    """The first sane time. One that cannot be read says nothing: the receipt's order rules, the alert still counts."""
    for key in keys:
        try:
            found = moment(told.data.get(key))
        except BadPayload:
            continue
        if found:
            return found
    return None


def _first(told: Fields, keys: tuple[str, ...]) -> str:
    """The first text under these names; of a list its first."""
    for key in keys:
        value = told.data.get(key)
        for each in value if isinstance(value, list) else [value]:
            if found := said(each.get("name") if isinstance(each, dict) else each, 255):
                return found
    return ""


def _entity(told: Fields) -> tuple[str, str]:
    """What is affected, and its kind in New Relic's words and lower case."""
    kind = told.text("entityType", "entity_type", "product", "targetType")
    for key in ENTITIES:
        value = told.data.get(key)
        if isinstance(value, dict) and isinstance(value.get("names"), list):
            kinds = value.get("types")
            kind = kind or _first(Fields({"types": kinds}), ("types",))
            value = value["names"]
        for each in value if isinstance(value, list) else [value]:
            inner = Fields(each if isinstance(each, dict) else {"name": each})
            if name := inner.text("name", "entityName", limit=255):
                return name, (kind or inner.text("type", "product", "entityType")).lower()
    return "", kind.lower()


def _subject(entity: str, kind: str, name: str) -> Subject:
    if not entity:
        return Subject.of("unknown", name)
    return Subject.of("host" if kind in HOSTS else "service", entity)


def _labels(told: Fields) -> dict[str, str]:
    """Tags of the affected entity and labels of the condition: `labels`, `tags` or `targets[].labels`."""
    found: dict[str, str] = {}
    targets = told.data.get("targets")
    first: Any = targets[0] if isinstance(targets, list) and targets and isinstance(targets[0], dict) else {}
    for value in (first.get("labels"), told.data.get("labels"), told.data.get("tags"), told.data.get("customFields")):
        if isinstance(value, dict):
            flat = {key: each[0] if isinstance(each, list) and each else each for key, each in value.items()}
            found |= {key.removeprefix("tags.").lower(): text for key, text in labels_of(flat).items()}
        elif value:
            found |= tags_of(value)
    return found


def _summary(name: str, title: str, details: str, entity: str) -> str:
    if title and title != name:
        return title
    first = details.splitlines()[0] if details else ""
    where = f" on {entity}" if entity else ""
    return f"{name}{where}: {first}" if first and first != name else f"{name}{where}"


SETUP = """Alerts → Destinations → Webhook: endpoint `{url}`, authorization **Bearer** `{secret}` (or the custom header
`X-Tocsin-Token`). Then a workflow that notifies it, on *Activated*, *Acknowledged*, *Priority changed* and **Closed**,
with this payload (New Relic's default one does as well, but names neither the entity's kind nor its tags):

```json
{{
  "id": {{{{ json issueId }}}},
  "issueUrl": {{{{ json issuePageUrl }}}},
  "title": {{{{ json annotations.title.[0] }}}},
  "details": {{{{ json annotations.description.[0] }}}},
  "priority": {{{{ json priority }}}},
  "state": {{{{ json state }}}},
  "trigger": {{{{ json triggerEvent }}}},
  "createdAt": {{{{ createdAt }}}},
  "updatedAt": {{{{ updatedAt }}}},
  "closedAt": {{{{ json closedAt }}}},
  "entitiesData": {{"names": {{{{ json entitiesData.names }}}}, "types": {{{{ json entitiesData.types }}}}}},
  "alertPolicyNames": {{{{ json accumulations.policyName }}}},
  "alertConditionNames": {{{{ json accumulations.conditionName }}}},
  "runbookUrl": {{{{ json accumulations.runbookUrl.[0] }}}},
  "tags": {{
    "service": {{{{ json accumulations.tag.service.[0] }}}},
    "model": {{{{ json accumulations.tag.model.[0] }}}}
  }},
  "workflowName": {{{{ json workflowName }}}}
}}
```

An alert is known by condition and entity, its episodes by the issue's id. With *one issue per condition and signal*
each entity has an alert of its own; coarser issues are named by their first condition and entity.
"""

SOURCE = Source(
    name=NAME,
    title="New Relic alerts",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("new_relic",),
    ignores=("test notifications (state test, New Relic Alert - Test …)", "the state investigating"),
    setup=SETUP,
)
