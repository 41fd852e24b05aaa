"""A ServiceNow instance: Table API with the base system's rules for incidents, and the pages an operator knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Clock, Json, html, reply, utc_now
from tocsin.simulators.faults import FaultKind, Plan
from tocsin.simulators.servicenow.api import Refused, blueprint
from tocsin.simulators.servicenow.door import Door
from tocsin.simulators.servicenow.instance import Instance
from tocsin.simulators.servicenow.pages import pages
from tocsin.simulators.servicenow.rules import aborted_by

HOURLY_LIMIT = 100
OUT_OF_THE_BOX: Mapping[str, object] = {"sys_user_group": ["Service Desk"]}


class Vendor:
    """`keep_sys_id=False` plays an instance that ignores the sys_id a caller chose."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: Mapping[str, object],
        clock: Clock = utc_now,
        keep_sys_id: bool = True,
    ) -> None:
        self._first_seed = seed
        self._user = user
        self._clock = clock
        self._keep_sys_id = keep_sys_id
        self.reset()
        self.app = Flask(__name__, template_folder=str(Path(__file__).parent.parent / "templates"))
        self.app.register_blueprint(blueprint(lambda: self.instance, Door(user, password, clock)))
        self.app.register_blueprint(pages(lambda: self.instance))

    def is_api(self, path: str) -> bool:
        """The REST API and the token endpoint."""
        return path.startswith(("/api/", "/oauth_token.do"))

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds rows by table, see Instance.seed."""
        return dict(self.instance.seed(records))

    def reset(self) -> None:
        """A new instance with the first seed."""
        self.instance = Instance(user=self._user, clock=self._clock, keep_sys_id=self._keep_sys_id)
        self.instance.seed(OUT_OF_THE_BOX)
        self.instance.seed(self._first_seed)

    def state(self) -> Json:
        """All rows by table."""
        return {name: list(rows.values()) for name, rows in self.instance.tables.items()}

    def refusal(self, plan: Plan, path: str) -> Response:
        """How ServiceNow words the struck call (inbound-REST-API-rate-limiting; reference vendors.md §3.4)."""
        if plan.kind is FaultKind.RATE_LIMIT:
            detail = f"Rate limit of {HOURLY_LIMIT} requests per hour for Table API exceeded"
            return reply(
                Refused(429, "Rate limit exceeded", detail).body,
                429,
                {
                    "Retry-After": str(round(plan.after_s)),
                    "X-RateLimit-Limit": str(HOURLY_LIMIT),
                    "X-RateLimit-Reset": str(round(self.instance.expires(plan.after_s))),
                    "X-RateLimit-Rule": "Table API for all users",
                },
            )
        if plan.kind is FaultKind.HTML_200:
            return html(
                "<html><head><title>Instance Hibernating page</title></head><body>Your instance is hibernating."
                "</body></html>"
            )
        if plan.kind is FaultKind.BUSINESS_RULE_ABORT:
            aborted = aborted_by(plan.rule, path.partition("/table/")[2].partition("/")[0] or "incident")
            return reply(Refused(403, aborted.message, aborted.detail).body, 403)
        return reply(Refused(plan.status, "Transaction cancelled", "The server could not process it").body, plan.status)
