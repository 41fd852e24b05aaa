"""One alert in our own words: the body of native_alert, and what the expressions of a generic hook make of others."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from tocsin.domain.alert import Alert, Cohort, Distribution, Resolves, Sample, Severity, Status, Symptom
from tocsin.domain.message import Hook, Message
from tocsin.domain.series import MOST_POINTS, MOST_SERIES
from tocsin.domain.subject import Subject
from tocsin.sources._distribution import MAX_BINS, counted
from tocsin.sources._identity import environment_of, symptom_of
from tocsin.sources._native import Labels, Link, Links, Moment, Span, Strict, Word, Words, text_labels
from tocsin.sources._series import Body as SeriesBody
from tocsin.sources._series import series_of
from tocsin.sources._values import MAX_VALUES, Value, spread_of

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SampleBody(Strict):
    """One offending record, by reference only: never its content."""

    request_id: Word = Field(default="", description="Id of the request in your own logs.")
    trace_url: Link = Field(default="", description="Address of its trace.")
    explanation_url: Link = Field(default="", description="Address of its explanation, such as SHAP values.")


class DistributionBody(Strict):
    """How one feature or prediction is spread, in the reference data and now: shares of bins (three lists, equally
    long), or the values themselves, which are binned on arrival and not kept."""

    labels: list[Word] = Field(default=[], max_length=MAX_BINS, description="Names of the bins.")
    reference: list[Share] = Field(default=[], description="Share of each bin in the reference data.")
    current: list[Share] = Field(default=[], description="Share of each bin now.")
    reference_size: int | None = Field(
        default=None, ge=1, lt=2**63, description="Rows in the reference; with `sample_size` the drift can be tested."
    )
    reference_values: list[Value] = Field(
        default=[], max_length=MAX_VALUES, description="Instead of bins: the reference's values, numbers or words."
    )
    current_values: list[Value] = Field(default=[], max_length=MAX_VALUES, description="And those of now.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.reference_values or self.current_values:
            if self.labels or self.reference or self.current:
                raise ValueError("bins and values say the same: send one of them")
            self._binned = spread_of(self.reference_values, self.current_values)
        elif not len(self.labels) == len(self.reference) == len(self.current):
            raise ValueError("labels, reference and current must be equally long")
        elif not self.labels:
            raise ValueError("labels, reference and current are missing, or reference_values and current_values")
        return self

    _binned: Distribution | None = PrivateAttr(default=None)

    @property
    def spread(self) -> Distribution:
        """Either form over its bins."""
        return self._binned or Distribution(
            labels=tuple(self.labels),
            reference=tuple(self.reference),
            current=tuple(self.current),
            reference_size=self.reference_size or counted(self.reference),
            current_size=counted(self.current),
        )


class AlertBody(Strict):
    """One symptom of one subject, as a monitor reports it."""

    name: Word = Field(min_length=1, description="Name of the rule or check; the same for every report of it.")
    subject: Subject = Field(description="What it is about, as `kind:name`, such as `model:churn`.", max_length=255)
    symptom: Symptom | None = Field(
        default=None, description="What is wrong. Left out, it is read from the words of name, metric and summary."
    )
    severity: Severity = Field(default=Severity.WARNING, description="How bad it is.")
    status: Status = Field(default=Status.FIRING, description="`resolved` ends the alert of the same identity.")
    summary: Words = Field(default="", description="One sentence for people. Left out: the name.")
    environment: Word = Field(default="", description="Counts only on a hook whose environment is `*`.")
    starts_at: Moment = Field(default=None, description="Since when. Left out: since it was received.")
    ends_at: Moment = Field(default=None, description="When it ended; only with `resolved`.")
    window_starts_at: Moment = Field(
        default=None, description="Since when the data was recorded that was checked; for checks that look at hours."
    )
    resource: Word = Field(default="", description="Which of several alike: a pod, an instance. Part of the identity.")
    segment: Word = Field(default="", description="Which part of the data or users. Part of the identity.")
    region: Word = Field(default="", description="Where.")
    cohort: Cohort | None = Field(default=None, description="Who is served: canary, shadow or A/B.")
    metric: Word = Field(default="", description="What was measured, such as `psi`. Part of the identity.")
    observed: Number | None = Field(default=None, description="The measured value, in the metric's unit.")
    threshold: Number | None = Field(default=None, description="The limit that it broke.")
    baseline: Number | None = Field(default=None, description="What is usual.")
    sample_size: int | None = Field(default=None, ge=0, lt=2**63, description="How many records were measured.")
    distribution: DistributionBody | None = Field(default=None, description="How the values moved.")
    model_version: Word = Field(default="", description="Version of the ML model that was measured.")
    per_version: bool = Field(default=False, description="True when each version has an alert of its own.")
    samples: list[SampleBody] = Field(default=[], max_length=5, description="Offending records, by reference.")
    series: SeriesBody = Field(
        default=[],
        description="What was measured lately, before and after it began: tells when trouble began, and tests causes."
        f" At most {MOST_SERIES} of {MOST_POINTS} points count, the latest. What cannot be read costs no alert.",
    )
    labels: Labels = Field(default={}, description="Anything else worth knowing.")
    links: Links = Field(default={}, description="Name → address: `runbook`, `dashboard` and others.")
    sender_key: Word = Field(
        default="",
        description="Your own id of this alert. Reported under several, it fires while any of them does.",
    )
    resolves: Resolves = Field(
        default=Resolves.SENDER,
        description="How it ends: `sender` says so, `next_pass` of the same check, or by `expiry`.",
    )
    expires_after: Span = Field(default=None, description="It ends when not reported for this long: `30m`, `24h`.")


def alert_of(body: AlertBody, message: Message, hook: Hook, *, source: str) -> Alert:
    """The alert that a body in our own words says."""
    labels = text_labels(body.labels, hook.defaults)
    place = {**labels, "environment": body.environment} if body.environment else labels
    same: dict[str, Any] = {field: getattr(body, field) for field in _SAME}
    return Alert(
        hook=hook.name,
        source=source,
        environment=environment_of(place, hook),
        symptom=body.symptom or symptom_of(labels, body.name, body.metric, body.summary),
        summary=body.summary or body.name,
        received_at=message.received_at,
        ends_at=_end(body),
        distribution=body.distribution.spread if body.distribution else None,
        samples=tuple(Sample(**sample.model_dump()) for sample in body.samples),
        series=series_of(body.series, body.subject, received_at=message.received_at)[0],
        labels=labels,
        **same,
    )


def unread(body: AlertBody, message: Message) -> str:
    """Why some of its measured courses were not read; empty: all were."""
    return series_of(body.series, body.subject, received_at=message.received_at)[1]


_SAME = sorted(
    {*AlertBody.model_fields}
    - {"environment", "symptom", "summary", "ends_at", "distribution", "samples", "series", "labels"}
)
"""Fields that pass as they are."""


def _end(body: AlertBody) -> datetime | None:
    return body.ends_at if body.status is Status.RESOLVED else None
