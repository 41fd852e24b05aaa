"""What did people do to our issues since the last look? Their changelogs and comments, for sites that post nothing.

The search index lags by seconds to minutes and its dates are the user's local time, so that the query asks for the last
minutes, generously; each history entry and each comment has an id and counts once.
https://developer.atlassian.com/cloud/jira/platform/rest/v3/ "Get changelogs", "Get comments"
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import MARK, PROPERTY
from tocsin.connectors.jira.site import Site
from tocsin.domain.message import RecordAction, RecordUpdate
from tocsin.domain.people import Stands
from tocsin.domain.seen import Polled

OVERLAP = timedelta(minutes=5)
"""The index lags "few seconds to minutes" (vendors.md §2.3)."""
FIRST_LOOK = timedelta(hours=1)
EARLIER = timedelta(hours=1)
"""An issue that changed since may have been changed before too, unread: its history is read from so much earlier, and
what is heard twice counts once."""
PAGE, PAGES, MOST_PAGES = 50, 4, 40
"""Pages of issues read in one look, and with those that were read before: a search knows whole minutes only."""
MAX_COMMENT = 4_000
ME_KEPT_S = 3600
_LABEL = re.compile(rf"{MARK}-([0-9a-f]{{32}})")

STANDS: dict[str, Stands] = {"new": "open", "indeterminate": "acknowledged", "done": "resolved"}
"""By status category, the same on every site."""

Row = Mapping[str, Any]


def poll(config: Config, watermark: str, now: datetime, http: Http) -> Polled | Failure:
    """People's acts on issues that carry our label, since the watermark, oldest first."""
    if config.target == "alert":
        return Polled(watermark=watermark)
    attempt = http.attempt(now)
    site = Site(config, attempt, now=now)
    since = (_moment(watermark) or now - FIRST_LOOK) - OVERLAP
    issues, more = _updated(site, since, now)
    if isinstance(issues, Failure):
        return issues
    me = _me(site, attempt)
    if isinstance(me, Failure):
        return me
    updates: list[RecordUpdate] = []
    reached = now - OVERLAP
    for issue in issues:
        found = _told(site, issue, since - EARLIER, me, now)
        if isinstance(found, Failure):
            if not updates:
                return found
            more = True  # the attempt's time is over: the rest is read by the next look
            break
        updates += found
        reached = _moment(_in(issue, "fields", "updated")) or reached
    ordered = sorted(updates, key=lambda update: update.occurred_at)
    # where there is more, the next look goes on just there: what was read is not read again
    mark = reached + OVERLAP if more else max(reached, now - OVERLAP)
    return Polled(updates=tuple(ordered), watermark=mark.isoformat(), more=more)


def _told(site: Site, issue: Row, since: datetime, me: str, now: datetime) -> list[RecordUpdate] | Failure:
    """What one issue tells: its history and its comments."""
    moves = _moves(site, issue, since, me, now)
    comments = _comments(site, issue, since, me, now) if not isinstance(moves, Failure) else moves
    if isinstance(moves, Failure) or isinstance(comments, Failure):
        return moves if isinstance(moves, Failure) else comments
    return [*moves, *comments]


def _updated(site: Site, since: datetime, now: datetime) -> tuple[list[Row] | Failure, bool]:
    minutes = max(1, math.ceil((now - since).total_seconds() / 60))
    jql = f'labels = "{MARK}" AND updated >= -{minutes}m ORDER BY updated ASC'
    rows: list[Row] = []
    page = ""
    for _ in range(MOST_PAGES):
        found = site.search(jql, limit=PAGE, page=page)
        if isinstance(found, Failure):
            return found, False
        rows += [row for row in found[0] if key_of(row) and (_moment(_in(row, "fields", "updated")) or now) >= since]
        page = found[1]
        if not page or len(rows) > PAGE * (PAGES - 1):
            break
    return rows, bool(page)


def key_of(row: Row) -> str:
    """Our key on an issue of the search, by label or property; empty where it carries none."""
    labels = _in(row, "fields", "labels")
    by_label = (_LABEL.fullmatch(str(one)) for one in (labels if isinstance(labels, list) else []))
    return next((found[1] for found in by_label if found), "") or str(_in(row, "properties", PROPERTY, "key") or "")


def _moves(site: Site, issue: Row, since: datetime, me: str, now: datetime) -> list[RecordUpdate] | Failure:
    """The issue's history since then, an update for each thing that an entry changed."""
    histories = _histories(site, str(issue.get("id", "")))
    if isinstance(histories, Failure):
        return histories
    found = []
    for one in histories:
        at = _moment(one.get("created"))
        if at is None or at < since:
            continue
        items = {str(item.get("field", "")).lower(): item for item in _list(one, "items")}
        for action, stands in _actions(items, issue):
            event = f"changelog:{one.get('id')}:{action}"
            found.append(
                _of(issue, one.get("author"), me, action, at=at, now=now, event_id=event, items=items, stands=stands)
            )
    return found


