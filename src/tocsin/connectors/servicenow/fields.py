"""Which fields do we still have to write, and what did the instance make of those that we wrote?

A field is written only where it stands as we last left it, so that people's edits stay. The baseline is what the
instance answered to our own write: its automatic assignment and its priority calculation are nobody's edit.
"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.connectors.servicenow.names import Resolved
from tocsin.connectors.servicenow.render import (
    ADDRESS,
    CANCELED,
    CLOSED,
    IN_PROGRESS,
    NEW,
    ON_HOLD,
    RESOLVED,
    addressed,
    custom,
    resolution,
)
from tocsin.connectors.servicenow.table import NOTES, Row
from tocsin.connectors.servicenow.work import SHARED, Work, changes_counted, same

_LINKS = ("parent_incident", "caused_by")
_TEXTS = ("short_description", "description", "close_notes")
_DECIDED_THERE = ("impact", "urgency", "assignment_group")
"""Where the instance's rules put another value, that is their decision and shows by itself."""
_UNREAD = frozenset({"correlation_id", "correlation_display", "contact_type", "state"})
"""Of use to the operator only."""


def recognise(work: Work) -> None:
    """What stands as we want it counts as ours: it may be a write whose answer was lost."""
    row, wanted = work.shown, work.task.wanted
    for name, value in (("impact", str(wanted.impact)), ("urgency", str(wanted.urgency))):
        if row.get(name) == value:
            work.sent[name] = value
    if wanted.status == "resolved":
        ours = resolution(work.config, wanted)
        if all(same(row.get(name, ""), value) for name, value in ours.items()):
            work.sent["state"] = RESOLVED
    us = {row.get("sys_created_by", ""), work.config.username} - {""}
    if work.in_doubt and row.get("sys_updated_by") in us:
        _recognise_untold(work)


def _recognise_untold(work: Work) -> None:
    """We wrote it last, in attempts that never told, perhaps several: what one of them would have left is ours."""
    row, tried, before = work.shown, work.task.tried, work.task.sent_wanted
    for one in tried:
        for name, value in (("impact", str(one.impact)), ("urgency", str(one.urgency))):
            if row.get(name) == value:
                work.sent[name] = value
        ours = resolution(work.config, one) if one.status == "resolved" else {"state": ""}
        if all(same(row.get(name, ""), value) for name, value in ours.items()):
            work.sent["state"] = RESOLVED
    course = {one.status for one in tried}
    came_back = "open" in course and ("resolved" in course or (before is not None and before.status == "resolved"))
    if came_back and row.get("state") == IN_PROGRESS:
        work.sent["state"] = IN_PROGRESS


def changes(work: Work) -> Resolved:
    """What to write now, names resolved; nothing where people have taken it over and policy leaves it to them."""
    if work.created or work.closed:
        return Resolved(fields={})
    if work.touched and work.task.when_human_touched == "note_only":
        work.remarks.append("people have taken it over: only notes are added")
        return Resolved(fields={})
    resolved = work.names.resolved(_wanted(work))
    if resolved.failure:
        return resolved
    work.warnings += resolved.unknown
    row, writes = work.shown, {}
    for name, value in resolved.fields.items():
        if row.get(name, "") == value:
            work.sent.setdefault(name, value)  # what a person set as we want it now stays the person's
        elif value != work.sent.get(name, "") and row.get(name, "") == work.sent.get(name, ""):
            writes[name] = value
    return Resolved(fields={**writes, **_state_change(work)})


def _wanted(work: Work) -> dict[str, str]:
    """The fields that follow the incident, as they should stand; references by name, and only those that moved."""
    config, wanted, before = work.config, work.task.wanted, work.task.sent_wanted
    found = {"impact": str(wanted.impact), "urgency": str(wanted.urgency), **custom(config, wanted)}
    links = {"parent_incident": wanted.parent, "caused_by": wanted.caused_by}
    earlier = {"parent_incident": before.parent, "caused_by": before.caused_by} if before else {}
    found |= {name: links[name] for name in _LINKS if links[name] != earlier.get(name, "")}
    if before is None or before.address != wanted.address:
        now, then = addressed(config, wanted), addressed(config, before) if before else {}
        found |= {name: now[name] for name in ADDRESS if now[name] and now[name] != then.get(name)}
    return found


