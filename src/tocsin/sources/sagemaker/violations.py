"""Which constraints did Model Monitor find violated? `constraint_violations.json` of the four monitors.

The numbers stand only within each row's description. The file lists what failed, never what passed: alerts lapse unless
the wrapper posts the baseline's `constraints.json` beside it, from which what passed is known. `statistics` and
`baseline_statistics` (the two statistics.json) tell the number of records and the distributions.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-violations.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources._cloud import facts, first_line, name_in, rows
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._json import number, shaped
from tocsin.sources._report import opened, worst_first
from tocsin.sources._shape import Name, Text
from tocsin.sources.sagemaker.statistics import distribution, item_count

NAME = "sagemaker"

CHECKS: dict[str, tuple[Symptom, Severity]] = {
    "data_type_check": (Symptom.SCHEMA, Severity.ERROR),
    "completeness_check": (Symptom.DATA_QUALITY, Severity.WARNING),
    "baseline_drift_check": (Symptom.FEATURE_DRIFT, Severity.WARNING),
    "missing_column_check": (Symptom.SCHEMA, Severity.ERROR),
    "extra_column_check": (Symptom.SCHEMA, Severity.WARNING),
    "categorical_values_check": (Symptom.DATA_QUALITY, Severity.WARNING),
    "bias_drift_check": (Symptom.FAIRNESS, Severity.WARNING),
    "feature_attribution_drift_check": (Symptom.EXPLAINABILITY, Severity.WARNING),
}
"""constraint_check_type → meaning. Others with a metric are of the model quality monitor (`LessThanThreshold` …);
others with a feature are about data quality."""

PER_FEATURE = ("data_type_check", "completeness_check", "baseline_drift_check", "categorical_values_check")
PER_DATASET = {"missing_column_check": "Missing columns", "extra_column_check": "Extra columns"}
"""The check and what stands for its feature name in a row."""

EXPIRES_AFTER = timedelta(hours=26)
"""A daily schedule (the slowest usual one) reports again within it, late runs included."""

_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_OBSERVED = tuple(
    re.compile(words + _NUMBER, re.IGNORECASE)
    for words in (
        r"observed[^\d-]{0,16}",
        r"distance[^\w-]{0,3}",
        r"drift\s+",
        r"in current dataset[^\w-]{0,3}",
        r"\bwith\s+",
        r"\bvalue[^\w-]{0,3}",
        r"completeness[^\d-]{0,20}",
    )
)
_BASELINE = re.compile(r"baseline constraints\W{0,3}" + _NUMBER, re.IGNORECASE)
_THRESHOLD = tuple(
    re.compile(words + _NUMBER, re.IGNORECASE)
    for words in (r"threshold\W{0,4}", r"expected match\W{0,3}", r"expected\D{0,20}", r"requirement\D{0,8}")
)


class _Violation(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    constraint_check_type: Name
    description: Text = ""
    feature_name: Text = ""
    metric_name: Text = ""
    facet: Text = ""
    facet_value: Text = ""
    label: Text = ""


class _File(BaseModel):
    violations: list[_Violation]


def is_violations(body: dict[str, Any]) -> bool:
    """Is this a list of violations, bare or in our envelope?"""
    return "violations" in body or (
        "report" in body and ("violations" in facts(body["report"]) or isinstance(body["report"], str))
    )


def told(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """An alert per violation, and the end of every check that passed, when `constraints` says which there are.
    Raises BadPayload with the path of what does not fit."""
    envelope, report = opened(body, hook)
    violations = shaped(_File, report).violations
    constraints = facts(body.get("constraints"))
    known = {**_where(body), "lapses": not constraints}
    findings = [_finding(each, known) for each in violations]
    failed = {(found.check, found.column, found.metric) for found in findings}
    findings = [_spread(each, body) for each in findings]
    findings += [each for each in _passed(constraints) if (each.check, each.column, each.metric) not in failed]
    if not findings:
        return Normalized(ignored="no violations; without constraints.json beside them alerts end by expiry")
    return Normalized(alerts=worst_first(alert_of(each, envelope, message, hook, source=NAME) for each in findings))


def _spread(finding: Finding, body: dict[str, Any]) -> Finding:
    """The finding with the number of records and how its feature was spread, when the statistics stand beside it."""
    current = body.get("statistics")
    count = item_count(current)
    found = distribution(body.get("baseline_statistics"), current, finding.column) if finding.column else None
    return replace(finding, sample_size=count, distribution=found)


def _where(body: dict[str, Any]) -> dict[str, Any]:
    """What else the wrapper says: the endpoint and the schedule."""
    return {"endpoint": name_in(body, "endpoint"), "schedule": name_in(body, "schedule", "monitoring_schedule")}


def _finding(violation: _Violation, known: dict[str, Any]) -> Finding:
    check, said = violation.constraint_check_type, first_line(violation.description, 700)
    more: dict[str, Any] = {"facts": {key: value for key, value in known.items() if key != "lapses" and value}}
    if known["lapses"]:
        more |= {"resolves": Resolves.EXPIRY, "expires_after": EXPIRES_AFTER}
    observed, threshold = _first(_OBSERVED, said), _first(_THRESHOLD, said)
    if check == "baseline_drift_check" and violation.feature_name:
        found = drift(
            violation.feature_name,
            check=check,
            status=Status.FIRING,
            severity=Severity.WARNING,
            observed=observed,
            threshold=threshold,
        )
        return replace(found, **more)
    symptom, severity = CHECKS.get(check) or _by_shape(violation)
    if check == "feature_attribution_drift_check":
        more["facts"] |= {"lower_is_worse": "true"}
    segment = f"{violation.facet}={violation.facet_value}" if violation.facet else ""
    segment = segment or (f"label={violation.label}" if violation.label else "")
    column = "" if check in PER_DATASET else violation.feature_name
    what = column or violation.metric_name or violation.feature_name
    return Finding(
        check=check,
        symptom=symptom,
        status=Status.FIRING,
        severity=severity,
        summary=": ".join(each for each in (what, segment, said or f"{check} failed") if each),
        column=column,
        metric=violation.metric_name or check,
        observed=observed,
        threshold=threshold,
        baseline=_first((_BASELINE,), said),
        segment=segment,
        **more,
    )


def _by_shape(violation: _Violation) -> tuple[Symptom, Severity]:
    if violation.metric_name and not violation.feature_name:
        return Symptom.PERFORMANCE, Severity.ERROR
    return Symptom.DATA_QUALITY, Severity.WARNING


def _first(patterns: tuple[re.Pattern[str], ...], words: str) -> float | None:
    for pattern in patterns:
        if found := pattern.search(words):
            return number(found[1])
    return None


def _passed(constraints: dict[str, Any]) -> Iterator[Finding]:
    """Every check that the baseline's constraints ask for, as passed."""
    features = [name for each in rows(constraints.get("features")) if (name := name_in(each, "name"))]
    for feature in features:
        for check in PER_FEATURE:
            symptom, severity = CHECKS[check]
            if check == "baseline_drift_check":
                yield drift(feature, check=check, status=Status.RESOLVED, severity=severity)
            else:
                yield _pass(check, symptom, severity, feature, column=feature, metric=check)
    for check, what in PER_DATASET.items() if features else ():
        symptom, severity = CHECKS[check]
        yield _pass(check, symptom, severity, what, metric=check)
    for kind, limits in constraints.items():
        if not kind.endswith("_constraints"):
            continue
        for metric, limit in facts(limits).items():
            check = name_in(facts(limit), "comparison_operator") or "LessThanThreshold"
            threshold = number(facts(limit).get("threshold"))
            yield _pass(check, Symptom.PERFORMANCE, Severity.ERROR, metric, metric=metric, threshold=threshold)


def _pass(
    check: str,
    symptom: Symptom,
    severity: Severity,
    what: str,
    **more: Any,  # noqa: ANN401
) -> Finding:
    return Finding(
        check=check,
        symptom=symptom,
        status=Status.RESOLVED,
        severity=severity,
        summary=f"{what}: {check} passed",
        **more,
    )
