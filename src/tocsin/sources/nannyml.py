"""Is the model's performance, estimated or realized, out of bounds; which columns drifted? The frames of NannyML.

NannyML gives data frames: one row per chunk of data, and columns whose names begin with what was measured
(`age_jensen_shannon_value`, `…_upper_threshold`, `…_alert`). The newest chunk tells how things stand; rows of the
reference period give the baseline. Times are naive and taken as UTC.
https://nannyml.readthedocs.io/en/stable/tutorials/working_with_results.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._json import kind_of, number, parsed, text
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._times import moment
from tocsin.sources._verify import shared_secret

NAME = "nannyml"

METHODS = ("jensen_shannon", "kolmogorov_smirnov", "wasserstein", "hellinger", "l_infinity", "chi2")
"""Univariate drift methods, the last part of a name. All are statistics or distances: higher is worse."""

PERFORMANCE = re.compile(
    r"(roc_auc|f1|precision|recall|specificity|accuracy|average_precision|business_value|mae|mape|mse|msle|rmse|rmsle"
    r"|(true|false)_(positive|negative)|true_.+_pred_.+)(_count)?"
)
"""Names of performance metrics, for classification (with the cells of the confusion matrix) and regression."""

MULTIVARIATE = {
    "reconstruction_error": "PCA reconstruction error",
    "domain_classifier_auroc": "domain classifier AUROC",
}
"""Drift of all columns at once → how it is measured."""

_TUPLE_PART = re.compile(r"'((?:[^'\\]|\\.)*)'")
_CHUNK_KEYS = ("chunk_key", "key", "chunk_index", "chunk_start_date", "start_date", "chunk_period", "period")
_MAX_ROWS = 10_000


class _Chunk(NamedTuple):
    row: Mapping[str, Any]
    alert: bool | None
    value: float | None
    at: datetime | None


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per thing measured, as its newest chunk has it. Raises BadPayload with the path of what does not fit."""
    envelope, body = opened(parsed(message.body), hook)
    findings = [finding for rows in _frames(body) for finding in _findings(rows, envelope)]
    if not findings:
        return Normalized(ignored="no chunk of the analysis period was judged")
    return Normalized(
        alerts=worst_first(alert_of(finding, envelope, message, hook, source=NAME) for finding in findings)
    )


def _frames(body: object) -> list[list[dict[str, Any]]]:
    """The frames of a body: records, or any other orientation of `to_json`; several under names of their own."""
    if isinstance(body, list):
        return [_records(body, "")]
    if not isinstance(body, dict):
        raise BadPayload(f"expected the records of a frame, found {kind_of(body)}")
    if isinstance(body.get("data"), list):
        return [_split(body) if isinstance(body.get("columns"), list) else _records(body["data"], "data")]
    if any(key in body for key in _CHUNK_KEYS):
        chunk = next(key for key in _CHUNK_KEYS if key in body)
        return [_transposed(body)] if isinstance(body[chunk], dict) else [_records([body], "")]
    if body and all(isinstance(each, dict) for each in body.values()) and any("chunk" in key for key in body):
        return [_transposed(body)]
    if body and all(isinstance(each, list) for each in body.values()):
        return [_records(each, name) for name, each in body.items()]
    raise BadPayload("no chunks: post result.to_df(multilevel=False).to_json(orient='records', date_format='iso')")


def _records(rows: list[Any], path: str) -> list[dict[str, Any]]:
    if len(rows) > _MAX_ROWS:
        raise BadPayload(f"{len(rows)} chunks; post the newest ones", path=path)
    for n, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadPayload(f"expected a chunk, found {kind_of(row)}", path=f"{path}.{n}".strip("."))
    return [{_flat(key): value for key, value in row.items()} for row in rows]


def _split(body: dict[str, Any]) -> list[dict[str, Any]]:
    """`orient="split"`: names once, values in rows."""
    columns = [_flat(each) for each in body["columns"]]
    if not all(isinstance(row, list) for row in body["data"]):
        raise BadPayload("expected rows of values", path="data")
    return [dict(zip(columns, row, strict=False)) for row in body["data"][-_MAX_ROWS:]]


