"""What did Azure DevOps build, run or deploy? Service hook events as changes.

Builds, classic releases' deployments, and runs and stages of YAML pipelines; a deployment's start and end are one
change.
Nothing is signed: the subscription's Basic password or a header carries the secret.
https://learn.microsoft.com/en-us/azure/devops/service-hooks/events
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import (
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

NAME = "azuredevops"

OUTCOMES = {
    "succeeded": ChangeOutcome.SUCCESS,
    "partiallysucceeded": ChangeOutcome.FAILURE,
    "failed": ChangeOutcome.FAILURE,
    "rejected": ChangeOutcome.FAILURE,
    "canceled": ChangeOutcome.CANCELED,
    "cancelled": ChangeOutcome.CANCELED,
    "stopped": ChangeOutcome.CANCELED,
    "skipped": ChangeOutcome.CANCELED,
    "notdeployed": ChangeOutcome.CANCELED,
    "inprogress": ChangeOutcome.RUNNING,
    "canceling": ChangeOutcome.RUNNING,
}
"""Status or result, in lower case → outcome."""


class _Named(Body):
    id: Words = ""
    name: Words = ""
    displayName: Words = ""  # noqa: N815


class _Link(Body):
    href: Words = ""


class _Links(Body):
    web: _Link | None = None


class _Build(Body):
    id: Name
    buildNumber: Words = ""  # noqa: N815
    status: Words = ""
    result: Words = ""
    reason: Words = ""
    startTime: Any = None  # noqa: N815
    finishTime: Any = None  # noqa: N815
    sourceBranch: Words = ""  # noqa: N815
    sourceVersion: Words = ""  # noqa: N815
    sourceGetVersion: Words = ""  # noqa: N815
    definition: _Named | None = None
    project: _Named | None = None
    requestedFor: _Named | None = None  # noqa: N815
    lastChangedBy: _Named | None = None  # noqa: N815
    links: _Links | None = Field(default=None, alias="_links")


class _Environment(Body):
    id: Words = ""
    name: Words = ""
    status: Words = ""
    createdOn: Any = None  # noqa: N815
    modifiedOn: Any = None  # noqa: N815
    release: _Named | None = None
    releaseDefinition: _Named | None = None  # noqa: N815


class _Deployment(Body):
    id: Words = ""
    deploymentStatus: Words = ""  # noqa: N815
    startedOn: Any = None  # noqa: N815
    completedOn: Any = None  # noqa: N815
    requestedFor: _Named | None = None  # noqa: N815
    releaseEnvironment: _Named | None = None  # noqa: N815
    release: _Named | None = None
    releaseDefinition: _Named | None = None  # noqa: N815


class _Released(Body):
    environment: _Environment | None = None
    deployment: _Deployment | None = None
    project: _Named | None = None
    release: _Named | None = None


class _Run(Body):
    id: Name
    name: Words = ""
    state: Words = ""
    result: Words = ""
    createdDate: Any = None  # noqa: N815
    finishedDate: Any = None  # noqa: N815
    links: _Links | None = Field(default=None, alias="_links")


class _Stage(Body):
    id: Words = ""
    name: Words = ""
    displayName: Words = ""  # noqa: N815
    state: Words = ""
    result: Words = ""


class _Ran(Body):
    run: _Run
    pipeline: _Named
    stage: _Stage | None = None


class _Event(Body):
    eventType: Name  # noqa: N815
    createdDate: Any = None  # noqa: N815
    resource: dict[str, Any]


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the event is none. Raises BadPayload without `eventType`, and for a change that lacks what
    Azure DevOps documents."""
    body = parsed_object(message.body)
    kind = text(body.get("eventType"), 80)
    if kind and kind not in READERS:
        why = next((why for start, why in NOT_CHANGES if kind.startswith(start)), "not a change")
        return Normalized(ignored=f"event {kind}: {why}")
    event = shaped(_Event, body)
    if event.eventType not in READERS:  # a number
        return Normalized(ignored=f"event {event.eventType[:80]}: not a change")
    found = READERS[event.eventType](event, message, hook)
    return Normalized(changes=(found,)) if isinstance(found, Change) else Normalized(ignored=found)


def _build(event: _Event, message: Message, hook: Hook) -> Change | str:
    build = shaped(_Build, event.resource)
    if build.reason.lower() in ("pullrequest", "validateshelveset", "checkinshelveset"):
        return "build of a pull request: it changes nothing that runs"
    definition, project = build.definition or _Named(), build.project or _Named()
    name = definition.name or project.name or "build"
    kind = kind_of_run(name, otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment_of_job(name) if kind is not ChangeKind.BUILD_FINISHED else ""
    if why := elsewhere(environment, hook, listed="azuredevops_environment"):
        return why
    commit = build.sourceVersion or build.sourceGetVersion.rpartition(":")[2]
    said = build.result or build.status
    who = build.requestedFor or build.lastChangedBy or _Named()
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"azuredevops:{project.id}:build:{build.id}",
        kind=kind,
        subject=subject_of_run(name, kind, hook),
        outcome=OUTCOMES.get(said.lower(), ChangeOutcome.UNKNOWN),
        began=first_time(build.startTime),
        ended=first_time(build.finishTime, event.createdDate),
        environment=environment,
        version=version_of(build.sourceBranch, commit) or build.buildNumber,
        author=who.displayName,
        url=_web(build.links),
        summary=f"{name} {build.buildNumber} {said}",
        labels={
            "build": build.buildNumber,
            "branch": build.sourceBranch,
            "reason": build.reason,
            "commit": commit,
        },
    )


