"""Which features of the feature store are stale, empty or drifted? Metrics and feature views of Feast.

Feast sends nothing and judges nothing: a job posts what its API says of features (`/monitoring/metrics/…`) or of
feature views (`/feature_views`, or `to_proto` as JSON), and the limits stand beside the report or in the hook's
defaults. Without a limit, features are stale when their newest event is older than two windows of their metrics (daily:
48 hours), and a feature view when it was last materialized longer ago than its `ttl`, after which its values are served
no more.
https://docs.feast.dev/how-to-guides/feature-monitoring
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, Field

from tocsin.domain.alert import Distribution, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._distribution import by_category, overlaid
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._json import kind_of, parsed, shaped, text
from tocsin.sources._native import Span
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._times import moment
from tocsin.sources._verify import shared_secret
from tocsin.sources.feast.view import View, aged, materialized

NAME = "feast"

WINDOWS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "biweekly": timedelta(days=14),
    "monthly": timedelta(days=30),
    "quarterly": timedelta(days=90),
}
"""The windows over which Feast computes metrics; features are stale after two of them, unless `max_age` says."""

LISTS = ("metrics", "features", "feature_views", "featureViews", "data", "items", "results")
REQUEST = frozenset(
    {"project", "feature_view_name", "feature_service_name", "feature_names", "start_date", "end_date", "granularity"}
    | {"set_baseline", "data_source_type"}
)
"""What a request for metrics holds, and nothing else."""
Shape = TypeVar("Shape", bound=BaseModel)
_NEVER_ZERO = 1e-4
"""Share of an empty bin, so that the index stays finite."""


class _Limits(BaseModel):
    """Beside the report, or in the hook's defaults."""

    max_age: Span = None
    """`26h`: the newest event of a feature may be so old."""
    max_null_rate: float | None = Field(default=None, ge=0, le=1)
    min_rows: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_psi: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Population stability index against the baseline's histogram, when that is posted too."""


