"""The Events API v2: is this event valid, and what is answered? (docs events-API-v2/01 to 03)"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from uuid import uuid4

import orjson
from flask import Blueprint, request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.front import LATE
from tocsin.simulators.pagerduty.account import Account
from tocsin.simulators.pagerduty.shape import change_errors, event_errors, key_errors
from tocsin.simulators.pagerduty.things import Service

MAX_BODY = 512 * 1024
"""Bytes (01-Overview, Size Limits)."""


def invalid(*errors: str, message: str = "Event object is invalid") -> Response:
    """The 400 of the Events API."""
    return reply({"status": "invalid event", "message": message, "errors": list(errors)}, 400)


class TooMany:
    """Counts the calls of one routing key over the last 60 seconds (05-Rate-Limits). `per_minute` 0: no limit."""

    def __init__(self, account: Callable[[], Account], per_minute: int) -> None:
        self._account = account
        self._per_minute = per_minute
        self._seen: dict[str, deque[float]] = {}

    def reached(self, routing_key: str) -> bool:
        """Counts this call, or says that it is one too many."""
        if not self._per_minute:
            return False
        now = self._account().clock().timestamp()
        seen = self._seen.setdefault(routing_key, deque())
        while seen and seen[0] <= now - 60:
            seen.popleft()
        if len(seen) >= self._per_minute:
            return True
        seen.append(now)
        return False


def too_many() -> Response:
    """The 429 of the Events API; it names no time to wait."""
    return reply({"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly."}, 429)


def blueprint(account: Callable[[], Account], *, events_per_minute: int) -> Blueprint:
    """The routes of the Events API on `account()`; `events_per_minute` 0 means no limit."""
    api = Blueprint("events", __name__)
    events = _Events(account, TooMany(account, events_per_minute))
    api.add_url_rule("/v2/enqueue", "enqueue", events.enqueue, methods=["POST"])
    api.add_url_rule("/v2/change/enqueue", "change", events.change, methods=["POST"])
    api.register_error_handler(_Refused, lambda refused: refused.answer)
    return api


class _Refused(Exception):
    """The event is not taken; `answer` says so."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        super().__init__(answer.status)


class _Events:
    def __init__(self, account: Callable[[], Account], limit: TooMany) -> None:
        self._account = account
        self._limit = limit

    def enqueue(self) -> Response:
        event = _event()
        service = self._service(event)
        if errors := event_errors(event):
            return invalid(*errors)
        key = str(event.get("dedup_key") or uuid4().hex)
        self._account().accept(
            service, str(event["event_action"]), key, event, late_s=float(request.environ.get(LATE, 0))
        )
        return reply({"status": "success", "message": "Event processed", "dedup_key": key}, 202)

    def change(self) -> Response:
        event = _event()
        service = self._service(event)
        if service.routing_key.startswith("R"):
            return invalid("Change events cannot be sent to ruleset integration keys")
        if errors := change_errors(event):
            return invalid(*errors)
        self._account().change(service, event)
        return reply({"status": "success", "message": "Change event processed"}, 202)

    def _service(self, event: Json) -> Service:
        """The service that the event's routing key leads to."""
        if errors := key_errors(event.get("routing_key")):
            raise _Refused(invalid(*errors))
        key = str(event["routing_key"])
        if self._limit.reached(key):
            raise _Refused(too_many())
        service = self._account().service(key)
        if service is None:
            # Seen in robusta-dev/robusta#571 as "400, Bad Request, Invalid routing key".
            raise _Refused(invalid("Invalid routing key", message="Invalid routing key"))
        return service


def _event() -> Json:
    """The body as an object, or the refusal: too large, or no JSON object."""
    raw = request.get_data()
    if len(raw) > MAX_BODY:
        text = "Event exceeds the maximum size of 512 KB"
        raise _Refused(reply({"status": "invalid event", "message": text}, 413))
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict):
        raise _Refused(invalid("JSON object could not be parsed", message="Event object format is unrecognized"))
    return event
