"""What does a CloudWatch alarm say? Its state change as SNS posts it, as EventBridge and Lambda get it.

SNS: `AlarmName`, `NewStateValue`, `Trigger` in capitals. EventBridge (`detail`) and a Lambda action (`alarmData`):
`alarmName`, `state`, `configuration`. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tocsin.domain.alert import Alert, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert
from tocsin.sources._identity import labels_of, severity_of, subject_of
from tocsin.sources._json import number, parsed, text
from tocsin.sources._monitored import resource_beside
from tocsin.sources._times import window_start

STATES = {"ALARM": Status.FIRING, "OK": Status.RESOLVED, "INSUFFICIENT_DATA": Status.RESOLVED}
"""INSUFFICIENT_DATA ends an alarm: CloudWatch does not hold it to be in ALARM any longer (its summary says why)."""

DIMENSIONS: Mapping[str, str] = {
    "function_name": "service", "api_name": "service", "api_id": "service", "load_balancer": "service",
    "load_balancer_name": "service", "target_group": "service", "auto_scaling_group_name": "service",
    "distribution_id": "service", "domain_name": "service", "app": "service", "health_check_id": "service",
    "server_name": "host", "instance_id": "host", "db_instance_identifier": "host", "db_cluster_identifier": "host",
    "dbinstance_identifier": "host", "dbcluster_identifier": "host", "cache_cluster_id": "host", "broker": "host",
    "replication_group_id": "host", "file_system_id": "host", "queue_name": "queue", "topic_name": "queue",
    "stream_name": "queue", "delivery_stream_name": "queue", "bucket_name": "dataset", "table_name": "dataset",
    "feature_group_name": "dataset", "feature_group": "dataset", "state_machine_arn": "job", "project_name": "job",
    "workflow_name": "job", "data_flow_name": "job", "job_queue": "queue", "endpoint_name": "model",
    "inference_component_name": "model", "model_id": "model", "endpoint": "model", "feature_name": "feature",
    "cluster_name": "cluster",
}  # fmt: skip
"""AWS's dimension, in snake case → the label that says the same everywhere."""

_LABELS = {"job": "job_name", "cluster": "service"}

SYMPTOMS: tuple[tuple[Symptom, str], ...] = (
    (Symptom.FEATURE_DRIFT, r"feature_baseline_drift_.*"),
    (Symptom.DATA_QUALITY, r"feature_(non_null|fill_rate|completeness)_.*"),
    (Symptom.AVAILABILITY, r"StatusCheckFailed.*|HealthCheckStatus|(Un)?HealthyHostCount|.*ConnectedState"),
    (Symptom.AVAILABILITY, r"ClusterStatus\..*|GroupInServiceInstances|RunningTaskCount"),
    (Symptom.FRESHNESS, r"ApproximateAgeOf.*|.*IteratorAge.*|.*ReplicaLag.*|.*ReplicationLag.*|DataFreshness"),
    (Symptom.SATURATION, r"ApproximateNumberOfMessages.*|BucketSizeBytes|NumberOfObjects|Free.*|.*Throttl.*"),
    (Symptom.SATURATION, r"DatabaseConnections|BurstBalance|.*CreditBalance|.*Utilization|.*Evictions"),
    (Symptom.COST, r"EstimatedCharges"),
    (Symptom.LATENCY, r"Duration|.*Latency|TargetResponseTime|.*OverheadLatency"),
    (Symptom.ERRORS, r"Errors?|.*[45]XX.*|.*Errors?|.*Fail.*|.*Exceptions?"),
    (Symptom.VOLUME, r"Invocations|RequestCount.*|NumberOf.*|Network(In|Out)|Incoming.*|.*RecordCount|Count"),
)
"""AWS's own metrics → symptom; first match wins. Metrics of a namespace of one's own are read by their words."""

NAMESPACES = {
    "model-metrics": Symptom.PERFORMANCE,
    "bias-metrics": Symptom.FAIRNESS,
    "explainability-metrics": Symptom.EXPLAINABILITY,
}
"""SageMaker Model Monitor's namespaces, by their last part."""

