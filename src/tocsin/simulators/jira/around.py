"""What hangs on an issue (comments, links, properties, attachments) and what a client asks about the site."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from flask import request
from werkzeug.wrappers import Response

from tocsin.simulators.answers import Json, reply
from tocsin.simulators.jira.calls import Here, Refused, body, inner, items, nothing, number, texts
from tocsin.simulators.jira.fields import BadFields, rich_text, type_id
from tocsin.simulators.jira.issues import Issues
from tocsin.simulators.jira.meta import create_fields
from tocsin.simulators.jira.site import LINK_TYPES, RESOLUTIONS, Attachment, Project

MAX_PROPERTY, MAX_PROPERTY_KEY = 32_768, 255
MAX_REMOTE_LINKS = 2000
_BRIEF = ("self", "id", "name", "subtask")


@dataclass(frozen=True, slots=True)
class OnIssue:
    """Comments, remote links, properties, attachments and links of issues."""

    here: Here
    issues: Issues

    def comments(self, key: str) -> Response:
        issue = self.here.issue(key)
        start, limit = number(request.args.get("startAt"), 0), number(request.args.get("maxResults"), 5000)
        newest_first = request.args.get("orderBy") == "-created"
        comments = issue.comments[::-1] if newest_first else issue.comments
        return reply(self.here.shown.comments(comments, start=start, limit=limit, full=_with_properties()))

    def comment(self, key: str) -> Response:
        issue, given = self.here.issue(key), body()
        if len(issue.comments) >= self.here.max_comments:
            raise Refused(413, f"The issue has reached its limit of {self.here.max_comments} comments.")
        if given.get("body") in (None, ""):
            raise BadFields({"comment": "Comment body can not be empty!"})
        text = rich_text(given["body"], v3=self.here.v3, name="comment")
        properties = {str(one.get("key")): one.get("value") for one in items(given, "properties")}
        made = self.here.site.comment(issue, text, properties, by=self.here.me)
        self.here.tell("comment_created", issue, comment=made)
        return reply(self.here.shown.comment(made, full=_with_properties()), 201)

    def one_comment(self, key: str, comment_id: str) -> Response:
        found = next((one for one in self.here.issue(key).comments if one.id == comment_id), None)
        if found is None:
            raise Refused(404, f"Can not find a comment for the id: {comment_id}.")
        return reply(self.here.shown.comment(found, full=_with_properties()))

    def remote_links(self, key: str) -> Response:
        issue, asked = self.here.issue(key), request.args.get("globalId")
        found = [link for link in issue.remote_links if asked in (None, link.global_id)]
        if asked is not None:
            if not found:
                raise Refused(404, f"A remote link with the global id '{asked}' does not exist.")
            return reply(self.here.shown.remote_link(issue, found[0]))
        return reply([self.here.shown.remote_link(issue, link) for link in found])

    def remote_link(self, key: str) -> Response:
        issue, given = self.here.issue(key), body()
        thing = inner(given, "object")
        wrong = {name: f"'{name}' is required." for name in ("url", "title") if not thing.get(name)}
        if wrong:
            raise BadFields(wrong)
        global_id = str(given.get("globalId") or "")
        if len(global_id) > 255:
            raise BadFields({"globalId": "The global id must not be longer than 255 characters."})
        if len(issue.remote_links) >= MAX_REMOTE_LINKS:
            raise Refused(413, f"The issue has reached its limit of {MAX_REMOTE_LINKS} remote links.")
        link, new = self.here.site.remote_link(issue, global_id, given)
        shown = self.here.shown.remote_link(issue, link)
        return reply({"id": link.id, "self": shown["self"]}, 201 if new else 200)

    def properties(self, key: str) -> Response:
        issue = self.here.issue(key)
        root = f"{self.here.shown.root}/issue/{issue.key}/properties"
        return reply({"keys": [{"key": name, "self": f"{root}/{name}"} for name in issue.properties]})

    def one_property(self, key: str, name: str) -> Response:
        issue = self.here.issue(key)
        if request.method == "PUT":
            return self._set_property(issue.properties, name)
        if name not in issue.properties:
            raise Refused(404, f"The property with key {name} does not exist.")
        if request.method == "DELETE":
            del issue.properties[name]
            return nothing()
        return reply({"key": name, "value": issue.properties[name]})

    @staticmethod
    def _set_property(held: dict[str, object], name: str) -> Response:
        raw = request.get_data()
        if len(raw) > MAX_PROPERTY or len(name) > MAX_PROPERTY_KEY:
            raise Refused(400, f"The property's value must not be longer than {MAX_PROPERTY} characters.")
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as wrong:
            raise Refused(400, "The property's value must be valid JSON.") from wrong
        status = 200 if name in held else 201
        held[name] = value
        return reply({}, status)

    def attach(self, key: str) -> Response:
        issue = self.here.issue(key)
        if request.headers.get("X-Atlassian-Token", "") not in ("no-check", "nocheck"):
            raise Refused(403, "XSRF check failed")
        made = [
            Attachment(
                id=str(self.here.site.new_id()),
                name=file.filename or "file",
                media_type=file.mimetype,
                raw=file.read(),
                created=self.here.site.clock(),
            )
            for file in request.files.getlist("file")
        ]
        if not made:
            raise Refused(400, "No file was given in part 'file'.")
        issue.attachments += made
        return reply([self.here.shown.attachment(one) for one in made])

    def join(self) -> Response:
        self.issues.join(body())
        return reply({}, 201)


@dataclass(frozen=True, slots=True)
class AboutSite:
    """Server, user, fields, projects and what a create must carry."""

    here: Here
    deployment: str

    def server(self) -> Response:
        return reply(
            {
                "baseUrl": self.here.shown.base,
                "version": "1001.0.0-SNAPSHOT" if self.deployment == "Cloud" else "10.3.0",
                "versionNumbers": [1001, 0, 0] if self.deployment == "Cloud" else [10, 3, 0],
                "deploymentType": self.deployment,
                "buildNumber": 100283,
                "serverTitle": "Jira",
            }
        )

    def myself(self) -> Response:
        return reply(self.here.shown.me())

    def fields(self) -> Response:
        names = {
            "summary": "string",
            "description": "string",
            "labels": "array",
            "priority": "priority",
            "components": "array",
            "status": "status",
            "resolution": "resolution",
            "issuetype": "issuetype",
            "project": "project",
            "assignee": "user",
        }
        system = [self._field(key, key.capitalize(), kind, custom=False) for key, kind in names.items()]
        own = self.here.site.custom_fields.values()
        return reply(system + [self._field(one.id, one.name, one.kind, custom=True) for one in own])

    @staticmethod
    def _field(key: str, name: str, kind: str, *, custom: bool) -> Json:
        return {
            "id": key,
            "key": key,
            "name": name,
            "custom": custom,
            "orderable": True,
            "navigable": True,
            "searchable": True,
            "clauseNames": [key],
            "schema": {"type": kind, **({} if custom else {"system": key})},
        }

    def priorities(self) -> Response:
        return reply([self.here.shown.priority(name) for name in self.here.site.priorities])

    def statuses(self) -> Response:
        found = [state for project in self.here.site.projects.values() for state in project.workflow]
        return reply([self.here.shown.state(state) for state in found])

    def link_types(self) -> Response:
        return reply({"issueLinkTypes": [self.here.shown.link_type(name) for name in LINK_TYPES]})

    def projects(self) -> Response:
        found = [self.here.shown.project(one) for one in self.here.site.projects.values()]
        return reply({"startAt": 0, "maxResults": 50, "total": len(found), "isLast": True, "values": found})

    def project(self, key: str) -> Response:
        return reply(self.here.shown.project(self._project(key)))

    def resolutions(self) -> Response:
        return reply([self.here.shown.resolution(name) for name in RESOLUTIONS])

    def project_statuses(self, key: str) -> Response:
        project, shown = self._project(key), self.here.shown
        states = [shown.state(state) for state in project.workflow]
        kinds = [shown.issue_type(project, name) for name in project.issue_types]
        return reply([{key: kind[key] for key in _BRIEF} | {"statuses": states} for kind in kinds])

    def permissions(self) -> Response:
        """Everybody may do everything here."""
        asked = texts(request.args.get("permissions", ""))
        if not asked:
            raise Refused(400, "The 'permissions' query parameter is required.")
        held = {
            name: {
                "id": str(at),
                "key": name,
                "name": name.replace("_", " ").capitalize(),
                "type": "PROJECT",
                "description": "",
                "havePermission": True,
            }
            for at, name in enumerate(asked, start=10)
        }
        return reply({"permissions": held})

    def issue_types(self, key: str) -> Response:
        project = self._project(key)
        return self._page("issueTypes", [self.here.shown.issue_type(project, name) for name in project.issue_types])

    def issue_fields(self, key: str, kind: str) -> Response:
        project = self._project(key)
        name = next((one for one in project.issue_types if type_id(project, one) == kind), None)
        if name is None:
            raise Refused(404, f"No issue type with id '{kind}' exists for the project.")
        return self._page("fields", create_fields(self.here.site, project, name))

    def _page(self, name: str, rows: list[Json]) -> Response:
        """Data Center calls every list `values`."""
        start, limit = number(request.args.get("startAt"), 0), min(number(request.args.get("maxResults"), 50), 200)
        page = {"startAt": start, "maxResults": limit, "total": len(rows), name: rows[start : start + limit]}
        if not self.here.cloud:
            page = page | {"values": page.pop(name), "isLast": start + limit >= len(rows)}
        return reply(page)

    def _project(self, key: str) -> Project:
        found = self.here.site.projects.get(key)
        found = found or next((one for one in self.here.site.projects.values() if one.id == key), None)
        if found is None:
            raise Refused(404, f"No project could be found with key '{key}'.")
        return found


def _with_properties() -> bool:
    return "properties" in request.args.get("expand", "")
