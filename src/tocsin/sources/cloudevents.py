"""Which alert or change is in this CloudEvent? Events of any producer, in structured, binary and batched mode.

Google's events and Azure's machine learning events read as through their own sources; data in Tocsin's own words is
taken as it is; everything else is read by its type and the usual fields of its data.
https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.sources import _azure_ml, _gcp, _plain_event
from tocsin.sources._cloud import Occasion, combined, dig, name_in
from tocsin.sources._cloudevent import CloudEvent, event_id, events_of
from tocsin.sources._json import parsed
from tocsin.sources._verify import shared_secret

NAME = "cloudevents"
GOOGLE = ("google.cloud.", "google.firebase.")


def normalize(message: Message, hook: Hook) -> Normalized:
    """What each event of the request tells. Raises BadPayload for a request without a CloudEvent, and for one that
    lacks id, source or type."""
    events = events_of(message)
    if not events and parsed(message.body) != []:
        raise BadPayload("absent: neither headers (ce-type) nor body hold a CloudEvent", path="specversion")
    return combined(_read(event, message, hook) for event in events)


def _read(event: CloudEvent, message: Message, hook: Hook) -> Normalized:
    occasion = Occasion(source=NAME, message=message, hook=hook, labels=_labels(event))
    if event.type.startswith(GOOGLE):
        return _gcp.told(event, occasion)
    if event.type.startswith(_azure_ml.PREFIX):
        told = _azure_ml.GridEvent(
            type=event.type, source=event.source, subject=event.subject, id=event.id, at=event.at
        )
        return _azure_ml.told(told, event.data, occasion)
    subject = event.subject or name_in({"id": dig(event.data, "subject", "id")}, "id")
    plain = _plain_event.PlainEvent(
        type=event.type, source=event.source, id=event.id, subject=subject, at=event.at, data=event.data
    )
    return _plain_event.told(plain, occasion)


def _labels(event: CloudEvent) -> dict[str, object]:
    """Extensions are labels: `traceparent`, `partitionkey` and the producer's own."""
    return {**event.extensions, "type": event.type, "event_source": event.source}


SETUP = """Post to `{url}` with `Authorization: Bearer {secret}`; senders that cannot set a header use
`{url}?token={secret}`.

```sh
curl -fsS {url} -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/cloudevents+json' -d '
{{"specversion": "1.0", "id": "7f3a", "source": "/ml/monitor", "type": "com.example.drift.detected",
  "time": "2026-11-20T08:00:00Z", "data": {{"model": "churn", "feature": "tenure_days", "metric": "psi",
  "value": 0.37, "threshold": 0.2, "severity": "error", "status": "firing"}}}}'
```

- Structured (`application/cloudevents+json`), batched (`application/cloudevents-batch+json`) and binary mode (`ce-*`
  headers) are read, versions 0.1 to 1.0, `data_base64` included.
- A type with *alert*, *incident*, *drift* or *anomaly* in it is an alert; one such as `model.promoted` or
  `deployment.finished` a change. `status: resolved` in the data ends an alert.
- Exactly as you mean it: let `data` be the body of `native_alert` or `native_change`, or declare a hook of your own.
- CDEvents have a source of their own, `cdevents`.
"""

SOURCE = Source(
    name=NAME,
    title="CloudEvents of any producer",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=event_id,
    setup=SETUP,
    ignores=("types that name neither an alert nor a change", "an empty batch", "Pub/Sub messages without JSON"),
    aliases=("cloudevent",),
)
