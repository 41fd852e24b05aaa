"""What real senders posted: every body is read, ignored for a reason, or refused as BadPayload; never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from benchmarks.corpus.__main__ import fuzzed
from benchmarks.corpus.bodies import CORPUS, GOLDEN, NOW, Body, bodies, facts, is_here

from tests.sources.reading import hook_of, message_of
from tocsin.domain.alert import Status
from tocsin.sources import find

needs_corpus = pytest.mark.skipif(not is_here(), reason=f"no payload corpus at {CORPUS} (set TOCSIN_CORPUS)")
COPIES = 5
"""Mutilated copies of each body here; `make corpus` makes 50."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


@needs_corpus
@pytest.mark.parametrize("body", [pytest.param(body, id=body.path) for body in bodies()])
def test_a_real_body_reads_as_the_golden_file_says(body: Body, golden: dict[str, Any]) -> None:
    assert json.loads(json.dumps(facts(body))) == golden[body.path], "run `make corpus ACCEPT=1`, then read the file"
    assert fuzzed(body, COPIES, seed=0) == []


@needs_corpus
def test_every_folder_has_its_source() -> None:
    assert sorted({body.folder for body in bodies() if "no_source" in facts(body)[0]}) == []


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
