"""What may explain a later symptom: a deploy, a pipeline run, a schema change, a promotion, an outage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tocsin.domain.moment import Moment
from tocsin.domain.subject import Subject


class ChangeKind(StrEnum):
    """CDEvents subject.predicate where CDEvents has one; the rest is our extension (design.md §4)."""

    SERVICE_DEPLOYED = "service.deployed"
    SERVICE_ROLLEDBACK = "service.rolledback"
    SERVICE_REMOVED = "service.removed"
    ENVIRONMENT_MODIFIED = "environment.modified"
    FEATURE_FLAG_CHANGED = "feature_flag.changed"
    PIPELINERUN_FINISHED = "pipelinerun.finished"
    BUILD_FINISHED = "build.finished"
    ARTIFACT_PUBLISHED = "artifact.published"
    DATASET_SCHEMA_CHANGED = "dataset.schema_changed"
    DATASET_MODIFIED = "dataset.modified"
    MODEL_REGISTERED = "model.registered"
    MODEL_PROMOTED = "model.promoted"
    MODEL_DEPLOYED = "model.deployed"
    FEATURE_OUTAGE = "feature.outage"
    CHANGE_REQUEST = "change.request"


PREPARES = frozenset({ChangeKind.BUILD_FINISHED, ChangeKind.ARTIFACT_PUBLISHED, ChangeKind.MODEL_REGISTERED})
"""What is made ready by these runs only after another step: a deploy, a promotion."""


class ChangeOutcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELED = "canceled"
    RUNNING = "running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `id` is stable over the sender's retries and over the events of one thing (a run's start and
    end carry one id, so that the second completes the first). Times are aware UTC."""

    id: str
    hook: str
    source: str
    environment: str
    kind: ChangeKind
    subject: Subject
    occurred_at: Moment
    received_at: Moment
    finished_at: Moment | None = None
    outcome: ChangeOutcome = ChangeOutcome.UNKNOWN
    version: str = ""
    previous_version: str = ""
    author: str = ""
    url: str = ""
    ticket: str = ""
    """The change record's number in a service desk, such as CHG0030001."""
    summary: str = ""
    touches: tuple[Subject, ...] = ()
    """What the change wrote besides its subject: a run's output datasets, a deploy's models."""
    reads: tuple[Subject, ...] = ()
    """What it read: a run's input datasets. With `touches` it teaches lineage (decide/lineage.py)."""
    labels: Mapping[str, str] = field(default_factory=dict)
