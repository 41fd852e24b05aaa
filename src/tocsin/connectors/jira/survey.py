"""Which issues of ours stand in Jira, and how? Read-only, for reconciliation. The search index lags by minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.poll import STANDS, key_of
from tocsin.connectors.jira.render import MARK, label
from tocsin.connectors.jira.site import Issue, Site, issue_of
from tocsin.domain.record import Reason
from tocsin.domain.seen import Seen

KEYS_AT_ONCE = 40
PAGES = 50


def survey(config: Config, keys: Sequence[str], since: datetime, http: Http) -> tuple[Seen, ...] | Failure:
    """The issues under these keys; without keys all that carry our label and were created since."""
    if config.target == "alert":
        return Failure("rejected", Reason.CLIENT_ERROR, detail="target: alert keeps alerts, which are not surveyed")
    site = Site(config, http, now=since)
    found: list[Seen] = []
    for jql in _queries(keys, since):
        issues = _all(site, jql)
        if isinstance(issues, Failure):
            return issues
        found += [_seen(config, issue, key) for issue, key in issues if not keys or key in keys]
    return tuple(found)


def _queries(keys: Sequence[str], since: datetime) -> Iterator[str]:
    """Dates of a query are the user's local time: a day more is asked for than is needed."""
    if not keys:
        yield f'labels = "{MARK}" AND created >= "{since:%Y-%m-%d}" ORDER BY created ASC'
    for at in range(0, len(keys), KEYS_AT_ONCE):
        listed = ", ".join(f'"{label(key)}"' for key in keys[at : at + KEYS_AT_ONCE])
        yield f"labels in ({listed}) ORDER BY created ASC"


def _all(site: Site, jql: str) -> list[tuple[Issue, str]] | Failure:
    found: list[tuple[Issue, str]] = []
    page = ""
    for _ in range(PAGES):
        answer = site.search(jql, page=page)
        if isinstance(answer, Failure):
            return answer
        found += [(issue_of(row, key), key) for row in answer[0] if (key := key_of(row))]
        page = answer[1]
        if not page:
            break
    return found


def _seen(config: Config, issue: Issue, key: str) -> Seen:
    fields: Mapping[str, Any] = issue.fields
    values = {
        "status": issue.status,
        "category": issue.category,
        "priority": issue.priority,
        "assignee": issue.assignee,
    }
    return Seen(
        external_id=issue.id,
        key=key,
        number=issue.key,
        url=f"{config.root}/browse/{issue.key}",
        status=STANDS.get(issue.category) or "open",
        created_at=_moment(issue.created),
        updated_at=_moment(fields.get("updated")),
        values=values,
    )


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
