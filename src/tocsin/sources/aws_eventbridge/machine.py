"""What happened to the machines and services that AWS runs? Events of ECS, EC2, Auto Scaling, RDS and AWS Health."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._aws import Event, name_of, need, time_of
from tocsin.sources._cloud import Occasion, first_line, last_part, name_in, outcome_of, plain, rows, texts

LAPSES = timedelta(hours=1)
"""For what AWS reports once and never takes back: a task that fell, an agent that was lost."""

_SOLVED = re.compile(r"restarted|completed|recovered", re.IGNORECASE)


def ecs_instance(event: Event, occasion: Occasion) -> Normalized:
    """A container instance, by status: that its free CPU changed is told with the same status, and is no change."""
    detail = event.detail
    arn, status = need(detail, "containerInstanceArn"), need(detail, "status")
    host = name_in(detail, "ec2InstanceId") or last_part(arn)
    cluster = name_of(name_in(detail, "clusterArn"))
    at = time_of(detail, "updatedAt") or event.at
    connected = detail.get("agentConnected")
    failed = "FAILED" in status
    agent = "connected" if connected else "not connected"
    change = occasion.change(
        id=f"ecs:{arn}:{status}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("host", host),
        outcome=ChangeOutcome.FAILURE if failed else outcome_of(status),
        summary=f"container instance {host} of cluster {cluster}: {status}",
        began=time_of(detail, "registeredAt") or at,
        labels={"cluster": cluster, "status": status},
    )
    if connected is not False and not failed:
        return Normalized(changes=(change,))
    alert = occasion.alert(
        name="ContainerInstanceLost",
        subject=Subject.of("host", host),
        symptom=Symptom.AVAILABILITY,
        severity=Severity.WARNING,
        status=Status.FIRING,
        summary=f"container instance {host} of {cluster}: {status}, agent {agent}",
        at=at,
        region=event.region,
        labels={"cluster": cluster},
        resolves=Resolves.EXPIRY,
        expires_after=LAPSES,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def ecs_task(event: Event, occasion: Occasion) -> Normalized:
    """A task that stopped by itself; one that was started or stopped by its service is no change."""
    detail = event.detail
    status, code = name_in(detail, "lastStatus"), name_in(detail, "stopCode")
    group = name_in(detail, "group")
    exits = [each.get("exitCode") for each in rows(detail.get("containers"))]
    fell = code == "TaskFailedToStart" or (code == "EssentialContainerExited" and any(exits))
    if plain(status) != "stopped" or not fell:
        return Normalized(ignored=f"ECS task {status or 'without a status'}: started or stopped by its service")
    name = last_part(group.partition(":")[2] or group) or name_of(name_in(detail, "taskDefinitionArn"))
    return Normalized(
        alerts=(
            occasion.alert(
                name="TaskFailed",
                subject=Subject.of("service", name.partition(":")[0] or name),
                symptom=Symptom.AVAILABILITY,
                severity=Severity.ERROR,
                status=Status.FIRING,
                summary=f"a task of {name} fell: {first_line(detail.get('stoppedReason')) or code}",
                at=time_of(detail, "stoppedAt", "updatedAt") or event.at,
                region=event.region,
                labels={"cluster": name_of(name_in(detail, "clusterArn")), "stop_code": code, "group": group},
                resolves=Resolves.EXPIRY,
                expires_after=LAPSES,
            ),
        )
    )


def ecs_service(event: Event, occasion: Occasion) -> Normalized:
    """What ECS says of a service: impaired (firing) or steady again (ended)."""
    detail = event.detail
    kind, name = need(detail, "eventType"), need(detail, "eventName")
    service = next((last_part(each) for each in event.resources if ":service/" in each), "") or name_of(
        name_in(detail, "clusterArn")
    )
    steady = name.endswith("STEADY_STATE")
    if plain(kind) == "info" and not steady:
        return Normalized(ignored=f"ECS {name[:60]}: an information")
    alert = occasion.alert(
        name="ServiceImpaired",
        subject=Subject.of("service", service),
        symptom=Symptom.AVAILABILITY,
        severity=Severity.ERROR if plain(kind) == "error" else Severity.WARNING,
        status=Status.RESOLVED if steady else Status.FIRING,
        summary=f"{service}: {name}" + (f" ({why})" if (why := first_line(detail.get("reason"))) else ""),
        at=time_of(detail, "createdAt") or event.at,
        region=event.region,
        labels={"event_name": name, "cluster": name_of(name_in(detail, "clusterArn"))},
    )
    return Normalized(alerts=(alert,))


def health(event: Event, occasion: Occasion) -> Normalized:
    """AWS's own trouble with a service: an issue is an alert, a scheduled change a change."""
    detail = event.detail
    category, code = need(detail, "eventTypeCategory"), need(detail, "eventTypeCode")
    service = name_in(detail, "service") or "aws"
    subject = Subject.of("provider", f"aws-{service.lower()}")
    said = next(
        (first_line(each.get("latestDescription"), 1000) for each in rows(detail.get("eventDescription"))), code
    )
    began, ended = time_of(detail, "startTime") or event.at, time_of(detail, "endTime")
    touched = ", ".join(name_in(each, "entityValue") for each in rows(detail.get("affectedEntities"))[:20])
    labels = {"event_type": code, "service": service, "affected": touched, "status": name_in(detail, "statusCode")}
    key = name_in(detail, "eventArn") or event.id
    if category == "issue":
        over = plain(detail.get("statusCode")) == "closed" or bool(ended)
        alert = occasion.alert(
            name=code,
            subject=subject,
            symptom=Symptom.AVAILABILITY,
            severity=Severity.ERROR,
            status=Status.RESOLVED if over else Status.FIRING,
            summary=said,
            at=(ended or event.at) if over else began,
            region=name_in(detail, "eventRegion") or event.region,
            sender_key=key[:255],
            labels=labels,
        )
        return Normalized(alerts=(alert,))
    if category != "scheduledChange":
        return Normalized(ignored=f"AWS Health {category[:40]}: {code[:80]}")
    change = occasion.change(
        id=f"health:{key}",
        kind=ChangeKind.CHANGE_REQUEST,
        subject=subject,
        outcome=outcome_of(detail.get("statusCode")) if ended is None else ChangeOutcome.UNKNOWN,
        summary=said,
        began=began,
        ended=ended,
        labels=labels,
    )
    return Normalized(changes=(change,))


