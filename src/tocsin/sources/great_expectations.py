"""Which expectations of a dataset failed? Validation results and checkpoints of Great Expectations, 0.x and 1.x.

The shapes: a validation result (`to_json_dict`) or one expectation's; a checkpoint's result with `run_results` (0.x and
1.x, and the older operators'); a checkpoint's `describe_dict`; what the API action posts. A list of any.
Offending values never leave the report: they are customers' data; only counts and shares are copied.
https://docs.greatexpectations.io/docs/reference/api/core/expectationsuitevalidationresult_class/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from pydantic import AliasChoices, BaseModel, Field

from tocsin.domain.alert import Alert, Distribution, Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._distribution import by_category, overlaid
from tocsin.sources._finding import Finding, alert_of, drift
from tocsin.sources._json import kind_of, number, parsed, shaped, text
from tocsin.sources._report import Envelope, opened, worst_first
from tocsin.sources._times import moment
from tocsin.sources._verify import shared_secret

NAME = "great_expectations"

SYMPTOMS: tuple[tuple[str, Symptom], ...] = (
    (r"table_row_count", Symptom.VOLUME),
    (r"column_to_exist|table_column|of_type|in_type_list|match_json_schema", Symptom.SCHEMA),
    (r"kl_divergence|parameterized_distribution|chisquare|ks_test", Symptom.FEATURE_DRIFT),
    (r"freshness|recency|updated", Symptom.FRESHNESS),
)
"""A word in the expectation's type → symptom; any other expectation is about data quality."""

MEASURES = (
    ("kl_divergence", "kl_divergence"),
    ("chisquare", "chi2 p_value"),
    ("ks_test", "kolmogorov_smirnov p_value"),
)
"""A word in a drift expectation's type → how it measures; of a p-value less is worse."""

SEVERITIES = {"critical": Severity.ERROR, "warning": Severity.WARNING, "info": Severity.INFO}
"""`critical` is the tool's own default for every expectation since 1.5, so that it says no more than failed."""

NO_ASSET = "__no_data_asset_name__"
"""What the API action of 0.x and 1.x writes when it knows no asset."""

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

    @cached_property
    def config(self) -> _Config:
        return self.expectation_config or _Config.model_validate(
            {"type": self.expectation_type, "kwargs": self.arguments}
        )

    @cached_property
    def kind(self) -> str:
        return self.config.type or self.config.expectation_type

    @cached_property
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
    batch_id: str | None = None
    asset: str = ""
    """As the API action names it, or the key under which a checkpoint's result keeps the validation."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """An alert per expectation: firing when it failed, ended when it passed. Raises BadPayload for another shape."""
    envelope, report = opened(parsed(message.body), hook)
    alerts = []
    for validation in _validations(report):
        named = envelope.model_copy(update={"dataset": envelope.dataset or _dataset(validation)})
        alerts += [_alert(result, validation, named, message, hook) for result in validation.results]
    if not alerts:
        return Normalized(ignored="a validation without expectations judges nothing")
    return Normalized(alerts=worst_first(alerts))


def _validations(report: object) -> Iterator[_Validation]:
    """Every validation of a result, a checkpoint's result or description, or what the API action posts."""
    if isinstance(report, list):
        for n, each in enumerate(report):
            if not isinstance(each, dict):
                raise BadPayload(f"expected a validation, found {kind_of(each)}", path=str(n))
            yield from _validations(each)
        return
    if not isinstance(report, dict):
        raise BadPayload(f"expected a validation of Great Expectations, found {kind_of(report)}")
    if isinstance(report.get("results"), list):
        yield shaped(_Validation, report)
    elif isinstance(described := report.get("validation_results"), list):
        yield from _described(report, described)
    elif isinstance(runs := report.get("run_results"), dict):
        for key, run in runs.items():
            inner = run.get("validation_result", run) if isinstance(run, dict) else run
            yield shaped(
                _Validation, {"asset": _asset(key.rpartition("/")[2])} | (inner if isinstance(inner, dict) else {})
            )
    elif "success" in report and ("expectation_config" in report or "expectation_type" in report):
        yield shaped(_Validation, {"results": [report]})
    else:
        raise BadPayload(
            "none of results, validation_results and run_results: no validation of Great Expectations", path="results"
        )


def _described(report: dict[str, Any], described: list[Any]) -> Iterator[_Validation]:
    """A checkpoint's description holds validations; the API action's body holds the expectations of one."""
    if "test_suite_name" in report or any(
        isinstance(each, dict) and "expectation_config" in each for each in described
    ):
        about = {"suite_name": text(report.get("test_suite_name")), "asset": text(report.get("data_asset_name"))}
        yield shaped(_Validation, about | {"results": described})
        return
    for each in described:
        parts = each if isinstance(each, dict) else {}
        yield shaped(_Validation, parts | {"results": parts.get("expectations", parts.get("results"))})


def _dataset(validation: _Validation) -> str:
    """The asset that the validation names, else the suite; empty when it names neither."""
    meta = validation.meta
    batch_ids = (result.config.arguments.get("batch_id") for result in validation.results)
    return (
        _within(meta, "active_batch_definition", "data_asset_name")
        or text(meta.get("data_asset_name"))
        or _within(meta, "batch_kwargs", "data_asset_name")
        or _within(meta, "batch_kwargs", "table")
        or _asset(validation.batch_id)
        or next(filter(None, map(_asset, batch_ids)), "")
        or ("" if validation.asset == NO_ASSET else validation.asset)
        or validation.suite_name
        or text(meta.get("expectation_suite_name"))
    )


