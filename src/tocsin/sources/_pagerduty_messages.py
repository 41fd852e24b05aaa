"""What would version 3 say? PagerDuty's older webhooks (extensions, versions 1 and 2) as events of version 3.

Both come as `messages`, up to ten in a body, and sign nothing. Version 2 names its act `event` and carries the log
entry, which names the agent; version 1 names it `type` and says only who changed the status last.
https://developer.pagerduty.com/docs/webhooks/webhooks-v2-overview ; support of 2 ended in October 2022, with no end of
life set; 1 lost its function then, but relays still write it.
"""

from __future__ import annotations

from typing import Any

from tocsin.sources._flat import Fields, objects
from tocsin.sources._json import text

EVENTS = {
    "incident.trigger": "incident.triggered",
    "incident.acknowledge": "incident.acknowledged",
    "incident.unacknowledge": "incident.unacknowledged",
    "incident.resolve": "incident.resolved",
    "incident.reopen": "incident.reopened",
    "incident.assign": "incident.reassigned",
    "incident.escalate": "incident.escalated",
    "incident.delegate": "incident.delegated",
    "incident.annotate": "incident.annotated",
    "incident.priority_change": "incident.priority_updated",
}
"""Event of version 1 or 2 → of version 3; any other keeps its name, by which it is ignored."""

CHANGES_STATUS = frozenset({"incident.acknowledge", "incident.unacknowledge", "incident.resolve"})
"""What `last_status_change_by` of version 1 tells the agent of."""


def older_events(messages: object) -> list[dict[str, Any]]:
    """The messages as version 3 bodies (`{"event": …}`). Raises BadPayload for what is no list of objects or has no
    incident."""
    return [{"event": _event(message)} for message in objects(messages, "messages")]


def _event(message: Fields) -> dict[str, Any]:
    act = message.text("event", "type")
    second = "event" in message  # version 2
    incident = message.need_inner("incident") if second else message.need_inner("data").need_inner("incident")
    entry = _first(message.data.get("log_entries"))
    if second:
        agent = _reference(entry.data.get("agent"))
    else:
        agent = _user(incident.data.get("resolved_by_user") or incident.data.get("last_status_change_by"))
        agent = agent if act in CHANGES_STATUS else None
    trigger = _fields(incident.data.get("trigger_summary_data"))
    return {
        "id": message.text("id"),
        "event_type": EVENTS.get(act, act),
        "occurred_at": entry.text("created_at") or message.need("created_on"),
        "agent": agent,
        "data": {
            "id": incident.need("id"),
            "number": incident.data.get("incident_number"),
            "status": incident.text("status"),
            "title": incident.text("title", "description") or trigger.text("subject", "description"),
            "incident_key": incident.text("incident_key"),
            "assignees": _assignees(incident),
            "teams": [team for each in _list(incident.data.get("teams")) if (team := _reference(each))],
            "escalation_policy": _reference(incident.data.get("escalation_policy")),
            "priority": _reference(incident.data.get("priority")),
            "urgency": incident.text("urgency"),
            "resolve_reason": _reference(incident.data.get("resolve_reason")),
            "content": _note(entry) if act == "incident.annotate" else "",
        },
    }


def _assignees(incident: Fields) -> list[dict[str, str]]:
    """`assignments` of version 2, `assigned_to` of version 1, and its older `assigned_to_user`."""
    named = [_reference(_fields(each).data.get("assignee")) for each in _list(incident.data.get("assignments"))]
    named += [_user(_fields(each).data.get("object")) for each in _list(incident.data.get("assigned_to"))]
    return [each for each in named if each] or [each for each in [_user(incident.data.get("assigned_to_user"))] if each]


def _note(entry: Fields) -> str:
    """A note's text: the channel has it, in the log entry as a whole or cut to a summary."""
    return _fields(entry.data.get("channel")).text("content", "summary", limit=4000)


def _user(value: object) -> dict[str, str] | None:
    """A person of version 1, which gives no type."""
    found = _reference(value)
    return found and found | {"type": "user_reference"}


def _reference(value: object) -> dict[str, str] | None:
    """Whatever is named: `summary` in version 2, `name` in version 1; None for null, also where it is spelt out."""
    found = _fields(value)
    named = {"id": found.text("id"), "summary": found.text("summary", "name"), "type": text(found.data.get("type"))}
    return named if named["id"] or named["summary"] or named["type"] else None


def _fields(value: object) -> Fields:
    return Fields(value if isinstance(value, dict) else {})


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: object) -> Fields:
    entries = _list(value)
    return _fields(entries[0]) if entries else Fields({})
