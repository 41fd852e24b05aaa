"""What do reports, test suites and profiles of Evidently before 0.7 judge?

A report has `{"metric": name, "result": {…}}`, of which only the drift metrics give a verdict; a test suite has tests
with `parameters`; a profile (before 0.2) has sections of which `data_drift` and its kin are read. Histograms come with
them. https://docs-old.evidentlyai.com/user-guide/customization/json-dict-output
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from tocsin.domain.alert import Distribution, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.sources._distribution import by_category, density_weights, overlaid
from tocsin.sources._finding import DRIFTED_COLUMNS, Finding, drift
from tocsin.sources._json import number, shaped, text
from tocsin.sources.evidently.report import SKIPPED, STATUSES

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"drift", Symptom.FEATURE_DRIFT),
    (r"number of rows|row count", Symptom.VOLUME),
    (r"number of columns|column types?|types of columns|all columns", Symptom.SCHEMA),
    (r"classification|regression|recsys|accuracy|precision|recall|f1|roc auc|logloss", Symptom.PERFORMANCE),
    (r"error|mae|rmse|mape|r2", Symptom.PERFORMANCE),
)
"""Words in a test's group or name → symptom; any other is about data quality."""

PROFILE_SECTIONS = {
    "data_drift": Symptom.FEATURE_DRIFT,
    "cat_target_drift": Symptom.LABEL_DRIFT,
    "num_target_drift": Symptom.LABEL_DRIFT,
}

_SYMPTOMS = tuple((re.compile(rf"\b(?:{words})\b"), symptom) for words, symptom in SYMPTOMS)
_STARRED = re.compile(r"(?:feature|column) \*\*([^*]+)\*\*", re.IGNORECASE)
_QUOTED = re.compile(r"(?:feature|column) ['\"]([^'\"]+)['\"]", re.IGNORECASE)
_QUOTES_DATA = re.compile(r"most common value", re.IGNORECASE)
"""Words of a description that quotes a value of the data, which stays in the report."""
_CONDITIONS = ("lt", "lte", "gt", "gte", "eq")


class _Metric(BaseModel):
    metric: str
    result: dict[str, Any] = {}


class _Test(BaseModel):
    name: str = ""
    description: str = ""
    status: str
    group: str = ""
    parameters: dict[str, Any] = {}


class _Report(BaseModel):
    timestamp: str | int | float | None = None
    metrics: list[_Metric] = []
    tests: list[_Test] = []


def is_legacy(body: dict[str, Any]) -> bool:
    """Does this look like a report, test suite or profile from before 0.7?"""
    if any(isinstance(body.get(section), dict) for section in PROFILE_SECTIONS):
        return True
    metrics, tests = body.get("metrics"), body.get("tests")
    if isinstance(metrics, list) and any(isinstance(each, dict) and "metric" in each for each in metrics):
        return True
    return isinstance(tests, list) and any(
        isinstance(each, dict) and ("parameters" in each or "group" in each) for each in tests
    )


def findings(body: dict[str, Any]) -> list[Finding]:
    """Raises BadPayload with the path of what does not fit."""
    sections = [section for section in PROFILE_SECTIONS if isinstance(body.get(section), dict)]
    if sections:
        return [finding for section in sections for finding in _profile(section, body[section])]
    report = shaped(_Report, body)
    size = next(filter(None, (_rows(metric.result) for metric in report.metrics)), None)
    found = [finding for metric in report.metrics for finding in _judged(metric)]
    found += [finding for n, test in enumerate(report.tests) for finding in _tested(test, f"tests.{n}")]
    return [replace(finding, sample_size=finding.sample_size or size) for finding in found]


def _rows(result: dict[str, Any]) -> int | None:
    current = result.get("current")
    rows = number(current.get("number_of_rows")) if isinstance(current, dict) else None
    return int(rows) if rows is not None and 0 < rows < 2**63 else None


def _judged(metric: _Metric) -> Iterator[Finding]:
    """A drift metric says by itself whether there is drift; other metrics only describe."""
    result = metric.result
    columns = result.get("drift_by_columns")
    if isinstance(columns, dict):
        for name, column in columns.items():
            if isinstance(column, dict):
                yield from _column(name, column, "ColumnDriftMetric", Severity.WARNING)
    elif "drift_detected" in result:
        name = text(result.get("column_name")) or text(result.get("embeddings_name")) or metric.metric
        yield from _column(name, result, metric.metric, Severity.WARNING)
    if isinstance(result.get("dataset_drift"), bool) and metric.metric != "DataDriftTable":
        yield drift(
            "",
            check=metric.metric,
            status=Status.FIRING if result["dataset_drift"] else Status.RESOLVED,
            severity=Severity.WARNING,
            observed=number(result.get("share_of_drifted_columns")),
            threshold=number(result.get("drift_share")),
            what="share of drifted columns",
        )


def _column(name: str, told: dict[str, Any], check: str, severity: Severity) -> Iterator[Finding]:
    detected = told.get("drift_detected", told.get("detected", told.get("data_drift")))
    if not isinstance(detected, bool) or not name.strip():
        return
    finding = drift(
        name.strip()[:200],
        check=check,
        status=Status.FIRING if detected else Status.RESOLVED,
        severity=severity,
        method=text(told.get("stattest_name") or told.get("stattest") or told.get("method_name"), 80),
        observed=number(told.get("drift_score", told.get("score", told.get("p_value")))),
        threshold=number(told.get("stattest_threshold", told.get("threshold"))),
    )
    yield replace(finding, distribution=_spread(told.get("reference"), told.get("current")))


