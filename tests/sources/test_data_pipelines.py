"""What holds for dbt, Soda, Airbyte, Monte Carlo, Prefect and their kin beyond their golden files."""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

import tocsin.sources.dbt.tested as dbt_names
from tests.sources.reading import FIXTURES, hook_of, message_of
from tocsin.domain.alert import Alert, Resolves, Status
from tocsin.domain.message import Normalized
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECRETS = ("old-secret", "new-secret")


def fixture(source: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((FIXTURES / source / f"{name}.json").read_bytes())
    return found


def read(source: str, body: Any) -> Normalized:
    hook = hook_of(source)
    return find(source).normalize(message_of(orjson.dumps(body), hook, NOW), hook)


def keys(found: Normalized, status: Status) -> set[tuple[str, str]]:
    return {(alert.fingerprint, alert.sender_key) for alert in found.alerts if alert.status is status}


@pytest.mark.parametrize(
    ("source", "fails", "passes"),
    [
        ("dbt", "cloud_errored", "cloud_succeeded_with_numeric_ids"),
        ("airbyte", "sync_failed", "sync_succeeded"),
        ("airbyte", "connection_disabled_with_data", "sync_succeeded"),
        ("airbyte", "schema_change_as_data", "sync_succeeded"),
        ("dagster", "run_failed_from_the_sensor", "run_succeeded_from_the_sensor"),
        ("dagster", "job_runs_long", "run_succeeded_from_the_sensor"),
        ("dagster", "asset_check_could_not_run", "asset_check_passed"),
        ("dagster", "asset_is_stale", "asset_is_fresh_again"),
        ("prefect", "run_failed", "run_completed"),
        ("prefect", "whole_event_failed", "run_completed"),
        ("prefect", "run_late", "run_completed"),
        ("prefect", "work_pool_not_ready", "work_pool_ready"),
        ("soda", "cloud_incident_opened", "cloud_incident_resolved"),
        ("monte_carlo", "volume_anomaly", "closed_as_fixed"),
        ("airflow", "own_names_and_upper_case", "own_names_and_upper_case"),
    ],
)
def test_what_fails_ends_with_what_passes(source: str, fails: str, passes: str) -> None:
    firing = keys(read(source, fixture(source, fails)), Status.FIRING)
    later = fixture(source, passes)
    if fails == passes:
        later |= {"status": "success"}
    assert firing
    assert firing <= keys(read(source, later), Status.RESOLVED)


def test_dbt_clouds_two_events_of_one_failed_run_are_one_change_and_one_alert() -> None:
    errored, completed = (read("dbt", fixture("dbt", f"cloud_{name}")) for name in ("errored", "completed_but_errored"))
    assert [change.id for change in errored.changes] == [change.id for change in completed.changes]
    assert keys(errored, Status.FIRING) == keys(completed, Status.FIRING)


def dbt_results(*results: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"generated_at": "2026-11-20T02:10:00Z"}, "args": {"which": "test"}, "results": list(results)}


@pytest.mark.parametrize("broke", ["fail", "warn", "error"])
def test_a_dbt_test_that_passes_ends_however_it_failed(broke: str) -> None:
    one = {"unique_id": "test.shop.unique_orders_id.ab", "compiled_code": 'select id from "wh"."mart"."orders"'}
    failed = read("dbt", dbt_results(one | {"status": broke, "failures": 3}))
    passed = read("dbt", dbt_results(one | {"status": "pass", "failures": 0}))
    assert keys(failed, Status.FIRING) == keys(passed, Status.RESOLVED) != set()


def test_a_dbt_test_without_a_known_table_ends_by_itself() -> None:
    (alert,) = read("dbt", dbt_results({"unique_id": "test.shop.unique_x_id.ab", "status": "fail"})).alerts
    assert alert.subject == "job:shop"
    assert alert.expires_after is not None


