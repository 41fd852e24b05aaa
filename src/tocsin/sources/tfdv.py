"""Which features do not fit their schema, which drifted or are skewed? Anomalies of TensorFlow Data Validation (TFX).

The anomalies are a protocol buffer (`ExampleValidator`'s SchemaDiff); as JSON its keys are camelCase, or snake_case
with `preserving_proto_field_name`. It lists only what is wrong: the features of its baseline schema that are not listed
passed. Descriptions may quote values of the data, so that only the short ones and numbers are copied.
https://www.tensorflow.org/tfx/data_validation/anomalies
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._identity import symptom_of
from tocsin.sources._json import kind_of, number, parsed, shaped
from tocsin.sources._report import opened, worst_first
from tocsin.sources._verify import shared_secret

NAME = "tfdv"

SEVERITIES = {"ERROR": Severity.ERROR, "2": Severity.ERROR, "WARNING": Severity.WARNING, "1": Severity.WARNING}
"""An anomaly's severity, by name or number, → ours; UNKNOWN is a warning."""

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"COMPARATOR_(L_INFTY|JENSEN|NORMALIZED)|SKEW", Symptom.FEATURE_DRIFT),
    (r"NUM_EXAMPLES|NO_DATA_IN_SPAN", Symptom.VOLUME),
    (r"SCHEMA_(MISSING|NEW)_COLUMN|FEATURE_MISSING|INVALID|NAME_COLLISION|NESTEDNESS|REPEATED", Symptom.SCHEMA),
    (r"_NOT_(INT|STRING|FLOAT)|NON_STRING|_EXPECTED$|NOW_(FLOAT|INT)|UNKNOWN_TYPE|DATA_TYPE", Symptom.SCHEMA),
)
"""Words in a reason's type → symptom; any other reason is about data quality."""

CHECKS = {
    Symptom.SCHEMA: "schema anomaly",
    Symptom.DATA_QUALITY: "data anomaly",
    Symptom.VOLUME: "volume anomaly",
}
"""One alert per feature and symptom, so that the next report without that anomaly ends it."""

MEASURES = {
    "L_INFTY": "l_infinity",
    "JENSEN_SHANNON_DIVERGENCE": "jensen_shannon divergence",
    "NORMALIZED_ABSOLUTE_DIFFERENCE": "normalized absolute difference",
}
EXPIRES_AFTER = timedelta(hours=48)
"""Where no baseline says which features were checked, no later report can end an alert."""

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_MEASURED = re.compile(r"\bis (\d[\d.eE+-]*\d|\d)\b.{0,60}?threshold (?:of )?(\d[\d.eE+-]*\d|\d)")
Word = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]


class _Proto(BaseModel):
    """Both spellings of a field's name are read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class _Reason(_Proto):
    type: Word = ""
    short_description: str = ""
    description: str = ""

    @property
    def symptom(self) -> Symptom:
        if not self.type or self.type.isdecimal():  # enums as numbers: the words tell
            if "column" in self.short_description.lower():
                return Symptom.SCHEMA
            said = symptom_of({}, self.short_description)
            return said if said in (*CHECKS, Symptom.FEATURE_DRIFT) else Symptom.DATA_QUALITY
        return next((meant for words, meant in _SYMPTOMS if words.search(self.type)), Symptom.DATA_QUALITY)

    @property
    def is_skew(self) -> bool:
        return "SKEW" in self.type or "training and serving" in self.description.lower()


class _Info(_Proto):
    severity: Word = ""
    description: str = ""
    short_description: str = ""
    reason: list[_Reason] = []

    @property
    def reasons(self) -> list[_Reason]:
        """Its reasons; older releases had none and told it only in words."""
        return self.reason or [_Reason(short_description=self.short_description, description=self.description)]


class _Measurement(_Proto):
    type: Word = ""
    value: Any = None
    threshold: Any = None


class _Path(_Proto):
    step: list[str] = []


class _DriftSkew(_Proto):
    path: _Path = _Path()
    skew_measurements: list[_Measurement] = []
    drift_measurements: list[_Measurement] = []


class _Feature(_Proto):
    name: str = ""
    drift_comparator: dict[str, Any] | None = None
    skew_comparator: dict[str, Any] | None = None


class _Schema(_Proto):
    feature: list[_Feature] = []


class _Anomalies(_Proto):
    anomaly_info: dict[str, _Info] = {}
    dataset_anomaly_info: _Info | None = None
    drift_skew_info: list[_DriftSkew] = []
    baseline: _Schema | None = None
    baseline_v1: _Schema | None = Field(default=None, validation_alias="baselineV1")
    data_missing: bool = False


KEYS = frozenset(
    spelling
    for name in ("anomaly_info", "dataset_anomaly_info", "drift_skew_info", "baseline", "baseline_v1", "data_missing")
    for spelling in (name, to_camel(name))
) | {"anomaly_name_format", "anomalyNameFormat"}


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per feature and symptom, and the end of those that the report no longer has."""
    envelope, body = opened(parsed(message.body), hook)
    if isinstance(body, dict) and isinstance(body.get("anomalies"), dict):
        body = body["anomalies"]
    if not isinstance(body, dict):
        raise BadPayload(f"expected anomalies, found {kind_of(body)}")
    if body and KEYS.isdisjoint(body):
        raise BadPayload("none of the fields of tensorflow.metadata.v0.Anomalies", path="anomalyInfo")
    anomalies = shaped(_Anomalies, body)
    findings = list(_findings(anomalies))
    if not findings:
        return Normalized(ignored="no anomalies, and no baseline that says which features were checked")
    return Normalized(
        alerts=worst_first(alert_of(finding, envelope, message, hook, source=NAME) for finding in findings)
    )


