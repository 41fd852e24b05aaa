"""Groups as Alertmanagers of every age and pairs of them send them: one alert stays one alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Alert, Status
from tocsin.sources import find
from tocsin.sources._labelled import REPLICA_LABELS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOOK = hook_of("alertmanager")
LABELS = {"alertname": "TargetDown", "job": "scoring", "instance": "10.2.0.1:8080", "severity": "critical"}


def one(**more: Any) -> dict[str, Any]:
    alert = {"status": "firing", "labels": LABELS, "annotations": {}, "startsAt": "2026-11-21T11:40:05.412Z"}
    return {**alert, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", **more}


def group(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "tocsin", "alerts": [*alerts], "groupKey": "{}:{}", **more}


def read(body: object) -> tuple[Alert, ...]:
    return find("alertmanager").normalize(message_of(orjson.dumps(body), HOOK, NOW), HOOK).alerts


@pytest.mark.parametrize("label", REPLICA_LABELS)
def test_the_twins_of_a_pair_report_one_alert_under_two_keys(label: str) -> None:
    twins = [read(group(one(labels={**LABELS, label: name})))[0] for name in ("a", "b")]
    assert len({alert.fingerprint for alert in twins}) == 1
    assert len({alert.sender_key for alert in twins}) == 2
    assert all(label not in alert.labels for alert in twins)


def test_both_alertmanagers_of_a_cluster_send_one_body_of_one_alert() -> None:
    first, again = (read(group(one(fingerprint="0a1b"), externalURL=f"http://am-{n}:9093"))[0] for n in (0, 1))
    assert (first.fingerprint, first.sender_key) == (again.fingerprint, again.sender_key)


def test_version_3_and_4_and_prometheus_itself_tell_of_one_alert() -> None:
    older = group(one(), version="3", groupKey=5615590933959184469)
    direct = [{key: value for key, value in one().items() if key != "status"}]
    assert len({read(body)[0].fingerprint for body in (older, group(one(fingerprint="0a1b")), direct)}) == 1


@pytest.mark.parametrize(("cut", "span"), [(0, None), (3, timedelta(hours=24)), ("3", None), (None, None), (-1, None)])
def test_alerts_of_a_cut_group_end_by_themselves(cut: object, span: timedelta | None) -> None:
    (alert,) = read(group(one(), truncatedAlerts=cut))
    assert alert.expires_after == span


@given(minutes=st.integers(-600, 600))
def test_what_prometheus_posts_fires_until_its_end_is_past(minutes: int) -> None:
    ends = NOW + timedelta(minutes=minutes)
    (alert,) = read(
        [{"labels": LABELS, "annotations": {}, "startsAt": "2026-11-21T01:00:00Z", "endsAt": ends.isoformat()}]
    )
    assert (alert.status is Status.RESOLVED) == (minutes <= 0)
    assert alert.ends_at == (ends if minutes <= 0 else None)


@given(order=st.permutations([0, 1, 2]))
def test_the_order_of_a_group_does_not_matter(order: list[int]) -> None:
    alerts = [one(labels={**LABELS, "instance": f"10.2.0.{n}:8080"}) for n in order]
    assert {alert.resource for alert in read(group(*alerts))} == {f"10.2.0.{n}:8080" for n in range(3)}
