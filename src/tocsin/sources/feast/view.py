"""When was a feature view last brought into the online store? Feature views of Feast's registry, and ages in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from tocsin.domain.alert import Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.subject import Subject
from tocsin.sources._finding import Finding
from tocsin.sources._times import moment

_TTL = re.compile(r"(\d{1,12})(?:\.\d*)?s?")


class _Interval(BaseModel):
    end: Any = Field(default=None, validation_alias=AliasChoices("endTime", "end_time"))


class _Meta(BaseModel):
    intervals: list[_Interval] = Field(
        default=[], validation_alias=AliasChoices("materializationIntervals", "materialization_intervals")
    )


class _Spec(BaseModel):
    name: str
    project: str = ""
    ttl: str | int | float | None = None


class View(BaseModel):
    """A feature view of the registry."""

    spec: _Spec
    meta: _Meta = _Meta()


def materialized(view: View, max_age: timedelta | None, now: datetime, path: str) -> Iterator[Finding]:
    """When a feature view was last brought into the online store, against its time to live."""
    ends = []
    for n, interval in enumerate(view.meta.intervals):
        try:
            ends.append(moment(interval.end))
        except BadPayload as error:
            raise BadPayload(error.reason, path=f"{path}meta.materializationIntervals.{n}.endTime") from None
    last = max((end for end in ends if end is not None), default=None)
    limit = max_age or _ttl(view.spec.ttl)
    if last is None or not limit or not view.spec.name.strip():
        return
    found = aged(f"{view.spec.name}: last materialized", "feature view freshness", last, limit, now)
    facts = {"dataset": view.spec.name, "project": view.spec.project}
    yield replace(found, subject=Subject.of("dataset", view.spec.name), facts=facts)


def aged(what: str, check: str, last: datetime, limit: timedelta, now: datetime) -> Finding:
    """Stale since the moment at which the limit passed."""
    age = max(now - last, timedelta())
    stale = age > limit
    return Finding(
        check=check,
        symptom=Symptom.FRESHNESS,
        status=Status.FIRING if stale else Status.RESOLVED,
        severity=Severity.WARNING,
        summary=f"{what} {_hours(age)} ago, allowed {_hours(limit)}",
        metric="freshness_seconds",
        observed=age.total_seconds(),
        threshold=limit.total_seconds(),
        at=last + limit if stale else now,
    )


def _hours(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:,.0f} h" if hours >= 10 else f"{hours:.1f} h"


def _ttl(told: object) -> timedelta | None:
    """`86400s`, `86400.5s` or seconds; 0 is for ever."""
    found = _TTL.fullmatch(str(told).strip()) if told is not None else None
    seconds = int(found[1]) if found else 0
    return timedelta(seconds=seconds) if 0 < seconds < 10**10 else None
