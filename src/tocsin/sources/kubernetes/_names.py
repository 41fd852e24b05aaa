"""What does an object of Kubernetes belong to? Its subject by labels, else by kind and name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tocsin.domain.subject import Subject
from tocsin.sources._identity import owner_of_pod, subject_of
from tocsin.sources._monitor import claims_in

NAME = "kubernetes"

KINDS = {
    "Node": "host",
    "Job": "job",
    "CronJob": "job",
    "Workflow": "job",
    "CronWorkflow": "job",
    "PyTorchJob": "job",
    "TFJob": "job",
    "MPIJob": "job",
    "RayJob": "job",
    "SparkApplication": "job",
    "PipelineRun": "job",
    "TaskRun": "job",
    "InferenceService": "model",
    "SeldonDeployment": "model",
    "InferenceGraph": "model",
    "Pod": "service",
    "Deployment": "service",
    "ReplicaSet": "service",
    "StatefulSet": "service",
    "DaemonSet": "service",
    "Rollout": "service",
    "Service": "service",
    "Ingress": "service",
    "HorizontalPodAutoscaler": "service",
    "ScaledObject": "service",
    "RayService": "service",
}
"""Kind of object → kind of subject; any other stays unknown until a mapping names it."""

_TEMPLATE_HASH = re.compile(r"-[bcdf-hj-np-tv-z0-9]{6,10}$")
_RUN_OF_CRON = re.compile(r"-\d{8,10}$")
"""A CronJob names its jobs by the minute of their schedule."""


def about(kind: str, name: str, labels: Mapping[str, str]) -> Subject:
    """The subject of an object: what its labels name, else its own name without what tells its copies apart."""
    return subject_of(claims_in(labels), fallback=Subject.of(KINDS.get(kind, "unknown"), own_name(kind, name)))


def own_name(kind: str, name: str) -> str:
    """`web` of the pod web-7d9f8b6c5d-x2x9z, of its replica set, and of the jobs of a CronJob."""
    if kind == "Pod":
        return owner_of_pod(name)
    if kind == "ReplicaSet":
        return _TEMPLATE_HASH.sub("", name)
    return _RUN_OF_CRON.sub("", name) if kind == "Job" else name
