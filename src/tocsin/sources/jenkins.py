"""Which Jenkins job ran, and how did it end? Bodies of the Notification and Outbound WebHook plugins, and Jenkins' own.

Jenkins posts nothing by itself, and no plugin signs. The Notification plugin posts COMPLETED and FINALIZED of one
build: both are one change. While it starts, `status` is that of the build before.
https://plugins.jenkins.io/notification/ · https://plugins.jenkins.io/outbound-webhook/
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from pydantic import AliasChoices, Field

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
from tocsin.sources._identity import labels_of, link_of
from tocsin.sources._jenkins import outcome_of, short_name
from tocsin.sources._json import number, parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "jenkins"

ENVIRONMENT_PARAMETERS = ("ENVIRONMENT", "ENV", "DEPLOY_ENV", "TARGET_ENV", "environment", "env")
VERSION_PARAMETERS = ("VERSION", "TAG", "IMAGE_TAG", "RELEASE", "version", "tag")
NUMBERS = ("number", "buildNumber", "build_number", "BUILD_NUMBER")
"""What people call a build's number in a pipeline step of their own."""
MAX_DURATION_MS = 366 * 24 * 3600 * 1000


class _Scm(Body):
    url: Words = ""
    branch: Words = ""
    commit: Words = ""


class _Build(Body):
    number: Name
    phase: Words = ""
    status: Words = ""
    full_url: Words = ""
    url: Words = ""
    timestamp: Any = None
    duration: Any = None
    scm: _Scm | None = None
    parameters: Any = None


class _Notification(Body):
    """The Notification plugin's body."""

    name: Name
    display_name: Words = ""
    url: Words = ""
    build: _Build


class _Outbound(Body):
    """The Outbound WebHook plugin's body."""

    event: Name
    projectName: Name  # noqa: N815
    buildName: Words = ""  # noqa: N815
    buildUrl: Words = ""  # noqa: N815


