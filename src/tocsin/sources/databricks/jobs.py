"""Did a Databricks job or task fail, or run too long? The notifications of Lakeflow Jobs.

They name the run, never a time, a reason or an address. Job and task both notify; a failed task that is retried tells
its job nothing. https://docs.databricks.com/aws/en/jobs/notifications
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, facts, name_in, time_in
from tocsin.sources._identity import links_of

OUTCOMES = {
    "jobs.on_start": ChangeOutcome.RUNNING,
    "jobs.on_success": ChangeOutcome.SUCCESS,
    "jobs.on_failure": ChangeOutcome.FAILURE,
}
SLOW = "jobs.on_duration_warning_threshold_exceeded"
BEHIND = ("jobs.on_streaming_backlog_exceeded", "jobs.on_streaming_backlog_threshold_exceeded")
EVENTS = (*OUTCOMES, SLOW, *BEHIND)

LAPSES = timedelta(hours=2)
"""A stream that has caught up does not say so; one that has not is told again."""


def is_job(body: dict[str, Any]) -> bool:
    """Is this a notification of a job?"""
    return name_in(body, "event_type").startswith("jobs.")


def told(body: dict[str, Any], occasion: Occasion) -> Normalized:
    """The run as a change, and its alert. Raises BadPayload without a job, a run or a known event."""
    event = name_in(body, "event_type")
    job, run, task = facts(body.get("job")), facts(body.get("run")), facts(body.get("task"))
    run_id = name_in(run, "run_id") or name_in(body, "run_id")
    name = name_in(job, "name") or name_in(body, "job_name") or name_in(job, "job_id") or name_in(body, "job_id")
    for path, value in (("run.run_id", run_id), ("job.name", name)):
        if not value:
            raise BadPayload("expected a text", path=path)
    if event not in EVENTS:
        raise BadPayload(f"{event[:60]!r} is not one of {', '.join(EVENTS)}", path="event_type")
    workspace, key = name_in(body, "workspace_id"), name_in(task, "task_key")
    parent = name_in(run, "parent_run_id")
    job_id = name_in(job, "job_id") or name_in(body, "job_id")
    facts_of_run = {"workspace": workspace, "job_id": job_id, "run_id": run_id, "task": key}
    links = links_of({"run": run.get("run_page_url")})
    ran = _Run(name=name, task=key, subject=Subject.of("job", name), labels=facts_of_run, links=links)
    if event == SLOW:
        return Normalized(alerts=(ran.slow(occasion, Status.FIRING),))
    if event in BEHIND:
        return Normalized(alerts=(ran.behind(occasion),))
    outcome = OUTCOMES[event]
    what = f"task {key} of {name}" if key else name
    ended = time_in(run, "end_time", path="run")
    change = occasion.change(
        id=f"databricks:{workspace}:{parent or run_id}" + (f":{key}" if key else ""),
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=ran.subject,
        outcome=outcome,
        summary=f"{what}: {event.removeprefix('jobs.on_')}",
        began=time_in(run, "start_time", path="run"),
        ended=None if outcome is ChangeOutcome.RUNNING else ended,
        url=run.get("run_page_url"),
        labels=facts_of_run,
    )
    if outcome is ChangeOutcome.RUNNING:
        return Normalized(changes=(change,))
    passed = outcome is ChangeOutcome.SUCCESS
    failed = ran.failed(occasion, what, Status.RESOLVED if passed else Status.FIRING, ended)
    return Normalized(alerts=(failed, ran.slow(occasion, Status.RESOLVED)), changes=(change,))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run, and the alerts that may be told of it."""

    name: str
    task: str
    subject: Subject
    labels: dict[str, str]
    links: dict[str, str]

    def failed(self, occasion: Occasion, what: str, status: Status, at: datetime | None) -> Alert:
        """Firing when it failed; the next success ends it."""
        return occasion.alert(
            name="TaskFailed" if self.task else "JobFailed",
            subject=self.subject,
            symptom=Symptom.ERRORS,
            severity=Severity.ERROR,
            status=status,
            summary=f"{what} " + ("failed" if status is Status.FIRING else "passed"),
            at=at or occasion.message.received_at,
            resource=self.task[:255],
            labels=self.labels,
            links=self.links,
            resolves=Resolves.NEXT_PASS,
        )

    def slow(self, occasion: Occasion, status: Status) -> Alert:
        """Firing while a run takes longer than its threshold; the run's end ends it."""
        firing = status is Status.FIRING
        return occasion.alert(
            name="DurationWarning",
            subject=self.subject,
            symptom=Symptom.LATENCY,
            severity=Severity.WARNING,
            status=status,
            summary=f"{self.name} " + ("runs longer than its threshold" if firing else "has ended"),
            at=occasion.message.received_at,
            resource=self.task[:255],
            labels=self.labels,
            links=self.links,
            resolves=Resolves.NEXT_PASS,
        )

    def behind(self, occasion: Occasion) -> Alert:
        """Firing while a stream is behind; it lapses."""
        return occasion.alert(
            name="StreamingBacklog",
            subject=self.subject,
            symptom=Symptom.FRESHNESS,
            severity=Severity.WARNING,
            status=Status.FIRING,
            summary=f"the stream of {self.name} is further behind than its threshold",
            at=occasion.message.received_at,
            resource=self.task[:255],
            labels=self.labels,
            links=self.links,
            resolves=Resolves.EXPIRY,
            expires_after=LAPSES,
        )
