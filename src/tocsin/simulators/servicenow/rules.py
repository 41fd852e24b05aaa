"""What the base system's rules and policies make of a write to an incident: priority, life cycle, mandatory fields,
children.

Sources: docs "def-prio-lookup-rules", "c_IncidentManagementStateModel", "reopening-incident",
"parent-child-state-sync"; reference vendors.md §3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tocsin.simulators.answers import stable_id

if TYPE_CHECKING:
    from tocsin.simulators.servicenow.instance import Instance

Row = dict[str, str]

NEW, IN_PROGRESS, ON_HOLD, RESOLVED, CLOSED, CANCELED = "1", "2", "3", "6", "7", "8"
AWAITING_CALLER = "1"
PRIORITY = {
    ("1", "1"): "1",
    ("1", "2"): "2",
    ("2", "1"): "2",
    ("1", "3"): "3",
    ("2", "2"): "3",
    ("3", "1"): "3",
    ("2", "3"): "4",
    ("3", "2"): "4",
    ("3", "3"): "5",
}
"""(impact, urgency) → priority; other values leave the priority as it was."""

NOT_REOPENED = "Closed incidents stay closed"
MANDATORY = {"close_code": "Resolution code", "close_notes": "Resolution notes"}


class Aborted(Exception):
    """A rule or policy refuses the write: 403. `message` and `detail` are those of the answer."""

    def __init__(self, message: str, detail: str) -> None:
        self.message = message
        self.detail = detail
        super().__init__(f"{message}: {detail}")


def aborted_by(rule: str, table: str, *, sys_id: str = "") -> Aborted:
    """The refusal of a business rule, in the platform's words (reference vendors.md §3.4)."""
    stack = f"'{rule}^{sys_id or stable_id('sys_script', rule)}'. Business Rule Stack:{rule}"
    return Aborted("Operation Failed", f"Operation against file '{table}' was aborted by Business Rule {stack}")


def mandatory(labels: Iterable[str]) -> Aborted:
    """The refusal of a data policy for columns that must not be empty."""
    listed = ", ".join(labels)
    return Aborted("Operation Failed", f"Data Policy Exception: The following fields are mandatory: {listed}")


def incident_rules(before: Row | None, row: Row, *, actor_id: str, now: str, support_group: str) -> None:
    """Completes an incident that is about to be saved (`before` is None on insert), or raises Aborted."""
    _keep_states_alike(before, row)
    _enforce_life_cycle(before, row)
    row["priority"] = PRIORITY.get((row["impact"], row["urgency"]), row["priority"])
    if not row["assignment_group"]:
        # Business rule "Populate Assignment Group based on CI/SO".
        row["assignment_group"] = support_group
    if before and any(before[who] and before[who] != row[who] for who in ("assignment_group", "assigned_to")):
        row["reassignment_count"] = str(int(row["reassignment_count"] or 0) + 1)
    was = before["state"] if before else ""
    if was != row["state"]:
        _stamp(was, row, actor_id=actor_id, now=now)


def _keep_states_alike(before: Row | None, row: Row) -> None:
    """`incident_state` is the older name of `state`; whichever was written wins."""
    if before and row["incident_state"] != before["incident_state"] and row["state"] == before["state"]:
        row["state"] = row["incident_state"]
    row["incident_state"] = row["state"]


def _enforce_life_cycle(before: Row | None, row: Row) -> None:
    if before and before["state"] in (CLOSED, CANCELED) and row["state"] != before["state"]:
        raise aborted_by(NOT_REOPENED, "incident")
    if row["state"] not in (RESOLVED, CLOSED):
        return
    missing = [label for column, label in MANDATORY.items() if not row[column]]
    if missing:
        raise mandatory(missing)


def _stamp(was: str, row: Row, *, actor_id: str, now: str) -> None:
    """Who did it and when, as the rules "mark resolved", "mark closed" and "reopened" do."""
    state = row["state"]
    row["active"] = "false" if state in (CLOSED, CANCELED) else "true"
    if state != ON_HOLD:
        row["hold_reason"] = ""
    if state in (RESOLVED, CLOSED) and was not in (RESOLVED, CLOSED):
        row.update(resolved_at=now, resolved_by=actor_id)
    if state in (CLOSED, CANCELED):
        row.update(closed_at=now, closed_by=actor_id)
    if was == RESOLVED and state in (NEW, IN_PROGRESS, ON_HOLD):
        row.update(reopened_time=now, reopened_by=actor_id, resolved_at="", resolved_by="")
        row["reopen_count"] = str(int(row["reopen_count"] or 0) + 1)


def children_follow(instance: Instance, before: Row, after: Row, *, actor: str) -> None:
    """Child incidents take over their parent's new state; closing and cancelling leave them as they are."""
    state = after["state"]
    if state == before["state"] or state not in (IN_PROGRESS, ON_HOLD, RESOLVED):
        return
    if state == ON_HOLD and after["hold_reason"] == AWAITING_CALLER:
        return
    values = {"state": state}
    if state == ON_HOLD:
        values["hold_reason"] = after["hold_reason"]
    if state == RESOLVED:
        values |= {"close_code": after["close_code"], "close_notes": after["close_notes"]}
        values["work_notes"] = f"Resolution notes copied from {after['number']}: {after['close_notes']}"
    reopening = before["state"] == RESOLVED
    for child in instance.children(after["sys_id"]):
        open_child = child["state"] not in (RESOLVED, CLOSED, CANCELED)
        if child["state"] != state and (open_child or (reopening and child["state"] == RESOLVED)):
            instance.update("incident", child["sys_id"], values, actor=actor)
