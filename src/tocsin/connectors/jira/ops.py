"""How do we speak with the operations API of Jira Service Management: create, read, annotate and close alerts?

https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/api-group-alerts/

Every write is answered 202 with a request id and carried out later. An alias is unique among open alerts; a repeated
one only raises the alert's count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tocsin.connectors._http import NOT_THE_API, Failure, Http, Method, basic
from tocsin.connectors.jira.config import Config
from tocsin.domain.record import Reason

CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsAlert:
    """An alert as it stands; `status` is open or closed."""

    id: str
    alias: str
    tiny_id: str
    status: str
    priority: str
    acknowledged: bool
    owner: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What became of a write. `done` is False while it waits."""

    done: bool
    succeeded: bool = False
    alert_id: str = ""
    says: str = ""


class Ops:
    """The operations API of one Cloud site, for one attempt."""

    def __init__(self, config: Config, http: Http) -> None:
        self._http = http
        self._api = f"{config.alerts_url.rstrip('/')}/jsm/ops/api/{config.cloud_id}/v1/alerts"
        self._headers = {"Authorization": basic(config.email, config.api_token.get_secret_value())}

    def create(self, body: Mapping[str, Any]) -> str | Failure:
        """Open an alert; the request's id. Repeating it while the alert is open changes nothing but its count."""
        return self._write("POST", "", body, idempotent=True)

    def request(self, request_id: str) -> Request | Failure:
        """What became of a write; not done while the site does not know it yet."""
        found = self._object("GET", f"/requests/{quote(request_id, safe='')}", idempotent=True)
        if isinstance(found, Failure):
            return Request(done=False) if found.status == 404 else found
        told = found.get("data") if isinstance(found.get("data"), dict) else found
        assert isinstance(told, Mapping)
        return Request(
            done=bool(told.get("processedAt") or told.get("status")),
            succeeded=bool(told.get("isSuccess", told.get("success"))),
            alert_id=str(told.get("alertId") or ""),
            says=str(told.get("status") or ""),
        )

    def read(self, alert_id: str) -> OpsAlert | Failure:
        """One alert by id."""
        found = self._object("GET", f"/{quote(alert_id, safe='')}", idempotent=True)
        return found if isinstance(found, Failure) else alert_of(found)

    def aliased(self, alias: str) -> list[OpsAlert] | Failure:
        """The alerts of an alias, also closed ones, the newest first."""
        params = {"query": f'alias:"{alias}"', "size": "20", "sort": "createdAt", "order": "desc"}
        found = self._object("GET", "", idempotent=True, params=params)
        if isinstance(found, Failure):
            return found
        rows = found.get("values")
        alerts = [alert_of(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return sorted((one for one in alerts if one.alias == alias), key=lambda one: one.created, reverse=True)

    def notes(self, alert_id: str) -> str | Failure:
        """The newest notes as one text to look for markers in."""
        found = self._object("GET", f"/{alert_id}/notes", idempotent=True, params={"size": "100", "order": "desc"})
        if isinstance(found, Failure):
            return found
        rows = found.get("values")
        return "\n".join(str(row.get("note", "")) for row in rows if isinstance(row, dict)) if rows else ""

    def note(self, alert_id: str, text: str) -> str | Failure:
        """Add a note. Not idempotent."""
        return self._write("POST", f"/{alert_id}/notes", {"note": text}, idempotent=False)

    def acknowledge(self, alert_id: str) -> str | Failure:
        """Stop its paging."""
        return self._write("POST", f"/{alert_id}/acknowledge", {}, idempotent=True)

    def close(self, alert_id: str) -> str | Failure:
        """Close it; an alert that is closed stays so."""
        return self._write("POST", f"/{alert_id}/close", {}, idempotent=True)

    def set_priority(self, alert_id: str, priority: str) -> str | Failure:
        """P1 to P5."""
        return self._write("PATCH", f"/{alert_id}/priority", {"priority": priority}, idempotent=True)

    def _write(self, method: Method, path: str, body: Mapping[str, Any], *, idempotent: bool) -> str | Failure:
        answer = self._object(method, path, idempotent=idempotent, json=body)
        return answer if isinstance(answer, Failure) else str(answer.get("requestId") or "")

    def _object(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any] | Failure:
        url = self._api + path
        answer = self._http.call(method, url, idempotent=idempotent, headers=self._headers, json=json, params=params)
        if isinstance(answer, Failure):
            return answer
        if isinstance(answer.body, dict):
            return answer.body
        words = "the answer is not the operations API's"
        if idempotent:
            return Failure("retry", Reason.BAD_ANSWER, answer.status, words, after=NOT_THE_API)
        return Failure("ambiguous", Reason.BAD_ANSWER, answer.status, words)


def alert_of(row: Mapping[str, Any]) -> OpsAlert:
    """An alert from the vendor's JSON."""
    return OpsAlert(
        id=str(row.get("id") or ""),
        alias=str(row.get("alias") or ""),
        tiny_id=str(row.get("tinyId") or ""),
        status=str(row.get("status") or "").lower(),
        priority=str(row.get("priority") or ""),
        acknowledged=bool(row.get("acknowledged")),
        owner=str(row.get("owner") or ""),
        created=str(row.get("createdAt") or ""),
    )
