"""All REST APIs of a ServiceNow instance, on their addresses, with the headers and errors that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tocsin.simulators.answers import html, reply, stable_id
from tocsin.simulators.servicenow.asked import Refused
from tocsin.simulators.servicenow.attachment_api import Attachments
from tocsin.simulators.servicenow.batch_api import IN_A_BATCH, Batches
from tocsin.simulators.servicenow.door import Door
from tocsin.simulators.servicenow.event_api import Events
from tocsin.simulators.servicenow.import_api import Imports
from tocsin.simulators.servicenow.instance import NoTable
from tocsin.simulators.servicenow.limits import Limits
from tocsin.simulators.servicenow.rules import Aborted
from tocsin.simulators.servicenow.table_api import InstanceNow, Tables

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIXES = ("/api/now/v1", "/api/now/v2", "/api/now")
MAX_ADDRESS = 16_000
"""Characters of an address, beyond which the web server before the instance refuses it with a page of its own
(unverified figure; official clients put longer queries into a batch from 10,000 on)."""

HIBERNATING = (
    "<html><head><title>Instance Hibernating page</title></head><body>Your instance is hibernating.</body></html>"
)
LOGIN = '<html><head><title>Log in | ServiceNow</title></head><body><form action="login.do"></form></body></html>'
TOO_LONG = "<html><head><title>414 Request-URI Too Large</title></head><body>414 Request-URI Too Large</body></html>"


def blueprint(instance: InstanceNow, door: Door) -> Blueprint:
    """The API's routes on `instance()`, which a reset may exchange."""
    api = Blueprint("api", __name__)
    for number, (rule, view, methods) in enumerate(_routes(instance)):
        api.add_url_rule(rule, f"route{number}", view, methods=methods)
    api.add_url_rule("/oauth_token.do", "token", lambda: door.token(request), methods=["POST"])
    _guard(api, instance, door)
    api.register_error_handler(Refused, lambda refused: reply(refused.body, refused.status))
    api.register_error_handler(Aborted, lambda no: reply(Refused(403, no.message, no.detail).body, 403))
    api.register_error_handler(NoTable, lambda no: reply(Refused(400, f"Invalid table {no}").body, 400))
    api.app_errorhandler(HTTPException)(_elsewhere)
    return api


def _guard(api: Blueprint, instance: InstanceNow, door: Door) -> None:
    """What every call passes on its way in, and what every answer carries."""
    limits = Limits(instance)

    @api.before_app_request
    def enter() -> Response | None:
        if not request.path.startswith("/api/"):
            return None
        if instance().setting("tocsin.simulator.hibernates") == "true":
            return html(HIBERNATING)
        if len(request.full_path) > MAX_ADDRESS and IN_A_BATCH not in request.environ:
            return html(TOO_LONG, 414)
        return door.refused(request) or limits.refused(request)

    @api.after_app_request
    def sign(answer: Response) -> Response:
        if not request.path.startswith("/api/"):
            return answer
        answer.headers["Server"] = "ServiceNow"
        answer.headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
        answer.headers["X-Transaction-ID"] = stable_id(request.path, instance().now(), length=12)
        if answer.content_length or answer.status_code == 200:
            answer.headers["Pragma"] = "no-store,no-cache"
            answer.headers["Cache-control"] = "no-cache,no-store,must-revalidate,max-age=-1"
            answer.headers["Expires"] = "0"
        if answer.status_code != 401:
            answer.headers["X-Is-Logged-In"] = "true"
            door.give_cookies(request, answer)
        answer.headers.update(limits.told(request))
        return answer


def _elsewhere(error: HTTPException) -> Response:
    """Unknown addresses answer 400, known ones with another method 405 (r_RESTAPIHTTPResponseCodes)."""
    if not request.path.startswith("/api/"):
        return reply({"error": error.description}, error.code or 500)
    if error.code == 404:
        return reply(Refused(400, "Requested URI does not represent any resource").body, 400)
    return reply(Refused(405, "Method not supported").body, error.code or 500)


def _routes(instance: InstanceNow) -> list[tuple[str, Callable[..., Response], list[str]]]:
    tables, files, imports = Tables(instance), Attachments(instance), Imports(instance)
    batches = Batches(instance, lambda: current_app.wsgi_app)
    versioned: list[tuple[str, Callable[..., Response], list[str]]] = [
        ("/table/<table>", tables.collection, ["GET", "POST"]),
        ("/table/<table>/<sys_id>", tables.record, ["GET", "PATCH", "PUT", "DELETE"]),
        ("/stats/<table>", tables.statistics, ["GET"]),
        ("/attachment", files.listed, ["GET"]),
        ("/attachment/file", files.upload, ["POST"]),
        ("/attachment/upload", files.upload_form, ["POST"]),
        ("/attachment/<sys_id>", files.record, ["GET", "DELETE"]),
        ("/attachment/<sys_id>/file", files.content, ["GET"]),
        ("/import/<staging>", imports.insert, ["POST"]),
        ("/import/<staging>/insertMultiple", imports.insert_multiple, ["POST"]),
        ("/import/<staging>/<sys_id>", imports.read, ["GET"]),
        ("/batch", batches.run, ["POST"]),
    ]
    return [
        *((prefix + rule, view, methods) for prefix in PREFIXES for rule, view, methods in versioned),
        ("/api/sn_chg_rest/v1/change", tables.changes, ["GET"]),
        ("/api/sn_chg_rest/change", tables.changes, ["GET"]),
        ("/api/global/em/jsonv2", Events(instance).insert, ["POST"]),
    ]
