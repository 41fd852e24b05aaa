"""How does one incident in ServiceNow come to stand as wanted: once, and without undoing what people did?

Before each write the row is read afresh and must carry our key. Fields and notes that wait go out in one call. What a
lost answer leaves open is looked for, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tocsin.connectors._connector import done
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow import fields, identity, notes, staging
from tocsin.connectors.servicenow.attachments import attach
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.event import send_event
from tocsin.connectors.servicenow.notes import Entry
from tocsin.connectors.servicenow.table import NOTES, Row
from tocsin.connectors.servicenow.work import Work
from tocsin.domain.record import Outcome, Reason, Task


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Create, update, annotate, resolve or re-open one incident; or send one event, where the config says so."""
    if config.identity == "event":
        return send_event(config, task, http)
    work = Work.begin(config, task, http)
    for step in (identity.find_or_create, identity.guard, _update):
        stop = step(work)
        if stop is not None:
            return _ended(work, stop)
    again = attach(work)
    known = work.confirmation()
    assert known is not None  # every step passed: the record was read or written
    outcome = done(known, result="duplicate" if work.adopted else "done", detail=work.said(""))
    return replace(outcome, after=again)


def _ended(work: Work, stop: Outcome) -> Outcome:
    """The attempt stops here. While an earlier call is still in doubt, so is the attempt."""
    unsure = work.in_doubt and stop.result == "retry"
    return replace(
        stop,
        result="ambiguous" if unsure else stop.result,
        confirmation=work.confirmation(),
        detail=work.said(stop.detail),
    )


def _update(work: Work) -> Outcome | None:
    """Write what changed and what is to be said: one call, more only where the notes are too long for one entry."""
    wanted = fields.changes(work)
    if wanted.failure:
        return wanted.failure.outcome()
    entries = notes.waiting(work)
    if isinstance(entries, Outcome):  # notes have to wait; fields need not
        return _written(work, wanted.fields, None) or entries
    stop = _written(work, wanted.fields, entries[0] if entries else None)
    for entry in entries[1:]:
        stop = stop or _written(work, {}, entry)
    if stop is None and work.untold is not None:
        stop = _told(work)
    return stop


def _told(work: Work) -> Outcome | None:
    """Say what a write of this very attempt did not keep."""
    entries = notes.waiting(work)
    if isinstance(entries, Outcome):
        return entries
    return next((stop for entry in entries if (stop := _written(work, {}, entry))), None)


def _written(work: Work, values: Mapping[str, str], entry: Entry | None) -> Outcome | None:
    body = dict(values)
    if entry is not None:
        body[NOTES] = "\n\n".join(part for part in (body.get(NOTES, ""), entry.text) if part)
    if not body:
        return None
    answer = _send(work, body)
    if isinstance(answer, Failure):
        if answer.result == "rejected" and values and entry is not None and answer.reason is not Reason.UNAUTHORIZED:
            _written(work, {}, entry)  # the fields were refused: people should still read the note
        return work.lost(answer, body)
    fields.settle(work, values, answer)
    for note in entry.notes if entry is not None else ():
        work.arrived(note)
    return None


def _send(work: Work, body: Mapping[str, str]) -> Row | Failure:
    if work.config.identity == "import_set":
        return staging.upsert(work, body)
    answer = work.table.write(work.sys_id, body)
    if not isinstance(answer, Failure) and answer.get("sys_id") != work.sys_id:
        return Failure("rejected", Reason.NOT_OURS, 200, f"the answer to a write of {work.sys_id} is another record")
    return answer
