"""What is known during one attempt at one incident: the row as last read, what we wrote, what is worth telling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from tocsin.connectors._connector import cut
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.servicenow.config import Config
from tocsin.connectors.servicenow.names import Names
from tocsin.connectors.servicenow.render import CANCELED, CLOSED
from tocsin.connectors.servicenow.table import NOTES, Row, Table
from tocsin.domain.record import Confirmation, Note, Outcome, Reason, Task

SHARED = ("state", "assigned_to", "assignment_group")
"""Fields that people and the instance's own rules move too: what an own write was answered with is their baseline."""
_SHOWN = (
    *SHARED,
    *("number", "impact", "urgency", "priority", "close_code", "caused_by", "parent_incident"),
    *("sys_mod_count", "sys_updated_by", "sys_updated_on"),
)
_UNTOLD = "_untold"
"""Key in `sent` under which a text waits for its work note: what the instance did not keep of what we wrote."""
_TRIED = "_tried"
"""Key in `sent` under which the fields stand whose write was not answered."""
_DOUBT = "_in_doubt"
"""Key in `sent` that stands while an earlier call is in doubt, however the attempt ended otherwise."""
MAX_DETAIL = 500
MAX_UNTOLD = 20_000


@dataclass(slots=True, kw_only=True)
class Work:
    """One attempt: what is known so far."""

    config: Config
    task: Task
    http: Http
    table: Table
    names: Names
    sys_id: str
    row: Row | None = None
    created: bool = False
    adopted: bool = False
    in_doubt: bool
    """An earlier call may have been carried out without our knowing, and its traces were not looked for yet."""
    sent: dict[str, str] = field(default_factory=dict)
    notes: list[UUID] = field(default_factory=list)
    attachments: list[UUID] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, config: Config, task: Task, http: Http) -> Work:
        """At the start of an attempt."""
        table = Table(config, http)
        return cls(
            config=config,
            task=task,
            http=http,
            table=table,
            names=Names(config, table, http),
            sys_id=task.external_id or task.wanted.key,
            in_doubt=task.ambiguous_since is not None or _DOUBT in task.sent,
        )

    @property
    def shown(self) -> Row:
        """The row as last read; empty before."""
        return self.row or {}

    @property
    def sent_before(self) -> dict[str, str]:
        """What earlier attempts sent."""
        return {name: str(value) for name, value in self.task.sent.items() if name != _DOUBT}

    @property
    def closed(self) -> bool:
        """Closed or cancelled: nothing can be written there any more."""
        return self.shown.get("state") in (CLOSED, CANCELED)

    @property
    def touched(self) -> bool:
        """Whether somebody else moved it since our last write."""
        row = self.shown
        return any(name in self.sent and row.get(name, "") != self.sent[name] for name in SHARED)

    @property
    def late_for(self) -> timedelta:
        """How much longer a call whose answer was lost may still be carried out; zero when none can."""
        since = self.task.ambiguous_since
        if since is None:
            return timedelta(0)
        return max(timedelta(0), since + timedelta(seconds=self.config.late_commit_s) - self.task.now)

    @property
    def untold(self) -> Note | None:
        """The note that still has to say what the instance did not keep."""
        text = self.sent.get(_UNTOLD, "")
        return Note(id=uuid5(NAMESPACE_URL, f"{self.task.wanted.key} {text}"), text=text) if text else None

    def leave_untold(self, text: str) -> None:
        """Have this said in a work note, now or in a later attempt."""
        known = self.sent.get(_UNTOLD, "")
        self.sent[_UNTOLD] = cut(f"{known}\n{text}".strip(), MAX_UNTOLD)

    def arrived(self, note: Note) -> None:
        """This note stands there."""
        untold = self.untold
        if untold is not None and note.id == untold.id:
            del self.sent[_UNTOLD]
        else:
            self.notes.append(note.id)

    def lost(self, failure: Failure, body: Mapping[str, str]) -> Outcome:
        """The end of an attempt whose write was not answered: it may still be carried out for a while, so that the
        next attempt waits that out and then looks. A repeat of a note would show twice."""
        unanswered = failure.reason is Reason.TIMEOUT and not failure.unsent
        if not unanswered and failure.result != "ambiguous":
            return failure.outcome()
        self.in_doubt = True
        self.sent[_TRIED] = orjson.dumps({name: value for name, value in body.items() if name != NOTES}).decode()
        after = timedelta(seconds=self.config.late_commit_s) if unanswered or NOTES in body else failure.after
        return Outcome(result="ambiguous", reason=failure.reason, detail=failure.detail, after=after)

    def recognise_tried(self) -> None:
        """What stands as an unanswered write would have left it is ours."""
        tried = self.sent.get(_TRIED, "") if self.late_for else self.sent.pop(_TRIED, "")
        for name, value in orjson.loads(tried or b"{}").items():
            if same(self.shown.get(name, ""), value):
                self.sent[name] = value

    def said(self, detail: str) -> str:
        """What happened, then what is worth knowing besides, at most 500 characters."""
        return cut("; ".join(part for part in (detail, *self.warnings, *self.remarks) if part), MAX_DETAIL)

    def confirmation(self) -> Confirmation | None:
        """What is known by now; None while there is no sign that the record exists."""
        row = self.row
        if row is None:
            return None
        return Confirmation(
            external_id=self.sys_id,
            number=row.get("number", ""),
            url=f"{self.config.root}/{self.config.table}.do?sys_id={self.sys_id}",
            sent={**self.sent, _DOUBT: "yes"} if self.in_doubt else self.sent,
            observed={name: row[name] for name in _SHOWN if name in row},
            notes=tuple(self.notes),
            attachments=tuple(self.attachments),
            dropped_fields=tuple(sorted(self.dropped)),
            warnings=tuple(self.warnings),
            human_touched=self.touched,
        )


def same(shown: str, wanted: str) -> bool:
    """Whether a shown value is what we wrote: the platform stores CR LF where we send LF, and trims ends."""
    return shown.replace("\r\n", "\n").strip() == wanted.strip()


def changes_counted(row: Mapping[str, str]) -> int | None:
    """How often the row was updated (sys_mod_count); None where that is not shown."""
    count = row.get("sys_mod_count", "")
    return int(count) if count.isdigit() else None
