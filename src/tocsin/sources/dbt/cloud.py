"""What happened to a job's run in dbt Cloud? Its webhooks: a run as one change, its failure as one alert.

`completed` follows a failed run as well as one that went well, so that the run's status counts, never the event's name.
Ids are texts in some versions and numbers in others; "None" stands for no message.
https://docs.getdbt.com/docs/deploy/webhooks
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from tocsin.domain.change import ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._json import number, shaped, text
from tocsin.sources._pipeline import Id, Report, Text, first_line, time_at
from tocsin.sources._shape import Name

EVENTS = ("job.run.started", "job.run.completed", "job.run.errored", "job.run.succeeded", "job.run.cancelled")

STATUSES = {
    "queued": ChangeOutcome.RUNNING,
    "starting": ChangeOutcome.RUNNING,
    "running": ChangeOutcome.RUNNING,
    "success": ChangeOutcome.SUCCESS,
    "succeeded": ChangeOutcome.SUCCESS,
    "error": ChangeOutcome.FAILURE,
    "errored": ChangeOutcome.FAILURE,
    "failed": ChangeOutcome.FAILURE,
    "cancelled": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
}
CODES = {
    1: ChangeOutcome.RUNNING,
    2: ChangeOutcome.RUNNING,
    3: ChangeOutcome.RUNNING,
    10: ChangeOutcome.SUCCESS,
    20: ChangeOutcome.FAILURE,
    30: ChangeOutcome.CANCELED,
}
"""runStatusCode of the administrative API: queued, starting, running, success, error, cancelled."""


_BY = re.compile(r"\bby (\S{1,200})$")
"""Who started the run: the end of runReason when a person did."""


class _Run(BaseModel):
    run_id: Id
    job_id: Id = ""
    name: Name
    project: Text = ""
    project_id: Id = ""
    environment: Text = ""
    environment_id: Id = ""
    dbt_version: Text = ""
    status: Text = ""
    code: Any = None
    message: Text = ""
    reason: Text = ""
    started_at: Any = None
    finished_at: Any = None
    errored_at: Any = None


_FIELDS = {
    "run_id": "runId",
    "job_id": "jobId",
    "name": "jobName",
    "project": "projectName",
    "project_id": "projectId",
    "environment": "environmentName",
    "environment_id": "environmentId",
    "dbt_version": "dbtVersion",
    "status": "runStatus",
    "code": "runStatusCode",
    "message": "runStatusMessage",
    "reason": "runReason",
    "started_at": "runStartedAt",
    "finished_at": "runFinishedAt",
    "errored_at": "runErroredAt",
}


def read_event(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """The run that the event tells of. Raises BadPayload without run, job, a known status or readable times."""
    event = text(body.get("eventType"), 80)
    if event not in EVENTS:
        return Normalized(ignored=f"event type {event or 'unnamed'} is no job run")
    data = body.get("data")
    if not isinstance(data, dict):
        raise BadPayload("expected the run's data, an object", path="data")
    if not data:
        return Normalized(ignored="test of the endpoint: an event without a run")
    run = _run_of(data)
    outcome = _outcome(run, event)
    began = time_at(run.started_at, "data.runStartedAt")
    ended = time_at(run.errored_at, "data.runErroredAt") or time_at(run.finished_at, "data.runFinishedAt")
    ended = ended or time_at(body.get("timestamp"), "timestamp")
    report = Report(source="dbt", message=message, hook=hook, environment=run.environment, labels=_labels(run, body))
    job = Subject.of("job", run.name)
    url = _url(run, body, hook)
    change = report.change(
        id=f"dbt:run:{text(str(body.get('accountId', '')), 40)}:{run.run_id}",
        subject=job,
        summary=f"{run.name}: {outcome}" + (f", {run.reason}" if _said(run.reason) else ""),
        author=found[1] if (found := _BY.search(run.reason)) else "",
        outcome=outcome,
        began=began,
        ended=None if outcome is ChangeOutcome.RUNNING else ended,
        url=url,
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    alert = report.job_alert(
        job,
        failed=outcome is ChangeOutcome.FAILURE,
        at=ended,
        why=first_line(_said(run.message)),
        resource=run.project,
        sender_key=f"job:{run.job_id}" if run.job_id else "",
        links={"run": url},
    )
    return Normalized(changes=(change,), alerts=(alert,))


def _run_of(data: dict[str, Any]) -> _Run:
    """Checked under our names, told apart in errors by dbt's own."""
    try:
        run = shaped(_Run, {ours: data[theirs] for ours, theirs in _FIELDS.items() if theirs in data})
    except BadPayload as error:
        field = error.path.partition(".")[0]
        raise BadPayload(error.reason, path=f"data.{_FIELDS.get(field, field)}") from None
    if not run.run_id.strip():
        raise BadPayload("the run has no id", path="data.runId")
    return run


def _outcome(run: _Run, event: str) -> ChangeOutcome:
    """By the status' word, else by its code."""
    code = number(run.code)
    found = STATUSES.get(run.status.strip().lower()) or (CODES.get(int(code)) if code is not None else None)
    if found is None:
        known = ", ".join(STATUSES)
        raise BadPayload(f"{run.status[:40]!r} of event {event} is not one of {known}", path="data.runStatus")
    return found


def _said(value: str) -> str:
    return "" if value.strip().lower() in ("", "none", "null") else value


def _labels(run: _Run, body: dict[str, Any]) -> dict[str, object]:
    return {
        "job_id": run.job_id,
        "run_id": run.run_id,
        "project": run.project,
        "dbt_environment": run.environment,
        "dbt_version": run.dbt_version,
        "account_id": text(str(body.get("accountId") or ""), 40),
    }


def _url(run: _Run, body: dict[str, Any], hook: Hook) -> str:
    base, account = hook.defaults.get("dbt_url", "").rstrip("/"), text(str(body.get("accountId") or ""), 40)
    return f"{base}/deploy/{account}/projects/{run.project_id}/runs/{run.run_id}" if base and run.project_id else ""
