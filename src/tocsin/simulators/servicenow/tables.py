"""What tables, columns, defaults and choices a ServiceNow instance has out of the box, as far as this one plays it.

The incident's columns and defaults are those that a real instance answers to an insert (recorded traffic, 2018;
reference vendors.md §3.2), and `service_offering` and `cause`, which newer releases add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AUDIT = ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count", "sys_tags")
JOURNALS = ("work_notes", "comments")

_TASK = [
    "parent",
    "watch_list",
    "upon_reject",
    "approval_history",
    "number",
    "user_input",
    "opened_by",
    "opened_at",
    "state",
    "knowledge",
    "order",
    "delivery_plan",
    "impact",
    "active",
    "work_notes_list",
    "business_service",
    "priority",
    "time_worked",
    "expected_start",
    "business_duration",
    "group_list",
    "work_end",
    "approval_set",
    "work_notes",
    "short_description",
    "correlation_display",
    "delivery_task",
    "work_start",
    "assignment_group",
    "additional_assignee_list",
    "description",
    "calendar_duration",
    "close_notes",
    "closed_by",
    "closed_at",
    "follow_up",
    "contact_type",
    "urgency",
    "company",
    "reassignment_count",
    "activity_due",
    "assigned_to",
    "comments",
    "approval",
    "sla_due",
    "comments_and_work_notes",
    "due_date",
    "escalation",
    "upon_approval",
    "correlation_id",
    "location",
    "made_sla",
    "service_offering",
    "cmdb_ci",
    "sys_class_name",
    "sys_domain",
    "sys_domain_path",
]

_INCIDENT = [
    "caused_by",
    "child_incidents",
    "hold_reason",
    "resolved_by",
    "calendar_stc",
    "rfc",
    "caller_id",
    "reopened_time",
    "resolved_at",
    "subcategory",
    "close_code",
    "business_stc",
    "notify",
    "parent_incident",
    "reopened_by",
    "incident_state",
    "problem_id",
    "severity",
    "reopen_count",
    "category",
    "cause",
]

_CHANGE = [
    "type",
    "category",
    "risk",
    "start_date",
    "end_date",
    "requested_by",
    "cab_required",
    "close_code",
    "phase",
    "phase_state",
    "on_hold",
    "justification",
    "implementation_plan",
    "backout_plan",
    "test_plan",
    "reason",
    "conflict_status",
    "production_system",
]

_CI = [
    "name",
    "short_description",
    "sys_class_name",
    "operational_status",
    "install_status",
    "support_group",
    "owned_by",
    "managed_by",
    "assigned_to",
    "company",
    "location",
    "environment",
    "category",
    "subcategory",
    "serial_number",
    "asset_tag",
    "ip_address",
    "fqdn",
    "correlation_id",
    "comments",
    "discovery_source",
    "change_control",
    "sys_domain",
    "sys_domain_path",
]

_TASK_DEFAULTS = {
    "active": "true",
    "approval": "not requested",
    "escalation": "0",
    "impact": "3",
    "knowledge": "false",
    "made_sla": "true",
    "priority": "5",
    "reassignment_count": "0",
    "state": "1",
    "sys_domain": "global",
    "sys_domain_path": "/",
    "upon_approval": "proceed",
    "upon_reject": "cancel",
    "urgency": "3",
}

USER, GROUP, CI, COMPANY, LOCATION = "sys_user", "sys_user_group", "cmdb_ci", "core_company", "cmn_location"

_TASK_REFERENCES = {
    "assigned_to": USER,
    "assignment_group": GROUP,
    "business_service": "cmdb_ci_service",
    "closed_by": USER,
    "cmdb_ci": CI,
    "company": COMPANY,
    "location": LOCATION,
    "opened_by": USER,
    "parent": "task",
    "service_offering": "service_offering",
}
_CI_REFERENCES = {
    "support_group": GROUP,
    "owned_by": USER,
    "managed_by": USER,
    "assigned_to": USER,
    "company": COMPANY,
    "location": LOCATION,
}
_PEOPLE_REFERENCES = {"manager": USER, "parent": GROUP, "company": COMPANY, "location": LOCATION}

READ_ONLY = frozenset({*AUDIT, "sys_class_name", "sys_domain_path", "reopen_count", "child_incidents"})
"""Columns that a write never changes; the caller's sys_id counts on insert only. Priority is a rule's (rules.py)."""

VARCHAR = {
    "short_description": 160,
    "correlation_id": 100,
    "correlation_display": 100,
    "number": 40,
    "category": 40,
    "subcategory": 40,
    "close_code": 40,
    "contact_type": 40,
    "name": 255,
}
"""What the database column keeps, in characters; the platform itself does not refuse longer values (KB0685779)."""

CHOICES: Mapping[str, Mapping[str, str]] = {
    "state": {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"},
    "incident_state": {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"},
    "impact": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "urgency": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "severity": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "priority": {"1": "1 - Critical", "2": "2 - High", "3": "3 - Moderate", "4": "4 - Low", "5": "5 - Planning"},
    "hold_reason": {"1": "Awaiting Caller", "5": "Awaiting Change", "3": "Awaiting Problem", "4": "Awaiting Vendor"},
    "category": {
        "inquiry": "Inquiry / Help",
        "software": "Software",
        "hardware": "Hardware",
        "network": "Network",
        "database": "Database",
    },
    "contact_type": {"email": "Email", "monitoring": "Monitoring", "phone": "Phone", "self-service": "Self-service"},
    "notify": {"1": "Do Not Notify"},
    "approval": {"not requested": "Not Yet Requested"},
}
"""Labels of the choice lists (base system; ansible servicenow.itsm for the incident's states)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: what may be written there and how its rows are shown in references."""

    name: str
    columns: frozenset[str] = frozenset()
    """Empty: a table made by a seed or named u_… or x_…, which takes any column."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    """Of the number that an insert gets; empty: rows of this table have none."""
    shown_as: str = "name"
    """Column that stands for a row where it is referenced."""
    extends: str = ""
    journal: bool = False


def _table(name: str, *columns: str, **more: object) -> Table:
    return Table(name=name, columns=frozenset((*columns, *AUDIT)), **more)  # type: ignore[arg-type]


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        _table("task", *_TASK, references=_TASK_REFERENCES, shown_as="number", journal=True),
        _table(
            "incident",
            *_TASK,
            *_INCIDENT,
            defaults={
                **_TASK_DEFAULTS,
                "category": "inquiry",
                "child_incidents": "0",
                "incident_state": "1",
                "notify": "1",
                "reopen_count": "0",
                "severity": "3",
            },
            references={
                **_TASK_REFERENCES,
                "caller_id": USER,
                "caused_by": "change_request",
                "parent_incident": "incident",
                "problem_id": "problem",
                "reopened_by": USER,
                "resolved_by": USER,
                "rfc": "change_request",
            },
            prefix="INC",
            shown_as="number",
            extends="task",
            journal=True,
        ),
        _table(
            "problem",
            *_TASK,
            defaults=_TASK_DEFAULTS,
            references=_TASK_REFERENCES,
            prefix="PRB",
            shown_as="number",
            extends="task",
            journal=True,
        ),
        _table(
            "change_request",
            *_TASK,
            *_CHANGE,
            defaults={**_TASK_DEFAULTS, "state": "-5", "type": "normal", "risk": "3", "priority": "4"},
            references={**_TASK_REFERENCES, "requested_by": USER},
            prefix="CHG",
            shown_as="number",
            extends="task",
            journal=True,
        ),
        _table("cmdb_ci", *_CI, defaults={"operational_status": "1", "install_status": "1"}, references=_CI_REFERENCES),
        _table(
            "cmdb_ci_service",
            *_CI,
            "busines_criticality",  # the platform's own spelling
            "service_status",
            defaults={"operational_status": "1", "install_status": "1", "service_status": "operational"},
            references=_CI_REFERENCES,
            extends="cmdb_ci",
        ),
        _table("service_offering", *_CI, "parent", references=_CI_REFERENCES, extends="cmdb_ci"),
        _table(
            "sys_user",
            *("user_name", "name", "first_name", "last_name", "email", "active", "manager", "title", "phone"),
            *("company", "location", "department", "sys_class_name"),
            defaults={"active": "true", "sys_class_name": "sys_user"},
            references=_PEOPLE_REFERENCES,
        ),
        _table(
            "sys_user_group",
            *("name", "description", "active", "manager", "email", "parent", "type", "roles", "company"),
            defaults={"active": "true"},
            references=_PEOPLE_REFERENCES,
        ),
        _table("sys_user_grmember", "user", "group", references={"user": USER, "group": GROUP}),
        _table("core_company", "name", "city", "country", "website", "customer", "vendor"),
        _table("cmn_location", "name", "city", "country", "full_name"),
        _table("cmdb_rel_ci", "parent", "child", "type", references={"parent": CI, "child": CI}),
        _table("sys_journal_field", "element_id", "element", "name", "value"),
        _table(
            "sys_attachment",
            *("table_name", "table_sys_id", "file_name", "content_type", "size_bytes", "hash", "state"),
            defaults={"state": "available"},
            shown_as="file_name",
        ),
    )
}


def descendants(name: str) -> tuple[str, ...]:
    """The table and the tables that extend it: a query on cmdb_ci sees services too."""
    return (name, *(table.name for table in TABLES.values() if table.extends == name))
