"""The Table, Attachment and Change APIs of a ServiceNow instance, over HTTP (docs c_TableAPI, c_AttachmentAPI)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson
from flask import Blueprint, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply, stable_id
from tocsin.simulators.servicenow.door import Door
from tocsin.simulators.servicenow.instance import Instance, NoTable, Row
from tocsin.simulators.servicenow.rules import Aborted
from tocsin.simulators.servicenow.shown import View

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_LIMIT = 10_000
NO_RECORD = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")
PREFIXES = ("/api/now/v1", "/api/now/v2", "/api/now")


class Refused(Exception):
    """The call is answered with this status and the platform's error body."""

    def __init__(self, status: int, message: str, detail: str | None = None) -> None:
        self.status = status
        self.body = {"error": {"message": message, "detail": detail}, "status": "failure"}
        super().__init__(message)


def blueprint(instance: Callable[[], Instance], door: Door) -> Blueprint:
    """The API's routes on `instance()`, which a reset may exchange."""
    api = Blueprint("api", __name__)
    tables, files = _Tables(instance), _Attachments(instance)
    for prefix in PREFIXES:
        name = prefix.rpartition("/")[2]
        for rule, view, methods in (
            ("/table/<table>", tables.collection, ["GET", "POST"]),
            ("/table/<table>/<sys_id>", tables.record, ["GET", "PATCH", "PUT", "DELETE"]),
            ("/attachment", files.listed, ["GET"]),
            ("/attachment/file", files.upload, ["POST"]),
            ("/attachment/<sys_id>", files.record, ["GET", "DELETE"]),
            ("/attachment/<sys_id>/file", files.content, ["GET"]),
        ):
            api.add_url_rule(prefix + rule, f"{name}{rule}".replace(".", "_"), view, methods=methods)
    api.add_url_rule("/api/sn_chg_rest/v1/change", "changes", tables.changes)
    api.add_url_rule("/api/sn_chg_rest/change", "changes_latest", tables.changes)
    api.add_url_rule("/oauth_token.do", "token", lambda: door.token(request), methods=["POST"])

    @api.before_app_request
    def enter() -> Response | None:
        return door.refused(request) if request.path.startswith("/api/") else None

    @api.after_app_request
    def sign(answer: Response) -> Response:
        if not request.path.startswith("/api/"):
            return answer
        answer.headers["Server"] = "ServiceNow"
        answer.headers["Cache-control"] = "no-cache,no-store,must-revalidate,max-age=-1"
        answer.headers["X-Transaction-ID"] = stable_id(request.path, instance().now(), length=12)
        if answer.status_code != 401:
            answer.headers["X-Is-Logged-In"] = "true"
        return answer

    @api.app_errorhandler(HTTPException)
    def elsewhere(error: HTTPException) -> Response:
        """Unknown addresses answer 400, known ones with another method 405 (r_RESTAPIHTTPResponseCodes)."""
        if not request.path.startswith("/api/"):
            return reply({"error": error.description}, error.code or 500)
        if error.code == 404:
            return reply(Refused(400, "Requested URI does not represent any resource").body, 400)
        return reply(Refused(405, "Method not supported").body, error.code or 500)

    api.register_error_handler(Refused, lambda refused: reply(refused.body, refused.status))
    api.register_error_handler(Aborted, lambda no: reply(Refused(403, no.message, no.detail).body, 403))
    api.register_error_handler(NoTable, lambda no: reply(Refused(400, f"Invalid table {no}").body, 400))
    return api


class _Tables:
    def __init__(self, instance: Callable[[], Instance]) -> None:
        self._instance = instance

    def collection(self, table: str) -> Response:
        return self._insert(table) if request.method == "POST" else self._list(table)

    def record(self, table: str, sys_id: str) -> Response:
        instance = self._instance()
        if request.method == "DELETE":
            if not instance.delete(table, sys_id):
                raise Refused(404, *NO_RECORD)
            return Response(status=204)
        if request.method == "GET":
            row = instance.row(table, sys_id)
        else:
            row = instance.update(table, sys_id, self._values(table))
        if row is None:
            raise Refused(404, *NO_RECORD)
        return reply({"result": self._shown(table, row)})

    def changes(self) -> Response:
        """The Change API answers every field as value and display value (change-management-api)."""
        view = View(display_value="all", exclude_reference_link=True, base_url=_base())
        instance = self._instance()
        table = instance.table("change_request")
        rows, headers = _page(_selected(instance, "change_request"))
        return reply({"result": [view.shown(instance, table, row) for row in rows]}, headers=headers)

    def _list(self, table: str) -> Response:
        found = _selected(self._instance(), table)
        rows, headers = _page(found)
        if not found and "/v1/" in request.path:
            return reply(Refused(404, *NO_RECORD).body, 404)  # version 1 answers 404 for no rows, version 2 200
        return reply({"result": [self._shown(table, row) for row in rows]}, headers=headers)

    def _insert(self, table: str) -> Response:
        row = self._instance().insert(table, self._values(table))
        headers = {"Location": f"{_base()}{request.path}/{row['sys_id']}"}
        if request.headers.get("X-no-response-body", "").lower() == "true":
            return Response(status=201, headers=headers)
        return reply({"result": self._shown(table, row)}, 201, headers)

    def _shown(self, table: str, row: Row) -> Json:
        instance = self._instance()
        return _view(request.args).shown(instance, instance.table(table), row)

    def _values(self, table: str) -> dict[str, str]:
        instance = self._instance()
        values = _body()
        by_name = request.args.get("sysparm_input_display_value", "").lower() == "true"
        for column, target in instance.table(table).references.items():
            given = values.get(column)
            if given and not re.fullmatch(r"[0-9a-zA-Z]{32}", given):
                # Neither a sys_id nor allowed to be a name: the column stays empty.
                values[column] = instance.id_of(target, given) if by_name else ""
        return values


