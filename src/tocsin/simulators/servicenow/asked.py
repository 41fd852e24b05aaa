"""What does a call of the REST API ask for: which rows, which page, which view, which values?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson
from flask import request

from tocsin.simulators.servicenow.instance import IS_SYS_ID, Instance, Row
from tocsin.simulators.servicenow.shown import View

if TYPE_CHECKING:
    from tocsin.simulators.answers import Json

DEFAULT_LIMIT = 10_000
NO_RECORD = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")


class Refused(Exception):
    """The call is answered with this status and the platform's error body."""

    def __init__(self, status: int, message: str, detail: str | None = None) -> None:
        self.status = status
        self.body: Json = {"error": {"message": message, "detail": detail}, "status": "failure"}
        super().__init__(message)


def base() -> str:
    """The address of the instance, without a slash at the end."""
    return request.host_url.rstrip("/")


def flag(name: str) -> bool:
    """Whether a boolean parameter of the call is true."""
    return request.args.get(name, "").lower() == "true"


def view() -> View:
    """How the rows of the answer shall look. `sysparm_view` names a form's view, which here has all columns."""
    fields = tuple(name.strip() for name in request.args.get("sysparm_fields", "").split(",") if name.strip())
    return View(
        display_value=request.args.get("sysparm_display_value", "false").lower(),
        fields=fields,
        exclude_reference_link=flag("sysparm_exclude_reference_link"),
        base_url=base(),
    )


def encoded_query() -> str:
    """`sysparm_query`, or else the name-value pairs of the call as a query."""
    query = request.args.get("sysparm_query")
    if query is not None:
        return query
    return "^".join(f"{key}={value}" for key, value in request.args.items() if not key.startswith("sysparm_"))


def page(found: list[Row]) -> tuple[list[Row], dict[str, str]]:
    """One page of the rows, and the headers that tell of the others."""
    limit = _number("sysparm_limit", DEFAULT_LIMIT)
    offset = _number("sysparm_offset", 0)
    headers = {} if flag("sysparm_no_count") else {"X-Total-Count": str(len(found))}
    if not flag("sysparm_suppress_pagination_header"):
        places = {"first": 0, "last": (len(found) - 1) // limit * limit if found and limit else 0}
        if offset + limit < len(found):
            places["next"] = offset + limit
        if offset > 0:
            places["prev"] = max(0, offset - limit)
        headers["Link"] = ",".join(f'<{_address_at(place, limit)}>;rel="{rel}"' for rel, place in places.items())
    return found[offset : offset + limit], headers


def values(instance: Instance, table: str) -> dict[str, str]:
    """The columns of the body that may be written: references by sys_id, or by name where the call says so."""
    given = one_object()
    by_name = flag("sysparm_input_display_value")
    for column, target in instance.table(table).references.items():
        value = given.get(column)
        if value and not IS_SYS_ID.fullmatch(value):
            # Neither a sys_id nor allowed to be a name: the column stays empty.
            given[column] = instance.id_of(target, value) if by_name else ""
    return given


def one_object() -> dict[str, str]:
    """A JSON body's values as texts. Only one record per call: of a list the first counts (KB0534905)."""
    given = body()
    if isinstance(given, list) and given:
        given = given[0]
    if not isinstance(given, dict):
        raise Refused(400, "Exception while reading request", "The payload is not a JSON object")
    return {str(key): text(value) for key, value in given.items()}


def body() -> object:
    """The JSON body. Refused: 415 for another type, 400 for what cannot be read."""
    if "json" not in (request.content_type or "application/json"):
        raise Refused(415, "Unsupported media type", f"{request.content_type} is not supported")
    try:
        found: object = orjson.loads(request.get_data() or b"{}")
    except orjson.JSONDecodeError as wrong:
        raise Refused(400, "Exception while reading request", f"The payload is not valid JSON: {wrong}") from wrong
    return found


def text(value: object) -> str:
    """A value as the database keeps it: every one is a string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _address_at(offset: int, limit: int) -> str:
    args = {**request.args.to_dict(), "sysparm_limit": str(limit), "sysparm_offset": str(offset)}
    return f"{base()}{request.path}?{urlencode(args)}"


def _number(name: str, default: int) -> int:
    given = request.args.get(name, "")
    return int(given) if re.fullmatch(r"\d{1,9}", given) else default
