"""How does one outage stay one incident, whatever was lost on the way?

Three recipes (vendors.md §3.5). `sys_id`: the incident's primary key is ours, so that a second insert fails; where the
instance ignores or refuses it, the next recipe takes over. `lookup`: before each create, and after a lost answer once
nothing can arrive late any more, the incident is looked for by correlation_id, each row checked. `import_set`: the
same, written through a staging table whose transform map coalesces on correlation_id.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tocsin.connectors._connector import rejected
from tocsin.connectors._http import NOT_THE_API, Failure
from tocsin.connectors.servicenow import fields, notes, staging
from tocsin.connectors.servicenow.render import IN_PROGRESS, NEW, ON_HOLD, render
from tocsin.connectors.servicenow.table import NOTES, Row, named_refusal
from tocsin.connectors.servicenow.work import SHARED, Work, changes_counted
from tocsin.domain.record import Outcome, Reason

_KEEPS = "keeps our sys_ids"
"""Remembered per destination: True or False once an answer has shown it."""
_REMEMBERED_S = 86_400.0
_INSERT_REFUSED = "Error during insert"
_SYSTEM = "system"
"""The user in whose name the platform's own jobs write."""


def find_or_create(work: Work) -> Outcome | None:
    """Read the known incident, take over one that a lost answer left behind, or create it."""
    if work.task.external_id:
        return _read_known(work)
    if work.in_doubt or not _chosen(work):
        stop = _adopt(work)
        if stop is not None or work.row is not None:
            return stop
        if work.late_for and not _keeps(work):
            return _waiting(work)
    return _create(work)


def guard(work: Work) -> Outcome | None:
    """Never write an incident that is not ours; a closed one cannot be opened again (reopening-incident)."""
    row, key = work.shown, work.task.wanted.key
    if row.get("correlation_id") != key or row.get("sys_id") != work.sys_id:
        if work.created:
            return None  # made a moment ago by an instance that does not keep our key: later writes are refused here
        work.row = None
        return rejected(Reason.NOT_OURS, f"{work.sys_id} does not carry our correlation_id; nothing was written")
    if work.closed:
        if work.task.wanted.status == "open":
            return rejected(Reason.GONE, "closed")
        work.notes = [note.id for note in work.task.notes]  # a closed incident takes no notes; nothing to wait for
        if work.task.notes:
            work.remarks.append("closed: later notes were not added")
    return None


def _keeps(work: Work) -> bool | None:
    """Whether this instance takes a sys_id of ours; None while nothing has shown it."""
    kept: bool | None = work.http.recall(_KEEPS) if work.config.identity == "sys_id" else False
    return kept


def _chosen(work: Work) -> bool:
    """Whether we give a sys_id to what we create."""
    return _keeps(work) is not False


def _learn(work: Work, *, keeps: bool) -> None:
    work.http.remember(_KEEPS, keeps, for_s=_REMEMBERED_S)


def _waiting(work: Work) -> Outcome:
    detail = "the lost create may still be carried out; looked for again once it cannot"
    return Outcome(result="ambiguous", reason=Reason.TIMEOUT, detail=detail, after=work.late_for)


# --- an incident that we know ---


def _read_known(work: Work) -> Outcome | None:
    answer = work.table.read(work.sys_id)
    if isinstance(answer, Failure):
        return answer.outcome() if answer.status != 404 else _missing(work, answer)
    work.row = answer
    if work.sys_id == work.task.wanted.key:
        _learn(work, keeps=True)
    work.sent = work.sent_before or _baseline(work, answer)
    work.recognise_tried()
    _follow_automation(work, answer)
    fields.recognise(work)
    return None


def _missing(work: Work, failure: Failure) -> Outcome:
    """404 is the answer to a deleted record and to a user who may not see it (vendors.md §3.4): look which."""
    visible = work.table.rows(work.config.table, "ORDERBYDESCsys_created_on", fields="sys_id", limit=1)
    if isinstance(visible, Failure):
        return visible.outcome()
    if not visible:
        lost = f"no row of {work.config.table} is visible any more: give the integration's user its roles back"
        return rejected(Reason.FORBIDDEN, lost)
    return rejected(Reason.GONE, f"deleted: {failure.detail}")


def _follow_automation(work: Work, row: Row) -> None:
    """What the instance's own jobs moved since our last look is the new baseline (an assignment that a flow made); what
    a person moved is not. One update since, and in a machine's name: anything else counts as a person's. In doubt, one
    update in our own name is the write whose answer we lost. What a person had moved before stays a person's."""
    before, after = changes_counted({k: str(v) for k, v in work.task.observed.items()}), changes_counted(row)
    us = {row.get("sys_created_by", ""), work.config.username} - {""}
    by = row.get("sys_updated_by")
    if before is None or after != before + 1 or by not in us | {_SYSTEM}:
        return
    observed = work.task.observed
    theirs = {name for name, value in work.sent.items() if name in observed and str(observed[name]) != value}
    if work.in_doubt and by in us:
        work.sent.update({name: row[name] for name in {*work.sent, *SHARED} - theirs if name in row})
        return
    for name in SHARED:
        if name in row and name not in theirs and (name != "state" or row[name] in (NEW, IN_PROGRESS, ON_HOLD)):
            work.sent[name] = row[name]


