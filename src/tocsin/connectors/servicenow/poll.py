"""What did people do to our incidents since the last look? Asked of the Table API, for instances that tell us nothing.

An incident shows how it stands, not who did what: an update is a look, and what differs from the look before was done.
Work notes and comments come from the journal, entry by entry. https://www.servicenow.com/docs/ "Table API"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.render import CANCELED, CLOSED, IN_PROGRESS, NEW, ON_HOLD, RESOLVED
from tocsin.connectors.servicenow.table import Row, Table
from tocsin.domain.message import RecordAction, RecordUpdate
from tocsin.domain.people import Stands
from tocsin.domain.seen import Polled

OVERLAP = timedelta(seconds=60)
"""A row's time is set before its transaction commits: one may appear late (vendors.md §3.7)."""
FIRST_LOOK = timedelta(hours=1)
EARLIER = timedelta(minutes=15)
"""An incident that changed since may have got a note before, unread: its journal is read from so much
earlier, and what is heard twice counts once."""
PAGE, PAGES = 200, 10
IDS_AT_ONCE = 50
"""Of the journal's query: 33 characters each, within an address of 2,048."""
MAX_COMMENT = 4_000
RULES = ("system", "guest", "maint")
"""Accounts in whose name the platform's own jobs and rules write."""
STATES: dict[str, Stands] = {
    NEW: "open",
    IN_PROGRESS: "acknowledged",
    ON_HOLD: "acknowledged",
    RESOLVED: "resolved",
    CLOSED: "closed",
    CANCELED: "closed",
}
FIELDS = (
    "sys_id,number,correlation_id,correlation_display,state,priority,close_code,assigned_to,assignment_group,caused_by,"
    "assigned_to.name,assignment_group.name,caused_by.number,sys_updated_on,sys_updated_by,sys_created_by,sys_mod_count"
)
_JOURNAL = "sys_id,element_id,element,value,sys_created_on,sys_created_by"
_KEY = re.compile(r"[0-9a-f]{32}")
_WIRE = "%Y-%m-%d %H:%M:%S"


def poll(config: Config, watermark: str, now: datetime, http: Http) -> Polled | Failure:
    """Looks at our incidents that were updated since the watermark (the instance's own clock), oldest first."""
    if config.identity == "event":
        return Polled(watermark=watermark)  # alerts of Event Management: people work on what they become
    since = (moment(watermark) or now - FIRST_LOOK) - OVERLAP
    table = Table(config, http.attempt(now))
    rows, more = [], False
    for page in range(PAGES):
        found = _page(table, config, since, page)
        if isinstance(found, Failure):
            return found
        rows += [row for row in found if is_ours(row) and row.get("sys_updated_on", "") >= since.strftime(_WIRE)]
        more = len(found) == PAGE
        if not more:
            break
    entries = _journal(table, since - EARLIER, rows)
    if isinstance(entries, Failure):
        return entries
    accounts = {row["sys_id"]: row.get("sys_created_by", "") for row in rows}
    updates = [_look(row, now) for row in rows]
    updates += [said for row in entries if (said := _said(row, accounts, rows, now)) is not None]
    newest = max((row["sys_updated_on"] for row in rows), default=watermark or (now - OVERLAP).strftime(_WIRE))
    if more and (reached := moment(newest)) is not None:
        newest = (reached + OVERLAP).strftime(_WIRE)  # the next look goes on just there, and not over the same again
    ordered = sorted(updates, key=lambda update: update.occurred_at)
    return Polled(updates=tuple(ordered), watermark=newest, more=more)


def _page(table: Table, config: Config, since: datetime, page: int) -> list[Row] | Failure:
    query = f"correlation_display={PRODUCT}^sys_updated_on>={since.strftime(_WIRE)}^ORDERBYsys_updated_on"
    return table.rows(config.table, query, fields=FIELDS, limit=PAGE, offset=page * PAGE)


