"""Which columns drifted, which checks of a model failed? The JSON of an Evidently report (0.7).

A report names neither model nor dataset nor time (see `_report`). Each test is a check that passes or fails; a report
without tests is judged by the thresholds that its drift metrics carry. For a p-value lower means drift.
https://docs.evidentlyai.com/docs/library/report
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of, labels_of, links_of
from tocsin.sources._json import number, parsed_object, shaped
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._verify import shared_secret

NAME = "evidently"

STATUSES = {
    "SUCCESS": (Status.RESOLVED, Severity.ERROR),
    "FAIL": (Status.FIRING, Severity.ERROR),
    "WARNING": (Status.FIRING, Severity.WARNING),
    "ERROR": (Status.FIRING, Severity.WARNING),
}
"""A test's status → ours. `WARNING` is a failed test that was declared not critical, `ERROR` one that could not run."""

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"ValueDrift|DriftedColumns|EmbeddingsDrift|TextDescriptorsDrift", Symptom.FEATURE_DRIFT),
    (r"Accuracy|Precision|Recall|F1|RocAuc|LogLoss|TPR|TNR|FPR|FNR", Symptom.PERFORMANCE),
    (r"MAE|RMSE|MAPE|R2Score|MeanError|AbsMaxError|NDCG|MRR|HitRate|MAP$|ScoreDistribution", Symptom.PERFORMANCE),
    (r"^RowCount", Symptom.VOLUME),
    (r"^ColumnCount|Schema", Symptom.SCHEMA),
)
"""Words in a metric's type → symptom; any other metric describes data, and a failed test of it is data quality."""

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_PREDICTION, _TARGET = "prediction", "target"
"""Evidently's own default names of the two columns that are no features."""


class _Metric(BaseModel):
    id: str
    metric_name: str = ""
    config: dict[str, Any] = {}
    value: Any = None

    @property
    def kind(self) -> str:
        """`evidently:metric_v2:ValueDrift` → `ValueDrift`."""
        named = str(self.config.get("type") or self.metric_name.partition("(")[0])
        return named.rpartition(":")[2] or "Metric"

    @property
    def column(self) -> str:
        return str(self.config.get("column") or "")

    @property
    def method(self) -> str:
        return str(self.config.get("method") or "")

    @property
    def is_p_value(self) -> bool:
        return "p_value" in self.method or "p_value" in self.metric_name

    def observed(self, *, as_count: bool = False) -> float | None:
        """The value; of a count with its share the share, unless the count was tested."""
        if isinstance(self.value, dict):
            return number(self.value.get("count" if as_count else "share"))
        return number(self.value)


class _MetricConfig(BaseModel):
    metric_id: str = ""
    params: dict[str, Any] = {}


class _BoundTest(BaseModel):
    is_count: bool = False
    label: Any = None


class _Test(BaseModel):
    id: str
    name: str = ""
    description: str = ""
    status: str
    metric_config: _MetricConfig = _MetricConfig()
    test_config: dict[str, Any] = {}
    bound_test: _BoundTest = _BoundTest()


class _Report(BaseModel):
    metrics: list[_Metric]
    tests: list[_Test] | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per test (or per drift metric, without tests): firing when it failed, ended when it passed.
    Raises BadPayload when neither envelope nor hook says which model or dataset was checked."""
    envelope, body = opened(parsed_object(message.body), hook)
    report = shaped(_Report, body)
    about = envelope.subject
    if about is None:
        raise BadPayload(
            'names neither model nor dataset: post {"source": "evidently", "model": …, "report": {…}} '
            "or set them in the hook's defaults"
        )
    metrics = {metric.id: metric for metric in report.metrics}
    if report.tests:
        checks = tuple(_tested(test, metrics) for test in report.tests)
    else:
        checks = tuple(check for metric in report.metrics if (check := _judged(metric)))
    if not checks:
        return Normalized(ignored="a report without tests and without drift metrics judges nothing")
    return Normalized(alerts=worst_first(_alert(check, about, envelope, message, hook) for check in checks))


class _Check(BaseModel):
    """One verdict on one metric."""

    metric: _Metric
    name: str
    status: Status
    severity: Severity
    summary: str
    observed: float | None
    threshold: float | None
    label: str = ""


def _tested(test: _Test, metrics: dict[str, _Metric]) -> _Check:
    config = test.metric_config
    metric = metrics.get(config.metric_id) or _Metric(id=config.metric_id, config=config.params)
    if test.status not in STATUSES:
        raise BadPayload(f"test status {test.status[:40]!r} is not one of {', '.join(STATUSES)}", path="tests.status")
    status, severity = STATUSES[test.status]
    threshold = number(test.test_config.get("threshold"))
    observed = metric.observed(as_count=test.bound_test.is_count)
    threshold = threshold if threshold is not None else _own_threshold(metric)
    said = _drift(metric, observed, threshold) if metric.kind == "ValueDrift" else test.description or test.name
    return _Check(
        metric=metric,
        name=f"{metric.kind} {test.id}",
        status=status,
        severity=severity,
        summary=f"could not be evaluated: {said}" if test.status == "ERROR" else said,
        observed=observed,
        threshold=threshold,
        label="" if test.bound_test.label is None else str(test.bound_test.label)[:100],
    )


def _own_threshold(metric: _Metric) -> float | None:
    return number(metric.config.get("drift_share" if metric.kind == "DriftedColumnsCount" else "threshold"))


def _judged(metric: _Metric) -> _Check | None:
    """A drift metric against the threshold that it carries: as Evidently's own tests do it."""
    observed, threshold = metric.observed(), _own_threshold(metric)
    if metric.kind not in ("ValueDrift", "DriftedColumnsCount") or observed is None or threshold is None:
        return None
    drifted = observed < threshold if metric.is_p_value else observed >= threshold
    return _Check(
        metric=metric,
        name=f"{metric.kind} {'drift' if metric.column else 'lt'}",
        status=Status.FIRING if drifted else Status.RESOLVED,
        severity=Severity.WARNING,
        summary=_drift(metric, observed, threshold),
        observed=observed,
        threshold=threshold,
    )


