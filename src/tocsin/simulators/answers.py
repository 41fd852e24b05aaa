"""How a simulator answers in JSON, and the few things that all three share: moments, identifiers, sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import orjson
from werkzeug.wrappers import Response

Json: TypeAlias = dict[str, object]
"""A JSON object as a vendor's client sends or sees it."""

Clock: TypeAlias = Callable[[], datetime]
"""Answers the present moment, aware and in UTC."""

JSON_TYPE = "application/json;charset=UTF-8"


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; `None` as body answers an empty one."""
    raw = b"" if body is None else orjson.dumps(body)
    answer = Response(raw, status=status, content_type=JSON_TYPE)
    answer.headers.update(headers or {})
    return answer


def html(text: str, status: int = 200) -> Response:
    """A web page that came in place of the API's answer."""
    return Response(text, status=status, content_type="text/html;charset=UTF-8")


def stable_id(*parts: object, length: int = 32) -> str:
    """The same lower-case hex identifier for the same parts, `length` ≤ 64."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:length]


def is_picture(raw: bytes) -> bool:
    """A PNG, by how every one begins (W3C PNG, 5.2)."""
    return raw.startswith(b"\x89PNG\r\n\x1a\n")


def file_of(raw: bytes) -> Response:
    """A file for a browser. As a download: what a stranger uploaded must not run as a page of this site. A picture
    cannot."""
    shown = is_picture(raw)
    headers = {"Content-Disposition": "inline" if shown else "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(raw, content_type="image/png" if shown else "application/octet-stream", headers=headers)
