"""What is known in the course of one attempt at one issue, and what will be kept of it.

`sent` survives from attempt to attempt. In it: status, assignee, priority (as we left them; what differs was changed by
others), links (digests of the web links that stand), posted_at, asked_at and may_post (a create whose answer was lost,
see finding.py), unsure (something of ours may have arrived unnoticed), sweep_until (doubles may still appear).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tocsin.connectors._connector import cut
from tocsin.connectors._http import Failure, Http
from tocsin.connectors.jira.config import Config
from tocsin.connectors.jira.render import text
from tocsin.connectors.jira.site import Issue, Site
from tocsin.domain.record import Confirmation, Task

NOTE_PROPERTY = "tocsin-note"
_WATCHED = ("status", "assignee")


@dataclass(slots=True, kw_only=True)
class Work:
    """One attempt: what is known so far."""

    config: Config
    task: Task
    http: Http
    site: Site
    issue: Issue | None = None
    created: bool = False
    adopted: bool = False
    reopened: bool = False
    """By this attempt."""
    sent: dict[str, object] = field(default_factory=dict)
    notes: list[UUID] = field(default_factory=list)
    attachments: list[UUID] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def known(self) -> Issue:
        """The issue; only after it was found or created."""
        assert self.issue is not None
        return self.issue

    @property
    def unsure(self) -> bool:
        """Whether something that we sent may have arrived without our knowing."""
        return bool(self.sent.get("unsure")) or self.task.ambiguous_since is not None

    @property
    def touched(self) -> bool:
        """Whether somebody else moved or took it since our last write."""
        now = {"status": self.known.status, "assignee": self.known.assignee}
        return any(name in self.sent and self.sent[name] != value for name, value in now.items())

    @property
    def hands_off(self) -> bool:
        return self.touched and self.task.when_human_touched == "note_only"

    def said(self, detail: str) -> str:
        """The end of the attempt in words."""
        return cut("; ".join(part for part in (detail, *self.remarks, *self.warnings) if part), 500)

    def confirmation(self) -> Confirmation | None:
        """What is known by now; None while there is no issue that we know of."""
        issue = self.issue
        if issue is None:
            return None
        return Confirmation(
            external_id=issue.id,
            number=issue.key,
            url=f"{self.config.site}/browse/{issue.key}",
            sent=dict(self.sent),
            observed=observed(issue),
            notes=tuple(self.notes),
            attachments=tuple(self.attachments),
            dropped_fields=tuple(self.dropped),
            warnings=tuple(self.warnings),
            human_touched=self.touched,
        )

    def comment(self, plain: str, note_ids: list[str]) -> dict[str, Any]:
        """The body of a comment that is known again by these ids."""
        properties: list[dict[str, object]] = []
        if note_ids:
            properties.append({"key": NOTE_PROPERTY, "value": note_ids[0] if len(note_ids) == 1 else note_ids})
        if self.config.internal_comments:
            properties.append({"key": "sd.public.comment", "value": {"internal": True}})
        return {"body": text(self.config, plain), "properties": properties}

    def forgive_machines(self) -> Failure | None:
        """Where something was changed, ask by whom: automation and our own post-functions are nobody's take-over."""
        if not self.touched:
            return None
        me = self._own_account()
        moves = me if isinstance(me, Failure) else self.site.last_moves(self.known.id)
        if isinstance(moves, Failure):
            return None if moves.result == "rejected" else moves  # not allowed to know: people win
        last = {moved.field: moved for moved in moves}
        now = {"status": self.known.status, "assignee": self.known.assignee}
        for name in _WATCHED:
            by = last.get(name)
            if by is not None and (by.is_app or by.account == me):
                self.sent[name] = now[name]
        return None

    def _own_account(self) -> str | Failure:
        known: str | None = self.http.recall("jira account")
        if known is not None:
            return known
        me = self.site.myself()
        if isinstance(me, Failure):
            return me
        account = str(me.get("accountId") or me.get("name") or "")
        self.http.remember("jira account", account, for_s=3600)
        return account


def observed(issue: Issue) -> dict[str, object]:
    """The fields that polling, reconciliation and delivery compare."""
    return {
        "status": issue.status,
        "category": issue.category,
        "priority": issue.priority,
        "assignee": issue.assignee,
    }


def moment(value: object) -> datetime | None:
    """A moment that was kept in `sent`."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None
