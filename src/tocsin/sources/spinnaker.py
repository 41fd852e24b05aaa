"""What did Spinnaker run? Pipelines and tasks that orca reports, and builds and images that igor saw, through Echo.

Echo posts every event to the endpoints under `rest:` in echo.yml, all of one shape: `details` says what, `content`
holds it. A pipeline's start and end are one change; stages and single tasks of it are parts. Echo retries 5 times.
https://spinnaker.io/docs/setup/other_config/features/notifications/
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
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
)
from tocsin.sources._identity import link_of
from tocsin.sources._jenkins import outcome_of, short_name
from tocsin.sources._json import number, parsed, shaped, text
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "spinnaker"

STATUSES = {
    "SUCCEEDED": ChangeOutcome.SUCCESS,
    "FAILED_CONTINUE": ChangeOutcome.FAILURE,
    "TERMINAL": ChangeOutcome.FAILURE,
    "CANCELED": ChangeOutcome.CANCELED,
    "STOPPED": ChangeOutcome.CANCELED,
    "SKIPPED": ChangeOutcome.CANCELED,
    "RUNNING": ChangeOutcome.RUNNING,
    "NOT_STARTED": ChangeOutcome.RUNNING,
    "PAUSED": ChangeOutcome.RUNNING,
    "SUSPENDED": ChangeOutcome.RUNNING,
    "BUFFERED": ChangeOutcome.RUNNING,
    "REDIRECT": ChangeOutcome.RUNNING,
}
"""ExecutionStatus of orca → outcome."""
ENDS = {"complete": ChangeOutcome.SUCCESS, "failed": ChangeOutcome.FAILURE, "starting": ChangeOutcome.RUNNING}
"""The last word of the event's type, for executions that name no status."""


class _Details(Body):
    type: Name
    source: Words = ""
    created: Any = None
    application: Words = ""


class _Event(Body):
    details: _Details
    content: dict[str, Any] = Field(default={})


class _LastBuild(Body):
    number: Name
    building: bool = False
    result: Words = ""
    timestamp: Any = None
    duration: Any = None
    url: Words = ""


class _Project(Body):
    name: Name
    lastBuild: _LastBuild | None = None  # noqa: N815


class _Built(Body):
    project: _Project
    master: Words = ""


class _Trigger(Body):
    type: Words = ""
    user: Words = ""
    tag: Words = ""


class _Authentication(Body):
    user: Words = ""


class _Execution(Body):
    id: Name
    name: Words = ""
    application: Words = ""
    status: Words = ""
    type: Words = ""
    startTime: Any = None  # noqa: N815
    endTime: Any = None  # noqa: N815
    buildTime: Any = None  # noqa: N815
    trigger: _Trigger | None = None
    authentication: _Authentication | None = None
    stages: list[Any] | None = None


class _Ran(Body):
    execution: _Execution


class _Image(Body):
    registry: Words = ""
    repository: Name
    tag: Words = ""
    digest: Words = ""


def normalize(message: Message, hook: Hook) -> Normalized:
    """The changes of an event, or of a list of them. Raises BadPayload for a body without `details.type`, and for a
    build or execution that lacks its number, name or id."""
    body = parsed(message.body)
    events = [shaped(_Event, _unwrapped(each)) for each in (body if isinstance(body, list) and body else [body])]
    read = [_read(event, message, hook) for event in events]
    changes = tuple(each for each in read if isinstance(each, Change))
    return Normalized(changes=changes, ignored="" if changes else next(each for each in read if isinstance(each, str)))


def _unwrapped(event: object) -> object:
    """With `wrap: true` Echo puts the event into a field of an object that has an `eventName`."""
    if isinstance(event, dict) and "details" not in event and "eventName" in event:
        return next((each for each in event.values() if isinstance(each, dict)), event)
    return event


def _read(event: _Event, message: Message, hook: Hook) -> Change | str:
    kind = event.details.type
    if kind == "build":
        return _build(event, message, hook)
    if kind == "docker":
        return _image(event, message, hook)
    if kind.startswith(("orca:pipeline:", "orca:orchestration:")):
        return _execution(event, message, hook)
    if kind.startswith(("orca:stage:", "orca:task:")):
        return f"{kind[:60]}: part of a pipeline"
    return f"event {kind[:60]} is not a change"


