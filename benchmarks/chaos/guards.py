"""The guards of each recipe, switched off one by one: without any of them the trial must find violations.

Nothing in the product can be switched off. Here, in the trial's process only, one function is replaced for a while by
what somebody would have written who had not thought of the trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import PropertyMock, patch
from uuid import UUID

from benchmarks.chaos import trial
from tocsin import pipeline
from tocsin.connectors import _http
from tocsin.connectors.jira import finding
from tocsin.connectors.jira.site import Site
from tocsin.connectors.jira.work import Work as IssueWork
from tocsin.connectors.pagerduty import desk as pagerduty_desk
from tocsin.connectors.pagerduty.bring import _Page
from tocsin.connectors.pagerduty.rest import Rest
from tocsin.connectors.servicenow import fields, identity
from tocsin.connectors.servicenow.names import Resolved
from tocsin.connectors.servicenow.table import Table
from tocsin.connectors.servicenow.work import Work
from tocsin.decide import plan
from tocsin.domain.record import Outcome, Record
from tocsin.store import Database, records

Patches = Callable[[], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One thing that keeps the records right; `off` are the patches that take it away."""

    name: str
    vendor: str
    """Whose schedules show that it is missing."""
    without: str
    """What happens when it is missing."""
    off: Patches
    seed: int = 0
    """A schedule that is known to go wrong without it."""


@contextmanager
def switched_off(guard: Guard) -> Iterator[None]:
    """While this lasts, in this process, the product lacks this guard."""
    with ExitStack() as stack:
        for one in guard.off():
            stack.enter_context(one)
        yield


# --- ServiceNow ---


def _no_key() -> Sequence[Any]:
    create = Table.create

    def keyless(self: Table, given: Mapping[str, str]) -> Any:  # noqa: ANN401 as the original
        return create(self, {name: value for name, value in given.items() if name != "sys_id"})

    return (
        patch.object(Table, "create", keyless),
        patch.object(identity, "_look_up", lambda _work: None),
        patch.object(Work, "late_for", PropertyMock(return_value=timedelta(0))),
    )


def _no_look_up() -> Sequence[Any]:
    return (patch.object(identity, "_adopt", lambda _work: None),)


def _no_recheck() -> Sequence[Any]:
    def believed(work: Work) -> None:
        rows = work.table.incidents(f"correlation_id={work.task.wanted.key}", limit=2)
        if isinstance(rows, list) and rows:
            identity._take(work, rows[0])

    return (patch.object(identity, "_look_up", believed), patch.object(identity, "guard", lambda _work: None))


def _no_marker() -> Sequence[Any]:
    return (patch.object(Table, "notes", lambda _self, _sys_id: ""),)


def _no_waiting() -> Sequence[Any]:
    lost = Work.lost

    def at_once(work: Work, failure: _http.Failure, body: Mapping[str, str]) -> Outcome:
        return replace(lost(work, failure, body), after=timedelta(seconds=2))

    no_time = PropertyMock(return_value=timedelta(0))
    return (patch.object(Work, "late_for", no_time), patch.object(Work, "lost", at_once))


def _people_lose() -> Sequence[Any]:
    changes = fields.changes

    def all_of_it(work: Work) -> Resolved:
        found = changes(work)
        wanted = {"impact": str(work.task.wanted.impact), "urgency": str(work.task.wanted.urgency)}
        return found if work.created or work.closed else replace(found, fields={**found.fields, **wanted})

    return (patch.object(fields, "changes", all_of_it),)


def _servicenow_forgets_tried() -> Sequence[Any]:
    return (
        patch.object(Work, "recognise_tried", lambda _work: None),
        patch.object(identity, "_follow_automation", lambda _work, _row: None),
        *_nothing_tried(),
    )


# --- PagerDuty ---


def _one_generation() -> Sequence[Any]:
    desk_of = pipeline.desk_of

    def reopening(app: Any, active: Any) -> plan.Desk:  # noqa: ANN401 as the original
        return replace(desk_of(app, active), reopens={"pagerduty": True})

    return (patch.object(trial, "desk_of", reopening), patch.object(_Page, "ended", PropertyMock(return_value=False)))


def _no_repeat() -> Sequence[Any]:
    return (patch.object(_Page, "due", lambda _self: None),)


def _no_leaving() -> Sequence[Any]:
    def stays(page: Any) -> None:  # noqa: ANN401 a page
        if not page.ended and page.task.wanted.status == "open":
            page.resolving.clear()

    leave = _Page.leave

    def only_at_the_end(page: Any) -> Any:  # noqa: ANN401 as the original
        return stays(page) if page.task.wanted.status == "open" else leave(page)

    return (patch.object(_Page, "leave", only_at_the_end),)


def _no_marker_at_pagerduty() -> Sequence[Any]:
    annotate = pagerduty_desk.annotate

    def blindly(rest: Any, incident: Any, notes: Any, *, look_first: bool) -> Any:  # noqa: ANN401
        return annotate(rest, incident, notes, look_first=False)

    return (patch.object(pagerduty_desk, "annotate", blindly),)