def _deployment(event: _Event, message: Message, hook: Hook) -> Change | str:
    said = shaped(_Released, event.resource)
    place, deployment = said.environment or _Environment(), said.deployment or _Deployment()
    release = deployment.release or place.release or said.release or _Named()
    definition = deployment.releaseDefinition or place.releaseDefinition or _Named()
    environment = place.name or (deployment.releaseEnvironment.name if deployment.releaseEnvironment else "")
    if why := elsewhere(environment, hook, listed="azuredevops_environment"):
        return why
    started = event.eventType.endswith("started-event")
    status = "inProgress" if started else deployment.deploymentStatus or place.status
    name = definition.name or (said.project.name if said.project else "") or release.name or "release"
    once = f"{release.id or release.name}:{place.id or environment}:{deployment.id if not started else ''}".rstrip(":")
    at = first_time(deployment.startedOn, place.createdOn, event.createdDate)
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"azuredevops:{said.project.id if said.project else ''}:release:{once}",
        kind=kind_of_run(release.name, otherwise=ChangeKind.SERVICE_DEPLOYED),
        subject=subject_of_run(name, ChangeKind.SERVICE_DEPLOYED, hook),
        outcome=OUTCOMES.get(status.lower(), ChangeOutcome.UNKNOWN),
        began=at,
        ended=None if started else first_time(deployment.completedOn, place.modifiedOn, event.createdDate),
        environment=environment,
        version=release.name,
        author=deployment.requestedFor.displayName if deployment.requestedFor else "",
        summary=f"{name} {release.name} to {environment or hook.environment} {status}",
        labels={"release": release.name, "azuredevops_environment": environment},
    )


def _run(event: _Event, message: Message, hook: Hook) -> Change | str:
    said = shaped(_Ran, event.resource)
    return _of_run(said, said.pipeline.name, "", said.run.state, said.run.result, message, hook)


def _stage(event: _Event, message: Message, hook: Hook) -> Change | str:
    said = shaped(_Ran, event.resource)
    stage = said.stage or _Stage()
    name = stage.displayName or stage.name
    if kind_of_run(name, otherwise=ChangeKind.BUILD_FINISHED) is ChangeKind.BUILD_FINISHED:
        return f"stage {name[:60]}: part of a run"
    return _of_run(said, said.pipeline.name, name, stage.state, stage.result, message, hook)


def _of_run(  # noqa: PLR0917
    said: _Ran, pipeline: str, stage: str, state: str, result: str, message: Message, hook: Hook
) -> Change | str:
    environment = environment_of_job(stage or pipeline)
    kind = kind_of_run(stage or pipeline, otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment if kind is not ChangeKind.BUILD_FINISHED else ""
    if why := elsewhere(environment, hook, listed="azuredevops_environment"):
        return why
    goes_on = state.lower() in ("inprogress", "running", "canceling")
    if not goes_on and not result:
        return f"run {state[:40] or 'without a result'}: it has not begun"
    outcome = ChangeOutcome.RUNNING if goes_on else OUTCOMES.get(result.lower(), ChangeOutcome.UNKNOWN)
    what = " ".join(each for each in (pipeline, stage) if each)
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"azuredevops:run:{said.run.id}" + (f":{stage}" if stage else ""),
        kind=kind,
        subject=subject_of_run(pipeline or "pipeline", kind, hook),
        outcome=outcome,
        began=first_time(said.run.createdDate),
        ended=None if goes_on else first_time(said.run.finishedDate),
        environment=environment,
        version=said.run.name,
        url=_web(said.run.links),
        summary=f"{what} {said.run.name} {result or state}",
        labels={"pipeline": pipeline, "stage": stage, "run": said.run.id},
    )


def _web(links: _Links | None) -> str:
    return links.web.href if links and links.web else ""


READERS: dict[str, Callable[[_Event, Message, Hook], Change | str]] = {
    "build.complete": _build,
    "ms.vss-release.deployment-started-event": _deployment,
    "ms.vss-release.deployment-completed-event": _deployment,
    "ms.vss-pipelines.run-state-changed-event": _run,
    "ms.vss-pipelines.stage-state-changed-event": _stage,
}

NOT_CHANGES = (
    ("git.", "code changes nothing until it is built or deployed"),
    ("tfvc.", "code changes nothing until it is built or deployed"),
    ("workitem.", "a work item is not a change"),
    ("ms.vss-release.release-", "a release changes nothing until it is deployed"),
    ("ms.vss-release.", "an approval; the deployment that follows is the change"),
    ("ms.vss-pipelinechecks-events.", "an approval; the stage that follows is the change"),
    ("ms.vss-pipelines.job-", "part of a run"),
)
"""Beginnings of event types, and why such an event is no change."""

SETUP = """Project settings → Service hooks → Create subscription → Web Hooks.

- Events: **Release deployment started** and **completed** for classic releases; **Run stage state changed** for YAML
  pipelines that deploy in a stage named so; else **Run state changed** or **Build completed** (not both)
- URL `{url}`, Basic authentication with any user name and password `{secret}`, resource details: all
- A release definition or pipeline is the service of its name without words for deploying and environments; the hook's
  `defaults` name another. A production hook leaves out environments and stages that are staging or test by name;
  `azuredevops_environment: eu, us` in its `defaults` lists names.
"""

SOURCE = Source(
    name=NAME,
    title="Azure DevOps",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        *(f"{start}*: {why}" for start, why in NOT_CHANGES),
        "builds of pull requests, stages that deploy nothing",
        "deployments to other environments than the hook's",
    ),
    aliases=("azure_devops",),
)
