"""What tables does a ServiceNow instance have out of the box, as far as this one plays it, and which extends which?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.simulators.servicenow import columns as c

USER, GROUP, ROLE, CI = "sys_user", "sys_user_group", "sys_user_role", "cmdb_ci"
COMPANY, LOCATION, DEPARTMENT = "core_company", "cmn_location", "cmn_department"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: what may be written there and how its rows are shown in references."""

    name: str
    columns: frozenset[str] = frozenset()
    """Its own and those of the table that it extends. Empty: a table made by a seed or named u_… or x_…, which takes
    any column."""
    own: frozenset[str] = frozenset()
    """The columns that it adds to the table it extends."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    """Of the number that an insert gets; empty: rows of this table have none."""
    shown_as: str = "name"
    """Column that stands for a row where it is referenced."""
    extends: str = ""
    journal: bool = False


TABLES: dict[str, Table] = {}
"""By name. Filled below, never written afterwards."""


def _add(
    name: str,
    columns: str,
    *,
    extends: str = "",
    defaults: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
    prefix: str = "",
    shown_as: str = "",
) -> None:
    """A table takes over columns, defaults, references and the rest of the table that it extends."""
    parent = TABLES[extends] if extends else Table(name="")
    own = frozenset((*columns.split(), *(() if extends else c.AUDIT))) - parent.columns
    TABLES[name] = Table(
        name=name,
        columns=parent.columns | own,
        own=own,
        defaults={**parent.defaults, **(defaults or {})},
        references={**parent.references, **(references or {})},
        prefix=prefix,
        shown_as=shown_as or parent.shown_as or "name",
        extends=extends,
        journal=name == "task" or parent.journal,
    )


_add(
    "task",
    c.TASK,
    shown_as="number",
    defaults={
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
    },
    references={
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
    },
)
_add(
    "incident",
    c.INCIDENT,
    extends="task",
    prefix="INC",
    defaults={
        "category": "inquiry",
        "child_incidents": "0",
        "incident_state": "1",
        "notify": "1",
        "reopen_count": "0",
        "severity": "3",
    },
    references={
        "caller_id": USER,
        "caused_by": "change_request",
        "parent_incident": "incident",
        "problem_id": "problem",
        "reopened_by": USER,
        "resolved_by": USER,
        "rfc": "change_request",
    },
)
_add(
    "problem",
    c.PROBLEM,
    extends="task",
    prefix="PRB",
    defaults={"state": "101", "known_error": "false"},
    references={"first_reported_by_task": "task"},
)
_add(
    "change_request",
    c.CHANGE,
    extends="task",
    prefix="CHG",
    defaults={"state": "-5", "type": "normal", "risk": "3", "priority": "4"},
    references={"requested_by": USER},
)
_add(
    CI,
    c.CI,
    defaults={"operational_status": "1", "install_status": "1"},
    references={
        "support_group": GROUP,
        "owned_by": USER,
        "managed_by": USER,
        "assigned_to": USER,
        "company": COMPANY,
        "location": LOCATION,
    },
)
_add(
    "cmdb_ci_service",
    "busines_criticality service_status",  # the first is the platform's own spelling
    extends=CI,
    defaults={"service_status": "operational"},
)
_add("service_offering", "parent", extends="cmdb_ci_service", references={"parent": "cmdb_ci_service"})
_add("cmdb_ci_appl", "version used_for", extends=CI)
_add("cmdb_ci_server", "os os_version cpu_count ram", extends=CI)
_add("cmdb_rel_ci", "parent child type", references={"parent": CI, "child": CI})

_PEOPLE = {"manager": USER, "company": COMPANY, "location": LOCATION}
_add(
    USER,
    c.PERSON,
    defaults={"active": "true", "sys_class_name": USER, "locked_out": "false", "web_service_access_only": "false"},
    references={**_PEOPLE, "department": DEPARTMENT},
)
_add(
    GROUP,
    "name description active manager email parent type roles company",
    defaults={"active": "true"},
    references={**_PEOPLE, "parent": GROUP},
)
_add(ROLE, "name description")
_add("sys_user_grmember", "user group", references={"user": USER, "group": GROUP})
_add("sys_user_has_role", "user role state", references={"user": USER, "role": ROLE}, defaults={"state": "active"})
_add("sys_group_has_role", "group role", references={"group": GROUP, "role": ROLE})
_add(COMPANY, "name city country website customer vendor")
_add(LOCATION, "name city country full_name")
_add(DEPARTMENT, "name description dept_head parent", references={"dept_head": USER, "parent": DEPARTMENT})

_add("sys_journal_field", "element_id element name value")
_add(
    "sys_attachment",
    "table_name table_sys_id file_name content_type size_bytes hash state compressed size_compressed",
    defaults={"state": "available", "compressed": "true"},
    shown_as="file_name",
)
_add("em_event", c.EVENT, defaults={"state": "Ready", "processed": "false"}, shown_as="message_key")
_add("em_alert", c.ALERT, prefix="Alert", shown_as="number", defaults={"state": "Open", "acknowledged": "false"})
_add("sys_import_set", "number table_name state", shown_as="number", prefix="ISET")
_add("sys_rate_limit_rules", "name request_limit_per_hour active", defaults={"active": "true"})
_add("syslog", "level message source sequence", shown_as="message")

_add("sys_metadata", "sys_class_name sys_name sys_package sys_scope", shown_as="sys_name")
_add("sys_script", c.RULE, extends="sys_metadata", shown_as="name", defaults={"active": "true", "when": "before"})
_add("sys_properties", "name value type description", extends="sys_metadata", shown_as="name")
_add("sys_db_object", "name label super_class", extends="sys_metadata", shown_as="name")
_add(
    "sys_dictionary",
    "name element internal_type column_label max_length reference mandatory read_only default_value active",
    extends="sys_metadata",
    shown_as="element",
    defaults={"active": "true", "mandatory": "false", "read_only": "false", "internal_type": "string"},
)
_add("sys_documentation", "name element label language", extends="sys_metadata", shown_as="label")
_add(
    "sys_choice",
    "name element value label language sequence inactive",
    shown_as="label",
    defaults={"language": "en", "inactive": "false"},
)
_add(
    "sys_security_acl",
    "name operation type active admin_overrides",
    extends="sys_metadata",
    shown_as="name",
    defaults={"active": "true", "type": "record"},
)
_add(
    "sys_data_policy_rule",
    "table field mandatory disabled",
    extends="sys_metadata",
    shown_as="field",
    defaults={"mandatory": "false", "disabled": "false"},
)
_add(
    "sys_transform_map",
    "name source_table target_table active",
    extends="sys_metadata",
    shown_as="name",
    defaults={"active": "true"},
)
_add(
    "sys_transform_entry",
    "map source_field target_field coalesce",
    extends="sys_metadata",
    shown_as="target_field",
    references={"map": "sys_transform_map"},
    defaults={"coalesce": "false"},
)


def descendants(name: str) -> tuple[str, ...]:
    """The table and, at any depth, the tables that extend it: a query on cmdb_ci sees services too."""
    children = (table.name for table in TABLES.values() if table.extends == name)
    return (name, *(below for child in children for below in descendants(child)))
