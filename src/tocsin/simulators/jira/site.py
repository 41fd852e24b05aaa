"""The memory of a Jira site: projects with their workflows, issues, comments, links, properties, attachments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, Json

CATEGORIES = {
    "new": {"id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"},
    "indeterminate": {"id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"},
    "done": {"id": 3, "key": "done", "colorName": "green", "name": "Done"},
}
"""The three status categories, the same on every site."""
WORKFLOW = (("To Do", "new"), ("In Progress", "indeterminate"), ("Done", "done"))
ISSUE_TYPES = ("Task", "Bug", "Story", "Incident", "[System] Incident")
PRIORITIES = ("Highest", "High", "Medium", "Low", "Lowest")
LINK_TYPES = {
    "Blocks": ("is blocked by", "blocks"),
    "Duplicate": ("is duplicated by", "duplicates"),
    "Relates": ("relates to", "relates to"),
    "Problem/Incident": ("is caused by", "causes"),
}
"""Name → (inward, outward)."""


@dataclass(frozen=True, slots=True)
class State:
    """One status of a workflow; the transition into it has the number of the status times ten and one: 11, 21, 31."""

    id: str
    name: str
    category: str
    transition_id: str


@dataclass(slots=True, kw_only=True)
class Project:
    id: str
    key: str
    name: str
    workflow: tuple[State, ...]
    issue_types: tuple[str, ...] = ISSUE_TYPES
    components: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    """Fields that a create must carry besides project, issue type and summary."""
    last_number: int = 0


@dataclass(slots=True, kw_only=True)
class Comment:
    id: str
    body: object
    created: datetime
    properties: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RemoteLink:
    id: int
    global_id: str
    body: Json


@dataclass(slots=True, kw_only=True)
class Attachment:
    id: str
    name: str
    media_type: str
    raw: bytes
    created: datetime


@dataclass(slots=True, kw_only=True)
class Issue:
    """One issue; `fields` holds what callers set, the rest is the site's."""

    id: str
    key: str
    project: Project
    state: State
    fields: Json
    created: datetime
    updated: datetime
    resolved: datetime | None = None
    resolution: str = ""
    properties: dict[str, object] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    remote_links: list[RemoteLink] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    links: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(link id, type name, "inward" or "outward", key of the other issue)."""
    history: list[Json] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        labels = self.fields.get("labels")
        return [str(label) for label in labels] if isinstance(labels, list) else []

    @property
    def summary(self) -> str:
        return str(self.fields.get("summary", ""))


class Site:
    """One site. A seed gives projects: ["OPS", {"key", "name", "statuses": [[name, category]], "components", …}]."""

    def __init__(self, *, clock: Clock) -> None:
        self.clock = clock
        self.projects: dict[str, Project] = {}
        self.issues: dict[str, Issue] = {}
        """By key, oldest first."""
        self.custom_fields: dict[str, str] = {}
        """customfield_… → name; others are unknown to the site."""
        self.priorities = PRIORITIES
        self._last_id = 10_000

    def new_id(self) -> int:
        """A number that nothing on this site has yet."""
        self._last_id += 1
        return self._last_id

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds projects and custom fields; answers {"projects": {key: id}}."""
        if unknown := sorted(set(records) - {"projects", "custom_fields"}):
            raise BadPayload("unknown; known are projects and custom_fields", path=unknown[0])
        custom = records.get("custom_fields") or {}
        projects = records.get("projects") or []
        if not isinstance(custom, Mapping) or not isinstance(projects, list):
            raise BadPayload("projects is a list, custom_fields an object {id: name}")
        self.custom_fields |= {str(key): str(name) for key, name in custom.items()}
        for given in projects:
            self._add_project({"key": given} if isinstance(given, str) else given)
        return {"projects": {project.key: project.id for project in self.projects.values()}}

    def _add_project(self, given: Mapping[str, object]) -> None:
        key = str(given["key"])
        if key in self.projects:
            return
        statuses = given.get("statuses") or WORKFLOW
        assert isinstance(statuses, list | tuple)
        number = len(self.projects)
        workflow = tuple(
            State(str(10_000 + 10 * number + at), str(name), str(category), f"{at + 1}1")
            for at, (name, category) in enumerate(statuses)
        )
        self.projects[key] = Project(
            id=str(10_000 + number),
            key=key,
            name=str(given.get("name") or key),
            workflow=workflow,
            issue_types=_texts(given.get("issue_types")) or ISSUE_TYPES,
            components=_texts(given.get("components")),
            required=_texts(given.get("required")),
        )

    def issue(self, id_or_key: str) -> Issue | None:
        """An issue by its key (in any case) or id."""
        found = self.issues.get(id_or_key.upper())
        return found or next((one for one in self.issues.values() if one.id == id_or_key), None)

    def create(self, project: Project, fields: Json) -> Issue:
        """A new issue in the first state of its project's workflow; `fields` are valid."""
        project.last_number += 1
        now = self.clock()
        issue = Issue(
            id=str(self.new_id()),
            key=f"{project.key}-{project.last_number}",
            project=project,
            state=project.workflow[0],
            fields=fields,
            created=now,
            updated=now,
        )
        self.issues[issue.key] = issue
        return issue

    def touch(self, issue: Issue) -> None:
        """Marks an issue as just updated."""
        issue.updated = self.clock()

    def transitions(self, issue: Issue) -> list[State]:
        """Where the workflow leads from here: to every other status."""
        return [state for state in issue.project.workflow if state is not issue.state]

    def move(self, issue: Issue, state: State, *, resolution: str = "") -> None:
        """Moves an issue; status category done sets a resolution, any other clears it."""
        issue.history.append({"at": self.clock().isoformat(), "from": issue.state.name, "to": state.name})
        issue.state = state
        done = state.category == "done"
        issue.resolution = (resolution or "Done") if done else ""
        issue.resolved = self.clock() if done else None
        self.touch(issue)

    def comment(self, issue: Issue, body: object, properties: Mapping[str, object]) -> Comment:
        """Adds a comment; the same text twice makes two."""
        made = Comment(id=str(self.new_id()), body=body, created=self.clock(), properties=dict(properties))
        issue.comments.append(made)
        self.touch(issue)
        return made

    def remote_link(self, issue: Issue, global_id: str, body: Json) -> tuple[RemoteLink, bool]:
        """Creates or replaces the link with that global id; True when it is new."""
        found = next((link for link in issue.remote_links if global_id and link.global_id == global_id), None)
        if found:
            found.body = body
            return found, False
        link = RemoteLink(id=self.new_id(), global_id=global_id, body=body)
        issue.remote_links.append(link)
        return link, True

    def link(self, kind: str, inward: Issue, outward: Issue) -> None:
        """`inward` blocks `outward`, in the words of type Blocks: each shows the other."""
        link_id = str(self.new_id())
        inward.links.append((link_id, kind, "outward", outward.key))
        outward.links.append((link_id, kind, "inward", inward.key))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
