"""What does our incident look like in ServiceNow's fields?"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.connectors._connector import PRODUCT, cut, one_line
from tocsin.connectors.servicenow.config import Config
from tocsin.domain.record import Wanted

MAX_SHORT_DESCRIPTION = 160  # the column's size; the platform does not refuse more (KB0685779, vendors.md §3.2)
MAX_DESCRIPTION = 32_000
MAX_CLOSE_NOTES = 4_000

NEW, IN_PROGRESS, ON_HOLD, RESOLVED, CLOSED, CANCELED = "1", "2", "3", "6", "7", "8"

REFERENCES = {
    "assignment_group": ("sys_user_group", "name"),
    "cmdb_ci": ("cmdb_ci", "name"),
    "business_service": ("cmdb_ci_service", "name"),
    "caller_id": ("sys_user", "user_name"),
}
"""Fields that hold a sys_id: where it is looked up, and by which column."""


def render(config: Config, wanted: Wanted) -> Mapping[str, object]:
    """The body of the create. References hold names here; `bring` looks up their sys_ids."""
    fields = {
        "sys_id": wanted.key,
        "correlation_id": wanted.key,
        "correlation_display": PRODUCT,
        "short_description": one_line(wanted.title, MAX_SHORT_DESCRIPTION),
        "description": cut(_description(wanted), MAX_DESCRIPTION),
        "impact": str(wanted.impact),
        "urgency": str(wanted.urgency),
        "state": NEW,
        "category": config.categories.get(wanted.category, wanted.category),
        "contact_type": config.contact_type,
        "caller_id": config.caller_id,
        "assignment_group": wanted.address.get("assignment_group", "") or config.default_assignment_group,
        "cmdb_ci": wanted.ci,
        "business_service": wanted.business_service,
    }
    if wanted.status == "resolved":
        fields |= resolution(config, wanted)
    return {name: value for name, value in fields.items() if value}


def resolution(config: Config, wanted: Wanted) -> dict[str, str]:
    """What resolving takes: both code and notes are mandatory for state 6 (vendors.md §3.2)."""
    notes = wanted.close_notes or f"{wanted.display}: every alert of this incident has ended."
    return {"state": RESOLVED, "close_code": config.close_code, "close_notes": cut(notes, MAX_CLOSE_NOTES)}


def _description(wanted: Wanted) -> str:
    lines = [wanted.body]
    lines += [f"{text}: {url}" for text, url in wanted.links if url not in wanted.body]
    if wanted.previous:
        lines.append(f"Previous record: {wanted.previous}")
    lines.append(wanted.display)
    return "\n".join(line for line in lines if line)