def scaling(event: Event, occasion: Occasion) -> Normalized:
    """Instances that an Auto Scaling group launched or terminated, or could not."""
    detail = event.detail
    group = need(detail, "AutoScalingGroupName")
    failed = "Unsuccessful" in event.detail_type or "Failed" in event.detail_type
    waits = "Lifecycle" in event.detail_type or event.detail_type.endswith("Started")
    outcome = ChangeOutcome.FAILURE if failed else ChangeOutcome.RUNNING if waits else ChangeOutcome.SUCCESS
    instance = name_in(detail, "EC2InstanceId")
    said = first_line(detail.get("Description") or detail.get("StatusMessage"))
    key = name_in(detail, "ActivityId", "InstanceRefreshId", "LifecycleActionToken") or event.id
    change = occasion.change(
        id=f"autoscaling:{key}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("service", group),
        outcome=outcome,
        summary=f"{group}: {event.detail_type}" + (f", {said or instance}" if said or instance else ""),
        began=time_of(detail, "StartTime") or event.at,
        ended=None if waits else time_of(detail, "EndTime") or event.at,
        labels={"instance": instance, "cause": first_line(detail.get("Cause"))},
    )
    return Normalized(changes=(change,))


def instance(event: Event, occasion: Occasion) -> Normalized:
    """An EC2 instance whose state changed, or that is about to be taken."""
    detail = event.detail
    host = need(detail, "instance-id")
    state = name_in(detail, "state", "instance-action") or event.detail_type
    gone = state in ("stopped", "terminated", "shutting-down", "stopping")
    change = occasion.change(
        id=f"ec2:{host}:{state}:{event.at or event.id}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("host", host),
        outcome=ChangeOutcome.SUCCESS if gone or state == "running" else outcome_of(state),
        summary=f"instance {host}: {state}",
        began=event.at,
        labels={"state": state},
    )
    return Normalized(changes=(change,))


def database(event: Event, occasion: Occasion) -> Normalized:
    """What RDS says of a database: trouble is an alert that lapses, anything else a change."""
    detail = event.detail
    categories = texts(detail.get("EventCategories"))
    name, said = need(detail, "SourceIdentifier"), first_line(detail.get("Message"), 700)
    trouble = {"failure", "failover", "low storage", "availability"} & set(categories)
    at = time_of(detail, "Date") or event.at
    if trouble and not _SOLVED.search(said):
        alert = occasion.alert(
            name="RDS " + ", ".join(sorted(trouble)),
            subject=Subject.of("host", name),
            symptom=Symptom.SATURATION if "low storage" in trouble else Symptom.AVAILABILITY,
            severity=Severity.ERROR,
            status=Status.FIRING,
            summary=f"{name}: {said}",
            at=at,
            region=event.region,
            resolves=Resolves.EXPIRY,
            expires_after=LAPSES,
        )
        return Normalized(alerts=(alert,))
    change = occasion.change(
        id=f"rds:{event.id or f'{name}:{at}'}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("host", name),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{name}: {said}",
        began=at,
        labels={"categories": ", ".join(categories)},
    )
    return Normalized(changes=(change,))


READERS: dict[str, Callable[[Event, Occasion], Normalized]] = {
    "ECS Container Instance State Change": ecs_instance,
    "ECS Task State Change": ecs_task,
    "ECS Service Action": ecs_service,
    "AWS Health Event": health,
    "EC2 Instance State-change Notification": instance,
    "EC2 Spot Instance Interruption Warning": instance,
    "EC2 Instance Rebalance Recommendation": instance,
    "RDS DB Instance Event": database,
    "RDS DB Cluster Event": database,
}
