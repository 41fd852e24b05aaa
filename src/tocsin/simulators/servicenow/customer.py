"""What has the customer of this instance added: business rules that abort, data policies, access rules on columns?

They are rows that a seed or a client inserts: sys_script (abort_action), sys_data_policy_rule and sys_security_acl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tocsin.simulators.servicenow.rules import Aborted, aborted_by, mandatory
from tocsin.simulators.servicenow.shipped import label_of
from tocsin.simulators.servicenow.tables import TABLES, Table

if TYPE_CHECKING:
    from tocsin.simulators.servicenow.instance import Instance, Row

Operation = Literal["insert", "update", "delete"]


class Customer:
    """The customer's rules on one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def refuse(self, table: Table, before: Row | None, row: Row, operation: Operation) -> None:
        """Raises Aborted when a business rule or a data policy does not let this row be saved or deleted."""
        names = _with_ancestors(table.name)
        for rule in self._instance.tables.get("sys_script", {}).values():
            meant = rule["collection"] in names and rule[f"action_{operation}"] == "true"
            if meant and rule["active"] == rule["abort_action"] == "true" and self._applies(rule, table, row):
                raise aborted_by(rule["name"], table.name, sys_id=rule["sys_id"])
        if operation != "delete":
            self._enforce_policies(names, before, row)

    def denied(self, table: Table, operation: Literal["read", "write"]) -> frozenset[str]:
        """The columns that our account may not read or write: an ACL named `incident.caused_by` denies it."""
        names = _with_ancestors(table.name)
        found = []
        for acl in self._instance.tables["sys_security_acl"].values():
            name, _, column = acl["name"].partition(".")
            if column and name in names and acl["operation"] == operation and acl["active"] == "true":
                found.append(column)
        return frozenset(found)

    def _applies(self, rule: Row, table: Table, row: Row) -> bool:
        query = self._instance.query(table.name, rule["filter_condition"])
        return query.matches(row, self._instance)

    def _enforce_policies(self, names: tuple[str, ...], before: Row | None, row: Row) -> None:
        policies = [
            policy
            for policy in self._instance.tables.get("sys_data_policy_rule", {}).values()
            if policy["table"] in names
        ]
        missing = [p["field"] for p in policies if p["mandatory"] == "true" and not row.get(p["field"])]
        if missing:
            raise mandatory(map(label_of, missing))
        kept = [p["field"] for p in policies if p["disabled"] == "true" and before]
        changed = [label_of(field) for field in kept if before and row.get(field) != before.get(field)]
        if changed:
            raise Aborted(
                "Operation Failed", f"Data Policy Exception: Following fields are read only: {', '.join(changed)}"
            )


def _with_ancestors(name: str) -> tuple[str, ...]:
    """The table and those that it extends: a rule on task counts for incidents."""
    parent = TABLES[name].extends if name in TABLES else ""
    return (name, *(_with_ancestors(parent) if parent else ()))
