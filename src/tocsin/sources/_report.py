"""Whose report is this? The envelope in which a wrapper posts the report of an ML or data validator.

Validators write reports without model, dataset or time (reference/sources.md §2.4). The identity stands in an envelope
`{"source": …, "model": …, "dataset": …, "timestamp": …, "report": {…}}`, or in the hook's defaults.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from tocsin.domain.alert import Alert, Status
from tocsin.domain.message import Hook
from tocsin.domain.subject import Subject
from tocsin.sources._json import shaped
from tocsin.sources._shape import Count
from tocsin.sources._times import moment


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
    sample_size: Count | None = None
    timestamp: str | int | float | None = None
    url: str = ""

    @property
    def at(self) -> datetime | None:
        """When the data was checked; None when nobody says."""
        return moment(self.timestamp)

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
        return {key: value for key, value in (told | {"environment": self.environment}).items() if value}


def opened(body: dict[str, Any], hook: Hook) -> tuple[Envelope, dict[str, Any]]:
    """The envelope, completed from the hook's defaults, and the report. A body without `report` is the report."""
    report = body.get("report")
    wrapped = isinstance(report, dict)
    known = Envelope.model_fields.keys()
    told = {key: value for key, value in body.items() if key in known and value is not None} if wrapped else {}
    defaults = {key: value for key, value in hook.defaults.items() if key in known}
    return shaped(Envelope, defaults | told), report if isinstance(report, dict) else body


def worst_first(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """One alert per fingerprint, in order of appearance: two checks of one thing are firing while either is."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        known = found.get(alert.fingerprint)
        if known is None or (alert.status is Status.FIRING and known.status is not Status.FIRING):
            found[alert.fingerprint] = alert
    return tuple(found.values())