_SYMPTOMS = tuple((symptom, re.compile(words)) for symptom, words in SYMPTOMS)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
_FIRST_POINT = re.compile(r"datapoints?[^\[]{0,40}\[(-?\d+(?:\.\d+)?(?:E-?\d+)?)")
_LIMIT = re.compile(r"threshold \((-?\d+(?:\.\d+)?(?:E-?\d+)?)\)")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_FEATURE = re.compile(r"feature_(?:baseline_drift|non_null|fill_rate|completeness|sum|mean|data)_(.+)")
_SEVERITY = re.compile(r"\bseverity\s*[:=]\s*\"?(\w+)", re.IGNORECASE)
_TOKEN = re.compile(r"(?:^|[\[\s_\-/:.(])(p[0-5]|sev-?[0-5])(?=$|[\]\s_\-/:.)])", re.IGNORECASE)
_BRACKETED = re.compile(r"\[(critical|crit|error|warning|warn|info)\]|[-_\s](critical|warning)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alarm:
    name: str
    state: str
    state_path: str
    previous: str = ""
    reason: str = ""
    description: str = ""
    at: datetime | None = None
    since: datetime | None = None
    """Time of the first data point that was looked at."""
    arn: str = ""
    account: str = ""
    region: str = ""
    metric: str = ""
    namespace: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    observed: float | None = None
    threshold: float | None = None
    comparison: str = ""
    rule: str = ""
    suppressed_by: str = ""
    severity: str = ""
    contributor: str = ""
    """Which of a query's several series: each alarms for itself."""


def is_alarm(body: Mapping[str, Any]) -> bool:
    """Is this the state change of an alarm, or the event of one that was created, changed or deleted?"""
    kind = body.get("detail-type")
    if isinstance(kind, str) and kind.startswith("CloudWatch Alarm"):
        return True
    return "AlarmName" in body or isinstance(body.get("alarmData"), dict)


def alarm_event(body: dict[str, Any], message: Message, hook: Hook, *, source: str) -> Normalized:
    """The alert that one alarm's state change is, in any of its three spellings; an alarm that was deleted has ended.

    `body` is SNS's inner message, EventBridge's whole envelope or a Lambda action's event. Raises BadPayload with the
    path of what does not fit."""
    top = Fields(body)
    if "AlarmName" in body:
        found = _posted(top)
    elif "alarmData" in body:
        found = _told(top, top.need_inner("alarmData"))
    else:
        detail = top.need_inner("detail")
        operation = detail.text("operation")
        if operation and operation != "delete":
            return Normalized(ignored=f"alarm configuration {operation[:20]}d: its state did not change")
        found = _told(top, detail, state="OK" if operation == "delete" else "")
    if found.suppressed_by and STATES.get(found.state) is Status.FIRING:
        return Normalized(ignored=f"the composite alarm's actions are suppressed by {found.suppressed_by[:60]}")
    return Normalized(alerts=(_alert(found, message, hook, source),))


def _posted(top: Fields) -> _Alarm:
    """As SNS posts it. A body without a state (a template of one's own) is an alarm in ALARM."""
    trigger = top.inner("Trigger") if "Trigger" in top else top
    parts = _metrics(trigger.data.get("Metrics"), capital=True)
    metric = trigger.text("MetricName") or parts.metric
    reason = top.text("NewStateReason", limit=2000)
    limit = trigger.number("Threshold")
    return _Alarm(
        name=top.need("AlarmName"),
        state=top.text("NewStateValue") or "ALARM",
        state_path="NewStateValue",
        previous=top.text("OldStateValue"),
        reason=reason,
        description=top.text("AlarmDescription", limit=2000),
        at=top.time("StateChangeTime"),
        arn=top.text("AlarmArn"),
        account=top.text("AWSAccountId"),
        region=top.text("Region"),
        metric=metric,
        namespace=trigger.text("Namespace") or parts.namespace,
        dimensions=parts.dimensions
        | _dimensions(trigger.data.get("Dimensions"))
        | _dimensions(top.data.get("AlarmContributorAttributes"))
        | _own(top),
        observed=number(_found(_FIRST_POINT, reason)),
        threshold=limit if limit is not None else number(_found(_LIMIT, reason)),
        comparison=trigger.text("ComparisonOperator"),
        rule=top.text("AlarmRule"),
        suppressed_by=top.text("ActionsSuppressedBy"),
        severity=top.text("Priority", "Severity"),
        contributor=top.text("AlarmContributorId"),
    )


def _own(top: Fields) -> dict[str, str]:
    """What a relay that writes the body itself adds beside the alarm."""
    named = {"service": top.text("Application", "Service"), "environment": top.text("Environment")}
    return {key: value for key, value in named.items() if value}


def _told(top: Fields, alarm: Fields, *, state: str = "") -> _Alarm:
    """As EventBridge and Lambda get it."""
    now, before = alarm.inner("state"), alarm.inner("previousState")
    configuration, contributor = alarm.inner("configuration"), alarm.inner("alarmContributor")
    data = _reason_data(now)
    parts = _metrics(configuration.data.get("metrics"), capital=False)
    reason = now.text("reason", limit=2000)
    points = data.get("recentDatapoints")
    listed = points if isinstance(points, list) else []
    observed = next((found for each in listed if (found := number(each)) is not None), None)
    limit = number(data.get("threshold"))
    at = (top.time("time") if state else None) or now.time("timestamp") or top.time("time")
    resources = top.data.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else ""
    return _Alarm(
        name=alarm.need("alarmName"),
        state=state or now.need("value"),
        state_path=now.at_path("value"),
        previous=before.text("value"),
        reason=reason,
        description=configuration.text("description", limit=2000),
        at=at,
        since=window_start(data.get("startDate"), at),
        arn=top.text("alarmArn") or text(first, 2048),
        account=top.text("accountId", "account"),
        region=top.text("region"),
        metric=parts.metric,
        namespace=parts.namespace,
        dimensions=parts.dimensions | _dimensions(contributor.data.get("attributes")),
        observed=observed if observed is not None else number(_found(_FIRST_POINT, reason)),
        threshold=limit if limit is not None else number(_found(_LIMIT, reason)),
        comparison=configuration.text("comparisonOperator"),
        rule=configuration.text("alarmRule"),
        suppressed_by=now.text("actionsSuppressedBy"),
        contributor=contributor.text("id"),
    )


@dataclass(frozen=True, slots=True)
class _Metrics:
    metric: str = ""
    namespace: str = ""
    dimensions: dict[str, str] = field(default_factory=dict)


def _metrics(listed: object, *, capital: bool) -> _Metrics:
    """The metric that is returned, and the dimensions of all that it is made of."""
    metric = namespace = returned = ""
    dimensions: dict[str, str] = {}
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, dict):
            continue
        stat = each.get("MetricStat" if capital else "metricStat")
        inner = stat.get("Metric" if capital else "metric") if isinstance(stat, dict) else None
        one = Fields(inner if isinstance(inner, dict) else {})
        name = one.text("MetricName", "name") or Fields(each).text("Label", "label", "Expression", "expression")
        if each.get("ReturnData" if capital else "returnData") is True:
            returned = returned or name  # the first: an anomaly's band is returned after what it is laid around
        metric = metric or name
        namespace = namespace or one.text("Namespace", "namespace")
        dimensions |= _dimensions(one.data.get("Dimensions", one.data.get("dimensions")))
    return _Metrics(returned or metric, namespace, dimensions)


