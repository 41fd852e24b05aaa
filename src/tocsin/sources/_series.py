"""Measured courses that come with an alert, in our own words: `[{"metric": …, "points": [[time, number], …]}]`.

They are evidence and no more: what cannot be read is told, and costs no alert."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import WithJsonSchema

from tocsin.domain.errors import BadPayload
from tocsin.domain.series import Series, latest
from tocsin.domain.subject import Subject
from tocsin.sources._json import kind_of, number
from tocsin.sources._times import moment

AHEAD = timedelta(minutes=2)
"""A sender's clock may be this far ahead of our receipt (design.md §2); later points are none."""
MOST_READ = 5_000
"""Points of one series that are looked at: the last ones."""

Body = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["metric", "points"],
                "properties": {
                    "metric": {"type": "string", "maxLength": 255},
                    "points": {
                        "type": "array",
                        "items": {
                            "type": "array",
                            "minItems": 2,
                            "maxItems": 2,
                            "prefixItems": [
                                {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]},
                                {"type": ["number", "null"]},
                            ],
                        },
                    },
                },
            },
        }
    ),
]


def series_of(told: object, subject: Subject, *, received_at: datetime) -> tuple[tuple[Series, ...], str]:
    """The courses, and why some were not read (empty: all were). Of too many, the latest."""
    if not isinstance(told, list):
        return (), f"series: expected a list, found {kind_of(told)}"
    found, why = [], ""
    for n, one in enumerate(told):
        try:
            found.append(_series(one, subject, received_at + AHEAD))
        except BadPayload as error:
            why = why or f"series.{n}{error.path}: {error.reason}"
    return latest(tuple(found)), why


def _series(one: object, subject: Subject, until: datetime) -> Series:
    metric = one.get("metric") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(metric, str) or not 0 < len(metric) <= 255:
        raise BadPayload("expected an object with a metric", path="")
    listed = one.get("points")
    if not isinstance(listed, list):
        raise BadPayload(f"expected a list, found {kind_of(listed)}", path=".points")
    points = (_point(point, n) for n, point in enumerate(listed[-MOST_READ:], start=max(0, len(listed) - MOST_READ)))
    told = tuple(point for point in points if point is not None and point[0] <= until)
    return Series(subject=subject, metric=metric, points=told)


def _point(point: object, n: int) -> tuple[datetime, float] | None:
    """None for a gap: a moment without a value."""
    if not isinstance(point, list) or len(point) != 2:
        raise BadPayload("expected a time and a number", path=f".points.{n}")
    if point[1] is None:
        return None
    try:
        at = moment(point[0])
    except BadPayload as error:
        raise BadPayload(error.reason, path=f".points.{n}.0") from None
    value = number(point[1])
    if at is None or value is None or isinstance(point[1], (str, bool)):
        raise BadPayload("expected a time and a number", path=f".points.{n}")
    return at, value