def _histories(site: Site, issue_id: str) -> list[Row] | Failure:
    """The newest page of an issue's history."""
    if not site.cloud:
        params = {"expand": "changelog", "fields": "status"}
        shown = site.ask("GET", f"/issue/{issue_id}", idempotent=True, params=params)
        return shown if isinstance(shown, Failure) else _list(shown.get("changelog"), "histories")
    path = f"/issue/{issue_id}/changelog"
    page = site.ask("GET", path, idempotent=True, params={"maxResults": "100"})
    if not isinstance(page, Failure) and int(page.get("total") or 0) > 100:
        start = str(int(page["total"]) - 100)
        page = site.ask("GET", path, idempotent=True, params={"maxResults": "100", "startAt": start})
    return page if isinstance(page, Failure) else _list(page, "values")


def _actions(items: Mapping[str, Row], issue: Row) -> Iterator[tuple[RecordAction, Stands]]:
    """What an entry of the history did. Where it moved the status, the issue's present category says where to, unless
    the resolution tells: names differ per workflow."""
    resolution = items.get("resolution")
    category = str(_in(issue, "fields", "status", "statusCategory", "key") or "")
    here = "status" in items and items["status"].get("toString") == _in(issue, "fields", "status", "name")
    if (resolution and resolution.get("toString")) or (here and category == "done"):
        yield RecordAction.RESOLVED, "resolved"
    elif resolution and resolution.get("fromString"):
        yield RecordAction.REOPENED, "open"
    elif here and category == "indeterminate":
        yield RecordAction.ACKNOWLEDGED, "acknowledged"
    if "assignee" in items:
        yield RecordAction.REASSIGNED, ""
    if "priority" in items:
        yield RecordAction.PRIORITY_CHANGED, ""
    if "root cause" in items and items["root cause"].get("toString"):
        yield RecordAction.CAUSE_SET, ""


def _comments(site: Site, issue: Row, since: datetime, me: str, now: datetime) -> list[RecordUpdate] | Failure:
    """Comments of others since then, as plain text."""
    params = {"maxResults": "50", "orderBy": "-created"}
    shown = site.ask("GET", f"/issue/{issue.get('id')}/comment", idempotent=True, params=params)
    if isinstance(shown, Failure):
        return shown
    found = []
    for one in _list(shown, "comments"):
        at, text = _moment(one.get("created")), plain(one.get("body")).strip()
        if at is not None and at >= since and text:
            event = f"comment:{one.get('id')}"
            said = _of(
                issue, one.get("author"), me, RecordAction.COMMENTED, at=at, now=now, event_id=event, comment=text
            )
            found.append(said)
    return found


def _of(
    issue: Row,
    author: object,
    me: str,
    action: RecordAction,
    *,
    at: datetime,
    now: datetime,
    event_id: str,
    items: Mapping[str, Row] | None = None,
    stands: Stands = "",
    comment: str = "",
) -> RecordUpdate:
    who = author if isinstance(author, dict) else {}
    moved = {name: str(item.get("toString") or "") for name, item in (items or {}).items()}
    return RecordUpdate(
        source="jira",
        hook="",
        environment="",
        action=action,
        external_id=str(issue.get("id", "")),
        record_key=key_of(issue),
        number=str(issue.get("key", "")),
        actor=str(who.get("displayName") or who.get("name") or who.get("accountId") or ""),
        actor_kind=_actor_kind(who, me),
        occurred_at=at,
        received_at=now,
        event_id=event_id,
        status=moved.get("status", ""),
        stands=stands,
        assignee=moved.get("assignee", ""),
        priority=moved.get("priority", ""),
        comment=comment[:MAX_COMMENT],
        caused_by=moved.get("root cause", "")[:200],
        close_code=moved.get("resolution", ""),
        summary=f"{issue.get('key')} {action.replace('_', ' ')}",
    )


def _actor_kind(who: Row, me: str) -> str:
    account = str(who.get("accountId") or who.get("name") or "")
    if who.get("accountType") == "app" or (me and account == me):
        return "integration"
    return "user" if account else ""


def _me(site: Site, http: Http) -> str | Failure:
    """The account whose token we use; remembered for an hour."""
    known: str | None = http.recall("jira.me")
    if known is None:
        shown = site.myself()
        if isinstance(shown, Failure):
            return shown
        known = str(shown.get("accountId") or shown.get("name") or "")
        http.remember("jira.me", known, for_s=ME_KEPT_S)
    return known


def plain(body: object) -> str:
    """The text of a comment: an Atlassian document's, paragraph by paragraph, or Data Center's own text."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    if body.get("type") == "text":
        return str(body.get("text") or "")
    if body.get("type") in ("mention", "emoji"):
        return str(_in(body, "attrs", "text") or "")
    if body.get("type") == "hardBreak":
        return "\n"
    inner = "".join(plain(one) for one in body.get("content") or [])
    return inner + "\n" if body.get("type") in ("paragraph", "heading", "codeBlock", "listItem", "tableRow") else inner


def _moment(text: object) -> datetime | None:
    """An aware moment from Jira's `2026-11-21T10:31:07.000+0000`."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _in(value: Any, *path: str) -> Any:  # noqa: ANN401  # a walk through the vendor's JSON
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(body: object, name: str) -> list[Row]:
    rows = body.get(name) if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
