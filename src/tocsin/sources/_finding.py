"""What did an ML monitor find? One verdict on one thing, told in the same words whichever tool found it.

A drift alert of five tools about one feature has the same symptom, subject, metric and summary: only its name, its
method and its numbers are the tool's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.domain.alert import Alert, Distribution, Resolves, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of, labels_of, links_of
from tocsin.sources._report import Envelope

DRIFT = "drift"
"""`metric` of every drift alert. The method stays out of it, as a tool may choose another one for more rows."""
DRIFTED_COLUMNS = "drifted_columns_share"
"""`metric` of drift that is counted over all columns."""

PREDICTIONS = frozenset({"prediction", "predictions", "predicted_label", "y_pred", "y_pred_proba"})
TARGETS = frozenset({"target", "label", "y_true", "ground_truth"})
"""The tools' own default names of the columns that are no features; an envelope that names one overrules them."""

DRIFTS = frozenset({Symptom.FEATURE_DRIFT, Symptom.PREDICTION_DRIFT, Symptom.LABEL_DRIFT})
OF_DATA = frozenset({Symptom.DATA_QUALITY, Symptom.VOLUME, Symptom.SCHEMA, Symptom.FRESHNESS})
"""What is about the dataset rather than the model, when the report names both."""

MEASURES: tuple[tuple[str, str], ...] = (
    (r"psi|population.?stability", "PSI"),
    (r"k-?s|kolmogorov\w*", "Kolmogorov-Smirnov"),
    (r"jensen.?shannon.{0,3}diverg\w*|js_?divergence", "Jensen-Shannon divergence"),
    (r"jensen.?shannon|jsd|js(?:.?distance)?", "Jensen-Shannon distance"),
    (r"wasserstein|emd|earth.?mover\W?s?", "Wasserstein distance"),
    (r"hellinger", "Hellinger distance"),
    (r"kl|kl.?div(?:ergence)?|kullback\w*", "KL divergence"),
    (r"chi.?(?:2|squared?)", "chi-square"),
    (r"l.?inf(?:inity|ty)?", "L-infinity distance"),
    (r"cram[eé]r\w*", "Cramér's V"),
)
"""A tool's word for how it measured drift → ours, first match wins; any other is kept as it is."""

