"""Since when did the check look? What the cloud monitors say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.sources.reading import FIXTURES, hook_of, message_of
from tocsin.sources import find
from tocsin.sources._times import window_start

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(("hours", "told"), [(1, True), (24, True), (0.5, False), (0, False), (-1, False)])
def test_a_window_of_an_hour_or_more_tells_since_when(hours: float, told: bool) -> None:
    since = NOON - timedelta(hours=hours)
    assert window_start(since.isoformat(), NOON) == (since if told else None)


@pytest.mark.parametrize("odd", ["2019-12-01T16: 20: 00Z", "", None, [], "0001-01-01T00:00:00Z", "soon"])
def test_what_is_no_time_costs_no_alert(odd: object) -> None:
    assert window_start(odd, NOON) is None


def test_an_hourly_cloudwatch_alarm_looked_at_its_data_points() -> None:
    body = orjson.loads((FIXTURES / "cloudwatch" / "eventbridge_alarm.json").read_bytes())
    body["detail"]["state"]["reasonData"] = orjson.dumps({"startDate": "2026-11-21T09:00:00.000+0000"}).decode()
    hook = hook_of("cloudwatch")
    [alert] = find("cloudwatch").normalize(message_of(orjson.dumps(body), hook, NOON), hook).alerts
    assert alert.window_starts_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
