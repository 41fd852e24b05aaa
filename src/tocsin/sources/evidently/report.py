"""What does a report of Evidently 0.7 judge? A finding per test, or per drift metric when there are no tests."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, field_validator

from tocsin.domain.alert import Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.sources._finding import Finding, drift
from tocsin.sources._json import number, shaped

STATUSES = {
    "SUCCESS": (Status.RESOLVED, Severity.ERROR),
    "FAIL": (Status.FIRING, Severity.ERROR),
    "WARNING": (Status.FIRING, Severity.WARNING),
    "ERROR": (Status.FIRING, Severity.WARNING),
}
"""A test's status → ours. `WARNING` is a failed test that was declared not critical, `ERROR` one that could not run."""
SKIPPED = "SKIPPED"
"""A test that did not run on purpose: it says nothing."""

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"Drift", Symptom.FEATURE_DRIFT),
    (r"Accuracy|Precision|Recall|F1|RocAuc|LogLoss|TPR|TNR|FPR|FNR", Symptom.PERFORMANCE),
    (r"MAE|RMSE|MAPE|R2Score|MeanError|AbsMaxError|NDCG|MRR|HitRate|MAP$|ScoreDistribution", Symptom.PERFORMANCE),
    (r"^RowCount", Symptom.VOLUME),
    (r"^ColumnCount|Schema", Symptom.SCHEMA),
)
"""Words in a metric's type → symptom; any other metric describes data, and a failed test of it is data quality."""

PARAMETERS = ("quantile", "category", "categories", "left", "right", "k")
"""Parameters of a metric that belong to its identity; the rest tune or draw it."""

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_EXPECTED = re.compile(r"expected (-?[\d.]+(?:[eE][+-]?\d+)?)")
_PARAMETERS = re.compile(r"(\w+)=([^,()]*(?:\([^()]*\)[^,()]*)*)")


class _Metric(BaseModel):
    id: str = ""
    metric_name: str = Field(default="", validation_alias=AliasChoices("metric_name", "metric_id"))
    """`ValueDrift(column=age,method=psi,threshold=0.2)`; the first releases of 0.7 called it metric_id."""
    config: dict[str, Any] = {}
    value: Any = None

    def told(self, key: str) -> Any:  # noqa: ANN401
        """A parameter, from the configuration or from the metric's name."""
        if self.config:
            return self.config.get(key)
        inner = self.metric_name.partition("(")[2].removesuffix(")")
        return dict(_PARAMETERS.findall(inner)).get(key)

    @cached_property
    def kind(self) -> str:
        """`evidently:metric_v2:ValueDrift` → `ValueDrift`."""
        named = str(self.config.get("type") or self.metric_name.partition("(")[0])
        return named.rpartition(":")[2] or "Metric"

    @cached_property
    def column(self) -> str:
        return str(self.told("column") or "")[:200]

    @cached_property
    def method(self) -> str:
        return str(self.told("method") or "")

    @property
    def is_p_value(self) -> bool:
        return "p_value" in self.method or "p_value" in self.metric_name

    @property
    def own_threshold(self) -> float | None:
        return number(self.told("drift_share" if self.kind == "DriftedColumnsCount" else "threshold"))

    @property
    def symptom(self) -> Symptom:
        return next((meant for words, meant in _SYMPTOMS if words.search(self.kind)), Symptom.DATA_QUALITY)

    @property
    def parameters(self) -> str:
        """What tells several metrics of one kind and column apart: `quantile=0.25`, `category=c`."""
        told = {key: self.told(key) for key in PARAMETERS}
        return ", ".join(f"{key}={value}"[:60] for key, value in told.items() if value not in (None, "", "default"))

    def observed(self, *, as_count: bool = False, label: str = "") -> float | None:
        """The value; of a count with its share the share, unless the count was tested; of a mean with its deviation
        the mean; of values by label that label's."""
        if not isinstance(self.value, dict):
            return number(self.value)
        keys = ("count", "share") if as_count else ("share", "count")
        by_label = next(
            (self.value[f"{key}s"] for key in keys if isinstance(self.value.get(f"{key}s"), dict)), self.value
        )
        known = [number(by_label.get(label))] if label else []
        known += [number(self.value.get(key)) for key in (*keys, "mean")]
        return next((value for value in known if value is not None), None)


class _MetricConfig(BaseModel):
    metric_id: str = ""
    params: dict[str, Any] = {}


class _BoundTest(BaseModel):
    is_count: bool | None = None
    """Of a metric with a count and its share: which of the two is tested."""
    slot: str | None = None
    label: Any = None

    @property
    def of_count(self) -> bool:
        return self.is_count is True or self.slot == "count"

    @property
    def of_share(self) -> bool:
        return self.is_count is False or self.slot == "share"


