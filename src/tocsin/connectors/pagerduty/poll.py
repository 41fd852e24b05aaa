"""What did people do to our incidents since the last look? Asked of the log of the account, where there is a token.

Each entry is one act with its agent. Entries of others' incidents are left out by the key that an incident carries.
https://developer.pagerduty.com/api-reference/ "List log entries"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from tocsin.connectors._http import Failure, Http, Reply
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.rest import Rest, iso, moment
from tocsin.domain.message import RecordAction, RecordUpdate
from tocsin.domain.people import Stands
from tocsin.domain.seen import Polled

OVERLAP = timedelta(seconds=60)
FIRST_LOOK = timedelta(hours=1)
LONGEST_LOOK = timedelta(hours=24)
"""A busy account's log would be longer than the API lets us page through; reconciliation finds what was before."""
ME_KEPT_S = 3600
MAX_COMMENT = 4_000
_KEY = re.compile(r"[0-9a-f]{32}")

ACTIONS: dict[str, RecordAction] = {
    "acknowledge_log_entry": RecordAction.ACKNOWLEDGED,
    "resolve_log_entry": RecordAction.RESOLVED,
    "reopen_log_entry": RecordAction.REOPENED,
    "assign_log_entry": RecordAction.REASSIGNED,
    "delegate_log_entry": RecordAction.REASSIGNED,
    "escalate_log_entry": RecordAction.REASSIGNED,
    "priority_change_log_entry": RecordAction.PRIORITY_CHANGED,
    "annotate_log_entry": RecordAction.COMMENTED,
}
STANDS: dict[RecordAction, Stands] = {
    RecordAction.ACKNOWLEDGED: "acknowledged",
    RecordAction.RESOLVED: "resolved",
    RecordAction.REOPENED: "open",
}

Row = dict[str, Any]


def poll(config: Config, watermark: str, now: datetime, http: Http) -> Polled | Failure:
    """People's acts on incidents that carry a key like ours, since the watermark, oldest first."""
    attempt = http.attempt(now)
    rest = Rest(config, attempt)
    if not rest.usable:
        return Polled(watermark=watermark)
    last = moment(watermark) or now - FIRST_LOOK
    since = max(last - OVERLAP, now - LONGEST_LOOK)
    found = rest.log_entries(since=since, until=now + OVERLAP)
    if isinstance(found, Failure):
        return found
    entries = sorted((row for row in found if _is_ours(row)), key=lambda row: str(row.get("created_at") or ""))
    me = _me(config, rest, attempt)
    updates = [update for row in entries if (update := _update(row, me, now)) is not None]
    for incident in _annotated(entries):
        notes = _notes(rest, incident, since, me, now)
        if isinstance(notes, Failure):
            return notes
        updates += notes
    newest = max((at for row in found if (at := moment(row.get("created_at")))), default=last)
    ordered = sorted(updates, key=lambda update: update.occurred_at)
    return Polled(updates=tuple(ordered), watermark=iso(max(newest, last)))


def _is_ours(row: Row) -> bool:
    return bool(_KEY.fullmatch(str(_inner(row, "incident").get("incident_key") or "")))


def _update(row: Row, me: frozenset[str], now: datetime) -> RecordUpdate | None:
    """One act; None for entries that say nothing of a record, and for notes, which come with their text."""
    action = ACTIONS.get(str(row.get("type") or ""))
    if action is None or action is RecordAction.COMMENTED:
        return None
    at = moment(row.get("created_at")) or now
    return _of(
        _inner(row, "incident"), _inner(row, "agent"), me, action, at=at, now=now, event_id=f"{action}:{iso(at)}"
    )


def _annotated(entries: list[Row]) -> Iterator[Row]:
    """The incidents that got notes, each once."""
    seen: set[str] = set()
    for row in entries:
        incident = _inner(row, "incident")
        if row.get("type") == "annotate_log_entry" and str(incident.get("id")) not in seen:
            seen.add(str(incident.get("id")))
            yield incident


def _notes(
    rest: Rest, incident: Row, since: datetime, me: frozenset[str], now: datetime
) -> list[RecordUpdate] | Failure:
    answer = rest.call("GET", f"/incidents/{incident.get('id')}/notes")
    if isinstance(answer, Failure):
        return [] if answer.status == 404 else answer
    found = []
    for note in _list(answer, "notes"):
        at = moment(note.get("created_at")) or now
        text = str(note.get("content") or "")
        if at < since or not text:
            continue
        event = f"note:{note.get('id')}"
        said = _of(
            incident, _inner(note, "user"), me, RecordAction.COMMENTED, at=at, now=now, event_id=event, comment=text
        )
        found.append(said)
    return found


def _of(
    incident: Row,
    agent: Row,
    me: frozenset[str],
    action: RecordAction,
    *,
    at: datetime,
    now: datetime,
    event_id: str,
    comment: str = "",
) -> RecordUpdate:
    assignees = [_name(_inner(one, "assignee")) for one in incident.get("assignments") or [] if isinstance(one, dict)]
    teams = [one for one in incident.get("teams") or [] if isinstance(one, dict)]
    return RecordUpdate(
        source="pagerduty",
        hook="",
        environment="",
        action=action,
        external_id=str(incident.get("id") or ""),
        record_key=str(incident.get("incident_key") or ""),
        number=str(incident.get("incident_number") or ""),
        actor=_name(agent),
        actor_kind=_actor_kind(agent, me),
        occurred_at=at,
        received_at=now,
        event_id=event_id,
        status=str(incident.get("status") or ""),
        stands=STANDS.get(action, ""),
        assignee=", ".join(name for name in assignees if name),
        group=_name(teams[0]) if teams else _name(_inner(incident, "escalation_policy")),
        priority=_name(_inner(incident, "priority")),
        comment=comment[:MAX_COMMENT],
        summary=f"#{incident.get('incident_number')} {action.replace('_', ' ')} by {_name(agent) or 'nobody named'}",
    )


def _actor_kind(agent: Row, me: frozenset[str]) -> str:
    """A person is a user; anything else, and the user in whose name we write, is automation."""
    if not str(agent.get("type") or "").startswith("user"):
        return "integration"
    return "integration" if me & {str(agent.get("id")), str(agent.get("summary"))} else "user"


def _me(config: Config, rest: Rest, http: Http) -> frozenset[str]:
    """Id and mail address of the user in whose name we write; remembered for an hour."""
    if not config.from_email:
        return frozenset()
    known: frozenset[str] | None = http.recall("pagerduty.me")
    if known is None:
        answer = rest.call("GET", "/users", (("query", config.from_email),))
        rows = [] if isinstance(answer, Failure) else _list(answer, "users")
        ids = {str(row.get("id")) for row in rows if row.get("email") == config.from_email}
        known = frozenset({config.from_email, *ids})
        http.remember("pagerduty.me", known, for_s=ME_KEPT_S)
    return known


def _name(reference: Row) -> str:
    return str(reference.get("summary") or reference.get("name") or reference.get("id") or "")


def _inner(row: Row, name: str) -> Row:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _list(answer: Reply, name: str) -> list[Row]:
    rows = answer.body.get(name) if isinstance(answer.body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
