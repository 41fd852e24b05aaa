"""The memory of a Jira site: projects with their workflows, issues, comments, links, properties, attachments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, Json
from tocsin.simulators.jira.people import Account, People

CATEGORIES = {
    "new": {"id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"},
    "indeterminate": {"id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"},
    "done": {"id": 3, "key": "done", "colorName": "green", "name": "Done"},
}
"""The three status categories, the same on every site."""
WORKFLOW = (("To Do", "new"), ("In Progress", "indeterminate"), ("Done", "done"))
ISSUE_TYPES = ("Task", "Bug", "Story", "Incident", "[System] Incident")
PRIORITIES = ("Highest", "High", "Medium", "Low", "Lowest")
RESOLUTIONS = ("Done", "Won't Do", "Duplicate", "Cannot Reproduce")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField:
    """A field that an administrator added. `kind` is its schema type, of the lists that of an entry."""

    id: str
    name: str
    kind: str = "string"
    is_list: bool = False
    is_long: bool = False
    """A text area: takes a document, or wiki notation in version 2."""
    values: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Project:
    id: str
    key: str
    name: str
    workflow: tuple[State, ...]
    ways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Status → statuses that can be reached from it; a status that is not named leads to all others."""
    screens: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Status → fields on the screen of the transition into it, and whether they are required."""
    issue_types: tuple[str, ...] = ISSUE_TYPES
    components: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    """Fields that a create must carry besides project, issue type and summary."""
    off_screen: tuple[str, ...] = ()
    """Fields that are not on the create screen."""
    last_number: int = 0

    def screen(self, state: State) -> Mapping[str, bool]:
        """The fields on the screen of the transition into this status."""
        return self.screens.get(state.name, {"resolution": False} if state.category == "done" else {})


@dataclass(slots=True, kw_only=True)
class Comment:
    id: str
    body: object
    created: datetime
    properties: dict[str, object] = field(default_factory=dict)
    author: str = ""
    """Login."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the changelog; `items` as the API shows them."""

    id: str
    by: str
    at: datetime
    items: tuple[Json, ...]


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
    creator: str = ""
    resolved: datetime | None = None
    resolution: str = ""
    properties: dict[str, object] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    remote_links: list[RemoteLink] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    links: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(link id, type name, "inward" or "outward", key of the other issue)."""
    history: list[Json] = field(default_factory=list)
    """Every move."""
    changes: list[Change] = field(default_factory=list)
    """Every change of a field."""

    @property
    def labels(self) -> list[str]:
        labels = self.fields.get("labels")
        return [str(label) for label in labels] if isinstance(labels, list) else []

    @property
    def summary(self) -> str:
        return str(self.fields.get("summary", ""))


class Site:
    """One site. A seed gives projects, custom_fields, users and webhooks; see docs/simulators.md."""

    def __init__(self, *, clock: Clock, user: str, password: str) -> None:
        self.clock = clock
        self.people = People(user, password)
        self.projects: dict[str, Project] = {}
        self.issues: dict[str, Issue] = {}
        """By key, oldest first."""
        self.custom_fields: dict[str, CustomField] = {}
        """By id; others are unknown to the site."""
        self.priorities = PRIORITIES
        self.deleted: list[str] = []
        self._last_id = 10_000

    def new_id(self) -> int:
        """A number that nothing on this site has yet."""
        self._last_id += 1
        return self._last_id

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds projects, custom fields and users; answers {"projects": {key: id}}."""
        custom = records.get("custom_fields") or {}
        projects, users = records.get("projects") or [], records.get("users") or []
        if not isinstance(custom, Mapping) or not isinstance(projects, list) or not isinstance(users, list):
            raise BadPayload("projects and users are lists, custom_fields an object {id: name}")
        self.custom_fields |= {str(key): _custom(str(key), given) for key, given in custom.items()}
        for given in projects:
            self._add_project({"key": given} if isinstance(given, str) else given)
        for given in users:
            self.people.add(given)
        return {"projects": {project.key: project.id for project in self.projects.values()}}

    def _add_project(self, given: Mapping[str, object]) -> None:
        key = str(given["key"])
        if key in self.projects:
            return
        statuses = given.get("statuses") or WORKFLOW
        ways, screens = given.get("transitions") or {}, given.get("screens") or {}
        assert isinstance(statuses, list | tuple)
        assert isinstance(ways, Mapping)
        assert isinstance(screens, Mapping)
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
            ways={str(name): _texts(ends) for name, ends in ways.items()},
            screens={str(name): dict(screen) for name, screen in screens.items()},
            issue_types=_texts(given.get("issue_types")) or ISSUE_TYPES,
            components=_texts(given.get("components")),
            required=_texts(given.get("required")),
            off_screen=_texts(given.get("off_screen")),
        )

    def issue(self, id_or_key: str) -> Issue | None:
        """An issue by its key (in any case) or id."""
        found = self.issues.get(id_or_key.upper())
        return found or next((one for one in self.issues.values() if one.id == id_or_key), None)

    def create(self, project: Project, fields: Json, *, by: Account | None = None) -> Issue:
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
            creator=(by or self.people.integration).login,
        )
        self.issues[issue.key] = issue
        return issue

    def touch(self, issue: Issue) -> None:
        """Marks an issue as just updated."""
        issue.updated = self.clock()

    def transitions(self, issue: Issue) -> list[State]:
        """Where the workflow leads from here: to every other status, unless the project says otherwise."""
        ends = issue.project.ways.get(issue.state.name)
        return [
            state
            for state in issue.project.workflow
            if state is not issue.state and (ends is None or state.name in ends)
        ]

    def move(self, issue: Issue, state: State, *, resolution: str = "", by: Account | None = None) -> Change:
        """Moves an issue; status category done sets a resolution, any other clears it. Without `by`, Ada does it."""
        before, old_state = issue.resolution, issue.state
        who = by or self.people.accounts["ada"]
        issue.history.append(
            {"at": self.clock().isoformat(), "from": issue.state.name, "to": state.name, "by": who.login}
        )
        issue.state = state
        done = state.category == "done"
        issue.resolution = (resolution or "Done") if done else ""
        issue.resolved = self.clock() if done else None
        self.touch(issue)
        items = [_item("status", (old_state.id, old_state.name), (state.id, state.name))]
        if issue.resolution != before:
            items.append(_item("resolution", (None, before or None), (None, issue.resolution or None)))
        return self.changed(issue, items, by=who)

    def changed(self, issue: Issue, items: list[Json], *, by: Account) -> Change:
        """Writes the changelog."""
        change = Change(id=str(self.new_id()), by=by.login, at=self.clock(), items=tuple(items))
        issue.changes.append(change)
        return change

    def comment(
        self, issue: Issue, body: object, properties: Mapping[str, object], *, by: Account | None = None
    ) -> Comment:
        """Adds a comment; the same text twice makes two. Without `by`, Ada writes it."""
        author = (by or self.people.accounts["ada"]).login
        made = Comment(
            id=str(self.new_id()), body=body, created=self.clock(), properties=dict(properties), author=author
        )
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
        """`inward` blocks `outward`, in the words of type Blocks: each shows the other. The same link twice is one."""
        if any((name, side, key) == (kind, "outward", outward.key) for _, name, side, key in inward.links):
            return
        link_id = str(self.new_id())
        inward.links.append((link_id, kind, "outward", outward.key))
        outward.links.append((link_id, kind, "inward", inward.key))


