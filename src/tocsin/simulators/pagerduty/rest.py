"""The REST API v2 of PagerDuty, as far as an integration needs it (docs REST-API; rest.openapi.json)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import orjson
from flask import Blueprint, request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.front import INDEX_LAG
from tocsin.simulators.pagerduty.account import Account, Incident, Service, Status
from tocsin.simulators.pagerduty.resource import Resources

PER_MINUTE = 960
MAX_PAGE, MAX_REACH = 100, 10_000
RATE_HEADERS = {"ratelimit-limit": str(PER_MINUTE), "ratelimit-remaining": str(PER_MINUTE - 1), "ratelimit-reset": "60"}
STATUSES: tuple[Status, ...] = ("triggered", "acknowledged", "resolved")
MAX_NOTES = 2000


class Refused(Exception):
    """Answered with this HTTP status and PagerDuty's error object (docs REST-API/14-Errors)."""

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


def blueprint(account: Callable[[], Account], *, token: str, base_url: Callable[[], str]) -> Blueprint:
    """The routes of the REST API on `account()`; `token` is the API key that lets in."""
    api = Blueprint("rest", __name__)
    rest = _Rest(account, base_url)
    for rule, view, method in (
        ("/abilities", lambda: reply({"abilities": ["teams", "event_rules", "urgencies"]}), "GET"),
        ("/incidents", rest.incidents, "GET"),
        ("/incidents", rest.create, "POST"),
        ("/incidents/<key>", rest.incident, "GET"),
        ("/incidents/<key>", rest.update, "PUT"),
        ("/incidents/<key>/notes", rest.notes, "GET"),
        ("/incidents/<key>/notes", rest.annotate, "POST"),
        ("/incidents/<key>/alerts", rest.alerts, "GET"),
        ("/incidents/<key>/log_entries", rest.log_entries, "GET"),
        ("/incidents/<key>/related_change_events", rest.related_changes, "GET"),
        ("/priorities", rest.priorities, "GET"),
        ("/services", rest.services, "GET"),
        ("/services/<key>", rest.service, "GET"),
        ("/services/<key>/change_events", rest.changes, "GET"),
    ):
        api.add_url_rule(rule, f"{method} {rule}".replace(".", "_"), view, methods=[method])

    @api.before_request
    def enter() -> Response | None:
        given = request.headers.get("Authorization", "")
        for scheme in ("Token token=", "Bearer "):
            if given.startswith(scheme) and hmac.compare_digest(given.removeprefix(scheme).encode(), token.encode()):
                return None
        return reply({"error": {"message": "Authentication failed", "code": 2006}}, 401)

    @api.after_request
    def sign(answer: Response) -> Response:
        answer.headers.extend(RATE_HEADERS)
        return answer

    api.register_error_handler(Refused, lambda refused: reply(refused.body, refused.status))
    return api


