"""Prometheus Alertmanager: its webhook, body version 4 (and the older 3).

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tocsin.domain.alert import Alert, Resolves, Status
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._identity import first_of, labels_of
from tocsin.sources._json import kind_of, parsed, text
from tocsin.sources._labelled import NAME_LABELS, alert_of, group_of, told
from tocsin.sources._monitor import any_time
from tocsin.sources._verify import shared_secret

NAME = "alertmanager"

HEARTBEATS = frozenset({"Watchdog", "DeadMansSwitch", "InfoInhibitor"})
"""Rules of kube-prometheus that always fire: they prove that alerting works, or mute others inside Alertmanager."""

TRUNCATED_EXPIRES_AFTER = timedelta(hours=24)
"""With `max_alerts` the resolve of an alert may be cut off and never come (reference/sources.md §2.1): alerts of a
truncated group end by themselves when a day passes without a report."""


DIRECT_EXPIRES_AFTER = timedelta(minutes=15)
"""Prometheus repeats a firing alert at least every 4 minutes (`endsAt` is so far ahead) and a resolved one for 15
minutes: when it is silent for longer, nobody evaluates the rule."""

CLOCKS_APART = timedelta(seconds=30)
"""An end that near ahead is over by another host's clock: of a firing alert it is minutes ahead."""


def bearer(message: Message) -> str:
    """The token that names the hook when Prometheus itself posts to /api/v2/alerts."""
    scheme, _, value = message.headers.get("authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def normalize(message: Message, hook: Hook) -> Normalized:
    """Every alert of the group by its own status: a firing group may carry resolved alerts. An array of alerts, or one
    alone, is read as what Prometheus itself posts to an Alertmanager's API.

    Raises BadPayload when the body is neither (`payload` of the receiver replaced it)."""
    body = parsed(message.body)
    if not isinstance(body, (dict, list)):
        raise BadPayload(f"expected a JSON object, found {kind_of(body)}")
    if isinstance(body, list):
        group, path, body, direct = [_direct(one, message) for one in body], "", {}, True
    elif "alerts" not in body and isinstance(body.get("labels"), dict):
        group, path, body, direct = [_direct(body, message)], "", {}, True
    else:
        group, path, direct = group_of(body), "alerts.", False
    cut = body.get("truncatedAlerts")
    truncated = cut if isinstance(cut, int) and cut > 0 else 0
    status = body.get("status")
    alerts = []
    for position, one in enumerate(group):
        place = f"{path}{position}"
        alert = _alert(one, message, hook, group_status=status, truncated=truncated, path=place, direct=direct)
        if alert is not None:
            alerts.append(alert)
    if alerts:
        return Normalized(alerts=tuple(alerts))
    return Normalized(ignored="only heartbeats (Watchdog): no symptom" if group else "the group holds no alerts")


def _direct(one: Any, message: Message) -> Any:  # noqa: ANN401
    """An alert as Prometheus posts it to /api/v2/alerts: without a status; it has ended when its `endsAt` is past
    (while it fires, Prometheus keeps that in the future). The API's own answers have an object for a status."""
    if not isinstance(one, dict):
        return one
    ended = one.get("endsAt")
    over = isinstance(ended, str) and (at := any_time(ended)) is not None and at <= message.received_at + CLOCKS_APART
    said = one.get("status")
    status = said if isinstance(said, str) else ("resolved" if over else "firing")
    plain = {key: one[key] for key in ("summary", "description") if isinstance(one.get(key), str)}
    told_by = one.get("annotations") or plain
    labels = one.get("labels")
    if isinstance(labels, dict) and isinstance(told_by, dict) and not first_of(labels_of(labels), NAME_LABELS):
        labels = {**labels, "alert_name": text(told_by.get("summary"), 255)}
    return {**one, "labels": labels, "status": status, "annotations": told_by}


def _alert(
    one: object, message: Message, hook: Hook, *, group_status: object, truncated: int, path: str, direct: bool
) -> Alert | None:
    entry = told(one, hook, group_status=group_status, path=path)
    if entry.labels.get("alertname") in HEARTBEATS:
        return None
    if truncated:
        entry.labels["truncated_alerts"] = str(truncated)
    generator, ends_at = (one.get("generatorURL"), one.get("endsAt")) if isinstance(one, dict) else (None, None)
    expires_after = TRUNCATED_EXPIRES_AFTER if truncated else None
    if direct and entry.status is Status.FIRING and any_time(ends_at):
        expires_after = DIRECT_EXPIRES_AFTER
    return alert_of(entry, message, hook, source=NAME, links={"query": generator}, expires_after=expires_after)


SOURCE = Source(
    name=NAME,
    title="Prometheus Alertmanager",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    routes=("/api/v2/alerts",),
    route_secret=bearer,
    aliases=("prometheus", "airflow_via_alertmanager"),
    ignores=(
        "Watchdog, DeadMansSwitch and InfoInhibitor alerts: heartbeats of the alerting itself",
        "groups without alerts",
    ),
    setup="""\
In `alertmanager.yml`:

```yaml
receivers:
- name: tocsin
  webhook_configs:
  - url: {url}
    send_resolved: true
    max_alerts: 0        # 0 = never cut a group: a cut resolve would never arrive
    http_config:
      authorization: {{type: Bearer, credentials: "{secret}"}}
```

Without an Alertmanager, Prometheus posts here itself: `alertmanagers:` with this installation as its target and
`authorization: {{credentials: "{secret}"}}`; it then posts to `/api/v2/alerts`, and the credentials name the hook.

Do not set `payload:`; a body from a template of your own is quarantined. In Prometheus name your replica label
`replica` or `prometheus_replica`; it is dropped, so that a highly available pair reports one alert. Labels that say
what an alert is about: `service`, `model`, `feature`, `dataset`, `dag_id`; annotations that add evidence: `summary`,
`description`, `runbook_url`, `dashboard_url`, `value`, `threshold`, `baseline`, `sample_size`, `request_id`,
`trace_url`, `explanation_url`.
""",
)
