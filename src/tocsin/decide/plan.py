"""What should stand in each service desk for this incident, and what is new to its readers?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from tocsin.decide.compose import compose, follow, note
from tocsin.decide.drift_words import drift_text
from tocsin.decide.evidence import evidence_text
from tocsin.decide.hands import after_its_end
from tocsin.decide.redact import Redactor
from tocsin.decide.usual_words import usual_text
from tocsin.domain.catalog import Catalog
from tocsin.domain.incident import GateState, Incident, IncidentState
from tocsin.domain.policy import Destination, Mode, Policy, Want
from tocsin.domain.record import Attachment, Note, Plan, Record, Told, Wanted

EVIDENCE = "evidence.txt"
"""Name of the file that holds everything the likely causes rest on."""

ATTRIBUTION_WAIT_S = {Want.PAGE: 1.0, Want.TICKET: 8.0}
"""A new record waits at most this long for its cause: a page a second (design.md §2), a ticket until the text that is
written once can name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What planning knows of the ways out."""

    installation_id: UUID
    destinations: Mapping[str, Destination]
    reopens: Mapping[str, bool]
    """Connector kind → can a resolved record be reopened there? Otherwise the next generation is opened."""
    holds_ticket: Mapping[str, bool]
    """Connector kind → is a record there the incident's ticket, of which it has one? (A page is none.)"""
    catalog: Catalog
    redactor: Redactor
    public_url: str
    policy: Policy = field(default_factory=Policy)
    attaches: Mapping[str, bool] = field(default_factory=dict)
    """Connector kind → does it send files?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    plans: tuple[Plan, ...] = ()
    again_at: datetime | None = None
    """A note waits to be told at this time."""


def plan(incident: Incident, records: Sequence[Record], desk: Desk, *, now: datetime) -> Planned:
    """The wanted state of every record of this incident: existing ones follow the incident; new ones are opened only
    while it is open, its gate is active and its route wants something."""
    latest = {record.destination: record for record in records}
    names = list(latest)
    if _may_open(incident) and incident.routing:
        names += [name for name in incident.routing.destinations if name not in latest]
    plans, again = [], []
    writer = _Writer(incident, desk, now)
    for name in names:
        destination = desk.destinations.get(name)
        if destination is None or destination.mode is Mode.OFF:
            continue
        if name not in latest and (_is_told_by_parent(incident, name, desk) or _has_its_ticket(writer, latest, name)):
            continue
        planned, later = _plan_one(writer, latest.get(name), destination)
        planned = [_with_evidence(one, latest.get(name), writer) for one in planned]
        plans += [_pictured(one, latest.get(name), incident) for one in planned]
        again += [later] if later else []
    return Planned(plans=tuple(plans), again_at=min(again, default=None))


class _Writer:
    """Composes an incident's records; the texts, which are the same at every destination, once."""

    def __init__(self, incident: Incident, desk: Desk, now: datetime) -> None:
        self.incident, self.desk, self.now = incident, desk, now
        base = f"{desk.public_url.rstrip('/')}/incidents/{incident.display}"
        self.links = {"incident": base, "confirm": f"{base}/cause"}
        self._written: dict[str, Wanted] = {}

    def compose(self, destination: Destination, *, generation: int, previous: str) -> Wanted:
        """The record as it should go out."""
        incident, desk = self.incident, self.desk
        key = record_key(desk.installation_id, incident.id, destination.name, generation)
        if previous not in self._written:
            self._written[previous] = compose(
                incident,
                catalog=desk.catalog,
                redactor=desk.redactor,
                key=key,
                destination=destination.name,
                kind=destination.kind,
                generation=generation,
                previous=previous,
                links=self.links,
                now=self.now,
            )
        return self.follow(replace(self._written[previous], key=key, generation=generation), destination)

    def follow(self, written: Wanted, destination: Destination) -> Wanted:
        """The record that went out, as it should stand now."""
        return follow(
            written,
            self.incident,
            catalog=self.desk.catalog,
            redactor=self.desk.redactor,
            destination=destination.name,
            kind=destination.kind,
            links=self.links,
            now=self.now,
        )


def _is_told_by_parent(incident: Incident, destination: str, desk: Desk) -> bool:
    """A child's ticket is its parent's. A page is only left out when the parent has made it."""
    parent = incident.family.parent
    if parent is None:
        return False
    return destination in parent.records or desk.holds_ticket.get(desk.destinations[destination].kind, True)


