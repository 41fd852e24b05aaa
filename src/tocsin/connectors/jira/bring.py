"""How does one Jira issue come to stand as wanted, when Jira knows no idempotency key and its search lags?

A create whose answer was lost is never simply repeated: the label that went with it is looked for, again and again,
and only when it has stayed away for four minutes is the issue created anew. Should two appear after all, the oldest
stays and the others are closed (vendors.md §2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from tocsin.connectors._connector import PRODUCT, cut, done, marked, marker, rejected
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import OPTIONAL, priority_of, render, text
from tocsin.connectors.jira.site import DONE, Issue, Site, Transition
from tocsin.domain.record import Confirmation, Note, Outcome, Reason, Task

INDEX_CATCHES_UP_S = 240
_LOOKS_AFTER_S = (5, 15, 30, 60, 120)
MAX_NOTE = 20_000
NOTE_PROPERTY = "tocsin-note"


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Create, update, annotate, resolve or re-open one issue."""
    work = _Work(config=config, task=task, site=Site(config, http))
    for step in (work.find_or_create, work.guard, work.write_fields, work.move, work.write_links, work.write_notes):
        stop = step()
        if stop is not None:
            known = work.confirmation() or stop.confirmation
            return replace(stop, confirmation=known, detail=work.said(stop.detail))
    known = work.confirmation()
    assert known is not None  # every step passed: the issue was read or created
    return done(known, result="duplicate" if work.adopted else "done", detail=work.said(""))


def look_again_after(age: timedelta) -> timedelta:
    """When to look for the label next, so long after the lost answer: 5, 15, 30, 60, 120 s, then the window's end."""
    age_s = age.total_seconds()
    wait_s = next((step for step in _LOOKS_AFTER_S if step > age_s), INDEX_CATCHES_UP_S - age_s)
    return timedelta(seconds=max(5.0, wait_s))


