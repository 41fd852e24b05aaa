"""Datadog, New Relic, CloudWatch, Azure Monitor, Google Cloud: what begins and ends is one alert; who may post."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.sources.reading import FIXTURES, hook_of, message_of
from tocsin.domain.alert import Alert, Severity, Status
from tocsin.domain.message import Normalized
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "s3cret"


def fixture(source: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((FIXTURES / source / f"{name}.json").read_bytes())
    return found


def read(source: str, body: object, **hook: Any) -> Normalized:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    declared = hook_of(source, **hook)
    return find(source).normalize(message_of(raw, declared, NOW), declared)


def alert(source: str, name: str) -> Alert:
    return read(source, fixture(source, name)).alerts[0]


@pytest.mark.parametrize(
    ("source", "begins", "ends"),
    [
        ("datadog", "our_template_triggered", "our_template_recovered"),
        ("datadog", "warn_threshold_of_a_p1_monitor", "our_template_recovered"),
        ("datadog", "no_data", "our_template_recovered"),
        ("datadog", "default_payload_triggered", "default_payload_recovered"),
        ("newrelic", "default_template_activated", "default_template_closed"),
        ("newrelic", "default_template_acknowledged", "default_template_closed"),
        ("newrelic", "least_template_open", "least_template_closed"),
        ("newrelic", "legacy_open", "legacy_closed"),
        ("cloudwatch", "sns_metric_alarm", "sns_metric_alarm_ok"),
        ("cloudwatch", "sns_metric_alarm", "sns_insufficient_data"),
        ("cloudwatch", "raw_delivery", "sns_metric_alarm_ok"),
        ("cloudwatch", "lambda_records", "sns_metric_alarm_ok"),
        ("cloudwatch", "eventbridge_alarm", "eventbridge_ok"),
        ("cloudwatch", "lambda_action", "eventbridge_ok"),
        ("cloudwatch", "eventbridge_alarm", "eventbridge_alarm_deleted"),
        ("azure_monitor", "metric_fired", "metric_resolved"),
        ("azure_monitor", "resource_health_unavailable", "resource_health_available_again"),
        ("azure_monitor", "service_health_incident", "service_health_resolved"),
        ("gcp_monitoring", "threshold_open", "threshold_closed"),
        ("gcp_monitoring", "through_pubsub", "threshold_closed"),
    ],
)
def test_what_ends_is_what_began(source: str, begins: str, ends: str) -> None:
    first, last = alert(source, begins), alert(source, ends)
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert (first.fingerprint, first.sender_key) == (last.fingerprint, last.sender_key)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("datadog", "feature_drift_by_tags"),
        ("newrelic", "our_template_with_tags"),
        ("gcp_monitoring", "drift_by_policy_labels"),
    ],
)
def test_a_features_drift_reads_alike_wherever_it_comes_from(source: str, name: str) -> None:
    found = alert(source, name)
    assert (found.subject, found.resource, found.symptom) == ("feature:basket_value", "model:upsell", "feature_drift")
    assert found.observed is not None
    assert found.threshold == pytest.approx(0.25)


def test_two_groups_of_one_monitor_are_two_alerts() -> None:
    body = fixture("datadog", "our_template_triggered")
    other = body | {"alert_scope": "host:pay-db-4", "hostname": "pay-db-4", "tags": "service:payments,host:pay-db-4"}
    assert read("datadog", body).alerts[0].fingerprint != read("datadog", other).alerts[0].fingerprint


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("Triggered", Status.FIRING),
        ("Re-Triggered", Status.FIRING),
        ("Warn", Status.FIRING),
        ("Re-Warn", Status.FIRING),
        ("No Data", Status.FIRING),
        ("Re-No Data", Status.FIRING),
        ("Renotify", Status.FIRING),
        ("Recovered", Status.RESOLVED),
    ],
)
def test_datadogs_state_is_read_from_its_variable_and_from_its_title(told: str, status: Status) -> None:
    by_variable = read("datadog", {"title": "Disk", "alert_transition": told}).alerts[0]
    by_title = read("datadog", {"title": f"[P2] [{told} on {{host:web-1}}] Disk"}).alerts[0]
    assert by_variable.status is by_title.status is status
    assert by_title.name == by_variable.name == "Disk"
    assert by_title.subject == "host:web-1"


def test_a_datadog_payload_encoded_as_a_form_is_read() -> None:
    body = b"alert_title=Disk+is+full&alert_transition=Triggered&alert_scope=host%3Aweb-1&alert_priority=P1"
    found = read("datadog", body).alerts[0]
    assert (found.name, found.subject, found.severity) == ("Disk is full", "host:web-1", Severity.CRITICAL)


@pytest.mark.parametrize(
    ("word", "severity"), [("CRITICAL", "critical"), ("HIGH", "error"), ("MEDIUM", "warning"), ("LOW", "info")]
)
def test_new_relics_priorities(word: str, severity: str) -> None:
    assert read("newrelic", {"id": "1", "state": "ACTIVATED", "priority": word}).alerts[0].severity == severity


@pytest.mark.parametrize(
    ("word", "severity"),
    [("Sev0", "critical"), ("Sev1", "error"), ("Sev2", "warning"), ("Sev3", "info"), ("Sev4", "info")],
)
def test_azures_severities(word: str, severity: str) -> None:
    body = fixture("azure_monitor", "metric_fired")
    body["data"]["essentials"]["severity"] = word
    assert read("azure_monitor", body).alerts[0].severity == severity


@pytest.mark.parametrize(
    ("name", "description", "severity"),
    [
        ("checkout-latency", "", "warning"),
        ("checkout-latency", "severity: critical, runbook …", "critical"),
        ("checkout-latency", "Severity=info", "info"),
        ("[P1] checkout", "", "critical"),
        ("checkout-sev2", "", "error"),
        ("checkout-critical", "", "critical"),
        ("HighCPU", "", "warning"),
        ("api-error-rate", "", "warning"),
        ("user-info-service", "", "warning"),
    ],
)
def test_cloudwatchs_severity_is_what_people_wrote(name: str, description: str, severity: str) -> None:
    body = {"AlarmName": name, "AlarmDescription": description, "NewStateValue": "ALARM"}
    assert read("cloudwatch", body).alerts[0].severity == severity


def test_an_alarm_on_a_hook_for_any_environment_is_where_its_dimension_says() -> None:
    trigger = {"MetricName": "Errors", "Namespace": "shop", "Dimensions": [{"name": "Environment", "value": "Staging"}]}
    body = {"AlarmName": "a", "NewStateValue": "ALARM", "Trigger": trigger}
    assert read("cloudwatch", body, environment="*").alerts[0].environment == "staging"
    assert read("cloudwatch", body).alerts[0].environment == "production"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"google:{password}".encode()).decode()


def test_googles_token_and_basic_authentication_verify() -> None:
    source, message = find("gcp_monitoring"), message_of(b"{}", hook_of("gcp_monitoring"), NOW)
    for query in ({"token": SECRET}, {"auth_token": SECRET}):
        assert source.verify(replace(message, query=query), ("old", SECRET)).verdict == "verified"
    assert source.verify(replace(message, headers={"authorization": basic(SECRET)}), (SECRET,)).verdict == "verified"
    for query in ({"auth_token": "guess"}, {"auth_token": ""}, {"token": "ü"}, {}):
        assert source.verify(replace(message, query=query), (SECRET, "")).verdict == "refused"


@pytest.mark.parametrize("source", ["datadog", "newrelic", "azure_monitor"])
def test_who_signs_nothing_needs_the_secret(source: str) -> None:
    message = message_of(b"{}", hook_of(source), NOW)
    assert find(source).verify(replace(message, headers={"authorization": f"Bearer {SECRET}"}), (SECRET,)).verdict == (
        "verified"
    )
    assert find(source).verify(replace(message, query={"token": SECRET}), (SECRET,)).verdict == "verified"
    assert find(source).verify(message, (SECRET,)).verdict == "refused"
