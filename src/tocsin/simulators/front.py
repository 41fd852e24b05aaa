"""The door of every simulator: faults strike here, calls are logged here, and `/__…` steers it.

    POST   /__faults   plan a fault (faults.py)         GET /__faults   what is still planned
    DELETE /__faults   forget all plans                 POST /__person  a person edits a record (servicenow)
    GET    /__calls    {"count": n, "calls": [...]}, filters ?method=POST&path=<regex>
    GET    /__state    all records as JSON
    POST   /__seed     add records, in the form of --seed; answers their ids
    POST   /__reset    back to the first seed; faults and calls are forgotten

Only API calls are struck and logged, so that a person who looks at the web pages disturbs nothing.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import orjson
from werkzeug.wrappers import Request, Response

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Json, reply, utc_now
from tocsin.simulators.faults import BEFORE_THE_WORK, FaultKind, Plan, Plans, without

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

INDEX_LAG = "tocsin.index_lag_s"
"""Key of the WSGI environment under which a planned index lag reaches the simulator."""


LATE = "tocsin.late_s"
"""The same for work that is carried out later than it is answered."""


class Simulator(Protocol):
    """One vendor: its web application, its memory, and how it words a refusal."""

    @property
    def app(self) -> WSGIApplication: ...

    def is_api(self, path: str) -> bool:
        """Whether `path` belongs to the vendor's API (and not to the pages for people)."""

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds records and answers their ids; BadPayload when they do not fit."""

    def reset(self) -> None:
        """Forgets everything but the first seed."""

    def state(self) -> Json:
        """Every record."""

    def refusal(self, plan: Plan, path: str) -> Response:
        """The answer of this vendor to a call that `plan` struck."""


@runtime_checkable
class Peopled(Protocol):
    """A simulator in which somebody else works on the records, too."""

    def person(self, body: Mapping[str, object]) -> Json:
        """Does what a person does and answers the record; BadPayload when it cannot be done."""


class Dropped(ConnectionAbortedError):
    """Raised through the server, which then ends this connection without an answer."""


class Front:
    """A WSGI application around one simulator. Calls are worked off one at a time; only waiting is parallel."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.plans = Plans()
        self.calls: list[Json] = []
        self.stopping = threading.Event()
        self._lock = threading.RLock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", "/"))
        # The body is read in full before anything answers: closing a socket with unread bytes resets the connection,
        # and the caller would see neither the 413 nor the 403.
        raw = Request(environ).get_data(cache=False)
        if path.startswith("/__"):
            return self._steer(environ, path, raw)(environ, start_response)
        if not self.simulator.is_api(path):
            return self._work(environ, raw)(environ, start_response)
        return self._call(environ, path, raw)(environ, start_response)

    def _call(self, environ: WSGIEnvironment, path: str, raw: bytes) -> Response:
        method = str(environ["REQUEST_METHOD"])
        started = time.monotonic()
        with self._lock:
            plan = self.plans.striking(method, path)
            call: Json = {
                "n": len(self.calls) + 1,
                "method": method,
                "path": path,
                "query": str(environ.get("QUERY_STRING", "")),
                "status": None,
                "fault": plan.kind if plan else None,
                "at": utc_now().isoformat(),
            }
            self.calls.append(call)
        answer = self._struck(plan, environ, path, raw) if plan else self._work(environ, raw)
        call.update(status=answer.status_code, ms=round((time.monotonic() - started) * 1000, 1))
        return answer

    def _struck(self, plan: Plan, environ: WSGIEnvironment, path: str, raw: bytes) -> Response:
        if plan.kind is FaultKind.DROP_BEFORE_COMMIT:
            raise _hung_up(environ)
        if plan.kind in BEFORE_THE_WORK:
            return self.simulator.refusal(plan, path)
        if plan.kind is FaultKind.SLOW_COMMIT:
            self.stopping.wait(plan.after_s)
        if plan.kind is FaultKind.PERSON_EDITS:
            self.person(plan.edit)
        if plan.kind is FaultKind.SILENT_FIELD_DROP:
            raw = without(raw, plan.fields)
        if plan.kind is FaultKind.INDEX_LAG:
            environ[INDEX_LAG] = plan.after_s
        if plan.kind is FaultKind.LATE:
            environ[LATE] = plan.after_s
        answer = self._work(environ, raw)
        if plan.kind is FaultKind.COMMIT_THEN_DROP:
            raise _hung_up(environ)
        if plan.kind is FaultKind.SLOW:
            self.stopping.wait(plan.after_s)
        return self.simulator.refusal(plan, path) if plan.kind is FaultKind.SERVER_ERROR_AFTER else answer

    def _work(self, environ: WSGIEnvironment, raw: bytes) -> Response:
        environ["wsgi.input"] = io.BytesIO(raw)
        environ["wsgi.input_terminated"] = False
        environ["CONTENT_LENGTH"] = str(len(raw))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        with self._lock:
            return Response.from_app(self.simulator.app, environ, buffered=True)

    def _steer(self, environ: WSGIEnvironment, path: str, raw: bytes) -> Response:
        request = Request(environ)
        try:
            with self._lock:
                return self._steered(f"{request.method} {path}", request.args, raw)
        except (BadPayload, orjson.JSONDecodeError) as wrong:
            return reply({"error": str(wrong)}, 400)

    def _steered(self, asked: str, args: Mapping[str, str], raw: bytes) -> Response:
        if asked == "POST /__faults":
            return reply(self.plans.add(_object(raw)).shown(), 201)
        if asked == "GET /__faults":
            return reply({"faults": [plan.shown() for plan in self.plans.plans]})
        if asked == "DELETE /__faults":
            self.plans.clear()
            return reply(None, 204)
        if asked == "GET /__calls":
            return reply(self._logged(args))
        if asked == "GET /__state":
            return reply(self.simulator.state())
        if asked == "POST /__seed":
            return reply(self.simulator.seed(_object(raw)), 201)
        if asked == "POST /__person":
            return reply(self.person(_object(raw)))
        if asked == "POST /__reset":
            self.reset()
            return reply(None, 204)
        return reply({"error": f"{asked}: no such control; see tocsin.simulators.front"}, 404)

    def _logged(self, args: Mapping[str, str]) -> Json:
        pattern = re.compile(args.get("path", ""))
        method = args.get("method", "").upper()
        calls = [
            call
            for call in self.calls
            if pattern.search(str(call["path"])) and (not method or call["method"] == method)
        ]
        return {"count": len(calls), "calls": calls}

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds records; answers their ids. BadPayload when they do not fit."""
        with self._lock:
            return self.simulator.seed(records)

    def person(self, body: Mapping[str, object]) -> Json:
        """A person's edit; answers the record. BadPayload when it cannot be done, or nobody works in this simulator."""
        if not isinstance(self.simulator, Peopled):
            raise BadPayload("nobody works in this simulator", path="record")
        with self._lock:
            return self.simulator.person(body)

    def state(self) -> Json:
        """Every record."""
        with self._lock:
            return self.simulator.state()

    def reset(self) -> None:
        """Back to the first seed, without plans and without calls."""
        with self._lock:
            self.simulator.reset()
            self.plans.clear()
            self.calls.clear()


def _hung_up(environ: WSGIEnvironment) -> Dropped:
    """Closes the caller's connection; werkzeug alone would keep it open for the next request (HTTP/1.1)."""
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    return Dropped()


def _object(raw: bytes) -> dict[str, object]:
    body = orjson.loads(raw)
    if not isinstance(body, dict):
        raise BadPayload("must be a JSON object")
    return body