def _item(name: str, before: tuple[str | None, str | None], after: tuple[str | None, str | None]) -> Json:
    """One item of a changelog."""
    return {
        "field": name,
        "fieldtype": "jira",
        "fieldId": name,
        "from": before[0],
        "fromString": before[1],
        "to": after[0],
        "toString": after[1],
    }


def item(name: str, before: object, after: object) -> Json:
    """One item of a changelog, from the values of a field."""
    return _item(name, (_id(before), _said(before)), (_id(after), _said(after)))


def _id(value: object) -> str | None:
    return str(value.get("accountId") or value.get("id") or "") or None if isinstance(value, Mapping) else None


def _said(value: object) -> str | None:
    if isinstance(value, Mapping):
        return str(value.get("displayName") or value.get("name") or value.get("value") or "")
    if isinstance(value, list):
        return " ".join(str(_said(one)) for one in value)
    return None if value is None else str(value)


def _custom(field_id: str, given: object) -> CustomField:
    if not isinstance(given, Mapping):
        return CustomField(id=field_id, name=str(given))
    return CustomField(
        id=field_id,
        name=str(given.get("name") or field_id),
        kind=str(given.get("kind") or "string"),
        is_list=bool(given.get("is_list")),
        is_long=bool(given.get("is_long")),
        values=_texts(given.get("values")),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
