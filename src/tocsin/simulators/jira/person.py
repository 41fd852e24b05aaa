"""What does a person do to an issue? The body of `POST /__person`, done as that account and not as the integration's.

    {"record": "OPS-1", "as": "ada", "do": "assign", "to": "ada"}
    {"record": "OPS-1", "do": "resolve", "resolution": "Won't Do"}     or reopen, or acknowledge
    {"record": "OPS-1", "do": "move", "to": "In Review"}
    {"record": "OPS-1", "do": "comment", "text": "Looking at it."}     or priority (`to`), delete

`as` is a login of the site: ada (unless given), beth, or automation, which is an app.
"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Json
from tocsin.simulators.jira import adf
from tocsin.simulators.jira.fields import BadFields, checked
from tocsin.simulators.jira.people import Account
from tocsin.simulators.jira.site import Change, Comment, Issue, Site, item

_KNOWN = {"record", "as", "do", "to", "text", "resolution"}
_DOINGS = ("assign", "priority", "resolve", "reopen", "acknowledge", "move", "comment", "delete")
_INTO = {"resolve": "done", "reopen": "new", "acknowledge": "indeterminate"}


def edited(site: Site, body: Mapping[str, object]) -> tuple[Issue, Account, Change | Comment | None]:
    """The issue after the edit, who did it, and what there is to tell of it (None: it is deleted). BadPayload when it
    cannot be done."""
    if unknown := sorted(set(body) - _KNOWN):
        raise BadPayload(f"unknown; known are {sorted(_KNOWN)}", path=unknown[0])
    given = {key: str(value) for key, value in body.items()}
    issue = site.issue(given.get("record", ""))
    who = site.people.known(given.get("as", "ada"))
    if issue is None or who is None:
        raise BadPayload("is no key or id of an issue, or nobody bears this login", path="record")
    doing = given.get("do", "")
    if doing in _INTO or doing == "move":
        return issue, who, _moved(site, issue, doing, given, who)
    if doing == "comment":
        text = adf.of_text(given.get("text") or "Looking at it.")
        return issue, who, site.comment(issue, text, {}, by=who)
    if doing in ("assign", "priority"):
        return issue, who, _set(site, issue, doing, given.get("to", ""), who)
    if doing == "delete":
        del site.issues[issue.key]
        site.deleted.append(issue.key)
        return issue, who, None
    raise BadPayload(f"unknown; known are {', '.join(_DOINGS)}", path="do")


def _moved(site: Site, issue: Issue, doing: str, given: Mapping[str, str], who: Account) -> Change:
    for state in site.transitions(issue):
        if given.get("to") == state.name or (doing != "move" and state.category == _INTO[doing]):
            return site.move(issue, state, resolution=given.get("resolution", ""), by=who)
    raise BadPayload(f"no way there from {issue.state.name}", path="do")


def _set(site: Site, issue: Issue, doing: str, to: str, who: Account) -> Change:
    name = "priority" if doing == "priority" else "assignee"
    value = {"name": to} if name == "priority" else {"accountId": to or who.account_id}
    before = issue.fields.get(name)
    try:
        issue.fields = issue.fields | checked(site, issue.project, {name: value}, v3=True)
    except BadFields as wrong:
        raise BadPayload(str(wrong), path="to") from wrong
    site.touch(issue)
    return site.changed(issue, [item(name, before, issue.fields[name])], by=who)


def shown(issue: Issue) -> Json:
    """The answer to the person's edit."""
    return {"id": issue.id, "key": issue.key, "status": issue.state.name, "fields": dict(issue.fields)}
