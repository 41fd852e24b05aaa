"""Alerts of Jira Service Management operations: every write is taken with 202 and carried out a little later.

https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/api-group-alerts/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from flask import Blueprint, request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Clock, Json, reply, stable_id
from tocsin.simulators.jira.calls import body, number, texts
from tocsin.simulators.jira.people import Account

MAX_MESSAGE, MAX_ALIAS, MAX_DESCRIPTION = 130, 512, 15_000
UNPROCESSABLE = "Request body is not processable. Please check the errors."
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")


@dataclass(slots=True, kw_only=True)
class Alert:
    id: str
    tiny_id: str
    alias: str
    message: str
    description: str
    priority: str
    entity: str
    source: str
    tags: list[str]
    details: Json
    responders: list[Json]
    created: datetime
    updated: datetime
    status: str = "open"
    acknowledged: bool = False
    owner: str = ""
    count: int = 1
    notes: list[Json] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A write that was accepted. `result` is there once it was carried out."""

    id: str
    action: str
    due: datetime
    work: Callable[[], tuple[bool, str, Alert | None]]
    result: Json | None = None


class Alerts:
    """The operations API of one site. `lag_s`: so long after its 202 a write is carried out."""

    def __init__(self, clock: Clock, *, cloud_id: str, lag_s: float, let_in: Callable[[], Account | None]) -> None:
        self._clock = clock
        self._cloud_id = cloud_id
        self._lag = timedelta(seconds=lag_s)
        self._let_in = let_in
        self.reset()

    def reset(self) -> None:
        """No alerts."""
        self.alerts: list[Alert] = []
        self._requests: dict[str, Waiting] = {}

    def state(self) -> list[Json]:
        """All alerts, oldest first."""
        self._catch_up()
        return [asdict(one) for one in self.alerts]

    def blueprint(self) -> Blueprint:
        """The routes under /jsm/ops/api/{cloudId}/v1."""
        api = Blueprint("ops", __name__, url_prefix="/jsm/ops/api/<cloud_id>/v1")

        @api.before_request
        def enter() -> Response | None:
            if (request.view_args or {}).pop("cloud_id", "") != self._cloud_id:
                return _refused(404, "No site with this cloud id")
            if self._let_in() is None:
                return _refused(401, "Unauthorized")
            self._catch_up()
            return None

        for method, rule, view in (
            ("POST", "/alerts", self.create),
            ("GET", "/alerts", self.listed),
            ("GET", "/alerts/alias", self.by_alias),
            ("GET", "/alerts/requests/<request_id>", self.request_status),
            ("GET", "/alerts/<alert_id>", self.read),
            ("POST", "/alerts/<alert_id>/<any('close','acknowledge'):action>", self.act),
            ("GET", "/alerts/<alert_id>/notes", self.notes),
            ("POST", "/alerts/<alert_id>/notes", self.note),
            ("PATCH", "/alerts/<alert_id>/priority", self.prioritize),
        ):
            api.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
        return api

    # -- reads ---------------------------------------------------------------------------------------------------

    def listed(self) -> Response:
        found = [one for one in self.alerts if _matches(request.args.get("query", ""), one)]
        if request.args.get("order", "desc") == "desc":
            found.reverse()
        start, size = number(request.args.get("offset"), 0), number(request.args.get("size"), 20)
        shown = [_shown(one) for one in found[start : start + size]]
        return reply({"values": shown, "links": {}, "count": len(found)})

    def by_alias(self) -> Response:
        found = self._open(request.args.get("alias", ""))
        return reply(_shown(found)) if found else _refused(404, "Alert not found.")

    def read(self, alert_id: str) -> Response:
        found = self._alert(alert_id)
        return reply(_shown(found)) if found else _refused(404, "Alert not found.")

    def notes(self, alert_id: str) -> Response:
        found = self._alert(alert_id)
        if found is None:
            return _refused(404, "Alert not found.")
        return reply({"values": found.notes[::-1], "links": {}})

    def request_status(self, request_id: str) -> Response:
        found = self._requests.get(request_id)
        if found is None or found.result is None:
            return _refused(404, "Request not found. It might not be processed, yet.")
        return reply(found.result)

    # -- writes --------------------------------------------------------------------------------------------------

    def create(self) -> Response:
        given = body()
        wrong = {}
        if not str(given.get("message") or "").strip():
            wrong["message"] = "Message can not be empty."
        if len(str(given.get("alias") or "")) > MAX_ALIAS:
            wrong["alias"] = f"Alias can not be longer than {MAX_ALIAS} characters."
        if given.get("priority", "P3") not in PRIORITIES:
            wrong["priority"] = f"Priority must be one of {', '.join(PRIORITIES)}."
        if wrong:
            return _refused(422, UNPROCESSABLE, wrong)
        return self._accept("Create", lambda: self._created(given))

    def _created(self, given: Mapping[str, object]) -> tuple[bool, str, Alert | None]:
        now, name = self._clock(), str(len(self.alerts) + 1)
        alias = str(given.get("alias") or "") or stable_id("alias", name)
        known = self._open(alias)
        if known is not None:
            known.count += 1
            known.updated = now
            return True, "Existing alert is updated", known
        details, responders = given.get("extraProperties"), given.get("responders")
        made = Alert(
            id=f"{stable_id('alert', name, length=36)}-{int(now.timestamp() * 1000)}",
            tiny_id=name,
            alias=alias,
            message=str(given.get("message"))[:MAX_MESSAGE],
            description=str(given.get("description") or "")[:MAX_DESCRIPTION],
            priority=str(given.get("priority") or "P3"),
            entity=str(given.get("entity") or ""),
            source=str(given.get("source") or ""),
            tags=texts(given.get("tags")),
            details=dict(details) if isinstance(details, dict) else {},
            responders=[dict(one) for one in responders] if isinstance(responders, list) else [],
            created=now,
            updated=now,
        )
        self.alerts.append(made)
        return True, "Created alert", made

    def act(self, alert_id: str, action: str) -> Response:
        who = self._let_in()

        def work() -> tuple[bool, str, Alert | None]:
            found = self._alert(alert_id)
            if found is None:
                return False, "Alert does not exist", None
            if action == "close":
                found.status = "closed"
            elif found.status == "open":
                found.acknowledged, found.owner = True, who.login if who else ""
            found.updated = self._clock()
            return True, f"{action.capitalize()}d alert", found

        return self._accept(action.capitalize(), work)

    def note(self, alert_id: str) -> Response:
        text, who = str(body().get("note") or ""), self._let_in()
        if not text:
            return _refused(422, UNPROCESSABLE, {"note": "is empty"})

        def work() -> tuple[bool, str, Alert | None]:
            found = self._alert(alert_id)
            if found is None:
                return False, "Alert does not exist", None
            at = self._clock()
            note_id, owner = str(len(found.notes) + 1), who.login if who else ""
            found.notes.append({"id": note_id, "note": text, "createdAt": _wire(at), "owner": owner})
            return True, "Added note to alert", found

        return self._accept("AddNote", work)

    def prioritize(self, alert_id: str) -> Response:
        asked = str(body().get("priority"))
        if asked not in PRIORITIES:
            return _refused(422, UNPROCESSABLE, {"priority": "is unknown"})

        def work() -> tuple[bool, str, Alert | None]:
            found = self._alert(alert_id)
            if found is None:
                return False, "Alert does not exist", None
            found.priority = asked
            return True, "Updated priority of alert", found

        return self._accept("UpdatePriority", work)

    def _accept(self, action: str, work: Callable[[], tuple[bool, str, Alert | None]]) -> Response:
        request_id = stable_id("request", len(self._requests) + 1)
        self._requests[request_id] = Waiting(id=request_id, action=action, due=self._clock() + self._lag, work=work)
        self._catch_up()
        return reply({"result": "Request will be processed", "requestId": request_id, "took": 0.004}, 202)

    def _catch_up(self) -> None:
        now = self._clock()
        for waiting in self._requests.values():
            if waiting.result is None and waiting.due <= now:
                success, words, alert = waiting.work()
                waiting.result = {
                    "success": success,
                    "action": waiting.action,
                    "processedAt": _wire(now),
                    "integrationId": stable_id("integration"),
                    "isSuccess": success,
                    "status": words,
                    "alertId": alert.id if alert else "",
                    "alias": alert.alias if alert else "",
                }

    def _open(self, alias: str) -> Alert | None:
        return next((one for one in self.alerts if one.alias == alias and one.status == "open"), None)

    def _alert(self, alert_id: str) -> Alert | None:
        return next((one for one in self.alerts if one.id == alert_id), None)


def _shown(one: Alert) -> Json:
    return {
        "id": one.id,
        "tinyId": one.tiny_id,
        "alias": one.alias,
        "message": one.message,
        "description": one.description,
        "status": one.status,
        "acknowledged": one.acknowledged,
        "snoozed": False,
        "seen": one.acknowledged,
        "priority": one.priority,
        "entity": one.entity,
        "source": one.source,
        "tags": one.tags,
        "extraProperties": one.details,
        "responders": one.responders,
        "owner": one.owner,
        "count": one.count,
        "actions": [],
        "createdAt": _wire(one.created),
        "updatedAt": _wire(one.updated),
    }


def _matches(query: str, one: Alert) -> bool:
    """`alias:"x" AND status:open`: only these two fields are known here."""
    found = re.findall(r"(alias|status)\s*:\s*\"?([^\"\s]+)\"?", query)
    held = {"alias": one.alias, "status": one.status}
    return all(held[name] == value for name, value in found)


def _wire(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _refused(status: int, message: str, errors: Mapping[str, str] | None = None) -> Response:
    told: Json = {"message": message, "took": 0.001, "requestId": stable_id("refused", message)}
    return reply(told | {"errors": dict(errors)} if errors else told, status)
