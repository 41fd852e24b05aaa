"""Puts the update sets together from `parts/`: `python integrations/servicenow/build.py`.

An update set is `sys_remote_update_set` and, for each record, `sys_update_xml` with the record as its payload. All
records are new: their sys_ids derive from their names, so that a rebuilt set updates what an older one brought.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
MADE_ON = "2026-11-21 12:00:00"
BY = "tocsin"
ROLE = "tocsin_integration"
OURS = "correlation_display=Tocsin"

RULES: Mapping[str, tuple[str, str, str]] = {
    "acknowledged": ("acknowledged", "", "stateCHANGESTO2^stateCHANGESFROM1^ORstateCHANGESFROM3"),
    "resolved": ("resolved", "close_notes", "stateCHANGESTO6"),
    "closed": ("closed", "", "stateCHANGESTO7^ORstateCHANGESTO8"),
    "reopened": ("reopened", "", "stateCHANGESFROM6^stateIN1,2,3"),
    "reassigned": ("reassigned", "", "assigned_toVALCHANGES^ORassignment_groupVALCHANGES"),
    "priority changed": ("priority_changed", "", "priorityVALCHANGES"),
    "work note": ("commented", "work_notes", "work_notesVALCHANGES"),
    "comment": ("commented", "comments", "commentsVALCHANGES"),
    "cause set": ("cause_set", "", "caused_byVALCHANGES^caused_byISNOTEMPTY"),
}
"""Name → what was done, the column whose text goes along, the condition builder's query. An async rule has no
`previous`, and `changes()` does not work in its script; its condition is judged when the record is saved, so there the
operators for changes do."""

CHANGES = (
    "stateNOT IN-5,-4,-3^ORapproval=approved"
    "^stateVALCHANGES^ORapprovalVALCHANGES^ORstart_dateVALCHANGES^ORend_dateVALCHANGES^ORcmdb_ciVALCHANGES"
)
"""Change requests that are planned for good or under way, when what matters of them changes."""

PROPERTIES: Mapping[str, tuple[str, str, str]] = {
    "tocsin.url": ("string", "", "Address of the hook: https://tocsin.example.com/hooks/NAME"),
    "tocsin.secret": ("password2", "", "The hook's secret; it signs what is posted."),
    "tocsin.user": ("string", "tocsin.integration", "User name that Tocsin writes with. Its own edits are not told."),
    "tocsin.mid_server": ("string", "", "Name of a MID Server to post through; empty: directly."),
    "tocsin.changes": ("boolean", "false", "Whether Tocsin is told of approved change requests too."),
    "tocsin.active": ("boolean", "true", "Whether Tocsin is told of edits. False stops it at once."),
}
"""Name → type, value, description."""

IS_OURS = (
    "answer = current.isNewRecord() || current.correlation_display == 'Tocsin'"
    " || current.correlation_display == 'Tocsin doctor';"  # its probe, which it takes back
)
OF_INCIDENTS = "answer = current.name == 'incident' || current.name == 'task';"
ACCESS: Mapping[tuple[str, str], str] = {
    ("incident", "create"): "",
    ("incident", "read"): "",
    ("incident", "write"): IS_OURS,
    ("incident.*", "read"): "",
    ("incident.*", "write"): IS_OURS,
    ("sys_journal_field", "read"): OF_INCIDENTS,
    ("sys_user_group", "read"): "",
    ("sys_user", "read"): "",
    ("cmdb_ci", "read"): "",
    ("change_request", "read"): "",
    ("sys_choice", "read"): "",
}
"""(table, operation) → script. The role may write nothing but incidents that Tocsin opened."""

FIELDS: Mapping[str, tuple[str, str, str, str]] = {
    "u_tocsin_incident": ("string", "40", "", "Tocsin incident"),
    "u_tocsin_component": ("string", "200", "", "Affected component (Tocsin)"),
    "u_tocsin_environment": ("string", "40", "", "Environment (Tocsin)"),
}
"""Column of incident → type, length, reference, label. The connector's `fields` fill them."""


def id_of(*parts: str) -> str:
    """The sys_id of one of our records."""
    return sha256("|".join(("tocsin", *parts)).encode()).hexdigest()[:32]