def _spread(reference: object, current: object) -> Distribution | None:
    """The small histograms of a drift metric: densities over edges, or shares of categories."""
    before, now = _small(reference), _small(current)
    if not before or not now:
        return None
    old, new = density_weights(before["x"], before["y"]), density_weights(now["x"], now["y"])
    if old and new:
        return overlaid(before["x"], old, now["x"], new)
    sides = [
        {str(label): weight for label, weight in zip(side["x"], side["y"], strict=False)}
        for side in (before, now)
        if isinstance(side["x"], list) and isinstance(side["y"], list) and len(side["x"]) == len(side["y"])
    ]
    return by_category(*sides) if len(sides) == 2 else None


def _small(side: object) -> dict[str, Any]:
    small = side.get("small_distribution") if isinstance(side, dict) else None
    return small if isinstance(small, dict) and "x" in small and "y" in small else {}


def _tested(test: _Test, path: str) -> Iterator[Finding]:
    if test.status == SKIPPED:
        return
    if test.status not in STATUSES:
        known = ", ".join((*STATUSES, SKIPPED))
        raise BadPayload(f"test status {test.status[:40]!r} is not one of {known}", path=f"{path}.status")
    status, severity = STATUSES[test.status]
    parameters = test.parameters
    features = parameters.get("features")
    if isinstance(features, dict):
        for name, column in features.items():
            if isinstance(column, dict):
                yield from _column(name, column, "Drift per Column", severity)
    name, symptom = test.name or test.group or "test", _symptom(test)
    if "stattest" in parameters and "detected" in parameters and _about(test):
        yield from _column(_about(test), parameters, name, severity)
        return
    summary = test.description or name
    if _QUOTES_DATA.search(summary):
        summary = f"{name} of {_about(test)}" if _about(test) else name
    yield Finding(
        check=name,
        symptom=symptom,
        status=status,
        severity=severity,
        summary=f"could not be evaluated: {summary}" if test.status == "ERROR" else summary,
        column=_about(test),
        metric=DRIFTED_COLUMNS if symptom is Symptom.FEATURE_DRIFT and not _about(test) else name,
        observed=_observed(parameters),
        threshold=_limit(parameters.get("condition")),
        baseline=number(parameters.get("reference_mean", parameters.get("reference"))),
    )


def _observed(parameters: dict[str, Any]) -> float | None:
    """The value; of the share of drifted columns what its columns add up to."""
    told = number(parameters.get("value", parameters.get("current_mean")))
    features = parameters.get("features")
    if told is not None or not isinstance(features, dict):
        return told
    detected = [each.get("detected", each.get("data_drift")) for each in features.values() if isinstance(each, dict)]
    return round(sum(1 for each in detected if each is True) / len(detected), 6) if detected else None


def _about(test: _Test) -> str:
    """The column: told apart since 0.2, else only in the words."""
    named = text(test.parameters.get("column_name"), 200)
    if named or isinstance(test.parameters.get("features"), dict):
        return named
    found = _STARRED.search(test.description) or _QUOTED.search(test.description)
    return found[1].strip()[:200] if found else ""


def _limit(condition: object) -> float | None:
    """`{"lt": 0.3}` → 0.3; `{"eq": {"value": 5, "relative": 0.1}}` → 5."""
    told = condition if isinstance(condition, dict) else {}
    for key in _CONDITIONS:
        bound = told.get(key)
        value = number(bound.get("value")) if isinstance(bound, dict) else number(bound)
        if value is not None:
            return value
    return None


def _symptom(test: _Test) -> Symptom:
    words = f"{test.group} {test.name}".lower().replace("_", " ")
    return next((meant for pattern, meant in _SYMPTOMS if pattern.search(words)), Symptom.DATA_QUALITY)


def _profile(section: str, body: dict[str, Any]) -> Iterator[Finding]:
    data = body.get("data")
    metrics = data.get("metrics") if isinstance(data, dict) else None
    if not isinstance(metrics, dict):
        raise BadPayload("expected the metrics of the profile's section", path=f"{section}.data.metrics")
    if section != "data_drift":
        detected = metrics.get("target_drift_detected", metrics.get("drift_detected"))
        name = text(metrics.get("target_name")) or "target"
        told = metrics | {
            "drift_detected": detected,
            "drift_score": metrics.get("target_drift", metrics.get("drift_score")),
        }
        yield from (
            replace(f, symptom=PROFILE_SECTIONS[section]) for f in _column(name, told, section, Severity.WARNING)
        )
        return
    columns = metrics.get("features") if isinstance(metrics.get("features"), dict) else metrics
    for name, told in columns.items() if isinstance(columns, dict) else ():
        if isinstance(told, dict):
            yield from (
                replace(f, distribution=_hist(told)) for f in _column(name, told, "data_drift", Severity.WARNING)
            )
    if isinstance(metrics.get("dataset_drift"), bool):
        yield drift(
            "",
            check="dataset_drift",
            status=Status.FIRING if metrics["dataset_drift"] else Status.RESOLVED,
            severity=Severity.WARNING,
            observed=number(metrics.get("share_drifted_features")),
            what="share of drifted columns",
        )


def _hist(told: dict[str, Any]) -> Distribution | None:
    """A profile's histograms: `[densities or counts, edges]`."""
    before, now = told.get("ref_small_hist"), told.get("current_small_hist")
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now) == 2:
        old, new = density_weights(before[1], before[0]), density_weights(now[1], now[0])
        return overlaid(before[1], old, now[1], new)
    return None