def _state_change(work: Work) -> dict[str, str]:
    """1, 2, 3 → 6 to resolve, where nobody else moved it; 6 → 2 when it fires again; 1 → 2 when a person took the
    incident on elsewhere (vendors.md §3.6)."""
    task, state = work.task, work.shown.get("state", "")
    if task.wanted.status == "resolved":
        return _resolve(work, state)
    fires_again = task.sent_wanted is not None and task.sent_wanted.status == "resolved"
    if fires_again or work.sent.get("state") == RESOLVED:
        return _reopen(work, state)
    taken_on = bool(task.wanted.acknowledged_by) and not (task.sent_wanted and task.sent_wanted.acknowledged_by)
    if taken_on and state == NEW == work.sent.get("state", NEW):
        return {"state": IN_PROGRESS}
    return {}


def _resolve(work: Work, state: str) -> dict[str, str]:
    if state in (RESOLVED, CLOSED, CANCELED):
        return {}
    if state != work.sent.get("state", state):
        work.remarks.append("its state was changed by people: left to them to resolve")
        return {}
    ours = resolution(work.config, work.task.wanted)
    theirs = {name for name in ours if work.shown.get(name) and work.shown[name] != work.sent.get(name, "")}
    return {name: value for name, value in ours.items() if name == "state" or name not in theirs}


def _reopen(work: Work, state: str) -> dict[str, str]:
    if state in (NEW, IN_PROGRESS, ON_HOLD):
        work.sent["state"] = state  # open already: by an answer we lost, or by people
        return {}
    told = {} if work.task.notes else {NOTES: f"{work.task.wanted.display} fires again."}
    return {"state": IN_PROGRESS, **told}


def settle(work: Work, written: Mapping[str, str], answer: Row, *, said: Mapping[str, str] | None = None) -> None:
    """Remember what we wrote, and notice what the instance silently left out (ACL, read-only, unknown fields). `said`
    holds references by name, for the note about what was left out."""
    before, count = work.row, changes_counted(answer)
    lost = {}
    for name, value in written.items():
        if name in (NOTES, "sys_id"):
            continue
        work.sent[name] = value
        if not _kept(name, value, before, answer):
            lost[name] = (said or {}).get(name, value)
    earlier = changes_counted(before) if before is not None else None
    undisturbed = earlier is None or count is None or count <= earlier + 1  # nobody wrote between our read and write
    for name in SHARED:
        ours = before is None or (undisturbed and before.get(name) == work.sent.get(name))
        if name in answer and (ours or name in written):
            work.sent[name] = answer[name]
    work.row = answer
    _tell_of(work, lost)


def _kept(name: str, wrote: str, before: Row | None, answer: Row) -> bool:
    shown = answer.get(name, "")
    if name in _TEXTS:  # shortened by its column or reworded by a rule is kept
        return bool(shown.strip()) and (before is None or not same(shown, before.get(name, "")) or same(shown, wrote))
    return same(shown, wrote)


def _tell_of(work: Work, lost: Mapping[str, str]) -> None:
    """Name what was left out; what people would miss goes into a work note, once."""
    if not lost:
        return
    work.dropped |= set(lost)
    work.remarks.append(f"fields not taken: {', '.join(sorted(lost))}")
    missed = {name for name in lost if name not in _DECIDED_THERE or not work.shown.get(name)} - _UNREAD
    texts = [f"{name}: {lost[name]}" for name in sorted(missed) if lost[name]]
    if texts:
        work.leave_untold("This instance did not keep, of what was sent:\n" + "\n".join(texts))