_MEASURES = tuple((re.compile(rf"(?<![a-z]){words}(?![a-z])", re.IGNORECASE), name) for words, name in MEASURES)
_P_VALUE = re.compile(r"p[\s_-]?val", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One verdict on one thing. `column` makes it about a feature, or about the model's prediction or label."""

    check: str
    symptom: Symptom
    status: Status
    severity: Severity
    summary: str
    subject: Subject | None = None
    """What it is about, when neither a column nor the report as a whole."""
    column: str = ""
    part: str = ""
    """Which of several alike: the resource of what is no column."""
    metric: str = ""
    observed: float | None = None
    threshold: float | None = None
    baseline: float | None = None
    sample_size: int | None = None
    distribution: Distribution | None = None
    segment: str = ""
    model_version: str = ""
    at: datetime | None = None
    """Since when it fires, or when it passed; the report's own time when None."""
    window_starts_at: datetime | None = None
    """Since when the data was recorded that was checked; the report's own when None."""
    facts: Mapping[str, object] = field(default_factory=dict)
    url: object = ""
    sender_key: str = ""
    resolves: Resolves = Resolves.NEXT_PASS
    expires_after: timedelta | None = None


def drift(
    column: str,
    *,
    check: str,
    status: Status,
    severity: Severity,
    method: str = "",
    observed: float | None = None,
    threshold: float | None = None,
    lower_is_worse: bool | None = None,
    what: str = "",
) -> Finding:
    """Drift of one column, or of `what` (`share of drifted columns`) when no column is named; `replace` adds the rest.
    A p-value is worse the lower it is, which is read from the method unless told."""
    measure = measure_of(method)
    inverted = bool(_P_VALUE.search(method)) if lower_is_worse is None else lower_is_worse
    return Finding(
        check=check,
        symptom=Symptom.FEATURE_DRIFT,
        status=status,
        severity=severity,
        summary=_drift_words(what or f"drift of {column}", measure, observed, threshold),
        column=column,
        metric=DRIFT if column else DRIFTED_COLUMNS,
        observed=observed,
        threshold=threshold,
        facts={"method": measure, "lower_is_worse": "true" if inverted else ""},
    )


def measure_of(method: str) -> str:
    """`jensen_shannon` → `Jensen-Shannon distance`, `K-S p_value` → `Kolmogorov-Smirnov p-value`."""
    name = next((ours for words, ours in _MEASURES if words.search(method.replace("_", " "))), "")
    if not name:
        return method.strip()[:80]
    return f"{name} p-value" if _P_VALUE.search(method) else name


def alert_of(finding: Finding, report: Envelope, message: Message, hook: Hook, *, source: str) -> Alert:
    """The finding as an alert of the model, feature or dataset that it is about."""
    about = report.subject
    symptom, subject = _meaning(finding, report, about or Subject.of("unknown", hook.name))
    firing = finding.status is Status.FIRING
    at = finding.at or report.at
    version = finding.model_version or report.model_version
    is_feature = subject.kind == "feature"
    facts = {"feature" if is_feature else "column": finding.column} | dict(finding.facts)
    identity = report.identity
    return Alert(
        hook=hook.name,
        source=source,
        environment=environment_of(identity, hook),
        name=finding.check[:255],
        subject=subject,
        symptom=symptom,
        severity=finding.severity,
        status=finding.status,
        summary=finding.summary[:1024],
        received_at=message.received_at,
        starts_at=at if firing else None,
        ends_at=None if firing else at,
        window_starts_at=finding.window_starts_at or report.since,
        resource=_resource(finding, subject, about)[:255],
        segment=", ".join(filter(None, (report.segment, finding.segment)))[:255],
        region=report.region,
        cohort=report.who,
        metric=finding.metric,
        observed=finding.observed,
        threshold=finding.threshold,
        baseline=finding.baseline if finding.baseline is not None else report.baseline,
        sample_size=report.sample_size if report.sample_size is not None else finding.sample_size,
        distribution=finding.distribution or report.distribution(finding.column),
        model_version=version,
        per_version=report.who is not None,
        samples=report.offenders,
        labels=labels_of(dict(hook.defaults) | identity | {k: v for k, v in facts.items() if v or v == 0}),
        links=links_of({"report": finding.url or report.url}),
        sender_key=finding.sender_key,
        resolves=finding.resolves,
        expires_after=finding.expires_after,
    )


def _meaning(finding: Finding, report: Envelope, about: Subject) -> tuple[Symptom, Subject]:
    """Which symptom of what: a column is a feature, unless it holds the prediction or the label."""
    symptom = finding.symptom
    if finding.subject is not None:
        return symptom, finding.subject
    if not finding.column:
        of_data = symptom in OF_DATA and report.dataset
        return symptom, Subject.of("dataset", report.dataset) if of_data else about
    drifts = symptom in DRIFTS
    if symptom is Symptom.PREDICTION_DRIFT or _is_prediction(finding.column, report):
        return (Symptom.PREDICTION_DRIFT if drifts else symptom), about
    if symptom is Symptom.LABEL_DRIFT or _is_target(finding.column, report):
        return (Symptom.LABEL_DRIFT if drifts else symptom), about
    return symptom, Subject.of("feature", finding.column)


def _resource(finding: Finding, subject: Subject, about: Subject | None) -> str:
    """Which of several alike: the column of a model, the model or dataset of a feature."""
    if finding.part:
        return finding.part
    if about is None or subject == about:
        return "" if subject.kind == "feature" else finding.column
    return about


def _is_prediction(column: str, report: Envelope) -> bool:
    if report.prediction:
        return column == report.prediction
    return column in PREDICTIONS or column.startswith("y_pred_proba_")


def _is_target(column: str, report: Envelope) -> bool:
    return column == report.target if report.target else column in TARGETS


def _drift_words(what: str, measure: str, observed: float | None, threshold: float | None) -> str:
    """`drift of age_days by PSI: 0.41, threshold 0.25`; the verdict is the status's to say."""
    by = f" by {measure}" if measure else ""
    bound = "" if threshold is None else f", threshold {threshold:.3g}"
    return f"{what}{by}" + ("" if observed is None else f": {observed:.3g}{bound}")
