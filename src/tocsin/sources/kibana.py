"""Kibana and Elastic: a rule's webhook connector, posting the template below; alert documents and Watcher besides.

https://www.elastic.co/docs/explore-analyze/alerts-cases/alerts/rule-action-variables
The body is the customer's own: `setup` has ours. Read as well are the variables of version 7 (`alertId`,
`alertInstanceId`), alerts-as-data documents (`kibana.alert.*`, also as `alerts.new.data` of a summary) and a watch's
`ctx`. A rule needs a second action for the group *Recovered*; before version 8 its context is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields
from tocsin.sources._identity import labels_of, severity_of, symptom_of
from tocsin.sources._json import kind_of, number, parsed
from tocsin.sources._monitor import alert_of, any_time, filled
from tocsin.sources._report import worst_first
from tocsin.sources._verify import shared_secret

NAME = "kibana"
MAX_LEVELS = 6

KEYS: dict[str, tuple[str, ...]] = {
    "rule": ("rule.id", "kibana.alert.rule.uuid", "ruleid", "rule_id", "alertid", "watch_id"),
    "name": ("rule.name", "kibana.alert.rule.name", "rulename", "rule_name", "alertname", "watch_id"),
    "type": ("rule.type", "kibana.alert.rule.rule_type_id", "ruletype", "rule_type", "kibana.alert.rule.category"),
    "space": ("rule.spaceid", "rule.space", "spaceid", "space_id", "kibana.space_ids.0"),
    "tags": ("rule.tags", "kibana.alert.rule.tags", "tags"),
    "alert": ("alert.id", "kibana.alert.instance.id", "alertinstanceid", "alert_id"),
    "uuid": ("alert.uuid", "kibana.alert.uuid"),
    "group": (
        "alert.actiongroup",
        "kibana.alert.action_group",
        "alertactiongroup",
        "action_group",
        "actiongroup",
        "alert.actiongroupname",
        "alertactiongroupname",
        "action_group_name",
    ),
    "status": ("kibana.alert.status", "status", "alert.status", "state"),
    "severity": (
        "severity",
        "context.severity",
        "kibana.alert.severity",
        "kibana.alert.rule.severity",
        "metadata.severity",
        "kibana.alert.rule.parameters.severity",
    ),
    "reason": ("context.reason", "kibana.alert.reason", "reason", "context.message", "message", "context.title"),
    "value": (
        "context.value",
        "kibana.alert.evaluation.value",
        "kibana.alert.evaluation.values.0",
        "observed",
        "value",
        "context.value.condition0",
    ),
    "threshold": (
        "context.threshold",
        "kibana.alert.evaluation.threshold",
        "threshold",
        "context.threshold.0",
        "kibana.alert.evaluation.threshold.0",
        "context.threshold.condition0.0",
    ),
    "metric": ("context.metric", "metric", "context.metric.condition0"),
    "began": ("kibana.alert.start", "alert.start", "context.start"),
    "at": (
        "context.timestamp",
        "date",
        "@timestamp",
        "timestamp",
        "kibana.alert.rule.execution.timestamp",
        "trigger.triggered_time",
        "execution_time",
        "ctx.execution_time",
    ),
    "ended": ("kibana.alert.end", "alert.end"),
    "details": ("context.alertdetailsurl", "kibana.alert.url", "alertdetailsurl"),
    "link": ("rule.url", "context.viewinappurl", "context.link", "context.results_link", "rule_url"),
}
"""What we want of a report → where it stands, flattened with dots and in lower case, the most exact first."""

ENDED = frozenset({"recovered", "untracked", "ok", "resolved", "closed"})
"""`untracked`: the rule was disabled or deleted while its alert was active, so that nobody watches it any more."""
BEGUN = frozenset({"active", "firing", "alert", "open", "triggered", "fired", "new", "ongoing", "acknowledged"})

GROUP_SEVERITIES = (
    ("slo.burnrate.alert", Severity.CRITICAL),
    ("slo.burnrate.high", Severity.ERROR),
    ("slo.burnrate.medium", Severity.WARNING),
    ("slo.burnrate.low", Severity.INFO),
    ("critical", Severity.CRITICAL),
    ("major", Severity.ERROR),
    ("warning", Severity.WARNING),
    ("nodata", Severity.WARNING),
)
"""Part of an action group's id → severity, where no field says it."""

TYPE_WORDS = (
    ("burnrate", "error budget burn"),
    ("error_rate", "errors"),
    ("transaction_duration", "latency"),
    ("monitorstatus", "down"),
    ("uptime", "down"),
    ("synthetics", "down"),
    ("cpu", "cpu"),
    ("memory", "memory"),
    ("disk", "disk"),
    ("document.count", "volume"),
    ("cluster_health", "unhealthy"),
)
"""Part of a rule type's id → words that tell its symptom, where name and reason hold none."""

