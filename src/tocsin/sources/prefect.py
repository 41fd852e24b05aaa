"""Which flow runs of Prefect failed, which work pools are down? The body of its automations' webhook action.

The action's payload is a template, so that we publish one (see `setup`); a whole Prefect event (`{{ event | tojson }}`
or what a webhook forwards) is read as well. A failed run is a change and an alert, which the next completed run of the
same flow and deployment ends. https://docs.prefect.io/v3/api-ref/events/flow-run-events
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Severity, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._json import parsed_object
from tocsin.sources._pipeline import Report, Told, first_line
from tocsin.sources._verify import shared_secret

NAME = "prefect"

STATES = {
    "completed": ChangeOutcome.SUCCESS,
    "cached": ChangeOutcome.SUCCESS,
    "rolledback": ChangeOutcome.SUCCESS,
    "failed": ChangeOutcome.FAILURE,
    "crashed": ChangeOutcome.FAILURE,
    "timedout": ChangeOutcome.FAILURE,
    "cancelled": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
    "running": ChangeOutcome.RUNNING,
}
"""By the state's name, else by its type: people name states as they like, types are fixed."""
QUIET = {
    "scheduled": "the run has not begun",
    "pending": "the run has not begun",
    "awaitingconcurrencyslot": "the run has not begun",
    "awaitingretry": "the run will be tried again",
    "retrying": "the run is tried again",
    "paused": "the run waits for a person",
    "suspended": "the run waits for a person",
    "resuming": "the run goes on",
    "cancelling": "the run is being cancelled",
    "heartbeat": "the run goes on",
}
READY = {"ready": False, "online": False, "not-ready": True, "offline": True, "unhealthy": True, "healthy": False}
"""Of a work pool, work queue, worker or deployment → does its alert fire?"""

_EVENT = re.compile(
    r"prefect(?:-cloud)?\.(?P<what>flow-run|task-run|work-pool|work-queue|worker|deployment|asset)"
    r"\.(?P<state>.{1,80})",
    re.I,
)
_DYNAMIC = re.compile(r"-[0-9a-f]{1,3}$")
"""Of a task run's name: which of the runs of one task it is."""
_NOT_A_LETTER = re.compile(r"[^a-z]")


def normalize(message: Message, hook: Hook) -> Normalized:
    """What the event tells. Raises BadPayload without a flow's name or a state that we know."""
    body = parsed_object(message.body)
    inner = body.get("event")
    if isinstance(inner, dict):
        body = {**inner, **{key: value for key, value in body.items() if key != "event"}}
    flat = {key: value for key, value in body.items() if not isinstance(value, (dict, list))}
    told = Told({**_of_event(body), **flat})
    event = told.text("event")
    found = _EVENT.match(event)
    if event and not found:
        return Normalized(ignored=f"event {event[:80]} tells of no run, asset or work pool")
    what, state = (found["what"].lower(), found["state"]) if found else ("flow-run", "")
    report = Report(
        source=NAME, message=message, hook=hook, environment=told.text("environment"), labels=_labels(told, event)
    )
    if what == "asset":
        return _asset(told, report, state)
    if what in ("work-pool", "work-queue", "worker", "deployment"):
        return _readiness(told, report, what, state.lower())
    return _run(told, report, _plain(told.text("state", "state_name") or state), what)


