"""MLflow signs delivery id, time and body; retries keep the first attempt's time."""

from __future__ import annotations

import base64
import hmac
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sources.reading import hook_of, message_of
from tocsin.domain.message import Message
from tocsin.sources.mlflow import REPLAY_WINDOW, verify

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = Path(os.environ.get("TOCSIN_CORPUS") or ROOT / "../shared/payloads") / "_captures" / "mlflow_signed.jsonl"
needs_captures = pytest.mark.skipif(not CAPTURES.is_file(), reason=f"no captures at {CAPTURES} (set TOCSIN_CORPUS)")

SECRET = "whsec-ours"
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def signed(body: bytes = b'{"entity": "x"}', *, at: datetime = NOW, received_at: datetime = NOW) -> Message:
    stamp = str(int(at.timestamp()))
    digest = hmac.new(SECRET.encode(), b"d-1." + stamp.encode() + b"." + body, "sha256").digest()
    headers = {
        "X-MLflow-Delivery-Id": "d-1",
        "X-MLflow-Timestamp": stamp,
        "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
    }
    return message_of(body, hook_of("mlflow"), received_at, headers)


def deliveries() -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in CAPTURES.read_text("utf-8").splitlines()]
    return [row for row in rows if "X-MLflow-Signature" in row["headers"]]


def captured(row: dict[str, Any]) -> Message:
    received_at = datetime.fromtimestamp(row["t"], tz=UTC)
    return message_of(row["body"].encode(), hook_of("mlflow"), received_at, row["headers"])


@needs_captures
def test_every_real_delivery_verifies_and_one_changed_byte_does_not() -> None:
    rows = deliveries()
    assert len(rows) == 11
    for row in rows:
        message = captured(row)
        assert verify(message, (row["secret"],)).verdict == "verified"
        spoilt = replace(message, body=message.body[:-2] + b" " + message.body[-1:])
        assert verify(spoilt, (row["secret"],)).verdict == "refused"
        assert verify(message, ("another secret",)).verdict == "refused"


def test_either_secret_verifies_while_it_is_rotated() -> None:
    assert verify(signed(), ("older", SECRET)).verdict == "verified"


def test_a_retry_of_half_an_hour_ago_still_verifies() -> None:
    assert verify(signed(at=NOW - timedelta(minutes=30)), (SECRET,)).verdict == "verified"


@pytest.mark.parametrize("away", [-REPLAY_WINDOW - timedelta(seconds=2), REPLAY_WINDOW + timedelta(seconds=2)])
def test_a_replay_outside_the_window_is_refused(away: timedelta) -> None:
    assert verify(signed(at=NOW + away), (SECRET,)).verdict == "refused"


@pytest.mark.parametrize("header", ["x-mlflow-delivery-id", "x-mlflow-timestamp"])
def test_the_signature_covers_delivery_id_and_time(header: str) -> None:
    message = signed()
    changed = replace(message, headers={**message.headers, header: "1795262399"})
    assert verify(changed, (SECRET,)).verdict == "refused"


def test_an_unsigned_delivery_needs_the_shared_secret() -> None:
    hook = hook_of("mlflow")
    assert verify(message_of(b"{}", hook, NOW), (SECRET,)).verdict == "refused"
    assert verify(message_of(b"{}", hook, NOW, {"X-Tocsin-Token": SECRET}), (SECRET,)).verdict == "verified"


def test_a_wrong_signature_is_not_saved_by_a_shared_secret() -> None:
    message = signed()
    headers = {**message.headers, "x-mlflow-signature": "v1,AAAA", "x-tocsin-token": SECRET}
    assert verify(replace(message, headers=headers), (SECRET,)).verdict == "refused"