def _has_its_ticket(writer: _Writer, latest: Mapping[str, Record], name: str) -> bool:
    """An incident has one ticket: when its route moves to another desk, what went out stays the ticket. A route that
    names several desks gets all of them, and a page is always added."""
    incident, desk, destination = writer.incident, writer.desk, writer.desk.destinations[name]
    if not desk.holds_ticket.get(destination.kind, True) or incident.routing is None:
        return False
    return any(
        record.destination not in incident.routing.destinations
        and desk.holds_ticket.get(record.kind, True)
        and record.mode == destination.mode
        and (record.attempts or record.sent_version)
        for record in latest.values()
    )


def _withdrawn(incident: Incident, current: Record, desk: Desk) -> bool:
    """What never went out is not sent any more once its route has moved to another desk, or a parent tells it."""
    if _is_told_by_parent(incident, current.destination, desk):
        return True
    routing = incident.routing
    return (
        routing is not None
        and routing.want is not Want.NONE
        and current.destination not in routing.destinations
        and desk.holds_ticket.get(current.kind, True)
        and any(
            desk.holds_ticket.get(known.kind, True) and known.mode == current.mode
            for name in routing.destinations
            if (known := desk.destinations.get(name)) is not None
        )
    )


def record_key(installation_id: UUID, incident_id: UUID, destination: str, generation: int) -> str:
    """32 hex digits: the vendor's idempotency key. Nobody else's installation or outage can make the same one."""
    text = f"{installation_id}|{incident_id}|{destination}|{generation}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def told_of(incident: Incident, now: datetime) -> Told:
    """What a reader of this incident's record knows after reading it now."""
    first = incident.attribution.first if incident.attribution else None
    return Told(
        at=now,
        state=incident.state,
        severity=incident.severity,
        subjects=incident.subjects,
        members=len(incident.members),
        suspect=first.change.id if first else "",
        scored=incident.attribution is not None,
        probability=first.probability if first else 0.0,
        band=first.band if first else "",
        reopened=incident.reopened,
        parent=incident.family.parent.display if incident.family.parent else "",
        children=tuple(child.display for child in incident.family.children),
    )


def _may_open(incident: Incident) -> bool:
    return (
        incident.state is IncidentState.OPEN
        and incident.gate is not None
        and incident.gate.state is GateState.ACTIVE
        and incident.routing is not None
        and incident.routing.want is not Want.NONE
    )


def _plan_one(writer: _Writer, current: Record | None, destination: Destination) -> tuple[list[Plan], datetime | None]:
    incident, desk, now = writer.incident, writer.desk, writer.now
    if current is None:
        return [_opened(writer, destination, generation=1, previous="")], None
    if current.mode == Mode.SHADOW and destination.mode is Mode.LIVE and _may_open(incident):
        # nothing of it ever went out: with the text of now it is a new record
        return [_opened(writer, destination, generation=current.generation, previous="")], None
    after = _after_its_end(incident, current, desk, now)
    if after == "next":
        return [_opened(writer, destination, generation=current.generation + 1, previous=current.number)], None
    if (current.sent_version and not current.called_off) or current.state == "closed":
        return _updated(writer, current, destination, stays_ended=after == "comment")
    wanted = writer.compose(destination, generation=current.generation, previous=current.wanted.previous)
    unsent = current.attempts == 0 or current.called_off
    if unsent and (incident.state is IncidentState.RESOLVED or _withdrawn(incident, current, desk)):
        wanted = replace(wanted, status="resolved")
    held = replace(
        _plan(current, wanted, None, told_of(incident, now)), hold_s=_hold_s(incident, wanted, current.created_at, now)
    )
    return ([] if wanted == current.wanted else [held]), None


def _after_its_end(incident: Incident, current: Record, desk: Desk, now: datetime) -> str:
    """What follows for a record that had ended, when its incident is open again; see `after_its_end`."""
    if not _may_open(incident) or _is_told_by_parent(incident, current.destination, desk):
        return ""
    rule = desk.policy.closed_of(current.destination, current.kind)
    return after_its_end(incident, current, rule, reopens=desk.reopens.get(current.kind, True), now=now)


