"""A sender that nobody knew: read by the mappings' expressions, verified as it signs, told where it no longer fits."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from pydantic import ValidationError

from tests.sources.reading import hook_of, message_of
from tocsin.config.reads import AlertReadsIn, ChangeReadsIn, ReadsIn
from tocsin.domain.errors import BadPayload
from tocsin.sources import of
from tocsin.sources._alert_body import AlertBody
from tocsin.sources._change_body import ChangeBody

SAYS = {"name": "title", "subject": {"service": "app"}}


def read(reads: dict[str, Any], body: object, now: datetime, headers: dict[str, str] | None = None) -> Any:
    hook = hook_of("generic", reads=reads)
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return of(hook).normalize(message_of(raw, hook, now, headers), hook)


def test_every_field_of_our_own_words_can_be_given_an_expression() -> None:
    said_by_hook = {"resolves", "expires_after", "per_version"}
    only_native = {"samples", "distribution", "series"}
    assert {*AlertReadsIn.model_fields} - {"when", "resolved"} == {*AlertBody.model_fields} - said_by_hook - only_native
    assert {*ChangeReadsIn.model_fields} - {"when", "links"} == {*ChangeBody.model_fields}


def test_what_it_reads_goes_by_the_hook_s_name(fixed_now: datetime) -> None:
    [alert] = read({"alerts": [SAYS]}, {"title": "Disk full", "app": "search"}, fixed_now).alerts
    assert (alert.source, alert.hook, alert.subject, alert.symptom) == (
        "generic-hook",
        "generic-hook",
        "service:search",
        "saturation",
    )


@pytest.mark.parametrize(
    ("word", "status"), [("OK", "resolved"), ("closed", "resolved"), ("firing", "firing"), ("odd", "firing")]
)
def test_usual_words_of_an_end_are_known(word: str, status: str, fixed_now: datetime) -> None:
    [alert] = read({"alerts": [{**SAYS, "status": "s"}]}, {"title": "t", "app": "a", "s": word}, fixed_now).alerts
    assert alert.status == status


def test_times_in_the_sender_s_own_form_and_zone(fixed_now: datetime) -> None:
    reads = {
        "alerts": [{**SAYS, "starts_at": "at"}],
        "time_format": "%d.%m.%Y %H:%M",
        "time_zone": "Europe/Vienna",
    }
    [alert] = read(reads, {"title": "t", "app": "a", "at": "21.11.2026 12:30"}, fixed_now).alerts
    assert alert.starts_at.isoformat() == "2026-11-21T11:30:00+00:00"
    with pytest.raises(BadPayload, match="starts_at: 'noon' is not a time like"):
        read(reads, {"title": "t", "app": "a", "at": "noon"}, fixed_now)


def test_event_types_in_headers_json_in_strings_and_forms(fixed_now: datetime) -> None:
    reads = {
        "each": "parse_json(data).items",
        "alerts": [{**SAYS, "when": "header('X-Event') == 'alarm'", "labels": {"tenant": "root().tenant"}}],
    }
    body = {"tenant": "t1", "data": '{"items": [{"title": "Slow", "app": "search"}]}'}
    [alert] = read(reads, body, fixed_now, {"X-Event": "alarm"}).alerts
    assert alert.labels["tenant"] == "t1"
    assert read(reads, body, fixed_now, {"X-Event": "other"}).ignored == "no condition of the hook's reads holds"
    form = urlencode({"title": "Slow", "app": "search"}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    [posted] = read({"alerts": [SAYS]}, form, fixed_now, headers).alerts
    assert posted.subject == "service:search"


def test_a_body_that_changed_is_refused_by_the_field_that_no_longer_fits(fixed_now: datetime) -> None:
    reads = {"each": "events", "alerts": [{**SAYS, "observed": "value"}]}
    with pytest.raises(BadPayload, match=r"0\.name: Field required"):
        read(reads, {"events": [{"headline": "t", "app": "a"}]}, fixed_now)
    with pytest.raises(BadPayload, match=r"0\.observed: 'value' gives an object"):
        read(reads, {"events": [{"title": "t", "app": "a", "value": {"x": 1}}]}, fixed_now)
    with pytest.raises(BadPayload, match="each: 'events' gives null, not a list"):
        read(reads, {"event": []}, fixed_now)


def test_a_sender_that_signs_is_held_to_its_signature() -> None:
    reads = {"alerts": [SAYS], "signature": {"header": "X-Sig", "prefix": "v1="}, "message_id": "header('x-id')"}
    hook = hook_of("generic", reads=reads)
    source = of(hook)
    body = b'{"title": "t"}'
    good = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    signed = message_of(body, hook, None, {"X-Sig": f"v1={good}", "X-Id": "77"})
    assert source.verify(signed, ("old", "s3cret")).verdict == "verified"
    assert source.message_id(signed) == "77"
    assert (
        source.verify(message_of(body, hook, None, {"Authorization": "Bearer s3cret"}), ("s3cret",)).verdict
        == "refused"
    )


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ({"alerts": [{"name": "a["}]}, "is no JMESPath expression"),
        ({"each": "events"}, "reads neither alerts nor changes"),
        ({"alerts": [{"name": {"table": {"a": "b"}}}]}, "needs either `from`"),
        ({"alerts": [SAYS], "resolves": "expiry"}, "needs expires_after"),
        ({"alerts": [{**SAYS, "tittle": "x"}]}, "Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_found_before_the_first_message(reads: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ReadsIn.model_validate(reads)
