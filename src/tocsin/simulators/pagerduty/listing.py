"""How the REST API refuses, pages through lists and reads bodies (docs REST-API/09-Pagination and 14-Errors)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson
from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.pagerduty.account import Account
from tocsin.simulators.pagerduty.resource import Resources

MAX_PAGE, MAX_REACH = 100, 10_000


class Refused(Exception):
    """Answered with this HTTP status and PagerDuty's error object."""

    def __init__(self, status: int, code: int, message: str, *errors: str) -> None:
        self.status = status
        error: Json = {"message": message, "code": code}
        self.body = {"error": error | {"errors": list(errors)} if errors else error}
        super().__init__(message)


def not_found() -> Refused:
    """404, code 2100."""
    return Refused(404, 2100, "Not Found")


def arguments(*errors: str) -> Refused:
    """400, code 2001."""
    return Refused(400, 2001, "Invalid Input Provided", *errors)


@dataclass(frozen=True, slots=True)
class Ask:
    """The account that a request is about, and how it is shown."""

    account_now: Callable[[], Account]
    base_url: Callable[[], str]

    @property
    def account(self) -> Account:
        return self.account_now()

    @property
    def shown(self) -> Resources:
        return Resources(self.account, self.base_url())


def page(name: str, found: list[Json]) -> Response:
    """One page of a list: classic pagination."""
    limit = min(_number("limit", 25), MAX_PAGE)
    offset = _number("offset", 0)
    if offset + limit > MAX_REACH:
        raise arguments(f"Offset plus limit must not exceed {MAX_REACH}")
    more = offset + limit < len(found)
    total = len(found) if request.args.get("total", "").lower() == "true" else None
    return reply({name: found[offset : offset + limit], "limit": limit, "offset": offset, "more": more, "total": total})


def _number(name: str, default: int) -> int:
    given = request.args.get(name, "")
    return int(given) if given.isdigit() else default


def inner(name: str) -> Json:
    """The object `name` of the body."""
    found = _body().get(name)
    if not isinstance(found, dict):
        raise Refused(400, 2003, "Missing Arguments", f"'{name}' is missing")
    return found


def inner_list(name: str) -> list[Json]:
    """The list of objects `name` of the body."""
    found = _body().get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Refused(400, 2003, "Missing Arguments", f"'{name}' is missing")
    return found


def _body() -> Json:
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError as wrong:
        raise arguments("The body is not valid JSON") from wrong
    return body if isinstance(body, dict) else {}


def sender(account: Account) -> str:
    """The user of the From header, which every write must carry."""
    given = request.headers.get("From", "")
    if "@" not in given:
        raise arguments("The From header must be the email address of a valid user")
    user = account.user(given)
    if user is None:
        raise Refused(400, 1008, "Requester User Not Found")
    return user.email
