"""Alerts in Azure Monitor's common alert schema, whose facts lie in `essentials`: metric, log, Prometheus,
smart detection, budget, health and activity log.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tocsin.domain.alert import Alert, Resolves, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert
from tocsin.sources._identity import labels_of, subject_of
from tocsin.sources._json import number
from tocsin.sources._monitored import resource_beside
from tocsin.sources._times import window_start
from tocsin.sources.azure_monitor import activity
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

STATES = {
    "fired": Status.FIRING,
    "activated": Status.FIRING,
    "resolved": Status.RESOLVED,
    "deactivated": Status.RESOLVED,
}

SAYS_ONCE = timedelta(hours=1)
"""Activity log rules and budgets never resolve: such an alert ends by itself."""


def read(data: Fields, message: Message, hook: Hook) -> Normalized:
    """What one notification says. Raises BadPayload with the path of what does not fit."""
    essentials, context = data.need_inner("essentials"), data.inner("alertContext")
    if _is_test(essentials, context):
        return Normalized(ignored="test of an action group")
    service = _service(essentials)
    if service == "servicehealth":
        return activity.service_health(essentials, context, message, hook)
    found = _alert(essentials, context, data, message, hook)
    changes = activity.changes(context, found, service, message, hook)
    return Normalized(alerts=(found,), changes=changes)


def _service(essentials: Fields) -> str:
    """`Activity Log - Administrative` → activitylog-administrative."""
    return essentials.text("monitoringService").lower().replace(" ", "")


def _is_test(essentials: Fields, context: Fields) -> bool:
    if is_test(essentials.text("alertRule"), essentials.text("description")):
        return True
    told = context.data.get("properties")
    synthetic = Fields(told if isinstance(told, dict) else {}).text("IsSynthetic").lower() == "true"
    return synthetic or (_is_budget(context) and essentials.text("alertId").endswith("/Test_Alert"))


def _alert(essentials: Fields, context: Fields, data: Fields, message: Message, hook: Hook) -> Alert:
    service = _service(essentials)
    budget = context.inner("AlertData") if _is_budget(context) else Fields({})
    rule = budget.text("BudgetName") or essentials.need("alertRule")
    condition = context.inner("condition")
    criteria = condition.each("allOf")
    first = criteria[0] if criteria else Fields({})
    dimensions = dimensions_of(first.data.get("dimensions", context.data.get("Dimensions")))
    tags = dimensions | _told(context) | _told_beside(data)
    target = _target(essentials)
    fallback = target.subject or Subject.of("unknown", rule)
    if _is_budget(context):
        fallback = Subject.of("provider", "azure")
    if fallback.kind == "model" and "deployment" in tags:
        tags["endpoint_deployment"] = tags.pop("deployment")
    about = subject_of({**hook.defaults, **tags}, fallback=fallback)
    status = _status(essentials, context, service)
    once = service.startswith("activitylog") or _is_budget(context)
    word = essentials.text("severity")
    beside = resource_beside(about, tags, "" if target.is_a_store or budget.data else target.name)
    which = ",".join(part for part in (beside, told_apart(dimensions, about.name, target.name)) if part)
    description = essentials.text("description", limit=2000)
    return alert(
        message,
        hook,
        source=NAME,
        name=rule,
        subject=about,
        status=status,
        severity=severity((context.text("level") if service == "resourcehealth" else "") or word),
        symptom=_symptom(context, service, {**hook.defaults, **tags}),
        summary=_summary(rule, essentials, context, first, description),
        description=description,
        starts_at=_began(essentials, context, status),
        ends_at=essentials.time("resolvedDateTime") or context.time("eventTimestamp"),
        window_starts_at=_looked_since(context, condition),
        tags=tags,
        labels={
            "severity": word,
            "monitoring_service": essentials.text("monitoringService"),
            "signal": essentials.text("signalType"),
            "resource_group": target.group,
            "subscription": target.subscription,
            "resource_type": target.type,
            "query": first.text("searchQuery") or context.text("SearchQuery", "expression"),
            "operator": first.text("operator"),
            "window": condition.text("windowSize"),
            "operation": context.text("operationName"),
            "caller": context.text("caller"),
        },
        links={
            "alert": essentials.text("investigationLink", limit=2048),
            "query": first.text("linkToSearchResultsUI", "linkToFilteredSearchResultsUI", limit=2048)
            or context.text("LinkToSearchResults", limit=2048),
            "resource": target.link,
        },
        resource=which,
        metric=_metric(first, context),
        observed=_observed(first, context, budget),
        threshold=_amount(budget.text("NotificationThresholdAmount", "BudgetThreshold"))
        if budget.data
        else (first.number("threshold") if criteria else context.number("Threshold", "AlertThresholdValue")),
        baseline=number(context.text("NormalValue")),
        sender_key=_key(essentials, target, service),
        resolves=Resolves.EXPIRY if once else Resolves.SENDER,
        expires_after=SAYS_ONCE if once else None,
    )


def _target(essentials: Fields) -> Target:
    ids = essentials.data.get("alertTargetIDs")
    first = ids[0] if isinstance(ids, list) and ids and isinstance(ids[0], str) else ""
    items = essentials.data.get("configurationItems")
    item = items[0] if isinstance(items, list) and items and isinstance(items[0], str) else ""
    found = target_of(first)
    return found if found.name else target_of(first, name=item, type="configuration item" if item else "")


def _status(essentials: Fields, context: Fields, service: str) -> Status:
    """`monitorCondition`; but resource health always says Fired, and tells the end within."""
    word = (essentials.text("monitorCondition") or "Fired").lower()
    status = STATES.get(word)
    if status is None:
        raise BadPayload(f"{word[:40]!r} is neither Fired nor Resolved", path=essentials.at_path("monitorCondition"))
    if service == "resourcehealth":
        now = context.inner("properties").text("currentHealthStatus").lower()
        if now == "available" or (not now and context.text("status").lower() == "resolved"):
            return Status.RESOLVED
    return status


def _key(essentials: Fields, target: Target, service: str) -> str:
    """The alert's own id; that of resource health is another one for each event, so that its resource stands for it."""
    if service == "resourcehealth":
        return f"resourcehealth:{target.name}"
    return essentials.text("originAlertId", "alertId").rpartition("/")[2]


