"""Azure's schemas from before the common one: classic and newer metric alerts, log alerts, activity log, autoscale."""

from __future__ import annotations

from dataclasses import replace

from tocsin.domain.alert import Alert, Resolves, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert
from tocsin.sources._identity import labels_of, subject_of
from tocsin.sources._monitored import resource_beside
from tocsin.sources._times import window_start
from tocsin.sources.azure_monitor import activity
from tocsin.sources.azure_monitor.essentials import SAYS_ONCE, STATES
from tocsin.sources.azure_monitor.resource import (
    NAME,
    Target,
    breach,
    dimensions_of,
    is_test,
    severity,
    target_of,
    told_apart,
)


def metric(data: Fields, message: Message, hook: Hook) -> Normalized:
    """A metric or availability alert: the classic one carries one condition, the newer a list of them."""
    context = data.need_inner("context")
    if "activityLog" in context:
        return _activity(context.inner("activityLog"), data, message, hook)
    condition = context.inner("condition")
    listed = condition.each("allOf")
    first = listed[0] if listed else condition
    dimensions = dimensions_of(first.data.get("dimensions"))
    tags = dimensions | {key.lower(): value for key, value in labels_of(data.data.get("properties")).items() if value}
    target = _target(context)
    name = context.need("name", "id")
    if is_test(name, context.text("description")):
        return Normalized(ignored="test of an action group")
    about = subject_of({**hook.defaults, **tags}, fallback=target.subject or Subject.of("unknown", name))
    status = _status(data)
    at = context.time("timestamp")
    beyond = breach(first.text("metricValue"), first.text("operator"), first.text("threshold"))
    what = first.text("metricName")
    web_test = first.text("webTestName")
    which = (resource_beside(about, tags, target.name), told_apart(dimensions, about.name, target.name))
    found = alert(
        message,
        hook,
        source=NAME,
        name=name.rpartition("/")[2],
        subject=about,
        status=status,
        severity=severity(context.text("severity")),
        symptom=Symptom.AVAILABILITY if web_test else None,
        summary=f"{name}: {what} is {beyond}" if beyond else name,
        description=context.text("description"),
        starts_at=at if status is Status.FIRING else None,
        ends_at=at,
        tags=tags,
        labels=_labels(context, target) | {"web_test": web_test, "operator": first.text("operator")},
        links={"resource": context.text("portalLink", limit=2048)},
        resource=",".join(part for part in which if part),
        metric=what,
        observed=first.number("metricValue"),
        threshold=first.number("threshold"),
        sender_key=context.text("id").rpartition("/")[2],
    )
    return Normalized(alerts=(found,))


def log(data: Fields, message: Message, hook: Hook) -> Normalized:
    """A log alert before the common schema: it fires each time its search finds something, and never resolves."""
    name = data.need("AlertRuleName")
    if is_test(name, data.text("Description")):
        return Normalized(ignored="test of an action group")
    dimensions = dimensions_of(data.data.get("Dimensions"))
    word = data.text("MonitorCondition", "monitorCondition").lower()
    items = data.data.get("AffectedConfigurationItems")
    item = items[0] if isinstance(items, list) and items and isinstance(items[0], str) else ""
    target = target_of(item if "/" in item else data.text("ResourceId"), name="" if "/" in item else item)
    host = Subject.of("host", item) if item and "/" not in item else None
    fallback = target.subject or host or Subject.of("unknown", name)
    about = subject_of({**hook.defaults, **dimensions}, fallback=fallback)
    until = data.time("SearchIntervalEndtimeUtc", "SearchIntervalEndTimeUtc")
    count, limit = data.text("ResultCount", "SearchResultsCount"), data.text("AlertThresholdValue")
    found = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=about,
        status=STATES.get(word, Status.FIRING),
        severity=severity(data.text("Severity")),
        summary=f"{name}: {count or 'some'} results ({data.text('AlertThresholdOperator')} {limit})",
        description=data.text("Description"),
        starts_at=until,
        ends_at=until,
        window_starts_at=window_start(data.text("SearchIntervalStartTimeUtc"), until),
        tags=dimensions,
        labels={
            "severity": data.text("Severity"),
            "query": data.text("SearchQuery"),
            "alert_type": data.text("AlertType"),
            "subscription": data.text("SubscriptionId"),
            "application": data.text("ApplicationId"),
            "workspace": data.text("WorkspaceId"),
        },
        links={"query": data.text("LinkToSearchResults", "LinkToFilteredSearchResultsUI", limit=2048)},
        resource=resource_beside(about, dimensions, told_apart(dimensions, about.name)),
        observed=data.number("ResultCount", "SearchResultsCount"),
        threshold=data.number("AlertThresholdValue"),
        resolves=Resolves.EXPIRY,
        expires_after=SAYS_ONCE,
    )
    return Normalized(alerts=(found,))