class _Row(BaseModel):
    """Metrics of one feature, view or service in one window."""

    project_id: str = Field(default="", validation_alias=AliasChoices("project_id", "project"))
    feature_view_name: str | None = None
    feature_service_name: str | None = None
    feature_name: str | None = None
    metric_date: str | None = None
    max_event_timestamp: str | int | float | None = None
    granularity: str | None = None
    data_source_type: str | None = None
    row_count: float | None = Field(default=None, validation_alias=AliasChoices("row_count", "total_row_count"))
    null_rate: float | None = Field(default=None, validation_alias=AliasChoices("null_rate", "max_null_rate"))
    is_baseline: bool | None = None
    histogram: dict[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.view, (self.feature_name or "").strip(), self.data_source_type or "")

    @property
    def view(self) -> str:
        return (self.feature_view_name or self.feature_service_name or "").strip()

    def last_event(self, path: str) -> datetime | None:
        """When its newest event happened; the end of its day at the latest, when only that is told."""
        for name, told, grace in (
            ("max_event_timestamp", self.max_event_timestamp, timedelta()),
            ("metric_date", self.metric_date, timedelta(days=1)),
        ):
            try:
                found = moment(told)
            except BadPayload as error:
                raise BadPayload(error.reason, path=f"{path}{name}") from None
            if found:
                return found + grace
        return None


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per feature and limit, firing while it is broken. Raises BadPayload with the path of what is amiss."""
    body = parsed(message.body)
    envelope, report = opened(body, hook)
    limits = _limits(body if report is not body else {}, hook)
    rows: list[tuple[_Row, str]] = []
    findings: list[Finding] = []
    for each, path in _listed(report, ""):
        if REQUEST.issuperset(each):
            return Normalized(ignored="a request for metrics, not their answer")
        if "job_id" in each:
            findings += _job(each)
        elif isinstance(each.get("spec"), dict):
            findings += materialized(_shaped(View, each, path), limits.max_age, message.received_at, path)
        elif {"feature_view_name", "feature_service_name"} & each.keys():
            rows.append((_shaped(_Row, each, path), path))
        else:
            raise BadPayload("neither metrics nor a feature view", path=f"{path}feature_view_name")
    findings += _judged(rows, limits, message.received_at)
    if not findings:
        return Normalized(ignored="no metrics to judge")
    return Normalized(
        alerts=worst_first(alert_of(finding, _about(envelope), message, hook, source=NAME) for finding in findings)
    )


def _job(job: Mapping[str, Any]) -> Iterator[Finding]:
    """A job that computes metrics: failed, or done again; while it runs it says nothing."""
    status = text(job.get("status")).lower()
    if status not in ("failed", "error", "completed", "succeeded", "success"):
        return
    failed = status in ("failed", "error")
    yield Finding(
        check="feast monitor run",
        symptom=Symptom.ERRORS,
        status=Status.FIRING if failed else Status.RESOLVED,
        severity=Severity.ERROR,
        summary="computing feature metrics failed" if failed else "feature metrics were computed",
        subject=Subject.of("job", "feast-monitor"),
        part=text(job.get("feature_view_name"), 200),
        facts={
            "job_id": text(job.get("job_id"), 100),
            "project": text(job.get("project_id") or job.get("project"), 100),
        },
    )


def _about(envelope: Envelope) -> Envelope:
    """The prediction column and the like say nothing of a feature store."""
    return envelope.model_copy(update={"prediction": "", "target": ""})


def _limits(body: Mapping[str, Any], hook: Hook) -> _Limits:
    known = _Limits.model_fields.keys()
    told = {key: value for source in (hook.defaults, body) for key, value in source.items() if key in known}
    return shaped(_Limits, told)


def _shaped(model: type[Shape], data: dict[str, Any], path: str) -> Shape:
    try:
        return shaped(model, data)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"{path}{error.path}") from None


def _listed(body: object, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(body, list):
        for n, each in enumerate(body):
            if not isinstance(each, dict):
                raise BadPayload(f"expected metrics, found {kind_of(each)}", path=f"{path}{n}")
            yield each, f"{path}{n}."
        return
    if not isinstance(body, dict):
        raise BadPayload(f"expected metrics, found {kind_of(body)}")
    listed = [key for key in LISTS if isinstance(body.get(key), list)]
    if listed:
        for key in listed:
            yield from _listed(body[key], f"{path}{key}.")
    else:
        yield body, path


def _judged(rows: list[tuple[_Row, str]], limits: _Limits, now: datetime) -> Iterator[Finding]:
    """The newest row of each feature against the limits, with its baseline row beside it."""
    usual = {row.key: row for row, _ in rows if row.is_baseline}
    newest: dict[tuple[str, str, str], tuple[_Row, datetime | None]] = {}
    for row, path in rows:
        if row.is_baseline or not row.view:
            continue
        last = row.last_event(path)
        known = newest.get(row.key)
        if known is None or (last is not None and (known[1] is None or last > known[1])):
            newest[row.key] = (row, last)
    for key, (row, last) in newest.items():
        if last is not None:
            yield _freshness(row, last, limits.max_age or 2 * WINDOWS.get(row.granularity or "", WINDOWS["daily"]), now)
        before = usual.get(key)
        if limits.max_null_rate is not None and row.null_rate is not None:
            yield _nulls(row, before, limits.max_null_rate)
        if limits.min_rows is not None and row.row_count is not None:
            yield _rows(row, before, limits.min_rows)
        if limits.max_psi is not None and before is not None and row.feature_name:
            yield from _drifted(row, before, limits.max_psi)


def _of_row(row: _Row, finding: Finding) -> Finding:
    """A feature of a view, or the view as a whole."""
    feature, size = (row.feature_name or "").strip(), row.row_count
    view = Subject.of("dataset", row.view)
    facts = {"dataset": row.view, "feature": feature, "project": row.project_id}
    facts |= {"granularity": row.granularity or "", "data_source_type": row.data_source_type or ""}
    return replace(
        finding,
        subject=Subject.of("feature", feature) if feature else view,
        part=f"{view}/log" if row.data_source_type == "log" else view if feature else "",
        sample_size=int(size) if size is not None and 0 <= size < 2**63 else None,
        facts=dict(finding.facts) | facts,
    )


def _freshness(row: _Row, last: datetime, limit: timedelta, now: datetime) -> Finding:
    return _of_row(row, aged(f"{_name(row)}: newest event", "feature freshness", last, limit, now))


def _nulls(row: _Row, before: _Row | None, limit: float) -> Finding:
    rate = row.null_rate or 0.0
    finding = Finding(
        check="null rate",
        symptom=Symptom.DATA_QUALITY,
        status=Status.FIRING if rate > limit else Status.RESOLVED,
        severity=Severity.WARNING,
        summary=f"null rate of {_name(row)}: {rate:.3g}, threshold {limit:.3g}",
        metric="null_rate",
        observed=rate,
        threshold=limit,
        baseline=before.null_rate if before else None,
    )
    return _of_row(row, finding)


def _rows(row: _Row, before: _Row | None, limit: float) -> Finding:
    """All features of a view have its rows: one alert of the view."""
    count = row.row_count or 0.0
    finding = Finding(
        check="row count",
        symptom=Symptom.VOLUME,
        status=Status.FIRING if count < limit else Status.RESOLVED,
        severity=Severity.WARNING,
        summary=f"row count of {row.view}: {count:.0f}, threshold {limit:.0f}",
        metric="row_count",
        observed=count,
        threshold=limit,
        baseline=before.row_count if before else None,
    )
    return _of_row(row.model_copy(update={"feature_name": ""}), finding)


def _name(row: _Row) -> str:
    return (row.feature_name or "").strip() or row.view


def _drifted(row: _Row, before: _Row, limit: float) -> Iterator[Finding]:
    spread = _spread(before.histogram, row.histogram)
    if spread is None:
        return
    pairs = zip(spread.reference, spread.current, strict=True)
    floors = ((max(old, _NEVER_ZERO), max(new, _NEVER_ZERO)) for old, new in pairs)
    index = round(sum((new - old) * math.log(new / old) for old, new in floors), 6)
    found = drift(
        (row.feature_name or "").strip(),
        check="feature drift",
        status=Status.FIRING if index >= limit else Status.RESOLVED,
        severity=Severity.WARNING,
        method="psi",
        observed=index,
        threshold=limit,
    )
    yield replace(_of_row(row, found), column="", distribution=spread)


def _spread(before: dict[str, Any] | None, now: dict[str, Any] | None) -> Distribution | None:
    """Edges and counts of a numeric feature, the commonest values of a categorical one."""
    if before is None or now is None:
        return None
    if "bins" in now:
        return overlaid(before.get("bins"), before.get("counts"), now.get("bins"), now.get("counts"))
    return by_category(_counts(before), _counts(now))


def _counts(histogram: dict[str, Any]) -> dict[str, object]:
    values = histogram.get("values")
    if not isinstance(values, list):
        return {}
    return {str(each.get("value"))[:255]: each.get("count") for each in values if isinstance(each, dict)}


SETUP = """Feast sends nothing: after `feast monitor run`, post what it found, with the limits:

```python
import json, urllib.request

metrics = "http://feast.example.com:6572/monitoring/metrics/features?project=shop&granularity=daily"
rows = json.load(urllib.request.urlopen(metrics, timeout=30))
body = dict(source="feast", max_age="26h", max_null_rate=0.05, report=rows)
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

`tocsin send --source feast rows.json` does the same for a file; the limits then stand in the hook's `defaults`.

- Limits: `max_age` (without it two windows of the metrics), `max_null_rate`, `min_rows`, and `max_psi` for drift, which
  needs the rows of `/monitoring/metrics/baseline` in the same report.
- Feature views (`/api/v1/feature_views` of the registry) are judged by their last materialization against their `ttl`.
"""

SOURCE = Source(
    name=NAME,
    title="Feast feature store",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("requests for metrics", "jobs that have not ended", "metrics without times and limits", "baselines alone"),
    aliases=("feature_store",),
)