def _within(meta: Mapping[str, Any], outer: str, key: str) -> str:
    inner = meta.get(outer)
    return text(inner.get(key)) if isinstance(inner, dict) else ""


def _asset(batch_id: object) -> str:
    """`features-fraud_features` → `fraud_features`: a fluent batch id is data source, dash, asset."""
    return text(batch_id).partition("-")[2]


def _alert(result: _Result, validation: _Validation, envelope: Envelope, message: Message, hook: Hook) -> Alert:
    """What was measured stays out of `metric`, which is identity: an expectation that could not be checked measures
    nothing, and its next pass must end it all the same."""
    if not result.kind:
        raise BadPayload("an expectation without a type", path="results.expectation_config.type")
    measured = result.result or {}
    observed, threshold, unit = _measure(result)
    size = number(measured.get("element_count"))
    dataset = Subject.of("dataset", envelope.dataset) if envelope.dataset else Subject.of("unknown", hook.name)
    symptom = _symptom(result)
    facts: dict[str, object] = {"suite": validation.suite_name or text(validation.meta.get("expectation_suite_name"))}
    facts |= {"column": result.columns, "observed_as": unit} | {key: measured.get(key) for key in _COUNTS}
    found = Finding(
        check=result.kind,
        symptom=symptom,
        status=Status.RESOLVED if result.success is True else Status.FIRING,
        severity=SEVERITIES.get((result.config.severity or "").lower(), Severity.ERROR),
        summary=_summary(result, dataset),
        subject=dataset,
        part=result.columns,
        observed=observed,
        threshold=threshold,
        sample_size=int(size) if size is not None and 0 <= size < 2**63 else None,
        segment=_rows(result.config.arguments.get("row_condition")),
        at=envelope.at or _at(validation),
        facts=facts,
        url=envelope.url or validation.result_url or "",
    )
    if symptom is Symptom.FEATURE_DRIFT and result.columns:
        found = _drifted(found, result)
    return alert_of(found, envelope, message, hook, source=NAME)


def _drifted(found: Finding, result: _Result) -> Finding:
    """A drift expectation is about the feature, and reads as drift does from any other tool."""
    method = next((how for word, how in MEASURES if word in result.kind), "")
    told = drift(
        result.columns,
        check=found.check,
        status=found.status,
        severity=found.severity,
        method=method,
        observed=found.observed,
        threshold=_limit(result) if found.threshold is None else found.threshold,
    )
    summary = told.summary if found.observed is not None else found.summary
    facts = dict(found.facts) | {"column": "", "observed_as": ""} | dict(told.facts)
    return replace(
        told, summary=summary, facts=facts, distribution=_spread(result), at=found.at, url=found.url,
        sample_size=found.sample_size, segment=found.segment,
    )  # fmt: skip


def _limit(result: _Result) -> float | None:
    """What it would have been compared with: a divergence from values that the reference lacks is infinite."""
    return number(result.config.arguments.get("threshold", result.config.arguments.get("p")))


def _rows(condition: object) -> str:
    """Which rows were looked at: a filter in words, since 1.5 an object that holds one or is one."""
    if isinstance(condition, dict):
        inner = condition.get("pass_through_filter")
        return text(inner, 200) or orjson.dumps(condition, option=orjson.OPT_SORT_KEYS).decode()[:200]
    return text(condition, 200)


def _spread(result: _Result) -> Distribution | None:
    """A divergence comes with both partitions: weights of values, or of the bins between edges."""
    details = (result.result or {}).get("details")
    expected, seen = (
        (details.get("expected_partition"), details.get("observed_partition")) if isinstance(details, dict) else (0, 0)
    )
    if not isinstance(expected, dict) or not isinstance(seen, dict):
        return None
    if "bins" in seen:
        return overlaid(expected.get("bins"), expected.get("weights"), seen.get("bins"), seen.get("weights"))
    return by_category(_weights(expected), _weights(seen))


def _weights(partition: dict[str, Any]) -> dict[str, object]:
    values, weights = partition.get("values"), partition.get("weights")
    if not isinstance(values, list) or not isinstance(weights, list):
        return {}
    return {str(value): weight for value, weight in zip(values, weights, strict=False)}


def _at(validation: _Validation) -> datetime | None:
    run_time = _within(validation.meta, "run_id", "run_time")
    told = validation.meta.get("validation_time") or run_time or None
    try:
        return moment(told)
    except BadPayload as error:
        raise BadPayload(error.reason, path="meta.validation_time") from None


def _measure(result: _Result) -> tuple[float | None, float | None, str]:
    """Observed, threshold and what they are: a number that was observed against the bound that it broke, else the
    share of unexpected values in percent against what `mostly` allows."""
    measured, kwargs = result.result or {}, result.config.arguments
    observed = number(measured.get("observed_value"))
    low, high = (
        number(kwargs.get("min_value", kwargs.get("value"))),
        number(kwargs.get("max_value", kwargs.get("threshold", kwargs.get("p")))),
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

```sh
tocsin send --source great_expectations --dataset orders result.json
```

or from Python:

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
- `describe_dict()` of a checkpoint's result, what its API action posts, and results of 0.x are read as well.
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
