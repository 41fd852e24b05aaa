"""What happened in Azure itself? Operations in the activity log, service health, autoscaling."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.domain.alert import Alert, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, change
from tocsin.sources.azure_monitor.resource import NAME

OUTCOMES: Mapping[str, ChangeOutcome] = {
    "succeeded": ChangeOutcome.SUCCESS,
    "success": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "started": ChangeOutcome.RUNNING,
    "accepted": ChangeOutcome.RUNNING,
    "in progress": ChangeOutcome.RUNNING,
}
"""Status of an operation in the activity log."""

OPERATIONS = ("activitylog-administrative", "activitylog-autoscale")
"""Services whose events change something; policy, security and advice change nothing."""

ADVISORIES = frozenset({"informational", "actionrequired", "security", "billing", "retirement"})


def changes(context: Fields, found: Alert, service: str, message: Message, hook: Hook) -> tuple[Change, ...]:
    """The change that an administrative or autoscale operation is; its rule's alert stands beside it."""
    if not service.startswith(OPERATIONS):
        return ()
    operation, status = context.text("operationName"), context.text("status").lower()
    outcome = OUTCOMES.get(status, ChangeOutcome.UNKNOWN)
    at = context.time("eventTimestamp", "submissionTimestamp") or found.starts_at
    id = context.text("operationId", "correlationId", "eventDataId") or found.sender_key
    return (
        change(
            message,
            hook,
            source=NAME,
            id=id,
            kind=ChangeKind.ENVIRONMENT_MODIFIED,
            subject=found.subject,
            occurred_at=at,
            finished_at=None if outcome is ChangeOutcome.RUNNING else at,
            outcome=outcome,
            author=context.text("caller"),
            summary=f"{operation or found.name}: {status or 'status unknown'}",
            labels={"operation": operation, "level": context.text("level"), "rule": found.name},
        ),
    )


def service_health(essentials: Fields, context: Fields, message: Message, hook: Hook) -> Normalized:
    """An incident of Azure is an alert about `provider:azure`; planned maintenance is a change. Both are known by the
    tracking id."""
    told = context.inner("properties")
    kind, stage = told.text("incidentType").lower(), told.text("stage").lower()
    if stage == "rca":
        return Normalized(ignored="service health: an analysis afterwards; nothing began or ended")
    if kind == "maintenance":
        return Normalized(changes=(_maintenance(essentials, context, stage, message=message, hook=hook),))
    over = stage in ("resolved", "complete", "canceled") or context.text("status").lower() == "resolved"
    over = over or essentials.text("monitorCondition").lower() == "resolved"
    rule, tracked = essentials.need("alertRule"), told.text("trackingId", "communicationId")
    title = told.text("title", "defaultLanguageTitle")
    at = essentials.time("firedDateTime") or context.time("eventTimestamp")
    return Normalized(
        alerts=(
            alert(
                message,
                hook,
                source=NAME,
                name=rule,
                subject=Subject.of("provider", "azure"),
                status=Status.RESOLVED if over else Status.FIRING,
                severity=Severity.INFO if kind in ADVISORIES else Severity.ERROR,
                symptom=Symptom.AVAILABILITY,
                summary=f"{rule}: {title}" if title else rule,
                starts_at=told.time("impactStartTime") or at,
                ends_at=told.time("impactMitigationTime") or at,
                labels=_labels(told, stage) | {"severity": essentials.text("severity")},
                links={"tracking": f"https://app.azure.com/h/{tracked}" if tracked.isalnum() else ""},
                resource=tracked,
                sender_key=tracked or essentials.text("originAlertId", "alertId").rpartition("/")[2],
            ),
        )
    )


def _maintenance(essentials: Fields, context: Fields, stage: str, *, message: Message, hook: Hook) -> Change:
    told = context.inner("properties")
    ended = stage in ("resolved", "complete", "canceled")
    at = told.time("impactStartTime") or context.time("eventTimestamp") or essentials.time("firedDateTime")
    running = ChangeOutcome.UNKNOWN if stage == "planned" else ChangeOutcome.RUNNING
    return change(
        message,
        hook,
        source=NAME,
        id=told.text("trackingId") or essentials.text("alertId", "originAlertId"),
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("provider", "azure"),
        occurred_at=at,
        finished_at=(told.time("impactMitigationTime") or at) if ended else None,
        outcome=ChangeOutcome.SUCCESS if ended else running,
        summary=f"Azure maintenance: {told.text('title', 'defaultLanguageTitle') or essentials.text('alertRule')}",
        labels=_labels(told, stage),
    )


def _labels(told: Fields, stage: str) -> dict[str, str]:
    return {
        "azure_service": told.text("service"),
        "region": told.text("region"),
        "incident_type": told.text("incidentType"),
        "stage": stage,
        "tracking_id": told.text("trackingId"),
    }


def autoscaled(body: Fields, message: Message, hook: Hook, about: Subject) -> Normalized:
    """The notification of an autoscale setting: capacity went from so many to so many."""
    context = body.inner("context")
    before, after = context.text("oldCapacity"), context.text("newCapacity")
    at = context.time("timestamp")
    done = change(
        message,
        hook,
        source=NAME,
        id=f"autoscale:{context.text('id', 'resourceId')}:{context.text('timestamp')}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=about,
        occurred_at=at,
        finished_at=at,
        outcome=ChangeOutcome.SUCCESS,
        version=after,
        url=context.text("portalLink", limit=2048),
        summary=f"{body.text('operation')} of {about.name} from {before} to {after}: {context.text('details')}",
        labels={"resource_group": context.text("resourceGroupName"), "setting": context.text("name")},
    )
    return Normalized(changes=(done,))
