"""What does the instance say of its own tables: fields that may be written or must be, and values that it knows?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import error, note, ok, some, warning
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.instance import Instance, Row
from tocsin.connectors.servicenow.render import CANCELED, IN_PROGRESS, NEW, RESOLVED
from tocsin.domain.incident import Category
from tocsin.domain.seen import Finding

SENT = (
    *("short_description", "description", "impact", "urgency", "state", "category", "contact_type", "caller_id"),
    *("assignment_group", "cmdb_ci", "business_service", "correlation_id", "correlation_display", "work_notes"),
    *("service_offering", "parent_incident", "caused_by"),
    *("close_code", "close_notes"),
)
"""Columns that an incident of ours carries at its create or its resolve."""
PARENT = "task"
"""Incidents inherit columns, choices and policies from tasks."""
_UNSEEN = "Not visible to this user; a field that does not stick is told at the first record (dropped fields)"


def described(config: Config, instance: Instance) -> Iterator[Finding]:
    """Fields, data policies and choice lists, as far as the user may read them."""
    sent = (*SENT, *config.fields)
    yield from _fields(config, instance, sent)
    yield from _policies(config, instance, sent)
    yield from _choices(config, instance)


def _tables(config: Config) -> str:
    """As an encoded query's IN takes them."""
    return f"{config.table},{PARENT}"


# --- the dictionary ---


def _fields(config: Config, instance: Instance, sent: Sequence[str]) -> Iterator[Finding]:
    here = f"nameIN{_tables(config)}"
    columns = "name,element,mandatory,read_only"
    rows = instance.rows("sys_dictionary", f"{here}^elementIN{','.join(sent)}", fields=columns, limit=400)
    known = {} if isinstance(rows, Failure) else _by_element(config, rows)
    if "short_description" not in known:
        yield note("fields", says=_UNSEEN)
        return
    absent = [name for name in sent if name not in known]
    closed = [name for name in sent if known.get(name, {}).get("read_only") == "true"]
    if absent:
        remedy = "create the column, or take it out of the mappings; what it should hold goes into a work note"
        yield warning("fields", some(absent), f"{config.table} has no such column", remedy)
    if closed:
        yield warning("read_only", some(closed), "Read-only there: what we write is dropped", "make it writable by API")
    if not absent and not closed:
        yield ok("fields", f"{len(known)} columns", "Exist and may be written")
    yield from _mandatory(config, instance, sent)


def _mandatory(config: Config, instance: Instance, sent: Sequence[str]) -> Iterator[Finding]:
    query = f"nameIN{_tables(config)}^mandatory=true"
    rows = instance.rows("sys_dictionary", query, fields="name,element,mandatory", limit=200)
    if isinstance(rows, Failure):
        return
    asked = [name for name, row in _by_element(config, rows).items() if row.get("mandatory") == "true"]
    lacking = [name for name in asked if name not in sent]
    if lacking:
        says = "Mandatory on the form and not sent: the API takes the incident, people must fill it in before they save"
        yield note("mandatory", some(lacking), says, "fill it under fields: of this connector")


def _by_element(config: Config, rows: Sequence[Row]) -> dict[str, Row]:
    """Column → its entry; the table's own beats the one that it inherits."""
    ours = [row for row in rows if row.get("name") in (config.table, PARENT) and row.get("element")]
    return {row["element"]: row for row in sorted(ours, key=lambda row: row["name"] == config.table)}


# --- data policies ---


def _policies(config: Config, instance: Instance, sent: Sequence[str]) -> Iterator[Finding]:
    """Data policies hold for the API too (docs c_DataPolicy): a create or resolve that breaks one is refused."""
    policies = _active_policies(config, instance)
    columns = "sys_data_policy,table,field,mandatory,disabled"
    by_policy = f"sys_data_policyIN{','.join(policies)}"
    query = by_policy if policies else f"tableIN{_tables(config)}"
    rules = instance.rows("sys_data_policy_rule", query, fields=columns, limit=500)
    if isinstance(rules, Failure):
        yield note("data_policy", says="Data policies are not visible to this user; a refusal is shown with its words")
        return
    ours = [
        rule for rule in rules if rule.get("sys_data_policy") in policies or rule.get("table") in (config.table, PARENT)
    ]
    faults = [fault for rule in ours if (fault := _fault(policies.get(rule.get("sys_data_policy", "")), rule, sent))]
    yield from faults
    if not faults:
        yield ok("data_policy", f"{len(ours)} rules", "None asks for a field that we do not send")