def _transposed(body: dict[str, Any]) -> list[dict[str, Any]]:
    """`orient="columns"`, what pandas does unless told: each name with its values by row."""
    index = list(dict.fromkeys(key for column in body.values() if isinstance(column, dict) for key in column))
    columns = {_flat(name): column for name, column in body.items() if isinstance(column, dict)}
    return [{name: column.get(key) for name, column in columns.items()} for key in index[-_MAX_ROWS:]]


def _flat(name: object) -> str:
    """`('age', 'jensen_shannon', 'alert')` → `age_jensen_shannon_alert`, as NannyML itself flattens."""
    parts = name if isinstance(name, list) else _TUPLE_PART.findall(str(name)) if str(name).startswith("(") else []
    if not parts:
        return str(name)
    return "_".join(str(part) for n, part in enumerate(parts) if n == 0 or part != parts[n - 1])


def _findings(rows: Sequence[dict[str, Any]], envelope: Envelope) -> Iterator[Finding]:
    names = dict.fromkeys(key for row in rows for key in row)
    for base in dict.fromkeys(filter(None, map(_measured, names))):
        chunks = [_chunk(row, base, n) for n, row in enumerate(rows) if not _is_reference(row)]
        judged = [chunk for chunk in chunks if chunk.alert is not None]
        if judged:
            usual = [number(_told(row, base, "value")) for row in rows if _is_reference(row)]
            known = [value for value in usual if value is not None]
            yield _finding(base, judged, envelope, round(sum(known) / len(known), 6) if known else None)


def _measured(name: str) -> str:
    """`roc_auc_alert` and, before 0.6, `alert_roc_auc` → `roc_auc`; `alert` alone is the reconstruction error's."""
    if name == "alert":
        return "reconstruction_error"
    if name.endswith("_alert"):
        return name.removesuffix("_alert")
    return name.removeprefix("alert_") if name.startswith("alert_") else ""


def _is_reference(row: Mapping[str, Any]) -> bool:
    return bool(row.get("chunk_period", row.get("period")) == "reference")


def _told(row: Mapping[str, Any], base: str, what: str) -> Any:  # noqa: ANN401
    """One figure of a measurement, under the names of this and of older releases."""
    old = {"value": (f"estimated_{base}", f"realized_{base}", f"{base}_p_value", f"{base}_dstat", base)}
    for name in (f"{base}_{what}", *old.get(what, (f"{what}_{base}", what))):
        if row.get(name) is not None:
            return row[name]
    return None


def _chunk(row: Mapping[str, Any], base: str, n: int) -> _Chunk:
    alert = _told(row, base, "alert")
    told = next((key for key in ("chunk_end_date", "end_date", "chunk_start_date", "start_date") if row.get(key)), "")
    try:
        at = moment(row.get(told))
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"{n}.{told}") from None
    if isinstance(alert, (int, float)):
        alert = bool(alert)
    return _Chunk(row, alert if isinstance(alert, bool) else None, number(_told(row, base, "value")), at)


def _began(chunk: _Chunk) -> datetime | None:
    """When the chunk's data begins, where the frame dates it."""
    try:
        return moment(chunk.row.get("chunk_start_date", chunk.row.get("start_date")))
    except BadPayload:
        return None


def _finding(base: str, chunks: Sequence[_Chunk], envelope: Envelope, baseline: float | None) -> Finding:
    """How the newest chunk stands: since the first of the alerts that end with it, or passed with it."""
    last = chunks[-1]
    first = last
    for chunk in reversed(chunks):
        if chunk.alert != last.alert:
            break
        first = chunk
    threshold = _threshold(last, base)
    found = _meaning(base, last, threshold, envelope)
    facts = dict(found.facts) | {"chunk": text(last.row.get("chunk_key", last.row.get("key")), 80)}
    return replace(
        found,
        at=first.at if last.alert else last.at,
        window_starts_at=_began(first) if last.alert else None,
        baseline=baseline,
        sample_size=_size(last.row),
        facts=facts,
    )


