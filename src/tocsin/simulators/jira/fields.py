"""Are these field values acceptable, and what is stored of them? In Jira's own words when not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from tocsin.simulators.answers import Json
from tocsin.simulators.jira import adf
from tocsin.simulators.jira.site import PRIORITIES, CustomField, Project, Site

MAX_SUMMARY = 255
MAX_LABEL = 255
MAX_TEXT = 32_767
TOO_LONG = "The entered text is too long. It exceeds the allowed limit of 32,767 characters."
NOT_ADF = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
NOT_ON_SCREEN = "Field '{}' cannot be set. It is not on the appropriate screen, or unknown."
RICH = ("description", "environment")
PEOPLE = ("assignee", "reporter")
PLAIN = ("parent", "duedate", "versions", "fixVersions", "security")


class BadFields(Exception):
    """400 with {errorMessages, errors: {field: text}}."""

    def __init__(self, errors: Mapping[str, str] | None = None, *messages: str) -> None:
        self.errors = dict(errors or {})
        self.messages = list(messages)
        super().__init__(str(self.errors or self.messages))


def rich_text(value: object, *, v3: bool, name: str) -> object:
    """A description or comment as it is stored. BadFields: too long, or in v3 not a document."""
    if value is None:
        return None
    if not v3:
        if not isinstance(value, str):
            raise BadFields({name: "Operation value must be a string"})
        if len(value) > MAX_TEXT:
            raise BadFields({name: TOO_LONG})
        return value
    if not adf.is_document(value):
        raise BadFields({name: NOT_ADF})
    if adf.fault(value):
        raise BadFields({}, "INVALID_INPUT")
    if len(orjson.dumps(value)) > MAX_TEXT:
        raise BadFields({name: TOO_LONG})
    return value


def checked(site: Site, project: Project, given: Mapping[str, object], *, v3: bool) -> Json:
    """The given fields as they are stored; BadFields lists every field that is wrong."""
    stored: Json = {}
    errors: dict[str, str] = {}
    messages: list[str] = []
    for name, value in given.items():
        try:
            stored[name] = _checked_one(site, project, name, value, v3=v3)
        except BadFields as bad:
            errors |= bad.errors
            messages += bad.messages
    if errors or messages:
        raise BadFields(errors, *messages)
    return stored


def missing(site: Site, project: Project, given: Mapping[str, object]) -> dict[str, str]:
    """What a create lacks."""
    errors = {}
    if not given.get("summary"):
        errors["summary"] = "You must specify a summary of the issue."
    if not given.get("issuetype"):
        errors["issuetype"] = "Specify an issue type"
    for name in project.required:
        if not given.get(name):
            known = site.custom_fields.get(name)
            errors[name] = f"{known.name if known else name.capitalize()} is required."
    return errors


def project_of(site: Site, given: Mapping[str, object]) -> Project:
    """The project that a create names by key or id. BadFields when there is none."""
    asked = given.get("project")
    asked = asked if isinstance(asked, Mapping) else {}
    for project in site.projects.values():
        if asked.get("key") == project.key or (asked.get("id") and str(asked["id"]) == project.id):
            return project
    raise BadFields({"project": "valid project is required"})


def type_id(project: Project, name: str) -> str:
    """The id of an issue type: 10001 for the first."""
    return str(10_001 + project.issue_types.index(name))


def _checked_one(site: Site, project: Project, name: str, value: object, *, v3: bool) -> object:
    if name in project.off_screen:
        raise BadFields({name: NOT_ON_SCREEN.format(name)})
    if name in RICH:
        return rich_text(value, v3=v3, name=name)
    if name in PEOPLE:
        return _person(site, name, value)
    check = _CHECKS.get(name)
    if check:
        return check(project, value)
    if name in PLAIN:
        return value
    if name not in site.custom_fields:
        raise BadFields({name: NOT_ON_SCREEN.format(name)})
    return _custom(site, site.custom_fields[name], value, v3=v3)


def _person(site: Site, name: str, value: object) -> object:
    """Stored as {accountId}; null unassigns."""
    if value is None:
        return None
    given = value if isinstance(value, Mapping) else {}
    asked = given.get("accountId") or given.get("id") or given.get("name")
    known = site.people.known(asked)
    if known is None:
        raise BadFields({name: f"User '{asked}' does not exist."})
    return {"accountId": known.account_id, "displayName": known.name}


def _custom(site: Site, known: CustomField, value: object, *, v3: bool) -> object:
    """In the form of the field's type: text, document, number, {value} of the offered ones, or a list of those."""
    if value is None:
        return None
    if known.is_list:
        if not isinstance(value, list):
            raise BadFields({known.id: "data was not an array"})
        return [_custom_one(site, known, one, v3=v3) for one in value]
    return _custom_one(site, known, value, v3=v3)


