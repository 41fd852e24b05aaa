"""Uptime, log and error monitors: how they sign, how they spell, and that an end finds its beginning."""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from tests.sources.reading import FIXTURES, hook_of, message_of
from tocsin.domain.alert import Alert, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message
from tocsin.sources import find
from tocsin.sources._flat import Fields, fields_of, said, tags_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BODY = b'{"event": "updated"}'
SECRET = "k3y"

UNSIGNED = [
    "appdynamics",
    "axiom",
    "checkmk",
    "coralogix",
    "dash0",
    "freshping",
    "freshstatus",
    "graylog",
    "honeybadger",
    "librato",
    "librenms",
    "pingdom",
    "raygun",
    "riemann",
    "rollbar",
    "statuspage",
    "thinkst",
    "updown",
    "uptimerobot",
    "vmware_vrealize",
    "wazuh",
]


def message(source: str, body: bytes = BODY, **headers: str) -> Message:
    return message_of(body, hook_of(source), NOW, {name.replace("_", "-"): value for name, value in headers.items()})


def alert_of(source: str, fixture: str) -> Alert:
    body = (FIXTURES / source / f"{fixture}.json").read_bytes()
    (found,) = find(source).normalize(message(source, body), hook_of(source)).alerts
    return found


def signature(algorithm: str = "sha256", secret: str = SECRET, body: bytes = BODY) -> bytes:
    return hmac.new(secret.encode(), body, algorithm).digest()


@pytest.mark.parametrize(
    ("source", "header", "value"),
    [
        ("checkly", "X_Checkly_Signature", signature().hex()),
        ("checkly", "X_Checkly_Signature", f"sha256={signature().hex()}"),
        ("signalfx", "X_SFX_Signature", base64.b64encode(signature()).decode()),
        ("netbox", "X_Hook_Signature", signature("sha512").hex()),
    ],
)
def test_a_signature_verifies_with_any_of_the_secrets_and_not_after_one_changed_byte(
    source: str, header: str, value: str
) -> None:
    signed = message(source, BODY, **{header: value})
    verify = find(source).verify
    assert verify(signed, ("new", SECRET)).verdict == "verified"
    assert verify(signed, ("new",)).verdict == "refused"
    assert verify(replace(signed, body=BODY + b" "), (SECRET,)).verdict == "refused"
    assert verify(message(source), (SECRET,)).verdict == "refused"


@pytest.mark.parametrize("source", [*UNSIGNED, "checkly", "signalfx", "netbox"])
def test_where_nothing_is_signed_the_secret_may_stand_in_the_address(source: str) -> None:
    verify = find(source).verify
    assert verify(replace(message(source), query={"token": SECRET}), (SECRET,)).verdict == "verified"
    assert verify(message(source, Authorization=f"Bearer {SECRET}"), (SECRET,)).verdict == "verified"
    assert verify(replace(message(source), query={"token": "other"}), (SECRET,)).verdict == "refused"


@pytest.mark.parametrize(
    ("source", "begins", "ends"),
    [
        ("appdynamics", "violation_starts", "violation_ends"),
        ("axiom", "threshold_opens", "threshold_closes"),
        ("checkly", "failure", "recovery"),
        ("checkly", "degraded", "recovery"),
        ("checkmk", "service_problem", "service_recovery"),
        ("coralogix", "notification_center", "notification_center_resolved"),
        ("coralogix", "trigger", "resolve"),
        ("dash0", "critical", "resolved"),
        ("freshping", "degraded", "available_again"),
        ("freshping", "not_responding", "available_again"),
        ("freshping", "not_responding", "newer_flat_up"),
        ("freshstatus", "incident_open", "incident_closed_by_a_note"),
        ("honeybadger", "alarm", "alarm_ok"),
        ("honeybadger", "check_in_missing", "check_in_reporting"),
        ("honeybadger", "error_occurred", "error_resolved"),
        ("honeybadger", "site_down", "site_up"),
        ("librato", "violation", "cleared"),
        ("librenms", "worse", "recovered"),
        ("pingdom", "down", "up"),
        ("raygun", "new_error", "status_resolved"),
        ("riemann", "critical", "ok_again"),
        ("rollbar", "high_rate", "resolved"),
        ("signalfx", "anomalous", "cleared"),
        ("signalfx", "anomalous", "stopped"),
        ("statuspage", "component_degraded", "component_operational"),
        ("statuspage", "incident_investigating", "incident_resolved_under_a_new_title"),
        ("thinkst", "bird_disconnected", "bird_reconnected"),
        ("updown", "certificate_ends_soon", "certificate_renewed"),
        ("updown", "down", "up"),
        ("uptimerobot", "down_default_body", "up_default_body"),
        ("vmware_vrealize", "active", "canceled"),
    ],
)
def test_the_end_of_an_alert_finds_its_beginning(source: str, begins: str, ends: str) -> None:
    first, last = alert_of(source, begins), alert_of(source, ends)
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert first.fingerprint == last.fingerprint
    assert first.sender_key == last.sender_key
    if first.starts_at and last.ends_at:
        assert first.starts_at <= last.ends_at


def test_uptimerobot_may_send_a_form_or_a_query_instead_of_json() -> None:
    told = {"monitorFriendlyName": "Public API", "monitorID": "7", "alertType": "1", "alertDetails": "Timeout"}
    hook = hook_of("uptimerobot")
    form = message("uptimerobot", urlencode(told).encode())
    query = replace(message("uptimerobot", b""), query={**told, "token": SECRET})
    json = message("uptimerobot", orjson.dumps(told))
    read = [find("uptimerobot").normalize(each, hook).alerts[0] for each in (form, query, json)]
    assert read[0] == read[1] == read[2]
    assert read[0].summary == "Public API is down: Timeout"


