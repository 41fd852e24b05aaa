"""A person acted on a record of ours: is it news, and what does it mean for the incident and its other records?

An update counts when somebody else made it (not we, nor the vendor's own rules), for the first time, later than what we
know of the record, on the record that stands for the incident now. What then follows is the operators' policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from tocsin.decide.acts import Act, Deed, Ledger, Word
from tocsin.decide.hands import cross_link, priority_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.incident import IncidentState
from tocsin.domain.message import RecordAction, RecordUpdate
from tocsin.domain.people import Aspect, Hands, Kept, Moment, Stance
from tocsin.domain.policy import Policy

OUR_MARK = re.compile(r"\[toc:[0-9a-f]{8}\]")
"""The marker at the end of every note of ours (connectors: `marker`)."""

ASPECTS = {
    RecordAction.ACKNOWLEDGED: Aspect.STATUS,
    RecordAction.RESOLVED: Aspect.STATUS,
    RecordAction.CLOSED: Aspect.STATUS,
    RecordAction.REOPENED: Aspect.STATUS,
    RecordAction.REASSIGNED: Aspect.OWNER,
    RecordAction.PRIORITY_CHANGED: Aspect.PRIORITY,
    RecordAction.CAUSE_SET: Aspect.CAUSE,
}
"""Comments have no order: each counts once, whenever it comes."""
STANDS = {
    RecordAction.ACKNOWLEDGED: "acknowledged",
    RecordAction.RESOLVED: "resolved",
    RecordAction.CLOSED: "closed",
    RecordAction.REOPENED: "open",
}


@dataclass(kw_only=True)
class People:
    """What was known of records and of people's hands in incidents, and what a batch of updates made of it."""

    policy: Policy
    ledger: Ledger
    records: Mapping[str, tuple[Kept, ...]] = field(default_factory=dict)
    """Our record key, or `kind:vendor's id` → the records that it may mean."""
    events: set[str] = field(default_factory=set)
    """Names of events that were taken before."""
    stances: dict[UUID, Stance] = field(default_factory=dict)
    """Record → how it stands now: to be written."""
    numbers: dict[UUID, str] = field(default_factory=dict)
    """Record → its number, first told by its desk (PagerDuty's events answer none)."""
    taken: dict[str, str] = field(default_factory=dict)
    """Event → its source: to be remembered."""

    def take(
        self, update: RecordUpdate, at: datetime, state_of: Callable[[UUID], IncidentState | None]
    ) -> Iterator[Deed]:
        """Weigh one update, thing by thing, and keep what follows from it."""
        kept = self._record(update)
        if kept is None:
            yield Deed(action=update.action, reason="unknown_record")
            return
        name = event_name(update)
        if name in self.events:
            yield Deed(action=update.action, reason="duplicate", incident_id=kept.incident_id)
            return
        self.events.add(name)
        self.taken[name] = update.source
        if kept.external_id and not _is_it(kept, update):
            yield Deed(action=update.action, reason="another_record", incident_id=kept.incident_id)
            return
        if update.number and not kept.number and kept.id not in self.numbers:
            self._number(kept, update.number)
        before = self.stances.get(kept.id) or kept.stance or Stance()
        actions = tuple(_differences(update, before, kept)) if update.snapshot else (update.action,)
        for action in actions:
            reason = _why_not(action, update, kept, before)
            if reason:
                yield Deed(action=action, reason=reason, incident_id=kept.incident_id)
            else:
                yield self._act(update, kept, state_of(kept.incident_id), at).carry_out(action)
        if not actions:
            yield Deed(action=update.action, reason="nothing_new", incident_id=kept.incident_id)
        self.stances[kept.id] = stance_after(before, update, actions)

    def fires_anew(self, incident_id: UUID, *, reopened: bool) -> None:
        """An alert of the incident fires anew: no word of a person holds it any more. Where that `reopened` it, nobody
        has taken it on yet: the page must ring again."""
        hands = self.ledger.hands.get(incident_id)
        if hands is None or not (hands.held or (reopened and hands.acknowledged_by)):
            return
        fresh = _let_go(hands)
        if reopened:
            fresh = replace(fresh, acknowledged_by="", acknowledged_in="", acknowledged_at=None)
        self.ledger.keep(incident_id, fresh)

    def fell_silent(self, incident_id: UUID) -> None:
        """Its last alert ended: that a person ended it before needs no upholding any more."""
        hands = self.ledger.hands.get(incident_id)
        if hands is not None and hands.held == "closed":
            self.ledger.keep(incident_id, _let_go(hands))

    def _record(self, update: RecordUpdate) -> Kept | None:
        by_key = self.records.get(update.record_key, ()) if update.record_key else ()
        found = by_key or self.records.get(f"{update.source}:{update.external_id}", ())
        return found[0] if len(found) == 1 else None

    def _number(self, kept: Kept, number: str) -> None:
        """The other records can name this one properly now."""
        self.numbers[kept.id] = number
        words = cross_link(kept.kind, number=number, url="", key=kept.key)
        self.ledger.words.append(Word(incident_id=kept.incident_id, origin=kept.id, seed=words, text=words))

    def _act(self, update: RecordUpdate, kept: Kept, state: IncidentState | None, at: datetime) -> Act:
        return Act(
            ledger=self.ledger,
            event=event_name(update),
            update=update,
            kept=kept,
            inbound=self.policy.inbound_of(kept.destination, kept.kind),
            state=state,
            at=at,
        )


def _let_go(hands: Hands) -> Hands:
    return replace(hands, held="", held_by="", held_in="", held_at=None, close_code="")


def no_people() -> People:
    """Where no service desk has its say."""
    return People(policy=Policy(), ledger=Ledger(catalog=Catalog(), clean=str))


