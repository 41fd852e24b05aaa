"""Who changed what, by the API server's audit log (audit.k8s.io/v1): writes of workloads, with their author."""

from __future__ import annotations

from datetime import datetime

from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources._flat import Fields
from tocsin.sources._identity import labels_of
from tocsin.sources._monitor import time_at
from tocsin.sources.kubernetes._rollouts import Thing, change_of

RESOURCES = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "rollouts": "Rollout",
    "inferenceservices": "InferenceService",
    "seldondeployments": "SeldonDeployment",
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler",
}
"""What is rolled out or changes how it runs, by the plural of its address."""
SETTINGS = frozenset({"ConfigMap", "Secret", "HorizontalPodAutoscaler"})
WRITES = {"create": "created", "update": "updated", "patch": "changed", "delete": "deleted"}
CONTROLLERS = ("system:serviceaccount:kube-system:", "system:kube-", "system:node:", "system:apiserver")
"""Kubernetes' own parts write all the time: leases, replica counts, certificates."""


def audited(record: Fields, message: Message, hook: Hook) -> Normalized:
    """The change that a finished write of a workload is. Raises BadPayload without verb or object."""
    verb, reference = record.need("verb"), record.inner("objectRef")
    kind = RESOURCES.get(reference.text("resource"))
    if record.text("stage") not in ("", "ResponseComplete"):
        return Normalized(ignored="audit record of a stage before the answer")
    if verb not in WRITES or kind is None or reference.text("subresource") not in ("", "scale"):
        return Normalized(
            ignored=f"audit record of {verb[:20]} {reference.text('resource')[:40]}: nothing is rolled out"
        )
    if (record.inner("responseStatus").number("code") or 200) >= 300:
        return Normalized(ignored="audit record of a write that was refused")
    author = record.inner("user").text("username")
    if author.startswith(CONTROLLERS):
        return Normalized(ignored="audit record of a write by Kubernetes itself")
    meta = Fields({**reference.data, "labels": _labels(record)}, reference.path)
    thing = Thing.of(meta, kind)
    at = _time(record) or message.received_at
    changed = ChangeKind.ENVIRONMENT_MODIFIED
    if kind not in SETTINGS and not reference.text("subresource"):
        changed = ChangeKind.SERVICE_REMOVED if verb == "delete" else ChangeKind.SERVICE_DEPLOYED
    if changed is ChangeKind.SERVICE_DEPLOYED and thing.subject.kind == "model":
        changed = ChangeKind.MODEL_DEPLOYED
    made = change_of(
        thing,
        message,
        hook,
        part=record.text("auditID") or f"{at:%Y%m%dT%H%M%S}",
        kind=changed,
        outcome=ChangeOutcome.SUCCESS,
        occurred_at=at,
        finished_at=at,
        author=author,
        summary=f"{kind} {thing.where} {WRITES[verb]} by {author or 'somebody'}",
    )
    return Normalized(changes=(made,))


def _time(record: Fields) -> datetime | None:
    for key in ("requestReceivedTimestamp", "stageTimestamp"):
        if found := time_at(record.data.get(key), record.at_path(key)):
            return found
    return None


def _labels(record: Fields) -> dict[str, str]:
    """The object's labels, at the levels of audit that keep bodies; never anything else of them."""
    for key in ("responseObject", "requestObject"):
        body = record.data.get(key)
        metadata = body.get("metadata") if isinstance(body, dict) else None
        if isinstance(metadata, dict) and isinstance(metadata.get("labels"), dict):
            return labels_of(metadata["labels"])
    return {}
