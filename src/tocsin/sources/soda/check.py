"""What did a check of Soda find? Its subject, symptom and severity, and the measured value against its bounds.

A check's diagnostics tell the value and the zones in which it fails or warns, such as `{"greaterThan": 90.0}`.
https://docs.soda.io/soda-v3/sodacl-reference/metrics-and-checks
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.domain.alert import Alert, Severity, Symptom
from tocsin.domain.subject import Subject
from tocsin.sources._identity import severity_of
from tocsin.sources._json import number, text
from tocsin.sources._pipeline import Report, check_symptom

PASSED = frozenset({"pass", "passed", "passing"})
WARNED = frozenset({"warn", "warning", "warned"})
FAILED = frozenset({"fail", "failed", "failing", "error", "errored"})
UNEVALUATED = frozenset({"", "none", "null", "not_evaluated", "notevaluated", "unevaluated", "excluded", "skipped"})

_ABOVE = ("greaterThan", "greaterThanOrEqual")
_BELOW = ("lessThan", "lessThanOrEqual")
_AGE = re.compile(r"freshness\s*\([^)]{0,200}\)\s*<=?\s*(\d{1,6})\s*([dhms])", re.I)
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_METRIC = re.compile(r"(?:anomaly (?:score|detection) for |change .{0,40}? for )?([a-z_]{3,60})\b", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found, wherever it was told."""

    name: str
    definition: str
    dataset: str
    column: str
    outcome: str
    """In lower case, one of the four sets above."""
    diagnostics: Mapping[str, Any] | None
    attributes: Mapping[str, str]
    metric: str = ""
    detail: str = ""
    """What else a reader must know, such as the columns that are missing."""

    @property
    def line(self) -> str:
        return own_line(self.definition) or self.name


def alert_of(
    finding: Finding,
    report: Report,
    *,
    at: datetime | None,
    key: str,
    labels: Mapping[str, object],
    links: Mapping[str, object] | None = None,
    sample_size: int | None = None,
    expires_after: timedelta | None = None,
) -> Alert:
    """Firing when the check failed or warned, ended when it passed."""
    metric = "freshness" if finding.line.startswith("freshness") else finding.metric or metric_in(finding.line)
    symptom = _symptom(finding, metric)
    subject, resource = _subject_and_resource(finding, symptom)
    observed, threshold = measure(finding.diagnostics or {}, finding.outcome, finding.line)
    firing = finding.outcome not in PASSED
    name = finding.name or finding.line or "check"
    limit = f", limit {threshold:g}" if threshold is not None else ""
    measured = f" ({observed:g}{limit})" if observed is not None else f" ({finding.detail})" if finding.detail else ""
    return report.alert(
        name=name,
        subject=subject,
        symptom=symptom,
        severity=_severity(finding),
        firing=firing,
        summary=f"{finding.dataset}: {name} {'does not hold' if firing else 'holds'}{measured}",
        at=at,
        resource=resource,
        metric=metric,
        observed=observed,
        threshold=threshold,
        sample_size=sample_size,
        sender_key=key,
        labels={**finding.attributes, "column": finding.column, **labels},
        links=links,
        expires_after=expires_after,
    )


def _severity(finding: Finding) -> Severity:
    """A warning zone warns, a failing one is an error; an attribute `severity` or `priority` of a failing check says
    how bad that is."""
    if finding.outcome in WARNED:
        return Severity.WARNING
    told = finding.attributes.get("severity") or finding.attributes.get("priority")
    return severity_of(told) if told else Severity.ERROR


def _subject_and_resource(finding: Finding, symptom: Symptom) -> tuple[Subject, str]:
    """The dataset and its column; of drift the feature and its dataset, as every other tool tells drift."""
    about = Subject.of("dataset", finding.dataset)
    if symptom is Symptom.FEATURE_DRIFT and finding.column:
        return Subject.of("feature", finding.column), about
    return about, finding.column


def _symptom(finding: Finding, metric: str) -> Symptom:
    """By the metric, then by the check's own line; a name that people chose comes last."""
    told = (check_symptom(said) for said in (metric, finding.line, finding.name))
    return next((symptom for symptom in told if symptom is not Symptom.DATA_QUALITY), Symptom.DATA_QUALITY)


def own_line(definition: str) -> str:
    """`checks for orders:\\n  - row_count > 0:\\n …` → `row_count > 0`: the line after the header."""
    lines = [line.strip(" -:\t") for line in definition.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and re.match(r"(automated monitoring|checks) for ", lines[0]):
        lines = lines[1:]
    return lines[0][:255] if lines else ""


def metric_in(line: str) -> str:
    """`missing_count(age) = 0` → `missing_count`."""
    found = _METRIC.match(line)
    return found[1].lower() if found else ""


def measure(diagnostics: Mapping[str, Any], outcome: str, line: str) -> tuple[float | None, float | None]:
    """The value and the bound that it broke (of a pass: the bound that it kept). An age is told in milliseconds
    (`measure: time`) and returned in seconds."""
    value = number(diagnostics.get("value"))
    if value is not None and diagnostics.get("measure") == "time":
        value /= 1000
    zones = ("warn", "fail") if outcome in WARNED else ("fail", "warn")
    zone = next((found for key in zones if isinstance(found := diagnostics.get(key), dict) and found), None)
    if zone is not None:
        return value, _bound(zone, value)
    found = _AGE.search(line)
    return value, float(int(found[1]) * _UNITS[found[2].lower()]) if found else None


def _bound(zone: Mapping[str, Any], value: float | None) -> float | None:
    above = next((at for key in _ABOVE if (at := number(zone.get(key))) is not None), None)
    below = next((at for key in _BELOW if (at := number(zone.get(key))) is not None), None)
    if above is not None and below is not None and value is not None:
        return below if value < below else above
    return above if above is not None else below


def attributes_of(listed: object) -> dict[str, str]:
    """`[{"name": "severity", "value": "critical"}]` as labels."""
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    pairs = ((text(each.get("name"), 60), text(each.get("value"), 255)) for each in found[:20])
    return {name: value for name, value in pairs if name and value}
