"""Which endpoint, feature group, model package, image or node changed in SageMaker? Part of `_sagemaker`."""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._aws import Event, arn_of, name_of, need, time_of
from tocsin.sources._cloud import Occasion, facts, first_line, last_part, name_in, outcome_of, plain, rows

PRODUCTION_STAGES = frozenset({"production", "prod", "live", "champion"})
MAX_FEATURES = 50


def endpoint(event: Event, occasion: Occasion) -> Normalized:
    """An endpoint that serves a model. One change per endpoint and configuration: autoscaling updates an endpoint
    without changing its configuration, and is no deployment."""
    detail = event.detail
    name, status = need(detail, "EndpointName"), need(detail, "EndpointStatus")
    pending = facts(detail.get("PendingDeploymentSummary"))
    config = name_in(pending, "EndpointConfigName") or name_in(detail, "EndpointConfigName")
    state, why = plain(status), first_line(detail.get("FailureReason"))
    removed = state == "deleting"
    outcome = ChangeOutcome.SUCCESS if removed else outcome_of(status)
    subject = Subject.of("model", occasion.hook.defaults.get("model", "") or name)
    variants = _variants(pending or detail)
    labels = {
        "endpoint": name,
        "endpoint_config": config,
        "status": status,
        "variants": variants,
        "failure_reason": why,
    }
    labels["progress"] = _progress(pending or detail)
    change = occasion.change(
        id=f"sagemaker:{arn_of(event, 'EndpointArn') or name}:{'deleted' if removed else config}",
        kind=ChangeKind.SERVICE_REMOVED if removed else ChangeKind.MODEL_DEPLOYED,
        subject=subject,
        outcome=outcome,
        summary=f"endpoint {name} ({config or 'no configuration'}): {status}" + (f": {why}" if why else ""),
        began=time_of(pending, "StartTime") or time_of(detail, "LastModifiedTime") or event.at,
        version=config[:255],
        labels=labels,
    )
    if state not in _ENDPOINT_ALERTS:
        return Normalized(changes=(change,))
    severity = _ENDPOINT_ALERTS[state]
    alert = occasion.alert(
        name="EndpointFailed",
        subject=subject,
        symptom=Symptom.AVAILABILITY,
        severity=severity or Severity.ERROR,
        status=Status.FIRING if severity else Status.RESOLVED,
        summary=f"endpoint {name} is {status}" + (f": {why}" if why else ""),
        at=time_of(detail, "LastModifiedTime") or event.at,
        region=event.region,
        labels={"endpoint_config": config},
    )
    deployed = state != "outofservice"  # an endpoint that breaks later does not make its deployment a failed one
    return Normalized(alerts=(alert,), changes=(change,) if deployed else ())


_ENDPOINT_ALERTS = {
    "outofservice": Severity.CRITICAL,
    "failed": Severity.ERROR,
    "updaterollbackfailed": Severity.CRITICAL,
    "inservice": None,
}
"""EndpointStatus → how bad; None ends the alert."""


def _variants(part: dict[str, Any]) -> str:
    named = (name_in(each, "VariantName") for each in rows(part.get("ProductionVariants")))
    return ", ".join(each for each in named if each)


def _progress(part: dict[str, Any]) -> str:
    """`Baking`, `ActivatingTraffic` …: how far a guarded deployment is."""
    for variant in rows(part.get("ProductionVariants")):
        for step in rows(variant.get("VariantStatus"))[-1:]:
            return name_in(step, "StatusMessage", "Status")
    return ""


def feature_group(event: Event, occasion: Occasion) -> Normalized:
    """A feature group of the feature store: created, altered, deleted, or its offline store blocked."""
    detail = event.detail
    name = need(detail, "FeatureGroupName")
    offline = name_in(facts(detail.get("OfflineStoreStatus")), "Status") or name_in(detail, "OfflineStoreStatus")
    updated = name_in(facts(detail.get("LastUpdateStatus")), "Status")
    status = need(detail, "FeatureGroupStatus") if not (offline or updated) else name_in(detail, "FeatureGroupStatus")
    blocked, removed = plain(offline) == "blocked", plain(status) == "deleting"
    features = [name_in(each, "FeatureName") for each in rows(detail.get("FeatureDefinitions"))]
    if blocked:
        kind, state = ChangeKind.FEATURE_OUTAGE, "offline store Blocked"
    else:
        kind = ChangeKind.DATASET_SCHEMA_CHANGED if updated or removed else ChangeKind.DATASET_MODIFIED
        state = updated or status or f"offline store {offline}"
    at = time_of(detail, "LastModifiedTime", "CreationTime") if not blocked else None
    done = ChangeOutcome.SUCCESS if removed else outcome_of(updated or status or offline)
    change = occasion.change(
        id=f"sagemaker:{arn_of(event, 'FeatureGroupArn') or name}:{kind.value}:{at or event.at}",
        kind=kind,
        subject=Subject.of("dataset", name),
        outcome=ChangeOutcome.FAILURE if blocked else done,
        summary=f"feature group {name}: {state}",
        began=at if at and not updated and not removed else event.at or at,
        touches=tuple(Subject.of("feature", each) for each in features[:MAX_FEATURES] if each),
        labels={"status": status, "offline_store": offline, "failure_reason": first_line(detail.get("FailureReason"))},
    )
    return Normalized(changes=(change,))


