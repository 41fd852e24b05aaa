"""Kibana, Splunk, Dynatrace, Sentry, Honeycomb, Zabbix, Nagios, Kubernetes, Opsgenie: what holds over messages."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest

from tests.sources.reading import FIXTURES, companion, hook_of, message_of
from tocsin.domain.alert import Alert, Resolves, Status
from tocsin.domain.change import Change
from tocsin.domain.message import Message
from tocsin.sources import find

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "s3cret-of-the-hook"


def fixture(source: str, name: str) -> Message:
    path = FIXTURES / source / f"{name}.json"
    return message_of(path.read_bytes(), hook_of(source), NOW, companion(Path(path), "headers"))


def read(source: str, name: str) -> Alert:
    return find(source).normalize(fixture(source, name), hook_of(source)).alerts[0]


def changed(source: str, name: str) -> Change:
    return find(source).normalize(fixture(source, name), hook_of(source)).changes[0]


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"Sentry-Hook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize(
    ("source", "begins", "ends"),
    [
        ("kibana", "our_template_active", "our_template_recovered"),
        ("kibana", "alert_document", "alert_document_untracked"),
        ("dynatrace", "our_template_open", "our_template_resolved"),
        ("dynatrace", "our_template_open", "merged_into_another"),
        ("dynatrace", "our_template_open", "resolve_with_the_key_alone"),
        ("dynatrace", "problem_of_the_api", "our_template_resolved"),
        ("sentry", "issue_alert", "issue_resolved"),
        ("sentry", "issue_alert_without_headers", "issue_resolved"),
        ("sentry", "error_created", "issue_resolved"),
        ("sentry", "metric_alert_critical", "metric_alert_resolved"),
        ("honeycomb", "triggered", "ok"),
        ("zabbix", "our_template_problem", "our_template_recovery"),
        ("zabbix", "words_of_another_template", "words_of_another_template_ok"),
        ("nagios", "service_problem", "service_recovery"),
        ("nagios", "host_down", "host_up"),
        ("nagios", "host_down", "icinga_notification"),
        ("kubernetes", "node_not_ready", "node_ready"),
        ("opsgenie", "created_about_a_model", "closed"),
        ("splunk", "drift_of_a_feature", "recovery_row"),
        ("grafana", "legacy_two_series", "legacy_ok"),
    ],
)
def test_an_end_ends_what_began(source: str, begins: str, ends: str) -> None:
    first, last = read(source, begins), read(source, ends)
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert first.fingerprint == last.fingerprint
    assert first.sender_key == last.sender_key


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("splunk", "drift_of_a_feature"),
        ("zabbix", "macros_under_their_own_names"),
        ("dynatrace", "custom_alert_about_a_model"),
        ("nagios", "macros_as_environment"),
    ],
)
def test_a_drift_alert_of_any_monitor_reads_the_same(source: str, name: str) -> None:
    alert = read(source, name)
    assert (alert.subject, alert.symptom) == ("feature:age_days", "feature_drift")
    assert alert.labels["model"] == "churn"


def test_both_groups_of_a_query_and_both_rules_of_a_project_stay_apart() -> None:
    rows = find("splunk").normalize(fixture("splunk", "many_rows"), hook_of("splunk")).alerts
    documents = find("kibana").normalize(fixture("kibana", "array_of_documents"), hook_of("kibana")).alerts
    for alerts in (rows, documents):
        assert len({alert.fingerprint for alert in alerts}) == len(alerts) == 2


def test_sentrys_signature_is_over_the_raw_body() -> None:
    verify, body = find("sentry").verify, b'{"action":"triggered","data":{}}'
    message = message_of(body, hook_of("sentry"), NOW, signed(body))
    assert verify(message, ("the-old-one", SECRET)).verdict == "verified"
    assert verify(message, ("the-old-one",)).reason.startswith("wrong signature")
    assert verify(replace(message, body=body + b" "), (SECRET,)).verdict == "refused"
    late = replace(message, received_at=NOW + timedelta(days=1))
    assert verify(late, (SECRET,)).verdict == "verified", "its timestamp is not signed, so that no window is kept"


def test_sentrys_unsigned_legacy_plugin_has_the_secret_in_its_address() -> None:
    message = replace(fixture("sentry", "legacy_plugin"), query={"token": SECRET})
    assert find("sentry").verify(message, (SECRET,)).verdict == "verified"


def test_a_repeated_delivery_is_known_by_the_senders_id() -> None:
    assert find("sentry").message_id(fixture("sentry", "issue_alert")) == "4b2f6f0a8f0f4f9ea0f7a4d1c9ab7a10"
    assert find("honeycomb").message_id(fixture("honeycomb", "triggered")) == "d-17"


def test_rows_of_one_splunk_job_are_messages_of_their_own() -> None:
    number, hook = find("splunk").message_id, hook_of("splunk")
    rows = [orjson.dumps({"sid": "scheduler__a__b__c_at_1795255320_1", "result": {"host": h}}) for h in ("a", "b", "a")]
    ids = [number(message_of(row, hook, NOW)) for row in rows]
    assert ids[0] == ids[2] != ids[1]
    assert number(message_of(b"\xff", hook, NOW)) == ""


def test_honeycombs_own_header_holds_the_secret() -> None:
    verify = find("honeycomb").verify
    told = message_of(b"{}", hook_of("honeycomb"), NOW, {"X-Honeycomb-Webhook-Token": SECRET})
    assert verify(told, (SECRET,)).verdict == "verified"
    assert verify(told, ("other",)).reason.startswith("wrong credential")
    assert verify(message_of(b"{}", hook_of("honeycomb"), NOW), (SECRET,)).reason.startswith("missing credential")


def test_the_secret_in_honeycombs_old_bodies_and_splunks_session_key_are_not_kept() -> None:
    for source, name, secret in (("honeycomb", "triggered", "old-bodies"), ("splunk", "custom_action", "do-not-keep")):
        alert = read(source, name)
        assert secret not in str(alert)


@pytest.mark.parametrize(("source", "name"), [("nagios", "service_problem"), ("zabbix", "words_of_another_template")])
def test_a_form_reads_as_the_same_json(source: str, name: str) -> None:
    plain = fixture(source, name)
    form = replace(plain, body=urlencode(orjson.loads(plain.body)).encode())
    hook = hook_of(source)
    assert find(source).normalize(form, hook) == find(source).normalize(plain, hook)


def test_what_a_shell_cannot_quote_in_json_passes_as_a_form() -> None:
    output = "CRITICAL - \"scorer\" said: 100% & 'nothing' = more\nsecond line"
    sent = {"notification_type": "PROBLEM", "host": "a", "service": "s", "service_state": "CRITICAL", "output": output}
    message = message_of(urlencode(sent).encode(), hook_of("nagios"), NOW)
    (alert,) = find("nagios").normalize(message, hook_of("nagios")).alerts
    assert alert.summary.endswith(output)


def test_an_event_of_kubernetes_expires_and_a_nodes_state_does_not() -> None:
    event, node = read("kubernetes", "pod_backs_off"), read("kubernetes", "node_not_ready")
    assert (event.resolves, event.expires_after) == (Resolves.EXPIRY, timedelta(hours=1))
    assert (node.resolves, node.expires_after) == (Resolves.SENDER, None)


def test_a_rollouts_states_are_one_change() -> None:
    running, done = changed("kubernetes", "deployment_is_rolling_out"), changed("kubernetes", "deployment_rolled_out")
    assert running.id == done.id
    assert (running.outcome, done.outcome) == ("running", "success")
    assert running.id != changed("kubernetes", "deployment_rolled_back").id


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("elastic", "kibana"),
        ("icinga2", "nagios"),
        ("k8s", "kubernetes"),
        ("grafana_legacy", "grafana"),
        ("opsgenie_api", "opsgenie_alerts"),
    ],
)
def test_a_monitor_is_found_under_the_names_that_people_use(alias: str, name: str) -> None:
    assert find(alias) is find(name)


HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto" / "monitors.md"


def template(heading: str) -> str:
    """The JSON that the page tells people to paste for this sender."""
    section = HOWTO.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    return section.partition("```json\n")[2].partition("```")[0]


def test_kibanas_template_is_read_once_its_variables_are_filled_in() -> None:
    values = {"rule.name": "PSI of age_days", "rule.tags": "model:churn", "alert.actionGroup": "threshold met"}
    text = template("Kibana")
    body = re.sub(r"\{\{([\w.]+)\}\}", lambda found: values.get(found[1], ""), text).encode()
    assert orjson.loads(body)["rule"]["name"] == "PSI of age_days"
    (alert,) = find("kibana").normalize(message_of(body, hook_of("kibana"), NOW), hook_of("kibana")).alerts
    assert (alert.subject, alert.symptom, alert.status) == ("model:churn", "feature_drift", "firing")
    untouched = find("kibana").normalize(message_of(text.encode(), hook_of("kibana"), NOW), hook_of("kibana"))
    assert untouched.ignored.startswith("test of the connector")


def test_dynatraces_template_is_read_once_its_placeholders_are_replaced() -> None:
    values = {"PID": "-7_V2", "State": "OPEN", "ProblemTitle": "Response time degradation", "Tags": "service:checkout"}
    values |= {"ImpactedEntities": "[]", "ProblemDetailsJSONv2": '{"startTime": 1795255331000}'}
    body = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], ""), template("Dynatrace")).encode()
    (alert,) = find("dynatrace").normalize(message_of(body, hook_of("dynatrace"), NOW), hook_of("dynatrace")).alerts
    assert (alert.subject, alert.symptom) == ("service:checkout", "latency")
    assert alert.starts_at == datetime(2026, 11, 21, 10, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize("source", ["kibana", "dynatrace"])
def test_the_page_and_the_setup_tell_the_same_template(source: str) -> None:
    filled = find(source).setup.format(url="https://tocsin.example.com/hooks/x", secret="SECRET")
    setup = filled.partition("```json\n")[2].partition("```")[0]
    assert "".join(setup.split()) == "".join(template(source.capitalize()).split())
