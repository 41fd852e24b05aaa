"""Which checks of data and model failed? Suites of Deepchecks, and the alerts of its monitoring server.

A suite's JSON has a condition's verdict in words and the measured value in a shape of each check's own. Drift per
feature is read from the values, any other condition is one alert. A check that could not run for want of labels, an
index or dates (`CheckFailure`) judges nothing. The JSON holds bare NaN.
https://docs.deepchecks.com/stable/general/usage/export_save_results.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
from pydantic import BaseModel, Field

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._identity import severity_of, symptom_of
from tocsin.sources._json import kind_of, number, parsed, shaped, text
from tocsin.sources._report import opened, worst_first
from tocsin.sources._verify import shared_secret

NAME = "deepchecks"

STATUSES = {
    "PASS": (Status.RESOLVED, Severity.ERROR),
    "FAIL": (Status.FIRING, Severity.ERROR),
    "WARN": (Status.FIRING, Severity.WARNING),
    "ERROR": (Status.FIRING, Severity.WARNING),
}
"""A condition's status → ours; `ERROR` is a condition that could not be evaluated."""

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"label drift|new label", Symptom.LABEL_DRIFT),
    (r"prediction drift", Symptom.PREDICTION_DRIFT),
    (r"calibration", Symptom.CALIBRATION),
    (r"datasets? size|samples? count", Symptom.VOLUME),
    (r"mixed data types|dominant frequency", Symptom.DATA_QUALITY),
    (r"feature.label correlation|feature.feature correlation|unused features", Symptom.DATA_QUALITY),
    (r"drift", Symptom.FEATURE_DRIFT),
    (r"inference time", Symptom.LATENCY),
    (r"performance|simple model|error distribution|confusion|roc|boosting|weak segments?|bias|regression|f1|accuracy"
     r"|precision|recall", Symptom.PERFORMANCE),
)  # fmt: skip
"""Words in a check's name → symptom, first match wins; any other is about data quality."""

MONITOR_EXPIRES_AFTER = timedelta(hours=24)
"""The monitoring server tells when an alert begins, and never that it ended."""