def test_librato_may_put_its_json_into_a_form_field() -> None:
    body = (FIXTURES / "librato" / "violation.json").read_bytes()
    form = message("librato", urlencode({"payload": body}).encode())
    assert find("librato").normalize(form, hook_of("librato")).alerts == (alert_of("librato", "violation"),)


def test_pingdoms_older_beepmanager_puts_json_into_the_query() -> None:
    told = {"check": "700", "checkname": "Shop", "host": "shop.example.com", "action": "assign", "description": "down"}
    sent = replace(message("pingdom", b""), query={"message": orjson.dumps(told).decode(), "token": SECRET})
    (found,) = find("pingdom").normalize(sent, hook_of("pingdom")).alerts
    assert (found.status, found.subject, found.sender_key) == (Status.FIRING, "service:Shop", "700")


def test_a_form_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadPayload, match="neither JSON nor a UTF-8 form"):
        fields_of(message("pingdom", b"check_name=\xff\xfe"))


@pytest.mark.parametrize(
    "value",
    [
        "*alertFriendlyDuration*",
        "*insert desired application name*",
        "$SERVICE",
        "$GROUP_BY_FIELD_1",
        "${latestEvent.id}",
        "{{ALERT_TITLE}}",
        "{{ .Value }}",
        "{affected_services}",
        "None",
        "null",
        " ",
        True,
        None,
        ["a"],
        {"a": 1},
    ],
)
def test_a_variable_that_was_not_filled_in_says_nothing(value: Any) -> None:
    assert said(value) == ""


@pytest.mark.parametrize("value", ["*", "$5", "none of them", "a * b *", 0, 7.5])
def test_what_only_looks_like_one_stays(value: Any) -> None:
    assert said(value) == str(value)


@pytest.mark.parametrize(
    "spelt",
    [
        "Fri Nov 20 09:30:00 CET 2026",
        "Fri Nov 20 03:30:00 EST 2026",
        "2026-11-20T09:30:00.000000+01.00",
        "2026-11-20 08:30:00 (UTC)",
        "2026/11/20 08:30:00 GMT",
        "2026-11-20 08:30:00.000000001 +0000 UTC",
        "1795163400",
        1795163400000,
    ],
)
def test_a_time_is_read_however_these_senders_spell_it(spelt: Any) -> None:
    assert Fields({"at": spelt}).time("at") == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_a_time_zone_that_means_several_things_is_refused_with_its_path() -> None:
    with pytest.raises(BadPayload, match=r"^event\.at: 'Fri Nov 20 08:30:00 IST 2026' is not a time"):
        Fields({"at": "Fri Nov 20 08:30:00 IST 2026"}, "event").time("at")


def test_tags_become_labels() -> None:
    assert tags_of(["service:checkout", "eu", "Env: prod", "https://x.example.com", {"name": "gold"}, 7]) == {
        "service": "checkout",
        "env": "prod",
        "tags": "eu,https://x.example.com,gold,7",
    }
    assert tags_of("model:churn,tier1") == {"model": "churn", "tags": "tier1"}
    assert tags_of(None) == {}


def test_two_checks_of_one_service_stay_two_alerts() -> None:
    body = orjson.loads((FIXTURES / "pingdom" / "down.json").read_bytes())
    hook = hook_of("pingdom", defaults={"service": "checkout"})
    other = {**body, "check_name": "checkout API", "check_id": 2}
    read = [find("pingdom").normalize(message("pingdom", orjson.dumps(each)), hook).alerts[0] for each in (body, other)]
    assert read[0].subject == read[1].subject == "service:checkout"
    assert read[0].fingerprint != read[1].fingerprint


def test_a_provider_of_a_status_page_is_the_subject_when_the_hook_names_it() -> None:
    body = (FIXTURES / "statuspage" / "component_major_outage.json").read_bytes()
    hook = hook_of("statuspage", defaults={"provider": "vectorly"})
    (found,) = find("statuspage").normalize(message("statuspage", body), hook).alerts
    assert (found.subject, found.resource) == ("provider:vectorly", "Embeddings API")


def test_what_an_intruder_typed_stays_out_of_the_labels() -> None:
    found = alert_of("thinkst", "ssh_login")
    assert "hunter2" not in orjson.dumps(found, default=str).decode()
    assert found.labels["username"] == "root"


@pytest.mark.parametrize(
    ("source", "body", "number"),
    [
        ("freshping", {"webhook_event_id": 88001}, "88001"),
        ("freshstatus", {"event_data": {"event_id": 12}}, "12"),
        ("graylog", {"event": {"id": "01JEVT"}}, "01JEVT"),
        ("graylog", {"event": "01JEVT"}, ""),
        ("graylog", ["01JEVT"], ""),
    ],
)
def test_a_sender_that_numbers_its_messages_is_known_by_it(source: str, body: object, number: str) -> None:
    assert find(source).message_id(message(source, orjson.dumps(body))) == number


def test_a_longer_array_than_any_sender_posts_is_refused() -> None:
    with pytest.raises(BadPayload, match="1001 entries"):
        find("updown").normalize(message("updown", b"[" + b",".join([b"{}"] * 1001) + b"]"), hook_of("updown"))
