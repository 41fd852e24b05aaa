"""How do we speak with one instance's REST APIs: read, query, write, and say in plain words why it refused?

https://www.servicenow.com/docs/ "Table API"; what it really answers stands in reference/vendors.md §3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from tocsin.connectors._http import NOT_THE_API, Failure, Http, Method, Reply
from tocsin.connectors.servicenow import login
from tocsin.connectors.servicenow.config import Config
from tocsin.domain.record import Reason

Row: TypeAlias = Mapping[str, str]

FIELDS = (
    "sys_id,number,correlation_id,correlation_display,short_description,description,impact,urgency,priority,state,"
    "category,contact_type,caller_id,assignment_group,assigned_to,cmdb_ci,business_service,service_offering,caused_by,"
    "parent_incident,close_code,close_notes,sys_created_on,sys_created_by,sys_updated_on,sys_updated_by,sys_mod_count"
)
PLAIN_VALUES = {"sysparm_exclude_reference_link": "true", "sysparm_display_value": "false"}
MAX_NAME = 255
MAX_RULE = 120

_REFUSALS = (
    (re.compile(r"aborted by Business Rule '([^'^]+)"), "business rule {0!r} refuses it"),
    (re.compile(r"(Data Policy Exception: [^\"}]+)"), "{0}"),
    (re.compile(r"(ACL Exception[^\"}]*|Failed API level ACL Validation)"), "{0}: the integration's user lacks a role"),
)


class Table:
    """The REST APIs of one instance, for one attempt."""

    def __init__(self, config: Config, http: Http) -> None:
        self._config = config
        self._http = http
        self._fields = ",".join((FIELDS, *config.fields))

    def read(self, sys_id: str) -> Row | Failure:
        """One incident by its primary key: no index lag. A Failure GONE where there is none or we may not see it."""
        return self._row("GET", f"{self._config.table}/{sys_id}", idempotent=True)

    def create(self, fields: Mapping[str, str]) -> Row | Failure:
        """Insert one incident. The caller's sys_id makes a second insert fail (vendors.md §3.5)."""
        return self._row("POST", self._config.table, idempotent=False, json=fields)

    def write(self, sys_id: str, fields: Mapping[str, str]) -> Row | Failure:
        """Change these fields. Journal fields append: with them a repeat is not harmless."""
        idempotent = "work_notes" not in fields
        return self._row("PATCH", f"{self._config.table}/{sys_id}", idempotent=idempotent, json=fields)

    def incidents(self, query: str, *, limit: int) -> list[Row] | Failure:
        """Incidents with the fields that we know. Each row is for the caller to check: the API ignores parts of a
        query that it cannot use, and then answers other people's incidents (vendors.md §3.1)."""
        return self.rows(self._config.table, query, fields=self._fields, limit=limit)

    def notes(self, sys_id: str) -> str | Failure:
        """The work notes of one incident in one text: of the journal's table those that hold a marker of ours, or the
        stream that the incident itself shows where that table shows nothing (its ACLs are stricter)."""
        query = f"element_id={sys_id}^element=work_notes^valueLIKE[toc:^ORDERBYDESCsys_created_on"
        rows = self.rows("sys_journal_field", query, fields="element_id,element,value", limit=200)
        if isinstance(rows, Failure) and rows.result != "rejected":
            return rows
        ours = [] if isinstance(rows, Failure) else rows
        found = [row.get("value", "") for row in ours if (row.get("element_id"), row.get("element")) == (sys_id, NOTES)]
        return "\n".join(found) if found else self._stream(sys_id)

    def _stream(self, sys_id: str) -> str | Failure:
        params = {"sysparm_fields": "sys_id,work_notes", "sysparm_display_value": "true"}
        params["sysparm_exclude_reference_link"] = "true"
        row = self._result("GET", f"{self._config.table}/{sys_id}", idempotent=True, params=params)
        if isinstance(row, Failure):
            return row
        return _texts(row).get(NOTES, "") if isinstance(row, dict) else ""

    def rows(self, table: str, query: str, *, fields: str, limit: int, offset: int = 0) -> list[Row] | Failure:
        """Rows of any table, values as texts. Each is for the caller to check, see `incidents`."""
        params = {**PLAIN_VALUES, "sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": str(limit)}
        params["sysparm_suppress_pagination_header"] = "true"
        if offset:
            params["sysparm_offset"] = str(offset)
        result = self._result("GET", table, idempotent=True, params=params)
        if isinstance(result, Failure):
            return [] if result.status == 404 else result  # v1 answered 404 for no rows (vendors.md §3.1)
        if not isinstance(result, list):
            return _unexpected(idempotent=True)
        return [_texts(row) for row in result if isinstance(row, dict)]

    def call(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        params: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        media_type: str = "",
    ) -> Reply | Failure:
        """Call `path` (from the root) as the integration's user; once more with a new token after a 401."""
        answer: Reply | Failure
        for _ in range(2):
            proof = self._login()
            if isinstance(proof, Failure):
                return proof
            sent = {**proof, "Content-Type": media_type} if media_type else proof
            url = f"{self._config.root}{path}"
            answer = self._http.call(
                method, url, idempotent=idempotent, headers=sent, params=params, json=json, content=content
            )
            expired = isinstance(answer, Failure) and answer.status == 401
            if not (expired and login.renew(self._config, self._http)):
                break
        return self._explained(answer) if isinstance(answer, Failure) else answer

    def _explained(self, failure: Failure) -> Failure:
        """A refusal with its reason in front: the rule's or the policy's name."""
        error = failure.body.get("error") if isinstance(failure.body, dict) else None
        if failure.result != "rejected" or not isinstance(error, dict):
            return failure
        said = f"{error.get('message') or ''} {error.get('detail') or ''}"
        for pattern, words in _REFUSALS:
            if found := pattern.search(said):
                why = words.format(found[1].strip()[:MAX_RULE])
                return replace(failure, detail=self._http.words(f"{why}; {failure.detail}"))
        return failure

    def _row(
        self, method: Method, path: str, *, idempotent: bool, json: Mapping[str, str] | None = None
    ) -> Row | Failure:
        params = {**PLAIN_VALUES, "sysparm_fields": self._fields}
        result = self._result(method, path, idempotent=idempotent, json=json, params=params)
        if isinstance(result, Failure):
            return result
        if not isinstance(result, dict) or not result.get("sys_id"):
            return _unexpected(idempotent=idempotent)
        return _texts(result)

    def _result(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        params: Mapping[str, str],
        json: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever stands under `result`, or a Failure
        path = f"/api/now/table/{path}"
        answer = self.call(method, path, idempotent=idempotent, params=params, json=json)
        return answer if isinstance(answer, Failure) else result_of(answer, idempotent=idempotent)

    def _login(self) -> Mapping[str, str] | Failure:
        return login.headers(self._config, self._http)


NOTES = "work_notes"


def named_refusal(failure: Failure) -> bool:
    """Whether the instance said which rule, policy or ACL refused the write: then nothing was written."""
    return failure.result == "rejected" and any(pattern.search(str(failure.body)) for pattern, _ in _REFUSALS)


def result_of(answer: Reply, *, idempotent: bool) -> Any:  # noqa: ANN401  # whatever stands there, or a Failure
    """What stands under `result` in an answer; a Failure where it is not the API that answered."""
    if not isinstance(answer.body, dict) or "result" not in answer.body:
        return _unexpected(idempotent=idempotent)
    return answer.body["result"]


def _texts(row: Mapping[str, Any]) -> Row:
    """Every value as text; a reference in its long form is its value."""
    return {
        name: str(value.get("value", "") if isinstance(value, dict) else value if value is not None else "")
        for name, value in row.items()
    }


def _unexpected(*, idempotent: bool) -> Failure:
    words = "the answer holds no result of the REST API"
    if idempotent:
        return Failure("retry", Reason.BAD_ANSWER, 200, words, after=NOT_THE_API)
    return Failure("ambiguous", Reason.BAD_ANSWER, 200, words)
