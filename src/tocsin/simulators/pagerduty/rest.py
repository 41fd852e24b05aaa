"""The REST API v2 of PagerDuty, as far as an integration needs it (docs REST-API; rest.openapi.json)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.front import INDEX_LAG
from tocsin.simulators.pagerduty.account import Account
from tocsin.simulators.pagerduty.around import Around
from tocsin.simulators.pagerduty.hooks import Hooks
from tocsin.simulators.pagerduty.listing import Ask, Refused, arguments, inner, inner_list, not_found, page, sender
from tocsin.simulators.pagerduty.things import Alert, Incident, Service, Status

PER_MINUTE = 960
STATUSES: tuple[Status, ...] = ("triggered", "acknowledged", "resolved")
MAX_NOTES = 2000
MAX_AT_ONCE = 250
"""Of incidents in one PUT (rest.openapi.json, `PUT /incidents`)."""
MAX_SPAN = timedelta(days=184)


@dataclass(slots=True)
class Limit:
    """Calls of one minute, and what the headers tell of them (docs REST-API/04-Rate-Limits)."""

    clock: Callable[[], datetime]
    per_minute: int = PER_MINUTE
    began: datetime | None = None
    used: int = 0

    def take(self) -> bool:
        """Counts a call; False when it is one too many."""
        now = self.clock()
        if self.began is None or now - self.began >= timedelta(minutes=1):
            self.began, self.used = now, 0
        self.used += 1
        return self.used <= self.per_minute

    def headers(self) -> dict[str, str]:
        """The three that go with every answer."""
        left_s = 60 if self.began is None else max(0, round(60 - (self.clock() - self.began).total_seconds()))
        return {
            "ratelimit-limit": str(self.per_minute),
            "ratelimit-remaining": str(max(0, self.per_minute - self.used)),
            "ratelimit-reset": str(left_s),
        }


def too_many() -> Response:
    """The 429 of the REST API."""
    return reply({"error": {"message": "Rate Limit Exceeded", "code": 2020}}, 429)


def blueprint(
    account: Callable[[], Account], *, token: str, base_url: Callable[[], str], hooks: Hooks, limit: Limit
) -> Blueprint:
    """The routes of the REST API on `account()`; `token` is the API key that lets in."""
    api = Blueprint("rest", __name__)
    ask = Ask(account, base_url)
    rest, around = _Incidents(ask), Around(ask, hooks)
    for rule, view, method in (
        ("/abilities", around.abilities, "GET"),
        ("/users", around.users, "GET"),
        ("/users/me", around.me, "GET"),
        ("/oncalls", around.on_calls, "GET"),
        ("/priorities", around.priorities, "GET"),
        ("/services", around.services, "GET"),
        ("/services/<key>", around.service, "GET"),
        ("/services/<key>/change_events", around.changes_of, "GET"),
        ("/change_events", around.changes, "GET"),
        ("/event_orchestrations", around.orchestrations, "GET"),
        ("/webhook_subscriptions", around.subscriptions, "GET"),
        ("/webhook_subscriptions", around.subscribe, "POST"),
        ("/webhook_subscriptions/<key>", around.subscription, "GET"),
        ("/webhook_subscriptions/<key>", around.unsubscribe, "DELETE"),
        ("/webhook_subscriptions/<key>/enable", around.enable, "POST"),
        ("/webhook_subscriptions/<key>/ping", around.ping, "POST"),
        ("/log_entries", rest.all_log_entries, "GET"),
        ("/incidents", rest.incidents, "GET"),
        ("/incidents", rest.create, "POST"),
        ("/incidents", rest.update_many, "PUT"),
        ("/incidents/<key>", rest.incident, "GET"),
        ("/incidents/<key>", rest.update, "PUT"),
        ("/incidents/<key>/merge", rest.merge, "PUT"),
        ("/incidents/<key>/notes", rest.notes, "GET"),
        ("/incidents/<key>/notes", rest.annotate, "POST"),
        ("/incidents/<key>/alerts", rest.alerts, "GET"),
        ("/incidents/<key>/alerts", rest.update_alerts, "PUT"),
        ("/incidents/<key>/log_entries", rest.log_entries, "GET"),
        ("/incidents/<key>/related_change_events", rest.related_changes, "GET"),
    ):
        api.add_url_rule(rule, f"{method} {rule}".replace(".", "_"), view, methods=[method])

    @api.before_request
    def enter() -> Response | None:
        account().work_off()
        if not _let_in(token):
            return reply({"error": {"message": "Authentication failed", "code": 2006}}, 401)
        return None if limit.take() else too_many()

    @api.after_request
    def sign(answer: Response) -> Response:
        answer.headers.extend(limit.headers())
        return answer

    api.register_error_handler(Refused, lambda refused: reply(refused.body, refused.status))
    return api


def _let_in(token: str) -> bool:
    given = request.headers.get("Authorization", "")
    return any(
        given.startswith(scheme) and hmac.compare_digest(given.removeprefix(scheme).encode(), token.encode())
        for scheme in ("Token token=", "Bearer ")
    )


class _Incidents:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @property
    def _account(self) -> Account:
        return self._ask.account

    def _shown(self, one: Incident) -> Json:
        return self._ask.shown.incident(one)

    # -- reading -------------------------------------------------------------------------------------------------

    def incidents(self) -> Response:
        lag = timedelta(seconds=float(request.environ.get(INDEX_LAG, 0)))
        now = self._account.clock()
        since, until = _span(now)
        wanted = request.args.getlist("statuses[]") or request.args.getlist("statuses")
        if set(wanted) - set(STATUSES):
            raise Refused(400, 1003, "Invalid Status Provided")
        key = request.args.get("incident_key")
        services = request.args.getlist("service_ids[]")
        urgencies = request.args.getlist("urgencies[]")
        found = [
            one
            for one in (self._account.incidents if key is None else self._account.keyed(key))
            if since <= one.created_at <= until
            and one.created_at <= now - lag
            and (not wanted or one.status in wanted)
            and (not services or one.service.id in services)
            and (not urgencies or one.urgency in urgencies)
        ]
        if request.args.get("sort_by", "").endswith(":desc"):
            found.reverse()
        return page("incidents", [self._shown(one) for one in found])

    def incident(self, key: str) -> Response:
        return reply({"incident": self._shown(self._incident(key))})

    def notes(self, key: str) -> Response:
        return reply({"notes": [self._ask.shown.note(one) for one in self._incident(key).notes]})

    def alerts(self, key: str) -> Response:
        asked = request.args.get("alert_key")
        found = [one for one in self._account.alerts_of(self._incident(key)) if asked in (None, one.key)]
        return page("alerts", [self._ask.shown.alert(one) for one in found])

    def log_entries(self, key: str) -> Response:
        incident = self._incident(key)
        return page("log_entries", [self._ask.shown.entry(incident, one) for one in reversed(incident.timeline)])

    def all_log_entries(self) -> Response:
        since, until = _span(self._account.clock())
        whole = "incidents" in request.args.getlist("include[]")
        lines = [
            (one.at, number, incident, one)
            for incident in self._account.incidents
            for number, one in enumerate(incident.timeline)
            if since <= one.at <= until
        ]
        lines.sort(key=lambda line: line[:2], reverse=True)
        return page("log_entries", [self._ask.shown.entry(incident, one, whole=whole) for _, _, incident, one in lines])

    def related_changes(self, key: str) -> Response:
        incident = self._incident(key)
        found = [one for one in self._account.changes if one.service is incident.service]
        shown = [
            self._ask.shown.change(one) | {"correlation_reason": {"reason": "most_recent"}} for one in reversed(found)
        ]
        return page("change_events", shown)

    # -- writing -------------------------------------------------------------------------------------------------

    def create(self) -> Response:
        body = inner("incident")
        by = sender(self._account)
        service = self._service_of(body)
        if not body.get("title"):
            raise arguments("Title cannot be empty")
        key = str(body.get("incident_key") or "")
        taken = any(one.open and one.service is service for one in self._account.keyed(key)) if key else False
        if taken:
            text = "Open incident with matching dedup key already exists on this service"
            raise Refused(400, 2002, "Arguments Caused Error", text)
        made = self._account.open_incident(
            service,
            key=key,
            title=str(body["title"]),
            severity="critical",
            event={"body": body.get("body") or {}},
            by=by,
        )
        return reply({"incident": self._shown(made)}, 201)

    def update(self, key: str) -> Response:
        incident, body, by = self._incident(key), inner("incident"), sender(self._account)
        self._change(incident, body, by)
        return self.incident(key)

    def update_many(self) -> Response:
        changes, by = inner_list("incidents"), sender(self._account)
        if len(changes) > MAX_AT_ONCE:
            raise Refused(413, 2001, f"Cannot update more than {MAX_AT_ONCE} incidents at one time")
        changed = [(self._incident(str(body.get("id"))), body) for body in changes]
        for incident, body in changed:
            self._change(incident, body, by)
        return page("incidents", [self._shown(one) for one, _ in changed])

    def _change(self, incident: Incident, body: Json, by: str) -> None:
        if (status := body.get("status")) is not None:
            self._move(incident, str(status), by, str(body.get("resolution") or ""))
        if (title := body.get("title")) and title != incident.title:
            incident.title = str(title)
            self._account.log(incident, "retitle", incident.title, by=by)
        if "priority" in body:
            self._prioritise(incident, body["priority"], by)
        if "assignments" in body:
            self._assign(incident, body["assignments"], by)
        if body.get("urgency") in ("high", "low"):
            incident.urgency = str(body["urgency"])

    def _move(self, incident: Incident, status: str, by: str, resolution: str) -> None:
        if status not in STATUSES:
            raise Refused(400, 1003, "Invalid Status Provided")
        if resolution and status != "resolved":
            raise arguments("Resolution can only be given with status resolved")
        if incident.status == status == "resolved":
            raise Refused(400, 1001, "Incident Already Resolved")
        if incident.status == status == "acknowledged":
            raise Refused(400, 1002, "Incident Already Acknowledged")
        if incident.merged_into:
            raise Refused(400, 1019, "Incident Already Merged")
        self._account.set_status(incident, status, by=by, resolution=resolution)

    def _prioritise(self, incident: Incident, given: object, by: str) -> None:
        chosen = given.get("id") if isinstance(given, dict) else None
        names = {self._ask.shown.priority(name)["id"]: name for name in self._account.priorities}
        if isinstance(given, str):
            chosen = next((known for known, name in names.items() if name == given), "")
        if given is not None and chosen not in names:
            raise Refused(400, 1020, "Invalid Priority")
        self._account.prioritise(incident, names.get(chosen, ""), by=by)

    def _assign(self, incident: Incident, given: object, by: str) -> None:
        known = {one.id: one.email for one in self._account.users.values()}
        rows = given if isinstance(given, list) else []
        chosen = [str(row["assignee"].get("id")) for row in rows if isinstance(row.get("assignee"), dict)]
        if not chosen or set(chosen) - set(known):
            raise Refused(400, 1007, "Assigned To User Not Found")
        self._account.assign(incident, [known[one] for one in chosen], by=by)

    def merge(self, key: str) -> Response:
        target, sources, by = self._incident(key), inner_list("source_incidents"), sender(self._account)
        merged = [self._incident(str(one.get("id"))) for one in sources]
        if any(one.merged_into for one in merged) or target in merged:
            raise Refused(400, 1019, "Incident Already Merged")
        self._account.merge(target, merged, by=by)
        return reply({"incident": self._ask.shown.reference(target.id)})

    def annotate(self, key: str) -> Response:
        incident, body, by = self._incident(key), inner("note"), sender(self._account)
        if not body.get("content"):
            raise arguments("Content cannot be empty")
        if len(incident.notes) >= MAX_NOTES:
            raise Refused(400, 2019, "Product Limit Reached")
        return reply({"note": self._ask.shown.note(self._account.annotate(incident, str(body["content"]), by=by))})

    def update_alerts(self, key: str) -> Response:
        incident, changes, by = self._incident(key), inner_list("alerts"), sender(self._account)
        known = {one.id: one for one in self._account.alerts_of(incident)}
        if {str(one.get("id")) for one in changes} - set(known):
            raise not_found()
        alerts = [(known[str(one.get("id"))], one) for one in changes]
        for alert, change in alerts:
            self._update_alert(alert, change, by)
        return page("alerts", [self._ask.shown.alert(one) for one, _ in alerts])

    def _update_alert(self, alert: Alert, change: Json, by: str) -> None:
        home = change.get("incident")
        if isinstance(home, dict):
            alert.incident_id = self._incident(str(home.get("id"))).id
        if change.get("status") == "resolved":
            self._account.resolve_alert(alert, by=by)

    def _incident(self, key: str) -> Incident:
        found = self._account.incident(key)
        if found is None:
            raise not_found()
        return found

    def _service_of(self, body: Json) -> Service:
        given = body.get("service")
        if not isinstance(given, dict):
            raise arguments("Service cannot be empty")
        found = next((one for one in self._account.services.values() if one.id == given.get("id")), None)
        if found is None:
            raise not_found()
        return found


def _span(now: datetime) -> tuple[datetime, datetime]:
    """The span of times that a list covers: a month, unless since and until or date_range=all say else."""
    if request.args.get("date_range") == "all":
        return datetime.min.replace(tzinfo=now.tzinfo), now
    try:
        ends = [datetime.fromisoformat(value) if (value := request.args.get(name)) else None for name in SINCE_UNTIL]
    except ValueError as wrong:
        raise Refused(400, 2004, "Invalid time values in 'since' and/or 'until' parameters") from wrong
    since, until = (one.replace(tzinfo=one.tzinfo or now.tzinfo) if one else None for one in ends)
    until = until or now
    since = since or until - timedelta(days=30)
    if until - since > MAX_SPAN:
        raise Refused(400, 2005, "Invalid Query Date Range")
    return since, until


SINCE_UNTIL = ("since", "until")
