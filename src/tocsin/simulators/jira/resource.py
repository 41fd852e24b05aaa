"""How Jira's REST API shows its things, for version 3 (documents) and version 2 (plain text)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tocsin.simulators.answers import Json
from tocsin.simulators.jira import adf
from tocsin.simulators.jira.fields import PEOPLE, RICH, type_id
from tocsin.simulators.jira.people import Account
from tocsin.simulators.jira.site import (
    CATEGORIES,
    LINK_TYPES,
    RESOLUTIONS,
    Attachment,
    Change,
    Comment,
    Issue,
    Project,
    RemoteLink,
    Site,
    State,
)


def wire(at: datetime) -> str:
    """A moment as Jira writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Shows everything with addresses under `base`, in one version of the API."""

    site: Site
    base: str
    version: str
    user: Account
    """Who asks."""
    cloud: bool = True

    @property
    def root(self) -> str:
        return f"{self.base}/rest/api/{self.version}"

    def rich(self, value: object) -> object:
        """A stored text in the form of this version."""
        if value is None:
            return None
        if self.version == "2":
            return adf.to_text(value).rstrip("\n")
        return adf.of_text(value) if isinstance(value, str) else value

    def me(self) -> Json:
        """The caller, as /myself shows it."""
        return self.account(self.user) | {"locale": "en_US"}

    def account(self, one: Account) -> Json:
        """Somebody, as author or assignee of something."""
        shown: Json = {"displayName": one.name, "active": True, "timeZone": "Etc/UTC", "emailAddress": one.login}
        if not self.cloud:
            return shown | {"self": f"{self.root}/user?username={one.login}", "name": one.login, "key": one.account_id}
        return shown | {
            "self": f"{self.root}/user?accountId={one.account_id}",
            "accountId": one.account_id,
            "accountType": "app" if one.is_app else "atlassian",
        }

    def author(self, login: str) -> Json:
        """Who bears this login."""
        return self.account(self.site.people.accounts.get(login) or self.user)

    def _person(self, value: object) -> Json | None:
        found = self.site.people.known(value.get("accountId")) if isinstance(value, dict) else None
        return self.account(found) if found else None

    def state(self, state: State) -> Json:
        category = CATEGORIES[state.category]
        return {
            "self": f"{self.root}/status/{state.id}",
            "description": "",
            "iconUrl": f"{self.base}/",
            "name": state.name,
            "id": state.id,
            "statusCategory": {"self": f"{self.root}/statuscategory/{category['id']}", **category},
        }

    def transition(self, project: Project, state: State, *, fields: bool) -> Json:
        """A way into a status; `fields` shows those of its screen."""
        screen = project.screen(state)
        shown: Json = {
            "id": state.transition_id,
            "name": state.name,
            "to": self.state(state),
            "hasScreen": bool(screen),
            "isGlobal": not project.ways,
            "isInitial": False,
            "isAvailable": True,
            "isConditional": False,
            "isLooped": False,
        }
        return (
            shown | {"fields": {key: self._on_screen(key, must) for key, must in screen.items()}} if fields else shown
        )

    def _on_screen(self, key: str, must: bool) -> Json:
        custom = self.site.custom_fields.get(key)
        shown: Json = {
            "required": must,
            "name": custom.name if custom else key.capitalize(),
            "key": key,
            "operations": ["set"],
            "schema": {"type": custom.kind if custom else key, **({} if custom else {"system": key})},
            "hasDefaultValue": False,
        }
        if key == "resolution":
            shown["allowedValues"] = [self.resolution(name) for name in RESOLUTIONS]
        return shown

    def resolution(self, name: str) -> Json:
        number = str(10_000 + RESOLUTIONS.index(name)) if name in RESOLUTIONS else "10000"
        return {"self": f"{self.root}/resolution/{number}", "id": number, "name": name, "description": ""}

    def project(self, project: Project) -> Json:
        return {
            "self": f"{self.root}/project/{project.id}",
            "id": project.id,
            "key": project.key,
            "name": project.name,
            "projectTypeKey": "software",
            "simplified": False,
            "issueTypes": [self.issue_type(project, name) for name in project.issue_types],
        }

    def issue_type(self, project: Project, name: str) -> Json:
        number = type_id(project, name)
        return {
            "self": f"{self.root}/issuetype/{number}",
            "id": number,
            "name": name,
            "description": "",
            "subtask": False,
            "hierarchyLevel": 0,
        }

    def priority(self, name: str) -> Json:
        number = str(self.site.priorities.index(name) + 1)
        return {"self": f"{self.root}/priority/{number}", "id": number, "name": name, "iconUrl": f"{self.base}/"}

    def reference(self, issue: Issue) -> Json:
        return {"id": issue.id, "key": issue.key, "self": f"{self.root}/issue/{issue.id}"}

    def issue(
        self, issue: Issue, wanted: Iterable[str], *, properties: Iterable[str] = (), expand: Iterable[str] = ()
    ) -> Json:
        """An issue with the wanted fields: names, *all, *navigable, and -name for what not."""
        shown: Json = {"expand": "renderedFields,names,schema,transitions,changelog", **self.reference(issue)}
        shown["fields"] = self._chosen(self._fields(issue), list(wanted))
        if "transitions" in expand:
            ways = self.site.transitions(issue)
            shown["transitions"] = [self.transition(issue.project, state, fields=False) for state in ways]
        if "changelog" in expand:
            rows = [self.change(one) for one in reversed(issue.changes)]
            shown["changelog"] = {"startAt": 0, "maxResults": len(rows), "total": len(rows), "histories": rows}
        if keys := list(properties):
            held = issue.properties
            shown["properties"] = {key: held[key] for key in held if key in keys or "*all" in keys}
        return shown

    @staticmethod
    def _chosen(fields: Json, wanted: list[str]) -> Json:
        unwanted = {name[1:] for name in wanted if name.startswith("-")}
        everything = not wanted or {"*all", "*navigable"} & set(wanted) or unwanted
        return {
            name: value for name, value in fields.items() if (everything or name in wanted) and name not in unwanted
        }

    def _fields(self, issue: Issue) -> Json:
        long = {one.id for one in self.site.custom_fields.values() if one.is_long}
        fields = {name: self.rich(one) if name in RICH or name in long else one for name, one in issue.fields.items()}
        fields |= {name: self._person(issue.fields[name]) for name in PEOPLE if name in issue.fields}
        kind = issue.fields.get("issuetype")
        assert isinstance(kind, dict)
        category = CATEGORIES[issue.state.category]
        return {
            "description": None,
            "reporter": self.author(issue.creator),
            "priority": self.priority("Medium"),
            "labels": [],
            "components": [],
            "assignee": None,
            **fields,
            "issuetype": self.issue_type(issue.project, str(kind["name"])),
            "project": {key: value for key, value in self.project(issue.project).items() if key != "issueTypes"},
            "status": self.state(issue.state),
            "statusCategory": {"self": f"{self.root}/statuscategory/{category['id']}", **category},
            "resolution": self.resolution(issue.resolution) if issue.resolution else None,
            "resolutiondate": wire(issue.resolved) if issue.resolved else None,
            "created": wire(issue.created),
            "updated": wire(issue.updated),
            "creator": self.author(issue.creator),
            "comment": self.comments(issue.comments),
            "attachment": [self.attachment(one) for one in issue.attachments],
            "issuelinks": [self._link(*link) for link in issue.links],
        }

    def _link(self, link_id: str, kind: str, direction: str, other_key: str) -> Json:
        other = self.site.issues[other_key]
        fields = {"summary": other.summary, "status": self.state(other.state)}
        return {
            "id": link_id,
            "self": f"{self.root}/issueLink/{link_id}",
            "type": self.link_type(kind),
            f"{direction}Issue": {**self.reference(other), "fields": fields},
        }

    def link_type(self, name: str) -> Json:
        inward, outward = LINK_TYPES[name]
        number = str(10_000 + list(LINK_TYPES).index(name))
        return {
            "id": number,
            "name": name,
            "inward": inward,
            "outward": outward,
            "self": f"{self.root}/issueLinkType/{number}",
        }

    def comments(self, comments: list[Comment], *, start: int = 0, limit: int = 5000, full: bool = False) -> Json:
        page = comments[start : start + limit]
        return {
            "startAt": start,
            "maxResults": limit,
            "total": len(comments),
            "comments": [self.comment(one, full=full) for one in page],
        }

    def comment(self, one: Comment, *, full: bool = False) -> Json:
        """One comment; `full` with its properties (expand=properties)."""
        shown: Json = {
            "self": f"{self.root}/comment/{one.id}",
            "id": one.id,
            "author": self.author(one.author),
            "updateAuthor": self.author(one.author),
            "body": self.rich(one.body),
            "created": wire(one.created),
            "updated": wire(one.created),
            "jsdPublic": True,
        }
        if full:
            shown["properties"] = [{"key": key, "value": value} for key, value in one.properties.items()]
        return shown

    def change(self, one: Change) -> Json:
        """One entry of the changelog; what was or is empty is an empty text here, as the published schema wants it."""
        items = [{key: "" if value is None else value for key, value in item.items()} for item in one.items]
        return {"id": one.id, "author": self.author(one.by), "created": wire(one.at), "items": items}

    def remote_link(self, issue: Issue, link: RemoteLink) -> Json:
        given = link.body
        return {
            "id": link.id,
            "self": f"{self.root}/issue/{issue.key}/remotelink/{link.id}",
            "globalId": link.global_id or None,
            "application": given.get("application") or {},
            **({"relationship": given["relationship"]} if given.get("relationship") else {}),
            "object": given.get("object"),
        }

    def attachment(self, one: Attachment) -> Json:
        return {
            "self": f"{self.root}/attachment/{one.id}",
            "id": one.id,
            "filename": one.name,
            "author": self.account(self.user),
            "created": wire(one.created),
            "size": len(one.raw),
            "mimeType": one.media_type,
            "content": f"{self.root}/attachment/content/{one.id}",
        }
