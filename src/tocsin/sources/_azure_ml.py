"""What did Azure Machine Learning report? Its Event Grid events: drift and broken monitors as alerts; models,
deployments and runs as changes.

Model monitoring (v2) has no event of its own: the run of a monitor that found a breach fails and says so in a tag.
https://learn.microsoft.com/azure/event-grid/event-schema-machine-learning
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, facts, first_line, last_part, name_in, outcome_of, time_in
from tocsin.sources._finding import DRIFT
from tocsin.sources._identity import symptom_of
from tocsin.sources._json import kind_of, number
from tocsin.sources._times import window_start

PREFIX = "Microsoft.MachineLearningServices."
BREACH = "azureml_modelmonitor_threshold_breached"
"""The tag of a monitor's run; its text names the signal and what broke."""

EXPIRES_AFTER = timedelta(hours=26)
"""A dataset monitor (v1) tells each run that drifted, never that one did not; daily is its usual slowest."""

_SIGNALS = (
    (re.compile(r"prediction.{0,20}drift", re.I), Symptom.PREDICTION_DRIFT),
    (re.compile(r"attribution", re.I), Symptom.EXPLAINABILITY),
    (re.compile(r"quality", re.I), Symptom.DATA_QUALITY),
    (re.compile(r"performance", re.I), Symptom.PERFORMANCE),
    (re.compile(r"drift", re.I), Symptom.FEATURE_DRIFT),
)
"""Words of a monitoring signal's name → symptom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEvent:
    """The envelope, whichever of Event Grid's two schemas it came in."""

    type: str
    source: str = ""
    subject: str = ""
    id: str = ""
    at: datetime | None = None


def told(event: GridEvent, body: object, occasion: Occasion) -> Normalized:
    """The alert or change of one event. Raises BadPayload with the path of what Azure documents and is not there."""
    if not isinstance(body, dict):
        raise BadPayload(f"expected an object, found {kind_of(body)}", path="data")
    data = {key[:1].upper() + key[1:]: value for key, value in body.items()}
    kind = event.type.removeprefix(PREFIX)
    reader = _READERS.get(kind)
    if reader is None:
        return Normalized(ignored=f"event {event.type[:80]} is neither an alert nor a change")
    return reader(event, data, occasion)


def _need(data: dict[str, Any], key: str) -> str:
    if found := name_in(data, key):
        return found
    raise BadPayload("expected a text", path=f"data.{key}")


def workspace_of(source: str) -> str:
    """`…/workspaces/ml-prod` → ml-prod."""
    return last_part(source.partition("/workspaces/")[2].partition("/")[0])


