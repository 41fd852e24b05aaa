"""What happened in Amazon SageMaker? Its events on EventBridge: runs, deployments, model packages as changes; endpoints
and nodes that fail and monitoring runs that found violations as alerts.

AWS may send several events for one change of state, so that all events of one thing carry one id. Statuses come in
capitals with underscores (`IN_SERVICE`) or in camel case, times as ISO texts and as epoch milliseconds, also as texts.
https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources import _sagemaker_assets as assets
from tocsin.sources._aws import Event, arn_of, name_of, need, time_of
from tocsin.sources._cloud import Occasion, facts, first_line, last_part, name_in, outcome_of, plain
from tocsin.sources._times import window_start

EVENT_SOURCE = "aws.sagemaker"

MONITORS = {
    "dataquality": ("DataQuality", Symptom.DATA_QUALITY),
    "modelquality": ("ModelQuality", Symptom.PERFORMANCE),
    "modelbias": ("ModelBias", Symptom.FAIRNESS),
    "modelexplainability": ("ModelExplainability", Symptom.EXPLAINABILITY),
}
"""MonitoringType → which monitor, what its violations mean."""

QUIET = (
    ("Human|A2I|Labeling", "concerns people who label"),
    ("Notebook|Space|Domain|User Profile|Code Editor|^SageMaker App ", "a workplace changes nothing that runs"),
    ("Model Card", "a model card documents a model, nothing that runs changed"),
    ("Lineage|Experiment|Trial|Context|Artifact|Association", "records lineage, nothing that runs changed"),
)

_QUIET = tuple((re.compile(words), why) for words, why in QUIET)
_STAMP = re.compile(r"-\d{4}(-\d{2}){5}(-\d{3})?$")
"""The time that SageMaker's SDK appends to the names of jobs; a run's name, not the job's."""
_STATUS = re.compile(r"status$", re.IGNORECASE)


def told(event: Event, occasion: Occasion) -> Normalized:
    """The change or alert of one event, or the reason why it is neither. Raises BadPayload for an event that lacks
    the name or state that AWS documents."""
    kind = event.detail_type.removeprefix("SageMaker ").strip()
    if kind in _READERS:
        return _READERS[kind](event, occasion)
    for words, why in _QUIET:
        if words.search(event.detail_type):
            return Normalized(ignored=f"{event.detail_type[:60]}: {why}")
    if kind.endswith("Job State Change"):
        return _job(event, occasion)
    return _resource(event, occasion)


def _job(event: Event, occasion: Occasion) -> Normalized:
    """Training, tuning, transform, processing and other jobs: one run each."""
    detail = event.detail
    prefix = event.detail_type.removeprefix("SageMaker ").removesuffix(" Job State Change").replace(" ", "")
    name = name_in(detail, f"{prefix}JobName", "JobName") or name_of(arn_of(event, f"{prefix}JobArn"))
    if not name:
        raise BadPayload("expected a text", path=f"detail.{prefix}JobName")
    status = need(detail, f"{prefix}JobStatus", "JobStatus", "Status")
    if prefix == "Processing" and (found := _monitoring_run(event, occasion, name, status)):
        return found
    why = first_line(detail.get("FailureReason"))
    outcome = outcome_of(status)
    outcome = ChangeOutcome.FAILURE if why and outcome is ChangeOutcome.UNKNOWN else outcome
    labels = {"status": status, "secondary_status": name_in(detail, "SecondaryStatus"), "run": name}
    labels |= {"model": name_in(detail, "ModelName"), "failure_reason": why}
    change = occasion.change(
        id=f"sagemaker:{arn_of(event, f'{prefix}JobArn') or name}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", _STAMP.sub("", name) or name),
        outcome=outcome,
        summary=f"{prefix} job {name}: {status}" + (f" ({why})" if why else ""),
        began=time_of(detail, f"{prefix}StartTime", "CreationTime") or event.at,
        ended=None if outcome is ChangeOutcome.RUNNING else time_of(detail, f"{prefix}EndTime") or event.at,
        labels=labels,
    )
    return Normalized(changes=(change,))


