"""What befalls a worker's calls on their way: faults of the vendor, lost and late requests, death and standstill.

Faults are the simulator's own where it knows them (they travel in a header of the request); what the wire itself does
(a refused connection, an answer past the timeout, a request that lands late) is done here, around requests' sending.
Death and standstill strike around a whole call of the product's HTTP client, so that its deadline can notice a
standstill, as it does after a SIGSTOP. All of it hangs on the calling thread: product code is not changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

import orjson
import requests
from sqlalchemy import Connection, text

from benchmarks.chaos.clock import Clock
from benchmarks.chaos.desks.desk import FAULT_HEADER, Desk
from benchmarks.chaos.life import LOOK_UP, Life
from benchmarks.chaos.rings import Ring
from benchmarks.chaos.script import LATE, SEARCH, Fault, Outage
from tocsin.connectors import _http
from tocsin.domain.record import Outcome, Record
from tocsin.store import records

REFUSING = "127.0.0.1:9"
"""Nothing listens there (discard)."""

HERE = threading.local()
"""`trip`: whose attempt this thread works on."""

Send = Callable[..., requests.Response]


class Killed(BaseException):
    """The worker was killed here: it neither settles nor cleans up."""


class Standstill(Protocol):
    """Holds the calling thread still for so many seconds of the trial."""

    def __call__(self, seconds: float) -> None: ...


@dataclass(slots=True, kw_only=True)
class Late:
    """A request that its caller gave up, and that the vendor gets at `at_s`."""

    at_s: float
    request: requests.PreparedRequest
    life: Life
    key: str
    sent_s: float


@dataclass(slots=True, kw_only=True)
class Trip:
    """One attempt of one worker."""

    life: Life
    wire: Wire
    looked: bool = False
    """It asked for the incidents under its key."""
    seen_at: datetime | None = None
    """When the last such look was answered; None: it failed."""
    rings: list[Ring] = field(default_factory=list)
    """Its triggers."""


@dataclass(slots=True, kw_only=True)
class Wire:
    """Between the workers and one desk."""

    desk: Desk
    clock: Clock
    freeze: Standstill
    late: list[Late] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, life: Life, original: Callable[[], Any], method: str, url: str) -> Any:  # noqa: ANN401 its answer
        """One call of the product's HTTP client, with what happens to its worker around it."""
        if self.desk.role(method, urlsplit(url).path, {}) == LOOK_UP:
            return original()
        life.calls += 1
        self._accident(life, "before")
        answer = original()
        self._accident(life, "after")
        return answer

    def _accident(self, life: Life, when: str) -> None:
        accident = life.accident(when)
        if accident is None:
            return
        life.tell(self.clock.at_s(), f"worker: {accident.kind} {when} call {life.calls} ({accident.seconds:.0f} s)")
        life.befell[accident.kind] += 1
        if accident.kind == "kill":
            raise Killed
        self.freeze(accident.seconds)

    def send(self, life: Life, request: requests.PreparedRequest, original: Send) -> requests.Response:
        """One HTTP request, perhaps with a fault."""
        trip, body = cast("Trip", HERE.trip), _body(request)
        role = self.desk.role(str(request.method), urlsplit(str(request.url)).path, body)
        fault = life.struck(role, self.clock.at_s())
        kind = fault.kind if fault else ""
        life.befell.update({"fault": 1} if fault else {})
        if role == SEARCH:
            trip.looked, trip.seen_at = True, None if fault else self.clock.now()
        elif body.get("event_action") == "trigger":
            self._rings(trip, _key(life, request), body)
        try:
            answer = self._pass_on(life, request, original, fault)
        except requests.RequestException as error:
            life.tell(self.clock.at_s(), f"{_shown(request)} {kind}: {type(error).__name__}")
            raise
        life.tell(self.clock.at_s(), f"{_shown(request)} {kind}: {answer.status_code}")
        return answer

    def _rings(self, trip: Trip, key: str, event: Mapping[str, Any]) -> None:
        ring = Ring(
            key=key,
            place=str(event["routing_key"]),
            severity=str(event["payload"]["severity"]),
            sent_at=self.clock.now(),
            looked=trip.looked,
            seen_at=trip.seen_at,
        )
        trip.rings.append(ring)
        trip.life.rings.append(ring)

    def _pass_on(
        self, life: Life, request: requests.PreparedRequest, original: Send, fault: Fault | Outage | None
    ) -> requests.Response:
        kind = fault.kind if fault else ""
        if kind == "unreachable":
            request.url = urlunsplit(urlsplit(str(request.url))._replace(netloc=REFUSING))
        elif kind == "query_ignored":
            request.url = _without_query(str(request.url))
        elif kind == LATE:
            self._later(life, request, fault)
            raise requests.ReadTimeout("the vendor did not answer in time")
        elif kind == "timeout_after":
            original(request).close()
            raise requests.ReadTimeout("the vendor did not answer in time")
        elif kind:
            after_s, status = (fault.after_s, fault.status) if isinstance(fault, Fault) else (30.0, 503)
            named = {"refused": "business_rule_abort"}.get(kind, kind)
            request.headers[FAULT_HEADER] = f"{named} {after_s:.0f} {status}"
        elif life.script.index_lag_s:
            request.headers[FAULT_HEADER] = f"index_lag {life.script.index_lag_s:.0f} 503"
        return original(request)

    def _later(self, life: Life, request: requests.PreparedRequest, fault: Fault | Outage | None) -> None:
        after_s = fault.after_s if isinstance(fault, Fault) else 30.0
        now_s = self.clock.at_s()
        given = request.copy()
        given.body = _content(request)  # it left in time; what it meets on its way is no longer our clock's business
        late = Late(at_s=now_s + after_s, request=given, life=life, key=_key(life, request), sent_s=now_s)
        with self.lock:
            self.late.append(late)

    def land(self, session: requests.Session) -> bool:
        """Hands over the requests whose time has come."""
        with self.lock:
            ready = [one for one in self.late if one.at_s <= self.clock.at_s()]
            self.late = [one for one in self.late if one not in ready]
        for one in ready:
            answer = session.send(one.request, timeout=30)
            one.life.tell(self.clock.at_s(), f"landed late: {_shown(one.request)}: {answer.status_code}")
            zero = one.life.started_s
            one.life.late.append((one.key, one.sent_s - zero, self.clock.at_s() - zero))
        return bool(ready)