def _active_policies(config: Config, instance: Instance) -> Mapping[str, Row]:
    """sys_id → policy, for those that are active; empty where the user may not see them."""
    found = instance.rows(
        "sys_data_policy2",
        f"model_tableIN{_tables(config)}^active=true",
        fields="sys_id,model_table,short_description,conditions",
        limit=100,
    )
    if isinstance(found, Failure):
        return {}
    return {row["sys_id"]: row for row in found if row.get("model_table") in (config.table, PARENT)}


def _fault(policy: Row | None, rule: Row, sent: Sequence[str]) -> Finding | None:
    field, policy = rule.get("field", ""), policy or {}
    when = f" when {policy['conditions']}" if policy.get("conditions") else ""
    named = f"Data policy {policy.get('short_description', '')!r}" if policy else "A data policy"
    if rule.get("mandatory") == "true" and field not in sent:
        says = f"{named} makes {field} mandatory{when}: without it the write is refused"
        return warning("data_policy", field, says, f"fill {field} under fields: of this connector, or ease the policy")
    if rule.get("disabled") == "true" and field in sent:
        says = f"{named} makes {field} read-only{when}"
        return warning("data_policy", field, says, "except the integration's user from it")
    return None


# --- choices ---


def _choices(config: Config, instance: Instance) -> Iterator[Finding]:
    asked = {
        "state": (NEW, IN_PROGRESS, RESOLVED, CANCELED),
        "close_code": (config.close_code,),
        "impact": ("1", "2", "3"),
        "urgency": ("1", "2", "3"),
        "category": tuple(dict.fromkeys(config.categories.get(each, str(each)) for each in Category)),
        "contact_type": (config.contact_type,),
    }
    rows = instance.rows(
        "sys_choice",
        f"nameIN{_tables(config)}^elementIN{','.join(asked)}^inactive=false",
        fields="name,element,value,label,inactive",
        limit=1_000,
    )
    if isinstance(rows, Failure) or not rows:
        yield note(
            "choices", says="Choice lists are not visible to this user: close code, category and states unchecked"
        )
        return
    for element, values in asked.items():
        yield _choice(element, [value for value in values if value], _list_of(config, rows, element))


def _list_of(config: Config, rows: Sequence[Row], element: str) -> dict[str, str]:
    """Value → label: the table's own list, else the one that it inherits."""
    lists: dict[str, dict[str, str]] = {config.table: {}, PARENT: {}}
    for row in rows:
        if row.get("element") == element and row.get("inactive") != "true" and row.get("name") in lists:
            lists[row["name"]].setdefault(row.get("value", ""), row.get("label", ""))
    return lists[config.table] or lists[PARENT]


def _choice(element: str, values: Sequence[str], known: Mapping[str, str]) -> Finding:
    unknown = [value for value in values if value not in known]
    if not known:
        return note(element, some(list(values)), "No choice list for it is visible")
    if not unknown:
        return ok(element, some(list(values)))
    by_label = {label: value for value, label in known.items()}
    meant = [f"{value!r} is written {by_label[value]!r}" for value in unknown if value in by_label]
    there = some(sorted(known))
    remedy = f"{'; '.join(meant) or f'choose from: {there}'}; set {_SETTINGS.get(element, element)}"
    says = "Not in the choice list there: the value is kept, but people see a blank and reports miss it"
    return (error if element in ("close_code", "state") else warning)(element, some(unknown), says, remedy)


_SETTINGS = {"category": "categories", "state": "nothing here: these are the base system's states"}