@pytest.mark.parametrize(
    ("names", "sql", "dataset", "kind", "column"),
    [
        (["not_null_orders_id", "a1"], 'from "w"."m"."orders"', "orders", "not_null", "id"),
        (["accepted_values_orders_state__a__b", "a1"], "from w.m.orders", "orders", "accepted_values", "state"),
        (["relationships_a_b_id__id__ref_c_", "a1"], "from x.y.a_b join x.y.c", "a_b", "relationships", "id"),
        (["source_unique_raw_orders_id", "a1"], "from `w`.`raw`.`orders`", "raw.orders", "unique", "id"),
        (["dbt_utils_recency_orders_day__at__1", "a1"], "from w.m.orders", "orders", "dbt_utils_recency", ""),
        (["every_order_is_paid"], "with x as (select 1) select * from m.orders", "orders", "every_order_is_paid", ""),
        (["unique_nowhere_id", "a1"], "", "", "unique_nowhere_id", ""),
    ],
)
def test_table_and_column_of_a_dbt_test(names: list[str], sql: str, dataset: str, kind: str, column: str) -> None:
    found = dbt_names.tested("test", names, sql, frozenset())
    assert (found.dataset, found.kind, found.column) == (dataset, kind, column)


@pytest.mark.parametrize(
    ("name", "dataset", "column"),
    [
        ("relationships_orders_customer_id__id__ref_customers_", "orders", "customer_id"),
        ("relationships_customers_order_id__id__ref_orders_", "customers", "order_id"),
        ("not_null_stg_orders_id", "stg_orders", "id"),
        ("not_null_orders_customers", "orders", "customers"),
    ],
)
def test_without_sql_the_first_known_table_in_its_name_is_what_a_dbt_test_checks(
    name: str, dataset: str, column: str
) -> None:
    found = dbt_names.tested("test", [name, "a1"], "", frozenset({"orders", "stg_orders", "customers"}))
    assert (found.dataset, found.column) == (dataset, column)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "Runtime Error in model a (models/a.sql)\n  Binder Error: no column b\n  LINE 1",
            "Runtime Error: Binder Error: no column b",
        ),
        ("Database Error in test not_null_a_b\n  timeout", "Database Error: timeout"),
        ("Runtime Error in model a (models/a.sql)", "Runtime Error in model a (models/a.sql)"),
        ("Binder Error: no column b", "Binder Error: no column b"),
    ],
)
def test_an_error_of_dbt_says_what_and_not_only_where(message: str, said: str) -> None:
    (alert,) = read("dbt", dbt_results({"unique_id": "model.shop.a", "status": "error", "message": message})).alerts
    assert alert.summary == f"model a failed: {said}"


def test_compiled_sql_and_sample_rows_are_never_kept() -> None:
    for source, name in (("dbt", "build_of_everything_wrapped"), ("elementary", "sample_without_a_message")):
        said = orjson.dumps(read(source, fixture(source, name)), default=str).decode()
        assert "select" not in said
        assert "secret@customer" not in said


def test_dbt_clouds_signature_verifies_with_either_secret_and_not_with_another_body() -> None:
    body = orjson.dumps(fixture("dbt", "cloud_errored"))
    dbt = find("dbt")
    for secret in SECRETS:
        signed = hmac.new(secret.encode(), body, "sha256").hexdigest()
        message = message_of(body, hook_of("dbt"), NOW, {"Authorization": signed})
        assert dbt.verify(message, SECRETS).verdict == "verified"
        assert dbt.verify(message, ("another",)).verdict == "refused"
        tampered = message_of(body + b" ", hook_of("dbt"), NOW, {"Authorization": signed})
        assert dbt.verify(tampered, SECRETS).verdict == "refused"
    wrapper = message_of(b"{}", hook_of("dbt"), NOW, {"Authorization": "Bearer new-secret"})
    assert dbt.verify(wrapper, SECRETS).verdict == "verified"