def _drift(metric: _Metric, observed: float | None, threshold: float | None) -> str:
    """`drift of column amount by K-S p_value: 0.003, threshold 0.05`; the verdict is the status's to say."""
    what = f"drift of column {metric.column}" if metric.column else "share of drifted columns"
    by = f" by {metric.method}" if metric.method else ""
    bound = "" if threshold is None else f", threshold {threshold:.3g}"
    return f"{what}{by}" + ("" if observed is None else f": {observed:.3g}{bound}")


def _alert(check: _Check, about: Subject, envelope: Envelope, message: Message, hook: Hook) -> Alert:
    metric = check.metric
    symptom, subject = _meaning(metric, about, envelope)
    facts = {"column": metric.column, "method": metric.method, "label": check.label}
    facts |= {"lower_is_worse": "true"} if metric.is_p_value else {}
    labels = labels_of(dict(hook.defaults) | envelope.identity | {k: v for k, v in facts.items() if v})
    firing = check.status is Status.FIRING
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of(envelope.identity, hook),
        name=check.name,
        subject=subject,
        symptom=symptom,
        severity=check.severity,
        status=check.status,
        summary=check.summary[:1024],
        received_at=message.received_at,
        starts_at=envelope.at if firing else None,
        ends_at=None if firing else envelope.at,
        resource=metric.column if subject == about else about,
        segment=envelope.segment or (f"label={check.label}" if check.label else ""),
        metric=metric.kind,
        observed=check.observed,
        threshold=check.threshold,
        sample_size=envelope.sample_size,
        model_version=envelope.model_version,
        labels=labels,
        links=links_of({"report": envelope.url}),
        resolves=Resolves.NEXT_PASS,
    )


def _meaning(metric: _Metric, about: Subject, envelope: Envelope) -> tuple[Symptom, Subject]:
    """Which symptom of what: a column is a feature, unless it holds the prediction or the label."""
    symptom = next((meant for words, meant in _SYMPTOMS if words.search(metric.kind)), Symptom.DATA_QUALITY)
    if metric.column and metric.column == (envelope.prediction or _PREDICTION):
        return (Symptom.PREDICTION_DRIFT if symptom is Symptom.FEATURE_DRIFT else symptom), about
    if metric.column and metric.column == (envelope.target or _TARGET):
        return (Symptom.LABEL_DRIFT if symptom is Symptom.FEATURE_DRIFT else symptom), about
    if metric.column:
        return symptom, Subject.of("feature", metric.column)
    if envelope.dataset and symptom in (Symptom.DATA_QUALITY, Symptom.VOLUME, Symptom.SCHEMA):
        return symptom, Subject.of("dataset", envelope.dataset)
    return symptom, about


SETUP = """Evidently writes reports; post each with what it is about:

```python
import json, urllib.request

body = dict(source="evidently", model="churn", model_version="17", dataset="churn_features",
            timestamp=checked_at.isoformat(), sample_size=len(current), prediction="prediction", target="target",
            report=json.loads(snapshot.json()))
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

- Run reports with `include_tests=True`; without tests only `ValueDrift` and `DriftedColumnsCount` are judged.
- A bare report works when the hook's `defaults` say `model:` or `dataset:`.
- Post passing reports too: the next pass ends an alert.
"""

SOURCE = Source(
    name=NAME,
    title="Evidently reports",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("reports without tests and without drift metrics",),
)
