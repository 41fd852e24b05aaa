"""A person's act that counts, carried out as the operators' policy says: what it leaves, tells and teaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from tocsin.decide.hands import PRODUCTS, priority_of, shown_number, team_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.incident import IncidentState
from tocsin.domain.message import RecordAction, RecordUpdate
from tocsin.domain.people import Hands, Kept
from tocsin.domain.policy import Inbound

TOUCHING = frozenset({RecordAction.ACKNOWLEDGED, RecordAction.REASSIGNED})
"""What a person does to a record that makes its owner theirs to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that an update did, weighed. `reason` is the audit trail's word; nothing follows unless `counts`."""

    action: RecordAction
    reason: str
    incident_id: UUID | None = None
    counts: bool = False
    closes: bool = False
    opens: bool = False

    @property
    def touches(self) -> bool:
        """Does the owner become theirs to choose?"""
        return self.counts and self.action in TOUCHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What an incident's other records are to be told; `seed` makes it the same word when it is decided twice."""

    incident_id: UUID
    origin: UUID
    seed: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A person named the cause: a change's number or id, or what a close code says of it."""

    incident_id: UUID
    actor: str
    named: str = ""
    likely_cause: bool = False
    no_change: bool = False


@dataclass(kw_only=True)
class Ledger:
    """What people's acts have come to in one batch."""

    catalog: Catalog
    clean: Callable[[str], str]
    """Redacts a text that other desks will read."""
    hands: dict[UUID, Hands] = field(default_factory=dict)
    moved: set[UUID] = field(default_factory=set)
    """Incidents whose hands must be written."""
    ended_in: set[UUID] = field(default_factory=set)
    """Records in which a person ended or reopened the incident: their readers know."""
    words: list[Word] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)

    def keep(self, incident_id: UUID, hands: Hands) -> None:
        """From now on these are people's hands in the incident."""
        self.hands[incident_id] = hands
        self.moved.add(incident_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A person's act that counts, on its way through the policy."""

    ledger: Ledger
    event: str
    update: RecordUpdate
    kept: Kept
    inbound: Inbound
    state: IncidentState | None
    at: datetime

    @property
    def who(self) -> str:
        """A snapshot shows only the last writer: where that is we, somebody else did it before."""
        named = self.update.actor_kind != "integration" and self.update.actor
        return self.ledger.clean(self.update.actor) if named else "somebody"

    @property
    def where(self) -> str:
        number = self.kept.number or self.update.number
        return f"{PRODUCTS.get(self.kept.kind, self.kept.kind)} {shown_number(self.kept.kind, number)}".strip()

    @property
    def hands(self) -> Hands:
        return self.ledger.hands.get(self.kept.incident_id, Hands())

    def carry_out(self, action: RecordAction) -> Deed:
        """Do what the policy says."""
        ways: dict[RecordAction, Callable[[], Deed]] = {
            RecordAction.ACKNOWLEDGED: self.acknowledge,
            RecordAction.RESOLVED: self.end,
            RecordAction.CLOSED: self.end,
            RecordAction.REOPENED: self.reopen,
            RecordAction.REASSIGNED: self.reassign,
            RecordAction.PRIORITY_CHANGED: self.prioritise,
            RecordAction.CAUSE_SET: self.learn,
            RecordAction.COMMENTED: self.comment,
            RecordAction.DELETED: self.delete,
        }
        way = ways.get(action)
        return way() if way else Deed(action=action, reason="nothing_to_do", incident_id=self.kept.incident_id)

    def acknowledge(self) -> Deed:
        if self.inbound.acknowledge == "mirror" and not self.hands.acknowledged_by:
            self._keep(acknowledged_by=self.who, acknowledged_in=self.where, acknowledged_at=self.at)
        return self._done(RecordAction.ACKNOWLEDGED, self.inbound.acknowledge, f"Acknowledged by {self.who}")

    def end(self) -> Deed:
        """A person says that it is over."""
        self._learn_from_code()
        way, action = self.inbound.resolve, RecordAction.RESOLVED
        code = f" ({self.ledger.clean(self.update.close_code)})" if self.update.close_code else ""
        if way != "incident":
            text = f"Resolved by {self.who}{code}; this one stays open" if way == "note" else ""
            return self._done(action, "ignore" if way == "record" else way, text)
        self.ledger.ended_in.add(self.kept.id)
        if self.state is IncidentState.RESOLVED:
            return self._done(action, "mirror", "")
        self._keep(
            held="closed", held_by=self.who, held_in=self.where, held_at=self.at, close_code=self.update.close_code
        )
        return replace(self._done(action, "mirror", ""), closes=True)

    def reopen(self) -> Deed:
        """A person says that it is not over: the incident is open until a person resolves it, or by its alerts."""
        way, held = self.inbound.reopen, self.hands.held
        if way != "mirror" or self.state is IncidentState.OPEN:
            return self._done(RecordAction.REOPENED, way, f"Reopened by {self.who}")
        self.ledger.ended_in.add(self.kept.id)
        now_held = "" if held == "closed" else "open"
        self._keep(held=now_held, held_by=self.who, held_in=self.where, held_at=self.at, close_code="")
        return replace(self._done(RecordAction.REOPENED, way, ""), opens=True)

    def reassign(self) -> Deed:
        group, assignee = self.ledger.clean(self.update.group), self.ledger.clean(self.update.assignee)
        team = team_of(self.ledger.catalog, self.kept, self.update.group)
        if self.inbound.reassign == "follow" and team:
            self._keep(team=team, team_by=self.who, team_in=self.where)
        to = " of ".join(part for part in (assignee, group) if part) or "nobody"
        return self._done(RecordAction.REASSIGNED, self.inbound.reassign, f"Assigned to {to} by {self.who}")

    def prioritise(self) -> Deed:
        priority = priority_of(self.update.priority)
        if self.inbound.priority == "follow" and priority:
            self._keep(priority=priority, priority_by=self.who)
        text = f"Priority set to {self.ledger.clean(self.update.priority)} by {self.who}"
        return self._done(RecordAction.PRIORITY_CHANGED, self.inbound.priority, text)

    def learn(self) -> Deed:
        named = self.update.caused_by
        if self.inbound.cause == "learn" and self._is_person:
            self._teach(named=named)
        text = f"Cause set to {self.ledger.clean(named)[:120]} by {self.who}"
        return self._done(RecordAction.CAUSE_SET, self.inbound.cause, text)

    def comment(self) -> Deed:
        text = f"{self.who} in {self.where}:\n{self.ledger.clean(self.update.comment)}"
        if self.inbound.comments == "mirror" and self.update.comment:
            self._tell(text)
        return self._done(RecordAction.COMMENTED, self.inbound.comments, "")

    def delete(self) -> Deed:
        return self._done(RecordAction.DELETED, "note", f"Deleted by {self.who}")

    def _learn_from_code(self) -> None:
        lesson = self.inbound.close_codes.get(self.update.close_code) if self._is_person else None
        if lesson:
            self._teach(likely_cause=lesson == "likely_cause", no_change=lesson == "no_change")

    @property
    def _is_person(self) -> bool:
        """Only a named person who is not us may teach."""
        return self.update.actor_kind == "user" and bool(self.update.actor)

    def _teach(self, *, named: str = "", likely_cause: bool = False, no_change: bool = False) -> None:
        self.ledger.lessons.append(
            Lesson(
                incident_id=self.kept.incident_id,
                actor=self.update.actor,
                named=named,
                likely_cause=likely_cause,
                no_change=no_change,
            )
        )

    def _keep(self, **changes: object) -> None:
        self.ledger.keep(self.kept.incident_id, replace(self.hands, **changes))  # type: ignore[arg-type]

    def _done(self, action: RecordAction, way: str, text: str) -> Deed:
        if way == "ignore":
            return Deed(action=action, reason="ignored_by_policy", incident_id=self.kept.incident_id)
        if text:
            self._tell(f"{text} in {self.where}.")
        return Deed(action=action, reason="taken", incident_id=self.kept.incident_id, counts=True)

    def _tell(self, text: str) -> None:
        self.ledger.words.append(
            Word(
                incident_id=self.kept.incident_id,
                origin=self.kept.id,
                seed=f"{self.event}:{text[:40]}",
                text=text,
            )
        )