def _custom_one(site: Site, known: CustomField, value: object, *, v3: bool) -> object:
    if known.is_long:
        return rich_text(value, v3=v3, name=known.id)
    if known.kind == "option":
        asked = value.get("value") if isinstance(value, Mapping) else None
        if asked not in known.values:
            raise BadFields({known.id: f"Specify a valid 'value' for {known.name}"})
        return {"value": asked, "id": str(20_000 + known.values.index(str(asked)))}
    if known.kind == "user":
        return _person(site, known.id, value)
    if known.kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise BadFields({known.id: "Operation value must be a number"})
    if known.kind == "string" and not isinstance(value, str):
        raise BadFields({known.id: "Operation value must be a string"})
    return value


def _summary(_project: Project, value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        raise BadFields({"summary": "You must specify a summary of the issue."})
    if "\n" in value or "\r" in value:
        raise BadFields({"summary": "The summary is invalid because it contains newline characters."})
    if len(value) > MAX_SUMMARY:
        raise BadFields({"summary": "Summary can't exceed 255 characters."})
    return value


def label(value: object) -> str:
    """A valid label; BadFields says why it is none."""
    if not isinstance(value, str):
        raise BadFields({"labels": "data was not an array"})
    if " " in value:
        raise BadFields({"labels": f"The label '{value}' contains spaces which is invalid."})
    if len(value) > MAX_LABEL:
        raise BadFields({"labels": f"The label '{value}' exceeds the maximum length of {MAX_LABEL} characters."})
    return value


def _labels(_project: Project, value: object) -> object:
    if not isinstance(value, list):
        raise BadFields({"labels": "data was not an array"})
    return list(dict.fromkeys(label(one) for one in value))


def _priority(_project: Project, value: object) -> object:
    if value is None:
        return None
    given = value if isinstance(value, Mapping) else {}
    for at, name in enumerate(PRIORITIES, start=1):
        if given.get("name") == name or str(given.get("id")) == str(at):
            return {"name": name, "id": str(at)}
    raise BadFields({"priority": f"Priority name '{given.get('name') or given.get('id')}' is not valid"})


def _issue_type(project: Project, value: object) -> object:
    given = value if isinstance(value, Mapping) else {}
    for name in project.issue_types:
        if given.get("name") == name or str(given.get("id")) == type_id(project, name):
            return {"name": name, "id": type_id(project, name), "subtask": False}
    raise BadFields({"issuetype": "Specify a valid issue type"})


def _components(project: Project, value: object) -> object:
    if not isinstance(value, list):
        raise BadFields({"components": "data was not an array"})
    for one in value:
        name = one.get("name") if isinstance(one, Mapping) else None
        if name not in project.components:
            raise BadFields({"components": f"Component name '{name}' is not valid"})
    return [{"name": one["name"], "id": str(10_000 + project.components.index(one["name"]))} for one in value]


_CHECKS: dict[str, Callable[[Project, object], object]] = {
    "summary": _summary,
    "labels": _labels,
    "priority": _priority,
    "issuetype": _issue_type,
    "components": _components,
    "project": lambda project, _value: {"key": project.key, "id": project.id, "name": project.name},
}
