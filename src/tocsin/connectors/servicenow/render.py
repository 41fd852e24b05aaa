"""What does our incident look like in ServiceNow's fields?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from tocsin.connectors._connector import PRODUCT, cut, one_line
from tocsin.connectors.servicenow.config import PLAIN, Config
from tocsin.domain.alert import Severity
from tocsin.domain.record import Wanted

MAX_SHORT_DESCRIPTION = 160  # the column's size; the platform does not refuse more (KB0685779, vendors.md §3.2)
MAX_DESCRIPTION = 32_000
MAX_CLOSE_NOTES = 4_000
MAX_CUSTOM = 4_000

NEW, IN_PROGRESS, ON_HOLD, RESOLVED, CLOSED, CANCELED = "1", "2", "3", "6", "7", "8"

REFERENCES = {
    "assignment_group": ("sys_user_group", "name"),
    "cmdb_ci": ("cmdb_ci", "name"),
    "business_service": ("cmdb_ci_service", "name"),
    "service_offering": ("service_offering", "name"),
    "caller_id": ("sys_user", "user_name"),
    "caused_by": ("change_request", "number"),
    "parent_incident": ("incident", "number"),
}
"""Fields that hold a sys_id: where it is looked up, and by which column."""

ADDRESS = ("assignment_group", "service_offering", "business_service", "cmdb_ci", "caller_id", "contact_type")
"""Fields that a team may give in its address here."""

SEVERITIES = {Severity.CRITICAL: "1", Severity.ERROR: "2", Severity.WARNING: "4", Severity.INFO: "5"}
"""Event Management's: 1 critical, 2 major, 3 minor, 4 warning, 5 OK; 0 clears (vendors.md §3.3)."""
CLEAR = "0"


def render(config: Config, wanted: Wanted) -> Mapping[str, object]:
    """The body of the create. References hold names here; `bring` looks up their sys_ids."""
    if config.identity == "event":
        return event(wanted, at=wanted.resolved_at or wanted.opened_at)
    fields = {
        "sys_id": wanted.key if config.identity == "sys_id" else "",
        "correlation_id": wanted.key,
        "correlation_display": PRODUCT,
        "short_description": one_line(wanted.title, MAX_SHORT_DESCRIPTION),
        "description": cut(_description(wanted), MAX_DESCRIPTION),
        "impact": str(wanted.impact),
        "urgency": str(wanted.urgency),
        "state": IN_PROGRESS if wanted.acknowledged_by else NEW,
        "category": config.categories.get(wanted.category, wanted.category),
        **addressed(config, wanted),
        "parent_incident": wanted.parent,
        "caused_by": wanted.caused_by,
        **custom(config, wanted),
    }
    if wanted.status == "resolved":
        fields |= resolution(config, wanted)
    return {name: value for name, value in fields.items() if value}


def addressed(config: Config, wanted: Wanted) -> dict[str, str]:
    """Who shall see to it, and what it is about: the team's address first, then what the config or we say."""
    usual = {
        "contact_type": config.contact_type,
        "caller_id": config.caller_id,
        "assignment_group": config.default_assignment_group,
        "cmdb_ci": wanted.ci,
        "business_service": wanted.business_service,
        "service_offering": config.service_offering,
    }
    return {name: wanted.address.get(name, "") or value for name, value in usual.items()}


def custom(config: Config, wanted: Wanted) -> dict[str, str]:
    """The columns that the operator's templates fill. A moment is written as the platform writes it, in UTC."""
    if not config.fields:
        return {}
    plain = {name: _plain(getattr(wanted, name)) for name in PLAIN}
    return {column: cut(template.format_map(plain), MAX_CUSTOM) for column, template in config.fields.items()}


def resolution(config: Config, wanted: Wanted) -> dict[str, str]:
    """What resolving takes: both code and notes are mandatory for state 6 (vendors.md §3.2)."""
    notes = wanted.close_notes or f"{wanted.display}: every alert of this incident has ended."
    return {"state": RESOLVED, "close_code": config.close_code, "close_notes": cut(notes, MAX_CLOSE_NOTES)}


def event(wanted: Wanted, *, at: datetime, notes: tuple[str, ...] = ()) -> Mapping[str, object]:
    """One event for Event Management: events of one message_key are one alert there."""
    resolved = wanted.status == "resolved"
    extra = {
        "tocsin": wanted.display,
        "environment": wanted.environment,
        "team": wanted.team,
        "category": wanted.category,
        "impact": str(wanted.impact),
        "urgency": str(wanted.urgency),
        "severity": str(wanted.severity),
        "business_service": wanted.business_service,
        "assignment_group": wanted.address.get("assignment_group", ""),
        "caused_by": wanted.caused_by,
        "previous": wanted.previous,
        "close_notes": cut(wanted.close_notes, MAX_CLOSE_NOTES) if resolved else "",
        "notes": cut("\n\n".join(notes), MAX_CUSTOM),
        **dict(wanted.links),
    }
    return {
        "source": PRODUCT,
        "event_class": f"{PRODUCT} {wanted.environment}".strip(),
        "node": wanted.ci or wanted.component,
        "resource": wanted.component,
        "metric_name": wanted.category,
        "type": wanted.category,
        "message_key": wanted.key,
        "severity": CLEAR if resolved else SEVERITIES[wanted.severity],
        "resolution_state": "Closing" if resolved else "New",
        "description": cut(f"{one_line(wanted.title, MAX_SHORT_DESCRIPTION)}\n{wanted.body}", MAX_CUSTOM),
        "time_of_event": _plain(at),
        "additional_info": orjson.dumps({name: value for name, value in extra.items() if value}).decode(),
    }


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def _description(wanted: Wanted) -> str:
    lines = [wanted.body]
    lines += [f"{text}: {url}" for text, url in wanted.links if url not in wanted.body]
    if wanted.previous:
        lines.append(f"Previous record: {wanted.previous}")
    lines.append(wanted.display)
    return "\n".join(line for line in lines if line)
