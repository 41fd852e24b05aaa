"""What must an issue carry to be created in this project, and in which form do its fields want their values?

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/#api-rest-api-3-issue-createmeta-projectidorkey-issuetypes-get
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import OPTIONAL, text
from tocsin.connectors.jira.site import Site
from tocsin.domain.record import Reason

KEPT_FOR_S = 3600
_PAGE = 200
_BY_JIRA = frozenset({"project", "issuetype", "reporter"})
"""Always there: we name the first two, Jira fills in the third."""
_NAMED = frozenset({"priority", "version", "component", "resolution", "group", "securitylevel", "issuelinktype"})
"""Schema types whose values are {name}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """One field of the create screen."""

    id: str
    name: str
    required: bool
    has_default: bool
    kind: str
    items: str
    custom: str
    allowed: tuple[str, ...]
    """The values that it takes, by name; empty where it takes any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """The create screen of one issue type in one project."""

    project: str
    issue_type: str
    fields: tuple[Wants, ...]

    def field(self, asked: str) -> Wants | None:
        """By id, or by name in any case where only one bears it."""
        by_id = next((one for one in self.fields if one.id == asked), None)
        named = [one for one in self.fields if one.name.lower() == asked.lower()]
        return by_id or (named[0] if len(named) == 1 else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The fields as they are sent, what was left out, and why Jira would refuse them all the same."""

    fields: Mapping[str, object]
    dropped: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """A sentence each, with the field and the remedy."""


def create_screen(site: Site, http: Http, project: str, issue_type: str) -> Screen | Failure:
    """The create screen, kept for an hour in this process. A Failure with status 404: the project is not there (or not
    for us); with status 400: it has no such issue type, and its own types are named."""
    remembered = f"jira screen {project} {issue_type}"
    known: Screen | None = http.recall(remembered)
    if known is not None:
        return known
    root = f"/issue/createmeta/{project}/issuetypes"
    kinds = _all(site, root, "issueTypes")
    if isinstance(kinds, Failure):
        return kinds
    kind = next((one for one in kinds if str(one.get("name", "")).lower() == issue_type.lower()), None)
    if kind is None:
        names = ", ".join(str(one.get("name", "")) for one in kinds)
        words = f"{project} has no issue type {issue_type}; set issue_type to one of: {names}"
        return Failure("rejected", Reason.CLIENT_ERROR, 400, words)
    rows = _all(site, f"{root}/{kind.get('id')}", "fields")
    if isinstance(rows, Failure):
        return rows
    screen = Screen(project=project, issue_type=issue_type, fields=tuple(_wants(row) for row in rows))
    http.remember(remembered, screen, for_s=KEPT_FOR_S)
    return screen


def forget_screen(http: Http, project: str, issue_type: str) -> None:
    """The site has refused what the kept screen allowed."""
    http.forget(f"jira screen {project} {issue_type}")


def fitted(config: Config, screen: Screen, given: Mapping[str, object]) -> Fitted:
    """The fields of a create in the form that the screen wants; see Fitted."""
    fields: dict[str, object] = {}
    dropped: list[str] = []
    faults: list[str] = []
    for asked, value in given.items():
        wants = screen.field(asked)
        if asked in ("project", "issuetype"):
            fields[asked] = value
        elif wants is None and asked in OPTIONAL:
            dropped.append(asked)
        elif wants is None:
            faults.append(_not_there(screen, asked))
        elif refused := [one for one in _names(value) if wants.allowed and one not in wants.allowed]:
            if asked in OPTIONAL and not wants.required:
                dropped.append(asked)
            else:
                faults.append(f"{wants.name} takes no {', '.join(refused)}; {_remedy(wants)}")
        else:
            fields[wants.id] = _shaped(config, wants, value)
    faults += [
        f"{screen.project} {screen.issue_type} wants {_shown(wants)}; {_remedy(wants)}"
        for wants in screen.fields
        if wants.required and not wants.has_default and wants.id not in {*_BY_JIRA, *fields}
    ]
    return Fitted(fields=fields, dropped=tuple(dropped), faults=tuple(faults))


def field_value(config: Config, screen: Screen, asked: str, value: str) -> tuple[str, object] | None:
    """Id and value of one field as an edit wants them; None where the screen has no such field."""
    wants = screen.field(asked)
    return (wants.id, _shaped(config, wants, value)) if wants else None


def _not_there(screen: Screen, asked: str) -> str:
    where = f"the create screen of {screen.issue_type} in {screen.project}"
    if asked in ("labels", "summary", "description"):
        return f"{asked} is not on {where}: have it put there, our issues are found by it"
    named = [one.id for one in screen.fields if one.name.lower() == asked.lower()]
    if named:
        return f"{asked} is the name of {', '.join(named)}: name one by its id under fields"
    return f"{asked} is not on {where}: have it put there, or take it out of fields"


def _shown(wants: Wants) -> str:
    return wants.name if wants.name == wants.id else f"{wants.name} ({wants.id})"


def _remedy(wants: Wants) -> str:
    where = {"components": "components", "priority": "priorities"}.get(wants.id, "fields")
    choices = ", ".join(wants.allowed[:10]) + (" …" if len(wants.allowed) > 10 else "")
    return f"set it under {where} in the connector's config" + (f" to one of: {choices}" if choices else "")


def _shaped(config: Config, wants: Wants, value: object) -> object:
    """A text in the form that the field wants; anything else was written in Jira's own form."""
    if wants.kind == "array" and not (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        many = value if isinstance(value, list) else [value]
        return [_one(config, wants.items, str(one)) if isinstance(one, str) else one for one in many]
    if not isinstance(value, str):
        return value
    if wants.custom.endswith(":textarea"):
        return text(config, value)
    return _one(config, wants.kind, value)


def _one(config: Config, kind: str, value: str) -> object:
    if kind == "option":
        return {"value": value}
    if kind == "user":
        return {"accountId": value} if config.flavour == "cloud" else {"name": value}
    if kind in _NAMED:
        return {"name": value}
    if kind == "number":
        return _number(value)
    return value


def _number(value: str) -> object:
    try:
        return float(value)
    except ValueError:
        return value  # Jira will say what is wrong with it


def _names(value: object) -> list[str]:
    """What a value names: its own text, or those inside {name}, {value} and lists."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(value[key]) for key in ("name", "value") if key in value][:1]
    return [name for one in value for name in _names(one)] if isinstance(value, list) else []


def _wants(row: Mapping[str, Any]) -> Wants:
    schema = row.get("schema") or {}
    allowed = row.get("allowedValues")
    names = [str(one.get("name") or one.get("value") or "") for one in allowed or [] if isinstance(one, dict)]
    field_id = str(row.get("fieldId") or row.get("key") or "")
    return Wants(
        id=field_id,
        name=str(row.get("name") or field_id),
        required=bool(row.get("required")),
        has_default=bool(row.get("hasDefaultValue")),
        kind=str(schema.get("type") or ""),
        items=str(schema.get("items") or ""),
        custom=str(schema.get("custom") or ""),
        allowed=tuple(name for name in names if name),
    )


def _all(site: Site, path: str, name: str) -> list[dict[str, Any]] | Failure:
    """Every row of a paged list, which Data Center calls `values`."""
    rows: list[dict[str, Any]] = []
    while True:
        params = {"maxResults": str(_PAGE), "startAt": str(len(rows))}
        page = site.ask("GET", path, idempotent=True, params=params)
        if isinstance(page, Failure):
            return page
        found = page.get(name) or page.get("values")
        more = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        rows += more
        if not more or len(rows) >= int(page.get("total") or 0):
            return rows
