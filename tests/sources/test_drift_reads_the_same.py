"""One feature drifted; whichever tool says so, the alert reads the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Alert, Distribution, Status, Symptom
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OBSERVED, THRESHOLD, ROWS = 0.41, 0.25, 1600
EDGES, BEFORE, AFTER = [0, 30, 60, 90], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]
SPREAD = Distribution(labels=("0 … 30", "30 … 60", "60 … 90"), reference=tuple(BEFORE), current=tuple(AFTER))


def evidently(score: float, method: str) -> Any:
    config = {"type": "evidently:metric_v2:ValueDrift", "column": "age_days", "method": method, "threshold": THRESHOLD}
    return {"metrics": [{"id": "m1", "metric_name": "ValueDrift()", "config": config, "value": score}], "tests": []}


def evidently_before_07(score: float, method: str) -> Any:
    small = [{"small_distribution": {"x": EDGES, "y": [share / 30 for share in shares]}} for shares in (BEFORE, AFTER)]
    result = {"column_name": "age_days", "stattest_name": method, "stattest_threshold": THRESHOLD, "drift_score": score}
    result |= {"drift_detected": score > THRESHOLD, "reference": small[0], "current": small[1]}
    return {"metrics": [{"metric": "ColumnDriftMetric", "result": result}]}


def great_expectations(score: float, method: str) -> Any:
    details = {
        "expected_partition": {"bins": EDGES, "weights": BEFORE},
        "observed_partition": {"bins": EDGES, "weights": AFTER},
    }
    config: dict[str, Any] = {"type": "expect_column_kl_divergence_to_be_less_than"}
    config |= {"kwargs": {"column": "age_days", "threshold": THRESHOLD}}
    result = {"observed_value": score, "details": details}
    return {"results": [{"success": score < THRESHOLD, "expectation_config": config, "result": result}]}


def nannyml(score: float, method: str) -> Any:
    base = "age_days_jensen_shannon"
    row: dict[str, Any] = {
        "chunk_key": "[0:1599]",
        "chunk_start_index": 0,
        "chunk_end_index": ROWS - 1,
        "chunk_period": "analysis",
    }
    row |= {f"{base}_value": score, f"{base}_upper_threshold": THRESHOLD, f"{base}_lower_threshold": None}
    return [row | {f"{base}_alert": score > THRESHOLD}]


def deepchecks(score: float, method: str) -> Any:
    value = {"age_days": {"Drift score": {"dtype": "float64", "value": score}, "Method": "Kolmogorov-Smirnov"}}
    status = {"Status": "FAIL" if score > THRESHOLD else "PASS"}
    status |= {"Condition": f"categorical drift score < 0.1 and numerical drift score < {THRESHOLD}", "More Info": ""}
    check = {"type": "CheckResult", "check": {"name": "Feature Drift"}, "value": value, "conditions_results": [status]}
    return {"name": "Suite", "type": "SuiteResult", "results": [check]}


def tfdv(score: float, method: str) -> Any:
    measured = {"type": "JENSEN_SHANNON_DIVERGENCE", "value": score, "threshold": THRESHOLD}
    return {"driftSkewInfo": [{"path": {"step": ["age_days"]}, "driftMeasurements": [measured]}]}


def whylabs(score: float, method: str) -> Any:
    result: dict[str, Any] = {
        "datasetId": "model-12",
        "monitorIds": ["drift"],
        "analyzerType": "drift",
        "algorithm": "psi",
    }
    result |= {"column": "age_days", "metric": "histogram", "anomalyCount": int(score > THRESHOLD)}
    return [result | {"drift_metricValue": score, "drift_threshold": THRESHOLD}]


def fiddler(score: float, method: str) -> Any:
    record = {"alert_rule_name": "Drift", "metric_id": "psi", "feature_name": "age_days", "alert_value": score}
    severity = "WARNING" if score > THRESHOLD else "NONE"
    return {"data": {"items": [record | {"warning_threshold": THRESHOLD, "severity": severity}]}}


def arize(score: float, method: str) -> Any:
    body = {"monitorName": "Drift", "monitorCategory": "drift", "driftMetric": "psi", "dimensionName": "age_days"}
    status = "Triggered" if score > THRESHOLD else "Healthy"
    return body | {"status": status, "metricValue": score, "threshold": THRESHOLD}


TOOLS = {
    "evidently": evidently,
    "evidently before 0.7": evidently_before_07,
    "great_expectations": great_expectations,
    "nannyml": nannyml,
    "deepchecks": deepchecks,
    "tfdv": tfdv,
    "whylabs": whylabs,
    "fiddler": fiddler,
    "arize": arize,
}
ENVELOPE = {
    "model": "churn",
    "model_version": "17",
    "dataset": "churn_features",
    "sample_size": ROWS,
    "segment": "country=DE",
    "baseline": 0.04,
    "baseline_window": "training 2026-10",
    "cohort": "canary",
    "distributions": {"age_days": {"labels": EDGES, "reference": [800, 480, 320], "current": [160, 320, 1120]}},
    "samples": [{"request_id": "req-1", "explanation_url": "https://explain.example.com/req-1"}],
}


def said(tool: str, score: float, envelope: dict[str, Any] | None = None) -> Alert:
    name = tool.partition(" ")[0]
    body = {**(ENVELOPE if envelope is None else envelope), "report": TOOLS[tool](score, "psi")}
    hook = hook_of(name)
    found = [
        alert
        for alert in find(name).normalize(message_of(orjson.dumps(body), hook, NOW), hook).alerts
        if alert.symptom is Symptom.FEATURE_DRIFT
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_drift_alert_reads_the_same_from_every_tool(tool: str) -> None:
    alert = said(tool, OBSERVED)
    assert (alert.symptom, alert.subject, alert.labels["feature"]) == ("feature_drift", "feature:age_days", "age_days")
    assert (alert.status, alert.resource, alert.metric) == (Status.FIRING, "model:churn", "drift")
    assert (alert.observed, alert.threshold, alert.baseline) == (OBSERVED, THRESHOLD, 0.04)
    assert alert.distribution is not None
    assert (alert.sample_size, replace(alert.distribution, reference_size=None, current_size=None)) == (ROWS, SPREAD)
    assert alert.distribution.current_size in (None, ROWS), "counts say of how many rows they are, shares do not"
    assert (alert.model_version, alert.segment, alert.cohort) == ("17", "country=DE", "canary")
    assert alert.labels["baseline_window"] == "training 2026-10"
    assert [sample.request_id for sample in alert.samples] == ["req-1"]
    assert alert.summary == f"drift of age_days by {alert.labels['method']}: 0.41, threshold 0.25"


@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_feature_without_drift_ends_it(tool: str) -> None:
    firing, passed = said(tool, OBSERVED), said(tool, 0.01)
    assert passed.status is Status.RESOLVED
    assert (passed.fingerprint, passed.sender_key) == (firing.fingerprint, firing.sender_key)


@pytest.mark.parametrize("tool", ["evidently before 0.7", "great_expectations"])
def test_the_tools_own_distribution_is_the_same_as_the_wrappers(tool: str) -> None:
    assert said(tool, OBSERVED, {"model": "churn"}).distribution == SPREAD


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool != "whylabs"])
def test_without_any_identity_the_feature_is_still_the_subject(tool: str) -> None:
    alert = said(tool, OBSERVED, {})
    assert (alert.subject, alert.observed, alert.threshold) == ("feature:age_days", OBSERVED, THRESHOLD)
    assert alert.resource == ""
