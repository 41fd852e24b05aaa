"""ML monitors: what fails and later passes is one alert, values of rows stay out, and nobody is left unnamed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Alert, Status
from tocsin.domain.errors import BadPayload
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def read(source: str, body: Any, *, now: datetime = NOW, defaults: dict[str, str] | None = None) -> tuple[Alert, ...]:
    hook = hook_of(source, defaults=defaults)
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return find(source).normalize(message_of(raw, hook, now), hook).alerts


def keys(alerts: tuple[Alert, ...], status: Status) -> set[str]:
    return {alert.fingerprint for alert in alerts if alert.status is status}


def chunk(index: int, *, alert: bool, period: str = "analysis") -> dict[str, Any]:
    row = {"chunk_index": index, "chunk_end_date": f"2026-11-{index + 1:02d}T00:00:00", "chunk_period": period}
    return row | {"mae_value": 3.0 + alert, "mae_upper_threshold": 3.5, "mae_lower_threshold": 0.5, "mae_alert": alert}


def anomalies(info: dict[str, Any]) -> dict[str, Any]:
    return {"model": "churn", "report": {"baseline": {"feature": [{"name": "age"}]}, "anomalyInfo": info}}


UNEXPECTED = {"age": {"severity": "ERROR", "reason": [{"type": "FLOAT_TYPE_BIG_FLOAT", "shortDescription": "High"}]}}
ROW = {"feature_view_name": "profiles", "feature_name": "age", "granularity": "daily", "metric_date": "2026-11-01"}
DUPLICATES = {"type": "CheckResult", "check": {"name": "Data Duplicates"}, "value": 0.2}


def duplicates(status: str) -> dict[str, Any]:
    condition = {"Status": status, "Condition": "Duplicate data ratio is less or equal to 5%", "More Info": "Found"}
    return {"dataset": "orders", "report": DUPLICATES | {"conditions_results": [condition]}}


CASES = {
    "nannyml": ([chunk(1, alert=True)], [chunk(1, alert=True), chunk(2, alert=False)]),
    "deepchecks": (duplicates("FAIL"), duplicates("PASS")),
    "tfdv": (anomalies(UNEXPECTED), anomalies({})),
    "feast": ([ROW], [ROW | {"max_event_timestamp": "2026-11-21T09:00:00Z"}]),
    "arize": (
        {"monitor_name": "AUC", "status": "Triggered", "model": "churn"},
        {"monitor_name": "AUC", "status": "Healthy", "model": "churn"},
    ),
    "whylabs": (
        {"analyzerId": "a", "metric": "median", "column": "age", "anomalyCount": 1},
        {"analyzerId": "a", "metric": "median", "column": "age", "anomalyCount": 0},
    ),
    "great_expectations": (
        {"success": False, "expectation_config": {"type": "expect_column_to_exist", "kwargs": {"column": "age"}}},
        {"success": True, "expectation_config": {"type": "expect_column_to_exist", "kwargs": {"column": "age"}}},
    ),
}


@pytest.mark.parametrize("source", CASES)
def test_the_next_pass_ends_what_failed(source: str) -> None:
    failed, passed = CASES[source]
    firing = keys(read(source, failed), Status.FIRING)
    later = read(source, passed, now=NOW + timedelta(hours=1))
    assert firing
    assert firing <= keys(later, Status.RESOLVED)
    assert not keys(later, Status.FIRING)


def test_the_newest_chunk_rules_and_its_spell_began_with_the_first_alert_before_it() -> None:
    flags = [True, False, True, True]
    (alert,) = read("nannyml", [chunk(n, alert=flag) for n, flag in enumerate(flags)])
    assert (alert.status, alert.starts_at) == (Status.FIRING, datetime(2026, 11, 3, tzinfo=UTC))


def test_the_reference_period_gives_the_baseline_and_never_an_alert() -> None:
    (alert,) = read("nannyml", [chunk(0, alert=True, period="reference"), chunk(1, alert=False)])
    assert (alert.status, alert.baseline) == (Status.RESOLVED, 4.0)


def test_deepchecks_bare_nan_is_read() -> None:
    body = json.dumps(duplicates("WARN")).replace("0.2", '{"scores": [NaN, -Infinity]}')
    assert [alert.status for alert in read("deepchecks", body.encode())] == [Status.FIRING]


def test_a_report_may_be_json_in_a_text() -> None:
    inside = duplicates("FAIL") | {"report": json.dumps(duplicates("FAIL")["report"])}
    assert read("deepchecks", inside) == read("deepchecks", duplicates("FAIL"))


def test_what_the_hook_says_is_as_good_as_an_envelope_and_the_envelope_wins() -> None:
    defaults = {"model": "churn", "model_version": "16"}
    (bare,) = read("nannyml", [chunk(1, alert=True)], defaults=defaults)
    (wrapped,) = read("nannyml", {"model_version": "17", "report": [chunk(1, alert=True)]}, defaults=defaults)
    assert (bare.subject, bare.model_version) == ("model:churn", "16")
    assert (wrapped.subject, wrapped.model_version) == ("model:churn", "17")


def test_what_nobody_names_is_about_its_hook() -> None:
    (alert,) = read("nannyml", [chunk(1, alert=True)])
    assert alert.subject == "unknown:nannyml-hook"


def test_values_of_rows_stay_out_of_what_tfdv_says() -> None:
    quoting: dict[str, Any] = {"severity": "ERROR", "description": "missing from the schema: jane@example.com (~1%)"}
    quoting |= {"reason": [{"type": "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "description": quoting["description"]}]}
    found = read("tfdv", {"model": "churn", "report": {"anomalyInfo": {"email": quoting}}})
    assert "jane" not in orjson.dumps(found, default=str).decode()


def test_a_column_that_the_schema_does_not_have_expires() -> None:
    new = {"reason": [{"type": "SCHEMA_NEW_COLUMN", "shortDescription": "New column"}]}
    found = {str(alert.subject): alert for alert in read("tfdv", anomalies({"coupon": new} | UNEXPECTED))}
    assert (found["feature:coupon"].resolves, found["feature:age"].resolves) == ("expiry", "next_pass")


def test_a_feature_is_stale_from_the_moment_its_limit_passed() -> None:
    row = ROW | {"max_event_timestamp": "2026-11-20T00:00:00Z"}
    (alert,) = read("feast", {"max_age": "26h", "report": [row]})
    assert (alert.starts_at, alert.observed) == (datetime(2026, 11, 21, 2, tzinfo=UTC), 36 * 3600)
    assert read("feast", [row])[0].status is Status.RESOLVED, "daily metrics allow 48 hours"


def test_an_unfilled_macro_of_whylabs_says_nothing() -> None:
    (alert,) = read("whylabs", {"monitorName": "Drift", "datasetId": "<[[dataset-id]]>", "monitorId": "m1"})
    assert alert.subject == "unknown:whylabs-hook"


def test_the_path_of_a_time_that_is_none_is_told() -> None:
    with pytest.raises(BadPayload, match=r"^timestamp: 'soon' is not a time"):
        read("evidently", {"model": "churn", "timestamp": "soon", "report": {"tests": [{"status": "FAIL"}]}})
