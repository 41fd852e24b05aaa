"""Whose report is this? The envelope in which a wrapper posts the report of an ML or data validator.

Validators write reports without model, dataset or time (reference/sources.md §2.4). The identity stands in an envelope
`{"source": …, "model": …, "dataset": …, "timestamp": …, "report": {…}}`, or in the hook's defaults. What nobody names
is about `unknown:<hook>`, so that it still reaches someone and shows among the orphans.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tocsin.domain.alert import Alert, Cohort, Distribution, Sample, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook
from tocsin.domain.subject import Subject
from tocsin.sources._distribution import binned
from tocsin.sources._identity import cohort_of, link_of
from tocsin.sources._json import parsed, shaped
from tocsin.sources._shape import Count
from tocsin.sources._times import moment
from tocsin.sources._values import Value, spread_of

MAX_SAMPLES = 5


class Offender(BaseModel):
    """One offending record, by reference only."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    request_id: str = ""
    trace_url: str = ""
    explanation_url: str = ""


class Spread(BaseModel):
    """How one column was spread: weights of the bins in the reference data and now. `reference_size` says of how many
    rows the reference is, where its weights are shares: with it the drift can be tested. Instead of bins the values
    themselves, which are binned on arrival and not kept."""

    labels: list[Any] = []
    reference: list[Any] = []
    current: list[Any] = []
    reference_size: Any = None
    reference_values: list[Value] = []
    current_values: list[Value] = []


class Envelope(BaseModel):
    """What the wrapper tells besides the report; all of it may be absent."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    source: str = ""
    model: str = ""
    model_version: str = ""
    dataset: str = ""
    segment: str = ""
    prediction: str = ""
    """Column that holds the prediction."""
    target: str = ""
    """Column that holds the label."""
    environment: str = ""
    region: str = ""
    cohort: str = ""
    """`canary`, `shadow` or `A/B`."""
    check: str = ""
    """Which calculation this is, for reports that do not say: `missing_values`."""
    baseline_window: str = ""
    """What the data was compared with, in words: `training 2026-10`."""
    baseline: float | None = Field(default=None, allow_inf_nan=False)
    """What is usual, for a report about one number."""
    sample_size: Count | None = None
    timestamp: str | int | float | None = None
    window_start: str | int | float | None = None
    """Since when the data was recorded that was checked."""
    url: str = ""
    distributions: dict[str, Spread] = {}
    """Per column, for tools that do not report them."""
    samples: list[Offender] = []

    @property
    def at(self) -> datetime | None:
        """When the data was checked; None when nobody says."""
        try:
            return moment(self.timestamp)
        except BadPayload as error:
            raise BadPayload(error.reason, path="timestamp") from None

    @property
    def since(self) -> datetime | None:
        """Since when the data was recorded that was checked; None when nobody says."""
        try:
            return moment(self.window_start)
        except BadPayload as error:
            raise BadPayload(error.reason, path="window_start") from None

    @property
    def subject(self) -> Subject | None:
        """The model, else the dataset, that the whole report is about."""
        if self.model:
            return Subject.of("model", self.model)
        return Subject.of("dataset", self.dataset) if self.dataset else None

    @property
    def identity(self) -> dict[str, str]:
        """The labels that every alert of the report carries."""
        told = {"model": self.model, "dataset": self.dataset, "model_version": self.model_version}
        told |= {"environment": self.environment, "baseline_window": self.baseline_window}
        return {key: value for key, value in told.items() if value}

    @property
    def offenders(self) -> tuple[Sample, ...]:
        """At most 5 records by reference; links that are none are left out."""
        found = (
            Sample(
                request_id=each.request_id[:255],
                trace_url=link_of(each.trace_url),
                explanation_url=link_of(each.explanation_url),
            )
            for each in self.samples[:MAX_SAMPLES]
        )
        return tuple(sample for sample in found if sample != Sample())

    @property
    def who(self) -> Cohort | None:
        """The cohort, when it is one that we know."""
        return cohort_of({"cohort": self.cohort})

    def distribution(self, column: str) -> Distribution | None:
        """How the column was spread, when the wrapper says so."""
        told = self.distributions.get(column)
        if told is None:
            return None
        if told.reference_values and told.current_values:
            try:
                return spread_of(told.reference_values, told.current_values)
            except ValueError as error:
                raise BadPayload(str(error), path=f"distributions.{column}") from None
        return binned(told.labels, told.reference, told.current, reference_size=told.reference_size)


def opened(body: Any, hook: Hook) -> tuple[Envelope, Any]:  # noqa: ANN401
    """The envelope, completed from the hook's defaults, and the report. A body without `report` is the report; a
    report may be JSON in a text."""
    report = body.get("report") if isinstance(body, dict) else None
    if isinstance(report, str) and report.lstrip()[:1] in ("{", "["):
        report = parsed(report.encode("utf-8", "surrogatepass"))
    wrapped = isinstance(report, (dict, list))
    known = Envelope.model_fields.keys()
    told = {key: value for key, value in body.items() if key in known and value is not None} if wrapped else {}
    defaults = {key: value for key, value in hook.defaults.items() if key in known}
    return shaped(Envelope, defaults | told), report if wrapped else body


def worst_first(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """One alert per fingerprint, in order of appearance: two checks of one thing are firing while either is."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        known = found.get(alert.fingerprint)
        if known is None or (alert.status is Status.FIRING and known.status is not Status.FIRING):
            found[alert.fingerprint] = alert
    return tuple(found.values())