@contextmanager
def tapped() -> Iterator[None]:
    """While this lasts, calls of threads that are on a trip go through their wire."""
    call, send, settle = _http.Http.call, requests.Session.send, records.settle

    def tapped_call(self: Any, method: Any, url: str, **more: Any) -> Any:  # noqa: ANN401 as the original
        trip: Trip | None = getattr(HERE, "trip", None)
        if trip is None:
            return call(self, method, url, **more)
        return trip.wire.call(trip.life, lambda: call(self, method, url, **more), method, url)

    def tapped_send(self: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:  # noqa: ANN401
        trip: Trip | None = getattr(HERE, "trip", None)
        if trip is None:
            return send(self, request, **more)
        return trip.wire.send(trip.life, request, lambda asked: send(self, asked, **more))

    def tapped_settle(connection: Connection, record: Record, outcome: Outcome, **more: Any) -> bool:  # noqa: ANN401
        trip: Trip | None = getattr(HERE, "trip", None)
        sql = text("SELECT lease_token FROM records WHERE id = :id FOR UPDATE")
        held = connection.execute(sql, {"id": record.id}).scalar_one() == record.lease_token
        accepted = settle(connection, record, outcome, **more)
        if trip is not None and accepted and not held:
            trip.life.stolen += 1
        if trip is not None and held and outcome.settled:
            for ring in trip.rings:
                ring.learnt = True
        return accepted

    records.settle = tapped_settle
    _http.Http.call = tapped_call  # type: ignore[method-assign]
    requests.Session.send = tapped_send  # type: ignore[method-assign]
    try:
        yield
    finally:
        records.settle = settle
        _http.Http.call = call  # type: ignore[method-assign]
        requests.Session.send = send  # type: ignore[method-assign]


def _content(request: requests.PreparedRequest) -> bytes:
    """The body, whichever way the product hands it to the client; it can still be sent."""
    body: object = request.body
    if isinstance(body, _http._Timely):
        return body._content.getvalue()
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b""


def _body(request: requests.PreparedRequest) -> dict[str, Any]:
    try:
        found = orjson.loads(_content(request) or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _key(life: Life, request: requests.PreparedRequest) -> str:
    """The record that a request is about, as far as it says so."""
    said = _text(request)
    return next((key for key in life.keys if key in said), "")


def _text(request: requests.PreparedRequest) -> str:
    return f"{request.url} {_content(request).decode('utf-8', 'replace')}"


def _shown(request: requests.PreparedRequest) -> str:
    parts = urlsplit(str(request.url))
    words = f"{request.method} {parts.path}"
    body = _body(request)
    inner = {
        k: v for k, v in body.items() if k in ("state", "impact", "urgency", "event_action", "transition", "fields")
    }
    return f"{words} {str(inner)[:100]}" if inner else words


def _without_query(url: str) -> str:
    """As an instance sees it that ignores the whole sysparm_query."""
    parts = urlsplit(url)
    kept = [one for one in parts.query.split("&") if not one.startswith("sysparm_query=")]
    return urlunsplit(parts._replace(query="&".join(kept)))
