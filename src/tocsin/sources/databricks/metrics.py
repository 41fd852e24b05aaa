"""Which data drifted, by Databricks' lakehouse monitoring? Alerts of Databricks SQL on its metric tables, and rows of
the drift table themselves.

https://docs.databricks.com/aws/en/lakehouse-monitoring/monitor-alerts
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tocsin.domain.alert import Severity, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._cloud import Occasion, dig, facts, first_line, name_in, own_subject, rows, time_in
from tocsin.sources._finding import alert_of, drift
from tocsin.sources._identity import (
    SEGMENT_LABELS,
    VERSION_LABELS,
    first_of,
    labels_of,
    links_of,
    resource_of,
    severity_of,
    symptom_of,
)
from tocsin.sources._json import number
from tocsin.sources._report import opened, worst_first
from tocsin.sources._times import window_start

NAME = "databricks"

STATES = {"TRIGGERED": Status.FIRING, "OK": Status.RESOLVED}
"""Of an alert of Databricks SQL; UNKNOWN and ERROR say that its query gave nothing to judge."""

THRESHOLDS = {"population_stability_index": 0.2}
"""Where the wrapper names none: the usual limit of PSI. Others are judged only against a threshold that it names."""

LOWER_IS_WORSE = frozenset({"ks_test.pvalue", "chi_squared_test.pvalue"})


def is_sql_alert(body: dict[str, Any]) -> bool:
    """Is this a notification of an alert: by our template, or the older one's own body?"""
    return "alert_name" in body or "alert_status" in body or isinstance(body.get("alert"), dict)


def sql_alert(body: dict[str, Any], occasion: Occasion) -> Normalized:
    """One alert; what the template names beside it is its evidence. Raises BadPayload without a name or state."""
    inner = facts(body.get("alert"))
    options = facts(inner.get("options"))
    name = name_in(body, "alert_name") or name_in(inner, "name", "title", "display_name")
    state = (name_in(body, "alert_status", "status", "state") or name_in(inner, "state", "status")).upper()
    if not name:
        raise BadPayload("expected a text", path="alert_name")
    if state in ("UNKNOWN", "ERROR", "EMPTY_RESULT"):
        return Normalized(ignored=f"alert {name[:80]}: {state}, its query gave nothing to judge")
    if state not in STATES:
        raise BadPayload(f"{state[:40]!r} is not one of {', '.join(STATES)}", path="alert_status")
    labels = labels_of(body)
    column = name_in(body, "alert_column") or name_in(options, "column")
    fallback = Subject.of("unknown", name)
    subject = own_subject(labels, occasion.hook, fallback)
    said = first_line(body.get("summary") or body.get("message") or dig(inner, "description"))
    condition = name_in(body, "alert_condition") or name_in(options, "op")
    value = number(body.get("query_result_value", body.get("value")))
    limit = number(body.get("alert_threshold", options.get("value")))
    shown = "" if value is None else f" is {value:g}"
    bound = f", {condition} {limit:g}".replace("  ", " ") if limit is not None else ""
    alert = occasion.alert(
        name=name,
        subject=subject,
        symptom=symptom_of(labels, column, name, said),
        severity=severity_of(name_in(body, "severity") or "warning"),
        status=STATES[state],
        summary=said or f"{name}: {column or 'value'}{shown}{bound}",
        at=time_in(body, "timestamp", "triggered_at")
        or time_in(inner, "last_triggered_at", "updated_at", path="alert"),
        resource=resource_of(labels, subject),
        segment=first_of(labels, SEGMENT_LABELS),
        metric=column[:255],
        observed=value,
        threshold=limit,
        model_version=first_of(labels, VERSION_LABELS),
        links=links_of({"alert": body.get("alert_url"), "query": body.get("query_url")}),
        labels={key: value for key, value in labels.items() if key not in _SHOWN},
    )
    return Normalized(alerts=(alert,))


_SHOWN = frozenset({"alert_name", "alert_url", "query_url", "query_result_rows", "query_result_table", "summary"})


def is_drift_table(body: dict[str, Any]) -> bool:
    """Does the body carry rows of a monitor's drift table, bare or in our envelope?"""
    return "drift_metrics" in body or "drift_metrics" in facts(body.get("report"))


def drifted(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    """A verdict for each column and measure that has a threshold: firing beyond it, ended within.

    Raises BadPayload for a row that names no column."""
    envelope, report = opened(body, hook)
    limits = THRESHOLDS | {
        key: limit for key, value in facts(body.get("thresholds")).items() if (limit := number(value)) is not None
    }
    findings = []
    for n, row in enumerate(rows(facts(report).get("drift_metrics"))):
        column = name_in(row, "column_name")
        if not column:
            raise BadPayload("expected a text", path=f"drift_metrics.{n}.column_name")
        if column == ":table":
            continue
        key = name_in(row, "slice_key")
        segment = f"{key}={name_in(row, 'slice_value')}" if key else ""
        window = facts(row.get("window"))
        at = time_in(window, "end", path=f"drift_metrics.{n}.window")
        since = window_start(window.get("start"), at)
        for measure, limit in limits.items():
            observed = number(dig(row, *measure.split(".")))
            if observed is None:
                continue
            inverted = measure in LOWER_IS_WORSE
            beyond = observed < limit if inverted else observed >= limit
            found = drift(
                column,
                check=f"{name_in(row, 'drift_type') or 'drift'} {measure}",
                status=Status.FIRING if beyond else Status.RESOLVED,
                severity=Severity.WARNING,
                method=measure.replace(".pvalue", " p_value").replace("_test", "").replace("_", " "),
                observed=observed,
                threshold=limit,
                lower_is_worse=inverted,
            )
            findings.append(replace(found, segment=segment, at=at, window_starts_at=since))
    if not findings:
        return Normalized(ignored="no row of the drift table has a measure with a threshold")
    return Normalized(alerts=worst_first(alert_of(each, envelope, message, hook, source=NAME) for each in findings))
