"""How does one incident in ServiceNow come to stand as wanted: once, and without undoing what people did?

The incident's sys_id is our key, so that a create whose answer was lost cannot make a second one (vendors.md §3.5).
Before each write the row is read afresh: it must carry our key, and a field is written only where it still stands as
we last left it. Work notes go one by one and end in a marker that proves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from tocsin.connectors._connector import cut, done, marked, marker, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.render import (
    CANCELED,
    CLOSED,
    IN_PROGRESS,
    NEW,
    ON_HOLD,
    REFERENCES,
    RESOLVED,
    render,
    resolution,
)
from tocsin.connectors.servicenow.table import Row, Table
from tocsin.domain.record import Confirmation, Outcome, Reason, Task

MAX_NOTE = 30_000
OURS_AND_THEIRS = ("state", "assigned_to", "assignment_group")
"""Fields that people and the instance's rules move too: what an own write was answered with is their starting point."""
_SHOWN = (*OURS_AND_THEIRS, "number", "impact", "urgency", "close_code")


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Create, update, annotate, resolve or re-open one incident."""
    work = _Work(config=config, task=task, table=Table(config, http), sys_id=task.external_id or task.wanted.key)
    for step in (work.find_or_create, work.guard, work.write_fields, work.write_notes):
        stop = step()
        if stop is not None:
            return replace(stop, confirmation=work.confirmation(), detail=work.said(stop.detail))
    known = work.confirmation()
    assert known is not None  # every step passed: the record was read or written
    return done(known, result="duplicate" if work.adopted else "done", detail=work.said(""))


@dataclass(slots=True, kw_only=True)
class _Work:
    """One attempt: what is known so far."""

    config: Config
    task: Task
    table: Table
    sys_id: str
    row: Row | None = None
    created: bool = False
    adopted: bool = False
    sent: dict[str, str] = field(default_factory=dict)
    notes: list[UUID] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def said(self, detail: str) -> str:
        return cut("; ".join(part for part in (detail, *self.remarks) if part), 500)

    def confirmation(self) -> Confirmation | None:
        """What is known by now; None while there is no sign that the record exists."""
        row = self.row
        if row is None:
            return None
        return Confirmation(
            external_id=self.sys_id,
            number=row.get("number", ""),
            url=f"{self.config.root}/{self.config.table}.do?sys_id={self.sys_id}",
            sent=dict(self.sent),
            observed={name: row[name] for name in _SHOWN if name in row},
            notes=tuple(self.notes),
            dropped_fields=tuple(sorted(set(self.dropped))),
            human_touched=self.touched,
        )

    @property
    def touched(self) -> bool:
        """Whether somebody else moved it since our last write."""
        row = self.row or {}
        return any(name in self.sent and row.get(name, "") != self.sent[name] for name in OURS_AND_THEIRS)

    # find or create

    def find_or_create(self) -> Outcome | None:
        """Read the known record, adopt one that a lost answer left behind, or create it."""
        if self.task.external_id:
            return self._read_known()
        if self.task.ambiguous_since:
            stop = self._adopt()
            if stop is not None or self.row is not None:
                return stop
        fields, stop = self._with_references(render(self.config, self.task.wanted), tell=True)
        if stop:
            return stop
        answer = self.table.create(fields)
        if isinstance(answer, Failure):
            return self._after_failed_create(answer)
        self.created = True
        self.sys_id = answer.get("sys_id") or self.sys_id
        if self.sys_id != self.task.wanted.key:
            self.remarks.append("this instance chooses sys_ids itself: a lost answer is looked for by correlation_id")
        self._settle(fields, answer)
        return None

    def _read_known(self) -> Outcome | None:
        answer = self.table.read(self.sys_id)
        if isinstance(answer, Failure):
            return answer.outcome() if answer.status != 404 else rejected(Reason.GONE, f"deleted: {answer.detail}")
        self.row = answer
        self.sent = {name: str(value) for name, value in self.task.sent.items()} or self._baseline(answer)
        self._recognise(answer)
        return None

    def _recognise(self, row: Row) -> None:
        """What stands as we want it counts as ours: it may be a write whose answer was lost."""
        wanted = {"impact": str(self.task.wanted.impact), "urgency": str(self.task.wanted.urgency)}
        self.sent |= {name: value for name, value in wanted.items() if row.get(name) == value}
        if self.task.wanted.status == "resolved":
            ours = resolution(self.config, self.task.wanted)
            if all(row.get(name, "").replace("\r\n", "\n") == value for name, value in ours.items()):
                self.sent["state"] = RESOLVED

    def _after_failed_create(self, failure: Failure) -> Outcome | None:
        """Refused or unanswered: the record may be there (403 is also the answer to a sys_id that is taken)."""
        if failure.result != "ambiguous" and failure.status not in (403, 409):
            return failure.outcome()
        stop = self._adopt()
        if self.row is not None:
            return None
        if stop and (stop.reason == Reason.NOT_OURS or (stop.result == "ambiguous" and failure.result == "rejected")):
            return stop
        return failure.outcome()

    def _adopt(self) -> Outcome | None:
        """Take the record over if it is there: by primary key; by correlation id where the instance refuses ours."""
        found: Row | Failure | None = self.table.read(self.task.wanted.key)
        if isinstance(found, Failure) and found.status == 404:
            found = self.table.with_correlation(self.task.wanted.key)
        if isinstance(found, Failure):
            return found.outcome() if found.result == "rejected" else replace(found.outcome(), result="ambiguous")
        if found is None:
            return None
        if found.get("correlation_id") != self.task.wanted.key:
            return rejected(Reason.NOT_OURS, f"{self.task.wanted.key} is taken by an incident that is not ours")
        self.row, self.adopted = found, True
        self.sys_id = found.get("sys_id") or self.sys_id
        self.sent = self._baseline(found)
        return None

    def _baseline(self, row: Row) -> dict[str, str]:
        """What we must have sent to a record whose answer was lost: what it shows, or, where somebody else has
        written it since, what we want now, so that nothing of theirs is overwritten."""
        theirs = row.get("sys_mod_count", "0") != "0" and row.get("sys_updated_by") != row.get("sys_created_by")
        wanted = {name: str(value) for name, value in render(self.config, self.task.wanted).items()}
        shown = {name: row.get(name, "") for name in {*wanted, *OURS_AND_THEIRS}}
        if not theirs:
            return shown
        return {**shown, "impact": wanted["impact"], "urgency": wanted["urgency"], "state": NEW, "assigned_to": ""}

    # guard

    def guard(self) -> Outcome | None:
        """Never write a record that is not ours; a closed one cannot be re-opened."""
        row = self.row or {}
        if row.get("correlation_id") != self.task.wanted.key and not self.created:
            self.row = None
            return rejected(Reason.NOT_OURS, f"{self.sys_id} does not carry our correlation_id; nothing was written")
        if row.get("state") in (CLOSED, CANCELED):
            if self.task.wanted.status == "open":
                return rejected(Reason.GONE, "closed")
            self.notes = [note.id for note in self.task.notes]  # a closed incident takes no notes; nothing to wait for
            if self.task.notes:
                self.remarks.append("closed: later notes were not added")
        return None

    # fields

    def write_fields(self) -> Outcome | None:
        """PATCH what we want changed and nobody else has changed."""
        if self.created or (self.row or {}).get("state") in (CLOSED, CANCELED):
            return None
        if self.touched and self.task.when_human_touched == "note_only":
            self.remarks.append("people have taken it over: only notes are added")
            return None
        changes, stop = self._changes()
        if stop or not changes:
            return stop
        answer = self.table.write(self.sys_id, changes, idempotent="work_notes" not in changes)
        if isinstance(answer, Failure):
            return answer.outcome()
        self._settle(changes, answer)
        return None

    def _changes(self) -> tuple[dict[str, str], Outcome | None]:
        wanted = {"impact": str(self.task.wanted.impact), "urgency": str(self.task.wanted.urgency)}
        group = render(self.config, self.task.wanted).get("assignment_group")
        before = self.task.sent_wanted
        if group and (before is None or before.address != self.task.wanted.address):
            named, stop = self._with_references({"assignment_group": group}, tell=False)
            if stop:
                return {}, stop
            wanted |= named
        row = self.row or {}
        self.sent |= {name: value for name, value in wanted.items() if row.get(name) == value}
        changes = {
            name: value
            for name, value in wanted.items()
            if value != self.sent.get(name) and row.get(name, "") == self.sent.get(name, "")
        }
        return changes | self._state_change(row.get("state", "")), None

    def _state_change(self, state: str) -> dict[str, str]:
        """1, 2, 3 → 6 to resolve, where nobody else moved it; 6 → 2 when it fires again (vendors.md §3.6)."""
        task = self.task
        if task.wanted.status == "resolved":
            if state in (RESOLVED, CLOSED, CANCELED):
                return {}
            if state == self.sent.get("state", state):
                return resolution(self.config, task.wanted)
            self.remarks.append("its state was changed by people: left to them to resolve")
            return {}
        fires_again = task.sent_wanted is not None and task.sent_wanted.status == "resolved"
        if not fires_again and self.sent.get("state") != RESOLVED:
            return {}
        if state in (NEW, IN_PROGRESS, ON_HOLD):
            self.sent["state"] = state  # open already: by an answer we lost, or by people
            return {}
        told = {} if task.notes else {"work_notes": f"{task.wanted.display} fires again."}
        return {"state": IN_PROGRESS, **told}

    def _settle(self, written: Mapping[str, str], answer: Row) -> None:
        """Remember what we wrote and notice what the instance silently left out (ACL, read-only, unknown fields)."""
        for name, value in written.items():
            if name == "work_notes":
                continue
            self.sent[name] = value
            if name != "sys_id" and answer.get(name, "").replace("\r\n", "\n") != value:
                self.dropped.append(name)
        for name in OURS_AND_THEIRS:
            untouched = self.row is None or self.row.get(name) == self.sent.get(name)
            if name in answer and (untouched or name in written):
                self.sent[name] = answer[name]
        self.row = answer
        if self.dropped:
            self.remarks.append(f"fields not taken: {', '.join(sorted(set(self.dropped)))}")

    def _with_references(self, fields: Mapping[str, object], *, tell: bool) -> tuple[dict[str, str], Outcome | None]:
        """Names become sys_ids. One that is missing or ambiguous is left out, and said; with `tell` also in a note."""
        kept = {name: str(value) for name, value in fields.items()}
        unknown: list[str] = []
        for name, (table, column) in REFERENCES.items():
            if name not in kept:
                continue
            found = self.table.named(table, column, kept[name])
            if isinstance(found, Failure) and found.result != "rejected":
                return {}, found.outcome()
            if isinstance(found, Failure) and found.reason == Reason.UNAUTHORIZED:
                return {}, found.outcome()
            if isinstance(found, str):
                kept[name] = found
            else:
                unknown.append(f"{name} {kept.pop(name)!r} is not known here, or not unique: left empty")
        self.remarks += unknown
        if tell and unknown:
            kept["work_notes"] = "\n".join(unknown)
        return kept, None

    # notes

    def write_notes(self) -> Outcome | None:
        """Add the notes that are not there yet, oldest first; after an earlier try the journal is asked first."""
        missing = [note for note in self.task.notes if note.id not in self.notes]
        there = self._journal() if missing else ""
        if isinstance(there, Outcome):
            return there
        for note in missing:
            if marker(note) not in there:
                text = marked(note, MAX_NOTE)
                answer = self.table.write(self.sys_id, {"work_notes": text}, idempotent=False)
                if isinstance(answer, Failure):
                    return answer.outcome()
                self.row = answer
            self.notes.append(note.id)
        return None

    def _journal(self) -> str | Outcome:
        tried_before = self.task.attempts > 0 or self.task.ambiguous_since is not None
        if self.created or not tried_before:
            return ""
        there = self.table.journal(self.sys_id)
        if isinstance(there, str):
            return there
        if there.result == "rejected":
            self.remarks.append("sys_journal_field cannot be read: a note may stand twice")
            return ""
        return there.outcome()
