"""What real senders posted: every body is read, ignored for a reason, or refused as BadPayload; never anything else."""

from __future__ import annotations

import csv
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Normalized
from tocsin.sources import find, names

FOLDERS: dict[str, str] = {
    "airflow_callback": "airflow",
    "evidently": "evidently",
    "github": "github",
    "great_expectations": "great_expectations",
    "jira": "jira",
    "mlflow": "mlflow",
    "openlineage": "openlineage",
    "pagerduty": "pagerduty",
    "airflow_via_alertmanager": "alertmanager",
    "alertmanager": "alertmanager",
    "grafana": "grafana",
    "grafana_legacy": "grafana",
}
"""Folder of the corpus → source."""

REFUSED = {
    "openlineage/dbt_dbt_": "'{{ is_datetime",
    "openlineage/event_no_run_id.json": "run.runId: Field required",
    "pagerduty/alerta_pagerduty_alert.json": "a webhook of version 1 or 2",
    "pagerduty/zulip_auto_resolved.json": "a webhook of version 1 or 2",
    "pagerduty/zulip_mp_fail.json": "a webhook of version 1 or 2",
    "pagerduty/zulip_resolve_v2.json": "a webhook of version 1 or 2",
    "pagerduty/zulip_trigger_v2.json": "a webhook of version 1 or 2",
    "alertmanager/keep_HighCPUUsage.json": "alerts: expected the list",
    "alertmanager/keep_MQFull_Message_queue_is_full_.json": "alerts: expected the list",
    "alertmanager/keep_MQThirdFull_Message_queue_is_over_33_.json": "alerts: expected the list",
    "grafana/keep_NetworkLatencyIsHigh.json": "alerts: expected the list",
    "grafana_legacy/": "ruleId: this is legacy alerting",
}
"""Bodies that must be refused, and how: they are rules or templates of other tools, or formats we leave out."""

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("TOCSIN_CORPUS") or ROOT / "../shared/payloads")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

needs_corpus = pytest.mark.skipif(
    not (CORPUS / "index.csv").is_file(), reason="no payload corpus here (set TOCSIN_CORPUS to its folder)"
)


def rows() -> list[Any]:
    if not (CORPUS / "index.csv").is_file():
        return []
    with (CORPUS / "index.csv").open(newline="", encoding="utf-8") as table:
        return [
            pytest.param(row["path"], id=row["path"])
            for row in csv.DictReader(table)
            if FOLDERS.get(row["path"].partition("/")[0]) in names()
        ]


def read(path: str) -> Normalized:
    source = FOLDERS[path.partition("/")[0]]
    hook = hook_of(source, defaults={"model": "churn"})
    return find(source).normalize(message_of((CORPUS / path).read_bytes(), hook, NOW, headers_of(path)), hook)


def headers_of(path: str) -> dict[str, str]:
    """Headers that the corpus does not keep but the source needs, such as the event's type."""
    folder, _, name = path.partition("/")
    if folder == "github":
        return {"X-GitHub-Event": name.removeprefix("ghes34__").partition("__")[0]}
    return {}


@needs_corpus
@pytest.mark.parametrize("path", rows())
def test_a_real_body_is_read_or_refused_for_a_reason(path: str) -> None:
    reason = next((reason for start, reason in REFUSED.items() if path.startswith(start)), None)
    if reason:
        with pytest.raises(BadPayload, match=f"^{reason}"):
            read(path)
        return
    said = read(path)
    assert said.ignored or said.alerts or said.changes or said.record_updates
    moments = [t for a in said.alerts for t in (a.starts_at, a.ends_at) if t] + [c.occurred_at for c in said.changes]
    assert all(t.utcoffset() == NOW.utcoffset() for t in moments)


@needs_corpus
def test_a_recorded_alertmanager_run_keeps_each_alert_under_one_fingerprint() -> None:
    lines = (CORPUS / "_captures/alertmanager_timeline.jsonl").read_text("utf-8").splitlines()
    hook = hook_of("alertmanager")
    keys: dict[str, set[str]] = {}
    statuses = set()
    for delivery in map(json.loads, lines):
        message = message_of(delivery["body"].encode(), hook, NOW, delivery["headers"])
        for alert in find("alertmanager").normalize(message, hook).alerts:
            keys.setdefault(alert.sender_key, set()).add(alert.fingerprint)
            statuses.add(alert.status)
            assert alert.starts_at
            assert (alert.ends_at is None) == (alert.status is Status.FIRING)
    assert all(len(fingerprints) == 1 for fingerprints in keys.values())
    assert statuses == {Status.FIRING, Status.RESOLVED}


@needs_corpus
def test_the_recorded_bearer_verifies_and_another_one_does_not() -> None:
    lines = (CORPUS / "_captures/alertmanager_timeline.jsonl").read_text("utf-8").splitlines()
    delivery = next(d for d in map(json.loads, lines) if "Authorization" in d["headers"])
    message = message_of(delivery["body"].encode(), hook_of("alertmanager"), NOW, delivery["headers"])
    secret = delivery["headers"]["Authorization"].removeprefix("Bearer ")
    assert find("alertmanager").verify(message, ("old", secret)).verdict == "verified"
    assert find("alertmanager").verify(message, ("old",)).verdict == "refused"
