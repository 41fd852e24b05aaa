"""Which runs, assets and checks of Dagster failed? Run status sensors of one's own, and alert webhooks of Dagster+.

Neither has a fixed body: the sensor is user code and the webhook a template, so that we publish both (see `setup`).
Each alert policy of Dagster+ has its own template, in which its event type stands as a constant.
https://docs.dagster.io/guides/observe/alerts/yaml-reference, https://docs.dagster.io/guides/labs/webhook-alerts
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tocsin.domain.alert import Resolves, Severity, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._json import parsed_object
from tocsin.sources._pipeline import Report, Told, check_symptom, filled, first_line
from tocsin.sources._verify import shared_secret

NAME = "dagster"

ENDLESS_EXPIRES_AFTER = timedelta(hours=24)
"""Of alerts whose end Dagster+ does not tell: failed ticks, code locations, agents."""


class _Meant(NamedTuple):
    what: str
    """run, slow run, asset, check, freshness, health, tick, location, agent, cost."""
    firing: bool
    severity: Severity = Severity.ERROR


EVENTS: dict[str, _Meant] = {
    "RUN_FAILURE": _Meant("run", True),
    "RUN_SUCCESS": _Meant("run", False),
    "RUN_CANCELED": _Meant("canceled", False),
    "RUN_STARTED": _Meant("started", False),
    "JOB_LONG_RUNNING": _Meant("slow", True, Severity.WARNING),
    "ASSET_MATERIALIZATION_FAILURE": _Meant("asset", True),
    "ASSET_MATERIALIZATION_SUCCESS": _Meant("asset", False),
    "ASSET_CHECK_PASSED": _Meant("check", False),
    "ASSET_CHECK_SEVERITY_WARN": _Meant("check", True, Severity.WARNING),
    "ASSET_CHECK_SEVERITY_ERROR": _Meant("check", True),
    "ASSET_CHECK_EXECUTION_FAILURE": _Meant("check", True),
    "ASSET_FRESHNESS_PASS": _Meant("freshness", False),
    "ASSET_FRESHNESS_WARN": _Meant("freshness", True, Severity.WARNING),
    "ASSET_FRESHNESS_FAIL": _Meant("freshness", True),
    "ASSET_OVERDUE": _Meant("freshness", True),
    "ASSET_HEALTH_HEALTHY": _Meant("health", False),
    "ASSET_HEALTH_WARNING": _Meant("health", True, Severity.WARNING),
    "ASSET_HEALTH_DEGRADED": _Meant("health", True),
    "TICK_FAILURE": _Meant("tick", True),
    "CODE_LOCATION_ERROR": _Meant("location", True),
    "AGENT_UNAVAILABLE": _Meant("agent", True),
    "INSIGHTS_CONSUMPTION_EXCEEDED": _Meant("cost", True, Severity.WARNING),
}
SAME = {
    "FAILURE": "RUN_FAILURE",
    "SUCCESS": "RUN_SUCCESS",
    "CANCELED": "RUN_CANCELED",
    "STARTED": "RUN_STARTED",
    "JOB_FAILURE": "RUN_FAILURE",
    "JOB_SUCCESS": "RUN_SUCCESS",
    "PIPELINE_FAILURE": "RUN_FAILURE",
    "PIPELINE_SUCCESS": "RUN_SUCCESS",
    "PIPELINE_CANCELED": "RUN_CANCELED",
    "PIPELINE_START": "RUN_STARTED",
    "RUN_START": "RUN_STARTED",
    "RUN_LONG_RUNNING": "JOB_LONG_RUNNING",
    "ASSET_MATERIALIZATION_FAILED": "ASSET_MATERIALIZATION_FAILURE",
    "ASSET_MATERIALIZATION": "ASSET_MATERIALIZATION_SUCCESS",
    "ASSET_CHECK_FAILED": "ASSET_CHECK_SEVERITY_ERROR",
    "ASSET_CHECK_SUCCESS": "ASSET_CHECK_PASSED",
    "ASSET_HEALTH_UNHEALTHY": "ASSET_HEALTH_DEGRADED",
    "SCHEDULE_FAILURE": "TICK_FAILURE",
    "SENSOR_FAILURE": "TICK_FAILURE",
    "AGENT_DOWNTIME": "AGENT_UNAVAILABLE",
}
"""Other spellings: a run's own status, older names."""
QUIET = frozenset(
    {"QUEUED", "NOT_STARTED", "STARTING", "CANCELING", "MANAGED", "RUN_QUEUED", "RUN_STARTING", "RUN_CANCELING"}
)