class _Attachments:
    def __init__(self, instance: Callable[[], Instance]) -> None:
        self._instance = instance

    def upload(self) -> Response:
        instance = self._instance()
        table, record = request.args.get("table_name", ""), request.args.get("table_sys_id", "")
        name = request.args.get("file_name", "")
        if not (table and record and name):
            raise Refused(400, "Missing parameter", "table_name, table_sys_id and file_name are required")
        if instance.row(table, record) is None:
            raise Refused(404, *NO_RECORD)
        raw = request.get_data()
        row = instance.insert(
            "sys_attachment",
            {
                "table_name": table,
                "table_sys_id": record,
                "file_name": name,
                "content_type": request.content_type or "application/octet-stream",
                "size_bytes": str(len(raw)),
                "hash": stable_id(raw.hex(), length=64),
            },
        )
        instance.files[row["sys_id"]] = raw
        address = f"{_base()}/api/now/attachment/{row['sys_id']}"
        return reply({"result": self._shown(row)}, 201, {"Location": address})

    def listed(self) -> Response:
        rows, headers = _page(_selected(self._instance(), "sys_attachment"))
        return reply({"result": [self._shown(row) for row in rows]}, headers=headers)

    def record(self, sys_id: str) -> Response:
        if request.method == "DELETE":
            if not self._instance().delete("sys_attachment", sys_id):
                raise Refused(404, *NO_RECORD)
            return Response(status=204)
        return reply({"result": self._shown(self._row(sys_id))})

    def content(self, sys_id: str) -> Response:
        row = self._row(sys_id)
        return Response(self._instance().files[sys_id], content_type=row["content_type"])

    def _row(self, sys_id: str) -> Row:
        row = self._instance().row("sys_attachment", sys_id)
        if row is None:
            raise Refused(404, *NO_RECORD)
        return row

    def _shown(self, row: Row) -> Json:
        return {**row, "download_link": f"{_base()}/api/now/attachment/{row['sys_id']}/file"}


def _view(args: Mapping[str, str]) -> View:
    fields = tuple(name for name in args.get("sysparm_fields", "").split(",") if name)
    return View(
        display_value=args.get("sysparm_display_value", "false").lower(),
        fields=fields,
        exclude_reference_link=args.get("sysparm_exclude_reference_link", "").lower() == "true",
        base_url=_base(),
    )


def _selected(instance: Instance, table: str) -> list[Row]:
    """The rows that the call asks for, by sysparm_query or else by name-value pairs."""
    query = request.args.get("sysparm_query")
    if query is None:
        pairs = [f"{key}={value}" for key, value in request.args.items() if not key.startswith("sysparm_")]
        query = "^".join(pairs)
    return instance.find(table, query)


def _page(found: list[Row]) -> tuple[list[Row], dict[str, str]]:
    """One page of the rows, and the headers that tell of the others."""
    limit = _number("sysparm_limit", DEFAULT_LIMIT)
    offset = _number("sysparm_offset", 0)
    headers = {} if _asked("sysparm_no_count") else {"X-Total-Count": str(len(found))}
    if not _asked("sysparm_suppress_pagination_header"):
        places = {"first": 0, "last": (len(found) - 1) // limit * limit if found and limit else 0}
        if offset + limit < len(found):
            places["next"] = offset + limit
        if offset > 0:
            places["prev"] = max(0, offset - limit)
        headers["Link"] = ",".join(f'<{_address_at(place, limit)}>;rel="{rel}"' for rel, place in places.items())
    return found[offset : offset + limit], headers


def _address_at(offset: int, limit: int) -> str:
    args = {**request.args.to_dict(), "sysparm_limit": str(limit), "sysparm_offset": str(offset)}
    return f"{_base()}{request.path}?{urlencode(args)}"


def _number(name: str, default: int) -> int:
    given = request.args.get(name, "")
    return int(given) if given.isdigit() else default


def _asked(name: str) -> bool:
    return request.args.get(name, "").lower() == "true"


def _base() -> str:
    return request.host_url.rstrip("/")


def _body() -> dict[str, str]:
    """The columns of a JSON body as texts. Only one record per call: of a list the first counts (KB0534905)."""
    if "json" not in (request.content_type or "application/json"):
        raise Refused(415, "Unsupported media type", f"{request.content_type} is not supported")
    try:
        body = orjson.loads(request.get_data() or b"{}")
    except orjson.JSONDecodeError as wrong:
        raise Refused(400, "Exception while reading request", f"The payload is not valid JSON: {wrong}") from wrong
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        raise Refused(400, "Exception while reading request", "The payload is not a JSON object")
    return {str(key): _text(value) for key, value in body.items()}


def _text(value: object) -> str:
    """Every value is a string in the database."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else orjson.dumps(value).decode()
