"""What does PagerDuty show of an incident, and what may be written on it? The REST API v2, as far as we need it.

Everything answers with a value or with the `Failure` of the call. https://developer.pagerduty.com/api-reference/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from tocsin.connectors._connector import one_line
from tocsin.connectors._http import Failure, Http, Reply
from tocsin.connectors.pagerduty.config import Config
from tocsin.domain.record import Reason

ACCEPT = "application/vnd.pagerduty+json;version=2"
PAGE, REACH = 100, 10_000
"""`limit` is at most 100, offset + limit at most 10,000 (docs/rest-api-v2/pagination)."""
NO_OPS = (1001, 1002)
"""Already resolved, already acknowledged: as wanted (docs/rest-api-v2/errors)."""
PRIORITIES_KEPT_S = 3600

Row = dict[str, Any]
Method = Literal["GET", "POST", "PUT"]
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident as the REST API shows it."""

    id: str
    key: str
    """The dedup key of the alert that it was looked up for, else its own; empty where it shows none."""
    number: str = ""
    url: str = ""
    title: str = ""
    status: str = ""
    """triggered, acknowledged, resolved."""
    priority: str = ""
    urgency: str = ""
    service: str = ""
    """Its name."""
    assignees: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    changed_at: datetime | None = None
    """When its status last changed."""
    changed_by: str = ""
    """A person's name, where a person changed the status last."""
    merged_into: str = ""
    """Id of the incident that holds its alerts now."""
    alerts: int = 0
    """How many it holds."""
    ours: bool = True
    """False: a foreign incident that our alert was merged into. Never written."""

    @property
    def open(self) -> bool:
        return self.status != "resolved"

    def opened_again(self, *, after: datetime) -> bool:
        """Did a person open it again after our resolve of that moment? One that was created since then comes from a
        late trigger instead."""
        changed, created = self.changed_at, self.created_at
        return bool(self.changed_by and changed and changed > after and created and created < after)


def incident_of(row: Row) -> Incident:
    """An incident from one row of the API."""
    by, reason = _object(row, "last_status_change_by"), _object(row, "resolve_reason")
    person = str(by.get("type", "")).startswith("user")
    return Incident(
        id=str(row.get("id") or ""),
        key=str(row.get("incident_key") or ""),
        number=str(row.get("incident_number") or ""),
        url=str(row.get("html_url") or ""),
        title=str(row.get("title") or ""),
        status=str(row.get("status") or ""),
        priority=_name(_object(row, "priority")),
        urgency=str(row.get("urgency") or ""),
        service=_name(_object(row, "service")),
        assignees=tuple(_name(_object(one, "assignee")) for one in _rows(row, "assignments")),
        created_at=moment(row.get("created_at")),
        updated_at=moment(row.get("updated_at")),
        changed_at=moment(row.get("last_status_change_at")),
        changed_by=_name(by) or "a person" if person else "",
        alerts=_whole(_object(row, "alert_counts").get("all")),
        merged_into=str(_object(reason, "incident").get("id") or ""),
    )


