"""Who did what to our incident in PagerDuty? Its webhooks as updates of our records.

Version 3 posts one event per body; what extensions of versions 1 and 2 still post is read as the events of version 3
that it would be. PagerDuty wants a 2xx within 5 s, retries for 48 h and drops the subscription for a day after three
refusals. An event without a person as its agent came from an integration, most often from us.
https://developer.pagerduty.com/docs/webhooks-overview
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from tocsin.domain.alert import Resolves
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, RecordAction, RecordUpdate, Source
from tocsin.domain.people import Stands
from tocsin.sources._identity import environment_of
from tocsin.sources._json import parsed_object, shaped, text
from tocsin.sources._pagerduty_messages import older_events
from tocsin.sources._times import moment
from tocsin.sources._verify import any_of, hmac_hex, shared_secret

NAME = "pagerduty"

ACTIONS = {
    "incident.triggered": RecordAction.CREATED,
    "incident.acknowledged": RecordAction.ACKNOWLEDGED,
    "incident.unacknowledged": RecordAction.UPDATED,
    "incident.resolved": RecordAction.RESOLVED,
    "incident.reopened": RecordAction.REOPENED,
    "incident.reassigned": RecordAction.REASSIGNED,
    "incident.escalated": RecordAction.REASSIGNED,
    "incident.delegated": RecordAction.REASSIGNED,
    "incident.priority_updated": RecordAction.PRIORITY_CHANGED,
    "incident.annotated": RecordAction.COMMENTED,
    "incident.status_update_published": RecordAction.COMMENTED,
    "incident.service_updated": RecordAction.UPDATED,
    "incident.custom_field_values.updated": RecordAction.UPDATED,
}
"""Event types that tell us something of a record; PagerDuty adds new ones, which are ignored by name."""
STANDS: Mapping[str, Stands] = {
    "incident.triggered": "open",
    "incident.acknowledged": "acknowledged",
    "incident.unacknowledged": "open",
    "incident.resolved": "resolved",
    "incident.reopened": "open",
}


class _Reference(BaseModel):
    id: str = ""
    summary: str | None = None
    type: str = ""


class _Data(BaseModel):
    """The incident, or a note on one: then `incident` refers to it."""

    id: str = ""
    type: str = ""
    number: int | None = None
    status: str = ""
    title: str | None = None
    incident_key: str | None = None
    incident: _Reference | None = None
    assignees: list[_Reference] | None = None
    teams: list[_Reference] | None = None
    escalation_policy: _Reference | None = None
    priority: _Reference | None = None
    urgency: str | None = None
    resolve_reason: _Reference | str | None = None
    content: str | None = None
    message: str | None = None


class _Event(BaseModel):
    id: str
    event_type: str
    resource_type: str = ""
    occurred_at: str
    agent: _Reference | None = None
    data: dict[str, Any]


class _Envelope(BaseModel):
    event: _Event


def normalize(message: Message, hook: Hook) -> Normalized:
    """One update of a record per event, or the reason why there is none. Raises BadPayload for an event without type,
    time or incident."""
    body = parsed_object(message.body)
    if "messages" not in body:
        return _one(body, message, hook)
    said = [_one(event, message, hook) for event in older_events(body["messages"])]
    updates = tuple(update for each in said for update in each.record_updates)
    reasons = ", ".join(dict.fromkeys(each.ignored for each in said)) or "no messages"
    return Normalized(record_updates=updates) if updates else Normalized(ignored=reasons[:500])


def _one(body: dict[str, Any], message: Message, hook: Hook) -> Normalized:
    event = shaped(_Envelope, body).event
    if event.event_type == "pagey.ping":
        return Normalized(ignored="test ping")
    if event.event_type not in ACTIONS:
        return Normalized(ignored=f"event {event.event_type[:60]} says nothing of a record's state")
    data = shaped(_Data, event.data)
    incident_id = data.incident.id if data.incident else data.id
    if not incident_id:
        raise BadPayload("no incident is named", path="event.data.id")
    return Normalized(record_updates=(_update(event, data, incident_id, message, hook),))


def _update(event: _Event, data: _Data, incident_id: str, message: Message, hook: Hook) -> RecordUpdate:
    title = data.title or (data.incident.summary if data.incident else "") or ""
    return RecordUpdate(
        source=NAME,
        hook=hook.name,
        environment=environment_of(hook.defaults, hook),
        action=ACTIONS[event.event_type],
        external_id=incident_id,
        record_key=data.incident_key or "",
        number=str(data.number) if data.number is not None else "",
        actor=_named(event.agent),
        actor_kind=_actor_kind(event.agent, hook),
        occurred_at=moment(event.occurred_at) or message.received_at,
        received_at=message.received_at,
        event_id=_event_id(event, data, ACTIONS[event.event_type]),
        status=data.status,
        stands=STANDS.get(event.event_type, ""),
        assignee=", ".join(name for each in data.assignees or () if (name := _named(each))),
        group=_named(data.teams[0]) if data.teams else _named(data.escalation_policy),
        priority=_named(data.priority) or data.urgency or "",
        comment=text(data.content or data.message, 4000),
        close_code=_reason(data.resolve_reason),
        summary=f"{event.event_type}: {title[:200]}" if title else event.event_type,
    )


def _event_id(event: _Event, data: _Data, action: RecordAction) -> str:
    """The same for an act, whether it was posted here or polled: a note by its id, the rest by second."""
    at = moment(event.occurred_at)
    if event.event_type == "incident.annotated" and data.incident and data.id:
        return f"note:{data.id}"
    return f"{action}:{at:%Y-%m-%dT%H:%M:%SZ}" if at else event.id


def _named(reference: _Reference | None) -> str:
    return (reference.summary or reference.id) if reference else ""


def _reason(reason: _Reference | str | None) -> str:
    """PagerDuty gives one only for incidents that were merged away: `merge_resolve_reason`."""
    return reason.type if isinstance(reason, _Reference) else reason or ""


def _actor_kind(agent: _Reference | None, hook: Hook) -> str:
    """A person is a `user_reference`; anything else, nobody, and our own account (the hook's default `own_account`:
    id or name) is automation."""
    if agent is None or not agent.type.startswith("user"):
        return "integration"
    return "integration" if hook.defaults.get("own_account") in (agent.id, agent.summary) else "user"


def _delivery(message: Message) -> str:
    """X-Webhook-Id stays the same over the attempts of one delivery."""
    return message.headers.get("x-webhook-id", "")


SETUP = """Integrations → Generic Webhooks (v3) → New Webhook, or `POST /webhook_subscriptions`:

- Webhook URL `{url}`, scope: the services or teams that Tocsin pages
- Events: at least `incident.triggered`, `acknowledged`, `unacknowledged`, `resolved`, `reopened`, `reassigned`,
  `escalated`, `priority_updated`, `annotated`
- PagerDuty shows the signing secret once: store it as this hook's secret (two of them while you rotate). Where
  signatures cannot be used, add the custom header `X-Tocsin-Token: {secret}`.
- Older webhook extensions (version 2, and relays that still write version 1) are read too: they sign nothing, so give
  them the custom header `X-Tocsin-Token: {secret}` or the address `{url}?token={secret}`.
- `own_account` in the hook's `defaults` (id or name of the user that Tocsin's API token belongs to) keeps our own
  writes apart from people's.
"""

SOURCE = Source(
    name=NAME,
    title="PagerDuty webhooks",
    verify=any_of(hmac_hex(header="X-PagerDuty-Signature", prefix="v1="), shared_secret),
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_delivery,
    setup=SETUP,
    ignores=("pagey.ping", "services", "responders, roles, tasks, workflows and conference bridges of an incident"),
)
