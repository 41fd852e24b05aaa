"""What does a create screen offer and demand? The rows of createmeta."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.simulators.answers import Json
from tocsin.simulators.jira.fields import type_id
from tocsin.simulators.jira.site import CustomField, Project, Site

_SYSTEM = {
    "project": ("Project", "project"),
    "issuetype": ("Issue Type", "issuetype"),
    "summary": ("Summary", "string"),
    "description": ("Description", "string"),
    "labels": ("Labels", "string"),
    "priority": ("Priority", "priority"),
    "components": ("Components", "component"),
    "reporter": ("Reporter", "user"),
    "assignee": ("Assignee", "user"),
}
_LISTS = ("labels", "components")
_TYPES = "com.atlassian.jira.plugin.system.customfieldtypes"


def create_fields(site: Site, project: Project, issue_type: str) -> list[Json]:
    """Every field of the create screen, in the order of the screen."""
    return [*_system(site, project, issue_type), *(_own(project, one) for one in _on_screen(site, project))]


def _system(site: Site, project: Project, issue_type: str) -> Iterator[Json]:
    must = {"project", "issuetype", "summary", "reporter", *project.required}
    for name, (title, kind) in _SYSTEM.items():
        if name in project.off_screen:
            continue
        schema: Json = {"type": kind, "system": name}
        if name in _LISTS:
            schema = {"type": "array", "items": kind, "system": name}
        row = _row(name, title, schema, required=name in must, default=name in ("reporter", "priority"))
        if name == "priority":
            row["allowedValues"] = [{"id": str(at), "name": one} for at, one in enumerate(site.priorities, start=1)]
        elif name == "components":
            row["allowedValues"] = [{"id": str(10_000 + at), "name": one} for at, one in enumerate(project.components)]
        elif name == "project":
            row["allowedValues"] = [{"id": project.id, "key": project.key, "name": project.name}]
        elif name == "issuetype":
            row["allowedValues"] = [{"id": type_id(project, issue_type), "name": issue_type}]
        yield row


def _on_screen(site: Site, project: Project) -> list[CustomField]:
    return [one for one in site.custom_fields.values() if one.id not in project.off_screen]


def _own(project: Project, one: CustomField) -> Json:
    schema: Json = {"type": one.kind, "customId": int(one.id.rpartition("_")[2] or 0)}
    if one.is_list:
        schema |= {"type": "array", "items": one.kind, "custom": f"{_TYPES}:multiselect"}
    elif one.is_long:
        schema["custom"] = f"{_TYPES}:textarea"
    else:
        schema["custom"] = f"{_TYPES}:{'select' if one.kind == 'option' else 'textfield'}"
    row = _row(one.id, one.name, schema, required=one.id in project.required, default=False)
    if one.values:
        row["allowedValues"] = [{"id": str(20_000 + at), "value": value} for at, value in enumerate(one.values)]
    return row


def _row(name: str, title: str, schema: Json, *, required: bool, default: bool) -> Json:
    return {
        "fieldId": name,
        "key": name,
        "name": title,
        "required": required,
        "operations": ["set"] if schema["type"] != "array" else ["add", "set", "remove"],
        "schema": schema,
        "hasDefaultValue": default,
    }
