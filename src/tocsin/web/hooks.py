"""POST /hooks/<hook> and the producers' own paths, answered in front of Flask."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from tocsin.domain.errors import TocsinError
from tocsin.domain.message import Answer
from tocsin.receive import Receiver, Request

log = logging.getLogger(__name__)

HOOKS = "/hooks/"
_ORIGIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


class HooksFirst:
    """WSGI: hooks go to the receiver, everything else to Flask."""

    def __init__(self, receiver: Receiver, rest: Wsgi) -> None:
        self._receiver = receiver
        self._rest = rest

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = _utf8(environ.get("PATH_INFO", ""))
        method = environ.get("REQUEST_METHOD", "")
        if method in ("POST", "PUT"):
            if path.startswith(HOOKS):
                return _write(self._hook(environ, path), start_response)
            if self._receiver.takes(method, path):
                return _write(self._route(environ, path), start_response)
        elif method == "OPTIONS" and path.startswith(HOOKS):
            return _write(_consent(environ), start_response)
        elif method == "DELETE" and self._receiver.takes(method, path):
            return _write(self._route(environ, path), start_response)
        elif method == "GET" and self._receiver.takes(method, path):
            return _write(self._lookup(environ, path), start_response)
        return self._rest(environ, start_response)

    def _hook(self, environ: Environ, path: str) -> Answer:
        name = unquote(path[len(HOOKS) :]).rstrip("/")
        return self._guarded(
            lambda: self._receiver.accept(
                _request(environ, path, self._receiver.max_body_bytes), hook=name, now=datetime.now(UTC)
            )
        )

    def _route(self, environ: Environ, path: str) -> Answer:
        return self._guarded(
            lambda: self._receiver.accept_route(
                _request(environ, path, self._receiver.max_body_bytes), now=datetime.now(UTC)
            )
        )

    def _lookup(self, environ: Environ, path: str) -> Answer:
        return self._guarded(lambda: self._receiver.look_up(_request(environ, path, 0), now=datetime.now(UTC)))

    def _guarded(self, accept: Callable[[], Answer]) -> Answer:
        try:
            return accept()
        except TocsinError as error:
            log.error("a message could not be taken in: %s", error)
            return Answer(
                status=503,
                body={"error": "unavailable", "message": "send it again"},
                headers={"Retry-After": "5"},
            )


def _consent(environ: Environ) -> Answer:
    """A sender of CloudEvents asks whether it may post here (CloudEvents HTTP WebHook specification §4.1). Yes: what it
    posts must still prove itself; the answer tells nobody which hooks exist."""
    origin = environ.get("HTTP_WEBHOOK_REQUEST_ORIGIN", "")
    if not _ORIGIN.fullmatch(origin):
        return Answer(status=400, body={"error": "bad_origin", "message": "WebHook-Request-Origin names no host"})
    headers = {"Allow": "POST, PUT", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return Answer(status=200, body={"status": "post"}, headers=headers)


def _utf8(path: str) -> str:
    """The path as it was written: WSGI hands its bytes over as Latin-1 (PEP 3333)."""
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return path


def _request(environ: Environ, path: str, limit: int) -> Request:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    query = environ.get("QUERY_STRING", "")
    return Request(
        path=path,
        headers=headers,
        query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
        body=environ["wsgi.input"].read(limit + 1),
    )


def _write(answer: Answer, start_response: StartResponse) -> list[bytes]:
    body = orjson.dumps(answer.body)
    start_response(
        f"{answer.status} {HTTPStatus(answer.status).phrase}",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *answer.headers.items()],
    )
    return [body]