def _registered(event: GridEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    name, version = _need(data, "ModelName"), name_in(data, "ModelVersion")
    change = occasion.change(
        id=f"azure_ml:{workspace_of(event.source)}:model:{name}:{version}",
        kind=ChangeKind.MODEL_REGISTERED,
        subject=Subject.of("model", name),
        outcome=ChangeOutcome.SUCCESS,
        summary=f"{name} version {version} was registered",
        began=event.at,
        version=version[:255],
        labels={"workspace": workspace_of(event.source)}
        | {f"tag.{key}": value for key, value in facts(data.get("ModelTags")).items()},
    )
    return Normalized(changes=(change,))


def _deployed(event: GridEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """Each model that was deployed to an endpoint is a change of its own."""
    service = _need(data, "ServiceName")
    listed = data.get("ModelIds")
    ids = listed.split(",") if isinstance(listed, str) else listed if isinstance(listed, list) else []
    models = [each.strip().partition(":") for each in ids if isinstance(each, str) and each.strip()][:50]
    changes = tuple(
        occasion.change(
            id=f"azure_ml:{event.id or event.at}:{name}",
            kind=ChangeKind.MODEL_DEPLOYED,
            subject=Subject.of("model", last_part(name) or service),
            outcome=ChangeOutcome.SUCCESS,
            summary=f"{last_part(name)} version {version} was deployed to {service}",
            began=event.at,
            version=version[:255],
            touches=(Subject.of("service", service),),
            labels={"service": service, "workspace": workspace_of(event.source)}
            | {"compute": name_in(data, "ServiceComputeType")},
        )
        for name, _, version in models or [(service, "", "")]
    )
    return Normalized(changes=changes)


def _run(event: GridEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """A run that ended. One of a monitor is an alert: firing when its tag tells of a breach."""
    tags, properties = facts(data.get("RunTags")), facts(data.get("RunProperties"))
    run = _need(data, "RunId")
    completed = event.type.endswith("RunCompleted")
    status = name_in(data, "RunStatus") or ("Completed" if completed else "")
    experiment = name_in(data, "ExperimentName") or name_in(data, "ExperimentId") or run
    if BREACH in tags or _is_monitor(tags, properties):
        breach = first_line(tags.get(BREACH), 1000)
        return _monitored(event, occasion, breach=breach, status=status, experiment=experiment, run=run)
    outcome = outcome_of(status)
    change = occasion.change(
        id=f"azure_ml:run:{run}",
        kind=ChangeKind.PIPELINERUN_FINISHED,
        subject=Subject.of("job", experiment),
        outcome=outcome,
        summary=f"run {run} of {experiment}: {status}",
        began=event.at,
        labels={"run": run, "status": status, "run_type": name_in(data, "RunType")}
        | {"workspace": workspace_of(event.source), "model": name_in(properties, "model_name")},
    )
    if outcome not in (ChangeOutcome.SUCCESS, ChangeOutcome.FAILURE):
        return Normalized(changes=(change,))
    firing = outcome is ChangeOutcome.FAILURE
    alert = occasion.alert(
        name="RunFailed",
        subject=Subject.of("job", experiment),
        symptom=Symptom.ERRORS,
        severity=Severity.ERROR,
        status=Status.FIRING if firing else Status.RESOLVED,
        summary=f"run {run} of {experiment}: {status}",
        at=event.at,
        labels={"run": run, "workspace": workspace_of(event.source)},
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,), changes=(change,))


def _is_monitor(tags: dict[str, Any], properties: dict[str, Any]) -> bool:
    return any(key.lower().startswith("azureml_modelmonitor") for key in (*tags, *properties))


def _monitored(
    event: GridEvent, occasion: Occasion, *, breach: str, status: str, experiment: str, run: str
) -> Normalized:
    """A monitor's run; the next that completes without a breach ends the alert."""
    passed = outcome_of(status) is ChangeOutcome.SUCCESS and not breach
    words = breach or experiment
    symptom = next((symptom for pattern, symptom in _SIGNALS if pattern.search(words)), Symptom.FEATURE_DRIFT)
    model = occasion.hook.defaults.get("model", "")
    alert = occasion.alert(
        name="ModelMonitorThresholdBreached",
        subject=Subject.of("model", model) if model else Subject.of("unknown", experiment),
        symptom=symptom,
        severity=Severity.WARNING,
        status=Status.RESOLVED if passed else Status.FIRING,
        summary=breach or f"monitor {experiment}: {status}",
        at=event.at,
        resource=experiment[:255],
        labels={"run": run, "workspace": workspace_of(event.source), "monitor": experiment},
        resolves=Resolves.NEXT_PASS,
    )
    return Normalized(alerts=(alert,))


def _drifted(event: GridEvent, data: dict[str, Any], occasion: Occasion) -> Normalized:
    """Drift of a dataset, as the dataset monitors of v1 tell it."""
    monitor = _need(data, "DataDriftName")
    target, base = name_in(data, "TargetDatasetId"), name_in(data, "BaseDatasetId")
    dataset, model = occasion.hook.defaults.get("dataset", ""), occasion.hook.defaults.get("model", "")
    coefficient = number(data.get("DriftCoefficient"))
    subject = Subject.of("model", model) if model else Subject.of("dataset", dataset or target or monitor)
    said = "" if coefficient is None else f": {coefficient:.3g}"
    until = time_in(data, "EndTime", path="data") or event.at
    alert = occasion.alert(
        name=monitor,
        subject=subject,
        symptom=symptom_of({}, "drift"),
        severity=Severity.WARNING,
        status=Status.FIRING,
        summary=f"drift of {dataset or target or monitor}, found by {monitor}{said}",
        at=until,
        window_starts_at=window_start(data.get("StartTime"), until),
        metric=DRIFT,
        observed=coefficient,
        labels={"monitor": monitor, "run": name_in(data, "RunId"), "base_dataset": base, "target_dataset": target}
        | {"workspace": workspace_of(event.source), "baseline_window": f"dataset {base}" if base else ""},
        resolves=Resolves.EXPIRY,
        expires_after=EXPIRES_AFTER,
    )
    return Normalized(alerts=(alert,))


_READERS = {
    "ModelRegistered": _registered,
    "ModelDeployed": _deployed,
    "RunCompleted": _run,
    "RunStatusChanged": _run,
    "DatasetDriftDetected": _drifted,
}
