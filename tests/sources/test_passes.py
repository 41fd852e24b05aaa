"""What fails and later passes is one alert: the pass carries the failure's fingerprint and sender key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Alert, Status
from tocsin.domain.message import Normalized
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def read(source: str, body: dict[str, Any]) -> Normalized:
    hook = hook_of(source)
    return find(source).normalize(message_of(orjson.dumps(body), hook, NOW), hook)


def firing(found: Normalized) -> set[tuple[str, str]]:
    return {_key(alert) for alert in found.alerts if alert.status is Status.FIRING}


def resolved(found: Normalized) -> set[tuple[str, str]]:
    return {_key(alert) for alert in found.alerts if alert.status is Status.RESOLVED}


def _key(alert: Alert) -> tuple[str, str]:
    return alert.fingerprint, alert.sender_key


def airflow(state: str, **more: Any) -> dict[str, Any]:
    return {"dag_id": "build_features", "run_id": "r1", "state": state} | more


@pytest.mark.parametrize("began", ["failed", "deadline_missed"])
def test_the_next_success_of_a_dag_ends_its_alerts(began: str) -> None:
    alerts = firing(read("airflow", airflow(began)))
    assert alerts
    assert alerts <= resolved(read("airflow", airflow("success", run_id="r2")))


def test_a_siblings_success_does_not_end_a_mapped_tasks_alert() -> None:
    failed = firing(read("airflow", airflow("failed", task_id="load", map_index=3)))
    sibling = resolved(read("airflow", airflow("success", task_id="load", map_index=2)))
    same = resolved(read("airflow", airflow("success", task_id="load", map_index=3, run_id="r2")))
    assert not failed & sibling
    assert failed == same


def lineage(kind: str, *, run: str = "r1", **more: Any) -> dict[str, Any]:
    job = {"namespace": "dbt", "name": "orders.test"} | more.pop("job", {})
    return {"eventType": kind, "eventTime": "2026-11-21T10:00:00Z", "run": {"runId": run}, "job": job} | more


def assertions(*, success: bool) -> list[dict[str, Any]]:
    checks = [{"assertion": "unique", "column": "id", "success": success, "actual": "0" if success else "9"}]
    facet = {"dataQualityAssertions": {"assertions": checks}}
    return [{"namespace": "pg", "name": "orders", "inputFacets": facet}]


TEST_JOB = {"facets": {"jobType": {"jobType": "TEST", "integration": "DBT"}}}


def test_the_jobs_next_complete_ends_its_alert_whatever_the_run() -> None:
    failed = read("openlineage", lineage("FAIL", run={"runId": "r1"}["runId"]))
    completed = read("openlineage", lineage("COMPLETE", run="r2"))
    assert firing(failed) == resolved(completed)
    assert [change.id for change in failed.changes] == ["openlineage:r1"]


def test_start_and_end_of_a_run_are_one_change() -> None:
    start, end = (read("openlineage", lineage(kind)).changes[0] for kind in ("START", "COMPLETE"))
    assert start.id == end.id
    assert start.finished_at is None
    assert end.finished_at is not None


def test_a_failed_assertion_ends_when_it_holds() -> None:
    failed = read("openlineage", lineage("FAIL", inputs=assertions(success=False), job=TEST_JOB))
    held = read("openlineage", lineage("COMPLETE", inputs=assertions(success=True), job=TEST_JOB))
    assert len(firing(failed)) == 1, "the assertion tells it; the test job adds nothing"
    assert firing(failed) <= resolved(held)


def test_a_test_job_that_broke_before_it_tested_is_ended_by_the_next_that_tests() -> None:
    broke = read("openlineage", lineage("FAIL", job=TEST_JOB))
    assert [alert.name for alert in broke.alerts] == ["JobFailed"]
    assert firing(broke) <= resolved(
        read("openlineage", lineage("COMPLETE", inputs=assertions(success=True), job=TEST_JOB))
    )


def expectation(*, success: bool, **more: Any) -> dict[str, Any]:
    config = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age", "mostly": 0.99}}
    return {"success": success, "expectation_config": config} | more


def validation(*results: dict[str, Any]) -> dict[str, Any]:
    return {"results": list(results), "suite_name": "orders", "meta": {}}


RAISED = {"exception_info": {"raised_exception": True, "exception_message": "ProgrammingError: timeout"}}
COUNTED = {"result": {"element_count": 10, "unexpected_count": 5, "unexpected_percent": 50.0}}


@pytest.mark.parametrize("more", [{}, RAISED, COUNTED], ids=["boolean only", "exception", "counted"])
def test_an_expectation_ends_however_much_was_measured_when_it_failed(more: dict[str, Any]) -> None:
    failed = read("great_expectations", validation(expectation(success=False, **more)))
    passed = read("great_expectations", validation(expectation(success=True, result={"unexpected_percent": 0.0})))
    assert firing(failed) == resolved(passed) != set()


def test_an_expectation_that_fails_in_one_batch_of_several_is_firing() -> None:
    runs = {"a": {"validation_result": validation(expectation(success=False))}}
    runs["b"] = {"validation_result": validation(expectation(success=True))}
    found = read("great_expectations", {"run_results": runs})
    assert [alert.status for alert in found.alerts] == [Status.FIRING]


def drift(column: str, value: float, method: str = "K-S p_value") -> dict[str, Any]:
    config = {"type": "evidently:metric_v2:ValueDrift", "column": column, "method": method, "threshold": 0.05}
    return {"id": f"{column}-{method}", "metric_name": "ValueDrift()", "config": config, "value": value}


def report(*metrics: dict[str, Any]) -> dict[str, Any]:
    return {"source": "evidently", "model": "churn", "report": {"metrics": list(metrics)}}


def test_a_low_p_value_is_drift_and_a_low_distance_is_none() -> None:
    by_p_value = read("evidently", report(drift("age", 0.001), drift("income", 0.6)))
    assert [alert.status for alert in by_p_value.alerts] == [Status.FIRING, Status.RESOLVED]
    by_distance = read("evidently", report(drift("age", 0.001, "psi"), drift("income", 0.6, "psi")))
    assert [alert.status for alert in by_distance.alerts] == [Status.RESOLVED, Status.FIRING]


def test_a_drifted_column_ends_when_it_drifts_no_more() -> None:
    assert firing(read("evidently", report(drift("age", 0.001)))) == resolved(
        read("evidently", report(drift("age", 0.4)))
    )


def test_prediction_and_label_of_one_model_are_two_alerts() -> None:
    found = read("evidently", report(drift("prediction", 0.001), drift("target", 0.001)))
    assert {alert.symptom.value for alert in found.alerts} == {"prediction_drift", "label_drift"}
    assert len({alert.fingerprint for alert in found.alerts}) == 2


def test_the_same_feature_of_two_models_is_two_alerts() -> None:
    one = read("evidently", report(drift("age", 0.001)))
    other = read("evidently", report(drift("age", 0.001)) | {"model": "ltv"})
    assert not firing(one) & firing(other)
