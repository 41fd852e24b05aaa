"""Will this project take our issues: permissions, issue type, required fields, and a way to done?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import error, note, ok, refused, some, used_by, warning
from tocsin.domain.seen import Finding, Inspection

if TYPE_CHECKING:
    from tocsin.connectors.jira.inspect import Eyes

NEEDED = {
    "BROWSE_PROJECTS": "see issues",
    "CREATE_ISSUES": "create issues",
    "EDIT_ISSUES": "edit issues",
    "TRANSITION_ISSUES": "resolve and reopen issues",
    "ADD_COMMENTS": "comment",
}
USEFUL = {"LINK_ISSUES": "link issues", "CREATE_ATTACHMENTS": "attach files"}
PAGE = "200"
ALWAYS = ("project", "issuetype", "summary", "description", "labels")


def projects(eyes: Eyes, inspection: Inspection) -> Iterator[Finding]:
    """One look at each project and issue type that the mappings name."""
    asked: dict[str, dict[str, list[str]]] = {}
    nowhere: list[str] = []
    for team, address in sorted(inspection.addresses.items()):
        key = address.get("project") or eyes.config.project
        kind = address.get("issue_type") or eyes.config.issue_type
        if key:
            asked.setdefault(key, {}).setdefault(kind, []).append(team)
        else:
            nowhere.append(team)
    if nowhere:
        says = "These teams name no project, and there is none for all: their issues are refused"
        yield warning("project", some(nowhere), says, "give them one, or set project: on the connector")
    if eyes.config.project:
        asked.setdefault(eyes.config.project, {}).setdefault(eyes.config.issue_type, [])
    for key, kinds in asked.items():
        who = used_by(inspection, [team for teams in kinds.values() for team in teams]) or "project: of this connector"
        yield from _project(eyes, key, kinds, who)


def _project(eyes: Eyes, key: str, kinds: Mapping[str, Sequence[str]], who: str) -> Iterator[Finding]:
    found = eyes.get(f"/project/{key}")
    if isinstance(found, Failure):
        if found.status == 404:
            remedy = "correct the key in the mappings, or give the user Browse projects there"
            yield error("project", key, f"There is none, or the user may not see it. Used by {who}", remedy)
        else:
            yield refused("project", found)
        return
    yield ok("project", key, str(found.get("name", "")))
    yield _permissions(eyes, key)
    types = _rows(eyes.get(f"/issue/createmeta/{key}/issuetypes", maxResults=PAGE), "issueTypes")
    if types is None:
        yield note("issue_type", key, "The project's issue types cannot be read; the first create will tell")
        return
    for kind in kinds:
        bearing = [one for one in types if one.get("name") == kind]
        if not bearing:
            there = some([str(one.get("name")) for one in types])
            remedy = f"choose from: {there}; set issue_type on the connector or in the team's address"
            yield error("issue_type", f"{key}: {kind}", f"The project has no such issue type. Used by {who}", remedy)
            continue
        yield from _issue_type(eyes, key, bearing[0])


def _permissions(eyes: Eyes, key: str) -> Finding:
    """Jira says what a user may do without its being done."""
    asked = ",".join([*NEEDED, *USEFUL])
    found = eyes.get("/mypermissions", projectKey=key, permissions=asked)
    held = found.get("permissions") if isinstance(found, dict) else None
    if not isinstance(held, dict):
        return note("permissions", key, "Cannot be read")

    def lacking(names: Mapping[str, str]) -> list[str]:
        return [words for name, words in names.items() if not (held.get(name) or {}).get("havePermission")]

    remedy = "add the user to a role of the project's permission scheme that holds them"
    if missing := lacking(NEEDED):
        return error("permissions", key, f"The user may not {', '.join(missing)}", remedy)
    if missing := lacking(USEFUL):
        return warning("permissions", key, f"The user may not {', '.join(missing)}: done without", remedy)
    return ok("permissions", key, "May create, edit, resolve, comment, link and attach")


# --- what a create must carry ---


def _issue_type(eyes: Eyes, key: str, kind: Mapping[str, Any]) -> Iterator[Finding]:
    name = f"{key}: {kind.get('name')}"
    fields = _rows(eyes.get(f"/issue/createmeta/{key}/issuetypes/{kind.get('id')}", maxResults=PAGE), "fields")
    if fields is None:
        yield note(
            "required_fields", name, "The fields of the create screen cannot be read; the first create will tell"
        )
    else:
        yield from _screen(eyes, name, {str(one.get("fieldId") or one.get("key")): one for one in fields})
    yield from _workflow(eyes, key, str(kind.get("name")))


def _screen(eyes: Eyes, name: str, screen: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    sent = _sent(eyes, screen)
    lacking = [
        _called(field)
        for field_id, field in screen.items()
        if field.get("required") and not field.get("hasDefaultValue") and field_id not in sent
    ]
    if lacking:
        remedy = "give each a value under fields: of this connector, or make it optional in the field configuration"
        yield error(
            "required_fields", name, f"Required and not sent, so every create is refused: {some(lacking)}", remedy
        )
    else:
        yield ok("required_fields", name, "Everything required is sent")
    if "labels" not in screen:
        says = "Labels are not on the create screen: issues could not be found again by their key, so none is made"
        yield error("screen", name, says, "add Labels to the project's create screen")
    absent = [
        field_id for field_id in sent if field_id not in screen and field_id not in ("project", "issuetype", "labels")
    ]
    if absent:
        yield warning(
            "screen", name, f"Not on the create screen: {some(absent)}", "add them to the screen, or send none"
        )
    yield from _allowed(eyes, name, screen)


def _sent(eyes: Eyes, screen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ids of the fields that our create carries; configured ones may be written by name."""
    by_name = {str(field.get("name", "")).casefold(): field_id for field_id, field in screen.items()}
    custom = [name if name in screen else by_name.get(name.casefold(), name) for name in eyes.config.fields]
    optional = [
        name for name, given in (("priority", eyes.config.priorities), ("components", eyes.config.components)) if given
    ]
    return [*ALWAYS, *optional, *custom]