def is_ours(row: Row) -> bool:
    """Does the row carry our mark? The API answers other people's incidents where it cannot use a part of a query."""
    return row.get("correlation_display") == PRODUCT and bool(_KEY.fullmatch(row.get("correlation_id", "")))


def _journal(table: Table, since: datetime, rows: Sequence[Row]) -> list[Row] | Failure:
    """New entries of these incidents' journals; none where the journal's table cannot be read."""
    ids = [row["sys_id"] for row in rows]
    entries: list[Row] = []
    for at in range(0, len(ids), IDS_AT_ONCE):
        asked = ids[at : at + IDS_AT_ONCE]
        query = (
            f"element_idIN{','.join(asked)}^elementINwork_notes,comments"
            f"^sys_created_on>={since.strftime(_WIRE)}^ORDERBYsys_created_on"
        )
        found = table.rows("sys_journal_field", query, fields=_JOURNAL, limit=1_000)
        if isinstance(found, Failure):
            if found.result == "rejected":
                return []
            return found
        entries += [row for row in found if row.get("element_id") in asked]
    return entries


def _look(row: Row, now: datetime) -> RecordUpdate:
    """How the incident stands."""
    sys_id, revision = row["sys_id"], row.get("sys_mod_count", "")
    by = row.get("sys_updated_by", "")
    return RecordUpdate(
        source="servicenow",
        hook="",
        environment="",
        action=RecordAction.UPDATED,
        external_id=sys_id,
        record_key=row["correlation_id"],
        number=row.get("number", ""),
        actor=by,
        actor_kind=actor_kind(by, row.get("sys_created_by", "")),
        occurred_at=moment(row.get("sys_updated_on", "")) or now,
        received_at=now,
        event_id=f"{sys_id}:{revision}:{RecordAction.UPDATED}",
        revision=int(revision) if revision.isdecimal() else 0,
        snapshot=True,
        status=row.get("state", ""),
        stands=STATES.get(row.get("state", ""), ""),
        assignee=row.get("assigned_to.name", ""),
        group=row.get("assignment_group.name", ""),
        priority=row.get("priority", ""),
        caused_by=row.get("caused_by.number", ""),
        close_code=row.get("close_code", ""),
        summary=f"{row.get('number', sys_id)} looked at",
        values={name: row.get(name, "") for name in ("assigned_to", "assignment_group", "caused_by")},
    )


def _said(entry: Row, accounts: dict[str, str], rows: Sequence[Row], now: datetime) -> RecordUpdate | None:
    """An entry of somebody else in the journal of one of our incidents."""
    sys_id, by, text = entry["element_id"], entry.get("sys_created_by", ""), entry.get("value", "")
    about = next(row for row in rows if row["sys_id"] == sys_id)
    if actor_kind(by, accounts[sys_id]) != "user" or not text:
        return None
    return RecordUpdate(
        source="servicenow",
        hook="",
        environment="",
        action=RecordAction.COMMENTED,
        external_id=sys_id,
        record_key=about["correlation_id"],
        number=about.get("number", ""),
        actor=by,
        actor_kind="user",
        occurred_at=moment(entry.get("sys_created_on", "")) or now,
        received_at=now,
        event_id=comment_event(by, text),
        comment=text[:MAX_COMMENT],
        summary=f"{about.get('number', sys_id)} commented by {by}",
    )


def actor_kind(account: str, ours: str) -> str:
    """`integration` for the account that created the record, which is ours, and for the platform's own."""
    if not account:
        return ""
    return "integration" if account == ours or account in RULES else "user"


def comment_event(account: str, text: str) -> str:
    """One name for one journal entry, polled or posted: a posted one carries no id."""
    return "comment:" + sha256(f"{account}\n{text.strip()[:MAX_COMMENT]}".encode()).hexdigest()[:20]


def moment(text: str) -> datetime | None:
    """UTC from `yyyy-MM-dd HH:mm:ss`; None for anything else."""
    try:
        return datetime.strptime(text, _WIRE).replace(tzinfo=UTC)
    except ValueError:
        return None