def test_dbt_clouds_event_id_names_its_delivery() -> None:
    message = message_of(orjson.dumps(fixture("dbt", "cloud_errored")), hook_of("dbt"), NOW)
    assert find("dbt").message_id(message) == "wev_job_run_errored20"


def test_monte_carlo_signs_the_url_encoded_body() -> None:
    told = fixture("monte_carlo", "custom_rule_broken")
    body = json.dumps(told).encode()
    source, hook = find("monte_carlo"), hook_of("monte_carlo")
    for signed in (urlencode(told).encode(), body):
        header = {"x-mcd-signature": hmac.new(b"new-secret", signed, "sha512").hexdigest()}
        assert source.verify(message_of(body, hook, NOW, header), SECRETS).verdict == "verified"
        assert source.verify(message_of(body, hook, NOW, header), ("another",)).verdict == "refused"
    unsigned = message_of(body, hook, NOW)
    assert source.verify(unsigned, SECRETS).verdict == "refused"


def test_a_registrys_tag_is_verified_as_the_git_host_signs_it() -> None:
    body = orjson.dumps(fixture("dvc", "other_stage"))
    dvc, hook = find("dvc"), hook_of("dvc")
    github = {"X-Hub-Signature-256": "sha256=" + hmac.new(b"new-secret", body, "sha256").hexdigest()}
    for headers in (github, {"X-Gitlab-Token": "old-secret"}, {"Authorization": "Bearer new-secret"}):
        assert dvc.verify(message_of(body, hook, NOW, headers), SECRETS).verdict == "verified"
        assert dvc.verify(message_of(body, hook, NOW, headers), ("another",)).verdict == "refused"


def test_monte_carlos_alert_is_known_by_its_id_alone() -> None:
    marked, found = (
        read("monte_carlo", fixture("monte_carlo", n)) for n in ("marked_as_an_incident", "volume_anomaly")
    )
    another = fixture("monte_carlo", "volume_anomaly")
    another["payload"]["incident_id"] = "mc-78"
    assert keys(marked, Status.FIRING) == keys(found, Status.FIRING)
    assert not keys(read("monte_carlo", another), Status.FIRING) & keys(found, Status.FIRING)


def test_drift_reads_alike_from_soda_and_evidently() -> None:
    def drift(found: Normalized) -> Alert:
        return next(alert for alert in found.alerts if alert.symptom.value == "feature_drift")

    soda = drift(read("soda", fixture("soda", "scan_with_failures")))
    config = {"type": "evidently:metric_v2:ValueDrift", "column": "basket_value", "method": "psi", "threshold": 0.1}
    metric = {"id": "m", "metric_name": "ValueDrift()", "config": config, "value": 0.4}
    body = {"source": "evidently", "dataset": "orders", "report": {"metrics": [metric]}}
    evidently = drift(read("evidently", body))
    assert (soda.subject, soda.symptom, soda.resource) == (evidently.subject, evidently.symptom, evidently.resource)


def test_an_openlineage_array_keeps_the_begin_of_a_run_that_ends_in_it() -> None:
    (change,) = read("openlineage", fixture("openlineage", "array_of_events")).changes
    assert (change.occurred_at.minute, change.finished_at and change.finished_at.minute) == (0, 5)


@pytest.mark.parametrize(("source", "how"), [("elementary", Resolves.EXPIRY), ("monte_carlo", Resolves.SENDER)])
def test_senders_without_passes_say_how_their_alerts_end(source: str, how: Resolves) -> None:
    assert find(source).resolves is how


@pytest.mark.parametrize(
    "folder",
    [
        "soda_core",
        "dbt_run_results",
        "dbt_cloud",
        "elementary_msteams",
        "airbyte",
        "airflow_callback",
        "airflow_via_alertmanager",
    ],
)
def test_the_corpus_names_of_these_producers_are_known(folder: str) -> None:
    assert find(folder).title
