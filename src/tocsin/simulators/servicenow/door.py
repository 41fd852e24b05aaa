"""Who may come in: Basic, OAuth tokens from /oauth_token.do, API keys, and the cookie of a session."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from werkzeug.wrappers import Request, Response

from tocsin.simulators.answers import Clock, reply, stable_id

TOKEN_SECONDS = 1799
SESSION_COOKIE = "JSESSIONID"
CLIENT_CREDENTIALS = "glide.oauth.inbound.client.credential.grant_type.enabled"
"""Without this property the platform refuses the grant (reference vendors.md §3.3)."""
NOT_AUTHENTICATED = {
    "error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"},
    "status": "failure",
}


@dataclass(slots=True)
class Door:
    """The one account of the instance. Any OAuth client id is known; its secret is the password."""

    user: str
    password: str
    clock: Clock
    setting: Callable[[str], str]
    """A system property of the present instance."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Access token → Unix time at which it ends."""
    refresh: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)

    def refused(self, request: Request) -> Response | None:
        """The 401 for a caller without valid credentials; None lets the call pass."""
        return None if self._lets_in(request) else not_authenticated()

    def give_cookies(self, request: Request, answer: Response) -> None:
        """Opens a session for a caller who has none; its cookie alone is let in afterwards."""
        if request.cookies.get(SESSION_COOKIE) in self.sessions:
            return
        session = stable_id("session", self.password, len(self.sessions)).upper()
        self.sessions.add(session)
        answer.set_cookie(SESSION_COOKIE, session, httponly=True, secure=request.is_secure)
        answer.set_cookie("glide_user_route", f"glide.{session.lower()}", httponly=True, secure=request.is_secure)

    def _lets_in(self, request: Request) -> bool:
        if key := request.headers.get("x-sn-apikey"):
            return _same(key, self.password)
        given = request.authorization
        if given is None:
            return "Authorization" not in request.headers and request.cookies.get(SESSION_COOKIE) in self.sessions
        if given.type == "bearer":
            return self.tokens.get(given.token or "", 0.0) > self.clock().timestamp()
        return _same(given.username or "", self.user) and _same(given.password or "", self.password)

    def token(self, request: Request) -> Response:
        """`POST /oauth_token.do` for the grants client_credentials, password and refresh_token. The client's id and
        secret stand in the form or in a Basic header."""
        form, basic = request.form, request.authorization
        grant = form.get("grant_type", "")
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if not secret and basic is not None and basic.type == "basic":
            client_id, secret = basic.username or "", basic.password or ""
        client = bool(client_id) and _same(secret, self.password)
        grants = {
            "client_credentials": self.setting(CLIENT_CREDENTIALS) == "true",
            "password": _same(form.get("username", ""), self.user) and _same(form.get("password", ""), self.password),
            "refresh_token": form.get("refresh_token", "") in self.refresh,
        }
        if not (client and grants.get(grant, False)):
            return reply({"error_description": "access_denied", "error": "server_error"}, 401)
        serial = len(self.tokens) + 1
        access = stable_id("access", self.password, serial, length=64)
        again = stable_id("refresh", self.password, serial, length=64)
        self.tokens[access] = self.clock().timestamp() + TOKEN_SECONDS
        body: dict[str, object] = {
            "access_token": access,
            "scope": "useraccount",
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
        }
        if grant == "refresh_token":
            body["refresh_token"] = form["refresh_token"]
        elif grant == "password":
            self.refresh.add(again)
            body["refresh_token"] = again
        return reply(body)


def not_authenticated() -> Response:
    """The 401 of every API."""
    return reply(NOT_AUTHENTICATED, 401, {"WWW-Authenticate": 'BASIC realm="Service-now"'})


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