def _began(essentials: Fields, context: Fields, status: Status) -> datetime | None:
    """An event of the activity log that tells an end does not tell the beginning."""
    if status is Status.RESOLVED and "eventTimestamp" in context:
        return None
    return essentials.time("firedDateTime") or context.time("eventTimestamp")


def _looked_since(context: Fields, condition: Fields) -> datetime | None:
    if "windowStartTime" in condition:
        return window_start(condition.text("windowStartTime"), condition.time("windowEndTime"))
    until = context.time("SearchIntervalEndtimeUtc", "SearchIntervalEndTimeUtc")
    return window_start(context.text("SearchIntervalStartTimeUtc"), until)


def _told(context: Fields) -> dict[str, str]:
    """Prometheus' labels; for other rules the properties that people gave the rule."""
    labels = labels_of(context.data.get("labels"))
    if labels or "operationName" in context:
        return labels
    return {key.lower(): value for key, value in labels_of(context.data.get("properties")).items() if value}


def _told_beside(data: Fields) -> dict[str, str]:
    return {key.lower(): value for key, value in labels_of(data.data.get("customProperties")).items() if value}


def _is_budget(context: Fields) -> bool:
    return context.text("AlertCategory").lower() == "budgets"


def _symptom(context: Fields, service: str, tags: dict[str, str]) -> Symptom | None:
    if "symptom" in tags:
        return None
    if _is_budget(context):
        return Symptom.COST
    if service == "resourcehealth" or "webtest" in context.text("conditionType").lower():
        return Symptom.AVAILABILITY
    return None


def _metric(first: Fields, context: Fields) -> str:
    if name := first.text("metricName"):
        return name
    column = first.text("metricMeasureColumn")
    return column or ("expression" if context.text("expression") else "")


def _amount(words: str) -> float | None:
    """`$11,111.00` → 11111.0"""
    return number(words.strip("$€£ ").replace(",", ""))


def _observed(first: Fields, context: Fields, budget: Fields) -> float | None:
    if budget.data:
        return _amount(budget.text("SpentAmount", "AmountCurrent"))
    found = first.number("metricValue")
    if found is not None:
        return found
    return context.number("expressionValue", "ResultCount", "DetectedValue")


def _summary(rule: str, essentials: Fields, context: Fields, first: Fields, description: str) -> str:
    told = Fields(context.inner("annotations").data if isinstance(context.data.get("annotations"), dict) else {})
    properties = context.data.get("properties")
    inner = Fields(properties if isinstance(properties, dict) else {})
    words = told.text("summary", "description") or context.text("DetectionSummary") or inner.text("title")
    if words:
        return f"{rule}: {words}"
    if operation := context.text("operationName"):
        return f"{rule}: {operation} {context.text('status')}".strip()
    beyond = breach(first.text("metricValue"), first.text("operator"), first.text("threshold"))
    if beyond:
        return f"{rule}: {first.text('metricName', 'metricMeasureColumn') or 'result'} is {beyond}"
    return f"{rule}: {description}" if description else rule