def normalize(message: Message, hook: Hook) -> Normalized:
    """What the event tells: a run as a change and its failure as an alert; checks, freshness and the rest as alerts.
    Raises BadPayload without an event type that we know, or without the name that it needs."""
    body = Told(parsed_object(message.body))
    event = body.text("event_type", "status", "event").upper().replace(" ", "_").removeprefix("DAGSTER_")
    if event in QUIET:
        return Normalized(ignored=f"run {event.lower()}: it has not begun or goes on")
    if event in ("TEST", "SAMPLE", "SAMPLE_NOTIFICATION"):
        return Normalized(ignored="test notification")
    event = SAME.get(event, event)
    if event not in EVENTS:
        known = ", ".join(EVENTS)
        raise BadPayload(f"{event[:60]!r} is not one of {known}", path="event_type")
    meant = EVENTS[event]
    report = Report(
        source=NAME,
        message=message,
        hook=hook,
        environment=body.text("environment") or body.text("deployment", "deployment_name"),
        labels={
            "event_type": event,
            "run_id": body.text("run_id"),
            "job": body.text("job_name", "job"),
            "deployment": body.text("deployment", "deployment_name"),
            "code_location": body.text("code_location", "location_name"),
            "partition": body.text("partition", "partition_key"),
            "alert_policy": body.text("alert_policy", "alert_policy_name"),
        },
    )
    if meant.what in ("run", "slow", "started", "canceled"):
        return _run(meant, body, report)
    if meant.what in ("asset", "check", "freshness", "health"):
        return _asset(meant, body, report)
    return _service(meant, body, report)


def _times(body: Told) -> tuple[datetime | None, datetime | None]:
    """Begin and end; sensors post epoch seconds."""
    return body.time("start_time", "started_at"), body.time("end_time", "ended_at", "timestamp", "alert_time")


def _run(meant: _Meant, body: Told, report: Report) -> Normalized:
    job = Subject.of("job", body.need("job_name", "job", "pipeline_name"))
    began, ended = _times(body)
    url, why = body.text("url", "run_url", "deep_link_url"), first_line(body.text("error", "error_message", "content"))
    if meant.what == "slow":
        alert = report.alert(
            name="JobSlow",
            subject=job,
            symptom=Symptom.LATENCY,
            severity=meant.severity,
            firing=True,
            summary=f"{job.name} runs longer than it should",
            at=ended,
            links={"run": url},
        )
        return Normalized(alerts=(alert,))
    outcomes = {"started": ChangeOutcome.RUNNING, "canceled": ChangeOutcome.CANCELED}
    outcome = outcomes.get(meant.what) or (ChangeOutcome.FAILURE if meant.firing else ChangeOutcome.SUCCESS)
    run_id = body.text("run_id") or body.text("alert_id")
    at = ended or began or report.message.received_at
    change = report.change(
        id=f"dagster:run:{run_id or f'{job.name}:{at.isoformat()}'}",
        subject=job,
        summary=f"{job.name}: {outcome}" + (f", {why}" if why and meant.firing else ""),
        outcome=outcome,
        began=began,
        ended=None if outcome is ChangeOutcome.RUNNING else ended,
        url=url,
        author=body.text("user", "launched_by"),
        touches=tuple(Subject.of("dataset", key) for key in _keys(body.body.get("assets"))),
    )
    if meant.what != "run":
        return Normalized(changes=(change,))
    alerts = [report.job_alert(job, failed=meant.firing, at=ended, why=why if meant.firing else "", links={"run": url})]
    if not meant.firing:
        alerts.append(
            report.alert(
                name="JobSlow",
                subject=job,
                symptom=Symptom.LATENCY,
                severity=Severity.WARNING,
                firing=False,
                summary=f"{job.name} passed",
                at=ended,
            )
        )
    return Normalized(alerts=tuple(alerts), changes=(change,))