def _baseline(work: Work, row: Row) -> dict[str, str]:
    """What we must have sent to a record whose answer was lost: what it shows, or, where somebody else has written
    it since, what we want now, so that nothing of theirs is overwritten."""
    wanted = {name: str(value) for name, value in render(work.config, work.task.wanted).items()}
    shown = {name: row.get(name, "") for name in {*wanted, *SHARED}}
    if row.get("sys_mod_count", "0") == "0" or row.get("sys_updated_by") in (row.get("sys_created_by"), _SYSTEM):
        return shown
    return {**shown, "impact": wanted["impact"], "urgency": wanted["urgency"], "state": NEW, "assigned_to": ""}


# --- an incident that may be there ---


def _adopt(work: Work) -> Outcome | None:
    """Take the incident over if it is there: by primary key, else by correlation_id."""
    key = work.task.wanted.key
    if _chosen(work):
        found = work.table.read(key)
        if not isinstance(found, Failure):
            if found.get("correlation_id") != key:
                return rejected(Reason.NOT_OURS, f"{key} is taken by an incident that is not ours; nothing was written")
            _take(work, found)
            return None
        if found.status != 404:
            return _unsure(found)
    return _look_up(work)


def _look_up(work: Work) -> Outcome | None:
    """By correlation_id: two rows are asked for, so that a double shows, and each is checked again."""
    key = work.task.wanted.key
    rows = work.table.incidents(f"correlation_id={key}", limit=2)
    if isinstance(rows, Failure):
        return _unsure(rows)
    ours = [row for row in rows if row.get("correlation_id") == key and row.get("sys_id")]
    if ours:
        ours.sort(key=lambda row: (row["sys_id"] != key, row.get("sys_created_on", ""), row["sys_id"]))
        if len(ours) > 1:
            both = ", ".join(row.get("number", row["sys_id"]) for row in ours)
            work.warnings.append(f"{both} carry our correlation_id: the first is kept up, close the other")
        _take(work, ours[0])
        return None
    if rows and not _chosen(work):
        said = "the look-up by correlation_id answered other incidents; let the integration's user read correlation_id"
        if work.in_doubt:
            return Outcome(result="ambiguous", reason=Reason.BAD_ANSWER, detail=said, after=NOT_THE_API)
        work.warnings.append(said)
    return None


def _take(work: Work, row: Row) -> None:
    work.row, work.adopted, work.in_doubt = row, True, True
    work.sys_id = row["sys_id"]
    work.sent = _baseline(work, row)
    if work.sys_id == work.task.wanted.key:
        _learn(work, keeps=True)


def _unsure(failure: Failure) -> Outcome:
    """The look-up itself failed: still nobody knows."""
    return failure.outcome() if failure.result == "rejected" else replace(failure.outcome(), result="ambiguous")


# --- a new incident ---


def _create(work: Work) -> Outcome | None:
    wanted = render(work.config, work.task.wanted)
    resolved = work.names.resolved(wanted)
    if resolved.failure:
        return resolved.failure.outcome()
    body = dict(resolved.fields)
    if not _chosen(work):
        body.pop("sys_id", None)
    entry = notes.opening(work)
    if entry is not None:
        body[NOTES] = entry.text
    answer = staging.upsert(work, body) if work.config.identity == "import_set" else work.table.create(body)
    if isinstance(answer, Failure):
        return _after_failed_create(work, answer)
    work.created, work.in_doubt = True, False
    work.warnings += resolved.unknown
    work.sys_id = answer.get("sys_id") or work.sys_id
    if _chosen(work):
        _learn(work, keeps=work.sys_id == work.task.wanted.key)
        if not _chosen(work):
            work.remarks.append("this instance chooses sys_ids itself: a lost answer is looked for by correlation_id")
    if answer.get("correlation_id") != work.task.wanted.key:
        work.warnings.append("correlation_id was not kept: let the user write it, or no update will be made")
    work.notes += [note.id for note in entry.notes] if entry is not None else []
    fields.settle(work, body, answer, said={name: str(value) for name, value in wanted.items()})
    return None


def _after_failed_create(work: Work, failure: Failure) -> Outcome | None:
    """Refused or unanswered: the record may be there (403 is also the answer to a sys_id that is taken)."""
    refused = failure.status in (403, 409) and not named_refusal(failure)
    if failure.result != "ambiguous" and not refused:
        return failure.outcome()
    was_in_doubt, work.in_doubt = work.in_doubt, True
    stop = _adopt(work)
    if work.row is not None:
        return None
    if stop and (stop.reason is Reason.NOT_OURS or (stop.result == "ambiguous" and refused)):
        return stop
    if refused and _chosen(work) and _INSERT_REFUSED in str(failure.body):
        return _without_our_sys_id(work, failure, again=was_in_doubt)
    outcome = failure.outcome()
    if failure.result == "ambiguous" and not _keeps(work) and (was_in_doubt or not _chosen(work)):
        return replace(outcome, after=timedelta(seconds=work.config.late_commit_s))
    return outcome


def _without_our_sys_id(work: Work, failure: Failure, *, again: bool) -> Outcome | None:
    """Refused, and nothing stands under our key. Only when that is so again, after nothing can arrive late any more,
    the instance is taken to refuse chosen sys_ids, and the incident goes in without."""
    if not again or work.late_for:
        late = timedelta(seconds=work.config.late_commit_s)
        return Outcome(result="ambiguous", reason=Reason.FORBIDDEN, detail=failure.detail, after=late)
    _learn(work, keeps=False)
    stop = _create(work)
    if stop is not None and stop.result == "rejected":
        work.http.forget(_KEEPS)  # it was not the sys_id that was refused
    return stop