def _dimensions(listed: object) -> dict[str, str]:
    """Dimensions under names in snake case, from a list of names and values or from an object."""
    if isinstance(listed, list):
        pairs = (Fields(each) for each in listed if isinstance(each, dict))
        listed = {pair.text("name", "Name"): pair.text("value", "Value") for pair in pairs}
    return {_HUMP.sub("_", key).strip("_").lower(): value for key, value in labels_of(listed).items() if key and value}


def _reason_data(state: Fields) -> dict[str, Any]:
    """The JSON within `reasonData`; nothing when it cannot be read, as the reason says the same in words."""
    words = state.data.get("reasonData")
    try:
        data = parsed(words.encode("utf-8", "surrogatepass")) if isinstance(words, str) and words else words
    except BadPayload:
        return {}
    return data if isinstance(data, dict) else {}


def _alert(found: _Alarm, message: Message, hook: Hook, source: str) -> Alert:
    status = STATES.get(found.state)
    if status is None:
        raise BadPayload(f"{found.state[:40]!r} is no state of an alarm", path=found.state_path)
    tags = _tags(found)
    about = subject_of({**hook.defaults, **tags}, fallback=Subject.of("unknown", found.name))
    which = next((value for key, value in found.dimensions.items() if DIMENSIONS.get(key) == "host"), "")
    region = _region(found)
    word = _severity_word(found)
    return alert(
        message,
        hook,
        source=source,
        name=found.name,
        subject=about,
        status=status,
        severity=severity_of(word) if word else Severity.WARNING,
        symptom=None if "symptom" in {**hook.defaults, **tags} else _symptom(found),
        summary=f"{found.name}: {found.reason}" if found.reason else found.name,
        description=found.description,
        starts_at=found.at if status is Status.FIRING else None,
        ends_at=found.at,
        window_starts_at=found.since,
        tags=tags,
        labels={
            "severity": word,
            "state": found.state,
            "previous_state": found.previous,
            "account": found.account,
            "namespace": found.namespace,
            "comparison": found.comparison,
            "alarm_rule": found.rule,
        },
        links={"alarm": _console(found, region)},
        resource=",".join(part for part in (resource_beside(about, tags, which), found.contributor) if part),
        metric=found.metric,
        region=region,
        observed=found.observed,
        threshold=found.threshold,
        sender_key=(found.arn or f"{found.account}:{found.name}")
        + (f"#{found.contributor}" if found.contributor else ""),
    )