def _threshold(chunk: _Chunk, base: str) -> float | None:
    """The nearer bound, which is the one that was crossed when one was."""
    told = (_told(chunk.row, base, "upper_threshold"), _told(chunk.row, base, "lower_threshold"))
    bounds = [bound for bound in map(number, told) if bound is not None]
    if not bounds or chunk.value is None:
        return bounds[0] if bounds else number(chunk.row.get(f"{base}_threshold"))
    value = chunk.value
    return min(bounds, key=lambda bound: abs(value - bound))


def _size(row: Mapping[str, Any]) -> int | None:
    start, end = (number(row.get(f"chunk_{side}_index", row.get(f"{side}_index"))) for side in ("start", "end"))
    if start is None or end is None or not 0 <= start <= end < 2**63:
        return None
    return int(end - start) + 1


def _meaning(base: str, chunk: _Chunk, threshold: float | None, envelope: Envelope) -> Finding:
    status = Status.FIRING if chunk.alert else Status.RESOLVED
    if base in MULTIVARIATE:
        found = drift(
            "",
            check=f"multivariate drift {base}",
            status=status,
            severity=Severity.WARNING,
            method=MULTIVARIATE[base],
            observed=chunk.value,
            threshold=threshold,
            what="drift of all columns",
        )
        return replace(found, metric=base)
    method = _method(base, chunk.row)
    if method:
        return drift(
            base.removesuffix(f"_{method}"),
            check=f"{method} drift",
            status=status,
            severity=Severity.WARNING,
            method=method,
            observed=chunk.value,
            threshold=threshold,
        )
    if PERFORMANCE.fullmatch(base):
        return _performance(base, chunk, threshold, status)
    of_rows = base == "rows_count"
    check = "row count" if of_rows else envelope.check or "data quality"
    return Finding(
        check=check,
        symptom=Symptom.VOLUME if of_rows else Symptom.DATA_QUALITY,
        status=status,
        severity=Severity.WARNING,
        summary=_words(check.replace("_", " ") + ("" if of_rows else f" of {base}"), chunk.value, threshold),
        column="" if of_rows else base,
        metric=base if of_rows else envelope.check or base,
        observed=chunk.value,
        threshold=threshold,
    )


def _method(base: str, row: Mapping[str, Any]) -> str:
    """The drift method that ends the name; before 0.6 the tests gave p-values and stood in columns of their own."""
    if found := next((method for method in METHODS if base.endswith(f"_{method}")), ""):
        return found
    if row.get(f"{base}_p_value") is None:
        return ""
    return "chi2 p_value" if f"{base}_chi2" in row else "kolmogorov_smirnov p_value"


def _performance(base: str, chunk: _Chunk, threshold: float | None, status: Status) -> Finding:
    """Estimated without labels (CBPE, DLE) or realized: two checks of one metric."""
    estimated = any(key in chunk.row for key in (f"{base}_upper_confidence_boundary", f"estimated_{base}"))
    check = f"{'estimated' if estimated else 'realized'} {base}"
    return Finding(
        check=check,
        symptom=Symptom.PERFORMANCE,
        status=status,
        severity=Severity.WARNING,
        summary=_words(check, chunk.value, threshold),
        metric=base,
        observed=chunk.value,
        threshold=threshold,
    )


def _words(what: str, observed: float | None, threshold: float | None) -> str:
    bound = "" if threshold is None else f", threshold {threshold:.3g}"
    return what + ("" if observed is None else f": {observed:.3g}{bound}")


SETUP = """NannyML gives frames; post each with what it is about:

```sh
tocsin send --source nannyml --model churn report.json
```

where `report.json` is what `result.to_df(multilevel=False).to_json("report.json", orient="records", date_format="iso")`
wrote; or from Python:

```python
import json, urllib.request

frame = result.to_df(multilevel=False)
body = dict(source="nannyml", model="churn", model_version="17", dataset="churn_features",
            report=json.loads(frame.to_json(orient="records", date_format="iso")))
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

- The newest chunk tells how things stand. Leave the reference period in: it gives the baseline.
- Frames of the data quality and summary calculators do not say which one made them: add `check="missing_values"`.
- Chunks by number of rows have no times: then the time of arrival counts.
"""

SOURCE = Source(
    name=NAME,
    title="NannyML results",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("frames of the reference period alone", "chunks without a verdict"),
)
