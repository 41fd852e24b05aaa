"""A measured course, as a sender or a case file brings it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.domain.subject import Subject

MOST_SERIES, MOST_POINTS = 8, 240
"""Of one alert: four hours of minutes each (judgement; bounds what is kept and looked at)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A metric that is measured per version is named `metric@version`."""

    subject: Subject
    metric: str
    points: tuple[tuple[datetime, float], ...]


def latest(series: tuple[Series, ...]) -> tuple[Series, ...]:
    """One course for each metric of each subject, with its latest MOST_POINTS points (of one moment the largest value);
    of more than MOST_SERIES those that reach farthest. However it is taken together, the same comes out."""
    points: dict[tuple[Subject, str], dict[datetime, float]] = {}
    for one in series:
        known = points.setdefault((one.subject, one.metric), {})
        for at, value in one.points:
            known[at] = max(value, known.get(at, value))
    found = [
        Series(subject=subject, metric=metric, points=tuple(sorted(known.items())[-MOST_POINTS:]))
        for (subject, metric), known in sorted(points.items())
        if known
    ]
    return tuple(sorted(found, key=lambda one: one.points[-1][0], reverse=True)[:MOST_SERIES])