class _Run(Body):
    """A build as Jenkins' own API writes it, or as our pipeline step posts it."""

    job: Words = Field(default="", validation_alias=AliasChoices("job", "jobName", "job_name", "JOB_NAME"))
    fullDisplayName: Words = ""  # noqa: N815
    number: Name = Field(validation_alias=AliasChoices(*NUMBERS))
    result: Words = Field(default="", validation_alias=AliasChoices("result", "status", "buildResult", "build_status"))
    building: bool = False
    timestamp: Any = None
    duration: Any = None
    url: Words = Field(default="", validation_alias=AliasChoices("url", "buildUrl", "build_url", "BUILD_URL"))
    branch: Words = ""
    commit: Words = ""
    version: Words = ""
    environment: Words = ""
    author: Words = ""


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the notification is none. Raises BadPayload for a body of none of the known shapes."""
    body = parsed_object(message.body)
    if isinstance(body.get("build"), dict):
        return _notification(shaped(_Notification, body), message, hook)
    if "projectName" in body and "event" in body:
        return _outbound(shaped(_Outbound, body), message, hook)
    if any(name in body for name in NUMBERS):
        return _run(shaped(_Run, body), message, hook)
    raise BadPayload("neither a build of the Notification plugin, nor an event with projectName, nor a build's number")


def _notification(event: _Notification, message: Message, hook: Hook) -> Normalized:
    build, scm = event.build, event.build.scm or _Scm()
    phase = build.phase.upper()
    if phase == "QUEUED":
        return Normalized(ignored="build queued: it has not begun")
    parameters = labels_of(build.parameters)
    run = _Run(
        job=_job_in(event.url) or event.name,
        number=build.number,
        result="" if phase == "STARTED" else build.status,
        building=phase == "STARTED",
        timestamp=build.timestamp,
        duration=build.duration if phase != "STARTED" else None,
        url=build.full_url if link_of(build.full_url) else build.url,
        branch=scm.branch.removeprefix("origin/"),
        commit=scm.commit,
        version=_first(parameters, VERSION_PARAMETERS),
        environment=_first(parameters, ENVIRONMENT_PARAMETERS),
    )
    return _run(run, message, hook)


def _outbound(event: _Outbound, message: Message, hook: Hook) -> Normalized:
    words = {"start": "STARTED", "success": "SUCCESS", "failure": "FAILURE", "unstable": "UNSTABLE"}
    run = _Run(
        job=event.projectName,
        number=event.buildName.lstrip("#") or event.buildUrl or message.id.hex,
        result=words.get(event.event.lower(), event.event),
        url=event.buildUrl,
    )
    return _run(run, message, hook)


def _run(run: _Run, message: Message, hook: Hook) -> Normalized:
    job = run.job or run.fullDisplayName.rpartition(" #")[0].replace(" » ", "/") or _job_in(run.url)
    if not job:
        raise BadPayload("a build must name its job", path="job")
    name = short_name(job)
    kind = kind_of_run(name, otherwise=ChangeKind.BUILD_FINISHED)
    environment = run.environment or (environment_of_job(name) if kind in PUTS_INTO_SERVICE else "")
    if why := elsewhere(environment, hook, listed="jenkins_environment"):
        return Normalized(ignored=why)
    outcome = outcome_of(run.result, building=run.building)
    began = first_time(run.timestamp)
    version = run.version or version_of(run.branch, run.commit)
    lasted = number(run.duration)
    ended = None
    if began and outcome is not ChangeOutcome.RUNNING and lasted is not None and 0 < lasted < MAX_DURATION_MS:
        ended = began + timedelta(milliseconds=lasted)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"jenkins:{job}:{run.number}",
        kind=kind,
        subject=subject_of_run(name, kind, hook),
        outcome=outcome,
        began=began,
        ended=ended,
        environment=environment,
        version=version,
        author=run.author,
        url=run.url,
        summary=f"{job} #{run.number} {run.result.lower()} {version}",
        labels={"job": job, "result": run.result, "branch": run.branch, "commit": run.commit},
    )
    return Normalized(changes=(change,))


def _job_in(url: str) -> str:
    """`https://ci/job/shop/job/checkout/18/` → `shop/checkout`."""
    parts = url.split("/")
    return "/".join(after for part, after in pairwise(parts) if part == "job" and after)


def _first(parameters: dict[str, str], names: tuple[str, ...]) -> str:
    return next((parameters[name] for name in names if parameters.get(name)), "")


SETUP = """With the Notification plugin: the job → Job Notifications → Add endpoint: format JSON, protocol HTTP, event
**All Events** (or Job Started and Job Finalized), URL `{url}?token={secret}`.

Without a plugin but HTTP Request, at the end of a Jenkinsfile:

```groovy
post {{ always {{ httpRequest url: '{url}', httpMode: 'POST', contentType: 'APPLICATION_JSON',
  customHeaders: [[name: 'Authorization', value: 'Bearer {secret}', maskValue: true]],
  requestBody: groovy.json.JsonOutput.toJson([job: env.JOB_NAME, number: env.BUILD_NUMBER, url: env.BUILD_URL,
    result: currentBuild.currentResult, timestamp: currentBuild.startTimeInMillis, duration: currentBuild.duration,
    branch: env.GIT_BRANCH, commit: env.GIT_COMMIT, version: env.VERSION, environment: env.DEPLOY_ENV]) }} }}
```

- A job whose name contains "deploy" or "rollout" deploys the service that the rest of its name says (`deploy-checkout`:
  checkout), any other builds; `service: checkout` in the hook's `defaults` says it outright.
- The parameters `VERSION` and `ENVIRONMENT` of a build are read. A production hook leaves out deployments to staging,
  test and the like, by that parameter or the job's name; `jenkins_environment: eu, us` in its `defaults` lists names.
- The plugin's retries are off by default.
"""

SOURCE = Source(
    name=NAME,
    title="Jenkins",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("queued builds", "deployments to other environments than the hook's"),
)
