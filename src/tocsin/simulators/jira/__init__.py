"""A Jira site: Cloud's REST API 3 (documents), /rest/api/2 as Data Center answers it, and pages for people."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Literal

from flask import Blueprint, Flask, abort, g, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Clock, Json, html, reply, utc_now
from tocsin.simulators.faults import FaultKind, Plan
from tocsin.simulators.jira import adf
from tocsin.simulators.jira.around import AboutSite, OnIssue
from tocsin.simulators.jira.calls import Here, Refused, bad_fields, refusal
from tocsin.simulators.jira.fields import BadFields
from tocsin.simulators.jira.issues import Issues
from tocsin.simulators.jira.site import Site

OUT_OF_THE_BOX: Mapping[str, object] = {"projects": ["OPS"]}


class Vendor:
    """`user` and `password` are e-mail and API token (Basic); the password is also the personal access token (Bearer).

    `index_lag_s`: searches do not see younger issues. `max_comments` per issue, then 413. `deployment` Server plays
    Data Center, which has no /rest/api/3.
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
    ) -> None:
        self._first_seed = seed
        self._clock = clock
        self._user = user
        self._password = password
        self._deployment = deployment
        self.reset()
        self.app = Flask(__name__, template_folder=str(Path(__file__).parent.parent / "templates"))
        here = Here(lambda: self.site, user, max_comments)
        issues = Issues(here, index_lag_s)
        self.app.register_blueprint(self._api(issues, OnIssue(here, issues), AboutSite(here, deployment)))
        self.app.register_blueprint(self._pages())
        self.app.register_error_handler(Refused, lambda no: reply(no.body, no.status))
        self.app.register_error_handler(BadFields, bad_fields)
        self.app.register_error_handler(HTTPException, _elsewhere)

    def is_api(self, path: str) -> bool:
        """The REST API."""
        return path.startswith("/rest/")

    def seed(self, records: Mapping[str, object]) -> Json:
        """Projects and custom fields, see Site."""
        return self.site.seed(records)

    def reset(self) -> None:
        """A new site with the first seed."""
        self.site = Site(clock=self._clock)
        self.site.seed(self._first_seed)
        if not self.site.projects:
            self.site.seed(OUT_OF_THE_BOX)

    def state(self) -> Json:
        """All issues, oldest first, with comments, links, properties and attachments (those as sizes)."""
        return {"issues": [self._state_of(key) for key in self.site.issues]}

    def _state_of(self, key: str) -> Json:
        issue = self.site.issues[key]
        shown = asdict(issue) | {"project": issue.project.key, "status": issue.state.name}
        shown["status_category"] = issue.state.category
        shown["attachments"] = [{"name": one.name, "size": len(one.raw)} for one in issue.attachments]
        return shown

    def refusal(self, plan: Plan, path: str) -> Response:
        """How Jira words the struck call (reference vendors.md §2.2)."""
        if plan.kind is FaultKind.RATE_LIMIT:
            reset = (self._clock() + timedelta(seconds=plan.after_s)).strftime("%Y-%m-%dT%H:%MZ")
            answer = refusal(429, "Rate limit exceeded.")
            answer.headers.extend(
                {
                    "Retry-After": str(round(plan.after_s)),
                    "X-RateLimit-Limit": "350",
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": reset,
                    "RateLimit-Reason": "jira-burst-based",
                }
            )
            return answer
        if plan.kind is FaultKind.HTML_200:
            return html("<html><head><title>Attention Required!</title></head><body>Please log in.</body></html>")
        if plan.kind is FaultKind.BUSINESS_RULE_ABORT:
            return refusal(422, plan.rule)
        return refusal(plan.status, "Internal server error")

    def _api(self, issues: Issues, on: OnIssue, about: AboutSite) -> Blueprint:
        api = Blueprint("api", __name__, url_prefix="/rest/api/<any('2','3','latest'):version>")

        @api.url_value_preprocessor
        def note_version(_endpoint: str | None, values: dict[str, str] | None) -> None:
            g.version = (values or {}).pop("version", "3")

        @api.before_request
        def enter() -> Response | None:
            if g.version == "3" and self._deployment == "Server":
                return refusal(404, "null for uri")
            return None if self._lets_in() else _unauthorized()

        for method, rule, view in (
            ("POST", "/issue", issues.create),
            ("GET", "/issue/<key>", issues.read),
            ("PUT", "/issue/<key>", issues.edit),
            ("DELETE", "/issue/<key>", issues.delete),
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
            ("GET", "/project/search", about.projects),
            ("GET", "/project/<key>", about.project),
            ("GET", "/issue/createmeta/<key>/issuetypes", about.issue_types),
            ("GET", "/issue/createmeta/<key>/issuetypes/<kind>", about.issue_fields),
        ):
            api.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
        return api

    def _lets_in(self) -> bool:
        given = request.authorization
        if given is None:
            return False
        if given.type == "bearer":
            return _same(given.token, self._password)
        return _same(given.username, self._user) and _same(given.password, self._password)

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
            return render_template("jira/issue.html", one=one, to_html=adf.to_html, issues=self.site.issues)

        return site


def _same(given: str | None, expected: str) -> bool:
    return hmac.compare_digest((given or "").encode(), expected.encode())


def _unauthorized() -> Response:
    answer = refusal(401, "Client must be authenticated to access this resource.")
    answer.headers["WWW-Authenticate"] = 'Basic realm="Jira"'
    return answer


def _elsewhere(error: HTTPException) -> Response:
    return refusal(error.code or 500, f"{error.code} {error.name}")