def _build(event: _Event, message: Message, hook: Hook) -> Change | str:
    built = shaped(_Built, event.content)
    build = built.project.lastBuild
    if build is None:
        return "build: the job has not been built yet"
    job, outcome = built.project.name, outcome_of(build.result, building=build.building)
    name = short_name(job)
    kind = kind_of_run(name, otherwise=ChangeKind.BUILD_FINISHED)
    environment = environment_of_job(name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="spinnaker_environment"):
        return why
    began = first_time(build.timestamp)
    seen = first_time(event.details.created)
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"jenkins:{built.master}:{job}:{build.number}",
        kind=kind,
        subject=subject_of_run(name, kind, hook),
        outcome=outcome,
        began=began,
        ended=_after(began, build.duration) or seen if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        url=build.url,
        summary=f"{job} #{build.number} {build.result.lower() or 'building'}",
        labels={"job": job, "master": built.master, "result": build.result},
    )


def _after(began: Any, duration: object) -> Any:  # noqa: ANN401
    lasted = number(duration)
    return first_time(began.timestamp() + lasted / 1000) if began and lasted and 0 < lasted < 10**11 else None


def _execution(event: _Event, message: Message, hook: Hook) -> Change | str:
    run = shaped(_Ran, event.content).execution
    last = event.details.type.rpartition(":")[2]
    outcome = STATUSES.get(run.status.upper()) or ENDS.get(last, ChangeOutcome.UNKNOWN)
    if last == "starting":
        outcome = ChangeOutcome.RUNNING
    application = run.application or event.details.application or "spinnaker"
    stages = [text(stage.get("type"), 60) for stage in run.stages or () if isinstance(stage, dict)]
    kind = ChangeKind.PIPELINERUN_FINISHED
    if any("rollback" in stage.lower() for stage in stages):
        kind = ChangeKind.SERVICE_ROLLEDBACK
    elif any(stage.lower().startswith("deploy") for stage in stages):
        kind = ChangeKind.SERVICE_DEPLOYED
    kind = kind_of_run(run.name, otherwise=kind)
    environment = environment_of_job(run.name) if kind in PUTS_INTO_SERVICE else ""
    if why := elsewhere(environment, hook, listed="spinnaker_environment"):
        return why
    who = (run.authentication.user if run.authentication else "") or (run.trigger.user if run.trigger else "")
    link = text(event.content.get("executionUrl"), 2048)
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"spinnaker:{application}:{run.id}",
        kind=kind,
        subject=subject_of_run(application, ChangeKind.BUILD_FINISHED, hook),
        outcome=outcome,
        began=first_time(run.startTime, run.buildTime, event.details.created),
        ended=first_time(run.endTime, event.details.created) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        version=run.trigger.tag if run.trigger else "",
        author=who,
        url=link if link_of(link) else "",
        summary=f"{application}: {run.name or run.type or 'task'} {run.status.lower() or last}",
        labels={
            "application": application,
            "pipeline": run.name,
            "status": run.status,
            "trigger": run.trigger.type if run.trigger else "",
        },
    )


def _image(event: _Event, message: Message, hook: Hook) -> Change:
    image = shaped(_Image, event.content)
    name = image.repository.rpartition("/")[2]
    version = image.tag or image.digest
    at = first_time(event.details.created)
    return change_of(
        message,
        hook,
        source=NAME,
        id=f"image:{image.registry}/{image.repository}:{version}",
        kind=ChangeKind.ARTIFACT_PUBLISHED,
        subject=subject_of_run(name, ChangeKind.ARTIFACT_PUBLISHED, hook),
        outcome=ChangeOutcome.SUCCESS,
        began=at,
        ended=at,
        version=version,
        summary=f"{image.repository}:{version} published",
        labels={"registry": image.registry, "repository": image.repository, "digest": image.digest},
    )


SETUP = """In `echo-local.yml`:

```yaml
rest:
  enabled: true
  endpoints:
    - wrap: false
      url: {url}
      headers: {{Authorization: Bearer {secret}}}
      retryCount: 5
```

- A pipeline with a deploy stage (or whose name says so) is a deployment of its application; others are pipeline runs.
- A production hook leaves out deploying pipelines that are staging or test by name; `spinnaker_environment: eu, us` in
  its `defaults` lists names.
- Stage and task events are parts of a pipeline and are ignored; builds that igor sees on Jenkins are builds.
- `service: checkout` in the hook's `defaults` names the service outright.
"""

SOURCE = Source(
    name=NAME,
    title="Spinnaker (Echo)",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "stages and tasks: parts of a pipeline",
        "every other event, by its name",
        "deployments to other environments than the hook's",
    ),
    aliases=("spinnaker_jenkins",),
)
