"""Verify the sender, keep the raw message, answer. No understanding happens here.

A message is durable (a row, or a line of the spool) before it is answered 202. 4xx is only for wrong credentials, wrong
size and unknown routes; a body that nobody can read is still accepted and quarantined later (design.md §1).
"""

from __future__ import annotations

import ctypes
import gzip
import io
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import uuid_utils.compat
from prometheus_client import Counter

from tocsin.bootstrap import App
from tocsin.config.settings import Settings
from tocsin.domain.catalog import Catalog
from tocsin.domain.errors import BadMapping, TocsinError, Unavailable
from tocsin.domain.message import KEY_URL, Answer, Hook, Message, Receipt, Source
from tocsin.sources import of as source_of
from tocsin.store import intake
from tocsin.store.arrivals import Arrival, Spool, Writer

log = logging.getLogger(__name__)

WAKE_TASK = "tocsin.work"
WAKE_QUEUE = "tocsin"

RECEIVED = Counter("tocsin_messages_received_total", "Messages answered 202, by hook's source", ["source"])
REFUSED = Counter("tocsin_messages_refused_total", "Messages refused, by reason", ["reason"])
SPOOLED = Counter("tocsin_messages_spooled_total", "Messages kept in the spool while the database was away")

SECRET_HEADERS = ("authorization", "cookie", "token", "secret", "api-key", "apikey", "password", "signature")
"""A header whose name holds one of these is not stored: it has done its work once the sender is verified."""

WAKE_EVERY_S = 0.02
"""A storm wakes the workers this often and not once a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the web server hands over; header names are lower case."""

    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


def open_receiver(settings: Settings) -> Receiver:
    """A started receiver over these settings."""
    receiver = Receiver(App(settings))
    receiver.start()
    return receiver


Routes = dict[str, list[tuple[Source, Hook]]]
"""Path, perhaps with `{name}` in it → the hooks whose producer insists on it."""


