"""Our own JSON for alerts: for monitors that we do not know, and for scripts."""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._alert_body import AlertBody, alert_of, unread
from tocsin.sources._json import parsed_object
from tocsin.sources._native import each
from tocsin.sources._verify import shared_secret

NAME = "native_alert"


def normalize(message: Message, hook: Hook) -> Normalized:
    """One alert, or `{"alerts": [...]}`. Raises BadPayload for unknown keys and values, with their place."""
    bodies = each(AlertBody, parsed_object(message.body), "alerts")
    if not bodies:
        return Normalized(ignored="the list of alerts is empty")
    return Normalized(
        alerts=tuple(alert_of(body, message, hook, source=NAME) for body in bodies),
        ignored="; ".join(filter(None, (unread(body, message) for body in bodies)))[:500],
    )


SOURCE = Source(
    name=NAME,
    title="Tocsin's own JSON: alerts",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("tocsin", "alert"),
    ignores=("an empty list of alerts",),
    setup="""\
```sh
curl -fsS {url} -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '
{{"name": "feature-drift", "subject": "feature:age_days", "symptom": "feature_drift", "severity": "error",
  "summary": "age_days drifted after the nightly load", "metric": "psi", "observed": 0.41, "threshold": 0.25,
  "sample_size": 12000, "model_version": "17", "links": {{"dashboard": "https://grafana.example.com/d/drift"}}}}'
```

Send the same with `"status": "resolved"` when it is over, or give `"expires_after": "24h"`. Several at once:
`{{"alerts": [...]}}`. Unknown keys are refused, so that a misspelt one is seen.

`"series": [{{"metric": "error_ratio", "points": [["2026-11-20T08:00:00Z", 0.2], ...]}}]` brings what was
measured in the hours before and since: it tells when trouble began, and the likely causes are tested by it.
""",
)
