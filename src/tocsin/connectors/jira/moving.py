"""How is an issue resolved, or opened again, when statuses and transitions bear other names in every workflow?

By the category of the status that a transition leads to: new, indeterminate or done. Names come in by config only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tocsin.connectors._connector import rejected
from tocsin.connectors._http import Failure
from tocsin.connectors.jira.site import DONE, Issue, Transition, ended
from tocsin.connectors.jira.work import Work
from tocsin.domain.record import Outcome, Reason

MAX_STEPS = 4
"""Some workflows lead to done only over other statuses; longer ways than this are left to people."""
DUPLICATE = "Duplicate"


def move(work: Work) -> Outcome | None:
    """Resolve it, or open it again, where nobody else has moved it."""
    if work.hands_off:
        return None
    issue, wanted, before = work.known, work.task.wanted, work.task.sent_wanted
    is_done, as_we_left_it = issue.category == DONE, issue.status == work.sent.get("status", issue.status)
    if wanted.status == "resolved":
        if is_done:
            return None
        if not as_we_left_it:
            work.remarks.append("its status was changed by people: left to them to resolve")
            return None
        return _go(work, work.config.done_transition, into_done=True)
    ended_by_us = any(one.status == "resolved" for one in (before, *work.task.tried) if one is not None)
    if is_done and ended_by_us and as_we_left_it:
        stop = _go(work, work.config.reopen_transition, into_done=False)
        work.reopened = stop is None
        return stop
    taken_on = wanted.acknowledged_by and not (before is not None and before.acknowledged_by)
    if taken_on and issue.category == "new" and as_we_left_it:
        return _take_on(work)
    return None


def _take_on(work: Work) -> Outcome | None:
    """Somebody works on it: into a status in progress, where the workflow leads there and asks for nothing."""
    ways = _ways(work, work.known)
    if isinstance(ways, Failure):
        return ways.outcome()
    way = next((one for one in ways if one.category == "indeterminate" and not _missing(work, one)), None)
    if way is None:
        work.remarks.append("taken on by a person, but its workflow has no way into progress from here")
        return None
    failure = work.site.move(work.known.id, through(work, way))
    if failure is not None and failure.result != "rejected":
        work.sent["unsure"] = True
        return ended(failure)
    if failure is None:
        work.issue = replace(work.known, status=way.status, category=way.category, transitions=None)
        work.sent["status"] = way.status
    return None


def _go(work: Work, name: str, *, into_done: bool) -> Outcome | None:
    """Step by step, by the transition that leads there, or over a status that has not been passed yet."""
    passed: set[str] = set()
    for _ in range(MAX_STEPS):
        passed.add(work.known.status)
        way = way_to(work, work.known, name, into_done=into_done, passed=passed)
        if isinstance(way, Failure):
            return way.outcome()
        if isinstance(way, str):
            return rejected(Reason.CLIENT_ERROR if into_done else Reason.GONE, way)
        failure = work.site.move(work.known.id, through(work, way))
        if failure is not None:
            if failure.result == "ambiguous":
                work.sent["unsure"] = True
            return ended(failure)
        work.issue = replace(work.known, status=way.status, category=way.category, transitions=None)
        work.sent["status"] = way.status
        if (way.category == DONE) == into_done:
            return None
    return rejected(Reason.CLIENT_ERROR, f"not done after {MAX_STEPS} transitions; set done_transition")


def way_to(
    work: Work, issue: Issue, name: str, *, into_done: bool, passed: Iterable[str] = ()
) -> Transition | Failure | str:
    """The configured transition, else the first whose target has the category and whose screen we can fill in, else
    one to a status in progress that was not passed yet. A text says why there is none."""
    ways = _ways(work, issue)
    if isinstance(ways, Failure):
        return ways
    direct = [way for way in ways if (way.category == DONE) == into_done and (not name or way.name == name)]
    usable = [way for way in direct if not _missing(work, way)]
    if usable:
        return usable[0]
    if direct:
        wanting = ", ".join(_missing(work, direct[0]))
        return f"transition {direct[0].name} wants {wanting}; set resolution, or choose another by done_transition"
    onwards = [way for way in ways if way.category == "indeterminate" and way.status not in passed]
    if into_done and onwards and not _missing(work, onwards[0]):
        return onwards[0]
    named = ", ".join(way.name for way in ways) or "none"
    if into_done:
        return f"no transition from {issue.status} into a done status; set done_transition to one of: {named}"
    return f"closed: its workflow has no way back from {issue.status}"


def _ways(work: Work, issue: Issue) -> Sequence[Transition] | Failure:
    """What came with the issue serves where none has a screen; else the screens' fields are asked for."""
    known = issue.transitions
    if known is not None and known and all(way.has_screen is False for way in known):
        return known
    return work.site.transitions(issue.id)


def _missing(work: Work, way: Transition) -> list[str]:
    """The required fields of its screen that we cannot fill in."""
    fields = way.fields or {}
    return [
        str(field.get("name") or name)
        for name, field in fields.items()
        if isinstance(field, dict)
        and field.get("required")
        and not field.get("hasDefaultValue")
        and not (name == "resolution" and _resolution(work, field, double=False))
    ]


def through(work: Work, way: Transition, *, double: bool = False) -> dict[str, Any]:
    """The body of the transition, with a resolution where its screen has one; `double` prefers Duplicate."""
    body: dict[str, Any] = {"transition": {"id": way.id}}
    field = (way.fields or {}).get("resolution")
    if isinstance(field, dict) and (name := _resolution(work, field, double=double)):
        body["fields"] = {"resolution": {"name": name}}
    return body


def _resolution(work: Work, field: Mapping[str, Any], *, double: bool) -> str:
    """The configured one; where one must be given and none is configured, Done, else the first that is offered."""
    allowed = [str(one.get("name", "")) for one in field.get("allowedValues") or [] if isinstance(one, dict)]
    asked = (DUPLICATE if double else "", work.config.resolution, "Done" if field.get("required") else "")
    for name in asked:
        if name and (name in allowed or (not allowed and name == work.config.resolution)):
            return name
    return allowed[0] if allowed and field.get("required") else ""
