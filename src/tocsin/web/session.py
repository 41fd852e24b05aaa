"""Who may look: the API token as a bearer, or a console session that was opened with it."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlsplit

from flask import Request

COOKIE = "tocsin_session"
SESSION_S = 12 * 3600


def allowed(request: Request, token: str, *, now: float | None = None) -> bool:
    """Does the request carry the token, or a session signed with it that has not run out?"""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if token and hmac.compare_digest(given.encode(), token.encode()):
        return True
    until, _, signature = request.cookies.get(COOKIE, "").partition(".")
    if not token or not until.isdigit() or int(until) < (time.time() if now is None else now):
        return False
    return hmac.compare_digest(signature, _signature(until, token))


def opened(token: str, *, now: float) -> str:
    """A session cookie's value, valid for SESSION_S from now."""
    until = str(int(now) + SESSION_S)
    return f"{until}.{_signature(until, token)}"


def same_origin(request: Request) -> bool:
    """A form of ours, not of another site: browsers send Origin with every POST."""
    origin = request.headers.get("Origin", "")
    return not origin or urlsplit(origin).netloc == request.host


def _signature(until: str, token: str) -> str:
    return hmac.new(hashlib.sha256(token.encode()).digest(), f"console|{until}".encode(), hashlib.sha256).hexdigest()
