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


class Vendor:
    """`password` is the REST API key. `events_per_minute` > 0 limits each routing key as the real one does (120)."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: Mapping[str, object],
        clock: Clock = utc_now,
        events_per_minute: int = 0,
    ) -> None:
        self.user = user
        self._first_seed = seed
        self._clock = clock
        self.reset()
        self.app = Flask(__name__, template_folder=str(Path(__file__).parent.parent / "templates"))
        self.app.register_blueprint(events.blueprint(lambda: self.account, events_per_minute=events_per_minute))
        self.app.register_blueprint(rest.blueprint(lambda: self.account, token=password, base_url=_base_url))
        self.app.register_blueprint(self._pages())
        self.app.register_error_handler(HTTPException, _elsewhere)

    def is_api(self, path: str) -> bool:
        """Everything but the pages for people."""
        return path != "/" and not path.startswith("/ui/")

    def seed(self, records: Mapping[str, object]) -> Json:
        """Routing keys and priorities, see Account.seed."""
        return self.account.seed(records)

    def reset(self) -> None:
        """A new account with the first seed."""
        self.account = Account(clock=self._clock)
        self.account.seed(self._first_seed)

    def state(self) -> Json:
        """Incidents (with notes and timeline), changes, services, and events that met no open alert."""
        return {
            "incidents": [asdict(one) for one in self.account.incidents],
            "changes": [asdict(one) for one in self.account.changes],
            "services": [asdict(one) for one in self.account.services.values()],
            "dropped": self.account.dropped,
        }

    def refusal(self, plan: Plan, path: str) -> Response:
        """How PagerDuty words the struck call: the Events API and the REST API have each their own."""
        is_event = path.startswith("/v2/")
        if plan.kind is FaultKind.HTML_200:
            return html("<html><head><title>PagerDuty</title></head><body>We will be back soon.</body></html>")
        if plan.kind is FaultKind.RATE_LIMIT:
            limits = {**rest.RATE_HEADERS, "ratelimit-remaining": "0", "ratelimit-reset": str(round(plan.after_s))}
            error = {"error": {"message": "Rate Limit Exceeded", "code": 2020}}
            return events.too_many() if is_event else reply(error, 429, limits)
        if plan.kind is FaultKind.BUSINESS_RULE_ABORT:
            refused = rest.arguments(plan.rule)
            return events.invalid(plan.rule) if is_event else reply(refused.body, refused.status)
        text = "An internal error has occurred. PagerDuty team has been notified."
        body: Json = {"status": "error", "message": text} if is_event else {"error": {"message": text, "code": 2000}}
        return reply(body, plan.status)

    def _pages(self) -> Blueprint:
        site = Blueprint("pages", __name__)

        @site.get("/")
        def incidents() -> str:
            return render_template("pagerduty/list.html", incidents=self.account.incidents[::-1])

        @site.get("/ui/incidents/<key>")
        def incident(key: str) -> str:
            one = self.account.incident(key)
            if one is None:
                abort(404, f"{key}: no such incident")
            changes = [change for change in self.account.changes if change.service is one.service]
            return render_template("pagerduty/incident.html", one=one, changes=changes[::-1])

        return site


def _base_url() -> str:
    return request.host_url.rstrip("/")


def _elsewhere(error: HTTPException) -> Response:
    if error.code == 404:
        return reply(rest.not_found().body, 404)
    return reply({"error": {"message": error.name, "code": 2015}}, error.code or 500)
