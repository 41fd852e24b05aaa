"""How do we speak with one Jira site: read, search, create, edit, move and comment on issues?

Cloud: https://developer.atlassian.com/cloud/jira/platform/rest/v3/ · Data Center: REST v2. See vendors.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.connectors._http import NOT_THE_API, Failure, Http, Method, Reply, basic
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import PROPERTY, label
from tocsin.domain.record import Reason

_FIELDS = ("summary", "status", "labels", "priority", "assignee", "created")
DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue as it stands. `category` is Jira's own: new, indeterminate or done."""

    id: str
    key: str
    status: str
    category: str
    priority: str
    assignee: str
    created: str
    ours: str
    """Our key as the issue carries it, by property or label; empty where it carries none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    id: str
    name: str
    category: str
    """Of the status it leads to."""
    fields: Mapping[str, Any]


class Site:
    """The REST API of one site, for one attempt."""

    def __init__(self, config: Config, http: Http) -> None:
        self._http = http
        self._cloud = config.flavour == "cloud"
        self._api = f"{config.root}/rest/api/{3 if self._cloud else 2}"
        token = config.api_token.get_secret_value()
        self._headers = {"Authorization": basic(config.email, token) if self._cloud else f"Bearer {token}"}

    def create(self, body: Mapping[str, Any]) -> Mapping[str, Any] | Failure:
        """A new issue: its id and key. Never repeated blindly."""
        made = self._object("POST", "/issue", idempotent=False, json=body)
        if isinstance(made, Failure) or (made.get("id") and made.get("key")):
            return made
        return Failure("ambiguous", Reason.BAD_ANSWER, 200, "the answer to the create names no issue")

    def read(self, issue_id: str, key: str) -> Issue | Failure:
        """One issue by id, not by index; `key` is ours, to be looked for on it."""
        params = {"fields": ",".join(_FIELDS), "properties": PROPERTY}
        found = self._object("GET", f"/issue/{issue_id}", idempotent=True, params=params)
        return found if isinstance(found, Failure) else _issue(found, key)

    def labelled(self, key: str) -> list[Issue] | Failure:
        """The issues that carry our label, oldest first. The index lags by seconds to minutes (vendors.md §2.3)."""
        body = {
            "jql": f'labels = "{label(key)}" ORDER BY created ASC',
            "fields": list(_FIELDS),
            "maxResults": 20,
        }
        path = "/search/jql" if self._cloud else "/search"
        found = self._object("POST", path, idempotent=True, json=body)
        if isinstance(found, Failure):
            return found
        issues = [_issue(row, key) for row in _list(found, "issues")]
        return sorted((issue for issue in issues if issue.ours == key), key=lambda issue: (issue.created, issue.id))

    def edit(self, issue_id: str, fields: Mapping[str, Any]) -> Failure | None:
        """Set these fields."""
        return self._done("PUT", f"/issue/{issue_id}", idempotent=True, json={"fields": fields})

    def transitions(self, issue_id: str) -> list[Transition] | Failure:
        """Where the issue can go from here; ids differ per workflow."""
        path = f"/issue/{issue_id}/transitions"
        found = self._object("GET", path, idempotent=True, params={"expand": "transitions.fields"})
        if isinstance(found, Failure):
            return found
        return [
            Transition(
                id=str(row.get("id", "")),
                name=str(row.get("name", "")),
                category=str(_in(row, "to", "statusCategory", "key") or ""),
                fields=row.get("fields") or {},
            )
            for row in _list(found, "transitions")
        ]

    def move(self, issue_id: str, body: Mapping[str, Any]) -> Failure | None:
        """Carry out a transition. A lost answer is settled by reading the status, not by moving again."""
        return self._done("POST", f"/issue/{issue_id}/transitions", idempotent=False, json=body)

    def comments(self, issue_id: str) -> str | Failure:
        """The newest comments with their properties, as one text to look for markers in."""
        params = {"maxResults": "100", "orderBy": "-created", "expand": "properties"}
        found = self._object("GET", f"/issue/{issue_id}/comment", idempotent=True, params=params)
        return found if isinstance(found, Failure) else orjson.dumps(_list(found, "comments")).decode()

    def comment(self, issue_id: str, body: Mapping[str, Any]) -> Failure | None:
        """Add a comment. Not idempotent."""
        return self._done("POST", f"/issue/{issue_id}/comment", idempotent=False, json=body)

    def link(self, issue_id: str, body: Mapping[str, Any]) -> Failure | None:
        """A link on the issue; Jira itself keeps one per globalId."""
        return self._done("POST", f"/issue/{issue_id}/remotelink", idempotent=True, json=body)

    def _call(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply | Failure:
        return self._http.call(
            method, self._api + path, idempotent=idempotent, headers=self._headers, json=json, params=params
        )

    def _object(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any] | Failure:
        answer = self._call(method, path, idempotent=idempotent, json=json, params=params)
        if isinstance(answer, Failure):
            return answer
        if isinstance(answer.body, dict):
            return answer.body
        words = "the answer is not Jira's"
        if idempotent:
            return Failure("retry", Reason.BAD_ANSWER, answer.status, words, after=NOT_THE_API)
        return Failure("ambiguous", Reason.BAD_ANSWER, answer.status, words)

    def _done(self, method: Method, path: str, *, idempotent: bool, json: Mapping[str, Any]) -> Failure | None:
        answer = self._call(method, path, idempotent=idempotent, json=json)
        return answer if isinstance(answer, Failure) else None


def _issue(row: Mapping[str, Any], key: str) -> Issue:
    fields = row.get("fields") or {}
    carried = str(_in(row, "properties", PROPERTY, "key") or "")
    return Issue(
        id=str(row.get("id", "")),
        key=str(row.get("key", "")),
        status=str(_in(fields, "status", "name") or ""),
        category=str(_in(fields, "status", "statusCategory", "key") or ""),
        priority=str(_in(fields, "priority", "name") or ""),
        assignee=str(_in(fields, "assignee", "accountId") or _in(fields, "assignee", "name") or ""),
        created=str(fields.get("created") or ""),
        ours=key if label(key) in (fields.get("labels") or []) else carried,
    )


def _in(value: Any, *path: str) -> Any:  # noqa: ANN401  # a walk through the vendor's JSON
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = body.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