@dataclass(slots=True, kw_only=True)
class _Work:
    """One attempt: what is known so far."""

    config: Config
    task: Task
    site: Site
    issue: Issue | None = None
    created: bool = False
    adopted: bool = False
    sent: dict[str, object] = field(default_factory=dict)
    notes: list[UUID] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def said(self, detail: str) -> str:
        return cut("; ".join(part for part in (detail, *self.remarks) if part), 500)

    @property
    def known(self) -> Issue:
        assert self.issue is not None
        return self.issue

    @property
    def touched(self) -> bool:
        """Whether somebody else moved or took it since our last write."""
        now = {"status": self.known.status, "assignee": self.known.assignee}
        return any(name in self.sent and self.sent[name] != value for name, value in now.items())

    def confirmation(self) -> Confirmation | None:
        """What is known by now; None while there is no issue that we know of."""
        issue = self.issue
        if issue is None:
            return None
        return Confirmation(
            external_id=issue.id,
            number=issue.key,
            url=f"{self.config.root}/browse/{issue.key}",
            sent=dict(self.sent),
            observed={
                "status": issue.status,
                "category": issue.category,
                "priority": issue.priority,
                "assignee": issue.assignee,
            },
            notes=tuple(self.notes),
            dropped_fields=tuple(self.dropped),
            human_touched=self.touched,
        )

    # find or create

    def find_or_create(self) -> Outcome | None:
        """Read the known issue, adopt one that a lost answer left behind, or create it."""
        if self.task.external_id:
            return self._read_known()
        lost_at = self._lost_at()
        age = self.task.now - lost_at if lost_at else timedelta.max
        if lost_at or self.task.attempts > 1:  # an earlier attempt may have died before it could tell
            stop = self._adopt(age)
            if stop is not None or self.issue is not None:
                return stop
        return self._create(again=lost_at is not None)

    def _lost_at(self) -> datetime | None:
        """When a create was last sent whose answer was lost; None where that never happened."""
        posted = self.task.sent.get("posted_at")
        if isinstance(posted, str):
            return datetime.fromisoformat(posted)
        return self.task.ambiguous_since

    def _read_known(self) -> Outcome | None:
        answer = self.site.read(self.task.external_id, self.task.wanted.key)
        if isinstance(answer, Failure):
            if answer.status == 404:  # gone, or hidden from us: creating it again would be blind
                return rejected(Reason.GONE, answer.detail)
            return answer.outcome()
        self.issue = answer
        self.sent = {**self._standing(answer), **self.task.sent}
        resolved = self.task.wanted.status == "resolved" and answer.category == DONE
        if resolved and self.task.ambiguous_since:
            self.sent["status"] = answer.status  # by a transition of ours whose answer was lost
        if self.sent.pop("posted_twice", None):
            found = self.site.labelled(self.task.wanted.key)
            if isinstance(found, Failure):
                self.sent["posted_twice"] = True
            else:
                self._close_others(found)
        return None

    def _adopt(self, age: timedelta) -> Outcome | None:
        found = self.site.labelled(self.task.wanted.key)
        if isinstance(found, Failure):
            if found.result == "rejected" or age == timedelta.max:
                return found.outcome()
            return replace(found.outcome(), result="ambiguous", after=found.after or look_again_after(age))
        if found:
            self.issue, self.adopted = found[0], True
            self.sent = self._standing(found[0])
            self._close_others(found)
            return None
        if age.total_seconds() >= INDEX_CATCHES_UP_S:
            return None
        return Outcome(
            result="ambiguous",
            reason=Reason.TIMEOUT,
            detail=f"not found by label {age.total_seconds():.0f} s after the lost answer; looking again",
            after=look_again_after(age),
        )

    def _create(self, *, again: bool) -> Outcome | None:
        body = dict(render(self.config, self.task.wanted))
        if not body["fields"]["project"]["key"]:
            return rejected(Reason.CLIENT_ERROR, "no project: give the team's address one, or set the config's project")
        answer = self.site.create(body)
        if isinstance(answer, Failure) and answer.status == 400:
            answer = self._create_without_refused(body, answer)
        if isinstance(answer, Failure):
            if answer.result != "ambiguous":
                return answer.outcome()
            posted = Confirmation(external_id="", sent={"posted_at": self.task.now.isoformat()})
            return replace(answer.outcome(posted), after=look_again_after(timedelta()))
        self.created = True
        issue_id, key = str(answer.get("id", "")), str(answer.get("key", ""))
        blank = Issue(id=issue_id, key=key, status="", category="", priority="", assignee="", created="", ours="")
        shown = self.site.read(issue_id, self.task.wanted.key)
        self.issue = blank if isinstance(shown, Failure) else shown
        self.sent = self._standing(self.issue)
        if isinstance(shown, Failure):
            self.sent = {"priority": self.sent["priority"]}  # how it stands, the next attempt reads
        if again:
            self.sent["posted_twice"] = True  # the first may yet appear; the next attempt looks
        return None

    def _create_without_refused(self, body: Mapping[str, Any], refused: Failure) -> Mapping[str, Any] | Failure:
        """Leave out the optional fields that the site names in its refusal, and try once more."""
        errors = refused.body.get("errors") if isinstance(refused.body, dict) else None
        unwanted = [name for name in OPTIONAL if isinstance(errors, dict) and name in errors and name in body["fields"]]
        if not unwanted or not isinstance(errors, dict) or set(errors) - set(unwanted):
            return refused
        fields = {name: value for name, value in body["fields"].items() if name not in unwanted}
        self.dropped += unwanted
        self.remarks.append(f"created without {', '.join(unwanted)}: {refused.detail}")
        return self.site.create({**body, "fields": fields})

    def _standing(self, issue: Issue) -> dict[str, object]:
        """What our own write was answered with: from here on, what differs was changed by people."""
        priority = priority_of(self.config, self.task.wanted) if self.created else issue.priority
        return {"status": issue.status, "assignee": issue.assignee, "priority": priority}

    def _close_others(self, found: list[Issue]) -> None:
        """Of several issues with our label the oldest survives; best effort, and always said."""
        kept = self.known
        for issue in found:
            if issue.id == kept.id or issue.category == DONE:
                continue
            way = self._way_to(issue, self.config.done_transition, into_done=True)
            failure = way if isinstance(way, Failure) else None
            if isinstance(way, Transition):
                self.site.comment(issue.id, self._comment(f"Duplicate of {kept.key}: a create's answer was lost."))
                failure = self.site.move(issue.id, self._through(way))
            ended = way is not None and failure is None
            self.remarks.append(f"{issue.key} duplicates {kept.key}: {'closed' if ended else 'please close it'}")

    # guard

    def guard(self) -> Outcome | None:
        """Never write an issue that is not ours."""
        if self.created or self.known.ours == self.task.wanted.key:
            return None
        key = self.known.key
        self.issue = None
        return rejected(Reason.NOT_OURS, f"{key} carries neither our label nor our property; nothing was written")

    # fields and status

    @property
    def hands_off(self) -> bool:
        return self.touched and self.task.when_human_touched == "note_only"

    def write_fields(self) -> Outcome | None:
        """Set the priority where ours has changed and nobody else has changed theirs."""
        if self.created or self.known.category == DONE:
            return None
        if self.hands_off:
            self.remarks.append("people have taken it over: only comments are added")
            return None
        wanted = priority_of(self.config, self.task.wanted)
        if self.known.priority == wanted:
            self.sent["priority"] = wanted
        before = self.sent.get("priority", "")
        if not wanted or wanted == before or self.known.priority != before:
            return None
        failure = self.site.edit(self.known.id, {"priority": {"name": wanted}})
        if failure and failure.status == 400:
            self.dropped.append("priority")
            self.remarks.append(f"priority not taken: {failure.detail}")
        elif failure:
            return failure.outcome()
        else:
            self.issue = replace(self.known, priority=wanted)
        self.sent["priority"] = wanted
        return None

    def move(self) -> Outcome | None:
        """Resolve it, or open it again, where nobody else has moved it."""
        if self.hands_off:
            return None
        is_done = self.known.category == DONE
        if self.task.wanted.status == "resolved":
            if is_done:
                return None
            if self.known.status != self.sent.get("status", self.known.status):
                self.remarks.append("its status was changed by people: left to them to resolve")
                return None
            return self._go(self.config.done_transition, into_done=True)
        before = self.task.sent_wanted
        if is_done and before is not None and before.status == "resolved":
            return self._go(self.config.reopen_transition, into_done=False)
        return None

    def _go(self, name: str, *, into_done: bool) -> Outcome | None:
        way = self._way_to(self.known, name, into_done=into_done)
        if isinstance(way, Failure):
            return way.outcome()
        if way is None and not into_done:
            return rejected(Reason.GONE, "closed: its workflow has no way back")
        if way is None:
            return rejected(Reason.CLIENT_ERROR, "no transition into a done status; set done_transition")
        failure = self.site.move(self.known.id, self._through(way))
        if failure:
            return failure.outcome()
        shown = self.site.read(self.known.id, self.task.wanted.key)
        if isinstance(shown, Issue):
            self.issue = shown
            self.sent["status"] = shown.status
        else:
            self.sent.pop("status", None)  # moved by us, but to a status we could not read
        return None

    def _way_to(self, issue: Issue, name: str, *, into_done: bool) -> Transition | Failure | None:
        """The configured transition, else the first whose target has the category; names differ per workflow."""
        ways = self.site.transitions(issue.id)
        if isinstance(ways, Failure):
            return ways
        if name:
            return next((way for way in ways if way.name == name), None)
        return next((way for way in ways if (way.category == DONE) == into_done), None)

    def _through(self, way: Transition) -> dict[str, Any]:
        body: dict[str, Any] = {"transition": {"id": way.id}}
        if way.category == DONE and self.config.resolution and "resolution" in way.fields:
            body["fields"] = {"resolution": {"name": self.config.resolution}}
        return body

    # links and comments

    def write_links(self) -> Outcome | None:
        """Put our links on the issue, once; Jira keeps one per globalId."""
        if self.sent.get("links"):
            return None
        key = self.task.wanted.key
        for title, url in self.task.wanted.links:
            body = {
                "globalId": f"tocsin:{key}:{sha256(url.encode()).hexdigest()[:16]}",
                "application": {"type": "dev.tocsin", "name": PRODUCT},
                "object": {"url": url, "title": cut(title, 255)},
            }
            failure = self.site.link(self.known.id, body)
            if failure and failure.result != "rejected":
                return failure.outcome()
            if failure:
                self.remarks.append(f"links not taken: {failure.detail}")
                break
        self.sent["links"] = True
        return None

    def write_notes(self) -> Outcome | None:
        """Add the comments that are not there yet, oldest first; after an earlier try they are listed first."""
        asked = [*self.task.notes, *self._closing()]
        there: str | Failure = ""
        if asked and not self.created and (self.task.attempts or self.task.ambiguous_since):
            there = self.site.comments(self.known.id)
        if isinstance(there, Failure):
            return there.outcome()
        for note in asked:
            if marker(note) not in there and str(note.id) not in there:
                failure = self.site.comment(self.known.id, self._comment(marked(note, MAX_NOTE), note))
                if failure and failure.status == 413:
                    self.remarks.append("the issue takes no more comments")
                elif failure:
                    return failure.outcome()
            self.notes.append(note.id)
        return None

    def _closing(self) -> tuple[Note, ...]:
        """The closing notes as a last comment: Jira has no field for them."""
        wanted, before = self.task.wanted, self.task.sent_wanted
        if wanted.status != "resolved" or not wanted.close_notes or (before and before.status == "resolved"):
            return ()
        if any(note.text.startswith(wanted.close_notes) for note in self.task.notes):
            return ()  # the last work note says it already
        return (Note(id=uuid5(wanted.incident_id, f"{wanted.key} {wanted.resolved_at}"), text=wanted.close_notes),)

    def _comment(self, plain: str, note: Note | None = None) -> dict[str, Any]:
        properties: list[dict[str, object]] = []
        if note:
            properties.append({"key": NOTE_PROPERTY, "value": str(note.id)})
        if self.config.internal_comments:
            properties.append({"key": "sd.public.comment", "value": {"internal": True}})
        return {"body": text(self.config, plain), "properties": properties}
