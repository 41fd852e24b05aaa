"""Who did what to our incident in ServiceNow, and what is planned there? The bodies that our Business Rules post.

An incident's is an update of our record; a change request's is a change, and its approved window is maintenance.

ServiceNow has no webhooks of its own; the rule under `setup` is ours, and so is this body. Each value is a text as
`getDisplayValue` gives it, times are UTC `yyyy-MM-dd HH:mm:ss`. The rule posts once, so that polling stays the net.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from pydantic import BaseModel, ConfigDict

from tocsin.domain.alert import Resolves
from tocsin.domain.change import Change
from tocsin.domain.message import Hook, Message, Normalized, RecordAction, RecordUpdate, Source, Verdict
from tocsin.domain.people import Stands
from tocsin.sources._change_request import change_of_request
from tocsin.sources._identity import environment_of
from tocsin.sources._json import parsed_object, shaped
from tocsin.sources._shape import Name, Text
from tocsin.sources._times import moment
from tocsin.sources._verify import VERIFIED, refused, shared_secret, verdict_of_signature

NAME = "servicenow"

REPLAY_WINDOW = timedelta(minutes=15)
"""The rule posts at once and never again; the rest is for clocks that differ."""

MAX_NOTES = 4000
_JOURNAL_HEAD = re.compile(r"^\d{2,4}[-/.]\d{2}[-/.]\d{2,4} [\d:]+(?: [AP]M)? - .*? \([^)\n]*\)\s*\n")
"""`2026-11-21 10:31:07 - Ines Okafor (Work notes)`, as getJournalEntry puts it above the text."""
STANDS: Mapping[str, Stands] = {
    **dict.fromkeys(("1", "new"), "open"),
    **dict.fromkeys(("2", "in progress", "3", "on hold"), "acknowledged"),
    **dict.fromkeys(("6", "resolved"), "resolved"),
    **dict.fromkeys(("7", "closed", "8", "canceled"), "closed"),
}
"""The base system's states by value and by label."""
TABLES = frozenset({"incident", "problem", "sn_si_incident"})


class _Event(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True, str_strip_whitespace=True)

    table: str
    sys_id: Name
    action: RecordAction
    sys_updated_on: str
    event_id: Text = ""
    number: Text = ""
    correlation_id: Text = ""
    state: Text = ""
    assigned_to: Text = ""
    assignment_group: Text = ""
    priority: Text = ""
    work_notes: Text = ""
    close_code: Text = ""
    caused_by: Text = ""
    sys_updated_by: Text = ""
    sys_mod_count: Text = ""


def verify(message: Message, secrets: Sequence[str]) -> Verdict:
    """The signature when there is one: `sha256=` and the hex HMAC-SHA256 of `X-Tocsin-Timestamp`, a dot and the body,
    at most 15 minutes old. Otherwise the request must carry a shared secret."""
    signature = message.headers.get("x-tocsin-signature", "")
    if not signature:
        return shared_secret(message, secrets)
    at = message.headers.get("x-tocsin-timestamp", "")
    signed = f"{at}.".encode() + message.body
    verdict = verdict_of_signature("X-Tocsin-Signature", signature, signed, secrets, prefix="sha256=")
    if verdict == VERIFIED and not _is_recent(at, message.received_at):
        return refused(
            "wrong signature: its X-Tocsin-Timestamp (epoch seconds) is not within 15 minutes of the receipt"
        )
    return verdict


def _is_recent(at: str, received_at: datetime) -> bool:
    signed_at = moment(int(at)) if at.isdecimal() and len(at) <= 20 else None
    return signed_at is not None and abs(received_at - signed_at) <= REPLAY_WINDOW


def normalize(message: Message, hook: Hook) -> Normalized:
    """One update of a record, and another that sets the cause when it is closed with one; or the change that a change
    request tells of. Raises BadPayload when table, sys_id, a known action or sys_updated_on is missing, and for a
    change request without sys_id, number or state."""
    body = parsed_object(message.body)
    if body.get("table") == "change_request":
        told = change_of_request(body, message, hook, source=NAME)
        return Normalized(changes=(told,)) if isinstance(told, Change) else Normalized(ignored=told)
    event = shaped(_Event, body)
    if event.table not in TABLES:
        return Normalized(ignored=f"table {event.table[:60]} holds no record of ours")
    actions = [event.action]
    if event.caused_by and event.action in (RecordAction.RESOLVED, RecordAction.CLOSED):
        actions.append(RecordAction.CAUSE_SET)
    return Normalized(record_updates=tuple(_update(event, action, message, hook) for action in actions))