class Receiver:
    """Answers inbound messages. One a process; any number of threads may call it."""

    def __init__(self, app: App, *, spool_dir: Path | None = None) -> None:
        self._app = app
        self._writer = Writer(app.settings.database_url)
        self._spool = Spool(spool_dir or Path(app.settings.spool_dir))
        self._hooks: Mapping[str, Hook] = {}
        self._routes: Routes = {}
        self._lookups: Routes = {}
        self._version = -1
        self._beats_at_s = 0.0
        self._stop = threading.Event()
        self._arrived = threading.Event()
        self.max_body_bytes = app.settings.max_body_bytes

    def start(self) -> None:
        """Load the hooks and begin what runs in the background: wake the workers, follow the active mappings, drain the
        spool."""
        self.refresh()
        threading.Thread(target=self._rounds, name="receiver-rounds", daemon=True).start()
        threading.Thread(target=self._wakes, name="receiver-wakes", daemon=True).start()

    def stop(self) -> None:
        """End the rounds and let go of this thread's connection and of the spool."""
        self._stop.set()
        self._arrived.set()
        self._writer.close()
        self._spool.close()

    @property
    def catalog(self) -> Catalog:
        """What exists and who owns it, under the active mappings."""
        return self._app.active().mappings.catalog

    def hook_names(self) -> list[str]:
        return sorted(self._hooks)

    def takes(self, method: str, path: str) -> bool:
        """Is this a path that an active hook's producer insists on?"""
        return _matched(self._lookups if method == "GET" else self._routes, path) is not None

    def accept(self, request: Request, *, hook: str, now: datetime) -> Answer:
        """Answer a message posted to /hooks/<hook>."""
        known = self._hooks.get(hook)
        if known is None:
            return _refused(404, "unknown_hook", f"no hook is named {hook[:80]!r}; `tocsin hooks list` shows the names")
        return self._take(request, known, source_of(known), now)

    def accept_route(self, request: Request, *, now: datetime) -> Answer:
        """Answer a message posted to a producer's own path: the secret that it carries names the hook."""
        found = self._known_sender(self._routes, request, now)
        if found is None:
            return _refused(401, "unauthorized", "no hook of this route has the key that the request carries")
        source, hook, asked, _ = found
        return self._take(asked, hook, source, now)

    def look_up(self, request: Request, *, now: datetime) -> Answer:
        """Answer a producer's client that asks after what it sent. Nothing is kept."""
        found = self._known_sender(self._lookups, request, now)
        if found is None:
            return _refused(401, "unauthorized", "no hook of this route has the key that the request carries")
        source, hook, asked, template = found
        return source.lookups[template](_message(asked, hook, now, b""))

    def _known_sender(
        self, routes: Routes, request: Request, now: datetime
    ) -> tuple[Source, Hook, Request, str] | None:
        """The hook that the request's own secret names, the request with its path's parameters, and the path."""
        matched = _matched(routes, request.path)
        if matched is None:
            return None
        template, parameters = matched
        asked = replace(request, query={**request.query, **parameters}) if parameters else request
        for source, hook in routes[template]:
            message = _message(asked, hook, now, asked.body)
            secret = source.route_secret(message) if source.route_secret else ""
            if secret and source.verify(message, hook.secrets).verdict == "verified":
                return source, hook, asked, template
        return None

    def ready(self) -> bool:
        """Can a message be made durable, in the database or in the spool?"""
        return not self._writer.away or self._writer.probe() or self._spool.writable()

    def _take(self, request: Request, hook: Hook, source: Source, now: datetime) -> Answer:
        try:
            body = _plain(request, self.max_body_bytes)
        except _RefusedError as refused:
            return refused.answer
        message = _message(request, hook, now, body)
        key_url = ""
        if not hook.unverified:
            verdict = source.verify(message, hook.secrets)
            if verdict.verdict == "refused":
                log.warning("hook=%s refused reason=%s", hook.name, verdict.reason)
                return _refused(401, "unauthorized", verdict.reason)
            key_url = verdict.key_url if verdict.verdict == "needs_key" else ""
        return self._keep(message, source, key_url)

    def _keep(self, message: Message, source: Source, key_url: str) -> Answer:
        arrival = Arrival(
            id=message.id,
            received_at=message.received_at,
            hook=message.hook,
            source=message.source,
            environment=message.environment,
            headers=_harmless(message.headers) | ({KEY_URL: key_url} if key_url else {}),
            query=_harmless(message.query),
            body=self._app.seal.seal(message.body),
        )
        try:
            self._writer.write(arrival)
        except Unavailable:
            try:
                self._spool.append(arrival)
            except OSError as error:
                log.error("neither database nor spool is writable: %s", error)
                return Answer(
                    status=503,
                    body={"error": "no place to keep the message; send it again"},
                    headers={"Retry-After": "5"},
                )
            SPOOLED.inc()
        _received(message.source).inc()
        self._arrived.set()
        return source.answer(message, Receipt(id=message.id, hook=message.hook))

    def refresh(self) -> None:
        """Follow the active mappings; a database that is away leaves what is known."""
        active = self._app.active()
        if active.version == self._version and self._hooks:
            return
        routes: Routes = {}
        lookups: Routes = {}
        for hook in active.mappings.hooks.values():
            source = source_of(hook)
            for route in source.routes:
                routes.setdefault(route, []).append((source, hook))
            for path in source.lookups:
                lookups.setdefault(path, []).append((source, hook))
        self._hooks, self._routes, self._version = active.mappings.hooks, routes, active.version
        self._lookups = lookups
        _give_back()

    def _rounds(self) -> None:
        while not self._stop.wait(1.0):
            self._quietly(self.refresh)
            self._quietly(self._drain)
            self._quietly(self._beat)

    def _drain(self) -> None:
        if (self._writer.away or self._spool.pending) and self._writer.probe():
            moved = self._spool.drain(self._writer)
            if not moved:
                return
            log.info("spool drained messages=%d", moved)
            self._arrived.set()

    def _beat(self) -> None:
        """Say that messages are kept, once what was spooled is in the database too."""
        if self._writer.away or self._spool.pending or time.monotonic() < self._beats_at_s:
            return
        outage = intake.alive(self._app.database)
        self._beats_at_s = time.monotonic() + intake.BEAT_EVERY_S
        if outage:
            log.warning("nothing could be received for %.0f s; alerts expire so much later", outage.total_seconds())

    def _wakes(self) -> None:
        """Tell the workers, outside of any request; what arrives meanwhile is told of right afterwards."""
        while not self._stop.wait(WAKE_EVERY_S):
            self._arrived.wait()
            self._arrived.clear()
            self._app.waker.wake(WAKE_TASK, WAKE_QUEUE)

    def _quietly(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (Unavailable, BadMapping) as error:
            log.warning("%s: %s", getattr(step, "__name__", "round"), error)
        except (TocsinError, OSError) as error:
            log.error("%s: %s", getattr(step, "__name__", "round"), error)


def _give_back() -> None:
    """What starting and reading the mappings left free goes back to the system: 3 of 100 MB. glibc's alone."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class _RefusedError(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.body)


def _refused(status: int, reason: str, words: str) -> Answer:
    REFUSED.labels(reason).inc()
    return Answer(status=status, body={"error": reason, "message": words})


def _plain(request: Request, limit: int) -> bytes:
    """The body without its content encoding; a bomb stops at the limit."""
    too_large = f"the body is larger than {limit} bytes (TOCSIN_MAX_BODY_BYTES)"
    if len(request.body) > limit:
        raise _RefusedError(_refused(413, "too_large", too_large))
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return request.body
    if encoding not in ("gzip", "x-gzip"):
        raise _RefusedError(_refused(415, "unknown_encoding", f"content-encoding {encoding[:40]!r} is not gzip"))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(request.body)) as stream:
            body = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error):
        return request.body  # not what its header says: authenticated first, then quarantined
    if len(body) > limit:
        raise _RefusedError(_refused(413, "too_large", too_large))
    return body


def _matched(routes: Routes, path: str) -> tuple[str, dict[str, str]] | None:
    """The route that the path follows, and what its `{names}` stand for; None when there is none."""
    if path in routes:
        return path, {}
    for template in routes:
        if "{" in template and (found := _pattern(template).fullmatch(path)):
            return template, found.groupdict()
    return None


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    """`/v2/alerts/{identifier}/close`, whose parts may hold anything, even a slash."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{part}>.+)" if n % 2 else re.escape(part) for n, part in enumerate(parts)))


def _message(request: Request, hook: Hook, now: datetime, body: bytes) -> Message:
    return Message(
        id=uuid_utils.compat.uuid7(),
        hook=hook.name,
        source=hook.source,
        environment=hook.environment,
        received_at=now,
        headers=request.headers,
        query=request.query,
        body=body,
    )


def _harmless(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:2048] for name, value in fields.items() if name != KEY_URL and not _holds_a_secret(name)}


@lru_cache(maxsize=1024)
def _holds_a_secret(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in SECRET_HEADERS)


@lru_cache(maxsize=128)
def _received(source: str) -> Counter:
    return RECEIVED.labels(source)
