"""Which rows does an instance have on its first day: people, groups, roles, problems, its dictionary and its log?

The System Administrator, the problem administrator, the admin role and the Finance department have the sys_ids that
every instance with demo data has, so that scripts written against such an instance find them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tocsin.simulators.answers import stable_id
from tocsin.simulators.servicenow.columns import VARCHAR, choices, kind
from tocsin.simulators.servicenow.tables import TABLES

Row = dict[str, str]

FIRST_DAY = "2026-01-05 08:00:00"
ADMIN_ID = "6816f79cc0a8016401c5a33be04be441"
ADMIN_ROLE_ID = "2831a114c611228501d4ea6c309d626d"
_PROBLEM_ADMIN_ID = "26fbff173b331300ad3cc9bb34efc4bd"
_FINANCE_ID = "a581ab703710200044e0bfc8bcbe5de8"
_FINANCE_HEAD_ID = "46c5bf6ca9fe1981010713e3ac7d3384"

NOT_SHOWN = frozenset(
    {"sys_dictionary", "sys_documentation", "sys_choice", "sys_db_object", "sys_security_acl", "syslog"}
)
"""Tables whose rows are the platform's own affair: `/__state` leaves the shipped ones out."""

_PEOPLE = (
    *("Alba Reyes", "Amir Haddad", "Bea Novak", "Cole Ferris", "Dana Okafor", "Emil Sorensen", "Fay Lindqvist"),
    *("Gus Moreau", "Hana Kimura", "Ivo Petrov", "Jane Archer", "Kofi Mensah", "Lena Vogel", "Milo Castellan"),
    *("Nora Whitfield", "Omar Aziz", "Pia Larsen", "Quinn Doyle", "Rosa Medina", "Sven Halvorsen", "Tess Moran"),
    *("Uma Krishnan", "Viktor Blaha", "Wen Zhao"),
)
_ADMINS = 13
"""How many of the people have the admin role, beside the administrators themselves."""
_WITH_MOBILE = 5

_GROUPS: Mapping[str, str] = {
    "Service Desk": "Jane Archer",
    "Network": "Sven Halvorsen",
    "Hardware": "Pia Larsen",
    "Software": "Kofi Mensah",
    "Database": "Lena Vogel",
    "Change Management": "Nora Whitfield",
    "Problem Solving": "Omar Aziz",
    "Incident Management": "Rosa Medina",
    "Platform Administration": "System Administrator",
    "Catalog Administration": "Uma Krishnan",
    "User Administration": "Tess Moran",
    "Knowledge Authors": "Wen Zhao",
}
"""Group → its manager."""

_ROLES = ("admin", "itil", "itil_admin", "catalog_admin", "user_admin", "knowledge", "evt_mgmt_integration")
_GROUP_ROLES = {
    "Platform Administration": "admin",
    "Catalog Administration": "catalog_admin",
    "User Administration": "user_admin",
    "Incident Management": "itil_admin",
    "Service Desk": "itil",
    "Knowledge Authors": "knowledge",
}
_PROBLEMS = (
    *("Nightly report exceeds its memory", "Printer queue stalls on the third floor", "Slow logins on Monday morning"),
    *("Certificate renewal fails unattended", "Duplicate invoices after retries", "Wireless drops in the east wing"),
    *("Search returns stale prices", "Batch export misses its window", "Backups of the archive take too long"),
    *("Voicemail is not delivered", "Time sheets lose their comments", "Disk of the build server fills up"),
)
_PROPERTIES = {
    "glide.invalid_query.returns_no_rows": "false",
    "glide.oauth.inbound.client.credential.grant_type.enabled": "true",
    "com.glide.attachment.max_size": "1024",
    "glide.attachment.extensions": "",
    "glide.rest.max_content_length": "10",
    "glide.rest.batch.max.inputSize": "5242880",
    "glide.sys.default.tz": "America/Los_Angeles",
    "com.snc.incident.autoclose.time": "7",
    "tocsin.simulator.ignores_sys_id": "false",
    "tocsin.simulator.hibernates": "false",
}
_LOG_LINES = 640
_DESCRIBED = ("alm_asset", "bsm_chart", "kb_knowledge", "sc_request", "sc_req_item", "sys_email")
"""Tables that stand in sys_db_object, though this instance does not play them."""


def made(table: str, sys_id: str = "", **values: str) -> Row:
    """A shipped row with every column of its table. Without `sys_id` it is derived from what stands for the row."""
    known = TABLES[table]
    row = dict.fromkeys(sorted(known.columns), "") | dict(known.defaults)
    if "sys_class_name" in known.columns:
        row["sys_class_name"] = table
    stamp = {"sys_created_on": FIRST_DAY, "sys_updated_on": FIRST_DAY, "sys_mod_count": "0"}
    row |= stamp | {"sys_created_by": "system", "sys_updated_by": "system"} | values
    return row | {"sys_id": sys_id or stable_id(table, row[known.shown_as])}