def cleaned(update: RecordUpdate, clean: Callable[[str], str]) -> RecordUpdate:
    """The update as it may be stored readably: people's free texts redacted."""
    return replace(update, comment=clean(update.comment), summary=clean(update.summary))


def event_name(update: RecordUpdate) -> str:
    """One name for one event, however often and on whichever way it comes."""
    return f"{update.external_id}:{update.event_id or f'{update.action}:{update.occurred_at.isoformat()}'}"


def _is_it(kept: Kept, update: RecordUpdate) -> bool:
    """Is the update about this very record, and not about a copy that carries our key too (a cloned issue)? Of a
    record that we address by key the vendor's own id is learned from the first update."""
    if kept.kind == "pagerduty":
        known = kept.stance.vendor_id if kept.stance else ""
        return not known or known == update.external_id
    return kept.external_id == update.external_id


def _why_not(action: RecordAction, update: RecordUpdate, kept: Kept, before: Stance) -> str:
    """The reason for which it changes nothing; empty when it counts."""
    if OUR_MARK.search(update.comment) or (update.actor_kind == "integration" and not update.snapshot):
        return "own_write"
    aspect = ASPECTS.get(action)
    newest = before.moved.get(aspect) if aspect else None
    if newest is not None and moment_of(update).is_before(newest):
        return "out_of_order"
    if not kept.latest:
        return "earlier_generation"
    return "nothing_new" if _is_known(action, aspect, update, before) else ""


def _is_known(action: RecordAction, aspect: Aspect | None, update: RecordUpdate, before: Stance) -> bool:
    """Does the record stand so already, by what we were told before?"""
    if action in STANDS:
        return before.stands == STANDS[action]
    if aspect is None or aspect not in before.moved:
        return False
    if aspect is Aspect.OWNER:
        return (update.assignee, update.group) == (before.assignee, before.group)
    if aspect is Aspect.PRIORITY:
        return _same_priority(update, before)
    return update.caused_by == before.caused_by


def moment_of(update: RecordUpdate) -> Moment:
    """When it happened, as the vendor counts."""
    return Moment(at=update.occurred_at, revision=update.revision)


def stance_after(before: Stance, update: RecordUpdate, actions: Iterable[RecordAction]) -> Stance:
    """How the record stands after the update: what it is newer in, it says; the rest stays."""
    now = moment_of(update)
    done = {aspect for action in actions if (aspect := ASPECTS.get(action))}
    told = set(Aspect) if update.snapshot else done
    newer = {a for a in told if a not in before.moved or not now.is_before(before.moved[a])}
    stands = next((STANDS[a] for a in actions if a in STANDS), update.stands)
    said = {
        Aspect.STATUS: {"stands": stands or before.stands, "close_code": update.close_code},
        Aspect.OWNER: {"assignee": update.assignee, "group": update.group},
        Aspect.PRIORITY: {"priority": update.priority},
        Aspect.CAUSE: {"caused_by": update.caused_by},
    }
    fields = {name: value for aspect in newer for name, value in said[aspect].items()}
    return replace(
        before,
        vendor_id=before.vendor_id or update.external_id,
        moved={**before.moved, **dict.fromkeys(sorted(newer), now)},
        **fields,  # type: ignore[arg-type]  # the names above are fields
    )


def _differences(update: RecordUpdate, before: Stance, kept: Kept) -> Iterator[RecordAction]:
    """What was done between the last look and this one. How it came to stand by our own doing is no difference,
    whoever wrote it last: a person's act under a later write of ours still counts."""
    known = before.stands or ("resolved" if kept.expected == {"resolved"} else "open")
    at_rest = known == "resolved" and update.stands == "closed"  # the desk's own rule closes it after some days
    if update.stands and update.stands not in (known, *kept.expected) and not at_rest:
        reopened = known in ("resolved", "closed") and update.stands in ("open", "acknowledged")
        yield RecordAction.REOPENED if reopened else _BECAME[update.stands]
    elif update.stands == "open" and known in ("resolved", "closed") and "open" not in kept.expected:
        yield RecordAction.REOPENED
    if _owner_moved(update, before, kept):
        yield RecordAction.REASSIGNED
    if before.priority and not _same_priority(update, before) and update.actor_kind == "user":
        yield RecordAction.PRIORITY_CHANGED
    if update.caused_by and update.actor_kind == "user" and _cause_moved(update, before, kept):
        yield RecordAction.CAUSE_SET


_BECAME = {
    "acknowledged": RecordAction.ACKNOWLEDGED,
    "resolved": RecordAction.RESOLVED,
    "closed": RecordAction.CLOSED,
    "open": RecordAction.UPDATED,
}


def _same_priority(update: RecordUpdate, before: Stance) -> bool:
    """Posted as `2 - High`, polled as `2`."""
    one, other = priority_of(update.priority), priority_of(before.priority)
    return one == other if one and other else update.priority in ("", before.priority)


def _cause_moved(update: RecordUpdate, before: Stance, kept: Kept) -> bool:
    """Not by us: a confirmed cause that we wrote there ourselves must not come back as somebody's word."""
    ours = str(kept.sent.get("caused_by", ""))
    return update.caused_by != before.caused_by and update.values.get("caused_by", "") != ours


def _owner_moved(update: RecordUpdate, before: Stance, kept: Kept) -> bool:
    if Aspect.OWNER in before.moved:
        return (update.assignee, update.group) != (before.assignee, before.group)
    ours = kept.sent  # never looked at before: what our own write was answered with is where people start
    return any(name in ours and name in update.values and str(ours[name]) != update.values[name] for name in _OWNERS)


_OWNERS = ("assigned_to", "assignment_group")
