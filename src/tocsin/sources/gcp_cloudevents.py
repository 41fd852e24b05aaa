"""What did Google Cloud report? Events of Eventarc as CloudEvents, their data alone, and Pub/Sub's push.

https://cloud.google.com/eventarc/docs/cloudevents
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources import _cloudevent, _gcp, _plain_event
from tocsin.sources._cloud import MAX_EVENTS, Occasion, combined, facts, name_in
from tocsin.sources._cloudevent import CloudEvent, events_of
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._verify import shared_secret

NAME = "gcp_cloudevents"


def normalize(message: Message, hook: Hook) -> Normalized:
    """What each event tells. Raises BadPayload for data of no event that Google documents."""
    return combined(_read(event, message, hook) for event in _events(message))


def _events(message: Message) -> list[CloudEvent]:
    """CloudEvents, else the data of events that came without an envelope."""
    if found := events_of(message):
        return found
    body = parsed(message.body)
    listed = body if isinstance(body, list) else [body]
    if len(listed) > MAX_EVENTS:
        raise BadPayload(f"{len(listed)} events; at most {MAX_EVENTS} in one message")
    return [_bare(each) for each in listed]


def _bare(body: object) -> CloudEvent:
    if not isinstance(body, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(body)}")
    return CloudEvent(type="", source=name_in(body, "subscription"), id="", data=body)


def _read(event: CloudEvent, message: Message, hook: Hook) -> Normalized:
    occasion = Occasion(source=NAME, message=message, hook=hook, labels={"type": event.type})
    if event.type and not event.type.startswith("google."):
        plain = _plain_event.PlainEvent(
            type=event.type, source=event.source, id=event.id, subject=event.subject, at=event.at, data=event.data
        )
        return _plain_event.told(plain, occasion)
    return _gcp.told(event, occasion)


def _message_id(message: Message) -> str:
    """The event's source and id, or the id that Pub/Sub gave its message: the same over retries."""
    if found := _cloudevent.event_id(message):
        return found
    try:
        body: Any = parsed(message.body)
    except BadPayload:
        return ""
    return name_in(facts(facts(body).get("message")), "messageId", "message_id")[:255]


SETUP = """**Pub/Sub push**: a log sink or topic, and a push subscription to `{url}?token={secret}`.

```sh
gcloud pubsub topics create tocsin
gcloud logging sinks create tocsin pubsub.googleapis.com/projects/PROJECT/topics/tocsin --log-filter='
  protoPayload.methodName:("Services.ReplaceService" OR "EndpointService.DeployModel" OR "jobCompleted")'
gcloud pubsub subscriptions create tocsin --topic tocsin --push-endpoint '{url}?token={secret}'
```

Cloud Build publishes to the topic `cloud-builds` by itself: give it such a subscription too.

**Eventarc** (advanced, HTTP endpoint): destination `{url}?token={secret}`; the event comes as a CloudEvent.

- Read: Cloud Build, the audit log (deployments, models, tables, settings), BigQuery jobs that write a table, objects of
  Cloud Storage, Firestore, Firebase Remote Config, model monitoring of Vertex AI.
- Pub/Sub tries again for as long as the subscription keeps messages; its message id keeps a retry from counting twice.
"""

SOURCE = Source(
    name=NAME,
    title="Google Cloud: Eventarc and Pub/Sub",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_message_id,
    setup=SETUP,
    ignores=(
        *(f"{prefix}*: {why}" for prefix, why in _gcp.QUIET),
        "audit entries of what only reads",
        "BigQuery queries that wrote to no table of their own",
    ),
    aliases=("eventarc", "gcp_pubsub"),
)