def _opened(writer: _Writer, destination: Destination, *, generation: int, previous: str) -> Plan:
    incident, now = writer.incident, writer.now
    wanted = writer.compose(destination, generation=generation, previous=previous)
    return Plan(
        id=UUID(hex=wanted.key),
        incident_id=incident.id,
        environment=incident.environment,
        destination=destination.name,
        kind=destination.kind,
        generation=generation,
        mode=destination.mode,
        wanted=wanted,
        told=told_of(incident, now),
        hold_s=_hold_s(incident, wanted, None, now),
    )


def _is_told(planned: Plan, current: Record | None) -> bool:
    """Do the readers of the planned record know the cause already? Those of a next generation do not."""
    if current is None or current.generation != planned.generation or not current.sent_version:
        return False
    return current.told is not None and current.told.scored


def _pictured(planned: Plan, current: Record | None, incident: Incident) -> Plan:
    """The plan, with a drawing of what happened when, as long as there is something new to its readers."""
    news = planned.note is not None or not _is_told(planned, current)
    return replace(planned, pictured=incident.attribution is not None and news)


def _with_evidence(planned: Plan, current: Record | None, writer: _Writer) -> Plan:
    """The plan with the evidence as a file, once the incident is scored and as long as its readers were not told."""
    attribution = writer.incident.attribution
    if attribution is None or _is_told(planned, current) or not writer.desk.attaches.get(planned.kind):
        return planned
    drift = writer.incident.enrichment.drift if writer.incident.enrichment else None
    texts = [evidence_text(attribution, writer.incident.display)] if attribution.suspects else []
    texts += [drift_text(drift)] if drift is not None and (texts or drift.measured) else []
    texts += [usual_text(writer.incident.firing or writer.incident.members)]
    if not any(texts):
        return planned
    text = "\n\n".join(filter(None, texts))
    file = Attachment(
        id=UUID(bytes=hashlib.sha256(f"{planned.id}|{EVIDENCE}".encode()).digest()[:16]),
        name=EVIDENCE,
        media_type="text/plain",
        content=writer.desk.redactor.text(text).encode(),
    )
    return replace(planned, attachments=(file,))


def _hold_s(incident: Incident, wanted: Wanted, created_at: datetime | None, now: datetime) -> float:
    """How much longer an unsent record waits for its cause: members that join meanwhile send it no sooner."""
    if incident.attribution is not None or incident.state is IncidentState.RESOLVED:
        return 0.0
    waited = (now - created_at).total_seconds() if created_at else 0.0
    return max(0.0, ATTRIBUTION_WAIT_S.get(wanted.want, 0.0) - waited)


def _updated(
    writer: _Writer, current: Record, destination: Destination, *, stays_ended: bool
) -> tuple[list[Plan], datetime | None]:
    incident, desk, now = writer.incident, writer.desk, writer.now
    wanted = writer.follow(current.wanted, destination)
    if stays_ended:
        ended = current.wanted
        wanted = replace(wanted, status="resolved", resolved_at=ended.resolved_at, close_notes=ended.close_notes)
    changed = wanted != current.wanted
    text = note(current.told, incident, redactor=desk.redactor, catalog=desk.catalog, now=now, links=writer.links)
    told = current.told or told_of(incident, now)
    overdue = incident.attribution is not None and not told.scored
    if text and told.state == incident.state and now - told.at < desk.policy.notes_every and not overdue:
        return ([_plan(current, wanted, None, told)] if changed else []), told.at + desk.policy.notes_every
    if not text:
        return ([_plan(current, wanted, None, told)] if changed else []), None
    said = Note(id=_note_id(current, told, text), text=text)
    return [replace(_plan(current, wanted, said, told_of(incident, now)), changed=changed)], None


def _plan(current: Record, wanted: Wanted, said: Note | None, told: Told) -> Plan:
    return Plan(
        id=current.id,
        incident_id=current.incident_id,
        environment=current.environment,
        destination=current.destination,
        kind=current.kind,
        generation=current.generation,
        mode=current.mode,
        wanted=wanted,
        note=said,
        told=told,
    )


def _note_id(current: Record, told: Told, text: str) -> UUID:
    """Stable for what is said after what was told, so that deciding twice says it once."""
    return UUID(bytes=hashlib.sha256(f"{current.id}|{told.at.isoformat()}|{text}".encode()).digest()[:16])