SUBJECTS = (
    ("service", ("context.servicename", "service.name", "context.service.name")),
    ("host", ("context.host.name", "host.name", "context.hostname", "context.host")),
    ("environment", ("context.environment", "service.environment", "labels.environment")),
    ("region", ("cloud.region", "context.cloud.region")),
    ("container", ("context.container.name", "container.name")),
    ("pod", ("kubernetes.pod.name", "context.kubernetes.pod.name", "orchestrator.resource.name")),
)
LABEL_PARENTS = ("labels.", "context.labels.", "kibana.alert.labels.", "context.grouping.", "metadata.")

WATCH_EXPIRES_AFTER = timedelta(hours=24)
"""A watch never says that its condition ended."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert for each alert in the body. Raises BadPayload when one has neither a rule nor a state."""
    body = parsed(message.body)
    told = [_Told(entry, path) for entry, path in _entries(body)]
    if not told:
        return Normalized(ignored="a summary without alerts")
    if all(one.is_template for one in told):
        return Normalized(ignored="test of the connector: the template's variables are not filled in")
    return Normalized(alerts=worst_first(_alert(one, message, hook) for one in told))


class _Told:
    """One alert, its fields flattened; what stands as JSON inside a text is opened."""

    def __init__(self, entry: Mapping[str, Any], path: str) -> None:
        self.path = path
        self.flat = Fields(dict(_flattened(entry, "", 0)))
        self.labels = _labels(self.flat)

    def text(self, what: str) -> str:
        return self.flat.text(*KEYS[what], limit=2048)

    @property
    def is_template(self) -> bool:
        """Kibana always fills its variables in, but for the connector's Test tab."""
        texts = [value for value in self.flat.data.values() if isinstance(value, str) and value]
        return bool(texts) and any("{{" in text for text in texts) and not self.text("name")

    @property
    def is_watch(self) -> bool:
        return "watch_id" in self.flat


def _entries(body: Any) -> Iterator[tuple[dict[str, Any], str]]:  # noqa: ANN401
    """Each alert of the body: of a summary, those of its three lists; of an array, its objects; else the body."""
    if isinstance(body, list):
        for n, entry in enumerate(body):
            if not isinstance(entry, dict):
                raise BadPayload(f"expected an object, found {kind_of(entry)}", path=str(n))
            yield entry, str(n)
        return
    if not isinstance(body, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(body)}")
    lists = body.get("alerts")
    if not isinstance(lists, (dict, list)):
        inner = body.get("webhook_body", body.get("ctx"))
        yield (inner if isinstance(inner, dict) else body), ""
        return
    shared = {key: value for key, value in body.items() if key != "alerts"}
    for state in ("new", "ongoing", "recovered") if isinstance(lists, dict) else ("",):
        group = lists.get(state) if isinstance(lists, dict) else lists
        data = group.get("data") if isinstance(group, dict) else group
        for n, entry in enumerate(data if isinstance(data, list) else []):
            if isinstance(entry, dict):
                known = {"kibana.alert.status": "recovered"} if state == "recovered" else {}
                yield {**shared, **known, **entry}, f"alerts.{state}.data.{n}" if state else f"alerts.{n}"


def _flattened(value: object, path: str, level: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str) and value[:1] == "{" and level < MAX_LEVELS:
        with suppress(BadPayload):
            value = parsed(value.encode("utf-8", "replace"))
    if isinstance(value, dict) and level < MAX_LEVELS:
        for key, item in value.items():
            yield from _flattened(item, f"{path}.{key}" if path else key, level + 1)
    elif isinstance(value, list):
        yield _named(path), ", ".join(str(item) for item in value if isinstance(item, (str, int, float)))[:1024]
        for n, item in enumerate(value[:5]):
            if not isinstance(item, (dict, list)):
                yield f"{_named(path)}.{n}", item
    else:
        yield _named(path), value


def _named(path: str) -> str:
    """`rule_info.name` of a template that nests its variables so is `rule.name`."""
    return path.lower().replace("_info.", ".") if "_info." in path.lower() else path.lower()


def _labels(flat: Fields) -> dict[str, str]:
    """What names the subject, and everything below a parent that holds labels."""
    found: dict[str, object] = {}
    for key, value in flat.data.items():
        parent = next((parent for parent in LABEL_PARENTS if key.startswith(parent)), None)
        if parent:
            found[key.removeprefix(parent)] = value
        elif key in _OWN:
            found[key] = value
    for label, places in SUBJECTS:
        if said := flat.text(*places):
            found[label] = said
    for tag in flat.text(*KEYS["tags"]).split(","):
        name, colon, value = tag.strip().partition(":")
        if colon and value:
            found.setdefault(name.strip(), value.strip())
    return filled(labels_of(found))


