"""A PagerDuty account: Events API v2, the REST API around incidents, and a page with each incident's timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from flask import Blueprint, Flask, abort, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Clock, Json, html, reply, utc_now
from tocsin.simulators.faults import FaultKind, Plan
from tocsin.simulators.pagerduty import events, rest
from tocsin.simulators.pagerduty.account import Account
from tocsin.simulators.pagerduty.hooks import EVENTS, FAULTS, Hooks
from tocsin.simulators.pagerduty.listing import arguments, not_found
from tocsin.simulators.pagerduty.resource import Resources


class Vendor:
    """`password` is the REST API key. `events_per_minute` > 0 limits each routing key as the real one does (120),
    `rest_per_minute` the key. `incident_keys=False`: incidents show no key, only their alerts do. `webhook_retry_s`:
    how soon an unanswered webhook is tried again. `public_url`: what links lead to, instead of this server."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: Mapping[str, object],
        clock: Clock = utc_now,
        events_per_minute: int = 0,
        rest_per_minute: int = rest.PER_MINUTE,
        incident_keys: bool = True,
        webhook_retry_s: float = 1.0,
        public_url: str = "",
    ) -> None:
        self.user = user
        self._first_seed = seed
        self._clock = clock
        self._incident_keys = incident_keys
        self._public_url = public_url
        self._url = public_url or "https://acme.pagerduty.example"
        self._limit = rest.Limit(clock, rest_per_minute)
        self.hooks = Hooks(shown=lambda: Resources(self.account, self._url), clock=clock, retry_s=webhook_retry_s)
        self.reset()
        self.app = Flask(__name__, template_folder=str(Path(__file__).parent.parent / "templates"))
        self.app.register_blueprint(events.blueprint(lambda: self.account, events_per_minute=events_per_minute))
        self.app.register_blueprint(
            rest.blueprint(
                lambda: self.account, token=password, base_url=self._base_url, hooks=self.hooks, limit=self._limit
            )
        )
        self.app.register_blueprint(self._pages())
        self.app.register_error_handler(HTTPException, _elsewhere)

    def is_api(self, path: str) -> bool:
        """Everything but the pages for people."""
        return path != "/" and not path.startswith("/ui/")

    def seed(self, records: Mapping[str, object]) -> Json:
        """Routing keys and so on, see Account.seed; {"webhooks": [{"url", "secret"?, "events"?}]} subscribes, and
        {"webhook_faults": ["twice", "disorder"]} sets how webhooks misbehave."""
        for one in _objects(records.get("webhooks")):
            events = frozenset(map(str, _texts(one.get("events")) or EVENTS))
            self.hooks.subscribe(url=str(one.get("url")), secret=str(one.get("secret") or ""), events=events)
        if "webhook_faults" in records:
            self.hooks.faults = frozenset(_texts(records["webhook_faults"])) & FAULTS
        return self.account.seed(records)

    def reset(self) -> None:
        """A new account with the first seed, and none but its subscriptions."""
        self.hooks.stop()
        self.hooks.subscriptions.clear()
        self.hooks.delivered.clear()
        self.hooks.faults = frozenset()
        self._limit.began = None
        self.account = Account(clock=self._clock, owner=self.user, incident_keys=self._incident_keys)
        self.account.told.append(self.hooks.tell)
        self.seed(self._first_seed)

    def state(self) -> Json:
        """Incidents (with notes and timeline), alerts, changes, services, events that met no open alert, how many are
        still in the queue, and the tries to deliver webhooks."""
        self.account.work_off()
        return {
            "incidents": [asdict(one) for one in self.account.incidents],
            "changes": [asdict(one) for one in self.account.changes],
            "services": [asdict(one) for one in self.account.services.values()],
            "alerts": [asdict(one) for one in self.account.alerts],
            "dropped": self.account.dropped,
            "queued": len(self.account.queue),
            "webhooks": list(self.hooks.delivered),
        }

    def refusal(self, plan: Plan, path: str) -> Response:
        """How PagerDuty words the struck call: the Events API and the REST API have each their own."""
        is_event = path.startswith("/v2/")
        if plan.kind is FaultKind.HTML_200:
            return html("<html><head><title>PagerDuty</title></head><body>We will be back soon.</body></html>")
        if plan.kind is FaultKind.RATE_LIMIT:
            limits = {"ratelimit-remaining": "0", "ratelimit-reset": str(round(plan.after_s))}
            limited = events.too_many() if is_event else rest.too_many()
            limited.headers.update({} if is_event else self._limit.headers() | limits)
            return limited
        if plan.kind is FaultKind.BUSINESS_RULE_ABORT:
            refused = arguments(plan.rule)
            return events.invalid(plan.rule) if is_event else reply(refused.body, refused.status)
        text = "An internal error has occurred. PagerDuty team has been notified."
        body: Json = {"status": "error", "message": text} if is_event else {"error": {"message": text, "code": 2000}}
        return reply(body, plan.status)

    def _base_url(self) -> str:
        self._url = self._public_url or request.host_url.rstrip("/")
        return self._url

    def _pages(self) -> Blueprint:
        site = Blueprint("pages", __name__)

        @site.get("/")
        def incidents() -> str:
            self.account.work_off()
            return render_template("pagerduty/list.html", incidents=self.account.incidents[::-1])

        @site.get("/ui/incidents/<key>")
        def incident(key: str) -> str:
            one = self.account.incident(key)
            if one is None:
                abort(404, f"{key}: no such incident")
            changes = [change for change in self.account.changes if change.service is one.service]
            return render_template("pagerduty/incident.html", one=one, changes=changes[::-1])

        return site


def _elsewhere(error: HTTPException) -> Response:
    if error.code == 404:
        return reply(not_found().body, 404)
    answer = reply({"error": {"message": error.name, "code": 2015}}, error.code or 500)
    allowed = error.get_response().headers.get("Allow") if error.code == 405 else None
    answer.headers.extend({"Allow": allowed} if allowed else {})
    return answer


def _objects(given: object) -> list[Json]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _texts(given: object) -> list[str]:
    return [str(one) for one in given] if isinstance(given, list) else []
