"""What did Vertex AI's model monitoring find, and how did its pipelines end? Entries of Cloud Logging.

An anomaly is told once an interval for every feature beyond its threshold, never that it is over: alerts lapse.
https://cloud.google.com/vertex-ai/docs/model-monitoring/using-model-monitoring
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, dig, facts, first_line, last_part, name_in, outcome_of, rows, time_in
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._json import number
from tocsin.sources._report import opened
from tocsin.sources._times import window_start

ANOMALIES = "ModelMonitoringAnomaliesLogEntry"

OBJECTIVES: dict[str, tuple[Symptom, str]] = {
    "RAW_FEATURE_SKEW": (Symptom.FEATURE_DRIFT, "training data"),
    "RAW_FEATURE_DRIFT": (Symptom.FEATURE_DRIFT, "earlier predictions"),
    "FEATURE_ATTRIBUTION_SKEW": (Symptom.EXPLAINABILITY, "training data"),
    "FEATURE_ATTRIBUTION_DRIFT": (Symptom.EXPLAINABILITY, "earlier predictions"),
    "PREDICTION_OUTPUT_DRIFT": (Symptom.PREDICTION_DRIFT, "earlier predictions"),
}
"""anomalyObjective → what it means, and what the current data was compared with. An unknown one is feature drift."""

SEVERITIES = {
    "EMERGENCY": Severity.CRITICAL,
    "ALERT": Severity.CRITICAL,
    "CRITICAL": Severity.CRITICAL,
    "ERROR": Severity.ERROR,
    "WARNING": Severity.WARNING,
    "NOTICE": Severity.INFO,
    "INFO": Severity.INFO,
}
"""Severity of the log entry; DEFAULT and others are a warning."""

EXPIRES_AFTER = timedelta(hours=26)
"""The longest usual monitoring interval is a day; runs may be late."""


def is_vertex(entry: dict[str, Any]) -> bool:
    """Is this log entry one of model monitoring or of a pipeline?"""
    payload = facts(entry.get("jsonPayload"))
    if "featureAnomalies" in payload or ANOMALIES in name_in(payload, "@type"):
        return True
    return "aiplatform" in name_in(entry, "logName") and name_in(payload, "state").startswith("PIPELINE_STATE_")


def told(entry: dict[str, Any], occasion: Occasion) -> Normalized:
    """The alerts of an anomaly, or the change of a pipeline's run. Raises BadPayload with the path of what lacks."""
    payload = facts(entry.get("jsonPayload"))
    if name_in(payload, "state").startswith("PIPELINE_STATE_"):
        return _pipeline(entry, payload, occasion)
    return _anomalies(entry, payload, occasion)


def _anomalies(entry: dict[str, Any], payload: dict[str, Any], occasion: Occasion) -> Normalized:
    anomalies = rows(payload.get("featureAnomalies"))
    if not anomalies:
        return Normalized(ignored="a monitoring run without anomalies")
    objective = name_in(payload, "anomalyObjective") or "RAW_FEATURE_DRIFT"
    report, _ = opened({}, occasion.hook)
    labels = facts(dig(entry, "resource", "labels"))
    known = {
        "monitoring_job": last_part(name_in(payload, "modelDeploymentMonitoringJob", "modelMonitor"))
        or name_in(labels, "model_deployment_monitoring_job"),
        "deployed_model": name_in(payload, "deployedModelId"),
        "project": name_in(labels, "resource_container", "project_id"),
        "baseline_window": OBJECTIVES.get(objective, OBJECTIVES["RAW_FEATURE_DRIFT"])[1],
        "objective": objective,
    }
    deployed = known["deployed_model"]
    report = report if report.model or not deployed else report.model_copy(update={"model": deployed})
    report = report.model_copy(update={"region": report.region or name_in(labels, "location")})
    severity = SEVERITIES.get(name_in(entry, "severity"), Severity.WARNING)
    at = time_in(payload, "endTime", path="jsonPayload") or time_in(entry, "timestamp")
    findings = (
        replace(
            _finding(each, n, objective, severity),
            at=at,
            window_starts_at=window_start(payload.get("startTime"), at),
            facts={key: value for key, value in known.items() if value},
            resolves=Resolves.EXPIRY,
            expires_after=EXPIRES_AFTER,
        )
        for n, each in enumerate(anomalies)
    )
    return Normalized(
        alerts=tuple(
            alert_of(each, report, occasion.message, occasion.hook, source=occasion.source) for each in findings
        )
    )


def _finding(anomaly: dict[str, Any], n: int, objective: str, severity: Severity) -> Finding:
    feature = name_in(anomaly, "featureDisplayName", "feature", "featureName")
    if not feature:
        raise BadPayload("expected a text", path=f"jsonPayload.featureAnomalies.{n}.featureDisplayName")
    observed = number(anomaly.get("deviation", anomaly.get("value")))
    threshold = number(anomaly.get("threshold"))
    found = drift(
        feature,
        check=objective,
        status=Status.FIRING,
        severity=severity,
        observed=observed,
        threshold=threshold,
        what=f"drift of the attribution of {feature}" if "ATTRIBUTION" in objective else "",
    )
    return replace(found, symptom=OBJECTIVES.get(objective, (found.symptom, ""))[0])


def _pipeline(entry: dict[str, Any], payload: dict[str, Any], occasion: Occasion) -> Normalized:
    """A pipeline's run; the entries of its tasks tell how far it is. A failed run is also an alert, which the next
    success ends."""
    state = name_in(payload, "state")
    labels = facts(dig(entry, "resource", "labels"))
    run = name_in(labels, "pipeline_job_id") or last_part(name_in(payload, "pipelineJobId", "name"))
    name = name_in(payload, "pipelineName", "displayName") or run or "pipeline"
    task = name_in(payload, "taskName")
    outcome = ChangeOutcome.RUNNING if task else outcome_of(state.removeprefix("PIPELINE_STATE_"))
    at = time_in(entry, "timestamp", "receiveTimestamp")
    why = first_line(dig(payload, "error", "message"))
    summary = f"pipeline {name}" + (f", task {task}" if task else "") + f": {state}" + (f" ({why})" if why else "")
    change = occasion.change(
        id=f"vertex:{run or name}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", name),
        outcome=outcome,
        summary=summary,
        began=at,
        ended=None if outcome is ChangeOutcome.RUNNING else at,
        labels={"run": run, "state": state, "project": name_in(labels, "project_id", "resource_container")},
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    firing = outcome is ChangeOutcome.FAILURE
    alert = occasion.alert(
        name="PipelineFailed",
        subject=Subject.of("job", name),
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.FIRING if firing else Status.RESOLVED,
        summary=summary,
        at=at,
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,), changes=(change,))