def _allowed(eyes: Eyes, name: str, screen: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Configured values against those that the screen offers."""
    given = {"priority": eyes.config.priorities.values(), "components": eyes.config.components.values()}
    for field_id, values in given.items():
        offered = {
            str(one.get("name")) for one in screen.get(field_id, {}).get("allowedValues") or [] if isinstance(one, dict)
        }
        unknown = [value for value in dict.fromkeys(values) if value not in offered]
        if offered and unknown:
            setting = "priorities" if field_id == "priority" else "components"
            remedy = f"choose from: {some(sorted(offered))}; set {setting}"
            yield warning(field_id, f"{name}: {some(unknown)}", "Not offered for this issue type; sent without", remedy)


def _called(field: Mapping[str, Any]) -> str:
    field_id = str(field.get("fieldId") or field.get("key"))
    return field_id if field.get("name") in (None, field_id) else f"{field['name']} ({field_id})"


# --- the way to done and back ---


def _workflow(eyes: Eyes, key: str, kind: str) -> Iterator[Finding]:
    """Is there a status of category done, and from the newest open issue a transition into one?"""
    name = f"{key}: {kind}"
    found = eyes.get(f"/project/{key}/statuses")
    statuses = [one for one in found if one.get("name") == kind] if isinstance(found, list) else []
    if statuses:
        categories = {str(_in(one, "statusCategory", "key")) for one in statuses[0].get("statuses") or []}
        if "done" not in categories:
            says = "Its workflow has no status of category Done: nothing can be resolved"
            yield error("transitions", name, says, "add one, or set the category of an existing status to Done")
            return
        if not categories - {"done"}:
            says = "Its workflow has only statuses of category Done: nothing can be reopened"
            yield warning("transitions", name, says, "set the category of the working statuses to To Do or In Progress")
    issue = _newest_open(eyes, key, kind)
    if issue is None:
        yield note("transitions", name, "No open issue of this type is visible, so its transitions were not looked at")
        return
    rows = _rows(eyes.get(f"/issue/{issue.get('id')}/transitions", expand="transitions.fields"), "transitions")
    yield _to_done(eyes, name, str(issue.get("key")), rows or [])


def _newest_open(eyes: Eyes, key: str, kind: str) -> Mapping[str, Any] | None:
    if '"' in kind or "\\" in kind:
        return None
    jql = f'project = "{key}" AND issuetype = "{kind}" AND statusCategory != Done ORDER BY created DESC'
    path = "/search/jql" if eyes.cloud else "/search"
    rows = _rows(eyes.get(path, jql=jql, maxResults="1", fields="status"), "issues")
    return rows[0] if rows else None


def _to_done(eyes: Eyes, name: str, issue: str, rows: Sequence[Mapping[str, Any]]) -> Finding:
    wanted = eyes.config.done_transition
    into_done = [one for one in rows if _in(one, "to", "statusCategory", "key") == "done"]
    chosen = [one for one in rows if wanted in (one.get("name"), one.get("id"))] if wanted else into_done
    there = some([str(one.get("name")) for one in rows]) or "none"
    if not chosen:
        what = f"no transition {wanted!r}" if wanted else "no transition into a status of category Done"
        remedy = f"set done_transition to one of: {there}; or give the user the right to transition there"
        return error("transitions", name, f"From the state of {issue} there is {what}", remedy)
    asked = [
        _called({"fieldId": field_id, **field})
        for field_id, field in (chosen[0].get("fields") or {}).items()
        if isinstance(field, dict)
        and field.get("required")
        and not field.get("hasDefaultValue")
        and field_id != "resolution"
    ]
    if asked:
        says = f"Transition {chosen[0].get('name')!r} asks for {some(asked)}, which we do not fill"
        return error("transitions", name, says, "choose another done_transition, or make them optional on its screen")
    if _in(chosen[0], "fields", "resolution", "required") and not eyes.config.resolution:
        says = f"Transition {chosen[0].get('name')!r} asks for a resolution"
        return error("transitions", name, says, "set resolution: on the connector, such as Done")
    return ok("transitions", name, f"{issue} could be resolved by {chosen[0].get('name')!r}")


def _rows(body: Any, key: str) -> list[dict[str, Any]] | None:  # noqa: ANN401  # the vendor's JSON, or a Failure
    """The rows of a page; Data Center calls them values."""
    rows = body.get(key, body.get("values")) if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


def _in(value: Any, *path: str) -> Any:  # noqa: ANN401  # a walk through the vendor's JSON
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
