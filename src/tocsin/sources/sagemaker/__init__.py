"""What does Amazon SageMaker report? Its events, the violations that Model Monitor found, and alarms on its metrics.

Model Monitor sends nothing by itself: its violations arrive as the file that a Lambda forwards, as an alarm on the
metrics that it emits, or as the event of the processing job that found them.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources import _sagemaker
from tocsin.sources._aws import bodies_of, event_id, event_of, handshake_of, is_event
from tocsin.sources._cloud import Occasion, combined, facts
from tocsin.sources._cloudwatch_alarm import alarm_event, is_alarm
from tocsin.sources._verify import shared_secret
from tocsin.sources.sagemaker import violations

NAME = violations.NAME


def normalize(message: Message, hook: Hook) -> Normalized:
    """What the message's events, alarms or violations tell. Raises BadPayload with the path of what does not fit."""
    return combined(_read(body, message, hook) for body in bodies_of(message))


def _read(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    if why := handshake_of(body):
        return Normalized(ignored=why)
    if is_alarm(body):
        return _of_hooks_model(alarm_event(body, message, hook, source=NAME), hook)
    if is_event(body):
        event = event_of(body)
        if event.source != _sagemaker.EVENT_SOURCE:
            return Normalized(ignored=f"event of {event.source[:60]}: point its rule at a hook of aws_eventbridge")
        tags = facts(event.detail.get("Tags"))
        occasion = Occasion(source=NAME, message=message, hook=hook, labels=event.labels, tags=tags)
        return _sagemaker.told(event, occasion)
    if violations.is_violations(body):
        return violations.told(body, message, hook)
    if "features" in body or "post_training_bias_metrics" in body or "explanations" in body:
        return Normalized(ignored="constraints, statistics or an analysis: they describe data, violations judge it")
    raise BadPayload("none of detail-type, AlarmName and violations: nothing that SageMaker or CloudWatch sends")


def _of_hooks_model(told: Normalized, hook: Hook) -> Normalized:
    """An alarm on an endpoint is about the model that the hook stands for, when it says so."""
    model = hook.defaults.get("model", "")
    if not model:
        return told
    named = (
        replace(
            alert,
            subject=Subject.of("model", model) if alert.subject.kind == "model" else alert.subject,
            resource=Subject.of("model", model) if alert.resource.startswith("model:") else alert.resource,
            labels={**alert.labels, "model": model},
            fingerprint="",
        )
        for alert in told.alerts
    )
    return replace(told, alerts=tuple(named))


SETUP = """**Events** (training, pipelines, endpoints, model packages, monitoring runs): an EventBridge rule with an API
destination. Connection: authorization type API key, name `Authorization`, value `Bearer {secret}`.

```sh
aws events create-connection --name tocsin --authorization-type API_KEY \\
  --auth-parameters 'ApiKeyAuthParameters={{ApiKeyName=Authorization,ApiKeyValue="Bearer {secret}"}}'
aws events create-api-destination --name tocsin --http-method POST --invocation-endpoint {url} --connection-arn ARN
aws events put-rule --name tocsin-sagemaker --event-pattern '{{"source": ["aws.sagemaker"]}}'
aws events put-targets --rule tocsin-sagemaker --targets Id=tocsin,Arn=DESTINATION-ARN,RoleArn=ROLE-ARN
```

**Violations of Model Monitor**: a Lambda on the bucket (suffix `constraint_violations.json`) posts the file with what
it is about. With `constraints` (the baseline's constraints.json) a check that passes again ends its alert; without it
alerts lapse after 26 hours. `statistics` and `baseline_statistics` (both statistics.json) bring the distributions.

```python
import json, urllib.request

body = dict(source="sagemaker", model="churn", dataset="churn_features", endpoint="churn-prod",
            timestamp=event_time, report=json.loads(violations), constraints=json.loads(constraints))
request = urllib.request.Request("{url}", json.dumps(body).encode(), method="POST")
request.add_header("Authorization", "Bearer {secret}")
urllib.request.urlopen(request, timeout=10).read()
```

**Alarms** on `feature_baseline_drift_<feature>` and other metrics: the same rule with
`{{"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]}}`.

- The hook's default `model: churn` says whose endpoint, schedules and metrics these are.
- EventBridge retries for 24 hours (set less if you like); its event id keeps a retry from counting twice.
"""

SOURCE = Source(
    name=NAME,
    title="Amazon SageMaker: events, Model Monitor, its CloudWatch alarms",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=event_id,
    setup=SETUP,
    ignores=(
        *(f"{words.replace('|', ', ').replace('^', '')}: {why}" for words, why in _sagemaker.QUIET),
        "events of other services",
        "monitoring runs that have not ended",
        "constraints, statistics and analyses without violations",
        "SNS subscription messages",
    ),
    aliases=("sagemaker_eventbridge", "sagemaker_model_monitor"),
)
