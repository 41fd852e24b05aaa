"""How does one alert of Jira Service Management operations come to stand as wanted? Our key is its alias.

The vendor keeps one open alert per alias, so that a create may be repeated while it is open. Once it is closed the same
alias would page again: then an attempt that may have arrived is looked for first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from tocsin.connectors._connector import done, marked, marker, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.ops import CLOSED, Ops, OpsAlert
from tocsin.connectors.jira.render import alert_priority_of, render
from tocsin.domain.record import Confirmation, Outcome, Reason, Task

MAX_NOTE = 24_000
NOT_YET = timedelta(seconds=2)
"""A write is carried out within moments of its 202."""


def bring_alert(config: Config, task: Task, http: Http) -> Outcome:
    """Create, annotate, re-prioritize or close one alert."""
    work = _Work(config=config, task=task, ops=Ops(config, http))
    for step in (work.find_or_create, work.set_priority, work.acknowledge, work.write_notes, work.close):
        stop = step()
        if stop is not None:
            return replace(stop, confirmation=work.confirmation())
    known = work.confirmation()
    assert known is not None  # every step passed: the alert was read
    return done(known, result="duplicate" if work.adopted else "done", detail=work.remark)


@dataclass(slots=True, kw_only=True)
class _Work:
    """One attempt: what is known so far."""

    config: Config
    task: Task
    ops: Ops
    alert: OpsAlert | None = None
    adopted: bool = False
    sent: dict[str, object] = field(default_factory=dict)
    notes: list[UUID] = field(default_factory=list)
    remark: str = ""

    @property
    def known(self) -> OpsAlert:
        assert self.alert is not None
        return self.alert

    @property
    def unsure(self) -> bool:
        return bool(self.sent.get("unsure")) or self.task.ambiguous_since is not None

    @property
    def touched(self) -> bool:
        """Somebody has acknowledged it, or closed it before we wanted that."""
        one, ours = self.known, self.sent.get("status") == CLOSED or self.task.wanted.status == "resolved"
        return (one.acknowledged and not self.sent.get("acknowledged")) or (one.status == CLOSED and not ours)

    def confirmation(self) -> Confirmation | None:
        one = self.alert
        if one is None:
            return Confirmation(external_id="", sent=self.sent) if self.sent else None
        return Confirmation(
            external_id=one.id,
            number=one.tiny_id and f"#{one.tiny_id}",
            url=f"{self.config.site}/jira/ops/alerts/{one.id}" if one.id != one.alias else "",
            sent=dict(self.sent),
            observed={
                "status": one.status,
                "priority": one.priority,
                "acknowledged": one.acknowledged,
                "owner": one.owner,
            },
            notes=tuple(self.notes),
            human_touched=self.touched,
        )

    def find_or_create(self) -> Outcome | None:
        """Read the known alert; see what became of an earlier create; or create it."""
        self.sent = dict(self.task.sent)
        if self.task.external_id:
            return self._take(self.ops.read(self.task.external_id))
        asked = self.sent.get("request_id")
        if isinstance(asked, str):
            return self._outcome_of(asked)
        if self.task.ambiguous_since or self.task.attempts > 1 or self.task.wanted.status == "resolved":
            found = self.ops.aliased(self.task.wanted.key)
            if isinstance(found, Failure):
                return found.outcome()
            if found:
                self.adopted = True
                return self._take(found[0])
        if self.task.wanted.status == "resolved":  # nobody was paged, and nobody need be now
            return self._never_opened()
        made = self.ops.create(render(self.config, self.task.wanted))
        if isinstance(made, Failure):
            return made.outcome()
        self.sent["request_id"] = made
        return self._outcome_of(made)

    def _outcome_of(self, request_id: str) -> Outcome | None:
        told = self.ops.request(request_id)
        if isinstance(told, Failure):
            return told.outcome()
        if not told.done:
            words = f"accepted as {request_id}, not carried out yet"
            if self.task.attempts > 10:  # its outcome is no longer to be had: see what stands, or ask again
                self.sent.pop("request_id", None)
            return Outcome(result="retry", reason=Reason.OK, detail=words, after=NOT_YET)
        self.sent.pop("request_id", None)
        if not told.succeeded:
            return rejected(Reason.CLIENT_ERROR, told.says or "the create was accepted, but not carried out")
        return self._take(self.ops.read(told.alert_id))

    def _never_opened(self) -> Outcome:
        key = self.task.wanted.key
        gone = Confirmation(external_id=key, sent={"status": CLOSED}, notes=tuple(one.id for one in self.task.notes))
        self.alert = OpsAlert(
            id=key, alias=key, tiny_id="", status=CLOSED, priority="", acknowledged=False, owner="", created=""
        )
        self.sent, self.notes = dict(gone.sent), list(gone.notes)
        return done(gone, detail="over before it was opened; nobody is paged for it")

    def _take(self, found: OpsAlert | Failure) -> Outcome | None:
        if isinstance(found, Failure):
            return rejected(Reason.GONE, found.detail) if found.status == 404 else found.outcome()
        if found.alias != self.task.wanted.key:
            self.sent = {}
            return rejected(Reason.NOT_OURS, f"alert {found.id} does not bear our alias; nothing was written")
        self.alert = found
        if self.adopted:
            self.sent["unsure"] = True
        self.sent.setdefault("priority", found.priority)
        reopened = self.task.wanted.status == "open" and found.status == CLOSED
        if reopened and self.sent.get("status") == CLOSED:
            return rejected(Reason.GONE, "closed: a closed alert cannot be opened again")
        return None

    def set_priority(self) -> Outcome | None:
        """Where ours has changed and nobody else has set theirs."""
        wanted, one = alert_priority_of(self.config, self.task.wanted), self.known
        hands_off = self.touched and self.task.when_human_touched == "note_only"
        if hands_off or one.status == CLOSED or one.priority == wanted or one.priority != self.sent.get("priority"):
            return None
        answer = self.ops.set_priority(one.id, wanted)
        if isinstance(answer, Failure):
            return answer.outcome()
        self.sent["priority"] = wanted
        self.alert = replace(one, priority=wanted)
        return None

    def acknowledge(self) -> Outcome | None:
        """A person took the incident on elsewhere: stop paging here. Doing so twice changes nothing."""
        one, wanted = self.known, self.task.wanted
        if not wanted.acknowledged_by or wanted.status != "open" or one.status == CLOSED or one.acknowledged:
            return None
        if self.sent.get("acknowledged"):
            return None  # once by us; who takes that back, means it
        answer = self.ops.acknowledge(one.id)
        if isinstance(answer, Failure):
            return answer.outcome()
        self.sent["acknowledged"] = True
        return None

    def write_notes(self) -> Outcome | None:
        """Add the notes that are not there yet, oldest first; where an earlier one may have arrived, look first."""
        there: str | Failure = ""
        if self.task.notes and self.unsure:
            there = self.ops.notes(self.known.id)
        if isinstance(there, Failure):
            return there.outcome()
        for note in self.task.notes:
            if marker(note) not in there:
                answer = self.ops.note(self.known.id, marked(note, MAX_NOTE))
                if isinstance(answer, Failure):
                    if answer.result == "ambiguous":
                        self.sent["unsure"] = True
                    return answer.outcome()
            self.notes.append(note.id)
        self.sent.pop("unsure", None)
        return None

    def close(self) -> Outcome | None:
        """Close it when the outage is over; who has only acknowledged it is glad of that."""
        if self.task.wanted.status != "resolved":
            return None
        if self.known.status != CLOSED:
            if self.touched and self.task.when_human_touched == "note_only":
                self.remark = "people have taken it over: only notes are added"
                return None
            answer = self.ops.close(self.known.id)
            if isinstance(answer, Failure):
                return answer.outcome()
            self.alert = replace(self.known, status=CLOSED)
        self.sent["status"] = CLOSED
        return None
