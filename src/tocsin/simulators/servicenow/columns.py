"""What columns do the tables of an instance have, of what type, with what labels of their choices?

The incident's columns are those that a real instance answers to an insert (recorded traffic, 2018; reference
vendors.md §3.2), and `service_offering` and `cause`, which newer releases add.
"""

from __future__ import annotations

from collections.abc import Mapping

AUDIT = ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count", "sys_tags")
JOURNALS = ("work_notes", "comments")

TASK = """
    parent watch_list upon_reject approval_history number user_input opened_by opened_at state knowledge order
    delivery_plan impact active work_notes_list business_service priority time_worked expected_start
    business_duration group_list work_end approval_set work_notes short_description correlation_display
    delivery_task work_start assignment_group additional_assignee_list description calendar_duration close_notes
    closed_by closed_at follow_up contact_type urgency company reassignment_count activity_due assigned_to comments
    approval sla_due comments_and_work_notes due_date escalation upon_approval correlation_id location made_sla
    service_offering cmdb_ci sys_class_name sys_domain sys_domain_path
    """
INCIDENT = """
    caused_by child_incidents hold_reason resolved_by calendar_stc rfc caller_id reopened_time resolved_at
    subcategory close_code business_stc notify parent_incident reopened_by incident_state problem_id severity
    reopen_count category cause
    """
PROBLEM = "known_error work_around cause_notes fix_notes first_reported_by_task related_incidents problem_state"
CHANGE = """
    type category risk start_date end_date requested_by cab_required close_code phase phase_state on_hold
    justification implementation_plan backout_plan test_plan reason conflict_status production_system
    """
CI = """
    name short_description sys_class_name operational_status install_status support_group owned_by managed_by
    assigned_to company location environment category subcategory serial_number asset_tag ip_address fqdn
    correlation_id comments discovery_source change_control sys_domain sys_domain_path
    """
PERSON = """
    user_name name first_name last_name email active manager title phone mobile_phone company location department
    time_zone locked_out web_service_access_only user_password sys_class_name
    """
RULE = """
    name collection active when order action_insert action_update action_delete action_query abort_action add_message
    message filter_condition condition script advanced role_conditions description
    """
EVENT = """
    source event_class node resource metric_name type message_key severity description additional_info time_of_event
    resolution_state state alert processed
    """
ALERT = """
    number source event_class node resource metric_name type message_key severity description additional_info state
    event_count initial_event_time last_event_time acknowledged incident cmdb_ci
    """

_DATE_TIMES = """
    sys_created_on sys_updated_on opened_at closed_at resolved_at reopened_time work_start work_end expected_start
    follow_up activity_due due_date sla_due start_date end_date time_of_event initial_event_time last_event_time
    """
DATE_TIMES = frozenset(_DATE_TIMES.split())
"""Columns that hold a moment: UTC as a value, the caller's time zone as a display value."""

_BOOLEANS = """
    active knowledge made_sla locked_out web_service_access_only known_error cab_required on_hold production_system
    action_insert action_update action_delete action_query abort_action add_message advanced mandatory read_only
    inactive disabled admin_overrides acknowledged processed
    """
BOOLEANS = frozenset(_BOOLEANS.split())
_INTEGERS = """
    sys_mod_count reassignment_count reopen_count child_incidents order escalation size_bytes max_length event_count
    sequence related_incidents
    """
INTEGERS = frozenset(_INTEGERS.split())

VARCHAR: Mapping[str, int] = {
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

READ_ONLY = frozenset({*AUDIT, "sys_class_name", "sys_domain_path", "reopen_count", "child_incidents"})
"""Columns that a write never changes; the caller's sys_id counts on insert only. Priority is a rule's (rules.py)."""

_STATES = {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
_LEVELS = {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"}

CHOICES: Mapping[str, Mapping[str, str]] = {
    "impact": _LEVELS,
    "urgency": _LEVELS,
    "severity": _LEVELS,
    "priority": {"1": "1 - Critical", "2": "2 - High", "3": "3 - Moderate", "4": "4 - Low", "5": "5 - Planning"},
    "contact_type": {
        "email": "Email",
        "monitoring": "Monitoring",
        "phone": "Phone",
        "self-service": "Self-service",
        "walk-in": "Walk-in",
    },
    "approval": {"not requested": "Not Yet Requested", "requested": "Requested", "approved": "Approved"},
}
"""Labels of the choices that every task has (base system)."""

TABLE_CHOICES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "task": {"state": {"-5": "Pending", "1": "Open", "2": "Work in Progress", "3": "Closed Complete"}},
    "incident": {
        "state": _STATES,
        "incident_state": _STATES,
        "hold_reason": {
            "1": "Awaiting Caller",
            "5": "Awaiting Change",
            "3": "Awaiting Problem",
            "4": "Awaiting Vendor",
        },
        "category": {
            "inquiry": "Inquiry / Help",
            "software": "Software",
            "hardware": "Hardware",
            "network": "Network",
            "database": "Database",
        },
        "close_code": {
            name: name
            for name in (
                *("Duplicate", "Known error", "No resolution provided", "Resolved by caller", "Resolved by change"),
                *("Resolved by problem", "Resolved by request", "Solution provided", "Workaround provided"),
                "User error",
            )
        },
        "notify": {"1": "Do Not Notify", "2": "Send Email", "3": "Phone"},
    },
    "problem": {
        "state": {
            **{"101": "New", "102": "Assess", "103": "Root Cause Analysis", "104": "Fix in Progress"},
            **{"106": "Resolved", "107": "Closed"},
        }
    },
    "change_request": {
        "state": {
            **{"-5": "New", "-4": "Assess", "-3": "Authorize", "-2": "Scheduled", "-1": "Implement", "0": "Review"},
            **{"3": "Closed", "4": "Canceled"},
        },
        "type": {"normal": "Normal", "standard": "Standard", "emergency": "Emergency"},
    },
}
"""Labels of the choice lists of single tables (base system; ansible servicenow.itsm for the incident's)."""


def choices(table: str, column: str) -> Mapping[str, str]:
    """The labels of a column's choices by value; empty for a column that has none."""
    own = TABLE_CHOICES.get(table, {}).get(column)
    return own if own is not None else CHOICES.get(column, {})


def kind(column: str, *, reference: bool = False) -> str:
    """The dictionary's internal type of a column."""
    if reference:
        return "reference"
    if column == "sys_id":
        return "GUID"
    if column == "user_password":
        return "password"
    if column in (*JOURNALS, "comments_and_work_notes"):
        return "journal_input" if column in JOURNALS else "journal_list"
    for name, columns in (("glide_date_time", DATE_TIMES), ("boolean", BOOLEANS), ("integer", INTEGERS)):
        if column in columns:
            return name
    return "string"
