"""Measured courses in our own alert JSON: bounded, lenient, and described in its schema."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Normalized
from tocsin.domain.series import MOST_POINTS, MOST_SERIES, Series, latest
from tocsin.domain.subject import Subject
from tocsin.sources import find
from tocsin.sources._alert_body import AlertBody

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CHECKOUT = Subject("service:checkout")


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def read(series: object) -> Normalized:
    hook = hook_of("native_alert")
    body = {"name": "ErrorRatio", "subject": "service:checkout", "series": series}
    return find("native_alert").normalize(message_of(orjson.dumps(body), hook, NOW), hook)


def points(*minutes: float) -> list[list[Any]]:
    return [[at(m).isoformat(), m] for m in minutes]


def test_points_are_read_in_any_spelling_of_time_and_gaps_are_left_out() -> None:
    listed = [[at(-2).timestamp(), 1], ["2026-11-21T11:59:00Z", 2.5], [at(0).isoformat(), None]]
    [alert] = read([{"metric": "error_ratio", "points": listed}]).alerts
    assert alert.series == (Series(subject=CHECKOUT, metric="error_ratio", points=((at(-2), 1.0), (at(-1), 2.5))),)


def test_of_too_many_the_latest_are_kept() -> None:
    many = [{"metric": f"m{n:02d}", "points": points(-n - 1)} for n in range(MOST_SERIES + 3)]
    [alert] = read(many).alerts
    assert [one.metric for one in alert.series] == [f"m{n:02d}" for n in range(MOST_SERIES)]
    [alert] = read([{"metric": "m", "points": points(*range(-400, 0))}]).alerts
    assert alert.series[0].points[0] == (at(-MOST_POINTS), -MOST_POINTS)


def test_points_that_have_not_happened_yet_are_none() -> None:
    [alert] = read([{"metric": "m", "points": points(-1, 1, 30)}]).alerts
    assert [moment for moment, _ in alert.series[0].points] == [at(-1), at(1)]


@pytest.mark.parametrize(
    ("series", "why"),
    [
        ("none", "series: expected a list, found a string"),
        ([3], "series.0: expected an object with a metric"),
        ([{"points": []}], "series.0: expected an object with a metric"),
        ([{"metric": "m", "points": {}}], "series.0.points: expected a list, found an object"),
        ([{"metric": "m", "points": [[1]]}], "series.0.points.0: expected a time and a number"),
        ([{"metric": "m", "points": [["soon", 1]]}], "series.0.points.0.0: 'soon' is not a time"),
        ([{"metric": "m", "points": [[NOW.isoformat(), "1"]]}], "series.0.points.0: expected a time and a number"),
        ([{"metric": "m", "points": [[0, 1]]}], "series.0.points.0: expected a time and a number"),
    ],
)
def test_a_wrong_shape_is_named_and_the_alert_counts(series: object, why: str) -> None:
    said = read(series)
    assert (len(said.alerts), said.alerts[0].series, said.ignored) == (1, (), why)


def test_the_schema_describes_what_is_read() -> None:
    schema = AlertBody.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator({**schema["properties"]["series"], "$defs": schema.get("$defs", {})})
    good = [{"metric": "error_ratio", "points": [["2026-11-21T11:59:00Z", 0.2], [1795262400, None]]}]
    assert validator.is_valid(good)
    assert not validator.is_valid([{"metric": "error_ratio", "points": [["2026-11-21T11:59:00Z"]]}])


moments = st.integers(-600, 0).map(at)
courses = st.builds(
    Series,
    subject=st.just(CHECKOUT),
    metric=st.sampled_from([f"m{n}" for n in range(12)]),
    points=st.lists(st.tuples(moments, st.floats(0, 1)), min_size=1, max_size=300).map(tuple),
)


@given(st.lists(courses, max_size=6).map(tuple), st.randoms())
def test_taking_together_does_not_depend_on_the_order(series: tuple[Series, ...], chance: Any) -> None:
    shuffled = list(series)
    chance.shuffle(shuffled)
    assert latest(tuple(shuffled)) == latest(series)
    assert latest(latest(series)) == latest(series)
