"""What does Databricks report? Notifications of jobs, alerts of Databricks SQL (lakehouse monitoring among them), and
webhooks of the workspace model registry.
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources._cloud import Occasion
from tocsin.sources._json import parsed_object
from tocsin.sources._verify import any_of, hmac_hex, shared_secret
from tocsin.sources.databricks import jobs, metrics, registry

NAME = metrics.NAME


def normalize(message: Message, hook: Hook) -> Normalized:
    """What the notification tells. Raises BadPayload for a body of none of the three."""
    body = parsed_object(message.body)
    occasion = Occasion(source=NAME, message=message, hook=hook)
    if jobs.is_job(body):
        return jobs.told(body, occasion)
    if metrics.is_drift_table(body):
        return metrics.drifted(body, message, hook)
    if metrics.is_sql_alert(body):
        return metrics.sql_alert(body, occasion)
    if registry.is_registry(body):
        return registry.told(body, occasion)
    if body.get("message") == "test" or (len(body) == 1 and "text" in body):
        return Normalized(ignored="the test of a notification destination")
    raise BadPayload("expected jobs.on_…: no notification of Databricks that we know", path="event_type")


SETUP = """Admin settings → Notifications → Notification destinations → Add: type **Webhook**, URL `{url}`, user name
`tocsin`, password `{secret}`.

**Jobs**: in each job, Notifications → the destination for *Start*, *Success*, *Failure* and *Duration warning*. Success
is needed: it ends the alert of the failure.

**Lakehouse monitoring and other queries**: an alert on the monitor's drift or profile table, destination as above, with
this custom template. The constant lines say what it is about:

```json
{{"alert_name": "{{{{ALERT_NAME}}}}", "alert_status": "{{{{ALERT_STATUS}}}}",
 "alert_condition": "{{{{ALERT_CONDITION}}}}", "alert_threshold": "{{{{ALERT_THRESHOLD}}}}",
 "alert_column": "{{{{ALERT_COLUMN}}}}", "query_result_value": "{{{{QUERY_RESULT_VALUE}}}}",
 "alert_url": "{{{{ALERT_URL}}}}", "model": "churn", "feature": "tenure_days",
 "symptom": "feature_drift", "severity": "warning"}}
```

Let the alert also notify when it goes back to OK. A job may instead post rows of the drift table:

```python
import json, urllib.request

body = dict(source="databricks", model="churn", dataset="lake.features", thresholds=dict(js_distance=0.2),
            report=dict(drift_metrics=[row.asDict(recursive=True) for row in latest_window.collect()]))
request = urllib.request.Request("{url}", json.dumps(body, default=str).encode(), method="POST")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

**Registry webhooks** (workspace registry): `http_url_spec` with this URL and the secret; the signature in
X-Databricks-Signature is checked.

- Notifications of jobs carry no time: that of receipt counts.
- A task's failure that is retried is told only by the task's own notification.
"""

SOURCE = Source(
    name=NAME,
    title="Databricks: jobs, SQL alerts and lakehouse monitoring, registry",
    verify=any_of(shared_secret, hmac_hex(header="X-Databricks-Signature")),
    normalize=normalize,
    resolves=Resolves.NEXT_PASS,
    setup=SETUP,
    ignores=(
        "alerts whose query gave nothing to judge (UNKNOWN)",
        "registry comments, tags and requests for a stage",
        "moves to stages that promote nothing",
        "tests of a destination or webhook",
    ),
    aliases=("databricks_jobs", "lakehouse_monitoring"),
)