def _asset(meant: _Meant, body: Told, report: Report) -> Normalized:
    asset = next(iter(_keys(body.body.get("asset_key", body.body.get("asset")))), "")
    if not asset:
        raise BadPayload("an event of an asset without its key", path="asset_key")
    subject = Subject.of("dataset", asset)
    began, ended = _times(body)
    url = body.text("url", "asset_url", "run_url", "deep_link_url")
    told = first_line(body.text("content", "alert_content", "description", "error", "summary", "alert_summary"))
    check = body.text("check_name", "asset_check_name", "check") if meant.what == "check" else ""
    if meant.what == "check" and not check:
        raise BadPayload("a check without its name", path="check_name")
    names = {"asset": "BuildFailed", "freshness": "AssetFreshness", "health": "AssetHealth"}
    broken = {"asset": " could not be materialized", "freshness": " is stale", "health": " is in bad health"}
    whole = {"asset": " was materialized", "freshness": " is fresh", "health": " is healthy"}
    found = broken.get(meant.what, f": {check} failed") if meant.firing else whole.get(meant.what, f": {check} passed")
    symptoms = {"asset": Symptom.ERRORS, "freshness": Symptom.FRESHNESS, "health": Symptom.DATA_QUALITY}
    alert = report.alert(
        name=names.get(meant.what) or check,
        subject=subject,
        symptom=symptoms.get(meant.what) or check_symptom(check, told),
        severity=meant.severity,
        firing=meant.firing,
        summary=f"{asset}{found}" + (f" ({told})" if told and meant.firing else ""),
        at=ended,
        metric=body.text("metric"),
        observed=body.number("observed", "value"),
        threshold=body.number("threshold"),
        links={"asset": url},
    )
    if meant.what != "asset" or meant.firing:
        return Normalized(alerts=(alert,))
    at = ended or report.message.received_at
    change = report.change(
        id=f"dagster:asset:{asset}:{body.text('run_id', 'alert_id') or at.isoformat()}",
        kind=ChangeKind.DATASET_MODIFIED,
        subject=subject,
        summary=f"{asset} was materialized",
        outcome=ChangeOutcome.SUCCESS,
        began=began,
        ended=ended,
        url=url,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _service(meant: _Meant, body: Told, report: Report) -> Normalized:
    """A schedule or sensor, a code location, an agent, or what a deployment costs."""
    keys = {
        "tick": ("instigator_name", "schedule_name", "sensor_name", "name"),
        "location": ("code_location", "location_name", "name"),
        "agent": ("agent_name", "agent_id", "deployment", "deployment_name", "name"),
        "cost": ("metric", "job_name", "deployment", "name"),
    }[meant.what]
    named = body.need(*keys)
    names = {"tick": "TickFailed", "location": "CodeLocationError", "agent": "AgentUnavailable"}
    symptoms = {"tick": Symptom.ERRORS, "location": Symptom.ERRORS, "agent": Symptom.AVAILABILITY}
    why = first_line(body.text("error", "content", "alert_content", "summary", "alert_summary"))
    alert = report.alert(
        name=names.get(meant.what, "ConsumptionExceeded"),
        subject=Subject.of("job" if meant.what == "tick" else "service", named),
        symptom=symptoms.get(meant.what, Symptom.COST),
        severity=meant.severity,
        firing=True,
        summary=f"{named}: " + (why or names.get(meant.what, "consumption exceeded")),
        at=_times(body)[1],
        links={"dagster": body.text("url", "deep_link_url")},
        resolves=Resolves.EXPIRY,
        expires_after=ENDLESS_EXPIRES_AFTER,
    )
    return Normalized(alerts=(alert,))


def _keys(value: object) -> list[str]:
    """Asset keys as `mart/orders`: Dagster writes them as a list of parts, as that list in a text, or with slashes; a
    list of lists is several."""
    if isinstance(value, str):
        plain = filled(value, 500)
        if plain.startswith("["):
            return _keys(_listed(plain))
        return [plain] if plain else []
    parts: list[Any] = value[:1000] if isinstance(value, list) else []
    if any(isinstance(part, list) for part in parts):
        return [key for part in parts if isinstance(part, list) for key in _keys(part)]
    if any(isinstance(part, str) and "/" in part for part in parts):
        return [part for part in parts if isinstance(part, str) and part.strip()]
    joined = "/".join(part.strip() for part in parts if isinstance(part, str) and part.strip())
    return [joined] if joined else []


def _listed(value: str) -> list[Any]:
    try:
        found = json.loads(value)
    except ValueError:
        return [value.strip("[]")]
    return found if isinstance(found, list) else []


SETUP = """Any Dagster: put these sensors beside your definitions (no package is needed) and start them.

```python
import json
import urllib.request

import dagster as dg


def tell_tocsin(context, status, error=""):
    run = context.dagster_run
    record = context.instance.get_run_record_by_id(run.run_id)
    body = dict(event_type=status, job_name=run.job_name, run_id=run.run_id, error=error[:1000],
                start_time=record.start_time, end_time=record.end_time,
                assets=[key.to_user_string() for key in run.asset_selection or ()])
    request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Bearer {secret}")
    urllib.request.urlopen(request, timeout=5).read()


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def tocsin_failures(context: dg.RunFailureSensorContext):
    tell_tocsin(context, "FAILURE", context.failure_event.message or "")


@dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS, default_status=dg.DefaultSensorStatus.RUNNING)
def tocsin_successes(context: dg.RunStatusSensorContext):
    tell_tocsin(context, "SUCCESS")
```

Dagster+ (webhook alerts, early access): one alert policy for each event type, URL `{url}`, header
`Authorization: Bearer {secret}`, and this body with the policy's own event type and names as constants:

```json
{{"event_type": "ASSET_CHECK_SEVERITY_ERROR", "asset_key": "mart/orders", "check_name": "no_nulls",
  "alert_id": "{{{{alert_id}}}}", "summary": "{{{{alert_summary}}}}", "content": "{{{{alert_content}}}}"}}
```

- Always the passing twin as well (`ASSET_CHECK_PASSED`, `ASSET_FRESHNESS_PASS`, `ASSET_HEALTH_HEALTHY`, `JOB_SUCCESS`):
  it ends the alert.
- Failed ticks, code locations and agents end by themselves after 24 hours, as Dagster+ tells no end of them.
"""

SOURCE = Source(
    name=NAME,
    title="Dagster and Dagster+",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("runs that are queued, starting or being canceled", "test notifications"),
    aliases=("dagster_plus",),
)