class UpdateSet:
    """One file to import."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description
        self.sys_id = id_of("sys_remote_update_set", name)
        self._updates: list[str] = []

    def add(self, table: str, kind: str, shown: str, /, *, key: str = "", update_name: str = "", **columns: str) -> str:
        """Adds a record of `table`; `kind` is what the list of updates calls it. Answers its sys_id."""
        sys_id = id_of(table, key or shown)
        update_name = update_name or f"{table}_{sys_id}"
        stamp = {"sys_created_by": BY, "sys_created_on": MADE_ON, "sys_updated_by": BY, "sys_updated_on": MADE_ON}
        own = {"sys_id": sys_id, "sys_class_name": table, "sys_name": shown, "sys_update_name": update_name}
        text = _elements({**columns, **own, **stamp, "sys_mod_count": "0", "sys_policy": ""})
        scope = '<sys_package display_value="Global" source="global">global</sys_package>'
        scope += '<sys_scope display_value="Global">global</sys_scope>'
        record = f'<{table} action="INSERT_OR_UPDATE">{text}{scope}</{table}>'
        payload = f'<?xml version="1.0" encoding="UTF-8"?><record_update table="{table}">{record}</record_update>'
        self._updates.append(self._update(update_name, kind, shown, payload))
        return sys_id

    def _update(self, update_name: str, kind: str, shown: str, payload: str) -> str:
        cdata = payload.replace("]]>", "]]]]><![CDATA[>")
        head = _elements({"action": "INSERT_OR_UPDATE", "category": "customer", "comments": "", "name": update_name})
        tail = _elements(
            {
                "replace_on_upgrade": "false",
                "sys_created_by": BY,
                "sys_created_on": MADE_ON,
                "sys_id": id_of("sys_update_xml", self.name, update_name),
                "sys_mod_count": "0",
                "sys_recorded_at": sha256(payload.encode()).hexdigest()[:16],
                "sys_updated_by": BY,
                "sys_updated_on": MADE_ON,
                "table": "",
                "target_name": shown,
                "type": kind,
                "update_domain": "global",
                "update_guid": id_of("update_guid", update_name, payload),
                "view": "",
            }
        )
        return (
            f'<sys_update_xml action="INSERT_OR_UPDATE">{head}<application display_value="Global">global</application>'
            f"<payload><![CDATA[{cdata}]]></payload>"
            f'<remote_update_set display_value="{escape(self.name)}">{self.sys_id}</remote_update_set>'
            f'{tail}<update_set display_value=""/></sys_update_xml>'
        )

    def xml(self) -> str:
        """The file's text."""
        head = _elements(
            {
                "application_name": "Global",
                "application_scope": "global",
                "description": self.description,
                "name": self.name,
                "remote_sys_id": id_of("sys_update_set", self.name),
                "state": "loaded",
                "sys_class_name": "sys_remote_update_set",
                "sys_created_by": BY,
                "sys_created_on": MADE_ON,
                "sys_id": self.sys_id,
                "sys_mod_count": "0",
                "sys_updated_by": BY,
                "sys_updated_on": MADE_ON,
            }
        )
        application = '<application display_value="Global">global</application>'
        body = f'<sys_remote_update_set action="INSERT_OR_UPDATE">{application}{head}</sys_remote_update_set>'
        lines = "\n".join((body, *self._updates))
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<unload unload_date="{MADE_ON}">\n{lines}\n</unload>\n'


def _elements(columns: Mapping[str, str]) -> str:
    return "".join(
        f"<{name}>{escape(value)}</{name}>" if value else f"<{name}/>" for name, value in sorted(columns.items())
    )


def part(name: str) -> str:
    """The text of a script under `parts/`."""
    return (HERE / "parts" / name).read_text(encoding="utf-8")


