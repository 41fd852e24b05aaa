"""What changed, by a CDEvent of a service, build, artifact, environment, pipeline or task run?"""

from __future__ import annotations

from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._delivery import change_of, elsewhere, first_time
from tocsin.sources._identity import labels_of, subject_of
from tocsin.sources.cdevents.shapes import Event, package

KINDS = {
    "service.deployed": ChangeKind.SERVICE_DEPLOYED,
    "service.upgraded": ChangeKind.SERVICE_DEPLOYED,
    "service.published": ChangeKind.SERVICE_DEPLOYED,
    "service.rolledback": ChangeKind.SERVICE_ROLLEDBACK,
    "service.removed": ChangeKind.SERVICE_REMOVED,
    "environment.created": ChangeKind.ENVIRONMENT_MODIFIED,
    "environment.modified": ChangeKind.ENVIRONMENT_MODIFIED,
    "environment.deleted": ChangeKind.ENVIRONMENT_MODIFIED,
    "artifact.published": ChangeKind.ARTIFACT_PUBLISHED,
    "build.started": ChangeKind.BUILD_FINISHED,
    "build.finished": ChangeKind.BUILD_FINISHED,
    "pipelinerun.started": ChangeKind.PIPELINERUN_FINISHED,
    "pipelinerun.finished": ChangeKind.PIPELINERUN_FINISHED,
    "taskrun.started": ChangeKind.PIPELINERUN_FINISHED,
    "taskrun.finished": ChangeKind.PIPELINERUN_FINISHED,
}
"""subject.predicate → kind; a run's start and finish are one change."""

OUTCOMES = {
    "success": ChangeOutcome.SUCCESS,
    "failure": ChangeOutcome.FAILURE,
    "error": ChangeOutcome.FAILURE,
    "cancel": ChangeOutcome.CANCELED,
    "cancelled": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
    "skip": ChangeOutcome.CANCELED,
}
SUBJECT_KEYS = frozenset({"subject", "service", "model", "dataset", "feature", "job"})


def change_of_event(event: Event, name: str, kind: ChangeKind, message: Message, hook: Hook) -> Change | str:
    """The change, or why a hook that stands for one environment leaves it alone."""
    content, context, about = event.subject.content, event.context, event.subject
    environment = (content.environment.name or content.environment.id) if content.environment else ""
    if kind is ChangeKind.ENVIRONMENT_MODIFIED:
        environment = environment or content.name or about.id
    if why := elsewhere(environment, hook, listed="cdevents_environment"):
        return why
    package_name, version = package(content.artifactId or about.id)
    outcome = _outcome(name, content.outcome)
    at = first_time(context.timestamp)
    custom = labels_of(event.customData)
    claims = {key: value for key, value in custom.items() if key in SUBJECT_KEYS}
    return change_of(
        message,
        hook,
        source="cdevents",
        id=f"cdevents:{about.source or context.source}:{name.partition('.')[0]}:{_once(event, name)}",
        kind=kind,
        subject=subject_of(claims or hook.defaults, fallback=_fallback(event, kind, package_name)),
        outcome=outcome,
        began=at,
        ended=at if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=custom.get("version", "") or version,
        author=content.user or custom.get("author", ""),
        url=content.uri or content.url,
        summary=_summary(event, name, package_name, environment),
        labels={
            **{key: value for key, value in custom.items() if key not in SUBJECT_KEYS},
            "sender": context.source,
            "chain": context.chainId,
            "artifact": content.artifactId,
        },
    )


def _outcome(name: str, said: str) -> ChangeOutcome:
    if name.endswith((".started", ".queued")):
        return ChangeOutcome.RUNNING
    if said:
        return OUTCOMES.get(said.lower(), ChangeOutcome.UNKNOWN)
    return ChangeOutcome.UNKNOWN if "run." in name else ChangeOutcome.SUCCESS


def _once(event: Event, name: str) -> str:
    """What makes events one change: a run's or build's own id; else the thing and the event that told of it."""
    if name.startswith(("pipelinerun.", "taskrun.", "build.")):
        return event.subject.id
    if name.startswith("artifact."):
        return event.subject.id
    return f"{event.subject.id}:{event.context.id or event.context.timestamp}"


def _fallback(event: Event, kind: ChangeKind, package_name: str) -> Subject:
    content, id_ = event.subject.content, event.subject.id
    if kind is ChangeKind.PIPELINERUN_FINISHED:
        return Subject.of("job", content.pipelineName or content.taskName or id_)
    if kind is ChangeKind.ENVIRONMENT_MODIFIED:
        return Subject.of("unknown", content.name or id_)
    if kind in (ChangeKind.BUILD_FINISHED, ChangeKind.ARTIFACT_PUBLISHED):
        return Subject.of("service", package_name or id_.rpartition("/")[2] or id_)
    if kind.startswith(("model.", "dataset.", "feature.")):
        return Subject.of(kind.partition(".")[0], id_)
    return Subject.of("service", id_.rpartition("/")[2] or id_)


def _summary(event: Event, name: str, package_name: str, environment: str) -> str:
    content, id_ = event.subject.content, event.subject.id
    what = content.pipelineName or content.taskName or content.name or package(id_)[0] or id_
    where = f" in {environment}" if environment and environment != what else ""
    of = f" of {package_name}" if package_name and package_name not in what else ""
    said = f": {content.errors}" if content.errors else ""
    return f"{what} {name.replace('.', ' ')}{of}{where} {content.outcome}".rstrip() + said[:400]
