"""Did an Airflow run fail, and did the next one pass? The body that our callback posts (see `setup`).

Airflow has no webhook of its own; callbacks are user code. With the OpenLineage provider use source `openlineage`
instead: it also tells datasets. A failed run is a change (what it wrote may be broken) and an alert that ends with the
next run of the same DAG (or task) that passes.
https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/logging-monitoring/callbacks.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of, labels_of, link_of, links_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._pipeline import time_at
from tocsin.sources._shape import Name
from tocsin.sources._verify import shared_secret

NAME = "airflow"

OUTCOMES = {"success": ChangeOutcome.SUCCESS, "failed": ChangeOutcome.FAILURE, "upstream_failed": ChangeOutcome.FAILURE}
LATE = frozenset({"sla_missed", "deadline_missed"})
QUIET = {
    "up_for_retry": "the task will be tried again",
    "up_for_reschedule": "the task waits for its turn",
    "skipped": "the task was skipped on purpose",
    "deferred": "the task waits for its trigger",
    "running": "the run goes on",
    "restarting": "the task begins anew",
    "scheduled": "the run has not begun",
    "queued": "the run has not begun",
    "removed": "the task is no longer in its DAG",
}
SAME = {
    "failure": "failed",
    "fail": "failed",
    "error": "failed",
    "succeeded": "success",
    "completed": "success",
    "ok": "success",
    "retry": "up_for_retry",
    "sla_miss": "sla_missed",
    "deadline_miss": "deadline_missed",
}
"""Other words for a state that callbacks of people's own send."""

_TOLD = (
    ("up_for_retry", re.compile(r"\bretry(?!-)|\bup_for_retry", re.I)),
    ("deadline_missed", re.compile(r"\b(sla|deadline)[ _-]?miss", re.I)),
    ("success", re.compile(r"\bsuccess|\bsucceeded", re.I)),
    ("failed", re.compile(r"(?<!no )(\b|_)fail|\berror", re.I)),
)
"""Where a callback of the user's own sends only a sentence or its event's name."""
_SENTENCES = ("message", "text", "title", "summary", "subject", "event", "event_type", "alert_type", "type")
_NESTED = ("metadata", "context", "dag", "dag_run", "task", "task_instance", "ti", "run", "details", "data")
_NAMES = {
    "state": ("status",),
    "run_id": ("dag_run_id",),
    "logical_date": ("execution_date", "ds", "ts"),
    "exception": ("error", "error_message", "reason"),
    "log_url": ("logs_url", "url"),
    "start_date": ("started_at",),
    "end_date": ("ended_at", "timestamp"),
    "outlets": ("datasets", "assets"),
}
_DAG_SAID = re.compile(
    r"\bdag(?:[ _]?(?:id|name))?\**\s*[:=]\s*[*`'\"]*(?P<a>[\w.-]{1,250})|\bdag (?P<b>[\w.-]{1,250}),? task\b", re.I
)
_TASK_SAID = re.compile(
    r"\btask(?:[ _]?(?:id|name))?\**\s*[:=]\s*[*`'\"]*(?P<a>[\w.-]{1,250})|, task (?P<b>[\w.-]{1,250})", re.I
)


class _Run(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    dag_id: Name
    state: str
    run_id: str = ""
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None
    logical_date: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    operator: str | None = None
    owner: str | None = None
    exception: str | None = None
    log_url: str | None = None
    dag_version: str | None = None
    outlets: list[str] = []


def normalize(message: Message, hook: Hook) -> Normalized:
    """The run as a change, and its alert, firing or ended; each mapped instance of a task is a sender key of the task's
    one alert, so that a sibling's success does not end it. Raises BadPayload without dag_id or a known state."""
    run = shaped(_Run, _flat(parsed_object(message.body)))
    if run.state in QUIET:
        return Normalized(ignored=f"state {run.state}: {QUIET[run.state]}")
    at = time_at(run.end_date, "end_date") or message.received_at
    if run.state in LATE:
        return Normalized(alerts=(_late(run, at, message, hook, Status.FIRING),))
    if run.state not in OUTCOMES:
        known = ", ".join((*OUTCOMES, *sorted(LATE), *QUIET))
        raise BadPayload(f"{run.state[:40]!r} is not one of {known}", path="state")
    alerts = [_failed(run, at, message, hook)]
    if run.state == "success" and not run.task_id:
        alerts.append(_late(run, at, message, hook, Status.RESOLVED))
    return Normalized(alerts=tuple(alerts), changes=(_change(run, at, message, hook),))


def _flat(body: dict[str, Any]) -> dict[str, Any]:
    """The fields that people's callbacks and Airflow's own objects hold, under our names: what stands nested is lifted,
    what is called otherwise renamed, and a state that only a sentence or an exception tells is read from it."""
    flat = _lifted(body)
    for ours, others in _NAMES.items():
        told = next((flat[key] for key in (ours, *others) if flat.get(key) not in (None, "")), None)
        if told is not None:
            flat[ours] = told
    if not isinstance(flat.get("exception"), str):
        flat.pop("exception", None)
    sentences = [said for key in _SENTENCES if isinstance(said := flat.get(key), str) and said.strip()]
    if isinstance(state := flat.get("state"), str):
        plain = state.strip().rpartition(".")[2].lower().replace(" ", "_").replace("-", "_")
        flat["state"] = SAME.get(plain, plain)
    elif sentences or flat.get("exception"):
        flat["state"] = next(
            (state for said in sentences for state, words in _TOLD if words.search(said)),
            "failed" if flat.get("exception") else sentences[0],
        )
        flat.setdefault("exception", sentences[0] if sentences else "")
    for key, words in (("dag_id", _DAG_SAID), ("task_id", _TASK_SAID)):
        if key not in flat and (found := next((m for said in sentences if (m := words.search(said[:4000]))), None)):
            flat[key] = found["a"] or found["b"]
    flat["outlets"] = _names_of(flat.get("outlets"))
    return flat


def _lifted(body: dict[str, Any]) -> dict[str, Any]:
    """The body over its nested parts; a nested `dag` or `task` may be just the name."""
    flat: dict[str, Any] = {}
    for key in _NESTED:
        inner = body.get(key)
        if isinstance(inner, dict):
            flat.update(_lifted(inner) if key in ("metadata", "context", "data", "details") else inner)
        elif isinstance(inner, str) and key in ("dag", "task"):
            flat[f"{key}_id"] = inner
    return {**flat, **{key: value for key, value in body.items() if value is not None or key not in flat}}


def _names_of(outlets: object) -> list[str]:
    """Datasets by name, or Airflow's own objects with a uri."""
    listed = outlets if isinstance(outlets, list) else []
    named = (each.get("name") or each.get("uri") if isinstance(each, dict) else each for each in listed)
    return [name for name in named if isinstance(name, str)]


def _subject(run: _Run) -> Subject:
    return Subject.of("job", run.dag_id)


def _labels(run: _Run, hook: Hook) -> dict[str, str]:
    facts = run.model_dump(include={"dag_id", "run_id", "task_id", "try_number", "logical_date", "operator", "owner"})
    return labels_of(dict(hook.defaults) | {name: fact for name, fact in facts.items() if fact != ""})


def _first_line(text: str | None) -> str:
    return text.strip().partition("\n")[0][:300] if text else ""


def _failed(run: _Run, at: datetime, message: Message, hook: Hook) -> Alert:
    passed = run.state == "success"
    what = f"task {run.task_id} of {run.dag_id}" if run.task_id else run.dag_id
    why = _first_line(run.exception)
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of(hook.defaults, hook),
        name="TaskFailed" if run.task_id else "JobFailed",
        subject=_subject(run),
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.RESOLVED if passed else Status.FIRING,
        summary=f"{what} passed" if passed else f"{what} failed" + (f": {why}" if why else ""),
        received_at=message.received_at,
        starts_at=None if passed else at,
        ends_at=at if passed else None,
        resource=run.task_id or "",
        sender_key=f"map_index={run.map_index}" if run.map_index is not None and run.map_index >= 0 else "",
        labels=_labels(run, hook),
        links=links_of({"log": run.log_url}),
        resolves=Resolves.NEXT_PASS,
    )


