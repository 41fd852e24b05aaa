"""How do rows get into an instance from a seed file?"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import stable_id
from tocsin.simulators.servicenow.instance import Instance
from tocsin.simulators.servicenow.tables import TABLES, Table

Seeded = dict[str, dict[str, str]]


def sow(instance: Instance, records: Mapping[str, object]) -> Seeded:
    """Adds rows: {"sys_user_group": ["Network", {"name": …}], …}; answers {table: {name: sys_id}}.

    A bare text is a name. The same table and name always get the same sys_id; a second seed of it writes the columns
    that it gives. References may be given by name.
    """
    return {name: dict(_sown(instance, name, row) for row in _list(name, rows)) for name, rows in records.items()}


def _sown(instance: Instance, name: str, given: object) -> tuple[str, str]:
    if name not in TABLES:
        instance.free_tables.setdefault(name, Table(name=name))
    table = instance.table(name)
    values = {table.shown_as: given} if isinstance(given, str) else given
    if not isinstance(values, Mapping):
        raise BadPayload("must be a name or an object of columns", path=name)
    row = {str(key): str(value) for key, value in values.items()}
    for column, target in table.references.items():
        if row.get(column):
            row[column] = instance.id_of(target, row[column]) or row[column]
    shown = row.get(table.shown_as) or row.get("user_name") or row.get("sys_id", "")
    sys_id = row.setdefault("sys_id", stable_id(name, shown))
    if instance.row(name, sys_id) is None:
        sys_id = instance.insert(name, row, actor="system")["sys_id"]
    else:
        instance.update(name, sys_id, row, actor="system")
    return shown, sys_id


def _list(name: str, rows: object) -> list[object]:
    if not isinstance(rows, list):
        raise BadPayload("must be a list of names or objects", path=name)
    return rows
