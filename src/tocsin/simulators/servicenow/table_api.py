"""The Table API, the Change API's list and the Aggregate API.

Docs c_TableAPI, change-management-api, c_AggregateAPI.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TypeAlias

from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.servicenow import asked
from tocsin.simulators.servicenow.asked import NO_RECORD, Refused
from tocsin.simulators.servicenow.instance import Instance, Row
from tocsin.simulators.servicenow.shown import View

InstanceNow: TypeAlias = Callable[[], Instance]
"""The present instance; a reset exchanges it."""


class Tables:
    """Rows of any table."""

    def __init__(self, instance: InstanceNow) -> None:
        self._instance = instance

    def collection(self, table: str) -> Response:
        """`GET` lists, `POST` inserts."""
        return self._insert(table) if request.method == "POST" else self._list(table)

    def record(self, table: str, sys_id: str) -> Response:
        """One row: read, written (PATCH and PUT alike), deleted."""
        instance = self._instance()
        if request.method == "DELETE":
            if not instance.delete(table, sys_id):
                raise Refused(404, *NO_RECORD)
            return Response(status=204)
        if request.method == "GET":
            row = instance.row(table, sys_id)
        else:
            stamp = not asked.flag("sysparm_suppress_auto_sys_field")
            row = instance.update(table, sys_id, asked.values(instance, table), stamp=stamp)
        if row is None:
            raise Refused(404, *NO_RECORD)
        return reply({"result": self._shown(table, row)})

    def changes(self) -> Response:
        """The Change API answers every field as value and display value."""
        view = View(display_value="all", exclude_reference_link=True, base_url=asked.base())
        instance = self._instance()
        rows, headers = asked.page(instance.find("change_request", asked.encoded_query()))
        return reply({"result": [view.shown(instance, "change_request", row) for row in rows]}, headers=headers)

    def statistics(self, table: str) -> Response:
        """`GET /stats/<table>`: count, sum, average, least and greatest, in all or by group."""
        instance = self._instance()
        found = instance.find(table, asked.encoded_query())
        columns = [name for name in request.args.get("sysparm_group_by", "").split(",") if name]
        if not columns:
            return reply({"result": {"stats": self._stats(table, found)}})

        def group_of(row: Row) -> tuple[str, ...]:
            return tuple(instance.value(table, row, column) or "" for column in columns)

        groups = [(key, list(rows)) for key, rows in groupby(sorted(found, key=group_of), key=group_of)]
        view = asked.view()
        result = []
        for key, rows in groups:
            shown = view.shown(instance, table, rows[0]) if view.display_value != "false" else {}
            named = [
                {"field": column, "value": shown.get(column, value)} for column, value in zip(columns, key, strict=True)
            ]
            result.append({"stats": self._stats(table, rows), "groupby_fields": named})
        return reply({"result": result})

    def _stats(self, table: str, rows: list[Row]) -> Json:
        stats: Json = {"count": str(len(rows))} if asked.flag("sysparm_count") else {}
        instance = self._instance()
        for name in ("avg", "min", "max", "sum"):
            columns = [column for column in request.args.get(f"sysparm_{name}_fields", "").split(",") if column]
            if columns:
                stats[name] = {
                    column: _aggregate(name, [instance.value(table, row, column) or "" for row in rows])
                    for column in columns
                }
        return stats

    def _list(self, table: str) -> Response:
        instance = self._instance()
        found = instance.find(table, asked.encoded_query())
        rows, headers = asked.page(found)
        if not found and "/v1/" in request.path:
            return reply(Refused(404, *NO_RECORD).body, 404)  # version 1 answers 404 for no rows, version 2 200
        return reply({"result": [self._shown(table, row) for row in rows]}, headers=headers)

    def _insert(self, table: str) -> Response:
        instance = self._instance()
        row = instance.insert(table, asked.values(instance, table))
        headers = {"Location": f"{asked.base()}{request.path}/{row['sys_id']}"}
        if request.headers.get("X-no-response-body", "").lower() == "true":
            return Response(status=201, headers=headers)
        return reply({"result": self._shown(table, row)}, 201, headers)

    def _shown(self, table: str, row: Row) -> Json:
        return asked.view().shown(self._instance(), table, row)


def _aggregate(name: str, values: list[str]) -> str:
    numbers = [float(value) for value in values if value.lstrip("-").replace(".", "", 1).isdigit()]
    if not numbers:
        return max(values, default="") if name == "max" else min(values, default="") if name == "min" else ""
    if name == "avg":
        return f"{sum(numbers) / len(numbers):.4f}"
    picked = sum(numbers) if name == "sum" else max(numbers) if name == "max" else min(numbers)
    return str(int(picked)) if picked == int(picked) else str(picked)
