"""What did AWS build, deploy or publish? Events of CodeBuild, CodePipeline, CodeDeploy, ECS, ECR and CloudFormation.

All events of one build, pipeline execution or deployment carry one id, so that phases, stages and actions complete it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._aws import Event, name_of, need, time_of
from tocsin.sources._cloud import (
    Occasion,
    dig,
    facts,
    first_line,
    last_part,
    name_in,
    outcome_of,
    plain,
    rows,
    run_subject,
)
from tocsin.sources._delivery import elsewhere, kind_of_run

ENVIRONMENTS = "aws_environment"
"""The hook's default that lists the deployment groups and stages that it takes."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
FAILED = frozenset({"failed", "fault", "timedout", "clienterror"})


def build(event: Event, occasion: Occasion) -> Normalized:
    """A build; the events of its phases tell how far it is."""
    detail = event.detail
    more = facts(detail.get("additional-information"))
    build_id, project = need(detail, "build-id"), need(detail, "project-name")
    status = name_in(detail, "build-status") or _phases_say(event)
    outcome = outcome_of(status)
    kind = kind_of_run(project, otherwise=ChangeKind.BUILD_FINISHED)
    number = more.get("build-number")
    change = occasion.change(
        id=f"codebuild:{build_id}",
        kind=kind,
        subject=run_subject(project, kind, occasion.hook),
        outcome=outcome,
        summary=f"build {project}" + (f" #{number:g}" if isinstance(number, float | int) else "") + f": {status}",
        began=time_of(more, "build-start-time") or event.at,
        ended=None if outcome is ChangeOutcome.RUNNING else event.at,
        version=_short(name_in(detail, "source-version") or name_in(more, "source-version")),
        author=last_part(name_in(more, "initiator"))[:255],
        url=dig(more, "logs", "deep-link"),
        labels={"status": status, "phase": name_in(detail, "current-phase", "completed-phase")}
        | {"source": name_in(facts(more.get("source")), "location")},
    )
    return Normalized(changes=(change,))


def _short(version: str) -> str:
    """A commit's first 12 digits; any other version as it is."""
    return version[:12] if _COMMIT.fullmatch(version) else version[:255]


def _phases_say(event: Event) -> str:
    """The build's status as one of its phases' events tells it."""
    more = facts(event.detail.get("additional-information"))
    states = [name_in(each, "phase-status") for each in rows(more.get("phases"))]
    states.append(name_in(event.detail, "completed-phase-status"))
    failed = next((state for state in states if plain(state) in FAILED), "")
    return failed or ("SUCCEEDED" if more.get("build-complete") is True else "IN_PROGRESS")


def pipeline(event: Event, occasion: Occasion) -> Normalized:
    """An execution of a pipeline. Its stages and actions only tell how far it is; but an action that deploys is a
    deployment of its own, unless the whole pipeline is one by its name."""
    detail = event.detail
    name, execution, state = need(detail, "pipeline"), need(detail, "execution-id"), need(detail, "state")
    stage, action = name_in(detail, "stage"), name_in(detail, "action")
    kind_of_action = facts(detail.get("type"))
    kind = kind_of_run(name, otherwise=ChangeKind.PIPELINERUN_FINISHED)
    if action and plain(kind_of_action.get("category")) == "deploy" and kind is ChangeKind.PIPELINERUN_FINISHED:
        return _deploy_action(event, occasion, f"codepipeline:{name}:{execution}:{stage}:{action}")
    whole = "Pipeline Execution" in event.detail_type
    outcome = outcome_of(state)
    if (
        not whole and outcome is not ChangeOutcome.FAILURE
    ):  # a stage that failed ends the execution, one that passed does not
        outcome = ChangeOutcome.RUNNING
    where = "".join(f", {word} {part}" for word, part in (("stage", stage), ("action", action)) if part and not whole)
    change = occasion.change(
        id=f"codepipeline:{name}:{execution}",
        kind=kind,
        subject=run_subject(name, kind, occasion.hook),
        outcome=outcome,
        summary=f"pipeline {name}{where}: {state}",
        began=time_of(detail, "start-time") or event.at,
        ended=None if outcome is ChangeOutcome.RUNNING else event.at,
        author=last_part(name_in(facts(detail.get("execution-trigger")), "trigger-detail"))[:255],
        url=f"https://{event.region}.console.aws.amazon.com/codesuite/codepipeline/pipelines/{name}/executions/{execution}",
        labels={"execution": execution, "stage": stage, "action": action, "state": state},
    )
    return Normalized(changes=(change,))


def _deploy_action(event: Event, occasion: Occasion, id: str) -> Normalized:
    detail = event.detail
    name, state = need(detail, "pipeline"), need(detail, "state")
    stage, action = name_in(detail, "stage"), name_in(detail, "action")
    if why := elsewhere(stage, occasion.hook, listed=ENVIRONMENTS):
        return Normalized(ignored=why)
    outcome = outcome_of(state)
    provider = name_in(facts(detail.get("type")), "provider")
    change = occasion.change(
        id=id,
        kind=ChangeKind.SERVICE_DEPLOYED,
        subject=run_subject(name, ChangeKind.SERVICE_DEPLOYED, occasion.hook),
        outcome=outcome,
        summary=f"{action} ({provider or 'deploy'}) of pipeline {name}, stage {stage}: {state}",
        began=time_of(detail, "start-time") or event.at,
        ended=None if outcome is ChangeOutcome.RUNNING else event.at,
        labels={"stage": stage, "action": action, "provider": provider, "state": state}
        | {"execution": name_in(detail, "execution-id")}
        | {"why": first_line(dig(detail, "execution-result", "external-execution-summary"))},
    )
    return Normalized(changes=(change,))


