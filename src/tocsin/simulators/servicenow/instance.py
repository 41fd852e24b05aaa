"""The memory of a ServiceNow instance: rows of tables, numbers, journals, references."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, stable_id
from tocsin.simulators.servicenow.query import Query, parsed
from tocsin.simulators.servicenow.rules import Aborted, incident_rules
from tocsin.simulators.servicenow.tables import JOURNALS, READ_ONLY, TABLES, USER, VARCHAR, Table, descendants

Row = dict[str, str]


class NoTable(Exception):
    """The table does not exist: 400 "Invalid table …"."""


class Instance:
    """One instance. Times are UTC texts "yyyy-MM-dd HH:mm:ss"; every value is a string, as on the wire."""

    def __init__(self, *, user: str, clock: Clock, keep_sys_id: bool = True) -> None:
        self.user = user
        self.clock = clock
        self.keep_sys_id = keep_sys_id
        self.tables: dict[str, dict[str, Row]] = {}
        self.free_tables: dict[str, Table] = {}
        self.files: dict[str, bytes] = {}
        self._count = 0
        self.user_id = self.insert(
            USER, {"user_name": user, "name": "System Administrator", "sys_id": stable_id(USER, user)}, actor="system"
        )["sys_id"]

    # -- tables and rows -------------------------------------------------------------------------------------------

    def table(self, name: str) -> Table:
        """The table of that name; NoTable when the instance has none. u_… and x_… tables exist once named."""
        if name in TABLES:
            return TABLES[name]
        if name.startswith(("u_", "x_")):
            self.free_tables.setdefault(name, Table(name=name))
        if name not in self.free_tables:
            raise NoTable(name)
        return self.free_tables[name]

    def rows(self, name: str) -> list[Row]:
        """All rows of a table and of the tables that extend it, oldest first."""
        self.table(name)
        return [row for table in descendants(name) for row in self.tables.get(table, {}).values()]

    def row(self, name: str, sys_id: str) -> Row | None:
        """One row by its primary key, also found in tables that extend this one."""
        self.table(name)
        return next((found for t in descendants(name) if (found := self.tables.get(t, {}).get(sys_id))), None)

    def find(self, name: str, encoded_query: str) -> list[Row]:
        """The rows that an encoded query selects."""
        table = self.table(name)
        query: Query = parsed(encoded_query, known=lambda column: self._knows(table, column))
        return query.selected(self.rows(name), lambda row, column: self.value(table, row, column))

    def value(self, table: Table, row: Row, column: str) -> str | None:
        """The value of a column; `assignment_group.name` walks along references. None: no such column."""
        first, _, rest = column.partition(".")
        if not rest:
            return row.get(first)
        target = table.references.get(first)
        referenced = self.row(target, row.get(first, "")) if target else None
        return self.value(self.table(target), referenced, rest) if target and referenced else None

    def _knows(self, table: Table, column: str) -> bool:
        first, _, rest = column.partition(".")
        if rest:
            target = table.references.get(first)
            return bool(target) and self._knows(self.table(str(target)), rest)
        if table.columns:
            return first in table.columns
        return any(first in row for row in self.tables.get(table.name, {}).values())

    # -- writing -----------------------------------------------------------------------------------------------------

    def insert(self, name: str, values: Mapping[str, str], *, actor: str = "") -> Row:
        """A new row. Aborted: the sys_id is taken, or a rule refuses."""
        table = self.table(name)
        number = self._number(table, values)
        sys_id = self._sys_id(name, values)
        if sys_id in self.tables.get(name, {}):
            # Recorded: the answer to an insert with a primary key that is already used.
            raise Aborted("Operation Failed", f"Error during insert of {name} ({number or sys_id})")
        now, by = self.now(), actor or self.user
        row = self._blank(table, values) | {
            "sys_id": sys_id,
            "sys_created_on": now,
            "sys_created_by": by,
            "sys_updated_on": now,
            "sys_updated_by": by,
            "sys_mod_count": "0",
            "sys_tags": "",
        }
        if table.prefix:
            row |= {"number": number, "opened_at": values.get("opened_at") or now}
            row["opened_by"] = values.get("opened_by") or self.user_id
        self._apply_rules(name, None, row)
        self.tables.setdefault(name, {})[sys_id] = row
        self._count += 1
        self._note(table, row, values, by)
        self._count_children(row)
        return row

    def update(self, name: str, sys_id: str, values: Mapping[str, str]) -> Row | None:
        """Writes known, writable columns of a row; None when there is no such row. Aborted when a rule refuses."""
        before = self.row(name, sys_id)
        if before is None:
            return None
        table = self.table(before["sys_class_name"] if before.get("sys_class_name") in TABLES else name)
        after = before | {key: value for key, value in self._writable(table, values).items() if key not in JOURNALS}
        self._apply_rules(table.name, before, after)
        noted = self._note(table, after, values, self.user)
        if after != before or noted:
            after["sys_mod_count"] = str(int(before["sys_mod_count"]) + 1)
            after.update(sys_updated_on=self.now(), sys_updated_by=self.user)
        before.clear()
        before.update(after)
        self._count_children(after)
        return before

    def delete(self, name: str, sys_id: str) -> bool:
        """Whether there was such a row to remove."""
        return any(self.tables.get(table, {}).pop(sys_id, None) for table in descendants(name))

    def now(self) -> str:
        """The present moment as the database writes it."""
        return self.clock().strftime("%Y-%m-%d %H:%M:%S")

    def expires(self, seconds: float) -> float:
        """The Unix time `seconds` from now."""
        return (self.clock() + timedelta(seconds=seconds)).timestamp()

    def _blank(self, table: Table, values: Mapping[str, str]) -> Row:
        row = dict.fromkeys(sorted(table.columns), "") | dict(table.defaults)
        if "sys_class_name" in table.columns:
            row["sys_class_name"] = table.name
        return row | {key: value for key, value in self._writable(table, values).items() if key not in JOURNALS}

    def _writable(self, table: Table, values: Mapping[str, str]) -> Row:
        """What the platform takes of a body: unknown and read-only columns are dropped without a word."""
        known = {
            key: value
            for key, value in values.items()
            if key not in READ_ONLY and (key in table.columns or not table.columns)
        }
        return {key: value[: VARCHAR.get(key, len(value))] for key, value in known.items()}

    def _number(self, table: Table, values: Mapping[str, str]) -> str:
        if not table.prefix:
            return ""
        return values.get("number") or f"{table.prefix}{10001 + len(self.tables.get(table.name, {})):07d}"

    def _sys_id(self, name: str, values: Mapping[str, str]) -> str:
        chosen = values.get("sys_id", "")
        if chosen and self.keep_sys_id:
            return chosen
        return stable_id(name, self._count, self.clock().isoformat())

    def _apply_rules(self, name: str, before: Row | None, row: Row) -> None:
        if name != "incident":
            return
        item = self.row("cmdb_ci", row["cmdb_ci"]) or self.row("cmdb_ci", row["business_service"]) or {}
        incident_rules(before, row, actor_id=self.user_id, now=self.now(), support_group=item.get("support_group", ""))

    def _count_children(self, row: Row) -> None:
        parent = self.row("incident", row.get("parent_incident", ""))
        if parent:
            children = [one for one in self.rows("incident") if one["parent_incident"] == parent["sys_id"]]
            parent["child_incidents"] = str(len(children))

    # -- journals ----------------------------------------------------------------------------------------------------

    def _note(self, table: Table, row: Row, values: Mapping[str, str], by: str) -> bool:
        """Keeps work notes and comments as journal entries; whether there were any."""
        texts = {element: values[element] for element in JOURNALS if table.journal and values.get(element)}
        for element, text in texts.items():
            self.insert(
                "sys_journal_field",
                {"element_id": row["sys_id"], "element": element, "name": table.name, "value": text},
                actor=by,
            )
        return bool(texts)

    def journal(self, sys_id: str, *elements: str) -> list[Row]:
        """The entries of one record, newest first."""
        entries = self.tables.get("sys_journal_field", {}).values()
        return [one for one in entries if one["element_id"] == sys_id and one["element"] in elements][::-1]

    # -- seeds -------------------------------------------------------------------------------------------------------

    def seed(self, records: Mapping[str, object]) -> dict[str, dict[str, str]]:
        """Adds rows: {"sys_user_group": ["Network", {"name": …}], …}; answers {table: {name: sys_id}}.

        A bare text is a name. The same table and name always get the same sys_id, and a second seed finds the first.
        References may be given by name.
        """
        return {name: dict(self._seeded(name, row) for row in _list(name, rows)) for name, rows in records.items()}

    def _seeded(self, name: str, given: object) -> tuple[str, str]:
        if name not in TABLES:
            self.free_tables.setdefault(name, Table(name=name))
        table = self.table(name)
        values = {"name": given} if isinstance(given, str) else given
        if not isinstance(values, Mapping):
            raise BadPayload("must be a name or an object of columns", path=name)
        row = {str(key): str(value) for key, value in values.items()}
        for column, target in table.references.items():
            if row.get(column):
                row[column] = self.id_of(target, row[column]) or row[column]
        shown = row.get(table.shown_as) or row.get("user_name") or row.get("sys_id", "")
        row.setdefault("sys_id", stable_id(name, shown))
        if not self.row(name, row["sys_id"]):
            self.insert(name, row, actor="system")
        return shown, row["sys_id"]

    def id_of(self, name: str, shown: str) -> str:
        """The sys_id of the row that is shown as `shown` (or has that sys_id or user name), empty when none is."""
        column = self.table(name).shown_as
        for row in self.rows(name):
            if shown in (row["sys_id"], row.get(column), row.get("user_name")):
                return row["sys_id"]
        return ""


def _list(name: str, rows: object) -> list[object]:
    if not isinstance(rows, list):
        raise BadPayload("must be a list of names or objects", path=name)
    return rows
