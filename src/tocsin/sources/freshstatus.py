"""What does a Freshstatus page say? Incidents are alerts, scheduled maintenance is a planned change that mutes them.

`event_data.event_type` names the event; notes carry the state of what they are added to in `incident_status`.
Nothing is signed. https://support.freshstatus.io/ (Webhooks)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tocsin.domain.alert import Resolves, Severity, Status
from tocsin.domain.change import ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, change, fields_of, symptom_of_service, told_in
from tocsin.sources._verify import shared_secret

NAME = "freshstatus"

OVER = frozenset({"closed", "resolved", "completed", "cancelled", "canceled", "deleted"})
OUTCOMES = {
    "planned": ChangeOutcome.UNKNOWN,
    "scheduled": ChangeOutcome.UNKNOWN,
    "open": ChangeOutcome.RUNNING,
    "started": ChangeOutcome.RUNNING,
    "in_progress": ChangeOutcome.RUNNING,
    "in progress": ChangeOutcome.RUNNING,
    "ongoing": ChangeOutcome.RUNNING,
    "closed": ChangeOutcome.SUCCESS,
    "completed": ChangeOutcome.SUCCESS,
    "resolved": ChangeOutcome.SUCCESS,
    "cancelled": ChangeOutcome.CANCELED,
    "canceled": ChangeOutcome.CANCELED,
    "deleted": ChangeOutcome.CANCELED,
}
TEST_ID = "1"
"""What the button *Test* sends: an incident that opens with this id."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """An incident's or maintenance's state. Raises BadPayload without event type, id or title."""
    body = fields_of(message)
    kind = body.need_inner("event_data").need("event_type").upper()
    key = body.text("incident_id", "maintenance_id", "id") or body.need("title")
    if kind == "INCIDENT_OPEN" and body.text("id") == TEST_ID:
        return Normalized(ignored="Freshstatus' test of the webhook")
    if kind.startswith("MAINTENANCE"):
        return _maintenance(body, kind, key, message, hook)
    if not kind.startswith("INCIDENT"):
        return Normalized(ignored=f"event {kind[:40]} is neither an incident nor a maintenance")
    if "NOTE" in kind and not body.text("incident_status", "status"):
        raise BadPayload("absent: whether the incident is over", path="incident_status")
    title = body.need("title")  # its identity: a note's id is its own, and it need not name the incident's
    over = _word(body, kind) in OVER
    words = body.text("message", "description")
    affected = _affected(body)
    told = alert(
        message,
        hook,
        source=NAME,
        name=title,
        subject=Subject.of("service", affected[0] if affected else title),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=Severity.WARNING,
        summary=title,
        description=words,
        symptom=symptom_of_service(title, words),
        starts_at=_began(body, kind),
        ends_at=body.time("end_time") or body.inner("event_data").time("event_created_on"),
        labels={"affected_services": body.text("affected_services"), "source": body.text("source"), "incident_id": key},
        sender_key=title,
        known_by=f"incident:{title}",
    )
    return Normalized(alerts=(told,))


def _began(body: Fields, kind: str) -> datetime | None:
    """A reopened incident keeps its first start, which lies before its end: then the reopening is the start."""
    reopened = body.inner("event_data").time("event_created_on") if "REOPEN" in kind else None
    return reopened or body.time("start_time")


def _word(body: Fields, kind: str) -> str:
    """The state in lower case: the event's own word (INCIDENT_CLOSED) before the status, which may lag."""
    own = kind.partition("_")[2].lower()
    if own in OUTCOMES:
        return own
    return body.text("incident_status", "maintenance_status", "status").lower()


def _affected(body: Fields) -> list[str]:
    listed = body.data.get("affected_services")
    if isinstance(listed, list):
        return [name for entry in listed if (name := Fields(entry).text("name") if isinstance(entry, dict) else "")]
    return [name.strip() for name in body.text("affected_services").split(",") if name.strip()]


def _maintenance(body: Fields, kind: str, key: str, message: Message, hook: Hook) -> Normalized:
    """A planned change of every affected service, because a window mutes what its change is about."""
    title, word = body.need("title"), _word(body, kind)
    first, *others = [Subject.of("service", name) for name in dict.fromkeys(_affected(body) or [title])]
    done = word in OVER
    begins, ends = body.time("scheduled_start_time", "start_time"), body.time("scheduled_end_time", "end_time")
    known = change(
        message,
        hook,
        source=NAME,
        id=f"maintenance:{key}",
        kind=ChangeKind.CHANGE_REQUEST,
        subject=first,
        occurred_at=begins or body.inner("event_data").time("event_created_on"),
        finished_at=body.inner("event_data").time("event_created_on") if done else None,
        outcome=OUTCOMES.get(word, ChangeOutcome.UNKNOWN),
        summary=f"Maintenance {word or 'noted'}: {title}",
        labels={
            "approved": "false" if done else "true",  # webhooks of Freshstatus tell of one's own page alone
            "planned_start": begins.isoformat() if begins else "",
            "planned_end": ends.isoformat() if ends else "",
            "source": body.text("source"),
        },
    )
    beside = (replace(known, id=f"{known.id}:{other.name}"[:512], subject=other) for other in others)
    return Normalized(changes=(known, *beside))


def _event_id(message: Message) -> str:
    """`event_data.event_id` of the body."""
    return told_in(message, "event_data", "event_id")


SOURCE = Source(
    name=NAME,
    title="Freshstatus",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    message_id=_event_id,
    ignores=("the test of the webhook (an incident with id 1)", "events that are neither incident nor maintenance"),
    setup="""\
Settings → Integrations → Webhooks → New: all incident and maintenance events, POST `{url}?token={secret}`, content
*Advanced*. Freshstatus signs nothing, so the secret stands in the address. Incident JSON (maintenance JSON likewise,
with `scheduled_start_time` and `scheduled_end_time`):

```json
{{"id": "{{id}}", "title": "{{title}}", "description": "{{description}}", "start_time": "{{start_time}}",
  "end_time": "{{end_time}}", "source": "{{source}}", "affected_services": "{{affected_services}}"}}
```

and note JSON, which also tells of the end:

```json
{{"id": "{{note_id}}", "title": "{{title}}", "incident_id": "{{note_incident_id}}",
  "incident_status": "{{note_incident_status}}", "message": "{{note_message}}", "status": "{{note_status}}"}}
```

The planned window of a maintenance mutes alerts of every affected service, until it is completed or cancelled. An
incident is known by its title: notes of other templates do not name the incident.
""",
)
