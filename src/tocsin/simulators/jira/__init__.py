"""A Jira site: Cloud's REST API 3 (documents), /rest/api/2 as Data Center answers it, and pages for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Literal

from flask import Blueprint, Flask, abort, g, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, Json, file_of, html, is_picture, reply, utc_now
from tocsin.simulators.faults import FaultKind, Plan
from tocsin.simulators.jira import adf
from tocsin.simulators.jira.alerts import Alerts
from tocsin.simulators.jira.around import AboutSite, OnIssue
from tocsin.simulators.jira.calls import Here, Refused, bad_fields, body, event_body, nothing, refusal
from tocsin.simulators.jira.fields import BadFields
from tocsin.simulators.jira.issues import Issues
from tocsin.simulators.jira.limits import BURST, PER_ISSUE, REASONS, Writes
from tocsin.simulators.jira.people import Account
from tocsin.simulators.jira.person import edited
from tocsin.simulators.jira.person import shown as shown_to_person
from tocsin.simulators.jira.resource import Resources
from tocsin.simulators.jira.site import Change, Comment, Site
from tocsin.simulators.jira.webhooks import Webhook, Webhooks

OUT_OF_THE_BOX: Mapping[str, object] = {"projects": ["OPS"]}


class Vendor:
    """`user` and `password` are e-mail and API token (Basic); the password is also the personal access token (Bearer).
    People (`ada`, `beth`) and an app (`automation`) may act with the same password, see people.py.

    `index_lag_s`: searches do not see younger issues. `max_comments` per issue, then 413. `deployment` Server plays
    Data Center, which has no /rest/api/3. `cloud_id` and `alert_lag_s` concern the operations API (alerts.py).
    """

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: Mapping[str, object],
        clock: Clock = utc_now,
        index_lag_s: float = 0.0,
        max_comments: int = 5000,
        deployment: Literal["Cloud", "Server"] = "Cloud",
        cloud_id: str = "local",
        alert_lag_s: float = 0.0,
        webhook_retry_s: float = 1.0,
    ) -> None:
        self._first_seed = seed
        self._clock = clock
        self._login = (user, password)
        self._deployment = deployment
        self._cloud_id = cloud_id
        self._webhook_retry_s = webhook_retry_s
        self.alerts = Alerts(clock, cloud_id=cloud_id, lag_s=alert_lag_s, let_in=self._caller)
        self.webhooks = Webhooks(clock, retry_s=webhook_retry_s)
        self.reset()
        self.app = Flask(__name__, template_folder=str(Path(__file__).parent.parent / "templates"))
        here = Here(lambda: self.site, lambda: self.webhooks, max_comments, deployment == "Cloud")
        issues = Issues(here, index_lag_s)
        self.app.register_blueprint(self._api(issues, OnIssue(here, issues), AboutSite(here, deployment)))
        self.app.register_blueprint(self._administration())
        self.app.register_blueprint(self.alerts.blueprint())
        self.app.register_blueprint(self._pages())
        self.app.register_error_handler(Refused, lambda no: reply(no.body, no.status))
        self.app.register_error_handler(BadFields, bad_fields)
        self.app.register_error_handler(HTTPException, _elsewhere)

    def is_api(self, path: str) -> bool:
        """The REST API, and that of operations."""
        return path.startswith(("/rest/", "/jsm/"))

    def seed(self, records: Mapping[str, object]) -> Json:
        """Projects, custom fields, users, webhooks and the weather on their way, see Site and Webhooks."""
        known = {"projects", "custom_fields", "users", "webhooks", "webhook_weather"}
        if unknown := sorted(set(records) - known):
            raise BadPayload(f"unknown; known are {', '.join(sorted(known))}", path=unknown[0])
        self.webhooks.seed(records)
        return self.site.seed(records)

    def reset(self) -> None:
        """A new site with the first seed."""
        self.webhooks.close()
        self.webhooks = Webhooks(self._clock, retry_s=self._webhook_retry_s)
        self.writes = Writes()
        self.alerts.reset()
        self.site = Site(clock=self._clock, user=self._login[0], password=self._login[1])
        self.seed(self._first_seed)
        if not self.site.projects:
            self.site.seed(OUT_OF_THE_BOX)

    def state(self) -> Json:
        """All issues, oldest first, with comments, links, properties and attachments (those as sizes); all alerts of
        operations; every try to call a webhook."""
        issues = [self._state_of(key) for key in self.site.issues]
        return {"issues": issues, "alerts": self.alerts.state(), "webhook_calls": list(self.webhooks.log)}

    def _state_of(self, key: str) -> Json:
        issue = self.site.issues[key]
        shown = asdict(issue) | {"project": issue.project.key, "status": issue.state.name}
        shown["status_category"] = issue.state.category
        shown["attachments"] = [{"name": one.name, "size": len(one.raw)} for one in issue.attachments]
        return shown

    def person(self, body: Mapping[str, object]) -> Json:
        """A person edits an issue, see person.py; the webhooks are called as for any other edit."""
        issue, who, done = edited(self.site, body)
        shown = Resources(site=self.site, base="http://jira", version="2", user=who, cloud=self._deployment == "Cloud")
        comment, change = (done if isinstance(done, Comment) else None), (done if isinstance(done, Change) else None)
        event = "comment_created" if comment else "jira:issue_updated" if change else "jira:issue_deleted"
        self.webhooks.tell(event, event_body(shown, event, issue, change=change, comment=comment))
        return shown_to_person(issue)

    def refusal(self, plan: Plan, path: str) -> Response:
        """How Jira words the struck call (reference vendors.md §2.2)."""
        if plan.kind is FaultKind.RATE_LIMIT:
            return self._too_many(plan.rule if plan.rule in REASONS else BURST, timedelta(seconds=plan.after_s))
        if plan.kind is FaultKind.HTML_200:
            return html("<html><head><title>Attention Required!</title></head><body>Please log in.</body></html>")
        if plan.kind is FaultKind.BUSINESS_RULE_ABORT:
            return refusal(422, plan.rule)
        return refusal(plan.status, "Internal server error")

    def _too_many(self, reason: str, span: timedelta) -> Response:
        """429 in the dialect of the limit that was met; `rule` of a planned fault names another than bursts."""
        answer = refusal(429, "Rate limit exceeded.")
        answer.headers.extend(
            {
                "Retry-After": str(max(1, ceil(span.total_seconds()))),
                "X-RateLimit-Limit": "350",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": (self._clock() + span).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "RateLimit-Reason": reason,
            }
        )
        return answer

    def _api(self, issues: Issues, on: OnIssue, about: AboutSite) -> Blueprint:
        api = Blueprint("api", __name__, url_prefix="/rest/api/<any('2','3','latest'):version>")

        @api.url_value_preprocessor
        def note_version(_endpoint: str | None, values: dict[str, str] | None) -> None:
            g.version = (values or {}).pop("version", "3")

        @api.before_request
        def enter() -> Response | None:
            if g.version == "3" and self._deployment == "Server":
                return refusal(404, "null for uri")
            account = self._caller()
            if account is None:
                return _unauthorized()
            g.account = account
            return self._busy()

        for method, rule, view in (
            ("POST", "/issue", issues.create),
            ("GET", "/issue/<key>", issues.read),
            ("PUT", "/issue/<key>", issues.edit),
            ("DELETE", "/issue/<key>", issues.delete),
            ("GET", "/issue/<key>/changelog", issues.changelog),
            ("PUT", "/issue/<key>/assignee", issues.assign),
            ("GET", "/issue/<key>/transitions", issues.transitions),
            ("POST", "/issue/<key>/transitions", issues.transit),
            ("GET", "/search/jql", issues.search),
            ("POST", "/search/jql", issues.search),
            ("GET", "/search", issues.old_search),
            ("POST", "/search", issues.old_search),
            ("POST", "/search/approximate-count", issues.count),
            ("POST", "/issue/bulkfetch", issues.bulk),
            ("GET", "/issue/<key>/comment", on.comments),
            ("POST", "/issue/<key>/comment", on.comment),
            ("GET", "/issue/<key>/comment/<comment_id>", on.one_comment),
            ("GET", "/issue/<key>/remotelink", on.remote_links),
            ("POST", "/issue/<key>/remotelink", on.remote_link),
            ("GET", "/issue/<key>/properties", on.properties),
            ("GET", "/issue/<key>/properties/<name>", on.one_property),
            ("PUT", "/issue/<key>/properties/<name>", on.one_property),
            ("DELETE", "/issue/<key>/properties/<name>", on.one_property),
            ("POST", "/issue/<key>/attachments", on.attach),
            ("POST", "/issueLink", on.join),
            ("GET", "/issueLinkType", about.link_types),
            ("GET", "/serverInfo", about.server),
            ("GET", "/myself", about.myself),
            ("GET", "/field", about.fields),
            ("GET", "/priority", about.priorities),
            ("GET", "/status", about.statuses),
            ("GET", "/resolution", about.resolutions),
            ("GET", "/mypermissions", about.permissions),
            ("GET", "/project/<key>/statuses", about.project_statuses),
            ("GET", "/project/search", about.projects),
            ("GET", "/project/<key>", about.project),
            ("GET", "/issue/createmeta/<key>/issuetypes", about.issue_types),
            ("GET", "/issue/createmeta/<key>/issuetypes/<kind>", about.issue_fields),
        ):
            api.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
        return api

    def _busy(self) -> Response | None:
        """The refusal of a write that comes too soon after others to the same issue."""
        key = (request.view_args or {}).get("key")
        issue = self.site.issue(str(key)) if key and request.method != "GET" else None
        span = self.writes.refused_for(issue.key, self._clock()) if issue else None
        return self._too_many(PER_ISSUE, span) if span else None

    def _caller(self) -> Account | None:
        given = request.authorization
        if given is None:
            return None
        if given.type == "bearer":
            return self.site.people.let_in(token=given.token or "")
        return self.site.people.let_in(login=given.username, password=given.password)

    def _administration(self) -> Blueprint:
        """Webhooks of the administrator, and what the edge tells without asking who asks."""
        edge = Blueprint("administration", __name__)

        @edge.get("/_edge/tenant_info")
        def tenant() -> Response:
            return reply({"cloudId": self._cloud_id})

        @edge.route("/rest/webhooks/1.0/webhook", methods=["GET", "POST"])
        def webhooks() -> Response:
            if self._caller() is None:
                return _unauthorized()
            if request.method == "GET":
                return reply([_webhook(one) for one in self.webhooks.hooks])
            given = body()
            if not given.get("url"):
                raise Refused(400, errors={"url": "You must specify a URL."})
            return reply(_webhook(self.webhooks.add(given)), 201)

        @edge.delete("/rest/webhooks/1.0/webhook/<hook_id>")
        def remove(hook_id: str) -> Response:
            if self._caller() is None:
                return _unauthorized()
            return nothing() if self.webhooks.remove(hook_id) else refusal(404, "No such webhook.")

        return edge

    def _pages(self) -> Blueprint:
        site = Blueprint("pages", __name__)

        @site.get("/")
        def listed() -> str:
            return render_template("jira/list.html", issues=list(self.site.issues.values())[::-1])

        @site.get("/browse/<key>")
        def issue(key: str) -> str | Response:
            one = self.site.issue(key)
            if one is None:
                abort(404, f"{key}: no such issue")
            if one.key != key:
                return redirect(f"/browse/{one.key}")
            return render_template(
                "jira/issue.html", one=one, to_html=adf.to_html, issues=self.site.issues, is_picture=is_picture
            )

        @site.get("/secure/attachment/<number>/<name>")
        def file(number: str, name: str) -> Response:
            every = (file for one in self.site.issues.values() for file in one.attachments)
            found = next((file for file in every if (file.id, file.name) == (number, name)), None)
            return file_of(found.raw) if found else abort(404, f"{number}: no such file")

        return site


def _webhook(one: Webhook) -> Json:
    return {
        "name": one.name,
        "url": one.url,
        "events": list(one.events),
        "filters": {"issue-related-events-section": ""},
        "excludeBody": False,
        "enabled": True,
        "isSigned": bool(one.secret),
        "self": f"{request.host_url}rest/webhooks/1.0/webhook/{one.id}",
    }


def _unauthorized() -> Response:
    answer = refusal(401, "Client must be authenticated to access this resource.")
    answer.headers["WWW-Authenticate"] = 'Basic realm="Jira"'
    return answer


def _elsewhere(error: HTTPException) -> Response:
    return refusal(error.code or 500, f"{error.code} {error.name}")