def scaled(body: Fields, message: Message, hook: Hook) -> Normalized:
    """A notification of an autoscale setting."""
    context = body.need_inner("context")
    target = _target(context)
    fallback = target.subject or Subject.of("service", context.need("resourceName", "name"))
    return activity.autoscaled(body, message, hook, subject_of(hook.defaults, fallback=fallback))


def _activity(event: Fields, data: Fields, message: Message, hook: Hook) -> Normalized:
    operation, category = event.need("operationName"), event.text("eventSource", "category").lower()
    service = f"activitylog-{category or 'administrative'}"
    kind = operation.lower()
    if kind.startswith("microsoft.servicehealth") or category == "servicehealth":
        wrapped = Fields({"alertRule": "Azure service health", "firedDateTime": event.data.get("eventTimestamp")})
        return activity.service_health(wrapped, event, message, hook)
    found = _operation(event, operation, data, message, hook)
    if kind.startswith("microsoft.resourcehealth") or category == "resourcehealth":
        return Normalized(alerts=(_health(event, found),))
    return Normalized(alerts=(found,), changes=activity.changes(event, found, service, message, hook))


def _operation(event: Fields, operation: str, data: Fields, message: Message, hook: Hook) -> Alert:
    target = target_of(event.text("resourceId"), type=event.text("resourceType", "resourceProviderName"))
    fallback = target.subject or Subject.of("unknown", operation)
    status = event.text("status")
    return alert(
        message,
        hook,
        source=NAME,
        name=operation,
        subject=subject_of(hook.defaults, fallback=fallback),
        status=_status(data),
        severity=severity(event.text("level")),
        summary=f"{operation} {status}".strip(),
        description=event.text("description"),
        starts_at=event.time("eventTimestamp", "submissionTimestamp"),
        labels={
            "severity": event.text("level"),
            "operation": operation,
            "caller": event.text("caller"),
            "resource_group": event.text("resourceGroupName"),
            "subscription": event.text("subscriptionId"),
        },
        links={"resource": target.link},
        sender_key=event.text("correlationId", "operationId"),
        resolves=Resolves.EXPIRY,
        expires_after=SAYS_ONCE,
    )


def _health(event: Fields, found: Alert) -> Alert:
    """The same as an alert about the resource's health, which has an end."""
    now = event.inner("properties").text("currentHealthStatus").lower()
    over = now == "available" or event.text("status").lower() == "resolved"
    return replace(
        found,
        name="ResourceHealth",
        symptom=Symptom.AVAILABILITY,
        status=Status.RESOLVED if over else Status.FIRING,
        starts_at=None if over else found.starts_at,
        ends_at=found.starts_at if over else None,
        resolves=Resolves.SENDER,
        expires_after=None,
        sender_key=found.subject,
        fingerprint="",
    )


def _status(data: Fields) -> Status:
    word = data.text("status") or "Activated"
    status = STATES.get(word.lower())
    if status is None:
        raise BadPayload(f"{word[:40]!r} is neither Activated nor Deactivated", path=data.at_path("status"))
    return status


def _target(context: Fields) -> Target:
    return target_of(context.text("resourceId"), name=context.text("resourceName"), type=context.text("resourceType"))


def _labels(context: Fields, target: Target) -> dict[str, str]:
    return {
        "severity": context.text("severity"),
        "resource_group": context.text("resourceGroupName") or target.group,
        "subscription": context.text("subscriptionId") or target.subscription,
        "resource_type": target.type,
        "region": context.text("resourceRegion"),
        "condition": context.text("conditionType"),
    }