def main_set() -> UpdateSet:
    """What Tocsin needs to be told of edits, and the role for its account."""
    made = UpdateSet("Tocsin", "Tells Tocsin what people do to the incidents that it opened. Changes no base record.")
    for name, (kind, value, description) in PROPERTIES.items():
        columns = {"name": name, "type": kind, "value": value, "description": description}
        access = {"read_roles": "admin", "write_roles": "admin", "is_private": str(kind == "password2").lower()}
        made.add("sys_properties", "System Property", name, **columns, **access)
    made.add(
        "sys_script_include",
        "Script Include",
        "TocsinTell",
        name="TocsinTell",
        api_name="global.TocsinTell",
        access="package_private",
        active="true",
        client_callable="false",
        description="Signs and posts what a person did to an incident.",
        script=part("TocsinTell.js"),
    )
    for name, (action, words, condition) in RULES.items():
        script = part("business_rule.js").replace("@ACTION@", action).replace("@WORDS@", words)
        _rule(made, name, table="incident", condition=f"{OURS}^{condition}", script=script)
    _rule(made, "change request", table="change_request", condition=CHANGES, script=part("change_rule.js"), insert=True)
    made.add(
        "sys_ui_action",
        "UI Action",
        "Confirm cause",
        key="Tocsin: confirm cause",
        name="Confirm cause",
        action_name="tocsin_confirm_cause",
        table="incident",
        active="true",
        client="false",
        form_button="true",
        form_action="true",
        show_update="true",
        show_insert="false",
        order="900",
        hint="Sets Caused by Change to the change that Tocsin names as the likely cause.",
        condition=(
            "current.correlation_display == 'Tocsin' && current.caused_by.nil() && current.caused_by.canWrite() && "
            "TocsinTell.likelyChange(current.description) != ''"
        ),
        script=part("confirm_cause.js"),
    )
    _grant(made)
    return made


def _rule(made: UpdateSet, name: str, *, table: str, condition: str, script: str, insert: bool = False) -> None:
    made.add(
        "sys_script",
        "Business Rule",
        f"Tocsin: {name}",
        name=f"Tocsin: {name}",
        collection=table,
        when="async",
        active="true",
        advanced="true",
        action_insert=str(insert).lower(),
        action_update="true",
        action_delete="false",
        action_query="false",
        abort_action="false",
        add_message="false",
        order="1000",
        priority="100",
        filter_condition=f"{condition}^EQ",
        script=script,
    )


def _grant(made: UpdateSet) -> None:
    """The role and its rules. Rules of one name add up: a new one opens its door for its role only."""
    role = made.add(
        "sys_user_role",
        "Role",
        ROLE,
        name=ROLE,
        description="What Tocsin's account needs, and no more.",
        elevated_privilege="false",
        grantable="true",
        can_delegate="true",
    )
    for (name, operation), script in ACCESS.items():
        shown = f"{name} {operation}"
        acl = made.add(
            "sys_security_acl",
            "Access Control",
            name,
            key=shown,
            name=name,
            operation=operation,
            type="record",
            active="true",
            admin_overrides="true",
            advanced=str(bool(script)).lower(),
            description=f"Tocsin: {operation} of {name} for {ROLE}",
            script=script,
        )
        made.add("sys_security_acl_role", "Access Roles", shown, key=shown, sys_security_acl=acl, sys_user_role=role)


def fields_set() -> UpdateSet:
    """Columns of incident that Tocsin can fill."""
    made = UpdateSet("Tocsin: optional fields", "Columns of incident that Tocsin fills when its mapping says so.")
    for column, (kind, length, reference, label) in FIELDS.items():
        made.add(
            "sys_dictionary",
            "Dictionary",
            f"incident.{column}",
            update_name=f"sys_dictionary_incident_{column}",
            name="incident",
            element=column,
            column_label=label,
            internal_type=kind,
            max_length=length,
            reference=reference,
            active="true",
            read_only="false",
            mandatory="false",
        )
        made.add(
            "sys_documentation",
            "Field Label",
            label,
            key=f"incident.{column}.en",
            update_name=f"sys_documentation_incident_{column}_en",
            name="incident",
            element=column,
            label=label,
            language="en",
        )
    return made


FILES: Mapping[str, UpdateSet] = {
    "tocsin-update-set.xml": main_set(),
    "tocsin-optional-fields.xml": fields_set(),
}

if __name__ == "__main__":
    for file_name, update_set in FILES.items():
        (HERE / file_name).write_text(update_set.xml(), encoding="utf-8")