def _monitoring_run(event: Event, occasion: Occasion, name: str, status: str) -> Normalized | None:
    """A processing job that Model Monitor started: its exit message says whether it found violations."""
    detail = event.detail
    said = first_line(detail.get("ExitMessage"), 1024)
    arn = name_in(detail, "MonitoringScheduleArn")
    environment = facts(detail.get("Environment"))
    schedule = name_of(arn) if arn else ""
    if not schedule and not said.startswith("CompletedWithViolations"):
        return None
    schedule = schedule or name_in(environment, "sagemaker_monitoring_schedule_name") or _STAMP.sub("", name)
    endpoint = name_in(environment, "sagemaker_endpoint_name")
    kind = name_in(environment, "analysis_type", "monitoring_type") or name_in(detail, "MonitoringType")
    result = "CompletedWithViolations" if said.startswith("CompletedWithViolations") else status
    found = _judged(event, occasion, schedule=schedule, endpoint=endpoint, kind=kind, result=result, why=said)
    since = window_start(environment.get("start_time"), event.at)
    return replace(found, alerts=tuple(replace(one, window_starts_at=since) for one in found.alerts))


def _schedule(event: Event, occasion: Occasion) -> Normalized:
    """A monitoring schedule: what its last execution found."""
    detail = event.detail
    last = facts(detail.get("LastMonitoringExecutionSummary"))
    schedule = need(detail, "MonitoringScheduleName")
    result = name_in(last, "MonitoringExecutionStatus") or name_in(detail, "MonitoringScheduleStatus")
    kind = name_in(detail, "MonitoringType") or name_in(last, "MonitoringType")
    endpoint = name_in(detail, "EndpointName") or name_in(last, "EndpointName")
    why = first_line(last.get("FailureReason") or detail.get("FailureReason"))
    return _judged(event, occasion, schedule=schedule, endpoint=endpoint, kind=kind, result=result, why=why)


def _judged(
    event: Event, occasion: Occasion, *, schedule: str, endpoint: str, kind: str, result: str, why: str
) -> Normalized:
    monitor, symptom = MONITORS.get(plain(kind), ("ModelMonitor", Symptom.DATA_QUALITY))
    state = plain(result)
    if state in ("completed", "completedwithviolations"):
        violated = state != "completed"
        name, summary = f"{monitor}Violations", f"{schedule}: " + ("violations found" if violated else "no violations")
        status, severity = (Status.FIRING if violated else Status.RESOLVED), Severity.WARNING
    elif state in ("failed", "stopped"):
        name, summary, symptom = f"{monitor}RunFailed", f"{schedule}: the monitoring run {result}", Symptom.FRESHNESS
        status, severity = Status.FIRING, Severity.WARNING
    else:
        return Normalized(ignored=f"monitoring {result[:40] or 'without a state'}: the run has not ended")
    alert = occasion.alert(
        name=name,
        subject=_watched(occasion, endpoint, schedule),
        symptom=symptom,
        severity=severity,
        status=status,
        summary=summary + (f": {why}" if why else ""),
        at=event.at,
        resource=schedule,
        region=event.region,
        labels={"endpoint": endpoint, "schedule": schedule, "monitoring_type": monitor},
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,))


def _watched(occasion: Occasion, endpoint: str, schedule: str) -> Subject:
    """The model that the hook stands for, else the endpoint, else the schedule under its raw name."""
    if model := occasion.hook.defaults.get("model", ""):
        return Subject.of("model", model)
    return Subject.of("model", endpoint) if endpoint else Subject.of("unknown", schedule)