class Rest:
    """The REST API of one account. Only of use where `usable`."""

    def __init__(self, config: Config, http: Http) -> None:
        self._config = config
        self._http = http

    @property
    def usable(self) -> bool:
        """Is there a token?"""
        return self._config.api_token is not None

    # -- reading -------------------------------------------------------------------------------------------------

    def find(self, key: str) -> tuple[Incident, ...] | Failure:
        """Every incident that holds, or held, the alert with our key, newest first: ours, and foreign ones that a
        person merged it into. Rows that are neither are left out, whatever the query returned."""
        asked = (("incident_key", key), ("date_range", "all"), ("sort_by", "created_at:desc"), ("limit", "25"))
        rows = self._list("/incidents", "incidents", asked)
        if isinstance(rows, Failure):
            return rows
        found = [incident_of(row) for row in rows]
        ours = [one for one in found if one.key == key]
        others = {one.id: one for one in found if one.key != key}
        merged = {one.merged_into for one in ours if one.merged_into} - {one.id for one in ours}
        for incident_id in sorted(merged | set(others))[:3]:
            held = self._holder(incident_id, others.get(incident_id), key)
            if isinstance(held, Failure):
                return held
            ours += [held] if held else []
        return tuple(ours)

    def _holder(self, incident_id: str, shown: Incident | None, key: str) -> Incident | Failure | None:
        """An incident that shows another key, or none, and yet holds our alert, with our alert's own end. It is ours
        where it has no key and no other alert (https://developer.pagerduty.com/api-reference/ List incidents:
        `incidents with child alerts do not have an incident key`). None when it does not hold our alert."""
        alerts = self._list(f"/incidents/{incident_id}/alerts", "alerts", (("alert_key", key),))
        if isinstance(alerts, Failure):
            return None if alerts.status == 404 else alerts
        mine = [row for row in alerts if row.get("alert_key") == key]
        if not mine:
            return None
        if shown is None:
            found = self.incident(incident_id)
            if isinstance(found, Failure):
                return found
            shown = found
        ended = all(row.get("status") == "resolved" for row in mine)
        alone = not shown.key and shown.alerts == len(mine)
        return replace(shown, ours=alone, key=key, status="resolved" if ended else shown.status)

    def incident(self, incident_id: str) -> Incident | Failure:
        """One incident by PagerDuty's id."""
        answer = self.call("GET", f"/incidents/{incident_id}")
        return answer if isinstance(answer, Failure) else incident_of(_object(answer.body, "incident"))

    def incidents(
        self, *, since: datetime, until: datetime, statuses: Sequence[str] = ()
    ) -> tuple[Incident, ...] | Failure:
        """All incidents created in the span (at most 6 months), newest first, at most 10,000 of them."""
        span = (("since", iso(since)), ("until", iso(until)), ("sort_by", "created_at:desc"))
        rows = self.every("/incidents", "incidents", (*span, *(("statuses[]", one) for one in statuses)))
        return rows if isinstance(rows, Failure) else tuple(incident_of(row) for row in rows)

    def log_entries(self, *, since: datetime, until: datetime) -> list[Row] | Failure:
        """What was done to the account's incidents in the span, newest first, each with its incident."""
        asked = (("since", iso(since)), ("until", iso(until)), ("include[]", "incidents"))
        return self.every("/log_entries", "log_entries", asked)

    def notes(self, incident_id: str) -> list[str] | Failure:
        """The texts of an incident's notes."""
        answer = self.call("GET", f"/incidents/{incident_id}/notes")
        if isinstance(answer, Failure):
            return answer
        return [str(row.get("content") or "") for row in _rows(answer.body, "notes")]

    def changes(self) -> list[Row] | Failure:
        """The newest change events of the account."""
        return self._list("/change_events", "change_events", (("limit", str(PAGE)),))

    def priorities(self) -> Mapping[str, str] | Failure:
        """Name → id of the account's priorities; remembered for an hour."""
        known: Mapping[str, str] | None = self._http.recall("pagerduty.priorities")
        if known is None:
            rows = self.every("/priorities", "priorities", ())
            if isinstance(rows, Failure):
                return rows
            known = {str(row.get("name") or row.get("summary")): str(row.get("id")) for row in reversed(rows)}
            self._http.remember("pagerduty.priorities", known, for_s=PRIORITIES_KEPT_S)
        return known

    def every(self, path: str, name: str, asked: Pairs) -> list[Row] | Failure:
        """All rows of a list, page by page, as far as the API lets us."""
        rows: list[Row] = []
        for offset in range(0, REACH, PAGE):
            answer = self.call("GET", path, (*asked, ("limit", str(PAGE)), ("offset", str(offset))))
            if isinstance(answer, Failure):
                return answer
            page = _rows(answer.body, name)
            rows += page
            if not page or not (isinstance(answer.body, dict) and answer.body.get("more")):
                break
        return rows

    def _list(self, path: str, name: str, asked: Pairs) -> list[Row] | Failure:
        """One page; an answer without the list is not the API's."""
        answer = self.call("GET", path, asked)
        if isinstance(answer, Failure):
            return answer
        if not (isinstance(answer.body, dict) and isinstance(answer.body.get(name), list)):
            return Failure("retry", Reason.BAD_ANSWER, answer.status, f"the answer holds no {name}")
        return _rows(answer.body, name)

    # -- writing -------------------------------------------------------------------------------------------------

    def annotate(self, incident_id: str, text: str) -> Reply | Failure:
        """One more note; the same text twice makes two."""
        return self.call("POST", f"/incidents/{incident_id}/notes", body={"note": {"content": text}})

    def resolve(self, incident_id: str) -> Reply | Failure:
        """Close the incident; one that is closed already is as wanted."""
        return self._put(incident_id, {"status": "resolved"})

    def prioritise(self, incident_id: str, priority_id: str) -> Reply | Failure:
        """Set the incident's priority."""
        return self._put(incident_id, {"priority": {"id": priority_id, "type": "priority_reference"}})

    def _put(self, incident_id: str, fields: Mapping[str, object]) -> Reply | Failure:
        answer = self.call(
            "PUT", f"/incidents/{incident_id}", body={"incident": {"type": "incident_reference", **fields}}
        )
        if isinstance(answer, Failure) and answer.status == 400 and _code(answer.body) in NO_OPS:
            return Reply(answer.status, answer.body, {})
        return answer

    def call(self, method: Method, path: str, asked: Pairs = (), *, body: object = None) -> Reply | Failure:
        """One call. All but adding a note may be repeated without harm."""
        assert self._config.api_token is not None
        headers = {
            "Authorization": f"Token token={self._config.api_token.get_secret_value()}",
            "Accept": ACCEPT,
            "Content-Type": "application/json",
        }
        if method != "GET" and self._config.from_email:
            headers["From"] = one_line(self._config.from_email, 255)
        url = self._config.api_url.rstrip("/") + path + (f"?{urlencode(asked)}" if asked else "")
        return self._http.call(method, url, idempotent=method != "POST", headers=headers, json=body)


def open_first(found: Sequence[Incident]) -> Incident | None:
    """The incident that speaks for the key: an open one of ours, an open host, else the newest."""
    ranked = sorted(found, key=lambda one: (not one.open, not one.ours))
    return ranked[0] if ranked else None


def moment(value: object) -> datetime | None:
    """An aware moment from the API's text."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def iso(at: datetime) -> str:
    """A moment as the API reads it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _name(reference: Row) -> str:
    return str(reference.get("summary") or reference.get("name") or reference.get("id") or "")


def _object(body: object, name: str) -> Row:
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _rows(body: object, name: str) -> list[Row]:
    rows = body.get(name) if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _code(body: object) -> object:
    return _object(body, "error").get("code")
