"""Prometheus Alertmanager: its webhook, body version 4 (and the older 3).

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from datetime import timedelta

from tocsin.domain.alert import Alert, Resolves
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._json import parsed_object
from tocsin.sources._labelled import alert_of, group_of, told
from tocsin.sources._verify import shared_secret

NAME = "alertmanager"

HEARTBEATS = frozenset({"Watchdog", "DeadMansSwitch", "InfoInhibitor"})
"""Rules of kube-prometheus that always fire: they prove that alerting works, or mute others inside Alertmanager."""

TRUNCATED_EXPIRES_AFTER = timedelta(hours=24)
"""With `max_alerts` the resolve of an alert may be cut off and never come (reference/sources.md §2.1): alerts of a
truncated group end by themselves when a day passes without a report."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """Every alert of the group by its own status: a firing group may carry resolved alerts.

    Raises BadPayload when the body is no group of alerts (`payload` of the receiver replaced it)."""
    body = parsed_object(message.body)
    group = group_of(body)
    cut = body.get("truncatedAlerts")
    truncated = cut if isinstance(cut, int) and cut > 0 else 0
    status = body.get("status")
    alerts = []
    for position, one in enumerate(group):
        alert = _alert(one, message, hook, group_status=status, truncated=truncated, position=position)
        if alert is not None:
            alerts.append(alert)
    if alerts:
        return Normalized(alerts=tuple(alerts))
    return Normalized(ignored="only heartbeats (Watchdog): no symptom" if group else "the group holds no alerts")


def _alert(
    one: object, message: Message, hook: Hook, *, group_status: object, truncated: int, position: int
) -> Alert | None:
    entry = told(one, hook, group_status=group_status, path=f"alerts.{position}")
    if entry.labels.get("alertname") in HEARTBEATS:
        return None
    if truncated:
        entry.labels["truncated_alerts"] = str(truncated)
    generator = one.get("generatorURL") if isinstance(one, dict) else None
    expires_after = TRUNCATED_EXPIRES_AFTER if truncated else None
    return alert_of(entry, message, hook, source=NAME, links={"query": generator}, expires_after=expires_after)


SOURCE = Source(
    name=NAME,
    title="Prometheus Alertmanager",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("prometheus",),
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

Do not set `payload:`; a body from a template of your own is quarantined. In Prometheus name your replica label
`replica` or `prometheus_replica`; it is dropped, so that a highly available pair reports one alert. Labels that say
what an alert is about: `service`, `model`, `feature`, `dataset`, `dag_id`; annotations that add evidence: `summary`,
`description`, `runbook_url`, `dashboard_url`, `value`, `threshold`, `baseline`, `sample_size`, `request_id`,
`trace_url`, `explanation_url`.
""",
)
