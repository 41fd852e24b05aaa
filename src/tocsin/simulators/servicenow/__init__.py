"""A ServiceNow instance: its REST APIs with the base system's rules for incidents, and the pages an operator knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Clock, Json, html, reply, stable_id, utc_now
from tocsin.simulators.faults import FaultKind, Plan
from tocsin.simulators.servicenow.api import HIBERNATING, LOGIN, blueprint
from tocsin.simulators.servicenow.asked import Refused
from tocsin.simulators.servicenow.door import Door, not_authenticated
from tocsin.simulators.servicenow.instance import Instance
from tocsin.simulators.servicenow.limits import headers, limit_exceeded
from tocsin.simulators.servicenow.pages import pages
from tocsin.simulators.servicenow.person import edited
from tocsin.simulators.servicenow.rules import aborted_by
from tocsin.simulators.servicenow.seeds import sow
from tocsin.simulators.servicenow.shipped import NOT_SHOWN, shipped

HOURLY_LIMIT = 100
LOGIN_PAGE = "login"


class Vendor:
    """`keep_sys_id=False` plays an instance that ignores the sys_id a caller chose; `hourly_limit` limits the Table
    API. While it runs, rows of sys_properties and sys_rate_limit_rules set the same."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: Mapping[str, object],
        clock: Clock = utc_now,
        keep_sys_id: bool = True,
        hourly_limit: int = 0,
    ) -> None:
        self._first_seed = seed
        self._user = user
        self._clock = clock
        self._settings: dict[str, object] = {}
        if not keep_sys_id:
            self._settings["sys_properties"] = [{"name": "tocsin.simulator.ignores_sys_id", "value": "true"}]
        if hourly_limit:
            limit = {"name": "Table API for all users", "request_limit_per_hour": str(hourly_limit)}
            self._settings["sys_rate_limit_rules"] = [limit]
        self.reset()
        self.app = Flask(__name__, template_folder=str(Path(__file__).parent.parent / "templates"))
        door = Door(user, password, clock, self._setting)
        self.app.register_blueprint(blueprint(lambda: self.instance, door))
        self.app.register_blueprint(pages(lambda: self.instance))

    def _setting(self, name: str) -> str:
        return self.instance.setting(name)

    def is_api(self, path: str) -> bool:
        """The REST API and the token endpoint."""
        return path.startswith(("/api/", "/oauth_token.do"))

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds rows by table, see seeds.py."""
        return dict(sow(self.instance, records))

    def reset(self) -> None:
        """A new instance with the first seed."""
        self.instance = Instance(user=self._user, clock=self._clock)
        sow(self.instance, self._settings)
        sow(self.instance, self._first_seed)

    def state(self) -> Json:
        """All rows by table, without those that only describe the platform itself."""
        return {
            name: [row for sys_id, row in rows.items() if row is not own.get(sys_id)]
            for name, rows in self.instance.tables.items()
            for own in (shipped().get(name, {}) if name in NOT_SHOWN else {},)
        }

    def person(self, body: Mapping[str, object]) -> Json:
        """A person edits a record, see person.py."""
        return edited(self.instance, body)

    def refusal(self, plan: Plan, path: str) -> Response:
        """How ServiceNow words the struck call (inbound-REST-API-rate-limiting; reference vendors.md §3.4)."""
        if plan.kind is FaultKind.RATE_LIMIT:
            answer = limit_exceeded(HOURLY_LIMIT, retry_after_s=plan.after_s)
            resets_at = self._clock().timestamp() + plan.after_s
            answer.headers.update(headers(HOURLY_LIMIT, resets_at, stable_id("sys_rate_limit_rules", "Table API")))
            return answer
        if plan.kind is FaultKind.HTML_200:
            return html(LOGIN if plan.rule == LOGIN_PAGE else HIBERNATING)
        if plan.kind is FaultKind.BUSINESS_RULE_ABORT:
            aborted = aborted_by(plan.rule, path.partition("/table/")[2].partition("/")[0] or "incident")
            return reply(Refused(403, aborted.message, aborted.detail).body, 403)
        if plan.status == 401:
            return not_authenticated()
        if plan.status == 403:
            return reply(Refused(403, "User Not Authorized", "Failed API level ACL Validation").body, 403)
        return reply(Refused(plan.status, "Transaction cancelled", "The server could not process it").body, plan.status)
