"""Which GoCD pipeline or stage ran, and how did it end? Bodies of its webhook notification plugins.

Two shapes: a pipeline instance as GoCD's API writes it, with all its stages, and the plugin API's stage notification
(`type: stage`). All stages of one pipeline run are one change. Nothing is signed.
https://plugin-api.gocd.org/current/notifications/#stage-status-changed
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import (
    PUTS_INTO_SERVICE,
    Body,
    Words,
    change_of,
    elsewhere,
    environment_of_job,
    first_time,
    kind_of_run,
    subject_of_run,
    version_of,
)
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "gocd"

RESULTS = {
    "passed": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "failing": ChangeOutcome.FAILURE,
    "cancelled": ChangeOutcome.CANCELED,
    "building": ChangeOutcome.RUNNING,
    "unknown": ChangeOutcome.RUNNING,
}
"""Result of a stage, in lower case → outcome; GoCD's result is Unknown until the stage has ended."""


class _Modification(Body):
    revision: Words = ""
    user_name: Words = ""
    comment: Words = ""


class _Material(Body):
    modifications: list[_Modification] | None = None


class _Cause(Body):
    approver: Words = ""
    trigger_message: Words = ""
    material_revisions: list[_Material] | None = None


class _Job(Body):
    scheduled_date: Any = None


class _Stage(Body):
    name: Words = ""
    counter: Words = ""
    result: Words = ""
    state: Words = ""
    approved_by: Words = Field(default="", alias="approved-by")
    created: Any = Field(default=None, alias="create-time")
    ended: Any = Field(default=None, alias="last-transition-time")
    jobs: list[_Job] | None = None


class _Instance(Body):
    """A pipeline instance."""

    name: Name
    counter: Name
    label: Words = ""
    stages: list[_Stage] = Field(default=[])
    build_cause: _Cause | None = None


class _Pipeline(Body):
    name: Name
    counter: Name
    label: Words = ""
    group: Words = ""
    cause: list[_Material] | None = Field(default=None, alias="build-cause")


class _Data(Body):
    pipeline: _Pipeline
    stage: _Stage = Field(default_factory=_Stage)


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the notification is none. Raises BadPayload for a body of neither shape."""
    body = parsed_object(message.body)
    kind = text(body.get("type"), 60)
    if kind and kind != "stage":
        return Normalized(ignored=f"notification of type {kind} is not a change")
    data = body["data"] if isinstance(body.get("data"), dict) else body
    if "pipeline" in data:
        return _stage(shaped(_Data, data), message, hook)
    if "counter" in body:
        run = shaped(_Instance, body)
        cause = run.build_cause or _Cause()
        return _change(run, cause, cause.material_revisions, message, hook)
    raise BadPayload("neither a pipeline instance nor a stage's notification", path="pipeline")


def _stage(data: _Data, message: Message, hook: Hook) -> Normalized:
    pipeline = data.pipeline
    run = _Instance(name=pipeline.name, counter=pipeline.counter, label=pipeline.label, stages=[data.stage])
    return _change(run, _Cause(approver=data.stage.approved_by), pipeline.cause, message, hook)


def _change(
    run: _Instance, cause: _Cause, materials: list[_Material] | None, message: Message, hook: Hook
) -> Normalized:
    kind = kind_of_run(run.name, *(stage.name for stage in run.stages), otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment_of_job(run.name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="gocd_environment"):
        return Normalized(ignored=why)
    changed = next((each for material in materials or () for each in material.modifications or ()), _Modification())
    outcome = _outcome(run.stages)
    stages = ", ".join(f"{stage.name} {(stage.result or stage.state).lower()}" for stage in run.stages[:10])
    times = [job.scheduled_date for stage in run.stages for job in stage.jobs or ()]
    last = run.stages[-1] if run.stages else _Stage()
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"gocd:{run.name}:{run.counter}",
        kind=kind,
        subject=subject_of_run(run.name, kind, hook),
        outcome=outcome,
        began=first_time(*(stage.created for stage in run.stages), *times),
        ended=first_time(last.ended) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=version_of(run.label, changed.revision) if changed.revision else run.label,
        author=(cause.approver if cause.approver != "changes" else "") or changed.user_name.partition(" <")[0],
        summary=f"{run.name} {run.label or run.counter}: {stages}",
        labels={"pipeline": run.name, "label": run.label, "counter": run.counter, "commit": changed.revision},
    )
    return Normalized(changes=(change,))


def _outcome(stages: list[_Stage]) -> ChangeOutcome:
    """The worst of the stages: one that failed, was cancelled or goes on decides."""
    said = [RESULTS.get((stage.result or stage.state).lower(), ChangeOutcome.UNKNOWN) for stage in stages]
    worst_first = (ChangeOutcome.FAILURE, ChangeOutcome.CANCELED, ChangeOutcome.RUNNING, ChangeOutcome.UNKNOWN)
    return next(
        (each for each in worst_first if each in said), ChangeOutcome.SUCCESS if said else ChangeOutcome.UNKNOWN
    )


SETUP = """With a webhook notification plugin (such as `gocd-webhook-notification-plugin`): Admin → Plugins → settings,
URL `{url}?token={secret}`, notifications of type **stage**.

- A pipeline that deploys by its name or by a stage's deploys the service that the rest of its name says, any other
  builds it; the hook's `defaults` name another. A production hook leaves out what is staging or test by name.
"""

SOURCE = Source(
    name=NAME,
    title="GoCD",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("notifications of agents", "deployments to other environments than the hook's"),
)