def model_package(event: Event, occasion: Occasion) -> Normalized:
    """A version in the model registry: registered, approved (that is the promotion), rejected, or moved to a stage."""
    detail = event.detail
    arn = arn_of(event, "ModelPackageArn")
    versioned, tail = arn.rpartition("/")[0], last_part(arn)
    of_arn = last_part(versioned) if tail.isdecimal() else tail
    name = name_in(detail, "ModelPackageGroupName", "ModelPackageName") or of_arn
    if not name:
        raise BadPayload("expected a text", path="detail.ModelPackageGroupName")
    version = name_in(detail, "ModelPackageVersion") or (tail if tail.isdecimal() else "")
    status, approval = name_in(detail, "ModelPackageStatus"), name_in(detail, "ModelApprovalStatus")
    stage = facts(detail.get("ModelLifeCycle")) or {
        "Stage": detail.get("stage"),
        "StageStatus": detail.get("stageStatus"),
    }
    fields = detail.get("UpdatedModelPackageFields")
    moved = isinstance(fields, list) and "ModelLifeCycle" in fields
    promoted = _is_promotion(approval, stage, moved=moved)
    step = f"stage {name_in(stage, 'Stage')} {name_in(stage, 'StageStatus')}" if moved else approval or status
    outcome = outcome_of(status) if status else ChangeOutcome.SUCCESS
    if plain(approval) == "rejected" and not promoted and outcome is ChangeOutcome.SUCCESS:
        outcome = ChangeOutcome.CANCELED
    change = occasion.change(
        id=f"sagemaker:{arn or name}:{'promoted' if promoted else 'registered'}" + (f":{step}" if moved else ""),
        kind=ChangeKind.MODEL_PROMOTED if promoted else ChangeKind.MODEL_REGISTERED,
        subject=Subject.of("model", name),
        outcome=outcome,
        summary=f"{name} version {version}: {step}" if version else f"{name}: {step}",
        began=time_of(detail, "LastModifiedTime", "CreationTime") or event.at,
        version=version[:255],
        labels={"status": status, "approval": approval, "stage": name_in(stage, "Stage")}
        | {"generated_by": name_in(facts(detail.get("MetadataProperties")), "GeneratedBy")}
        | {"approval_note": first_line(detail.get("ApprovalDescription"))},
    )
    return Normalized(changes=(change,))


def _is_promotion(approval: str, stage: dict[str, Any], *, moved: bool) -> bool:
    """Approval promotes; a move through stages does where the stage is production and approved."""
    if moved or (not approval and name_in(stage, "Stage")):
        return plain(stage.get("Stage")) in PRODUCTION_STAGES and plain(stage.get("StageStatus")) in ("approved", "")
    return plain(approval) == "approved"


def image(event: Event, occasion: Occasion) -> Normalized:
    """An image or one version of it, in which notebooks and jobs run."""
    detail = event.detail
    arn = arn_of(event, "ImageVersionArn", "ImageArn")
    name = name_in(detail, "ImageName") or name_of(name_in(detail, "ImageArn") or arn)
    status = need(detail, "ImageVersionStatus", "ImageStatus")
    version = detail.get("Version")
    change = occasion.change(
        id=f"sagemaker:{arn}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=Subject.of("service", name),
        outcome=outcome_of(status),
        summary=f"image {name}: {status}",
        began=event.at,
        version=f"{version:g}" if isinstance(version, float) else name_in(detail, "Version"),
        labels={"status": status, "image": arn},
    )
    return Normalized(changes=(change,))


def node(event: Event, occasion: Occasion) -> Normalized:
    """A node of a HyperPod cluster that fell ill or recovered."""
    detail = event.detail
    health = facts(detail.get("HealthSummary"))
    node, state = need(detail, "InstanceId"), need(health, "HealthStatus")
    cluster = name_in(detail, "ClusterName")
    well = plain(state) in ("healthy", "schedulable")
    alert = occasion.alert(
        name="NodeUnhealthy",
        subject=Subject.of("host", node),
        symptom=Symptom.AVAILABILITY,
        severity=Severity.ERROR,
        status=Status.RESOLVED if well else Status.FIRING,
        summary=f"node {node} of {cluster}: {state}. {first_line(health.get('HealthStatusReason'))}".strip(),
        at=event.at,
        resource=cluster,
        region=event.region,
        labels={"cluster": cluster, "repair": name_in(health, "RepairAction")}
        | {"recommendation": name_in(health, "Recommendation")},
    )
    return Normalized(alerts=(alert,))
