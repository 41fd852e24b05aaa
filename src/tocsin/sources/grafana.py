"""Grafana: unified alerting's webhook contact point, and the channels of legacy alerting (version 8 and older).

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Symptom
from tocsin.domain.message import Hook, Message, Normalized, Source, Verdict
from tocsin.sources import _grafana_legacy
from tocsin.sources._json import number, parsed_object
from tocsin.sources._labelled import Told, alert_of, group_of, told
from tocsin.sources._verify import any_of, refused, shared_secret, verdict_of_signature

NAME = "grafana"
SIGNATURE = "X-Grafana-Alerting-Signature"
TIMESTAMP = "x-grafana-alerting-timestamp"

STATE_ALERTS = {"DatasourceNoData": "no data", "DatasourceError": "query error"}
"""Alerts about a rule that could not be evaluated; label `rulename` holds the rule. They are alerts of their own, so
that the end of one does not end the rule's own alert."""

_VALUE = re.compile(r"value=([-+0-9.eE]+)")


def signed(message: Message, secrets: Sequence[str]) -> Verdict:
    """The HMAC-SHA256 in hex of the body, or of `timestamp:body` when the timestamp header is there."""
    value = message.headers.get(SIGNATURE.lower(), "")
    if not value:
        return refused(f"missing signature: header {SIGNATURE} is absent")
    stamp = message.headers.get(TIMESTAMP, "")
    content = f"{stamp}:".encode() + message.body if stamp else message.body
    return verdict_of_signature(SIGNATURE, value, content, secrets)


def normalize(message: Message, hook: Hook) -> Normalized:
    """Every alert of the group by its own status; of legacy alerting its one rule. Raises BadPayload for a custom
    template."""
    body = parsed_object(message.body)
    if _grafana_legacy.is_legacy(body):
        return _grafana_legacy.normalize(body, message, hook, source=NAME)
    group = group_of(body)
    entries = [
        (one, told(one, hook, group_status=body.get("status"), path=f"alerts.{n}")) for n, one in enumerate(group)
    ]
    real = [(one, entry) for one, entry in entries if not _is_test(entry)]
    if not real:
        return Normalized(ignored="Grafana's test notification" if group else "the group holds no alerts")
    return Normalized(alerts=tuple(_alert(one, entry, message, hook) for one, entry in real))


def _is_test(entry: Told) -> bool:
    """The contact point's Test button sends these two labels."""
    return entry.labels.get("alertname") == "TestAlert" and entry.labels.get("instance") == "Grafana"


def _alert(one: dict[str, Any], entry: Told, message: Message, hook: Hook) -> Alert:
    alertname = entry.labels.get("alertname", "")
    state = STATE_ALERTS.get(alertname)
    name = f"{entry.labels.get('rulename') or alertname}: {state}" if state else ""
    return alert_of(
        entry,
        message,
        hook,
        source=NAME,
        name=name,
        symptom=Symptom.AVAILABILITY if state else None,
        observed=_observed(one),
        links={
            "dashboard": one.get("dashboardURL"),
            "panel": one.get("panelURL"),
            "query": one.get("generatorURL"),
            "silence": one.get("silenceURL"),
            "image": one.get("imageURL"),
        },
    )


def _observed(one: dict[str, Any]) -> float | None:
    """The first query's or expression's value: by letter, A before B; the last letter is often only the condition's
    0 or 1. Old versions give the values inside a text."""
    values = one.get("values")
    if isinstance(values, dict) and values:
        return next((found for _, value in sorted(values.items()) if (found := number(value)) is not None), None)
    text = one.get("valueString")
    shown = _VALUE.search(text) if isinstance(text, str) else None
    return number(shown[1]) if shown else None


SOURCE = Source(
    name=NAME,
    title="Grafana Alerting",
    verify=any_of(signed, shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("grafana_alerting", "grafana_legacy"),
    ignores=(
        "test notifications of a contact point (alertname TestAlert, instance Grafana) or of a legacy channel",
        "legacy rules that are pending, paused or were not evaluated yet",
        "groups without alerts",
    ),
    setup="""\
Alerting → Contact points → Add → Integration **Webhook**:

- URL: `{url}`, method POST
- HMAC signature (Grafana 12 and later): secret `{secret}`, signature header `X-Grafana-Alerting-Signature`, timestamp
  header `X-Grafana-Alerting-Timestamp`; older: Authorization header, scheme `Bearer`, credentials `{secret}`
- leave *Disable resolved message* off and *Custom payload* empty: a body from a template of your own is quarantined

Labels that say what an alert is about: `service`, `model`, `feature`, `dataset`, `dag_id`; annotations as for
Alertmanager (`summary`, `runbook_url`, `threshold`, `baseline`, `sample_size`).

Grafana 8 and older (legacy alerting): Alerting → Notification channels → Type **webhook**, the same URL, password
`{secret}`. The rule is the alert, whatever number of series match; its tags are its labels.
""",
)
