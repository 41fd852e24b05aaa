"""How does one Jira issue come to stand as wanted? Step by step; each step may end the attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tocsin.connectors._connector import done, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.alert import bring_alert
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.finding import find_or_create
from tocsin.connectors.jira.hanging import write_attachments, write_issue_links, write_links, write_notes
from tocsin.connectors.jira.moving import move
from tocsin.connectors.jira.render import issue_type_of, priority_of, project_of
from tocsin.connectors.jira.screen import create_screen, field_value
from tocsin.connectors.jira.site import DONE, Site, ended
from tocsin.connectors.jira.work import Work, moment
from tocsin.domain.record import Outcome, Reason, Task


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Create, update, annotate, resolve or re-open one issue, or one alert of Jira Service Management operations."""
    if config.target == "alert":
        return bring_alert(config, task, http)
    work = Work(config=config, task=task, http=http, site=Site(config, http, now=task.now))
    for step in _STEPS:
        stop = step(work)
        if stop is not None:
            return replace(stop, confirmation=work.confirmation() or stop.confirmation, detail=work.said(stop.detail))
    known = work.confirmation()
    assert known is not None  # every step passed: the issue was read or created
    settled = done(known, result="duplicate" if work.adopted else "done", detail=work.said(""))
    sweep_at = moment(work.sent.get("sweep_until"))
    return replace(settled, after=max(sweep_at - task.now, timedelta())) if sweep_at else settled


def guard(work: Work) -> Outcome | None:
    """Never write an issue that is not ours; and learn who else has written ours."""
    if not work.created and work.known.ours != work.task.wanted.key:
        key = work.known.key
        work.issue = None
        return rejected(Reason.NOT_OURS, f"{key} carries neither our label nor our property; nothing was written")
    failure = work.forgive_machines()
    return failure.outcome() if failure is not None else None


def write_fields(work: Work) -> Outcome | None:
    """Set the priority, and the change that a person confirmed, where ours has changed and nobody else has set them."""
    if work.created or work.known.category == DONE:
        return None
    if work.hands_off:
        work.remarks.append("people have taken it over: only comments are added")
        return None
    fields = {**_priority(work), **_caused_by(work)}
    if not fields:
        return None
    failure = work.site.edit(work.known.id, fields)
    if failure is not None and failure.status == 400:
        work.dropped += fields
        work.warnings.append(f"{', '.join(fields)} not taken: {failure.detail}")
    elif failure is not None:
        return ended(failure)
    elif "priority" in fields:
        work.issue = replace(work.known, priority=priority_of(work.config, work.task.wanted))
    if "priority" in fields:
        work.sent["priority"] = priority_of(work.config, work.task.wanted)
    if set(fields) - {"priority"}:
        work.sent["caused_by"] = work.task.wanted.caused_by
    return None


def write_fields_reopened(work: Work) -> Outcome | None:
    """What changed while it was closed: a closed issue may not be editable, so it is opened first."""
    return write_fields(work) if work.reopened else None


def _priority(work: Work) -> dict[str, object]:
    wanted, now = priority_of(work.config, work.task.wanted), work.known.priority
    ours = {work.sent.get("priority", ""), *(priority_of(work.config, one) for one in work.task.tried)}
    if now == wanted:
        work.sent["priority"] = wanted
    if not wanted or wanted == now or now not in ours or work.sent.get("priority") == wanted:
        return {}
    return {"priority": {"name": wanted}}


def _caused_by(work: Work) -> dict[str, object]:
    field, wanted, before = work.config.caused_by_field, work.task.wanted, work.task.sent_wanted
    if not field or not wanted.caused_by or work.sent.get("caused_by") == wanted.caused_by:
        return {}
    if before is not None and before.caused_by == wanted.caused_by:
        return {}
    screen = create_screen(work.site, work.http, project_of(work.config, wanted), issue_type_of(work.config, wanted))
    found = None if isinstance(screen, Failure) else field_value(work.config, screen, field, wanted.caused_by)
    found = found or (field, wanted.caused_by)
    return {found[0]: found[1]}


_STEPS: tuple[Callable[[Work], Outcome | None], ...] = (
    find_or_create,
    guard,
    write_fields,
    move,
    write_fields_reopened,
    write_links,
    write_issue_links,
    write_notes,
    write_attachments,
)
