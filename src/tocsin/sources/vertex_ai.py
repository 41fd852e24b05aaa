"""Which features drifted on Vertex AI, and what happened to its models? Log entries of model monitoring and pipelines.

They come by a log sink and Pub/Sub's push; an alert of Cloud Monitoring on the same log is source `gcp_monitoring`.
https://cloud.google.com/vertex-ai/docs/model-monitoring/using-model-monitoring
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources import _gcp, _vertex
from tocsin.sources._cloud import MAX_EVENTS, Occasion, combined, facts, name_in
from tocsin.sources._cloudevent import CloudEvent, event_id, events_of
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._verify import shared_secret

NAME = "vertex_ai"


def normalize(message: Message, hook: Hook) -> Normalized:
    """What each entry tells. Raises BadPayload for a body that is neither a log entry nor what wraps one."""
    if events := events_of(message):
        return combined(_told(event, message, hook) for event in events)
    body = parsed(message.body)
    listed = body if isinstance(body, list) else [body]
    if len(listed) > MAX_EVENTS:
        raise BadPayload(f"{len(listed)} entries; at most {MAX_EVENTS} in one message")
    return combined(_entry(each, message, hook) for each in listed)


def _entry(body: object, message: Message, hook: Hook) -> Normalized:
    if not isinstance(body, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(body)}")
    if "anomalyObjective" in body or "featureAnomalies" in body:
        body = {"jsonPayload": body}
    return _told(CloudEvent(type="", source=name_in(body, "subscription"), id="", data=body), message, hook)


def _told(event: CloudEvent, message: Message, hook: Hook) -> Normalized:
    return _gcp.told(event, Occasion(source=NAME, message=message, hook=hook))


def _message_id(message: Message) -> str:
    """The log entry's or the Pub/Sub message's own id: the same over retries."""
    if found := event_id(message):
        return found
    try:
        body = facts(parsed(message.body))
    except BadPayload:
        return ""
    return (name_in(facts(body.get("message")), "messageId", "message_id") or name_in(body, "insertId"))[:255]


SETUP = """Turn on logging of anomalies in the monitoring job (`enableLogging`), then send its log here:

```sh
gcloud pubsub topics create tocsin-vertex
gcloud logging sinks create tocsin-vertex pubsub.googleapis.com/projects/PROJECT/topics/tocsin-vertex --log-filter='
  logName:"aiplatform.googleapis.com%2Fmodel_monitoring_anomaly" OR logName:"aiplatform.googleapis.com%2Fpipeline_job"
  OR protoPayload.methodName:("EndpointService.DeployModel" OR "ModelService.UploadModel")'
gcloud pubsub subscriptions create tocsin-vertex --topic tocsin-vertex --push-endpoint '{url}?token={secret}'
```

- Grant the sink's writer identity the role *Pub/Sub Publisher* on the topic.
- An entry names the deployed model only by a number: the hook's default `model: churn` (and `model_version`) says whose
  it is, one hook per endpoint.
- Vertex AI never tells that drift is over: alerts lapse 26 hours after the last report.
"""

SOURCE = Source(
    name=NAME,
    title="Google Vertex AI: model monitoring and pipelines",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.EXPIRY,
    expires_after=_vertex.EXPIRES_AFTER,
    message_id=_message_id,
    setup=SETUP,
    ignores=("monitoring runs without anomalies", "audit entries of what only reads", "other log entries"),
    aliases=("vertexai", "vertex"),
)
