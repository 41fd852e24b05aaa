"""How a row looks in an answer: values, display values, reference links, chosen fields."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.simulators.servicenow.columns import JOURNALS, choices, kind
from tocsin.simulators.servicenow.instance import Instance, Row
from tocsin.simulators.servicenow.tables import Table

JOURNAL_LABEL = {"work_notes": "Work notes", "comments": "Additional comments"}
_ELEMENTS = {"work_notes": ("work_notes",), "comments": ("comments",), "comments_and_work_notes": JOURNALS}
HIDDEN = "********"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the sysparm_… parameters of a call ask for."""

    display_value: str = "false"
    """false, true or all."""
    fields: tuple[str, ...] = ()
    exclude_reference_link: bool = False
    base_url: str = ""

    def shown(self, instance: Instance, name: str, row: Row) -> dict[str, object]:
        """One row of the result, with the columns of the table `name` that was asked for. Unknown fields and those
        that an ACL denies are left out."""
        table = instance.table(name)
        denied = instance.customer.denied(table, "read")
        own = tuple(column for column in row if not table.columns or column in table.columns)
        columns = self.fields or (*own, *sorted(table.columns - set(own)))
        return {
            column: self._cell(instance, instance.table_of(row, name), row, column, value)
            for column in columns
            if column not in denied and ((value := instance.value(name, row, column)) is not None or "." in column)
        }

    def _cell(self, instance: Instance, table: Table, row: Row, column: str, value: str | None) -> object:
        text = value or ""
        if self.display_value == "false" and (self.exclude_reference_link or not text):
            return text
        label = display(instance, table, row, column, text)
        target = _target(instance, table, column) if text else ""
        link = f"{self.base_url}/api/now/table/{target}/{text}" if target and not self.exclude_reference_link else ""
        if self.display_value == "all":
            both: dict[str, object] = {"display_value": label, "value": text}
            return both | {"link": link} if link else both
        shown = label if self.display_value == "true" else text
        if not link:
            return shown
        return {"link": link, ("display_value" if self.display_value == "true" else "value"): shown}


def display(instance: Instance, table: Table, row: Row, column: str, value: str) -> str:
    """What a person sees in a column: a choice's label, a referenced row's name, a moment of the own time zone, a
    journal's stream."""
    if column in _ELEMENTS and table.journal:
        return "".join(
            f"{instance.shown_at(entry['sys_created_on'])} - {author(instance, entry['sys_created_by'])} "
            f"({JOURNAL_LABEL[entry['element']]})\n{entry['value']}\n\n"
            for entry in instance.journal(row["sys_id"], *_ELEMENTS[column])
        )
    target = _target(instance, table, column)
    if target:
        referenced = instance.row(target, value)
        return referenced.get(instance.table_of(referenced, target).shown_as, "") if referenced else value
    last = column.rpartition(".")[2]
    if kind(last) == "glide_date_time":
        return instance.shown_at(value)
    if kind(last) == "password":
        return HIDDEN
    return choices(table.name, last).get(value, value)


def author(instance: Instance, user_name: str) -> str:
    """The name of a user, or the user name when nobody has it."""
    found = (user["name"] for user in instance.rows("sys_user") if user["user_name"] == user_name)
    return next(found, "") or user_name


def _target(instance: Instance, table: Table, column: str) -> str:
    """The table that a column refers to, along dots; empty for plain columns."""
    first, _, rest = column.partition(".")
    target = table.references.get(first, "")
    return _target(instance, instance.table(target), rest) if rest and target else target
