"""How do we speak with one Jira site: read, search, create, edit, move, link and comment on issues?

Cloud: https://developer.atlassian.com/cloud/jira/platform/rest/v3/ · Data Center: REST v2. See vendors.md §2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from tocsin.connectors._http import NOT_THE_API, Failure, Http, Method, Reply, basic
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.multipart import multipart
from tocsin.connectors.jira.render import PROPERTY, label
from tocsin.domain.record import Attachment, Outcome, Reason

FIELDS = ("summary", "status", "labels", "priority", "assignee", "resolution", "created", "updated", "issuelinks")
DONE = "done"
MAX_FOUND = 100
BURST, QUOTA, PER_ISSUE = "jira-burst-based", "jira-quota", "jira-per-issue-on-write"
"""RateLimit-Reason: one endpoint is too busy; the hour's quota is used up (a prefix); one issue is written too often.
https://developer.atlassian.com/cloud/jira/platform/rate-limiting/"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    id: str
    name: str
    status: str
    category: str
    """Of the status it leads to."""
    has_screen: bool | None = None
    """None where the site does not say."""
    fields: Mapping[str, Any] | None = None
    """Of its screen; None while they were not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue as it stands. `category` is Jira's own: new, indeterminate or done."""

    id: str
    key: str
    status: str = ""
    category: str = ""
    priority: str = ""
    assignee: str = ""
    created: str = ""
    ours: str = ""
    """Our key as the issue carries it, by property or label; empty where it carries none."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """As Jira showed them."""
    transitions: tuple[Transition, ...] | None = None
    """Where it can go from here; None while that was not asked for."""

    @property
    def number(self) -> int:
        """42 of OPS-42; 0 where the key is none."""
        last = self.key.rpartition("-")[2]
        return int(last) if last.isdigit() else 0

    @property
    def age(self) -> tuple[str, int]:
        """Sorts the oldest first."""
        return self.created, int(self.id) if self.id.isdigit() else 0

    def links_to(self, key: str) -> bool:
        """Whether any issue link joins it with that issue."""
        links = _list(self.fields, "issuelinks")
        return any(_in(link, side, "key") == key for link in links for side in ("inwardIssue", "outwardIssue"))


def ended(failure: Failure) -> Outcome:
    """The end of an attempt by a failed write. The limit of one issue holds up this record and no other."""
    return replace(failure.outcome(), alone=failure.limited_by == PER_ISSUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Who last set one field of an issue."""

    field: str
    account: str
    is_app: bool