class _Rest:
    def __init__(self, account: Callable[[], Account], base_url: Callable[[], str]) -> None:
        self._account = account
        self._base_url = base_url

    @property
    def _shown(self) -> Resources:
        return Resources(self._base_url())

    # -- incidents -----------------------------------------------------------------------------------------------

    def incidents(self) -> Response:
        lag = timedelta(seconds=float(request.environ.get(INDEX_LAG, 0)))
        now = self._account().clock()
        since, until = _span(now)
        wanted = request.args.getlist("statuses[]") or request.args.getlist("statuses")
        if set(wanted) - set(STATUSES):
            raise Refused(400, 1003, "Invalid Status Provided")
        key = request.args.get("incident_key")
        services = request.args.getlist("service_ids[]")
        urgencies = request.args.getlist("urgencies[]")
        found = [
            one
            for one in self._account().incidents
            if since <= one.created_at <= until
            and one.created_at <= now - lag
            and (not wanted or one.status in wanted)
            and (key is None or one.key == key)
            and (not services or one.service.id in services)
            and (not urgencies or one.urgency in urgencies)
        ]
        if request.args.get("sort_by", "").endswith(":desc"):
            found.reverse()
        return self._page("incidents", [self._shown.incident(one) for one in found])

    def incident(self, key: str) -> Response:
        return reply({"incident": self._shown.incident(self._incident(key))})

    def create(self) -> Response:
        body = _inner("incident")
        _sender()
        service = self._service_of(body)
        if not body.get("title"):
            raise arguments("Title cannot be empty")
        key = str(body.get("incident_key") or "")
        taken = any(one.open and one.service is service and one.key == key for one in self._account().incidents)
        if key and taken:
            text = "Open incident with matching dedup key already exists on this service"
            raise Refused(400, 2002, "Arguments Caused Error", text)
        made = self._account().open_incident(
            service, key=key, title=str(body["title"]), severity="critical", event={"body": body.get("body") or {}}
        )
        return reply({"incident": self._shown.incident(made)}, 201)

    def update(self, key: str) -> Response:
        incident, body, by = self._incident(key), _inner("incident"), _sender()
        if (status := body.get("status")) is not None:
            self._move(incident, str(status), by, str(body.get("resolution") or ""))
        if (title := body.get("title")) and title != incident.title:
            incident.title = str(title)
            self._account().log(incident, "retitle", incident.title, by=by)
        if "priority" in body:
            self._prioritise(incident, body["priority"], by)
        if body.get("urgency") in ("high", "low"):
            incident.urgency = str(body["urgency"])
        return self.incident(key)

    def _move(self, incident: Incident, status: str, by: str, resolution: str) -> None:
        if status not in STATUSES:
            raise Refused(400, 1003, "Invalid Status Provided")
        if resolution and status != "resolved":
            raise arguments("Resolution can only be given with status resolved")
        if incident.status == status == "resolved":
            raise Refused(400, 1001, "Incident Already Resolved")
        if incident.status == status == "acknowledged":
            raise Refused(400, 1002, "Incident Already Acknowledged")
        self._account().set_status(incident, status, by=by, resolution=resolution)

    def _prioritise(self, incident: Incident, given: object, by: str) -> None:
        chosen = given.get("id") if isinstance(given, dict) else None
        names = {self._shown.priority(name)["id"]: name for name in self._account().priorities}
        if given is not None and chosen not in names:
            raise Refused(400, 1020, "Invalid Priority")
        incident.priority = names.get(chosen, "")
        self._account().log(incident, "priority_change", incident.priority, by=by)

    def notes(self, key: str) -> Response:
        return reply({"notes": [self._shown.note(one) for one in self._incident(key).notes]})

    def annotate(self, key: str) -> Response:
        incident, body, by = self._incident(key), _inner("note"), _sender()
        if not body.get("content"):
            raise arguments("Content cannot be empty")
        if len(incident.notes) >= MAX_NOTES:
            raise Refused(400, 2019, "Product Limit Reached")
        return reply({"note": self._shown.note(self._account().annotate(incident, str(body["content"]), by=by))})

    def alerts(self, key: str) -> Response:
        incident = self._incident(key)
        asked = request.args.get("alert_key")
        found = [] if asked and asked != incident.key else [self._shown.alert(incident)]
        return self._page("alerts", found)

    def log_entries(self, key: str) -> Response:
        incident = self._incident(key)
        return self._page("log_entries", [self._shown.entry(incident, one) for one in reversed(incident.timeline)])

    def related_changes(self, key: str) -> Response:
        incident = self._incident(key)
        found = [one for one in self._account().changes if one.service is incident.service]
        shown = [self._shown.change(one) | {"correlation_reason": {"reason": "most_recent"}} for one in reversed(found)]
        return self._page("change_events", shown)

    # -- the rest of the account ---------------------------------------------------------------------------------

    def priorities(self) -> Response:
        return self._page("priorities", [self._shown.priority(name) for name in self._account().priorities])

    def services(self) -> Response:
        asked = request.args.get("query", "").lower()
        found = [one for one in self._account().services.values() if asked in one.name.lower()]
        return self._page("services", [self._shown.service(one) for one in found])

    def service(self, key: str) -> Response:
        return reply({"service": self._shown.service(self._service(key))})

    def changes(self, key: str) -> Response:
        service = self._service(key)
        found = [one for one in reversed(self._account().changes) if one.service is service]
        return self._page("change_events", [self._shown.change(one) for one in found])

    def _incident(self, key: str) -> Incident:
        found = self._account().incident(key)
        if found is None:
            raise not_found()
        return found

    def _service(self, key: str) -> Service:
        found = next((one for one in self._account().services.values() if one.id == key), None)
        if found is None:
            raise not_found()
        return found

    def _service_of(self, body: Json) -> Service:
        given = body.get("service")
        if not isinstance(given, dict):
            raise arguments("Service cannot be empty")
        return self._service(str(given.get("id")))

    def _page(self, name: str, found: list[Json]) -> Response:
        """Classic pagination (docs REST-API/09-Pagination)."""
        limit = min(_number("limit", 25), MAX_PAGE)
        offset = _number("offset", 0)
        if offset + limit > MAX_REACH:
            raise arguments(f"Offset plus limit must not exceed {MAX_REACH}")
        total = len(found) if request.args.get("total", "").lower() == "true" else None
        more = offset + limit < len(found)
        page = found[offset : offset + limit]
        return reply({name: page, "limit": limit, "offset": offset, "more": more, "total": total})


def _span(now: datetime) -> tuple[datetime, datetime]:
    """The span of creation times that a list covers: a month, unless since and until or date_range=all say else."""
    if request.args.get("date_range") == "all":
        return datetime.min.replace(tzinfo=now.tzinfo), now
    try:
        ends = [datetime.fromisoformat(value) if (value := request.args.get(name)) else None for name in SINCE_UNTIL]
    except ValueError as wrong:
        raise Refused(400, 2004, "Invalid time values in 'since' and/or 'until' parameters") from wrong
    since, until = (one.replace(tzinfo=one.tzinfo or now.tzinfo) if one else None for one in ends)
    return since or now - timedelta(days=30), until or now


SINCE_UNTIL = ("since", "until")


def _inner(name: str) -> Json:
    """The object `name` of the body."""
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError as wrong:
        raise arguments("The body is not valid JSON") from wrong
    inner = body.get(name) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        raise Refused(400, 2003, "Missing Arguments", f"'{name}' is missing")
    return inner


def _sender() -> str:
    """The user of the From header, which every write must carry."""
    sender = request.headers.get("From", "")
    if "@" not in sender:
        raise arguments("The From header must be the email address of a valid user")
    return sender


def _number(name: str, default: int) -> int:
    given = request.args.get(name, "")
    return int(given) if given.isdigit() else default
