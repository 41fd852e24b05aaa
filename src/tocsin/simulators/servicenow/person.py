"""What does a person do to a record? The body of `POST /__person`, done as that user and not as our account.

    {"record": "INC0010001", "as": "jane.archer", "do": "assign", "to": "Jane Archer", "group": "Network"}
    {"record": "<sys_id>", "do": "resolve", "note": "Rolled back.", "code": "Resolved by change"}
    {"record": "INC0010001", "set": {"urgency": "1", "work_notes": "Looking into it."}}

`do`: assign, acknowledge, hold, resolve, close, cancel, reopen, note, comment, cause (`change`: number of a change
request), child_of (`parent`: number of an incident), delete. References in `set` may be given by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Json
from tocsin.simulators.servicenow.instance import Instance, Row
from tocsin.simulators.servicenow.rules import CANCELED, CLOSED, IN_PROGRESS, ON_HOLD, RESOLVED, Aborted

SOMEBODY = "jane.archer"
_KNOWN = {"record", "as", "do", "set", "to", "group", "note", "code", "change", "parent", "reason"}


def edited(instance: Instance, body: Mapping[str, object]) -> Json:
    """The row after the edit; BadPayload when it cannot be done, or a rule of the instance refuses."""
    if unknown := sorted(set(body) - _KNOWN):
        raise BadPayload(f"unknown; known are {sorted(_KNOWN)}", path=unknown[0])
    given = {key: str(value) for key, value in body.items() if key != "set"}
    row, table = _record(instance, given.get("record", ""))
    actor = given.get("as", SOMEBODY)
    if given.get("do") == "delete":
        return {"deleted": instance.delete(table, row["sys_id"])}
    values = _values(instance, table, row, given, body.get("set"))
    try:
        after = instance.update(table, row["sys_id"], values, actor=actor)
    except Aborted as refused:
        raise BadPayload(str(refused), path="record") from refused
    return dict(after or {})


def _record(instance: Instance, shown: str) -> tuple[Row, str]:
    """The task of that number or sys_id, and its table."""
    for row in instance.rows("task"):
        if shown and shown in (row["sys_id"], row["number"]):
            return row, row["sys_class_name"]
    raise BadPayload(f"{shown!r} is no number or sys_id of a task", path="record")


def _values(instance: Instance, table: str, row: Row, given: Mapping[str, str], more: object) -> dict[str, str]:
    doing = given.get("do", "")
    if doing and doing not in _DOINGS:
        raise BadPayload(f"unknown; known are {sorted({*_DOINGS, 'delete'})}", path="do")
    if more is not None and not isinstance(more, Mapping):
        raise BadPayload("must be an object of columns", path="set")
    values = _DOINGS[doing](given, row) if doing else {}
    values |= {str(key): str(value) for key, value in (more or {}).items()}
    for column, target in instance.table(table).references.items():
        if values.get(column):
            values[column] = instance.id_of(target, values[column]) or values[column]
    return values


def _assign(given: Mapping[str, str], row: Row) -> dict[str, str]:
    values = {"assigned_to": given.get("to", "Jane Archer")}
    return values | ({"assignment_group": given["group"]} if "group" in given else {})


def _ended(state: str) -> Callable[[Mapping[str, str], Row], dict[str, str]]:
    def values(given: Mapping[str, str], row: Row) -> dict[str, str]:
        code = given.get("code") or row.get("close_code") or "Solution provided"
        notes = given.get("note") or row.get("close_notes") or "Done by hand."
        return {"state": state, "close_code": code, "close_notes": notes}

    return values


_DOINGS: Mapping[str, Callable[[Mapping[str, str], Row], dict[str, str]]] = {
    "assign": _assign,
    "acknowledge": lambda given, _: {"state": IN_PROGRESS, **({"assigned_to": given["to"]} if "to" in given else {})},
    "hold": lambda given, _: {
        "state": ON_HOLD,
        "hold_reason": given.get("reason", "4"),
        **({"comments": given["note"]} if "note" in given else {}),
    },
    "resolve": _ended(RESOLVED),
    "close": _ended(CLOSED),
    "cancel": lambda given, _: {"state": CANCELED, "work_notes": given.get("note", "Canceled by hand.")},
    "reopen": lambda given, _: {"state": IN_PROGRESS, "work_notes": given.get("note", "Reopened by hand.")},
    "note": lambda given, _: {"work_notes": given.get("note", "A note by hand.")},
    "comment": lambda given, _: {"comments": given.get("note", "A comment by hand.")},
    "cause": lambda given, _: {"caused_by": given.get("change", "")},
    "child_of": lambda given, _: {"parent_incident": given.get("parent", "")},
}
