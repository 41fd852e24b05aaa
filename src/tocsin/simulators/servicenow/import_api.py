"""The Import Set API: a row goes into a staging table and is transformed at once (docs c_ImportSetAPI).

A customer makes the staging table and its transform map; here seeds do, as rows of sys_transform_map and
sys_transform_entry. A staging table without a map goes to incident with the same columns and coalesces on
correlation_id. The answer is 201 even when the row failed: only `result[].status` tells (reference vendors.md §3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply, stable_id
from tocsin.simulators.servicenow import asked
from tocsin.simulators.servicenow.asked import NO_RECORD, Refused
from tocsin.simulators.servicenow.instance import Instance, Row
from tocsin.simulators.servicenow.rules import Aborted
from tocsin.simulators.servicenow.table_api import InstanceNow
from tocsin.simulators.servicenow.tables import Table

STAGING = ("u_", "x_", "imp_")
"""What the name of a staging table begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Map:
    name: str
    table: str
    columns: Mapping[str, str]
    """Staging column → target column; empty: the same names."""
    coalesce: tuple[str, ...]
    """Target columns by which an existing row is found."""


class Imports:
    """Staging tables of the instance."""

    def __init__(self, instance: InstanceNow) -> None:
        self._instance = instance

    def insert(self, staging: str) -> Response:
        """`POST /import/<staging>`: one row, transformed synchronously."""
        return self._answer(staging, [asked.one_object()])

    def insert_multiple(self, staging: str) -> Response:
        """`POST /import/<staging>/insertMultiple`: many rows; the answer does not wait for them."""
        body = asked.body()
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list):
            raise Refused(400, "Exception while reading request", "The payload has no list of records")
        rows = [{str(key): asked.text(value) for key, value in one.items()} for one in records if isinstance(one, dict)]
        self._answer(staging, rows)
        number = stable_id("sys_multi_import_set", staging, self._instance().now())
        return reply({"import_set_id": number, "multi_import_set_id": number}, 201)

    def read(self, staging: str, sys_id: str) -> Response:
        """`GET /import/<staging>/<sys_id>`: how a staged row fared."""
        instance = self._instance()
        staged = instance.row(_staging(instance, staging), sys_id)
        if staged is None:
            raise Refused(404, *NO_RECORD)
        shown = {"status": staged["sys_import_state"], "sys_id": staged["sys_target_sys_id"]}
        return reply({"import_set": staged["sys_import_set"], "staging_table": staging, "result": [shown]})

    def _answer(self, staging: str, rows: list[Row]) -> Response:
        instance = self._instance()
        _staging(instance, staging)
        mapped = _map_of(instance, staging)
        batch = instance.insert("sys_import_set", {"table_name": staging, "state": "processed"})
        results = [_transformed(instance, mapped, row) for row in rows]
        for row, result in zip(rows, results, strict=True):
            outcome = {"sys_import_set": batch["number"], "sys_import_state": str(result["status"])}
            instance.insert(staging, {**row, **outcome, "sys_target_sys_id": str(result.get("sys_id", ""))})
        return reply({"import_set": batch["number"], "staging_table": staging, "result": results}, 201)


def _staging(instance: Instance, name: str) -> str:
    if not name.startswith(STAGING):
        raise Refused(400, f"Invalid staging table {name}", "Not an import set table")
    instance.free_tables.setdefault(name, Table(name=name))
    return name


def _map_of(instance: Instance, staging: str) -> _Map:
    maps = instance.tables.get("sys_transform_map", {}).values()
    found = next((one for one in maps if one["source_table"] == staging and one["active"] == "true"), None)
    if found is None:
        return _Map(name=staging, table="incident", columns={}, coalesce=("correlation_id",))
    entries = [one for one in instance.tables.get("sys_transform_entry", {}).values() if one["map"] == found["sys_id"]]
    return _Map(
        name=found["name"],
        table=found["target_table"],
        columns={one["source_field"]: one["target_field"] for one in entries},
        coalesce=tuple(one["target_field"] for one in entries if one["coalesce"] == "true"),
    )


def _transformed(instance: Instance, mapped: _Map, staged: Row) -> Json:
    """What became of one staged row: inserted, updated, ignored (nothing new) or error."""
    values = {mapped.columns.get(key, key): value for key, value in staged.items()}
    if mapped.columns:
        values = {target: staged[source] for source, target in mapped.columns.items() if source in staged}
    shown: Json = {"transform_map": mapped.name, "table": mapped.table}
    try:
        known = _coalesced(instance, mapped, values)
        if known is None:
            row, status = instance.insert(mapped.table, values), "inserted"
        else:
            row = instance.update(mapped.table, known["sys_id"], values) or known
            status = "updated" if row["sys_mod_count"] != known["sys_mod_count"] else "ignored"
    except Aborted as refused:
        failed = {"status": "error", "error_message": refused.detail, "sys_id": "", "record_link": ""}
        return {**shown, **failed}
    column = instance.table(mapped.table).shown_as
    link = f"{asked.base()}{request.path.partition('/import/')[0]}/table/{mapped.table}/{row['sys_id']}"
    named = {"display_name": column, "display_value": row.get(column, ""), "record_link": link}
    return {**shown, **named, "status": status, "sys_id": row["sys_id"]}


def _coalesced(instance: Instance, mapped: _Map, values: Row) -> Row | None:
    """The row that has the same values in the coalesce columns. Without such columns every row is new."""
    if not mapped.coalesce or not all(values.get(column) for column in mapped.coalesce):
        return None
    rows = instance.rows(mapped.table)
    return next((row for row in rows if all(row.get(c) == values[c] for c in mapped.coalesce)), None)
