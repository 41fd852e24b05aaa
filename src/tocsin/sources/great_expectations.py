"""Which expectations of a dataset failed? Validation results and checkpoints of Great Expectations, 0.x and 1.x.

Three shapes: a validation result (`to_json_dict`), a checkpoint's `describe_dict`, and the older operator's result that
holds several. Offending values never leave the report: they are customers' data; only counts and shares are copied.
https://docs.greatexpectations.io/docs/reference/api/core/expectationsuitevalidationresult_class/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._identity import environment_of, labels_of, links_of
from tocsin.sources._json import number, parsed_object, shaped, text
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._times import moment
from tocsin.sources._verify import shared_secret

NAME = "great_expectations"

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"table_row_count", Symptom.VOLUME),
    (r"column_to_exist|table_column|table_columns|of_type|in_type_list|match_json_schema", Symptom.SCHEMA),
    (r"kl_divergence|parameterized_distribution|chisquare", Symptom.FEATURE_DRIFT),
    (r"freshness|recency|updated", Symptom.FRESHNESS),
)
"""A word in the expectation's type → symptom; any other expectation is about data quality."""

SEVERITIES = {"critical": Severity.ERROR, "warning": Severity.WARNING, "info": Severity.INFO}
"""`critical` is the tool's own default for every expectation since 1.5, so that it says no more than failed."""

_SYMPTOMS = tuple((re.compile(words), symptom) for words, symptom in SYMPTOMS)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ERROR_CLASS = re.compile(r"([A-Za-z_]\w{0,80})\s*:")
_COUNTS = ("element_count", "unexpected_count", "missing_count")


class _Config(BaseModel):
    type: str = ""
    expectation_type: str = ""
    arguments: dict[str, Any] = Field(default={}, validation_alias=AliasChoices("kwargs"))
    severity: str | None = None


class _Result(BaseModel):
    """One expectation's outcome; in a checkpoint's description the configuration stands beside it."""

    success: bool | None
    expectation_config: _Config | None = None
    expectation_type: str = ""
    arguments: dict[str, Any] = Field(default={}, validation_alias=AliasChoices("kwargs"))
    result: dict[str, Any] | None = None
    exception_info: dict[str, Any] | None = None

    @property
    def config(self) -> _Config:
        return self.expectation_config or _Config.model_validate(
            {"type": self.expectation_type, "kwargs": self.arguments}
        )

    @property
    def kind(self) -> str:
        return self.config.type or self.config.expectation_type

    @property
    def columns(self) -> str:
        """The column or columns it is about; empty for the table as a whole."""
        kwargs = self.config.arguments
        named = [kwargs.get(key) for key in ("column", "column_A", "column_B")]
        listed = kwargs.get("column_list") if self.kind.startswith(("expect_compound", "expect_multicolumn")) else None
        several = listed if isinstance(listed, list) else []
        return ", ".join(each.strip() for each in (*named, *several) if isinstance(each, str))[:200]