def _pipeline(event: Event, occasion: Occasion) -> Normalized:
    """A pipeline's execution; a failed one is also an alert, which the next that succeeds ends."""
    detail = event.detail
    arn = need(detail, "pipelineExecutionArn")
    name = name_of(name_in(detail, "pipelineArn") or arn.partition("/execution/")[0])
    status = need(detail, "currentPipelineExecutionStatus")
    outcome = outcome_of(status)
    why = first_line(detail.get("failureReason") or detail.get("FailureReason"))
    summary = f"pipeline {name}: {status}" + (f" ({why})" if why else "")
    ended = None if outcome is ChangeOutcome.RUNNING else time_of(detail, "executionEndTime") or event.at
    labels = {"status": status, "execution": last_part(arn), "name": name_in(detail, "pipelineExecutionDisplayName")}
    change = occasion.change(
        id=f"sagemaker:{arn}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", name),
        outcome=outcome,
        summary=summary,
        began=time_of(detail, "executionStartTime") or event.at,
        ended=ended,
        labels=labels,
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    failed = outcome is ChangeOutcome.FAILURE
    alert = occasion.alert(
        name="PipelineFailed",
        subject=Subject.of("job", name),
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.FIRING if failed else Status.RESOLVED,
        summary=summary,
        at=ended,
        region=event.region,
        labels=labels,
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _step(event: Event, occasion: Occasion) -> Normalized:
    """One step of an execution: a change of its own, so that the cause can be told to the step."""
    detail = event.detail
    arn, step = need(detail, "pipelineExecutionArn"), need(detail, "stepName")
    name = name_of(name_in(detail, "pipelineArn") or arn.partition("/execution/")[0])
    status = need(detail, "currentStepStatus")
    outcome = outcome_of(status)
    why = first_line(detail.get("failureReason") or detail.get("FailureReason"))
    ran = [each.get("arn") for each in facts(detail.get("metadata")).values() if isinstance(each, dict)]
    change = occasion.change(
        id=f"sagemaker:{arn}:{step}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", name),
        outcome=outcome,
        summary=f"step {step} of pipeline {name}: {status}" + (f" ({why})" if why else ""),
        began=time_of(detail, "stepStartTime") or event.at,
        ended=None if outcome is ChangeOutcome.RUNNING else time_of(detail, "stepEndTime") or event.at,
        labels={"step": step, "step_type": name_in(detail, "stepType"), "status": status, "execution": last_part(arn)}
        | {"runs": next((each for each in ran if isinstance(each, str)), "")},
    )
    return Normalized(changes=(change,))


def _resource(event: Event, occasion: Occasion) -> Normalized:
    """Anything else that has a status: a model, an endpoint's configuration, a cluster, an algorithm."""
    detail = event.detail
    statuses = [key for key in detail if _STATUS.search(key) and isinstance(detail[key], str)]
    kind = event.detail_type.removeprefix("SageMaker ").removesuffix(" State Change")
    if not statuses and not event.detail_type.endswith("State Change"):
        return Normalized(ignored=f"event {event.detail_type[:60]} tells no state")
    arn = arn_of(event, f"{kind.replace(' ', '')}Arn")
    name = name_in(detail, f"{kind.replace(' ', '')}Name", "ClusterName", "ModelName") or name_of(arn)
    if not name:
        raise BadPayload("expected a text", path=f"detail.{kind.replace(' ', '')}Name")
    status = detail[statuses[0]] if statuses else ""
    why = first_line(detail.get("FailureReason") or detail.get("FailureMessage"))
    model = kind == "Model"
    change = occasion.change(
        id=f"sagemaker:{arn or name}:{status}:{event.at or ''}",
        kind=ChangeKind.MODEL_REGISTERED if model else ChangeKind.ENVIRONMENT_MODIFIED,
        subject=Subject.of("model" if model else "service", name),
        outcome=outcome_of(status),
        summary=f"{kind} {name}: {status or 'created or deleted'}" + (f" ({why})" if why else ""),
        began=event.at,
        labels={"status": status, "arn": arn},
    )
    return Normalized(changes=(change,))


def _cluster_event(event: Event, occasion: Occasion) -> Normalized:
    return Normalized(ignored="HyperPod Cluster Event tells the progress of one instance; its health has its own event")


_READERS: dict[str, Callable[[Event, Occasion], Normalized]] = {
    "Model Building Pipeline Execution Status Change": _pipeline,
    "Pipeline Execution State Change": _pipeline,
    "Model Building Pipeline Execution Step Status Change": _step,
    "Endpoint State Change": assets.endpoint,
    "Endpoint Deployment State Change": assets.endpoint,
    "Feature Group State Change": assets.feature_group,
    "Model Package State Change": assets.model_package,
    "Model Package Stage Status Change": assets.model_package,
    "Image State Change": assets.image,
    "Image Version State Change": assets.image,
    "HyperPod Cluster Node Health Event": assets.node,
    "HyperPod Cluster Event": _cluster_event,
    "Monitoring Schedule State Change": _schedule,
}