def _late(run: _Run, at: datetime, message: Message, hook: Hook, status: Status) -> Alert:
    firing = status is Status.FIRING
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of(hook.defaults, hook),
        name="DeadlineMissed",
        subject=_subject(run),
        symptom=Symptom.FRESHNESS,
        severity=Severity.WARNING,
        status=status,
        summary=f"{run.dag_id} missed its deadline" if firing else f"{run.dag_id} passed",
        received_at=message.received_at,
        starts_at=at if firing else None,
        ends_at=None if firing else at,
        labels=_labels(run, hook),
        links=links_of({"log": run.log_url}),
        resolves=Resolves.NEXT_PASS,
    )


def _change(run: _Run, at: datetime, message: Message, hook: Hook) -> Change:
    which = run.run_id or run.logical_date or at.isoformat()
    task = f":{run.task_id}:{run.map_index if run.map_index is not None else -1}" if run.task_id else ""
    what = f"task {run.task_id} of {run.dag_id}" if run.task_id else run.dag_id
    return Change(
        id=f"airflow:{run.dag_id}:{which}{task}",
        hook=hook.name,
        source=NAME,
        environment=environment_of(hook.defaults, hook),
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=_subject(run),
        occurred_at=time_at(run.start_date, "start_date") or at,
        received_at=message.received_at,
        finished_at=at,
        outcome=OUTCOMES[run.state],
        version=run.dag_version or "",
        author=run.owner or "",
        url=link_of(run.log_url),
        summary=f"{what}: {run.state}",
        touches=tuple(Subject.of("dataset", name) for name in run.outlets if name.strip()),
        labels=_labels(run, hook),
    )


SETUP = """Put this beside your DAGs (no package is needed) and name it in each DAG:

```python
import json
import urllib.request


def tell_tocsin(state, of_task=False):
    def callback(context):
        run, task = context["dag_run"], context.get("task_instance")
        body = dict(dag_id=run.dag_id, run_id=run.run_id, state=state, start_date=str(run.start_date or ""),
                    end_date=str(run.end_date or ""), exception=str(context.get("exception") or ""))
        if of_task and task:
            body.update(task_id=task.task_id, map_index=task.map_index, try_number=task.try_number,
                        start_date=str(task.start_date or ""), end_date=str(task.end_date or ""),
                        log_url=task.log_url)
        request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Bearer {secret}")
        urllib.request.urlopen(request, timeout=5).read()
    return callback
```

```python
DAG("build_features", on_failure_callback=tell_tocsin("failed"), on_success_callback=tell_tocsin("success"))
```

- Always both: the next success ends the alert. For single tasks use `default_args` with
  `tell_tocsin("failed", of_task=True)` and `tell_tocsin("success", of_task=True)`.
- States: `success`, `failed`, `upstream_failed`, `deadline_missed` (or `sla_missed`). `outlets`, a list of datasets,
  tells what the run wrote. A missed deadline ends with the DAG's next success.
- Airflow swallows what a callback raises; its log shows it.
"""

SOURCE = Source(
    name=NAME,
    title="Airflow callbacks",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=tuple(f"state {state}: {why}" for state, why in QUIET.items()),
    aliases=("airflow_callback",),
)
