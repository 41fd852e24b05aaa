"""The pages that an operator knows: the incident list and the incident form."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from tocsin.simulators.answers import file_of, is_picture
from tocsin.simulators.servicenow.columns import DATE_TIMES, JOURNALS
from tocsin.simulators.servicenow.instance import Instance, Row
from tocsin.simulators.servicenow.shown import JOURNAL_LABEL, author, display

_COLUMNS = (
    *("number", "opened_at", "short_description", "priority", "state", "assignment_group", "assigned_to"),
    *("cmdb_ci", "business_service", "category", "impact", "urgency", "caller_id", "contact_type", "description"),
    *("correlation_id", "correlation_display", "hold_reason", "close_code", "close_notes", "caused_by", "rfc"),
    *("resolved_at", "resolved_by", "closed_at", "reopen_count", "sys_updated_on", "sys_updated_by"),
    *("parent_incident", "problem_id", "service_offering", "sys_id"),
)


def pages(instance: Callable[[], Instance]) -> Blueprint:
    """The routes of the pages on `instance()`."""
    site = Blueprint("pages", __name__)

    @site.get("/")
    def incidents() -> str:
        here = instance()
        rows = here.find("incident", "ORDERBYDESCnumber")
        return render_template("servicenow/list.html", incidents=[_shown(here, row) for row in rows])

    @site.get("/incident/<number>")
    def incident(number: str) -> str:
        here = instance()
        row = next((one for one in here.rows("incident") if number in (one["number"], one["sys_id"])), None)
        if row is None:
            abort(404, f"{number}: no such incident")
        notes = [
            {
                "at": entry["sys_created_on"],
                "author": author(here, entry["sys_created_by"]),
                "kind": JOURNAL_LABEL[entry["element"]],
                "text": entry["value"],
            }
            for entry in here.journal(row["sys_id"], *JOURNALS)
        ]
        children = [_shown(here, one) for one in here.children(row["sys_id"])]
        files = [one for one in here.rows("sys_attachment") if one["table_sys_id"] == row["sys_id"]]
        pictures = [one for one in files if is_picture(here.files.get(one["sys_id"], b""))]
        change = here.row("change_request", row["caused_by"]) or {}
        return render_template(
            "servicenow/incident.html",
            one=_shown(here, row),
            notes=notes,
            children=children,
            files=files,
            pictures=pictures,
            cause=change.get("short_description", ""),
        )

    @site.get("/file/<sys_id>")
    def file(sys_id: str) -> Response:
        here = instance()
        row = here.row("sys_attachment", sys_id)
        if row is None:
            abort(404, f"{sys_id}: no such file")
        return file_of(here.files.get(sys_id, b""))

    @site.get("/nav_to.do")
    @site.get("/incident.do")
    def link() -> Response:
        """The addresses that integrations put into other systems: ?sys_id=… or ?uri=incident.do?sys_id=…"""
        inner = parse_qs(urlparse(request.args.get("uri", "")).query)
        sys_id = request.args.get("sys_id") or "".join(inner.get("sys_id", [""]))
        return redirect(url_for("pages.incident", number=sys_id)) if sys_id else redirect("/")

    return site


def _shown(instance: Instance, row: Row) -> dict[str, str]:
    """The display values of a row (moments stay UTC, as in the activity), and the raw values under `<column>_value`
    where the page colours by them."""
    table = instance.table("incident")
    shown = {
        column: row[column] if column in DATE_TIMES else display(instance, table, row, column, row[column])
        for column in _COLUMNS
    }
    files = sum(one["table_sys_id"] == row["sys_id"] for one in instance.tables.get("sys_attachment", {}).values())
    raw = {f"{column}_value": row[column] for column in ("priority", "state")}
    return shown | raw | {"files": str(files) if files else ""}
