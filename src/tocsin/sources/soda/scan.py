"""Which checks of a scan failed, and did the scan itself run? `scan.get_scan_results()` of Soda Core 3 and its kin.

A query that raises leaves its checks without an outcome: then the dataset that it read has an alert `ScanError`, which
the next scan that reads it ends. Of an exception only the class is kept, as its text may quote data.
https://github.com/sodadata/soda-core
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from tocsin.domain.alert import Alert, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.domain.subject import Subject
from tocsin.sources._json import number, shaped, text
from tocsin.sources._pipeline import MAX_RESULTS, Report, Text, time_at
from tocsin.sources._report import Envelope, worst_first
from tocsin.sources.soda.check import (
    FAILED,
    PASSED,
    UNEVALUATED,
    WARNED,
    Finding,
    alert_of,
    attributes_of,
)

_RAISED = re.compile(r"^\s*(?:[\w.]{0,200}\.)?(\w{1,80}(?:Error|Exception))\b", re.M)
_ABSENT = re.compile(
    r"does not exist|not found|no such (table|column)|invalid object name|unknown (table|column)", re.I
)


class _Check(BaseModel):
    identity: Any = None
    name: Text = ""
    type: Text = ""
    definition: Text = ""
    table: Text = ""
    column: Text = ""
    data_source: Text = Field(default="", alias="dataSource")
    metrics: list[Any] | None = None
    outcome: str | None = None
    attributes: Any = Field(default=None, alias="resourceAttributes")
    diagnostics: dict[str, Any] | None = None
    identities: dict[str, Any] | None = None

    @property
    def verdict(self) -> str:
        return (self.outcome or "").strip().lower()

    @property
    def key(self) -> str:
        """Soda's own identity of the check; newer scans give several."""
        known = self.identity or next(iter((self.identities or {}).values()), "")
        return text(known, 200)


class _Query(BaseModel):
    table: Text = ""
    exception: Text = ""


class _Scan(BaseModel):
    name: Text = Field(default="", alias="definitionName")
    data_source: Text = Field(default="", alias="defaultDataSource")
    data_at: Any = Field(default=None, alias="dataTimestamp")
    ended_at: Any = Field(default=None, alias="scanEndTimestamp")
    has_errors: bool = Field(default=False, alias="hasErrors")
    metrics: list[dict[str, Any]] | None = None
    checks: list[dict[str, Any]]
    automated: list[dict[str, Any]] | None = Field(default=None, alias="automatedMonitoringChecks")
    queries: list[dict[str, Any]] | None = None


def read_scan(body: dict[str, Any], envelope: Envelope, message: Message, hook: Hook) -> Normalized:
    """An alert per evaluated check and per dataset that was read, and one for the scan when nothing tells where it
    broke. Raises BadPayload when the body is no scan's results or a check has an unknown outcome."""
    if not isinstance(body.get("checks"), list):
        raise BadPayload("expected the checks of a scan's results, or an event of Soda Cloud", path="checks")
    scan = shaped(_Scan, body)
    at = envelope.at or time_at(scan.ended_at, "scanEndTimestamp") or time_at(scan.data_at, "dataTimestamp")
    labels = dict(envelope.identity) | {"scan": scan.name, "data_source": scan.data_source}
    report = Report(source="soda", message=message, hook=hook, environment=envelope.environment, labels=labels)
    alerts = [*_checks(scan, envelope, report, at), *_errors(scan, report, at)]
    if not alerts:
        return Normalized(ignored="a scan without evaluated checks and without queries judges nothing")
    return Normalized(alerts=worst_first(alerts))


def _checks(scan: _Scan, envelope: Envelope, report: Report, at: datetime | None) -> Iterator[Alert]:
    metrics = {text(each.get("identity"), 500): each for each in scan.metrics or ()}
    rows = {
        text(each.get("tableName"), 255): number(each.get("value"))
        for each in scan.metrics or ()
        if each.get("metricName") == "row_count" and each.get("tableName")
    }
    for key, listed in (("checks", scan.checks), ("automatedMonitoringChecks", scan.automated or [])):
        for n, entry in enumerate(listed[:MAX_RESULTS]):
            check = _check(entry, f"{key}.{n}")
            if check.verdict not in UNEVALUATED:
                metric = next((metrics[m] for m in check.metrics or () if isinstance(m, str) and m in metrics), {})
                size = rows.get(check.table) or _rows_by_identity(check.table, metrics)
                yield alert_of(
                    _finding(check, metric, envelope, report),
                    report,
                    at=at,
                    key=check.key,
                    labels={"data_source": check.data_source, "missing_columns": _missing(check)},
                    sample_size=int(size) if size is not None and 0 <= size < 2**63 else envelope.sample_size,
                )


def _rows_by_identity(table: str, metrics: dict[str, dict[str, Any]]) -> float | None:
    """The table's row count, where the metric tells its table only in its identity, `metric-<scan>-…-<table>-…`."""
    ends = f"-{table}-row_count"
    return next((number(each.get("value")) for key, each in metrics.items() if table and key.endswith(ends)), None)


def _check(entry: dict[str, Any], path: str) -> _Check:
    try:
        check = shaped(_Check, entry)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"{path}.{error.path}") from None
    if check.verdict not in PASSED | WARNED | FAILED | UNEVALUATED:
        raise BadPayload(f"{check.outcome!r:.60} is no outcome of a check", path=f"{path}.outcome")
    return check


def _finding(check: _Check, metric: dict[str, Any], envelope: Envelope, report: Report) -> Finding:
    return Finding(
        name=check.name,
        definition=check.definition,
        dataset=check.table or envelope.dataset or check.data_source or report.message.hook,
        column=check.column,
        outcome=check.verdict,
        diagnostics=check.diagnostics,
        attributes=attributes_of(check.attributes),
        metric=text(metric.get("metricName"), 100),
        detail=f"missing: {missing}" if (missing := _missing(check)) else "",
    )


def _missing(check: _Check) -> str:
    """Columns that a schema check misses: names, no data."""
    listed = (check.diagnostics or {}).get("missing_column_names")
    return ", ".join(name for name in listed if isinstance(name, str))[:300] if isinstance(listed, list) else ""


def _errors(scan: _Scan, report: Report, at: datetime | None) -> Iterator[Alert]:
    """`ScanError` of each dataset that was read: firing when one of its queries raised."""
    queries = [shaped(_Query, each) for each in (scan.queries or [])[:MAX_RESULTS]]
    for table in dict.fromkeys(query.table for query in queries if query.table):
        raised = next((query.exception for query in queries if query.table == table and query.exception), "")
        yield _error(Subject.of("dataset", table), raised, bool(raised), report, at)
    if not any(query.table and query.exception for query in queries) and scan.name:
        raised = next((query.exception for query in queries if query.exception), "")
        yield _error(Subject.of("job", scan.name), raised, scan.has_errors, report, at)


def _error(subject: Subject, raised: str, firing: bool, report: Report, at: datetime | None) -> Alert:
    kinds = _RAISED.findall(raised[-4000:])
    why = f" ({kinds[-1]})" if kinds else ""
    absent = subject.kind == "dataset" and bool(_ABSENT.search(raised[-4000:]))
    what = (
        f"{subject.name}: it is absent, so that it could not be scanned"
        if absent
        else f"{subject.name}: the scan broke"
    )
    return report.alert(
        name="ScanError",
        subject=subject,
        symptom=Symptom.SCHEMA if absent else Symptom.ERRORS,
        firing=firing,
        summary=what + why if firing else f"{subject.name}: scanned without errors",
        at=at,
    )
