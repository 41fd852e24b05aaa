"""Who may come in: Basic, OAuth tokens from /oauth_token.do, and API keys."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from werkzeug.wrappers import Request, Response

from tocsin.simulators.answers import Clock, reply, stable_id

TOKEN_SECONDS = 1799
NOT_AUTHENTICATED = {
    "error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"},
    "status": "failure",
}


@dataclass(slots=True)
class Door:
    """The one account of the instance; it is the OAuth client as well (client id = user, secret = password)."""

    user: str
    password: str
    clock: Clock
    tokens: dict[str, float] = field(default_factory=dict)
    """Access token → Unix time at which it ends."""
    refresh: set[str] = field(default_factory=set)

    def refused(self, request: Request) -> Response | None:
        """The 401 for a caller without valid credentials; None lets the call pass."""
        if self._lets_in(request):
            return None
        return reply(NOT_AUTHENTICATED, 401, {"WWW-Authenticate": 'BASIC realm="Service-now"'})

    def _lets_in(self, request: Request) -> bool:
        if key := request.headers.get("x-sn-apikey"):
            return _same(key, self.password)
        given = request.authorization
        if given is None:
            return False
        if given.type == "bearer":
            return self.tokens.get(given.token or "", 0.0) > self.clock().timestamp()
        return _same(given.username or "", self.user) and _same(given.password or "", self.password)

    def token(self, request: Request) -> Response:
        """`POST /oauth_token.do` for the grants client_credentials, password and refresh_token."""
        form = request.form
        client = _same(form.get("client_id", ""), self.user) and _same(form.get("client_secret", ""), self.password)
        grants = {
            "client_credentials": True,
            "password": _same(form.get("username", ""), self.user) and _same(form.get("password", ""), self.password),
            "refresh_token": form.get("refresh_token", "") in self.refresh,
        }
        if not (client and grants.get(form.get("grant_type", ""), False)):
            return reply({"error_description": "access_denied", "error": "server_error"}, 401)
        serial = len(self.tokens) + 1
        access, again = (
            stable_id("access", self.password, serial, length=64),
            stable_id("refresh", self.password, serial),
        )
        self.tokens[access] = self.clock().timestamp() + TOKEN_SECONDS
        body: dict[str, object] = {
            "access_token": access,
            "scope": "useraccount",
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
        }
        if form["grant_type"] != "client_credentials":
            self.refresh.add(again)
            body["refresh_token"] = again
        return reply(body)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