class Site:
    """The REST API of one site, for one attempt. `now` dates the pauses that the site asks for."""

    def __init__(self, config: Config, http: Http, *, now: datetime) -> None:
        self._http = http
        self._now = now
        self.cloud = config.flavour == "cloud"
        self._api = f"{config.root}/rest/api/{3 if self.cloud else 2}"
        token = config.api_token.get_secret_value()
        self._headers = {"Authorization": basic(config.email, token) if self.cloud else f"Bearer {token}"}

    # issues

    def create(self, body: Mapping[str, Any]) -> Mapping[str, Any] | Failure:
        """A new issue: its id and key. Never repeated blindly."""
        made = self.ask("POST", "/issue", idempotent=False, json=body)
        if isinstance(made, Failure) or (made.get("id") and made.get("key")):
            return made
        return Failure("ambiguous", Reason.BAD_ANSWER, 200, "the answer to the create names no issue")

    def read(self, issue_id: str, key: str, *, moves: bool = False, extra: Sequence[str] = ()) -> Issue | Failure:
        """One issue by id, not by index; `key` is ours, to be looked for on it. `moves` asks for its transitions in
        the same call."""
        params = {"fields": ",".join((*FIELDS, *extra)), "properties": PROPERTY}
        if moves:
            params["expand"] = "transitions"
        found = self.ask("GET", f"/issue/{issue_id}", idempotent=True, params=params)
        return found if isinstance(found, Failure) else issue_of(found, key)

    def search(self, jql: str, *, limit: int = MAX_FOUND, page: str = "") -> tuple[list[dict[str, Any]], str] | Failure:
        """The issues of a bounded query with our property, and the token of the next page (empty: no more). The index
        lags behind by seconds to minutes (vendors.md §2.3). Data Center's tokens are offsets."""
        body: dict[str, Any] = {"jql": jql, "fields": list(FIELDS), "maxResults": limit}
        if self.cloud:
            body |= {"properties": [PROPERTY], **({"nextPageToken": page} if page else {})}
        elif page:
            body["startAt"] = int(page)
        found = self.ask("POST", "/search/jql" if self.cloud else "/search", idempotent=True, json=body)
        if isinstance(found, Failure):
            return found
        rows = _list(found, "issues")
        if self.cloud:
            return rows, str(found.get("nextPageToken") or "")
        end = int(found.get("startAt") or 0) + len(rows)
        return rows, str(end) if rows and end < int(found.get("total") or 0) else ""

    def labelled(self, key: str) -> list[Issue] | Failure:
        """The issues that carry our label, oldest first, as far as the index knows them."""
        found = self.search(f'labels = "{label(key)}" ORDER BY created ASC', limit=20)
        if isinstance(found, Failure):
            return found
        issues = [issue_of(row, key) for row in found[0]]
        return sorted((issue for issue in issues if issue.ours == key), key=lambda issue: issue.age)

    def newest_number(self, project: str) -> int | Failure:
        """The highest issue number of a project that the index knows; 0 where it knows none."""
        found = self.search(f'project = "{project}" ORDER BY key DESC', limit=1)
        if isinstance(found, Failure):
            return found
        return issue_of(found[0][0], "").number if found[0] else 0

    def by_keys(self, keys: Sequence[str], key: str) -> list[Issue] | Failure:
        """At most 100 issues by their keys, read past the index (Cloud only); those that do not exist are left out.
        `key` is ours, to be looked for on them."""
        body = {"issueIdsOrKeys": list(keys), "fields": list(FIELDS), "properties": [PROPERTY]}
        found = self.ask("POST", "/issue/bulkfetch", idempotent=True, json=body)
        return found if isinstance(found, Failure) else [issue_of(row, key) for row in _list(found, "issues")]

    def edit(self, issue_id: str, fields: Mapping[str, Any]) -> Failure | None:
        """Set these fields."""
        return self._done("PUT", f"/issue/{issue_id}", idempotent=True, json={"fields": fields})

    def last_moves(self, issue_id: str) -> list[Moved] | Failure:
        """Who changed which field, oldest first, as far as one page of the changelog tells (the last one on Cloud)."""
        if not self.cloud:
            params = {"expand": "changelog", "fields": "status"}
            shown = self.ask("GET", f"/issue/{issue_id}", idempotent=True, params=params)
            return shown if isinstance(shown, Failure) else _moves(_list(shown.get("changelog") or {}, "histories"))
        path = f"/issue/{issue_id}/changelog"
        page = self.ask("GET", path, idempotent=True, params={"maxResults": "100"})
        if isinstance(page, Failure):
            return page
        total = int(page.get("total") or 0)
        if total > 100:
            params = {"maxResults": "100", "startAt": str(total - 100)}
            page = self.ask("GET", path, idempotent=True, params=params)
        return page if isinstance(page, Failure) else _moves(_list(page, "values"))

    # workflow

    def transitions(self, issue_id: str) -> list[Transition] | Failure:
        """Where the issue can go from here, with the fields of each screen; ids differ per workflow."""
        path = f"/issue/{issue_id}/transitions"
        found = self.ask("GET", path, idempotent=True, params={"expand": "transitions.fields"})
        return found if isinstance(found, Failure) else [_transition(row) for row in _list(found, "transitions")]

    def move(self, issue_id: str, body: Mapping[str, Any]) -> Failure | None:
        """Carry out a transition. A lost answer is settled by reading the status, not by moving again."""
        return self._done("POST", f"/issue/{issue_id}/transitions", idempotent=False, json=body)

    # what hangs on an issue

    def comments(self, issue_id: str) -> str | Failure:
        """The newest comments with their properties, as one text to look for markers in."""
        params = {"maxResults": "100", "orderBy": "-created", "expand": "properties"}
        found = self.ask("GET", f"/issue/{issue_id}/comment", idempotent=True, params=params)
        return found if isinstance(found, Failure) else orjson.dumps(_list(found, "comments")).decode()

    def comment(self, issue_id: str, body: Mapping[str, Any]) -> Failure | None:
        """Add a comment. Not idempotent."""
        return self._done("POST", f"/issue/{issue_id}/comment", idempotent=False, json=body)

    def link(self, issue_id: str, body: Mapping[str, Any]) -> Failure | None:
        """A web link on the issue; Jira itself keeps one per globalId, so that a repeat is harmless."""
        return self._done("POST", f"/issue/{issue_id}/remotelink", idempotent=True, json=body)

    def join(self, kind: str, here: str, there: str) -> Failure | None:
        """Link two issues: `here` duplicates (relates to …) `there`."""
        body = {"type": {"name": kind}, "inwardIssue": {"key": here}, "outwardIssue": {"key": there}}
        return self._done("POST", "/issueLink", idempotent=False, json=body)

    def attach(self, issue_id: str, file: Attachment) -> Failure | None:
        """Attach a file. Not idempotent: the same name twice makes two."""
        media_type, content = multipart("file", file)
        headers = {"X-Atlassian-Token": "no-check", "Content-Type": media_type}
        answer = self._call(
            "POST", f"/issue/{issue_id}/attachments", idempotent=False, headers=headers, content=content
        )
        return answer if isinstance(answer, Failure) else None

    # about the site

    def myself(self) -> Mapping[str, Any] | Failure:
        """The account whose token we use."""
        return self.ask("GET", "/myself", idempotent=True)

    def ask(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any] | Failure:
        """Any call under /rest/api/3 (or 2) that answers with an object."""
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

    def _call(
        self,
        method: Method,
        path: str,
        *,
        idempotent: bool,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply | Failure:
        endpoint = f"pause {method} " + re.sub(r"/\d+|/[A-Z][A-Z0-9_]*-\d+", "/*", path)
        for name in (endpoint, "pause"):
            until: datetime | None = self._http.recall(name)
            if until is not None and until > self._now:
                words = f"not sent: the site asked for a pause of {name.removeprefix('pause').strip() or 'all calls'}"
                return Failure("retry", Reason.RATE_LIMITED, 429, words, after=until - self._now)
        answer = self._http.call(
            method,
            self._api + path,
            idempotent=idempotent,
            headers={**self._headers, **(headers or {})},
            json=json,
            content=content,
            params=params,
        )
        if isinstance(answer, Failure) and answer.after is not None:
            if answer.limited_by == BURST:
                self._pause(endpoint, answer.after)
            elif answer.limited_by.startswith(QUOTA):
                self._pause("pause", answer.after)
        return answer

    def _pause(self, name: str, span: timedelta) -> None:
        self._http.remember(name, self._now + span, for_s=span.total_seconds())


def issue_of(row: Mapping[str, Any], key: str) -> Issue:
    """An issue from the vendor's JSON; `key` is ours, and `ours` says whether the issue carries it."""
    fields = row.get("fields") or {}
    carried = str(_in(row, "properties", PROPERTY, "key") or "")
    ways = [_transition(one) for one in _list(row, "transitions")] if "transitions" in row else None
    return Issue(
        id=str(row.get("id", "")),
        key=str(row.get("key", "")),
        status=str(_in(fields, "status", "name") or ""),
        category=str(_in(fields, "status", "statusCategory", "key") or ""),
        priority=str(_in(fields, "priority", "name") or ""),
        assignee=_account(fields.get("assignee")),
        created=str(fields.get("created") or ""),
        ours=key if key and label(key) in (fields.get("labels") or []) else carried,
        fields=fields,
        transitions=None if ways is None else tuple(ways),
    )


def _transition(row: Mapping[str, Any]) -> Transition:
    screen, fields = row.get("hasScreen"), row.get("fields")
    return Transition(
        id=str(row.get("id", "")),
        name=str(row.get("name", "")),
        status=str(_in(row, "to", "name") or ""),
        category=str(_in(row, "to", "statusCategory", "key") or ""),
        has_screen=screen if isinstance(screen, bool) else None,
        fields=fields if isinstance(fields, dict) else None,
    )


def _moves(histories: list[dict[str, Any]]) -> list[Moved]:
    ordered = sorted(histories, key=lambda one: str(one.get("created") or ""))
    return [
        Moved(
            field=str(item.get("field", "")).lower(),
            account=_account(one.get("author")),
            is_app=_in(one, "author", "accountType") == "app",
        )
        for one in ordered
        for item in _list(one, "items")
    ]


def _account(user: object) -> str:
    """Account id on Cloud, name on Data Center."""
    return str(_in(user, "accountId") or _in(user, "name") or "")


def _in(value: Any, *path: str) -> Any:  # noqa: ANN401  # a walk through the vendor's JSON
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = body.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
