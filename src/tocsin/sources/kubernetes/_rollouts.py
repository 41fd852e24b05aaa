"""Which rollout does a workload object tell of, since when, of which version, and how did it end?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields
from tocsin.sources._identity import environment_of, first_of, labels_of
from tocsin.sources._monitor import any_time, filled, time_at
from tocsin.sources.kubernetes._names import NAME, about

RUNS = frozenset({"Job", "Workflow", "PyTorchJob", "TFJob", "MPIJob", "RayJob", "SparkApplication"})
MODELS = frozenset({"InferenceService", "SeldonDeployment"})
SETTINGS = frozenset({"ConfigMap", "Secret", "CronJob", "HorizontalPodAutoscaler", "Ingress", "Service"})
"""What changes how things run without being rolled out; their contents are never read."""
TEMPLATED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Rollout"})
"""What is rolled out again when the template of its pods changes."""
WORKLOADS = TEMPLATED | RUNS | MODELS | SETTINGS

REVISIONS = ("deployment.kubernetes.io/revision", "rollout.argoproj.io/revision")
RESTARTED = ("kubectl.kubernetes.io/restartedAt", "robusta.kubernetes.io/restartedAt")
CAUSE = "kubernetes.io/change-cause"

_ROLLED_BACK = re.compile(r"\b(rollback|rolled back|rollout undo|revert)", re.IGNORECASE)
_STATUS_WRITERS = frozenset({"kube-controller-manager", "kubelet", "kube-scheduler"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An object by kind, namespace and name, with the labels that say what it is about."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Fields, kind: str) -> Thing:
        """The object that metadata or a reference names. Raises BadPayload without a name."""
        return cls(
            kind=kind,
            name=metadata.need("name"),
            namespace=metadata.text("namespace"),
            uid=metadata.text("uid"),
            labels=labels_of(metadata.data.get("labels")),
        )

    @property
    def where(self) -> str:
        return f"{self.namespace}/{self.name}".lstrip("/")

    @property
    def subject(self) -> Subject:
        return about(self.kind, self.name, self.labels)


def change_of(
    thing: Thing,
    message: Message,
    hook: Hook,
    *,
    kind: ChangeKind,
    outcome: ChangeOutcome,
    occurred_at: datetime,
    summary: str,
    part: str = "",
    finished_at: datetime | None = None,
    version: str = "",
    author: str = "",
    labels: Mapping[str, str] | None = None,
) -> Change:
    """A change of the object; `part` tells several changes of one object apart (revision, replica set, time)."""
    own = dict(thing.labels)
    told = filled({"namespace": thing.namespace, "kind": thing.kind, "name": thing.name})
    return Change(
        id=":".join(filter(None, ("kubernetes", thing.namespace, thing.kind, thing.name, part)))[:512],
        hook=hook.name,
        source=NAME,
        environment=environment_of({**hook.defaults, **own}, hook),
        kind=kind,
        subject=thing.subject,
        occurred_at=occurred_at,
        received_at=message.received_at,
        finished_at=finished_at,
        outcome=outcome,
        version=version[:255],
        author=author[:255],
        summary=summary[:1024],
        labels=labels_of({**hook.defaults, **own, **told, **(labels or {})}),
    )


def of_workload(body: Fields, kind: str, message: Message, hook: Hook, *, deleted: bool = False) -> Normalized:
    """The rollout that a workload's object tells of; its removal when the watch says that it was deleted.
    Raises BadPayload without metadata or a name."""
    metadata = body.need_inner("metadata")
    thing = Thing.of(metadata, kind)
    notes = labels_of(metadata.data.get("annotations"))
    if deleted or metadata.text("deletionTimestamp"):
        at = time_at(metadata.data.get("deletionTimestamp"), "metadata.deletionTimestamp") or message.received_at
        gone = ChangeKind.ENVIRONMENT_MODIFIED if kind in SETTINGS | RUNS else ChangeKind.SERVICE_REMOVED
        made = change_of(
            thing,
            message,
            hook,
            part=f"removed:{thing.uid}",
            kind=gone,
            outcome=ChangeOutcome.SUCCESS,
            occurred_at=at,
            finished_at=at,
            summary=f"{kind} {thing.where} was deleted",
        )
        return Normalized(changes=(made,))
    status = body.inner("status")
    outcome, ended = _outcome(kind, status, metadata)
    began = _began(body, kind, metadata, ended)
    images = _images(body)
    revision = first_of(notes, REVISIONS) or metadata.text("generation", "resourceVersion")
    cause = notes.get(CAUSE, "")
    version = _tag(images[0]) if images else ""
    done = {ChangeOutcome.SUCCESS: "rolled out", ChangeOutcome.FAILURE: "failed"}.get(outcome, "is rolling out")
    done = "changed" if kind in SETTINGS else done
    made = change_of(
        thing,
        message,
        hook,
        part=thing.uid if kind in RUNS else revision,
        kind=_kind(kind, cause, thing),
        outcome=outcome,
        occurred_at=began or ended or message.received_at,
        finished_at=ended if outcome in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE) else None,
        version=version,
        author=notes.get("deployed-by", "") or notes.get("author", ""),
        summary=f"{kind} {thing.where} {version} {done}".replace("  ", " ") + (f": {cause}" if cause else ""),
        labels=filled(
            {"revision": revision, "image": images[0] if images else "", "replicas": status.text("replicas")}
        ),
    )
    return Normalized(changes=(made,))


def _kind(kind: str, cause: str, thing: Thing) -> ChangeKind:
    if kind in SETTINGS:
        return ChangeKind.ENVIRONMENT_MODIFIED
    if kind in RUNS:
        return ChangeKind.PIPELINERUN_FINISHED
    if thing.subject.kind == "model":
        return ChangeKind.MODEL_DEPLOYED
    return ChangeKind.SERVICE_ROLLEDBACK if _ROLLED_BACK.search(cause) else ChangeKind.SERVICE_DEPLOYED


def _conditions(status: Fields) -> dict[str, Fields]:
    found = status.data.get("conditions")
    listed = [Fields(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {one.text("type"): one for one in listed}


def _outcome(kind: str, status: Fields, metadata: Fields) -> tuple[ChangeOutcome, datetime | None]:
    """How the rollout or run ended, and when."""
    conditions = _conditions(status)
    if kind in RUNS:
        return _outcome_of_run(status, conditions)
    if kind in SETTINGS:
        return ChangeOutcome.SUCCESS, None
    if progress := conditions.get("Progressing"):
        at = any_time(progress.data.get("lastUpdateTime"), progress.data.get("lastTransitionTime"))
        if progress.text("reason") == "NewReplicaSetAvailable":
            return ChangeOutcome.SUCCESS, at
        failed = progress.text("status") == "False" or "DeadlineExceeded" in progress.text("reason")
        return (ChangeOutcome.FAILURE, at) if failed else (ChangeOutcome.RUNNING, None)
    if ready := conditions.get("Ready"):  # KServe and Knative
        at = any_time(ready.data.get("lastTransitionTime"))
        ends = {"True": ChangeOutcome.SUCCESS, "False": ChangeOutcome.FAILURE}
        outcome = ends.get(ready.text("status"), ChangeOutcome.RUNNING)
        return outcome, at
    return _outcome_by_counts(status, metadata), None


def _outcome_of_run(status: Fields, conditions: dict[str, Fields]) -> tuple[ChangeOutcome, datetime | None]:
    at = any_time(*(status.data.get(key) for key in ("completionTime", "finishedAt", "endTime")))
    for name, outcome in (
        ("Failed", ChangeOutcome.FAILURE),
        ("Complete", ChangeOutcome.SUCCESS),
        ("Succeeded", ChangeOutcome.SUCCESS),
    ):
        if name in conditions and conditions[name].text("status") == "True":
            return outcome, at or any_time(conditions[name].data.get("lastTransitionTime"))
    phase = status.text("phase", "jobStatus").lower()  # Argo Workflows, RayJob
    ends = {"succeeded": ChangeOutcome.SUCCESS, "failed": ChangeOutcome.FAILURE, "error": ChangeOutcome.FAILURE}
    if phase in ends:
        return ends[phase], at
    return ChangeOutcome.RUNNING, None


def _outcome_by_counts(status: Fields, metadata: Fields) -> ChangeOutcome:
    """StatefulSets and DaemonSets have no conditions: all replicas run the newest generation, or not yet."""
    if not status.data:
        return ChangeOutcome.UNKNOWN
    phase = status.text("phase").lower()  # Argo Rollouts
    if phase in ("healthy", "available"):
        return ChangeOutcome.SUCCESS
    if phase in ("degraded", "failed"):
        return ChangeOutcome.FAILURE
    wanted = status.number("replicas", "desiredNumberScheduled")
    updated = status.number("updatedReplicas", "updatedNumberScheduled")
    seen, generation = status.number("observedGeneration"), metadata.number("generation")
    if seen is not None and generation is not None and seen < generation:
        return ChangeOutcome.RUNNING
    return ChangeOutcome.SUCCESS if wanted is not None and wanted == updated else ChangeOutcome.RUNNING


def _began(body: Fields, kind: str, metadata: Fields, ended: datetime | None) -> datetime | None:
    """Since when: a restart's own time, else when somebody last wrote the object (not its status), else when it was
    made if it was never changed."""
    if kind in RUNS:
        return any_time(body.inner("status").data.get("startTime"), body.inner("status").data.get("startedAt"))
    notes = labels_of(body.inner("spec").inner("template").inner("metadata").data.get("annotations"))
    if (restarted := any_time(first_of(notes, RESTARTED))) and (ended is None or restarted <= ended):
        return restarted
    writes = metadata.data.get("managedFields")
    written = [
        at
        for write in (writes if isinstance(writes, list) else [])
        if isinstance(write, dict) and _rolls_out(write, kind) and (at := any_time(write.get("time")))
    ]
    if written:
        return max(written)
    made = time_at(metadata.data.get("creationTimestamp"), "metadata.creationTimestamp")
    return made if metadata.text("generation") in ("", "1") else ended


def _rolls_out(write: dict[str, Any], kind: str) -> bool:
    """Did this write change what runs? One of the status, of the number of replicas or of an annotation did not."""
    if write.get("subresource") in ("status", "scale") or write.get("manager") in _STATUS_WRITERS:
        return False
    fields = write.get("fieldsV1")
    spec = fields.get("f:spec") if isinstance(fields, dict) and fields else None
    return kind not in TEMPLATED or not fields or (isinstance(spec, dict) and "f:template" in spec)


def _images(body: Fields) -> list[str]:
    spec = body.inner("spec").inner("template").inner("spec")
    containers: Any = spec.data.get("containers")
    listed = [one for one in containers if isinstance(one, dict)] if isinstance(containers, list) else []
    return [image for one in listed if (image := Fields(one).text("image", limit=512))]


def _tag(image: str) -> str:
    """`17` of registry:5000/team/web:17, the digest's first 12 digits of web@sha256:…; empty without either."""
    name, at, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or (digest.partition(":")[2][:12] if at else "")
