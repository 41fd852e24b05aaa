"""JSON, times, labels: the pieces that every source is made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.sources.reading import hook_of
from tocsin.domain.alert import Severity, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.subject import Subject
from tocsin.sources._identity import (
    environment_of,
    labels_of,
    links_of,
    resource_of,
    severity_of,
    subject_of,
    symptom_of,
)
from tocsin.sources._json import number, parsed, shaped
from tocsin.sources._times import moment

WHEN = datetime(2026, 11, 21, 3, 43, 44, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "after"),
    [
        ("2026-11-21T03:43:44Z", 0),
        ("2026-11-21T03:43:44.785Z", 785000),
        ("2026-11-21T03:43:44.7858765Z", 785876),
        ("2026-11-21T03:43:44.785876543Z", 785876),
        ("2026-11-21T05:43:44+02:00", 0),
        ("2026-11-21T03:43:44.000+0000", 0),
        ("2026-11-21 03:43:44", 0),
        ("2026-11-21 03:43:44 UTC", 0),
        ("2026-11-21 03:43:44.52289368 +0000 UTC", 522893),
        ("2026-11-21T03:43:44", 0),
        (1795232624, 0),
        (1795232624.5, 500000),
        ("1795232624", 0),
        (1795232624785, 785000),
        ("1795232624785", 785000),
        (1795232624785876, 785876),
        (1795232624785876543, 785876),
    ],
)
def test_a_time_is_read_however_it_is_spelt(sent: object, after: int) -> None:
    assert moment(sent) == WHEN + timedelta(microseconds=after)


@pytest.mark.parametrize(
    "sent",
    [
        *(None, "", 0, "0", -5, 10**30, float("nan"), float("inf")),
        *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_zero_or_absurd_time_says_nothing(sent: object) -> None:
    assert moment(sent) is None


@pytest.mark.parametrize("sent", ["yesterday", "2026-13-01", "12:00", True, [], {"at": 1}])
def test_what_is_no_time_is_refused(sent: object) -> None:
    with pytest.raises(BadPayload):
        moment(sent)


def test_a_naive_time_is_in_the_zone_that_the_source_knows() -> None:
    assert moment("2026-11-21 04:43:44", zone=ZoneInfo("Europe/Berlin")) == WHEN


@given(st.one_of(st.text(), st.integers(), st.floats(), st.binary().map(repr), st.none()))
def test_any_time_is_utc_or_none_or_refused(sent: object) -> None:
    try:
        found = moment(sent)
    except BadPayload:
        return
    assert found is None or (found.tzinfo is UTC and 2000 <= found.year < 2100)


def test_a_body_is_read_as_senders_write_it() -> None:
    assert parsed(b'\xef\xbb\xbf{"a": NaN, "b": -Infinity, "c": 1e999}') == {"a": None, "b": None, "c": None}
    assert parsed(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parsed(b"123456789012345678901234567890") == pytest.approx(1.2345678901234568e29)
    assert parsed(b'"a\\u0000b"') == "a\ufffdb"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"payload=%7B%7D", "not JSON"),
        (b'{"a": ', "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b"[" * 100_000, "deeper"),
        (b"[" * 65 + b"]" * 65, "deeper"),
        (b'[NaN, {"a":' * 80 + b"1" + b"}]" * 80, "deeper"),
        (b"1" * 5000, "not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        parsed(body)


def test_sixty_four_levels_are_still_read() -> None:
    assert parsed(b"[" * 64 + b"]" * 64)
    assert parsed(b'{"wide": [' + b"{}," * 200 + b"{}]}")


def test_a_shape_names_the_first_error_and_counts_the_rest() -> None:
    class Run(BaseModel):
        name: str
        tries: list[int]

    with pytest.raises(BadPayload) as refused:
        shaped(Run, {"name": 3, "tries": [1, "x"]})
    assert str(refused.value) == "name: Input should be a valid string (and 1 more)"
    assert refused.value.path == "name"


def test_numbers_are_finite_or_absent() -> None:
    assert [number(v) for v in ("0.41", " 93% ", 3, 1.5)] == [0.41, 93.0, 3.0, 1.5]
    nothing: list[object] = [None, True, "high", "nan", 10**400, []]
    assert [number(v) for v in nothing] == [None] * 6


@pytest.mark.parametrize(
    ("labels", "subject"),
    [
        ({"feature": "age", "model": "churn", "service": "scoring"}, "feature:age"),
        ({"model_name": "churn", "service": "scoring"}, "model:churn"),
        ({"table": "orders", "dag_id": "ingest"}, "dataset:orders"),
        ({"dag_id": "ingest", "service": "airflow"}, "job:ingest"),
        ({"service.name": "checkout", "job": "otel"}, "service:checkout"),
        ({"job": "checkout", "instance": "10.0.0.1:80"}, "service:checkout"),
        ({"job": "monitoring/node-exporter", "instance": "db-1:9100"}, "host:db-1"),
        ({"job": "kube-state-metrics", "pod": "web-1", "container": "web"}, "service:web"),
        ({"subject": "queue:orders", "service": "shop"}, "queue:orders"),
        ({"subject": "nonsense", "service": "shop"}, "service:shop"),
        ({"service": "  "}, "unknown:rule"),
    ],
)
def test_the_most_specific_label_names_the_subject(labels: dict[str, str], subject: str) -> None:
    assert subject_of(labels, fallback=Subject.of("unknown", "rule")) == subject


def test_an_exporters_instance_is_no_resource_of_a_feature() -> None:
    labels = {"instance": "10.0.0.1:9100", "pod": "monitor-1"}
    assert resource_of(labels, Subject("feature:age")) == ""
    assert resource_of(labels, Subject("service:checkout")) == "monitor-1"


@pytest.mark.parametrize(
    ("text", "symptom"),
    [
        ("FeatureDriftHigh", Symptom.FEATURE_DRIFT),
        ("PSI of age is 0.4", Symptom.FEATURE_DRIFT),
        ("PredictionDrift", Symptom.PREDICTION_DRIFT),
        ("prediction_distribution_shift", Symptom.PREDICTION_DRIFT),
        ("ModelCalibrationECE", Symptom.CALIBRATION),
        ("LatencyP99High", Symptom.LATENCY),
        ("http5xxRate", Symptom.ERRORS),
        ("ErrorBudgetBurn", Symptom.ERRORS),
        ("up == 0", Symptom.AVAILABILITY),
        ("TargetDown", Symptom.AVAILABILITY),
        ("NullRateHigh", Symptom.DATA_QUALITY),
        ("missing values in orders", Symptom.DATA_QUALITY),
        ("MissingColumn", Symptom.SCHEMA),
        ("KafkaConsumerLag", Symptom.FRESHNESS),
        ("FeatureStale", Symptom.FRESHNESS),
        ("AUCDrop", Symptom.PERFORMANCE),
        ("ConversionDown", Symptom.BUSINESS_KPI),
        ("KubePersistentVolumeFillingUp", Symptom.SATURATION),
        ("HighCPUUsage", Symptom.SATURATION),
        ("RowCountLow", Symptom.VOLUME),
        ("CloudSpendHigh", Symptom.COST),
        ("DemographicParityGap", Symptom.FAIRNESS),
        ("FeatureAttributionDrift", Symptom.EXPLAINABILITY),
        ("Something odd", Symptom.AVAILABILITY),
    ],
)
def test_words_tell_the_symptom(text: str, symptom: Symptom) -> None:
    assert symptom_of({}, text) is symptom


def test_a_symptom_label_wins_over_words_and_the_name_over_the_summary() -> None:
    assert symptom_of({"symptom": "Feature Drift"}, "LatencyHigh") is Symptom.FEATURE_DRIFT
    assert symptom_of({"symptom": "odd"}, "LatencyHigh", "disk full") is Symptom.LATENCY
    assert symptom_of({}, "Rule 7", "", "disk full") is Symptom.SATURATION


def test_every_vendors_word_has_a_severity() -> None:
    assert [severity_of(w) for w in ("page", "P1", "SEV1", " High ")] == [Severity.CRITICAL] * 4
    assert [severity_of(w) for w in ("major", "p2", "Error")] == [Severity.ERROR] * 3
    assert [severity_of(w) for w in (None, "", "purple", "minor")] == [Severity.WARNING] * 4
    assert [severity_of(w) for w in ("none", "P5", "informational")] == [Severity.INFO] * 3


def test_a_label_names_the_environment_only_on_a_hook_for_any() -> None:
    labels = {"env": "Staging"}
    assert environment_of(labels, hook_of("alertmanager")) == "production"
    assert environment_of(labels, hook_of("alertmanager", environment="*")) == "staging"
    assert environment_of({}, hook_of("alertmanager", environment="*")) == "production"


def test_labels_are_few_short_texts() -> None:
    assert labels_of({"a": "x", "n": 3, "b": True, "none": None, "deep": {}, "": "y"}) == {
        "a": "x",
        "n": "3",
        "b": "true",
    }
    assert len(labels_of({str(n): "v" for n in range(100)})) == 64
    assert len(labels_of({"long": "v" * 5000})["long"]) == 1024
    assert labels_of(["a"]) == {}


def test_links_are_plain_web_addresses() -> None:
    good = {"runbook": "https://runbooks.example.com/a?b=c"}
    bad = {"a": "javascript:alert(1)", "b": "https://user:pw@example.com", "c": "https://", "d": "http://x y", "e": 3}
    assert links_of({**good, **bad, "f": "http://[broken", "g": "https://example.com/\n"}) == good