class _Test(BaseModel):
    id: str = ""
    name: str = ""
    description: str = ""
    status: str
    metric_config: _MetricConfig = _MetricConfig()
    test_config: dict[str, Any] = {}
    bound_test: _BoundTest = _BoundTest()


class _Report(BaseModel):
    metrics: list[_Metric] = []
    tests: list[_Test] | None = None

    @field_validator("tests", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """The first releases of 0.7 kept the tests under their ids."""
        return list(value.values()) if isinstance(value, dict) else value


def findings(body: object) -> list[Finding]:
    """Raises BadPayload with the path of what does not fit."""
    report = shaped(_Report, body)
    metrics = {metric.id: metric for metric in report.metrics}
    rows = next((m.observed() for m in report.metrics if m.kind == "RowCount"), None)
    size = int(rows) if rows is not None and 0 <= rows < 2**63 else None
    if report.tests:
        found = (_tested(test, metrics, f"tests.{n}") for n, test in enumerate(report.tests))
    else:
        found = (_judged(metric) for metric in report.metrics)
    known = [finding for finding in found if finding is not None]
    return known if size is None else [replace(finding, sample_size=size) for finding in known]


def _tested(test: _Test, metrics: dict[str, _Metric], path: str) -> Finding | None:
    if test.status == SKIPPED:
        return None
    if test.status not in STATUSES:
        known = ", ".join((*STATUSES, SKIPPED))
        raise BadPayload(f"test status {test.status[:40]!r} is not one of {known}", path=f"{path}.status")
    config = test.metric_config
    metric = metrics.get(config.metric_id) or _Metric(id=config.metric_id, config=config.params)
    label = "" if test.bound_test.label is None else str(test.bound_test.label)[:100]
    observed = metric.observed(as_count=test.bound_test.of_count, label=label)
    threshold, baseline = _bounds(test, observed)
    threshold = threshold if threshold is not None or baseline is not None else metric.own_threshold
    share = " share" if test.bound_test.of_share and metric.kind != "DriftedColumnsCount" else ""
    finding = _finding(metric, f"{metric.kind}{share} {test.id}".strip(), STATUSES[test.status], observed, threshold)
    summary = finding.summary if metric.kind == "ValueDrift" else test.description or test.name or finding.summary
    return replace(
        finding,
        summary=f"could not be evaluated: {summary}" if test.status == "ERROR" else summary,
        baseline=baseline,
        segment=", ".join(filter(None, (metric.parameters, f"label={label}" if label else ""))),
        facts=dict(finding.facts) | {"label": label},
    )


def _bounds(test: _Test, observed: float | None) -> tuple[float | None, float | None]:
    """The limit that the test compares with, and the reference value when it compares with that."""
    config = test.test_config
    if isinstance(config.get("expected"), dict):  # within so much of the reference, whose value only the words tell
        told = _EXPECTED.search(test.description)
        return None, number(told[1]) if told else None
    left, right = number(config.get("left")), number(config.get("right"))
    if left is not None or right is not None:
        too_high = right is not None and (left is None or (observed is not None and observed >= right))
        return (right if too_high else left), None
    return number(config.get("threshold", config.get("expected"))), None


def _judged(metric: _Metric) -> Finding | None:
    """A drift metric against the threshold that it carries: as Evidently's own tests do it."""
    observed, threshold = metric.observed(), metric.own_threshold
    if metric.kind not in ("ValueDrift", "DriftedColumnsCount") or observed is None or threshold is None:
        return None
    drifted = observed < threshold if metric.is_p_value else observed >= threshold
    status = Status.FIRING if drifted else Status.RESOLVED
    check = f"{metric.kind} {'drift' if metric.column else 'lt'}"
    return _finding(metric, check, (status, Severity.WARNING), observed, threshold)


def _finding(
    metric: _Metric,
    check: str,
    verdict: tuple[Status, Severity],
    observed: float | None,
    threshold: float | None,
) -> Finding:
    status, severity = verdict
    if metric.kind in ("ValueDrift", "DriftedColumnsCount"):
        return drift(
            metric.column,
            check=check,
            status=status,
            severity=severity,
            method=metric.method,
            observed=observed,
            threshold=threshold,
            lower_is_worse=metric.is_p_value,
            what="" if metric.column else "share of drifted columns",
        )
    return Finding(
        check=check,
        symptom=metric.symptom,
        status=status,
        severity=severity,
        summary=metric.metric_name or metric.kind,
        column=metric.column,
        metric=metric.kind,
        observed=observed,
        threshold=threshold,
    )