_SYMPTOMS = tuple((re.compile(rf"\b(?:{words})\b"), symptom) for words, symptom in SYMPTOMS)
_NUMERIC = re.compile(r"kolmogorov|earth|emd|wasserstein|^ks$", re.IGNORECASE)
_LIMIT = re.compile(r"(?:<=?|>=?|less(?: than)?|greater(?: than)?|above|below|more than)\s*(-?\d+(?:\.\d+)?%?)")
_ANY_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?%?")
_NAMED_NUMBER = re.compile(r"(?:degradation|score|gain|AUC found|ratio) (?:of|is) (-?\d+(?:\.\d+)?%?)")
_NAMED = re.compile(r"'([^']{1,100})': ?[^\s]")
"""The columns that a verdict names: `{'country': '47.12%'}`."""
_ALERT_NAME = re.compile(r"models/(.+)/monitors/(.+)")
_RULE = re.compile(r"(<=?|>=?|less_than\w*|greater_than\w*)\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)


class _Check(BaseModel):
    name: str = ""


class _Condition(BaseModel):
    status: str = Field(validation_alias="Status")
    condition: str = Field(default="", validation_alias="Condition")
    info: str = Field(default="", validation_alias="More Info")


class _Result(BaseModel):
    type: str = "CheckResult"
    check: _Check = _Check()
    header: str = ""
    value: Any = None
    conditions_results: list[_Condition] | None = None
    exception: Any = None

    @property
    def name(self) -> str:
        return (self.check.name or self.header or "check").strip()


class _Suite(BaseModel):
    name: str = ""
    results: list[_Result]


class _MonitorAlert(BaseModel):
    """What the monitoring server posts to a standard webhook."""

    alert_id: int | str
    alert_name: str
    alert_rule: str = ""
    severity: str = ""
    alert_link: str = ""


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per condition, and per feature of a drift check. Raises BadPayload for another shape."""
    envelope, body = opened(parsed(message.body), hook)
    if not isinstance(body, dict):
        raise BadPayload(f"expected a suite's result, found {kind_of(body)}")
    if "alert_id" in body and "alert_name" in body:
        alert = shaped(_MonitorAlert, body)
        model, finding = _monitored(alert)
        if model and not envelope.model:
            envelope = envelope.model_copy(update={"model": model})
        return Normalized(alerts=(alert_of(finding, envelope, message, hook, source=NAME),))
    findings = [finding for result in _results(body) for finding in _findings(result)]
    if not findings:
        return Normalized(ignored="no check of the suite has a condition that was evaluated")
    return Normalized(
        alerts=worst_first(alert_of(finding, envelope, message, hook, source=NAME) for finding in findings)
    )


def _results(body: dict[str, Any]) -> Iterator[_Result]:
    """A suite's results (suites may hold suites), or one check's."""
    if body.get("type") in ("CheckResult", "CheckFailure"):
        yield shaped(_Result, body)
        return
    results = body.get("results")
    if not isinstance(results, list):
        raise BadPayload(f"expected a list of check results, found {kind_of(results)}", path="results")
    inner = [each for each in results if isinstance(each, dict) and each.get("type") == "SuiteResult"]
    for suite in inner:
        yield from _results(suite)
    yield from shaped(_Suite, body | {"results": [each for each in results if each not in inner]}).results


def _findings(result: _Result) -> Iterator[Finding]:
    if result.type == "CheckFailure":
        return
    for n, condition in enumerate(result.conditions_results or ()):
        if condition.status not in STATUSES:
            known = ", ".join(STATUSES)
            raise BadPayload(
                f"condition status {condition.status[:40]!r} is not one of {known}",
                path=f"results.conditions_results.{n}.Status",
            )
        columns = _scores(result) if condition.status != "ERROR" else {}
        yield from (_column(name, told, result, condition) for name, told in columns.items())
        if not columns:
            yield _condition(result, condition)


def _scores(result: _Result) -> dict[str, dict[str, Any]]:
    """Per column what a drift check measured; empty for any other check."""
    value = result.value if isinstance(result.value, dict) else {}
    return {
        name: told for name, told in value.items() if isinstance(told, dict) and "Drift score" in told and name.strip()
    }


def _score(told: object) -> float | None:
    """numpy numbers are written as `{"dtype": …, "value": …}`."""
    return number(told.get("value")) if isinstance(told, dict) else number(told)


def _column(name: str, told: dict[str, Any], result: _Result, condition: _Condition) -> Finding:
    """A feature drifts when its score is over its kind's limit, unless the condition forgave it by passing."""
    method = text(told.get("Method"), 80)
    score, limit = _score(told.get("Drift score")), _limit_of(method, condition.condition)
    drifted = condition.status != "PASS" and score is not None and (limit is None or score >= limit)
    found = drift(
        name.strip()[:200],
        check=result.name,
        status=Status.FIRING if drifted else Status.RESOLVED,
        severity=STATUSES[condition.status][1],
        method=method,
        observed=score,
        threshold=limit,
    )
    importance = number(told.get("Importance"))
    return (
        found if importance is None else replace(found, facts=dict(found.facts) | {"importance": f"{importance:.3g}"})
    )


def _limit_of(method: str, condition: str) -> float | None:
    """`categorical drift score < 0.2 and numerical drift score < 0.1`: the limit for this method's kind of column."""
    kind = "numerical" if _NUMERIC.search(method) else "categorical"
    part = next((part for part in condition.split(" and ") if kind in part), condition)
    return _number_after_comparison(part)


def _number_after_comparison(words: str) -> float | None:
    plain = words.replace("or equal to", "").replace("or equal", "")
    found = _LIMIT.findall(plain) or _ANY_NUMBER.findall(plain)
    return _share(found[-1]) if found else None


def _share(digits: str) -> float | None:
    """`47.12%` → 0.4712, as the values have it."""
    value = number(digits)
    return round(value / 100, 9) if value is not None and digits.endswith("%") else value


def _condition(result: _Result, condition: _Condition) -> Finding:
    status, severity = STATUSES[condition.status]
    symptom = next((meant for words, meant in _SYMPTOMS if words.search(result.name.lower())), Symptom.DATA_QUALITY)
    observed, threshold = _observed(result, condition), _number_after_comparison(condition.condition)
    if _is_one_drift(result):
        told = drift(
            "",
            check=result.name,
            status=status,
            severity=severity,
            method=text(result.value.get("Method"), 80),
            observed=observed,
            threshold=threshold,
            what=result.name,
        )
        return replace(told, symptom=symptom, metric="drift")
    what = condition.info or condition.condition
    summary = f"{result.name}: {' '.join(what.split())}" if what else result.name
    name = result.name if len(result.conditions_results or ()) == 1 else f"{result.name}: {_plain(condition.condition)}"
    return Finding(
        check=name,
        symptom=symptom,
        status=status,
        severity=severity,
        summary=f"could not be evaluated: {summary}" if condition.status == "ERROR" else summary,
        metric=result.name,
        observed=observed,
        threshold=threshold,
        facts={"condition": condition.condition, "columns": ", ".join(_NAMED.findall(condition.info))[:200]},
    )


def _is_one_drift(result: _Result) -> bool:
    """Label and prediction drift: one score for the whole."""
    return isinstance(result.value, dict) and "Drift score" in result.value


def _plain(condition: str) -> str:
    """A condition without its numbers, so that a tuned threshold is still the same check."""
    return " ".join(_ANY_NUMBER.sub("", condition).split())[:160]


def _observed(result: _Result, condition: _Condition) -> float | None:
    """One number, where the check measures one; else the first number that the verdict tells."""
    value = result.value
    if isinstance(value, str) and value[:1] in ("[", "{"):
        value = _inner(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        for key in ("Drift score", "domain_classifier_drift_score", "ratio", "percent_of_conflicting_samples"):
            if (found := _score(value.get(key))) is not None:
                return found
    elif (found := number(value)) is not None and not isinstance(value, str):
        return found
    named = _NAMED_NUMBER.search(condition.info)
    if named or condition.status == "PASS":
        return _share(named[1]) if named else None
    told = _ANY_NUMBER.findall(condition.info.partition(":")[2])
    return _share(told[0]) if told else None


def _inner(value: str) -> Any:  # noqa: ANN401
    """JSON within a text: a data frame that was written in turn."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _monitored(alert: _MonitorAlert) -> tuple[str, Finding]:
    """The model, and what its monitor found: `models/churn/monitors/Drift of age`."""
    named = _ALERT_NAME.fullmatch(alert.alert_name.strip())
    model, monitor = (named[1], named[2]) if named else ("", alert.alert_name.strip())
    rule = _RULE.search(alert.alert_rule)
    return model, Finding(
        check=monitor or "monitor",
        symptom=symptom_of({}, monitor, alert.alert_rule),
        status=Status.FIRING,
        severity=severity_of(alert.severity),
        summary=f"{monitor}: {alert.alert_rule}" if alert.alert_rule else monitor,
        subject=None if model else Subject.of("unknown", monitor or "monitor"),
        threshold=number(rule[2]) if rule else None,
        facts={"rule": alert.alert_rule, "alert_id": str(alert.alert_id)},
        url=alert.alert_link,
        resolves=Resolves.EXPIRY,
        expires_after=MONITOR_EXPIRES_AFTER,
    )


SETUP = """Deepchecks gives results; post each with what it is about:

```sh
tocsin send --source deepchecks --model churn --dataset churn_features report.json
```

where `report.json` holds `suite_result.to_json(with_display=False)`; or from Python:

```python
import urllib.request, json

body = json.dumps(dict(source="deepchecks", model="churn", model_version="17", dataset="churn_features",
                       sample_size=len(test_dataset), report=suite_result.to_json(with_display=False)))
request = urllib.request.Request("{url}", body.encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

- Only checks with conditions are judged. Post passing results too: the next pass ends an alert.
- The monitoring server: add a standard webhook with this address and the header `Authorization: Bearer {secret}`; it
  never says that an alert is over, so that each ends a day after its last report.
"""

SOURCE = Source(
    name=NAME,
    title="Deepchecks suites",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("checks without conditions", "checks that could not run on this data (CheckFailure)"),
)
