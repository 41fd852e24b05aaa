"""Which Rundeck job ran, and how did it end? Bodies of its webhook notifications.

https://docs.rundeck.com/docs/manual/jobs/job-notifications.html#webhooks
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.domain.alert import Resolves
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._delivery import (
    PUTS_INTO_SERVICE,
    Body,
    Words,
    change_of,
    elsewhere,
    environment_in,
    environment_of_job,
    first_time,
    kind_of_run,
    subject_of_run,
)
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "rundeck"

STATUSES = {
    "succeeded": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "failed-with-retry": ChangeOutcome.FAILURE,
    "timedout": ChangeOutcome.FAILURE,
    "aborted": ChangeOutcome.CANCELED,
    "running": ChangeOutcome.RUNNING,
}
NOT_BEGUN = frozenset({"scheduled", "queued"})


class _Date(Body):
    unixtime: Any = None
    date: Any = None


class _Job(Body):
    name: Words = ""
    group: Words = ""
    permalink: Words = ""


class _Execution(Body):
    id: Name
    status: Words = ""
    project: Words = ""
    user: Words = ""
    href: Words = ""
    permalink: Words = ""
    description: Words = ""
    argstring: Words = ""
    started: _Date | None = Field(default=None, alias="date-started")
    ended: _Date | None = Field(default=None, alias="date-ended")
    job: _Job | None = None


class _Event(Body):
    trigger: Words = ""
    status: Words = ""
    execution: _Execution


def normalize(message: Message, hook: Hook) -> Normalized:
    """One change, or why the notification is none. Raises BadPayload without an execution and its id."""
    event = shaped(_Event, parsed_object(message.body))
    run, job = event.execution, event.execution.job or _Job()
    status = (event.status or run.status).lower()
    if event.trigger == "avgduration":
        return Normalized(ignored="avgduration: the run takes long and goes on")
    if event.trigger == "start":
        status = "running"  # a job that a clock started may still be told as scheduled
    elif status in NOT_BEGUN:
        return Normalized(ignored=f"execution {status}: it has not begun")
    name = job.name or run.description or f"execution {run.id}"
    kind = kind_of_run(job.name, otherwise=ChangeKind.PIPELINERUN_FINISHED)
    environment = (
        environment_of_job(job.name) or environment_in(job.group, run.project) if kind in PUTS_INTO_SERVICE else ""
    )
    if why := elsewhere(environment, hook, listed="rundeck_environment"):
        return Normalized(ignored=why)
    started, ended = run.started or _Date(), run.ended or _Date()
    outcome = STATUSES.get(status, ChangeOutcome.UNKNOWN)
    change = change_of(
        message,
        hook,
        source=NAME,
        id=f"rundeck:{run.project}:{run.id}",
        kind=kind,
        subject=subject_of_run(name, kind, hook),
        outcome=outcome,
        began=first_time(started.unixtime, started.date),
        ended=first_time(ended.unixtime, ended.date) if outcome is not ChangeOutcome.RUNNING else None,
        environment=environment,
        author=run.user,
        url=run.permalink or run.href,
        summary=f"{name} {status} {run.argstring}",
        labels={"project": run.project, "group": job.group, "options": run.argstring},
    )
    return Normalized(changes=(change,))


SETUP = """In the job: Notifications → add for **On Start**, **On Success** and **On Failure** a *Send Webhook*: URL
`{url}?token={secret}`, payload format JSON, method POST.

- A job whose name contains "deploy" or "rollout" deploys the service that the rest of its name says, any other is a run
  of the job; the hook's `defaults` name another subject.
"""

SOURCE = Source(
    name=NAME,
    title="Rundeck",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=("runs that take long", "executions that have not begun", "deployments to other environments"),
)