def deployment(event: Event, occasion: Occasion) -> Normalized:
    """A deployment by CodeDeploy; events of single instances tell how far it is."""
    detail = event.detail
    deployment_id, state = need(detail, "deploymentId"), need(detail, "state")
    application, group = name_in(detail, "application"), name_in(detail, "deploymentGroup")
    application = application or next((name_of(each).partition("/")[0] for each in event.resources), "")
    if why := elsewhere(group, occasion.hook, listed=ENVIRONMENTS):
        return Normalized(ignored=why)
    of_instance = "Instance" in event.detail_type
    outcome = ChangeOutcome.RUNNING if of_instance else outcome_of(state)
    instance = name_in(detail, "instanceId") if of_instance else ""
    change = occasion.change(
        id=f"codedeploy:{deployment_id}",
        kind=ChangeKind.SERVICE_DEPLOYED,
        subject=run_subject(application or group, ChangeKind.SERVICE_DEPLOYED, occasion.hook),
        outcome=outcome,
        summary=f"deployment {deployment_id} of {application} to {group}: {state}"
        + (f" on {instance}" if instance else ""),
        began=event.at,
        ended=None if outcome is ChangeOutcome.RUNNING else event.at,
        url=f"https://{event.region}.console.aws.amazon.com/codesuite/codedeploy/deployments/{deployment_id}",
        labels={"deployment_group": group, "state": state, "application": application},
    )
    return Normalized(changes=(change,))


ECS_DEPLOYMENTS = {
    "SERVICE_DEPLOYMENT_IN_PROGRESS": ChangeOutcome.RUNNING,
    "SERVICE_DEPLOYMENT_COMPLETED": ChangeOutcome.SUCCESS,
    "SERVICE_DEPLOYMENT_FAILED": ChangeOutcome.FAILURE,
}


def ecs_deployment(event: Event, occasion: Occasion) -> Normalized:
    """A deployment of an ECS service."""
    detail = event.detail
    name, deployment_id = need(detail, "eventName"), need(detail, "deploymentId")
    service = next((last_part(each) for each in event.resources if ":service/" in each), "")
    outcome = ECS_DEPLOYMENTS.get(name, ChangeOutcome.UNKNOWN)
    at = time_of(detail, "updatedAt") or event.at
    change = occasion.change(
        id=f"ecs:{deployment_id}",
        kind=ChangeKind.SERVICE_DEPLOYED,
        subject=Subject.of("service", service or deployment_id),
        outcome=outcome,
        summary=f"{service or deployment_id}: {first_line(detail.get('reason')) or name}",
        began=at,
        ended=None if outcome is ChangeOutcome.RUNNING else at,
        version=last_part(deployment_id)[:255],
        labels={"event_name": name, "cluster": name_of(name_in(detail, "clusterArn"))},
    )
    return Normalized(changes=(change,))


def ecr_action(event: Event, occasion: Occasion) -> Normalized:
    """An image that was pushed to a repository."""
    detail = event.detail
    repository, action = need(detail, "repository-name"), need(detail, "action-type")
    if plain(action) != "push":
        return Normalized(ignored=f"ECR {action[:40]}: nothing that runs changed")
    tag, digest = name_in(detail, "image-tag"), name_in(detail, "image-digest", "manifest-digest")
    change = occasion.change(
        id=f"ecr:{repository}:{digest or tag}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=Subject.of("service", repository),
        outcome=outcome_of(detail.get("result")),
        summary=f"image {repository}:{tag or digest} was pushed",
        began=event.at,
        version=(tag or digest)[:255],
        labels={"tag": tag, "digest": digest},
    )
    return Normalized(changes=(change,))


def stack(event: Event, occasion: Occasion) -> Normalized:
    """A CloudFormation stack; events of single resources tell how far it is."""
    detail = event.detail
    arn = need(detail, "stack-id")
    parts = arn.split("/")
    name = parts[1] if len(parts) > 1 else arn
    status = name_in(facts(detail.get("status-details")), "status") or name_in(detail, "status")
    if "Resource" in event.detail_type:
        return Normalized(ignored="one resource of a CloudFormation stack: the stack's own event tells")
    change = occasion.change(
        id=f"cloudformation:{arn}:{name_in(detail, 'client-request-token') or status}",
        kind=ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("service", name),
        outcome=_stack_outcome(status),
        summary=f"stack {name}: {status}",
        began=event.at,
        labels={"status": status, "why": first_line(dig(detail, "status-details", "status-reason"))},
    )
    return Normalized(changes=(change,))


def _stack_outcome(status: str) -> ChangeOutcome:
    if "FAILED" in status or "ROLLBACK_COMPLETE" in status:
        return ChangeOutcome.FAILURE
    return ChangeOutcome.SUCCESS if status.endswith("_COMPLETE") else ChangeOutcome.RUNNING


READERS: dict[str, Callable[[Event, Occasion], Normalized]] = {
    "CodeBuild Build State Change": build,
    "CodeBuild Build Phase Change": build,
    "CodePipeline Pipeline Execution State Change": pipeline,
    "CodePipeline Stage Execution State Change": pipeline,
    "CodePipeline Action Execution State Change": pipeline,
    "CodeDeploy Deployment State-change Notification": deployment,
    "CodeDeploy Instance State-change Notification": deployment,
    "ECS Deployment State Change": ecs_deployment,
    "ECR Image Action": ecr_action,
    "CloudFormation Stack Status Change": stack,
    "CloudFormation Resource Status Change": stack,
}
