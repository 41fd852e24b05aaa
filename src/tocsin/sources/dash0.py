"""Which Dash0 check failed, degraded or recovered?

One issue per body under `data.issue`; its labels are OpenTelemetry's pairs of a key and a typed value, and
for synthetic checks pairs in a list. Nothing is signed. https://www.dash0.com/docs/dash0/monitoring/alerting
"""

from __future__ import annotations

import re
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, fields_of, said
from tocsin.sources._identity import severity_of
from tocsin.sources._verify import shared_secret

NAME = "dash0"

STATES = {
    "critical": Severity.CRITICAL,
    "failed": Severity.CRITICAL,
    "degraded": Severity.WARNING,
    "warning": Severity.WARNING,
    "open": Severity.WARNING,
    "ongoing": Severity.WARNING,
    "resolved": None,
    "ok": None,
    "closed": None,
}
"""issue.status → how bad; None is over."""

_METRIC = re.compile(r'otel_metric_name\s*=\s*"([^"]+)"')
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")


def normalize(message: Message, hook: Hook) -> Normalized:
    """The issue's state. Raises BadPayload without an issue and for an unknown status."""
    body = fields_of(message)
    kind = body.text("type")
    if kind.lower() in ("test", "alert.test") or "test" in kind.lower().split("."):
        return Normalized(ignored="Dash0's test notification")
    issue = body.need_inner("data").need_inner("issue")
    word = issue.text("status") or kind.rpartition(".")[2]
    if word.lower() not in STATES:
        raise BadPayload(f"{word[:40]!r} is no state of an issue", path="data.issue.status")
    over = STATES[word.lower()] is None or kind.endswith(".resolved")
    rules = issue.each("checkrules")
    rule = rules[0] if rules else issue.inner("check")
    labels = _labels(issue.data.get("labels"), issue.at_path("labels"))
    annotations = _labels(issue.data.get("annotations"), issue.at_path("annotations"))
    named = {**_labels(rule.data.get("labels"), rule.at_path("labels")), **labels}
    name = rule.text("name") or named.get("alertname") or issue.text("summary") or issue.need("issueIdentifier", "id")
    metric = _METRIC.search(rule.text("expression", limit=4096))
    key = issue.text("issueIdentifier", "id")
    own = named.get("priority") or named.get("severity")
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=_subject(named, name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=STATES[word.lower()] or severity_of(own),
        summary=issue.text("summary") or name,
        description=issue.text("description"),
        starts_at=issue.time("start"),
        ends_at=issue.time("end"),
        tags=named,
        labels={
            "dataset_of_dash0": issue.text("dataset"),
            "expression": rule.text("expression"),
            "rule": rule.text("id"),
        },
        links={
            "issue": issue.text("url"),
            "check": rule.text("url"),
            "runbook": annotations.get("runbook_url"),
            "dashboard": annotations.get("dashboard_url"),
        },
        metric=metric[1] if metric else "",
        threshold=_threshold(rule, word.lower()),
        sender_key=key,
        resource=named.get("service.instance.id", "") or named.get("k8s.pod.name", ""),
    )
    return Normalized(alerts=(told,))


def _subject(labels: dict[str, str], name: str) -> Subject:
    resource = labels.get("dash0.resource.name")
    return Subject.of("service", resource) if resource else Subject.of("unknown", name)


def _labels(sent: Any, path: str) -> dict[str, str]:  # noqa: ANN401
    """Labels from an object, from {key, value: {stringValue}} or from [key, value] pairs."""
    if sent is None:
        return {}
    if isinstance(sent, dict):
        return {str(key): word for key, value in sent.items() if (word := said(value))}
    if not isinstance(sent, list):
        raise BadPayload("expected a list of labels", path=path)
    found: dict[str, str] = {}
    for entry in sent:
        key, value = _pair(entry)
        if isinstance(value, dict):
            value = next((value[kind] for kind in _VALUES if kind in value), None)
        if key and (word := said(value)):
            found[key] = word
    return found


def _pair(entry: object) -> tuple[str, Any]:
    if isinstance(entry, dict):
        return said(entry.get("key")), entry.get("value")
    if isinstance(entry, list) and len(entry) == 2:
        return said(entry[0]), entry[1]
    return "", None


def _threshold(rule: Fields, state: str) -> float | None:
    """The threshold of the state that holds; of one that is over, the lower."""
    thresholds = rule.inner("thresholds")
    if state in ("critical", "failed"):
        return thresholds.number("failed", "critical")
    return thresholds.number("degraded", "failed", "critical")


SOURCE = Source(
    name=NAME,
    title="Dash0",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    ignores=("test notifications",),
    setup="""\
Organisation settings → Notification channels → **Webhook**: URL `{url}`, header `Authorization: Bearer {secret}`;
assign it to check rules and synthetic checks. `service.name` of the failing resource is the subject; labels `model`,
`feature` or `dataset` on the check rule name another. Critical and degraded are one alert whose severity moves.
""",
)
