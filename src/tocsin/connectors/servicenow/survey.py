"""Which of our incidents stand in ServiceNow, and how? Read-only, for reconciliation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tocsin.connectors._connector import PRODUCT
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.poll import STATES, actor_kind, is_ours, moment
from tocsin.connectors.servicenow.table import Row, Table
from tocsin.domain.record import Reason
from tocsin.domain.seen import Seen

KEYS_AT_ONCE = 50
PAGE, PAGES = 200, 25
FIELDS = (
    "sys_id,number,correlation_id,correlation_display,state,impact,urgency,assignment_group,assigned_to,close_code,"
    "sys_created_on,sys_created_by,sys_updated_on,sys_updated_by"
)
_VALUES = ("state", "impact", "urgency", "assignment_group", "assigned_to")
_WIRE = "%Y-%m-%d %H:%M:%S"


def survey(config: Config, keys: Sequence[str], since: datetime, http: Http) -> tuple[Seen, ...] | Failure:
    """The incidents under these correlation ids; without keys all that are marked as ours and were created since."""
    if config.identity == "event":
        return Failure("rejected", Reason.CLIENT_ERROR, detail="identity: event keeps alerts, which are not surveyed")
    table = Table(config, http)
    found: list[Seen] = []
    for query, asked in _queries(keys, since):
        rows = _all(table, config.table, query)
        if isinstance(rows, Failure):
            return rows
        found += [_seen(config, row) for row in rows if is_ours(row) and _answers(row, asked, since)]
    return tuple(found)


def _queries(keys: Sequence[str], since: datetime) -> list[tuple[str, frozenset[str]]]:
    if not keys:
        after = since.strftime(_WIRE)
        return [(f"correlation_display={PRODUCT}^sys_created_on>={after}^ORDERBYsys_created_on", frozenset())]
    parts = [keys[at : at + KEYS_AT_ONCE] for at in range(0, len(keys), KEYS_AT_ONCE)]
    return [(f"correlation_idIN{','.join(part)}^ORDERBYsys_created_on", frozenset(part)) for part in parts]


def _answers(row: Row, asked: frozenset[str], since: datetime) -> bool:
    """Each row is checked: the API ignores parts of a query that it cannot use."""
    if asked:
        return row.get("correlation_id") in asked
    return row.get("sys_created_on", "") >= since.strftime(_WIRE)


def _all(table: Table, name: str, query: str) -> list[Row] | Failure:
    rows: list[Row] = []
    for page in range(PAGES):
        found = table.rows(name, query, fields=FIELDS, limit=PAGE, offset=page * PAGE)
        if isinstance(found, Failure):
            return found
        rows += found
        if len(found) < PAGE:
            break
    return rows


def _seen(config: Config, row: Row) -> Seen:
    by_people = actor_kind(row.get("sys_updated_by", ""), row.get("sys_created_by", "")) == "user"
    return Seen(
        external_id=row["sys_id"],
        key=row["correlation_id"],
        number=row.get("number", ""),
        url=f"{config.root}/{config.table}.do?sys_id={row['sys_id']}",
        status=STATES.get(row.get("state", "")) or "open",
        created_at=moment(row.get("sys_created_on", "")),
        updated_at=moment(row.get("sys_updated_on", "")),
        values={**{name: row.get(name, "") for name in _VALUES}, "moved_by_people": by_people},
    )