def _tags(found: _Alarm) -> dict[str, str]:
    """The dimensions, and under the labels that every source uses what they mean."""
    tags = dict(found.dimensions)
    for name, value in found.dimensions.items():
        if label := DIMENSIONS.get(name):
            tags.setdefault(_LABELS.get(label, label), _short(name, value))
    if feature := _FEATURE.fullmatch(found.metric):
        tags.setdefault("feature", feature[1])
    return tags


def _short(name: str, value: str) -> str:
    """`app/shop/50dc6c495c0c9188` → shop; the last part of an ARN."""
    if name in ("load_balancer", "target_group") and len(parts := value.split("/")) > 1:
        return parts[1] if parts[0] in ("app", "net", "gwy", "targetgroup") else parts[0]
    return value.rpartition(":")[2] if value.startswith("arn:") else value


def _symptom(found: _Alarm) -> Symptom | None:
    last = found.namespace.rpartition("/")[2].lower()
    if last in NAMESPACES:
        return NAMESPACES[last]
    if found.namespace and not found.namespace.lower().lstrip("/").startswith("aws/"):
        return None
    return next((symptom for symptom, words in _SYMPTOMS if words.fullmatch(found.metric)), None)


def _severity_word(found: _Alarm) -> str:
    """CloudWatch has none: people write it into the description (`severity: critical`) or the name (`[P1]`)."""
    if found.severity:
        return found.severity
    words = f"{found.name}"
    bracket = _BRACKETED.search(words)
    return (
        _found(_SEVERITY, found.description)
        or _found(_TOKEN, words).replace("-", "")
        or (bracket[1] or bracket[2] if bracket else "")
    )


def _region(found: _Alarm) -> str:
    """The region's code, from the ARN; SNS gives a name for people (`EU (Ireland)`) instead."""
    parts = found.arn.split(":")
    code = parts[3] if len(parts) > 5 else ""
    return code if _REGION.fullmatch(code) else found.region


def _console(found: _Alarm, region: str) -> str:
    if not _REGION.fullmatch(region):
        return ""
    name = quote(found.name, safe="")
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"


def _found(pattern: re.Pattern[str], words: str) -> str:
    found = pattern.search(words)
    return found[1] if found else ""