class _Validation(BaseModel):
    results: list[_Result]
    suite_name: str = ""
    meta: dict[str, Any] = {}
    result_url: str | None = None


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per expectation: firing when it failed, ended when it passed. Raises BadPayload for another shape,
    and when nothing says which dataset was validated."""
    envelope, report = opened(parsed_object(message.body), hook)
    alerts = [
        _alert(result, validation, envelope, message, hook)
        for validation in _validations(report)
        for result in validation.results
    ]
    if not alerts:
        return Normalized(ignored="a validation without expectations judges nothing")
    return Normalized(alerts=worst_first(alerts))


def _validations(report: dict[str, Any]) -> Iterator[_Validation]:
    if isinstance(report.get("results"), list):
        yield shaped(_Validation, report)
    elif isinstance(described := report.get("validation_results"), list):
        for each in described:
            parts = each if isinstance(each, dict) else {}
            yield shaped(_Validation, parts | {"results": parts.get("expectations", parts.get("results"))})
    elif isinstance(runs := report.get("run_results"), dict):
        for run in runs.values():
            inner = run.get("validation_result", run) if isinstance(run, dict) else run
            yield shaped(_Validation, inner)
    else:
        raise BadPayload("none of results, validation_results and run_results: no validation of Great Expectations")


def _dataset(validation: _Validation, envelope: Envelope, result: _Result) -> Subject:
    """The dataset that the envelope names, else the asset that the validation names, else the suite."""
    meta = validation.meta
    name = (
        envelope.dataset
        or _within(meta, "active_batch_definition", "data_asset_name")
        or text(meta.get("data_asset_name"))
        or _within(meta, "batch_kwargs", "data_asset_name")
        or _within(meta, "batch_kwargs", "table")
        or _asset(result.config.arguments.get("batch_id"))
        or validation.suite_name
        or text(meta.get("expectation_suite_name"))
    )
    if not name:
        raise BadPayload(
            'names no dataset: post {"source": "great_expectations", "dataset": …, "report": {…}} '
            "or set dataset in the hook's defaults"
        )
    return Subject.of("dataset", name)


def _within(meta: Mapping[str, Any], outer: str, key: str) -> str:
    inner = meta.get(outer)
    return text(inner.get(key)) if isinstance(inner, dict) else ""


def _asset(batch_id: object) -> str:
    """`features-fraud_features` → `fraud_features`: a fluent batch id is data source, dash, asset."""
    return text(batch_id).partition("-")[2]


def _at(validation: _Validation, envelope: Envelope) -> datetime | None:
    run_time = _within(validation.meta, "run_id", "run_time")
    return envelope.at or moment(validation.meta.get("validation_time") or run_time or None)


def _alert(result: _Result, validation: _Validation, envelope: Envelope, message: Message, hook: Hook) -> Alert:
    """What was measured stays out of `metric`, which is identity: an expectation that could not be checked measures
    nothing, and its next pass must end it all the same."""
    if not result.kind:
        raise BadPayload("an expectation without a type", path="results.expectation_config.type")
    dataset = _dataset(validation, envelope, result)
    passed = result.success is True
    at = _at(validation, envelope)
    measured = result.result or {}
    observed, threshold, unit = _measure(result)
    counts = {key: measured.get(key) for key in _COUNTS}
    size = number(measured.get("element_count"))
    facts = {"suite": validation.suite_name or text(validation.meta.get("expectation_suite_name"))}
    facts |= {"column": result.columns, "observed_as": unit}
    named = {key: value for key, value in (facts | envelope.identity).items() if value}
    return Alert(
        hook=hook.name,
        source=NAME,
        environment=environment_of(envelope.identity, hook),
        name=result.kind,
        subject=dataset,
        symptom=_symptom(result),
        severity=SEVERITIES.get((result.config.severity or "").lower(), Severity.ERROR),
        status=Status.RESOLVED if passed else Status.FIRING,
        summary=_summary(result, dataset),
        received_at=message.received_at,
        starts_at=None if passed else at,
        ends_at=at if passed else None,
        resource=result.columns,
        segment=envelope.segment or text(result.config.arguments.get("row_condition"), 200),
        observed=observed,
        threshold=threshold,
        sample_size=envelope.sample_size or (int(size) if size is not None and 0 <= size < 2**63 else None),
        model_version=envelope.model_version,
        labels=labels_of(dict(hook.defaults) | named | counts),
        links=links_of({"report": envelope.url or validation.result_url}),
        resolves=Resolves.NEXT_PASS,
    )


def _measure(result: _Result) -> tuple[float | None, float | None, str]:
    """Observed, threshold and what they are: a number that was observed against the bound that it broke, else the
    share of unexpected values in percent against what `mostly` allows."""
    measured, kwargs = result.result or {}, result.config.arguments
    observed = number(measured.get("observed_value"))
    low, high = (
        number(kwargs.get("min_value", kwargs.get("value"))),
        number(kwargs.get("max_value", kwargs.get("threshold"))),
    )
    if observed is not None:
        broke_high = high is not None and (low is None or observed > high)
        return observed, high if broke_high else low, "observed_value"
    unexpected = number(measured.get("unexpected_percent"))
    if unexpected is not None:
        mostly = number(kwargs.get("mostly"))
        return unexpected, round(100 * (1 - (1.0 if mostly is None else mostly)), 6), "unexpected_percent"
    return None, None, ""


def _symptom(result: _Result) -> Symptom:
    kwargs = result.config.arguments
    if _column_is_absent(result):
        return Symptom.SCHEMA
    if "column_max" in result.kind and _DATE.match(text(kwargs.get("min_value"))):
        return Symptom.FRESHNESS
    return next((symptom for words, symptom in _SYMPTOMS if words.search(result.kind)), Symptom.DATA_QUALITY)


def _summary(result: _Result, dataset: Subject) -> str:
    """What failed, in words and counts; an exception by its class only, as its text may quote the data."""
    where = f"{result.columns} of {dataset.name}" if result.columns else dataset.name
    what = result.kind.removeprefix("expect_").replace("_", " ")
    if result.success is True:
        return f"{where}: {what}, as expected"
    if _column_is_absent(result):
        return f"{where}: the column does not exist, so that {what} could not be checked"
    if error := _exception(result):
        return f"{where}: {what} could not be checked ({error})"
    return f"{where}: expected {what}, {_extent(result)}"


def _extent(result: _Result) -> str:
    """By how much an expectation failed, as far as the result format tells."""
    measured = result.result or {}
    unexpected, total = number(measured.get("unexpected_count")), number(measured.get("element_count"))
    if unexpected is not None and total:
        return f"{unexpected:.0f} of {total:.0f} break it ({100 * unexpected / total:.3g} %)"
    observed, threshold, _ = _measure(result)
    if observed is not None and threshold is not None:
        return f"observed {observed:g} against {threshold:g}"
    return "which failed"


def _raised(result: _Result) -> str:
    """The message of the exception, when checking raised one. 1.x may nest it under the failed metric's id."""
    info = result.exception_info or {}
    for each in (info, *info.values()):
        if isinstance(each, dict) and each.get("raised_exception") is True:
            return str(each.get("exception_message") or "no message")
    return ""


def _exception(result: _Result) -> str:
    found = _ERROR_CLASS.match(raised := _raised(result))
    return found[1] if found else "an exception" if raised else ""


def _column_is_absent(result: _Result) -> bool:
    return bool(result.columns) and bool(re.search(r"column .{0,200}does not exist", _raised(result)))


SETUP = """Great Expectations returns results; post each with the dataset's name:

```python
import json, urllib.request

result = checkpoint.run()
for validation in result.run_results.values():
    body = dict(source="great_expectations", dataset="orders", report=validation.to_json_dict())
    request = urllib.request.Request("{url}", json.dumps(body, default=str).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Bearer {secret}")
    urllib.request.urlopen(request, timeout=10).read()
```

- Without an envelope the data asset's name is the dataset; `dataset:` in the hook's `defaults` names another.
- Post passing results too: the next pass ends an alert. `result_format="BASIC"` gives counts; values are never copied.
"""

SOURCE = Source(
    name=NAME,
    title="Great Expectations",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=("validations without expectations",),
    aliases=("gx",),
)