_OWN = frozenset(
    {"service", "model", "feature", "dataset", "job_name", "queue", "topic", "subject", "symptom", "segment", "host"}
    | {"model_version", "cohort", "sample_size", "baseline", "environment", "region", "request_id", "trace_url"}
)


def _status(told: _Told) -> Status:
    for word in (told.text("group").lower(), told.text("status").lower()):
        if word in ENDED:
            return Status.RESOLVED
    words = (told.text("group"), told.text("status"))
    if told.is_watch or words[0] or words[1].lower() in BEGUN or not any(words):
        return Status.FIRING
    raise BadPayload(f"{words[1][:40]!r} is no state of an alert", path=f"{told.path}.status".lstrip("."))


def _alert(told: _Told, message: Message, hook: Hook) -> Alert:
    name, rule = told.text("name"), told.text("rule")
    if not name:
        path = f"{told.path}.rule.name".lstrip(".")
        raise BadPayload("no rule is named: the template must send {{rule.name}}", path=path)
    status = _status(told)
    instance = told.text("alert") or told.text("uuid")
    rule_type = told.text("type")
    reason = told.text("reason")
    labels = told.labels | filled(
        {
            "rule_type": rule_type,
            "action_group": told.text("group"),
            "space": told.text("space"),
            "alert_id": instance,
            "severity": told.text("severity"),
        }
    )
    words = next((words for part, words in TYPE_WORDS if part in rule_type.lower()), "")
    began = any_time(told.text("began"), told.text("at"))
    firing = status is Status.FIRING
    return alert_of(
        message,
        hook,
        source=NAME,
        name=name,
        about=Subject.of("unknown", name[:255]),
        status=status,
        severity=_severity(told),
        labels=labels,
        symptom=symptom_of(labels, name, told.text("metric"), reason, words),
        summary=f"{name}: {reason}" if reason and reason != name else name,
        key=f"{told.text('space')}:{rule or name}:{instance}",
        starts_at=began if firing else any_time(told.text("began")),
        ends_at=any_time(told.text("ended"), told.text("at")),
        resource=instance if instance not in ("*", "query matched", name) else "",
        metric=told.text("metric")[:255],
        observed=number(told.text("value")),
        threshold=number(told.text("threshold")),
        links={"alert": told.text("details"), "rule": told.text("link")},
        resolves=Resolves.EXPIRY if told.is_watch else Resolves.SENDER,
        expires_after=WATCH_EXPIRES_AFTER if told.is_watch else None,
    )


def _severity(told: _Told) -> Severity:
    if said := told.text("severity"):
        return severity_of(said)
    if told.labels.get("priority"):
        return severity_of(told.labels["priority"])
    group = told.text("group").lower()
    return next((severity for part, severity in GROUP_SEVERITIES if part in group), Severity.WARNING)


SETUP = """\
Stack Management → Connectors → Create → **Webhook**: method POST, URL `{url}`, header
`Authorization: Bearer {secret}` (as a secret header). In each rule add the action twice, *For each alert* and *On
status changes*: once for its firing group, once for **Recovered**, both with this body:

```json
{{"rule": {{"id": "{{{{rule.id}}}}", "name": "{{{{rule.name}}}}", "type": "{{{{rule.type}}}}",
           "url": "{{{{rule.url}}}}", "spaceId": "{{{{rule.spaceId}}}}", "tags": "{{{{rule.tags}}}}"}},
 "alert": {{"id": "{{{{alert.id}}}}", "uuid": "{{{{alert.uuid}}}}", "actionGroup": "{{{{alert.actionGroup}}}}"}},
 "context": {{"reason": "{{{{context.reason}}}}", "value": "{{{{context.value}}}}",
             "threshold": "{{{{context.threshold}}}}", "alertDetailsUrl": "{{{{context.alertDetailsUrl}}}}",
             "host": "{{{{context.host.name}}}}", "serviceName": "{{{{context.serviceName}}}}",
             "timestamp": "{{{{context.timestamp}}}}"}},
 "date": "{{{{date}}}}", "severity": "warning"}}
```

`severity` is yours to set, per rule and group. Rule tags written `service:checkout`, `model:churn`,
`feature:age_days` or `symptom:latency` say what an alert is about. A Watcher action of type webhook: body
`{{{{#toJson}}}}ctx{{{{/toJson}}}}`; what a watch reports ends a day after its last report.
Kibana tries a failed action a few times (`xpack.actions.run.maxAttempts`), then drops it: a lost recovery is not told
again.
"""

SOURCE = Source(
    name=NAME,
    title="Kibana alerting (Elastic)",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("elastic", "elasticsearch", "elastic_kibana", "watcher"),
    ignores=("a connector's test, whose variables are not filled in", "summaries without alerts"),
    setup=SETUP,
)