def _of_event(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of our template, from a whole event: its resource, and what is related to it by role."""
    resource = body.get("resource")
    if not isinstance(resource, dict):
        return {}
    fields: dict[str, Any] = {
        "event_id": body.get("id"),
        "resource_id": resource.get("prefect.resource.id"),
        "resource_name": resource.get("prefect.resource.name") or resource.get("prefect.name"),
        "state": resource.get("prefect.state-name"),
        "state_type": resource.get("prefect.state-type"),
        "message": resource.get("prefect.state-message"),
        "occurred": resource.get("prefect.state-timestamp") or body.get("occurred"),
    }
    related = body.get("related")
    for each in related if isinstance(related, list) else []:
        if isinstance(each, dict) and isinstance(role := each.get("prefect.resource.role"), str):
            fields.setdefault(role.replace("-", "_"), each.get("prefect.resource.name") or each.get("prefect.name"))
    return fields


def _plain(state: str) -> str:
    return _NOT_A_LETTER.sub("", state.lower())


def _labels(told: Told, event: str) -> dict[str, object]:
    return {
        "event": event,
        "flow_run": told.text("flow_run", "flow_run_name", "resource_name"),
        "flow_run_id": _run_id(told),
        "deployment": told.text("deployment"),
        "work_pool": told.text("work_pool"),
        "automation": told.text("automation"),
        "tags": told.text("tags"),
    }


def _run_id(told: Told) -> str:
    """The run's own id: events name it `prefect.flow-run.<id>`."""
    return told.text("flow_run_id") or told.text("resource_id").removeprefix("prefect.flow-run.")


def _run(told: Told, report: Report, state: str, what: str) -> Normalized:
    kind = _plain(told.text("state_type"))
    outcome = STATES.get(state) or STATES.get(kind)
    late = state == "late"
    if not late and (state in QUIET or (outcome is None and kind in QUIET)):
        quiet = state if state in QUIET else kind
        return Normalized(ignored=f"state {quiet}: {QUIET[quiet]}")
    if outcome is None and not late:
        raise BadPayload(f"{state[:40]!r} is not one of {', '.join((*STATES, 'late', *QUIET))}", path="state")
    flow = Subject.of("job", told.need("flow", "flow_name"))
    deployment = told.text("deployment")
    task = _DYNAMIC.sub("", told.text("task_run", "task", "resource_name")) if what == "task-run" else ""
    at = told.time("occurred", "timestamp")
    links = {"run": told.text("url", "flow_run_url", "ui_url")}
    if late or outcome is None:
        return Normalized(alerts=(_late(report, flow, deployment, at, firing=True),))
    why = first_line(told.text("message", "state_message", limit=5000))
    name = f"task {task} of {flow.name}" if task else flow.name
    failed = outcome is ChangeOutcome.FAILURE
    moment = at or report.message.received_at
    change = report.change(
        id=f"prefect:{_run_id(told) or told.text('event_id') or f'{flow.name}:{moment.isoformat()}'}",
        subject=flow,
        summary=f"{name}: {outcome}" + (f", {why}" if failed and why else ""),
        outcome=outcome,
        began=told.time("start_time", "started_at") or (at if outcome is ChangeOutcome.RUNNING else None),
        ended=None if outcome is ChangeOutcome.RUNNING else at,
        url=links["run"],
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    resource = "/".join(filter(None, (deployment, task)))
    why = why if failed else ""
    alerts = [report.job_alert(flow, failed=failed, at=at, why=why, what=name, resource=resource, links=links)]
    if not failed and not task:
        alerts.append(_late(report, flow, deployment, at, firing=False))
    return Normalized(alerts=tuple(alerts), changes=(change,))


def _late(report: Report, flow: Subject, deployment: str, at: datetime | None, *, firing: bool) -> Alert:
    return report.alert(
        name="RunLate",
        subject=flow,
        symptom=Symptom.FRESHNESS,
        severity=Severity.WARNING,
        firing=firing,
        summary=f"{flow.name} did not start on time" if firing else f"{flow.name} ran",
        at=at,
        resource=deployment,
    )


def _asset(told: Told, report: Report, state: str) -> Normalized:
    """A table or file that a flow writes: `prefect.asset.materialization.succeeded` or `….failed`."""
    plain = _plain(state)
    if not plain.startswith("materialization"):
        return Normalized(ignored=f"event of an asset that wrote nothing: {state[:60]}")
    asset = told.need("resource_id", "asset", "asset_key")
    name = asset.rstrip("/").rpartition("/")[2] or asset
    failed, at = plain.endswith("failed"), told.time("occurred", "timestamp")
    subject = Subject.of("dataset", name)
    alert = report.alert(
        name="BuildFailed",
        subject=subject,
        symptom=Symptom.ERRORS,
        firing=failed,
        summary=f"{name} " + ("could not be materialized" if failed else "was materialized"),
        at=at,
        resource=asset if asset != name else "",
    )
    if failed:
        return Normalized(alerts=(alert,))
    change = report.change(
        id=f"prefect:asset:{asset}:{told.text('event_id') or (at or report.message.received_at).isoformat()}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=subject,
        summary=f"{name} was materialized",
        outcome=ChangeOutcome.SUCCESS,
        ended=at,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _readiness(told: Told, report: Report, what: str, state: str) -> Normalized:
    """A work pool or a worker that takes no runs is a service that is down; a deployment is a job that cannot start."""
    firing = READY.get(state)
    if firing is None:
        return Normalized(ignored=f"event {what} {state[:60]}: neither ready nor down")
    name = told.need("resource_name", what.replace("-", "_"), "name")
    thing = what.replace("-", " ")
    alert = report.alert(
        name="NotReady",
        subject=Subject.of("job" if what == "deployment" else "service", name),
        symptom=Symptom.AVAILABILITY,
        firing=firing,
        summary=f"{thing} {name} is " + ("not ready: runs wait" if firing else "ready"),
        at=told.time("occurred", "timestamp"),
        resource=what,
    )
    return Normalized(alerts=(alert,))


SETUP = """Create a block `CallWebhook` (type Webhook): method POST, URL `{url}`, headers
`{{"Authorization": "Bearer {secret}", "Content-Type": "application/json"}}`. Then an automation:

- Trigger: flow run state, any flow, states **Completed, Failed, Crashed, TimedOut, Cancelled, Late**. Completed belongs
  to it: the next completed run ends the alert.
- Action: call that webhook with this payload:

```json
{{
  "event": "{{{{ event.event }}}}",
  "event_id": "{{{{ event.id }}}}",
  "occurred": "{{{{ event.occurred }}}}",
  "flow": "{{{{ flow.name }}}}",
  "flow_run": "{{{{ flow_run.name }}}}",
  "flow_run_id": "{{{{ flow_run.id }}}}",
  "state": "{{{{ flow_run.state.name }}}}",
  "state_type": "{{{{ flow_run.state.type.value }}}}",
  "message": {{{{ flow_run.state.message | tojson }}}},
  "deployment": "{{{{ deployment.name }}}}",
  "work_pool": "{{{{ work_pool.name }}}}",
  "url": "{{{{ flow_run | ui_url }}}}"
}}
```

- A second automation on work pool and work queue status (ready, not ready) with the payload
  `{{"event": "{{{{ event.event }}}}", "occurred": "{{{{ event.occurred }}}}", "name": "{{{{ work_pool.name }}}}"}}`.
"""

SOURCE = Source(
    name=NAME,
    title="Prefect automations",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=(
        *(f"state {state}: {why}" for state, why in QUIET.items()),
        "events that tell of no run, asset or work pool",
    ),
)