def _close_unheeded() -> Sequence[Any]:
    find = Rest.find

    def all_open(rest: Rest, key: str) -> Any:  # noqa: ANN401 as the original
        found = find(rest, key)
        return found if isinstance(found, _http.Failure) else tuple(replace(one, status="triggered") for one in found)

    return (patch.object(Rest, "find", all_open),)


# --- Jira ---


def _no_search() -> Sequence[Any]:
    return (patch.object(finding, "_adopt", lambda _work, _lost_at: None),)


def _no_window() -> Sequence[Any]:
    return (patch.object(finding, "INDEX_CATCHES_UP_S", 0), patch.object(finding, "_LOOKS_AFTER_S", ()))


def _no_sweeper() -> Sequence[Any]:
    return (
        patch.object(finding, "sweep", lambda _work, _found: None),
        patch.object(finding, "sweep_again", lambda _work: None),
    )


def _no_marker_at_jira() -> Sequence[Any]:
    return (patch.object(Site, "comments", lambda _self, _issue: ""),)


def _jira_forgets_tried() -> Sequence[Any]:
    return (*_nothing_tried(), patch.object(IssueWork, "forgive_machines", lambda _work: None))


# --- delivery ---


def _nothing_tried() -> Sequence[Any]:
    return (_leased(lambda record: replace(record, tried=())),)


def _no_doubt() -> Sequence[Any]:
    """A dead worker's lease is handed on as if nothing had been sent under it."""
    return (_leased(lambda record: replace(record, ambiguous_since=None, tried=(), attempts=1)),)


def _leased(as_seen: Callable[[Record], Record]) -> Any:  # noqa: ANN401 a patch
    lease = records.lease

    def handed_out(database: Database, limit: int, tokens: Sequence[UUID]) -> list[Record]:
        return [as_seen(record) for record in lease(database, limit, tokens)]

    return patch.object(records, "lease", handed_out)


def _no_compare() -> Sequence[Any]:
    compared = " AND r.lease_token = :token"
    assert compared in records._SETTLE
    settle = records._SETTLE.replace(compared, "")
    return (patch.object(records, "_SETTLE", settle),)


def _no_deadline() -> Sequence[Any]:
    once = _http.Http._once

    def whenever(self: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 as the original
        self._ends_at_s = float("inf")
        return once(self, *args, **more)

    return (patch.object(_http.Http, "_once", whenever),)


GUARDS = (
    Guard(name="primary key is ours", vendor="servicenow", seed=5, off=_no_key,
          without="a lost answer makes a second incident"),
    Guard(name="look-up after a lost answer", vendor="servicenow", seed=5, off=_no_look_up,
          without="the second insert is refused, and the record is given up"),
    Guard(name="every found row is checked again", vendor="servicenow", seed=46, off=_no_recheck,
          without="an instance that ignores the query hands out others' incidents"),
    Guard(name="note marker", vendor="servicenow", seed=3, off=_no_marker, without="notes stand twice"),
    Guard(name="a lost call may land late", vendor="servicenow", seed=42, off=_no_waiting, without="notes stand twice"),
    Guard(name="people win", vendor="servicenow", seed=410, off=_people_lose,
          without="a person's impact is overwritten"),
    Guard(name="what was tried is remembered", vendor="servicenow", seed=1113, off=_servicenow_forgets_tried,
          without="our own unconfirmed write is taken for a person's"),
    Guard(name="another generation after a resolve", vendor="pagerduty", seed=9, off=_one_generation,
          without="a resolved page is never followed by another, or its key pages anew"),
    Guard(name="repeated resolve", vendor="pagerduty", seed=168, off=_no_repeat,
          without="a trigger that lands behind the resolve leaves a page open"),
    Guard(name="old team's page is closed", vendor="pagerduty", seed=87, off=_no_leaving,
          without="a page stays at the team that no longer owns it"),
    Guard(name="note marker", vendor="pagerduty", seed=6, off=_no_marker_at_pagerduty, without="notes stand twice"),
    Guard(name="a person's close is heeded", vendor="pagerduty", seed=562, off=_close_unheeded,
          without="what a person closed rings again"),
    Guard(name="look-up by label", vendor="jira", seed=3, off=_no_search, without="a lost answer makes a second issue"),
    Guard(name="window of waiting", vendor="jira", seed=5, off=_no_window, without="a slow index makes a second issue"),
    Guard(name="sweeper of doubles", vendor="jira", seed=311, off=_no_sweeper, without="two issues stay open"),
    Guard(name="comment marker", vendor="jira", seed=2, off=_no_marker_at_jira, without="comments stand twice"),
    Guard(name="what was tried is remembered", vendor="jira", seed=193, off=_jira_forgets_tried,
          without="our own unconfirmed transition is taken for a person's"),
    Guard(name="a dead worker may have sent", vendor="jira", seed=44, off=_no_doubt,
          without="a second issue is created"),
    Guard(name="settling needs the lease", vendor="servicenow", seed=26, off=_no_compare,
          without="a worker that lost its lease settles"),
    Guard(name="deadline before each call", vendor="pagerduty", seed=90, off=_no_deadline,
          without="a worker that stood still sends what is long over"),
)  # fmt: skip
