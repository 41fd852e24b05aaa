"""What did Azure Machine Learning report through Event Grid? Drift, broken monitors, models, deployments and runs.

Event Grid posts lists of events in its own schema, or CloudEvents; before the first it asks to have a code repeated.
https://learn.microsoft.com/azure/machine-learning/how-to-use-event-grid
"""

from __future__ import annotations

from typing import Any

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Answer, Hook, Message, Normalized, Receipt, Source, plain_answer
from tocsin.sources import _azure_ml, _cloudevent
from tocsin.sources._azure_ml import GridEvent
from tocsin.sources._cloud import MAX_EVENTS, Occasion, combined, dig, facts, name_in, time_in
from tocsin.sources._json import kind_of, parsed
from tocsin.sources._verify import shared_secret

NAME = "azure_ml"

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
GOODBYE = "Microsoft.EventGrid.SubscriptionDeletedEvent"


def normalize(message: Message, hook: Hook) -> Normalized:
    """What each event tells. Raises BadPayload with the path of what does not fit."""
    if _cloudevent.is_binary(message):
        events = [_of_cloudevent(each) for each in _cloudevent.events_of(message)]
    else:
        events = [_event(each, n) for n, each in enumerate(_listed(parsed(message.body)))]
    return combined(_read(event, data, message, hook) for event, data in events)


def _listed(body: object) -> list[Any]:
    listed = body if isinstance(body, list) else [body]
    if len(listed) > MAX_EVENTS:
        raise BadPayload(f"{len(listed)} events; at most {MAX_EVENTS} in one message")
    return listed


def _of_cloudevent(event: _cloudevent.CloudEvent) -> tuple[GridEvent, Any]:
    return (
        GridEvent(type=event.type, source=event.source, subject=event.subject, id=event.id, at=event.at),
        event.data,
    )


def _event(body: object, n: int) -> tuple[GridEvent, Any]:
    """One event in either schema; the older spelling of its time is `eventTime`."""
    if not isinstance(body, dict):
        raise BadPayload(f"expected an object, found {kind_of(body)}", path=str(n))
    kind = name_in(body, "eventType", "type")
    if not kind:
        if "schemaId" in body:
            return GridEvent(type="Azure Monitor"), body
        raise BadPayload("expected a text", path=f"{n}.eventType")
    event = GridEvent(
        type=kind,
        source=name_in(body, "topic", "source"),
        subject=name_in(body, "subject"),
        id=name_in(body, "id"),
        at=time_in(body, "eventTime", "time", path=str(n)),
    )
    return event, body.get("data")


def _read(event: GridEvent, data: object, message: Message, hook: Hook) -> Normalized:
    if event.type == "Azure Monitor":
        return Normalized(ignored="an alert of Azure Monitor: point its action group at a hook of azure_monitor")
    if event.type == VALIDATION:
        return Normalized(ignored="Event Grid's handshake: the code was repeated in the answer")
    if event.type == GOODBYE:
        return Normalized(ignored="Event Grid: the subscription was deleted, no event comes from it any more")
    if not event.type.startswith(_azure_ml.PREFIX):
        return Normalized(ignored=f"event {event.type[:80]} is not of Azure Machine Learning")
    tags = facts(facts(data).get("RunTags") or facts(data).get("ModelTags"))
    return _azure_ml.told(event, data, Occasion(source=NAME, message=message, hook=hook, tags=tags))


def answer(message: Message, receipt: Receipt) -> Answer:
    """Event Grid sends nothing until its validation code is repeated; all else gets the usual 202."""
    if VALIDATION.encode() in message.body[:65536]:
        try:
            body = parsed(message.body)
        except BadPayload:
            return plain_answer(message, receipt)
        for each in body if isinstance(body, list) else [body]:
            code = dig(each, "data", "validationCode")
            if isinstance(code, str) and code:
                return Answer(status=200, body={"validationResponse": code[:256]})
    return plain_answer(message, receipt)


def _message_id(message: Message) -> str:
    """The event's own id, the same over retries; none for a list of several."""
    try:
        body = parsed(message.body)
    except BadPayload:
        return ""
    only = body[0] if isinstance(body, list) and len(body) == 1 else body
    return name_in(facts(only), "id")[:255] or _cloudevent.event_id(message)


SETUP = """In the workspace: Events → + Event subscription, event schema *Event Grid Schema*, endpoint type *Web Hook*,

    {url}?token={secret}

Event types: *Model registered*, *Model deployed*, *Run status changed*, and *Dataset drift detected* where dataset
monitors of v1 still run. For model monitoring take *Run status changed*; to have monitors only, filter on the key
`data.RunTags.azureml_modelmonitor_threshold_breached`, operator *String contains*, value `has failed`.

```sh
az eventgrid event-subscription create --name tocsin --source-resource-id WORKSPACE-ID \\
  --endpoint '{url}?token={secret}' --included-event-types Microsoft.MachineLearningServices.ModelRegistered \\
  Microsoft.MachineLearningServices.ModelDeployed Microsoft.MachineLearningServices.RunStatusChanged
```

- Tocsin repeats Event Grid's validation code by itself.
- A monitor's event names neither model nor feature: the hook's default `model: churn` says whose it is.
- Online endpoints' metrics (latency, errors, capacity) alert through Azure Monitor: source `azure_monitor`.
- Event Grid tries again for 24 hours; the event's id keeps a retry from counting twice.
"""

SOURCE = Source(
    name=NAME,
    title="Azure Machine Learning (Event Grid)",
    verify=shared_secret,
    normalize=normalize,
    answer=answer,
    resolves=Resolves.NEXT_PASS,
    message_id=_message_id,
    setup=SETUP,
    ignores=(
        "Event Grid's validation and deletion events",
        "events of other services",
        "alerts of Azure Monitor, which have a source of their own",
    ),
    aliases=("azureml", "azure_machine_learning"),
)