def _findings(anomalies: _Anomalies) -> Iterator[Finding]:
    schema = anomalies.baseline or anomalies.baseline_v1
    found = list(_wrong(anomalies))
    known = {feature.name.strip() for feature in schema.feature} | {""} if schema else set()
    for finding in found:
        ends = finding.column in known or (finding.symptom is Symptom.FEATURE_DRIFT and schema is not None)
        yield finding if ends else replace(finding, resolves=Resolves.EXPIRY, expires_after=EXPIRES_AFTER)
    if schema:
        yield from _passed(schema, {(finding.column, finding.check) for finding in found})


def _wrong(anomalies: _Anomalies) -> Iterator[Finding]:
    """What was compared, with its verdict, and what was complained of besides."""
    measured = set()
    for each in anomalies.drift_skew_info:
        severity = _severity(anomalies.anomaly_info.get(".".join(each.path.step)))
        for finding in _compared(each, severity):
            measured.add((finding.column, finding.check))
            yield finding
    for name, info in anomalies.anomaly_info.items():
        for finding in _reported(name.strip(), info):
            if (finding.column, finding.check) not in measured:
                yield finding
    if anomalies.dataset_anomaly_info is not None:
        yield from _reported("", anomalies.dataset_anomaly_info)
    if anomalies.data_missing:
        yield _finding("", Symptom.VOLUME, "no examples", Severity.ERROR)


def _severity(info: _Info | None) -> Severity:
    return SEVERITIES.get(info.severity.upper(), Severity.WARNING) if info else Severity.WARNING


def _reported(column: str, info: _Info) -> Iterator[Finding]:
    for reason in info.reasons:
        symptom = reason.symptom
        if symptom is Symptom.FEATURE_DRIFT:
            told = _MEASURED.search(reason.description)
            yield drift(
                column,
                check="skew" if reason.is_skew else "drift",
                status=Status.FIRING,
                severity=_severity(info),
                method=next((how for word, how in MEASURES.items() if word in reason.type), ""),
                observed=number(told[1]) if told else None,
                threshold=number(told[2]) if told else None,
            )
        else:
            yield _finding(column, symptom, reason.short_description or info.short_description, _severity(info))


def _finding(column: str, symptom: Symptom, words: str, severity: Severity) -> Finding:
    told = (words or "anomaly").strip().rstrip(".")
    return Finding(
        check=CHECKS[symptom],
        symptom=symptom,
        status=Status.FIRING,
        severity=severity,
        summary=f"{column}: {told}" if column else told,
        column=column,
        metric=symptom,
    )


def _compared(each: _DriftSkew, severity: Severity) -> Iterator[Finding]:
    """What was measured, over its threshold or not."""
    for check, measurements in (("drift", each.drift_measurements), ("skew", each.skew_measurements)):
        for one in measurements:
            observed, threshold = number(one.value), number(one.threshold)
            column = ".".join(each.path.step).strip()
            if not column or observed is None or threshold is None:
                continue
            yield drift(
                column,
                check=check,
                status=Status.FIRING if observed > threshold else Status.RESOLVED,
                severity=severity,
                method=MEASURES.get(one.type, one.type.lower()),
                observed=observed,
                threshold=threshold,
            )


def _passed(schema: _Schema, told: set[tuple[str, str]]) -> Iterator[Finding]:
    """Of the dataset and of every feature of the schema, each check that the report does not speak of."""
    for symptom in (Symptom.VOLUME, Symptom.SCHEMA):
        if ("", CHECKS[symptom]) not in told:
            passed = _finding("", symptom, f"no {CHECKS[symptom]}", Severity.WARNING)
            yield replace(passed, status=Status.RESOLVED)
    for feature in schema.feature:
        column = feature.name.strip()
        for symptom in (Symptom.SCHEMA, Symptom.DATA_QUALITY):
            if column and (column, CHECKS[symptom]) not in told:
                passed = _finding(column, symptom, f"no {CHECKS[symptom]}", Severity.WARNING)
                yield replace(passed, status=Status.RESOLVED)
        for check, compared in (("drift", feature.drift_comparator), ("skew", feature.skew_comparator)):
            if column and compared and (column, check) not in told:
                yield drift(column, check=check, status=Status.RESOLVED, severity=Severity.WARNING)


SETUP = """TensorFlow Data Validation gives a protocol buffer; post it as JSON with what it is about:

```sh
tocsin send --source tfdv --model churn --dataset churn_features anomalies.json
```

where `anomalies.json` is what the second line writes; or from Python:

```python
import json, urllib.request
from google.protobuf.json_format import MessageToDict

anomalies = tfdv.validate_statistics(statistics, schema, previous_statistics=yesterday)
body = dict(source="tfdv", model="churn", dataset="churn_features", report=MessageToDict(anomalies))
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

- In a TFX pipeline: `tfdv.load_anomalies_binary(path_of_SchemaDiff_pb)` of the ExampleValidator's `anomalies`.
- Post reports without anomalies too, with their `baseline`: its features are the ones that passed. Without a baseline
  an alert ends 48 hours after its last report, and so does that of a column that the schema does not have.
"""

SOURCE = Source(
    name=NAME,
    title="TensorFlow Data Validation anomalies (TFX)",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    expires_after=EXPIRES_AFTER,
    setup=SETUP,
    ignores=("reports without anomalies and without a baseline",),
    aliases=("tfx", "tfx_anomalies"),
)
