"""How do we speak with one instance's Table API: log in, read, query, write, and look names up?

https://www.servicenow.com/docs/ "Table API"; what it really answers stands in reference/vendors.md §3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import SecretStr

from tocsin.connectors._http import NOT_THE_API, Failure, Http, Method, Reply, basic
from tocsin.connectors.servicenow.config import Config
from tocsin.domain.record import Reason

Row: TypeAlias = Mapping[str, str]

FIELDS = (
    "sys_id,number,correlation_id,correlation_display,short_description,description,impact,urgency,priority,state,"
    "category,contact_type,caller_id,assignment_group,assigned_to,cmdb_ci,business_service,close_code,close_notes,"
    "sys_created_by,sys_updated_by,sys_mod_count"
)
_PLAIN = {"sysparm_exclude_reference_link": "true", "sysparm_display_value": "false"}
_SYS_ID = re.compile(r"[0-9a-f]{32}")
_MISSING_REMEMBERED_S = 60.0
MAX_NAME = 255


class Table:
    """The Table API of one instance, for one attempt."""

    def __init__(self, config: Config, http: Http) -> None:
        self._config = config
        self._http = http

    def read(self, sys_id: str) -> Row | Failure:
        """One incident by its primary key: no index lag. A Failure GONE where there is none or we may not see it."""
        return self._row("GET", f"{self._config.table}/{sys_id}", idempotent=True)

    def create(self, fields: Mapping[str, str]) -> Row | Failure:
        """Insert one incident. The caller's sys_id makes a second insert fail (vendors.md §3.5)."""
        return self._row("POST", self._config.table, idempotent=False, json=fields)

    def write(self, sys_id: str, fields: Mapping[str, str], *, idempotent: bool) -> Row | Failure:
        """Change these fields. Journal fields append: with them it is not idempotent."""
        return self._row("PATCH", f"{self._config.table}/{sys_id}", idempotent=idempotent, json=fields)

    def with_correlation(self, key: str) -> Row | Failure | None:
        """The incident that carries our key. Each row is checked: the API ignores query parts it cannot use."""
        rows = self._rows(self._config.table, f"correlation_id={key}", fields=FIELDS, limit=2)
        if isinstance(rows, Failure):
            return rows
        return next((row for row in rows if row.get("correlation_id") == key), None)

    def journal(self, sys_id: str) -> str | Failure:
        """The work notes of one incident that hold one of our markers, newest first, as one text."""
        query = f"element_id={sys_id}^element=work_notes^valueLIKE[toc:^ORDERBYDESCsys_created_on"
        rows = self._rows("sys_journal_field", query, fields="element_id,element,value", limit=200)
        if isinstance(rows, Failure):
            return rows
        ours = (row for row in rows if row.get("element_id") == sys_id and row.get("element") == "work_notes")
        return "\n".join(row.get("value", "") for row in ours)

    def named(self, table: str, column: str, name: str) -> str | Failure | None:
        """The sys_id of the one row of that name; None where there is none, or more than one. Remembered a while."""
        if _SYS_ID.fullmatch(name):
            return name
        if "^" in name or name.startswith("javascript:") or not name or len(name) > MAX_NAME:
            return None  # such a name would change the meaning of the query
        place = f"{table}.{column}={name}"
        known: str | None = self._http.recall(place)
        if known is not None:
            return known or None
        rows = self._rows(table, place.partition(".")[2], fields=f"sys_id,{column}", limit=2)
        if isinstance(rows, Failure):
            return rows
        found = [row["sys_id"] for row in rows if row.get(column) == name and row.get("sys_id")]
        only = found[0] if len(found) == 1 else ""
        self._http.remember(place, only, for_s=self._config.names_cached_s if only else _MISSING_REMEMBERED_S)
        return only or None

    def _row(
        self, method: Method, path: str, *, idempotent: bool, json: Mapping[str, str] | None = None
    ) -> Row | Failure:
        params = {**_PLAIN, "sysparm_fields": FIELDS}
        result = self._call(method, path, idempotent=idempotent, json=json, params=params)
        if isinstance(result, Failure):
            return result
        if not isinstance(result, dict) or not result.get("sys_id"):
            return _unexpected(idempotent=idempotent)
        return _texts(result)

    def _rows(self, table: str, query: str, *, fields: str, limit: int) -> list[Row] | Failure:
        params = {**_PLAIN, "sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": str(limit)}
        params["sysparm_suppress_pagination_header"] = "true"
        result = self._call("GET", table, idempotent=True, params=params)
        if isinstance(result, Failure):
            return [] if result.status == 404 else result  # v1 answered 404 for no rows (vendors.md §3.1)
        if not isinstance(result, list):
            return _unexpected(idempotent=True)
        return [_texts(row) for row in result if isinstance(row, dict)]

    def _call(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        params: Mapping[str, str],
        json: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever stands under `result`, or a Failure
        url = f"{self._config.root}/api/now/table/{path}"
        answer: Reply | Failure
        for _ in range(2):
            login = self._login()
            if isinstance(login, Failure):
                return login
            answer = self._http.call(method, url, idempotent=idempotent, headers=login, params=params, json=json)
            expired = isinstance(answer, Failure) and answer.status == 401 and self._config.auth.startswith("oauth")
            if not expired:
                break
            self._http.forget("token")
        if isinstance(answer, Failure):
            return answer
        if not isinstance(answer.body, dict) or "result" not in answer.body:
            return _unexpected(idempotent=idempotent)
        return answer.body["result"]

    def _login(self) -> Mapping[str, str] | Failure:
        config = self._config
        if config.auth == "basic":
            return {"Authorization": basic(config.username, _open(config.password))}
        if config.auth == "api_key":
            return {"x-sn-apikey": _open(config.api_key)}
        token = self._http.recall("token") or self._token()
        return token if isinstance(token, Failure) else {"Authorization": f"Bearer {token.get_secret_value()}"}

    def _token(self) -> SecretStr | Failure:
        config = self._config
        grant: Literal["password", "client_credentials"] = (
            "password" if config.auth == "oauth_password" else "client_credentials"
        )
        form = {"grant_type": grant, "client_id": config.client_id, "client_secret": _open(config.client_secret)}
        if grant == "password":
            form |= {"username": config.username, "password": _open(config.password)}
        answer = self._http.call("POST", f"{config.root}/oauth_token.do", idempotent=True, data=form)
        if isinstance(answer, Failure):
            return answer
        body = answer.body if isinstance(answer.body, dict) else {}
        token = body.get("access_token")
        if not isinstance(token, str) or not token:
            return Failure("rejected", Reason.UNAUTHORIZED, answer.status, "oauth_token.do gave no access_token")
        self._http.keep_secret(token)
        lasts_s = body.get("expires_in")
        for_s = float(lasts_s) - 60 if isinstance(lasts_s, int | float) else 60.0
        self._http.remember("token", SecretStr(token), for_s=for_s)
        return SecretStr(token)


def _open(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _texts(row: Mapping[str, Any]) -> Row:
    """Every value as text; a reference in its long form is its value."""
    return {
        name: str(value.get("value", "") if isinstance(value, dict) else value if value is not None else "")
        for name, value in row.items()
    }


def _unexpected(*, idempotent: bool) -> Failure:
    words = "the answer holds no result of the Table API"
    if idempotent:
        return Failure("retry", Reason.BAD_ANSWER, 200, words, after=NOT_THE_API)
    return Failure("ambiguous", Reason.BAD_ANSWER, 200, words)