def _update(event: _Event, action: RecordAction, message: Message, hook: Hook) -> RecordUpdate:
    who = event.sys_updated_by or "nobody named"
    comment = "" if action is not event.action else _JOURNAL_HEAD.sub("", event.work_notes).strip()[:MAX_NOTES]
    return RecordUpdate(
        source=NAME,
        hook=hook.name,
        environment=environment_of(hook.defaults, hook),
        action=action,
        external_id=event.sys_id,
        record_key=event.correlation_id,
        number=event.number,
        actor=event.sys_updated_by,
        actor_kind=_actor_kind(event.sys_updated_by, hook),
        occurred_at=moment(event.sys_updated_on) or message.received_at,
        received_at=message.received_at,
        event_id=_event_id(event, action, comment),
        revision=int(event.sys_mod_count[:18]) if event.sys_mod_count.isdecimal() else 0,
        status=event.state,
        stands=STANDS.get(event.state.lower(), ""),
        assignee=event.assigned_to,
        group=event.assignment_group,
        priority=event.priority,
        comment=comment,
        caused_by=event.caused_by,
        close_code=event.close_code,
        summary=f"{event.number or event.sys_id} {action.replace('_', ' ')} by {who}",
    )


def _actor_kind(account: str, hook: Hook) -> str:
    """`integration` for ServiceNow's own jobs and for our account (the hook's default `own_account`)."""
    if not account:
        return ""
    return "integration" if account in ("system", "guest", hook.defaults.get("own_account")) else "user"


def _event_id(event: _Event, action: RecordAction, comment: str) -> str:
    """The same for an act, whether it was posted here or polled; a journal entry is known by its author and text."""
    if action is RecordAction.COMMENTED and comment:
        said = f"{event.sys_updated_by}\n{comment}".encode()
        return "comment:" + sha256(said).hexdigest()[:20]
    return f"{event.event_id or f'{event.sys_id}:{event.sys_mod_count}'}:{action}"


SETUP = """Import `integrations/servicenow/tocsin-update-set.xml` (System Update Sets → Retrieved Update Sets; it
changes no base record, docs/howto/servicenow.md). Then, in `sys_properties.list`:

- `tocsin.url`: `{url}`
- `tocsin.secret`: `{secret}` (kept encrypted; it signs what is posted)
- `tocsin.user`: the user name that Tocsin writes with, so that our own edits are not told. Give the same name as
  `own_account` in the hook's `defaults`.
- `tocsin.changes`: `true`, to be told of approved change requests too: their window mutes alerts of their configuration
  item, and one that is implemented or closed may explain a symptom.

Without the set: a Business Rule for each kind of edit, on the table Incident, When `async`, Update, with a filter
condition such as *Correlation display is Tocsin, State changes to Resolved* (an async script cannot ask what changed).
Advanced, with `acknowledged`, `resolved`, `closed`, `reopened`, `reassigned`, `priority_changed`, `commented` or
`cause_set` as `action`:

```javascript
(function executeRule(current, previous) {{
  var request = new sn_ws.RESTMessageV2();
  request.setHttpMethod('POST');
  request.setEndpoint('{url}');
  request.setRequestHeader('Content-Type', 'application/json');
  request.setRequestHeader('Authorization', 'Bearer {secret}');
  request.setRequestBody(JSON.stringify({{
    event_id: current.getUniqueValue() + ':' + current.sys_mod_count,
    table: current.getTableName(), sys_id: current.getUniqueValue(), number: '' + current.number,
    correlation_id: '' + current.correlation_id, action: 'resolved', state: current.getDisplayValue('state'),
    assigned_to: current.getDisplayValue('assigned_to'),
    assignment_group: current.getDisplayValue('assignment_group'),
    priority: current.getDisplayValue('priority'), work_notes: '' + current.work_notes.getJournalEntry(1),
    close_code: '' + current.close_code, caused_by: current.getDisplayValue('caused_by'),
    sys_updated_by: '' + current.sys_updated_by, sys_updated_on: current.getValue('sys_updated_on'),
    sys_mod_count: '' + current.sys_mod_count
  }}));
  request.execute();
}})(current, previous);
```

docs/howto/changes.md has the rule for change requests.
"""

SOURCE = Source(
    name=NAME,
    title="ServiceNow Business Rule",
    verify=verify,
    normalize=normalize,
    resolves=Resolves.SENDER,
    setup=SETUP,
    ignores=(
        "tables other than incident, problem, security incident and change request",
        "change requests that are not approved yet, or are for another environment than the hook's",
    ),
)
