"""The memory of a ServiceNow instance: rows of tables, numbers, journals, references, and the rules a write passes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from tocsin.simulators.answers import Clock, stable_id
from tocsin.simulators.servicenow import scripted
from tocsin.simulators.servicenow.columns import JOURNALS, READ_ONLY, VARCHAR
from tocsin.simulators.servicenow.customer import Customer
from tocsin.simulators.servicenow.query import Query, parsed
from tocsin.simulators.servicenow.rules import Aborted, children_follow, incident_rules
from tocsin.simulators.servicenow.shipped import ADMIN_ID, shipped
from tocsin.simulators.servicenow.tables import TABLES, USER, Table, descendants

Row: TypeAlias = dict[str, str]

FIRST_NUMBER = 10_001
IS_SYS_ID = re.compile(r"[0-9a-zA-Z]{32}")


class NoTable(Exception):
    """The table does not exist: 400 "Invalid table …"."""


class Instance:
    """One instance. Times are UTC texts "yyyy-MM-dd HH:mm:ss"; every value is a string, as on the wire."""

    def __init__(self, *, user: str, clock: Clock) -> None:
        self.user = user
        self.clock = clock
        self.tables: dict[str, dict[str, Row]] = {name: dict(rows) for name, rows in shipped().items()}
        self.free_tables: dict[str, Table] = {}
        self.files: dict[str, bytes] = {}
        self.customer = Customer(self)
        self._widened: dict[str, Table] = {}
        self._inserted: dict[str, int] = {}
        self.user_id = ADMIN_ID
        if user != "admin":
            account = {"user_name": user, "name": user, "sys_id": stable_id(USER, user)}
            self.user_id = self.insert(USER, account, actor="system")["sys_id"]

    # -- tables and rows -------------------------------------------------------------------------------------------

    def table(self, name: str) -> Table:
        """The table of that name with the customer's columns; NoTable when the instance has none. u_… and x_… tables
        exist once named."""
        if name in TABLES:
            if name not in self._widened:
                self._widened[name] = self._with_customer_columns(TABLES[name])
            return self._widened[name]
        if name.startswith(("u_", "x_")):
            self.free_tables.setdefault(name, Table(name=name))
        if name not in self.free_tables:
            raise NoTable(name)
        return self.free_tables[name]

    def table_of(self, row: Row, name: str) -> Table:
        """The table that a row of `name` really belongs to: an incident found in task is an incident."""
        own = row.get("sys_class_name", "")
        return self.table(own if own in TABLES and own in descendants(name) else name)

    def _with_customer_columns(self, table: Table) -> Table:
        """A row of sys_dictionary adds a column to its table and to those that extend it."""
        added: dict[str, str] = {}
        at = table.name
        while at:
            entries = self.tables["sys_dictionary"].values()
            added |= {row["element"]: row["reference"] for row in entries if row["name"] == at and row["element"]}
            at = TABLES[at].extends
        references = {column: target for column, target in added.items() if target}
        return replace(table, columns=table.columns | frozenset(added), references={**references, **table.references})

    def rows(self, name: str) -> list[Row]:
        """All rows of a table and of the tables that extend it, oldest first."""
        self.table(name)
        return [row for table in descendants(name) for row in self.tables.get(table, {}).values()]

    def row(self, name: str, sys_id: str) -> Row | None:
        """One row by its primary key, also found in tables that extend this one."""
        self.table(name)
        return next((found for t in descendants(name) if (found := self.tables.get(t, {}).get(sys_id))), None)

    def query(self, name: str, encoded_query: str) -> Query:
        """An encoded query on a table, as it is understood here."""
        self.table(name)
        return parsed(encoded_query, table=name, reader=self)

    def find(self, name: str, encoded_query: str) -> list[Row]:
        """The rows that an encoded query selects; none for a senseless one where the instance is set so."""
        query = self.query(name, encoded_query)
        if query.ignored and self.setting("glide.invalid_query.returns_no_rows") == "true":
            return []
        return query.selected(self)

    def value(self, name: str, row: Row, column: str) -> str | None:
        """The value of a column; `assignment_group.name` walks along references. None: no such column."""
        table = self.table_of(row, name)
        first, _, rest = column.partition(".")
        if not rest:
            return row.get(first, "" if first in table.columns else None)
        target = table.references.get(first)
        referenced = self.row(target, row.get(first, "")) if target else None
        return self.value(target, referenced, rest) if target and referenced else None

    def knows(self, name: str, column: str) -> bool:
        """Whether the table has such a column, also dot-walked. A free table has those that its rows have."""
        table = self.table(name)
        first, _, rest = column.partition(".")
        if rest:
            target = table.references.get(first)
            return bool(target) and self.knows(str(target), rest)
        if table.columns:
            return first in table.columns
        return any(first in row for row in self.tables.get(table.name, {}).values())

    def meaning(self, script: str) -> str | None:
        """What a `javascript:` value of a query stands for."""
        return scripted.meaning(script, user_id=self.user_id, now=self.clock(), zone=self.zone)

    def setting(self, name: str) -> str:
        """A system property's value; empty when it is not set."""
        row = self.tables["sys_properties"].get(stable_id("sys_properties", name))
        return row["value"] if row else ""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of our account, in which it sees display values."""
        account = self.row(USER, self.user_id) or {}
        return ZoneInfo(account.get("time_zone") or self.setting("glide.sys.default.tz") or "UTC")

    # -- writing -----------------------------------------------------------------------------------------------------

    def insert(self, name: str, values: Mapping[str, str], *, actor: str = "") -> Row:
        """A new row. Aborted: the sys_id is taken, or a rule refuses. `actor` is a user name, else our account."""
        table, now, by = self.table(name), self.now(), actor or self.user
        sys_id = self._sys_id(name, values, actor)
        number = self._number(table, values)
        if sys_id in self.tables.get(name, {}):
            # Recorded: the answer to an insert with a primary key that is already used.
            raise Aborted("Operation Failed", f"Error during insert of {name} ({number or sys_id})")
        row = self._blank(table, values, actor) | {"sys_id": sys_id, "sys_mod_count": "0", "sys_tags": ""}
        row |= {"sys_created_on": now, "sys_created_by": by, "sys_updated_on": now, "sys_updated_by": by}
        if number:
            row["number"] = number
        if table.journal:
            row["opened_at"] = values.get("opened_at") or now
            row["opened_by"] = values.get("opened_by") or self.id_of_user(by)
        self._pass_rules(table, None, row)
        self.tables.setdefault(name, {})[sys_id] = row
        self._inserted[name] = self._inserted.get(name, 0) + 1
        if name == "sys_dictionary":
            self._widened.clear()
        self._note(table, row, values, by)
        self._count_children(row)
        return row

    def update(
        self, name: str, sys_id: str, values: Mapping[str, str], *, actor: str = "", stamp: bool = True
    ) -> Row | None:
        """Writes known, writable columns of a row; None when there is no such row. Aborted when a rule refuses.
        Without `stamp` the sys_ columns stay as they are (sysparm_suppress_auto_sys_field)."""
        before = self.row(name, sys_id)
        if before is None:
            return None
        table, by = self.table_of(before, name), actor or self.user
        written = {key: value for key, value in self._writable(table, values, actor).items() if key not in JOURNALS}
        after = before | written
        self._pass_rules(table, before, after, actor=by)
        noted = self._note(table, after, values, by)
        if stamp and (after != before or noted):
            after["sys_mod_count"] = str(int(before["sys_mod_count"]) + 1)
            after.update(sys_updated_on=self.now(), sys_updated_by=by)
        self.tables[self._home(table.name, sys_id)][sys_id] = after
        for parent in {before.get("parent_incident", ""), after.get("parent_incident", "")}:
            self._count_children({"parent_incident": parent})
        if table.name == "incident":
            children_follow(self, before, after, actor=by)
        return after

    def delete(self, name: str, sys_id: str) -> bool:
        """Whether there was such a row to remove. Aborted when a rule refuses."""
        row = self.row(name, sys_id)
        if row is None:
            return False
        self.customer.refuse(self.table_of(row, name), row, row, "delete")
        del self.tables[self._home(name, sys_id)][sys_id]
        self._count_children(row)
        return True

    def now(self) -> str:
        """The present moment as the database writes it."""
        return self.clock().strftime(scripted.MOMENT)

    def shown_at(self, value: str) -> str:
        """A moment of the database as our account sees it in its own time zone."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment.replace(tzinfo=UTC).astimezone(self.zone).strftime(scripted.MOMENT)

    def _home(self, name: str, sys_id: str) -> str:
        return next(table for table in descendants(name) if sys_id in self.tables.get(table, {}))

    def _blank(self, table: Table, values: Mapping[str, str], actor: str) -> Row:
        row = dict.fromkeys(sorted(table.columns), "") | dict(table.defaults)
        if "sys_class_name" in table.columns:
            row["sys_class_name"] = table.name
        written = self._writable(table, values, actor)
        return row | {key: value for key, value in written.items() if key not in JOURNALS or not table.journal}

    def _writable(self, table: Table, values: Mapping[str, str], actor: str) -> Row:
        """What the platform takes of a body: unknown, read-only and, for our account, denied columns are dropped
        without a word."""
        denied = self.customer.denied(table, "write") if not actor else frozenset()
        known = {
            key: value
            for key, value in values.items()
            if key not in READ_ONLY and key not in denied and (key in table.columns or not table.columns)
        }
        return {key: value[: VARCHAR.get(key, len(value))] for key, value in known.items()}

    def _number(self, table: Table, values: Mapping[str, str]) -> str:
        if not table.prefix:
            return ""
        return values.get("number") or f"{table.prefix}{FIRST_NUMBER + self._inserted.get(table.name, 0):07d}"

    def _sys_id(self, name: str, values: Mapping[str, str], actor: str) -> str:
        chosen = values.get("sys_id", "")
        ignores = not actor and self.setting("tocsin.simulator.ignores_sys_id") == "true"
        if IS_SYS_ID.fullmatch(chosen) and not ignores:
            return chosen
        return stable_id(name, self._inserted.get(name, 0), self.clock().isoformat())

    def _pass_rules(self, table: Table, before: Row | None, row: Row, *, actor: str = "") -> None:
        if table.name == "incident":
            item = self.row("cmdb_ci", row["cmdb_ci"]) or self.row("cmdb_ci", row["business_service"]) or {}
            person = self.id_of_user(actor or self.user)
            group = item.get("support_group", "")
            incident_rules(before, row, actor_id=person, now=self.now(), support_group=group)
        self.customer.refuse(table, before, row, "update" if before else "insert")

    def _count_children(self, row: Mapping[str, str]) -> None:
        parent = self.tables.get("incident", {}).get(row.get("parent_incident", ""))
        if parent:
            parent["child_incidents"] = str(len(self.children(parent["sys_id"])))

    def children(self, sys_id: str) -> list[Row]:
        """The incidents that name this one as their parent."""
        return [one for one in self.tables.get("incident", {}).values() if one["parent_incident"] == sys_id]

    # -- journals ----------------------------------------------------------------------------------------------------

    def _note(self, table: Table, row: Row, values: Mapping[str, str], by: str) -> bool:
        """Keeps work notes and comments as journal entries; whether there were any."""
        texts = {element: values[element] for element in JOURNALS if table.journal and values.get(element)}
        for element, text in texts.items():
            entry = {"element_id": row["sys_id"], "element": element, "name": table.name, "value": text}
            self.insert("sys_journal_field", entry, actor=by)
        return bool(texts)

    def journal(self, sys_id: str, *elements: str) -> list[Row]:
        """The entries of one record, newest first."""
        entries = self.tables.get("sys_journal_field", {}).values()
        return [one for one in entries if one["element_id"] == sys_id and one["element"] in elements][::-1]

    # -- names -------------------------------------------------------------------------------------------------------

    def id_of(self, name: str, shown: str) -> str:
        """The sys_id of the row that is shown as `shown` (or has that sys_id or user name), empty when none is."""
        column = self.table(name).shown_as
        for row in self.rows(name):
            if shown in (row["sys_id"], row.get(column), row.get("user_name")):
                return row["sys_id"]
        return ""

    def id_of_user(self, user_name: str) -> str:
        """The sys_id of a user name; our account's for one that nobody has."""
        found = (row["sys_id"] for row in self.tables[USER].values() if row["user_name"] == user_name)
        return next(found, self.user_id)
