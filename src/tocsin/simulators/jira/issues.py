"""Issues of the Jira API: create, read, edit, move, search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.front import INDEX_LAG
from tocsin.simulators.jira import jql
from tocsin.simulators.jira.calls import Here, Refused, body, inner, items, nothing, number, texts
from tocsin.simulators.jira.fields import NOT_ON_SCREEN, BadFields, checked, label, missing, project_of, rich_text
from tocsin.simulators.jira.site import LINK_TYPES, RESOLUTIONS, Issue, Project, item

MAX_FOUND = 5000
MAX_BULK = 100
SEARCH_KEYS = frozenset(
    {
        *("jql", "fields", "maxResults", "nextPageToken", "reconcileIssues", "properties", "expand"),
        *("fieldsByKeys", "failFast"),
    }
)
REMOVED = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "
    "A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)


@dataclass(frozen=True, slots=True)
class Issues:
    """The views on issues. `index_lag_s`: searches do not see what is younger."""

    here: Here
    index_lag_s: float

    # -- one issue -----------------------------------------------------------------------------------------------

    def create(self) -> Response:
        here, given = self.here, body()
        fields, update = inner(given, "fields"), inner(given, "update")
        _refuse_shared(fields, update)
        project = project_of(here.site, fields)
        errors: dict[str, str] = {}
        messages: list[str] = []
        stored: Json = {}
        try:
            stored = checked(here.site, project, fields, v3=here.v3)
        except BadFields as bad:
            errors, messages = bad.errors, bad.messages
        errors = missing(here.site, project, fields) | errors
        if errors or messages:
            raise BadFields(errors, *messages)
        changed = self._updated(project, stored, update)
        issue = here.site.create(project, changed, by=here.me)
        issue.properties |= {str(one.get("key")): one.get("value") for one in items(given, "properties")}
        here.tell("jira:issue_created", issue)
        self._act(issue, update)
        if transition := inner(given, "transition"):
            self._move(issue, transition, {})
        return reply(here.shown.reference(issue), 201)

    def read(self, key: str) -> Response:
        wanted, properties = texts(request.args.get("fields", "")), texts(request.args.get("properties", ""))
        expand = texts(request.args.get("expand", ""))
        return reply(self.here.shown.issue(self.here.issue(key), wanted, properties=properties, expand=expand))

    def changelog(self, key: str) -> Response:
        found = self.here.issue(key).changes
        start, limit = number(request.args.get("startAt"), 0), min(number(request.args.get("maxResults"), 100), 100)
        shown = [self.here.shown.change(one) for one in found[start : start + limit]]
        page = {"startAt": start, "maxResults": limit, "total": len(found), "isLast": start + limit >= len(found)}
        return reply(page | {"self": request.url, "values": shown})

    def assign(self, key: str) -> Response:
        self._set(self.here.issue(key), {"assignee": body()}, {})
        return nothing()

    def edit(self, key: str) -> Response:
        issue, given = self.here.issue(key), body()
        fields, update = inner(given, "fields"), inner(given, "update")
        _refuse_shared(fields, update)
        self._set(issue, fields, update)
        self._act(issue, update)
        issue.properties |= {str(one.get("key")): one.get("value") for one in items(given, "properties")}
        if request.args.get("returnIssue", "").lower() == "true":
            return self.read(key)
        return nothing()

    def _set(self, issue: Issue, fields: Mapping[str, object], update: Mapping[str, object]) -> None:
        """Sets fields, writes the changelog and calls the webhooks."""
        here, before = self.here, issue.fields
        stored = checked(here.site, issue.project, fields, v3=here.v3)
        issue.fields = self._updated(issue.project, before | stored, update)
        here.site.touch(issue)
        names = [name for name, value in issue.fields.items() if value != before.get(name)]
        if names:
            changes = [item(name, before.get(name), issue.fields[name]) for name in names]
            here.tell("jira:issue_updated", issue, change=here.site.changed(issue, changes, by=here.me))

    def delete(self, key: str) -> Response:
        issue = self.here.issue(key)
        self.here.tell("jira:issue_deleted", issue)
        del self.here.site.issues[issue.key]
        self.here.site.deleted.append(issue.key)
        return nothing()

    def _updated(self, project: Project, fields: Json, update: Mapping[str, object]) -> Json:
        """The fields after the operations of `update` (set, and add or remove for labels)."""
        fields = dict(fields)
        for name in update:
            for operation in items(update, name):
                if "set" in operation:
                    fields |= checked(self.here.site, project, {name: operation["set"]}, v3=self.here.v3)
                elif name == "labels":
                    fields[name] = _labels_after(fields.get(name), operation)
                elif name not in ("comment", "issuelinks"):
                    raise BadFields({name: f"Field '{name}' does not support operation '{min(operation)}'"})
        return fields

    def _act(self, issue: Issue, update: Mapping[str, object]) -> None:
        """Comments and links that came with the create or edit."""
        for operation in items(update, "comment"):
            text = rich_text(inner(operation, "add").get("body"), v3=self.here.v3, name="comment")
            made = self.here.site.comment(issue, text, {}, by=self.here.me)
            self.here.tell("comment_created", issue, comment=made)
        for operation in items(update, "issuelinks"):
            self.join(inner(operation, "add"), issue)

    def join(self, link: Mapping[str, object], issue: Issue | None = None) -> None:
        """Links two issues; the one that is not named is `issue`."""
        name = str(inner(link, "type").get("name", ""))
        if name not in LINK_TYPES:
            raise Refused(404, f"No issue link type with name '{name}' found.")
        ends = [
            self.here.issue(str(end.get("key") or end.get("id"))) if (end := inner(link, side)) else issue
            for side in ("inwardIssue", "outwardIssue")
        ]
        if ends[0] is None or ends[1] is None:
            raise Refused(400, "Both inwardIssue and outwardIssue must be given.")
        self.here.site.link(name, ends[0], ends[1])

    # -- workflow ------------------------------------------------------------------------------------------------

    def transitions(self, key: str) -> Response:
        issue = self.here.issue(key)
        asked, full = request.args.get("transitionId"), "transitions.fields" in request.args.get("expand", "")
        shown = [
            self.here.shown.transition(issue.project, state, fields=full)
            for state in self.here.site.transitions(issue)
            if asked in (None, state.transition_id)
        ]
        return reply({"expand": "transitions", "transitions": shown})

    def transit(self, key: str) -> Response:
        issue, given = self.here.issue(key), body()
        fields, update = inner(given, "fields"), inner(given, "update")
        _refuse_shared(fields, update)
        self._move(issue, inner(given, "transition"), fields)
        self._act(issue, update)
        return nothing()

    def _move(self, issue: Issue, transition: Mapping[str, object], fields: Mapping[str, object]) -> None:
        asked = str(transition.get("id", ""))
        if not asked:
            raise Refused(400, "Missing 'transition' identifier")
        state = next((one for one in self.here.site.transitions(issue) if one.transition_id == asked), None)
        if state is None:
            raise Refused(400, f"Transition id '{asked}' is not valid for this issue.")
        screen = issue.project.screen(state)
        if wrong := {name: NOT_ON_SCREEN.format(name) for name in fields if name not in screen}:
            raise BadFields(wrong)
        if lacking := {
            name: f"{name.capitalize()} is required." for name in screen if screen[name] and not fields.get(name)
        }:
            raise BadFields(lacking)
        resolution = str(inner(fields, "resolution").get("name", ""))
        if resolution and resolution not in RESOLUTIONS:
            raise BadFields({"resolution": f"Resolution name '{resolution}' is not valid"})
        others = {name: value for name, value in fields.items() if name != "resolution"}
        issue.fields |= checked(self.here.site, issue.project, others, v3=self.here.v3)
        change = self.here.site.move(issue, state, resolution=resolution, by=self.here.me)
        self.here.tell("jira:issue_updated", issue, change=change)

    # -- search --------------------------------------------------------------------------------------------------

    def search(self) -> Response:
        """`/search/jql`: no total, no startAt, a token leads to the next page; by default only ids."""
        given = body() if request.method == "POST" else _arguments()
        if unknown := sorted(set(given) - SEARCH_KEYS):
            raise Refused(400, f"Invalid request payload: unrecognised property '{unknown[0]}'.")
        found = self._found(str(given.get("jql", "")), reconcile=texts(given.get("reconcileIssues")))
        limit = min(number(given.get("maxResults"), 50), MAX_FOUND)
        start = _place(given.get("nextPageToken"))
        page, fields = found[start : start + limit], texts(given.get("fields"))
        properties = texts(given.get("properties"))
        issues = [self._listed(issue, fields, properties) for issue in page]
        last = start + limit >= len(found)
        answer: Json = {"issues": issues, "isLast": last}
        return reply(answer if last else answer | {"nextPageToken": f"p{start + limit}"})

    def _listed(self, issue: Issue, fields: list[str], properties: list[str]) -> Json:
        if not fields or fields == ["id"]:
            return {"id": issue.id}
        return self.here.shown.issue(issue, fields, properties=properties)

    def old_search(self) -> Response:
        """`/search`: gone from Cloud; Data Center (version 2) still answers it, with total and startAt."""
        if self.here.v3:
            raise Refused(410, REMOVED)
        given = body() if request.method == "POST" else _arguments()
        found = self._found(str(given.get("jql", "")), reconcile=[])
        start, limit = number(given.get("startAt"), 0), number(given.get("maxResults"), 50)
        shown = [self.here.shown.issue(one, texts(given.get("fields"))) for one in found[start : start + limit]]
        return reply({"startAt": start, "maxResults": limit, "total": len(found), "issues": shown})

    def count(self) -> Response:
        return reply({"count": len(self._found(str(body().get("jql", "")), reconcile=[]))})

    def _found(self, query: str, *, reconcile: list[str]) -> list[Issue]:
        site = self.here.site
        now = site.clock()
        known = {name.lower() for one in site.projects.values() for name in (one.key, one.id, one.name)}
        try:
            read = jql.read(query, now=now, projects=frozenset(known))
        except jql.BadQuery as bad:
            raise Refused(400, str(bad)) from bad
        lag = timedelta(seconds=max(self.index_lag_s, float(request.environ.get(INDEX_LAG, 0))))
        return [
            one for one in read.select(list(site.issues.values())) if one.created <= now - lag or one.id in reconcile
        ]

    def bulk(self) -> Response:
        given = body()
        keys = texts(given.get("issueIdsOrKeys"))
        if not 1 <= len(keys) <= MAX_BULK:
            raise Refused(400, f"issueIdsOrKeys must have 1 to {MAX_BULK} entries.")
        found = [one for key in keys if (one := self.here.site.issue(key))]  # what is not there is not told as an error
        properties = texts(given.get("properties"))
        shown = [self.here.shown.issue(one, texts(given.get("fields")), properties=properties) for one in found]
        return reply({"issues": shown, "issueErrors": []})


def _refuse_shared(fields: Mapping[str, object], update: Mapping[str, object]) -> None:
    if shared := sorted(set(fields) & set(update)):
        name = shared[0]
        raise BadFields({name: f"Field '{name}' cannot be updated both by 'fields' and by 'update'."})


def _labels_after(held: object, operation: Mapping[str, object]) -> list[str]:
    labels = [str(one) for one in held] if isinstance(held, list) else []
    if "add" in operation:
        return list(dict.fromkeys([*labels, label(operation["add"])]))
    return [one for one in labels if one != operation.get("remove")]


def _arguments() -> Json:
    return dict(request.args.items())


def _place(token: object) -> int:
    if token is None:
        return 0
    if not str(token)[1:].isdigit():
        raise Refused(400, "Invalid nextPageToken.")
    return int(str(token)[1:])