@cache
def shipped() -> Mapping[str, Mapping[str, Row]]:
    """The rows by table and sys_id. They are shared: whoever changes one puts a copy in its place."""
    found: dict[str, dict[str, Row]] = {}
    for table, rows in (
        ("sys_user", _people()),
        ("sys_user_group", _groups()),
        ("sys_user_role", [_role(name) for name in _ROLES]),
        ("sys_user_has_role", _roles_of_people()),
        ("sys_group_has_role", _roles_of_groups()),
        ("cmn_department", [made("cmn_department", _FINANCE_ID, name="Finance", dept_head=_FINANCE_HEAD_ID)]),
        ("problem", _problems()),
        ("sys_properties", [made("sys_properties", name=name, value=value) for name, value in _PROPERTIES.items()]),
        ("sys_db_object", _db_objects()),
        ("sys_dictionary", _dictionary()),
        ("sys_documentation", _documentation()),
        ("sys_choice", _choices()),
        ("sys_security_acl", _acls()),
        ("syslog", _log()),
    ):
        found[table] = {row["sys_id"]: row for row in rows}
    return found


def person_id(name: str) -> str:
    """The sys_id of one of the shipped people."""
    return ADMIN_ID if name == "System Administrator" else stable_id("sys_user", name)


def _person(name: str, sys_id: str = "", user_name: str = "", **values: str) -> Row:
    first, _, last = name.partition(" ")
    user_name = user_name or f"{first}.{last}".lower()
    given = {"user_name": user_name, "name": name, "first_name": first, "last_name": last} | values
    return made("sys_user", sys_id or person_id(name), **{"email": f"{user_name}@example.com", **given})


def _people() -> list[Row]:
    return [
        _person("System Administrator", ADMIN_ID, "admin", email="admin@example.com", department=_FINANCE_ID),
        _person("Problem Administrator", _PROBLEM_ADMIN_ID, "problem.admin"),
        _person("Natasha Ingram", _FINANCE_HEAD_ID, department=_FINANCE_ID),
        *(_person(name, mobile_phone=f"+1 555 01{n:02}" if n < _WITH_MOBILE else "") for n, name in enumerate(_PEOPLE)),
    ]


def _groups() -> list[Row]:
    return [made("sys_user_group", name=name, manager=person_id(manager)) for name, manager in _GROUPS.items()]


def _role(name: str) -> Row:
    return made("sys_user_role", ADMIN_ROLE_ID if name == "admin" else "", name=name)


def _roles_of_people() -> list[Row]:
    admins = [ADMIN_ID, *(person_id(name) for name in _PEOPLE[:_ADMINS])]
    itil = stable_id("sys_user_role", "itil")
    pairs = [*((one, ADMIN_ROLE_ID) for one in admins), *((person_id(name), itil) for name in _PEOPLE[_ADMINS:])]
    return [made("sys_user_has_role", stable_id(user, role), user=user, role=role) for user, role in pairs]


def _roles_of_groups() -> list[Row]:
    return [
        made(
            "sys_group_has_role",
            stable_id(group, role),
            group=stable_id("sys_user_group", group),
            role=_role(role)["sys_id"],
        )
        for group, role in _GROUP_ROLES.items()
    ]


def _problems() -> list[Row]:
    return [
        made(
            "problem",
            number=f"PRB{n:07}",
            short_description=text,
            opened_at=FIRST_DAY,
            opened_by=_PROBLEM_ADMIN_ID,
            state="101" if n % 2 else "102",
        )
        for n, text in enumerate(_PROBLEMS, start=1)
    ]


def _db_objects() -> list[Row]:
    return [
        made("sys_db_object", name=name, label=label_of(name), super_class=parent)
        for name in (*TABLES, *_DESCRIBED)
        for parent in (TABLES[name].extends if name in TABLES else "",)
    ]


def _dictionary() -> list[Row]:
    rows = []
    for table in TABLES.values():
        for column in sorted(table.own):
            reference = table.references.get(column, "")
            values = {"name": table.name, "element": column, "column_label": label_of(column), "reference": reference}
            values |= {"internal_type": kind(column, reference=bool(reference))}
            values |= {"max_length": str(VARCHAR.get(column, 32 if reference else 4000))}
            values |= {"default_value": table.defaults.get(column, "")}
            rows.append(made("sys_dictionary", stable_id("sys_dictionary", table.name, column), **values))
    return rows


def _documentation() -> list[Row]:
    return [
        made(
            "sys_documentation",
            stable_id("sys_documentation", table.name, column),
            **{"name": table.name, "element": column, "label": label_of(column), "language": "en"},
        )
        for table in TABLES.values()
        for column in sorted(table.own)
    ]


def _choices() -> list[Row]:
    return [
        made(
            "sys_choice",
            stable_id("sys_choice", table.name, column, value),
            **{"name": table.name, "element": column, "value": value, "label": label, "sequence": str(n)},
        )
        for table in TABLES.values()
        if table.journal
        for column in sorted(table.columns)
        if column in table.own or choices(table.name, column) != choices(table.extends, column)
        for n, (value, label) in enumerate(choices(table.name, column).items())
    ]


def _acls() -> list[Row]:
    return [
        made("sys_security_acl", stable_id("sys_security_acl", table, operation), name=table, operation=operation)
        for table in TABLES
        for operation in ("create", "read", "write", "delete")
    ]


def _log() -> list[Row]:
    return [
        made("syslog", stable_id("syslog", n), level="0", source="Startup", sequence=str(n), message=f"Loaded part {n}")
        for n in range(_LOG_LINES)
    ]


def label_of(name: str) -> str:
    """The label that the platform gives a table or column: `cmdb_ci_service` → "Cmdb ci service"."""
    return name.replace("_", " ").capitalize()
