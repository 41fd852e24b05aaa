"""How do we prove to one instance who we are?

Basic, API key, client certificate (its TLS session is the proof), or OAuth by `POST /oauth_token.do`: a token is kept
until it ends, then renewed with its refresh token, and by the grant itself where that is refused (vendors.md §3.3).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from tocsin.connectors._http import Failure, Http, basic
from tocsin.connectors.servicenow.config import Config
from tocsin.domain.record import Reason

EARLIER_S = 60.0
"""A token is given up so long before it ends, so that none ends on its way."""
REFRESH_KEPT_S = 30 * 86_400.0
_ACCESS, _REFRESH = "token", "refresh token"


def headers(config: Config, http: Http) -> Mapping[str, str] | Failure:
    """The headers that prove who we are; a Failure where the instance gives no token."""
    if config.auth == "basic":
        return {"Authorization": basic(config.username, _open(config.password))}
    if config.auth == "api_key":
        return {"x-sn-apikey": _open(config.api_key)}
    if config.auth == "client_certificate":
        return {}
    token = http.recall(_ACCESS) or _token(config, http)
    return token if isinstance(token, Failure) else {"Authorization": f"Bearer {token.get_secret_value()}"}


def renew(config: Config, http: Http) -> bool:
    """After a 401: drop what we hold. Whether a second try can do better."""
    http.forget(_ACCESS)
    return config.auth.startswith("oauth")


def _token(config: Config, http: Http) -> SecretStr | Failure:
    client = {"client_id": config.client_id, "client_secret": _open(config.client_secret)}
    kept: SecretStr | None = http.recall(_REFRESH)
    if kept is not None:
        form = {"grant_type": "refresh_token", "refresh_token": kept.get_secret_value(), **client}
        renewed = _granted(config, http, form)
        if not isinstance(renewed, Failure) or renewed.result != "rejected":
            return renewed
        http.forget(_REFRESH)
    form = {"grant_type": "client_credentials", **client}
    if config.auth == "oauth_password":
        form |= {"grant_type": "password", "username": config.username, "password": _open(config.password)}
    return _granted(config, http, form)


def _granted(config: Config, http: Http, form: Mapping[str, str]) -> SecretStr | Failure:
    answer = http.call("POST", f"{config.root}/oauth_token.do", idempotent=True, data=form)
    if isinstance(answer, Failure):
        return answer
    body = answer.body if isinstance(answer.body, dict) else {}
    token, again, lasts_s = (body.get(name) for name in ("access_token", "refresh_token", "expires_in"))
    if not isinstance(token, str) or not token:
        return Failure("rejected", Reason.UNAUTHORIZED, answer.status, "oauth_token.do gave no access_token")
    http.keep_secret(token)
    for_s = float(lasts_s) - EARLIER_S if isinstance(lasts_s, int | float) else EARLIER_S
    http.remember(_ACCESS, SecretStr(token), for_s=for_s)
    if isinstance(again, str) and again:
        http.keep_secret(again)
        http.remember(_REFRESH, SecretStr(again), for_s=REFRESH_KEPT_S)
    return SecretStr(token)


def _open(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
