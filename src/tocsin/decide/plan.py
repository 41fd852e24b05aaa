"""What should stand in each service desk for this incident, and what is new to its readers?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.decide.compose import compose, note
from tocsin.decide.redact import Redactor
from tocsin.domain.catalog import Catalog
from tocsin.domain.incident import GateState, Incident, IncidentState
from tocsin.domain.policy import Destination, Mode, Want
from tocsin.domain.record import Note, Plan, Record, Told, Wanted

NOTE_EVERY = timedelta(seconds=60)
"""Notes about members and causes are gathered this long, so that a storm is one note; an end is told at once."""

ATTRIBUTION_WAIT_S = {Want.PAGE: 1.0, Want.TICKET: 8.0}
"""A new record waits at most this long for its cause: a page a second (design.md §2), a ticket until the text that is
written once can name it."""

FROZEN = ("title", "body", "details", "links", "ci", "business_service", "component", "previous", "opened_at")
"""Written once, at create: of a sent record these stay as they went out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What planning knows of the ways out."""

    installation_id: UUID
    destinations: Mapping[str, Destination]
    reopens: Mapping[str, bool]
    """Connector kind → can a resolved record be reopened there? Otherwise the next generation is opened."""
    catalog: Catalog
    redactor: Redactor
    public_url: str


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
    for name in names:
        destination = desk.destinations.get(name)
        if destination is None or destination.mode is Mode.OFF:
            continue
        planned, later = _plan_one(incident, latest.get(name), destination, desk, now)
        plans += planned
        again += [later] if later else []
    return Planned(plans=tuple(plans), again_at=min(again, default=None))


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
    )


def _may_open(incident: Incident) -> bool:
    return (
        incident.state is IncidentState.OPEN
        and incident.gate is not None
        and incident.gate.state is GateState.ACTIVE
        and incident.routing is not None
        and incident.routing.want is not Want.NONE
    )


def _plan_one(
    incident: Incident, current: Record | None, destination: Destination, desk: Desk, now: datetime
) -> tuple[list[Plan], datetime | None]:
    if current is None:
        return [_opened(incident, destination, desk, generation=1, previous="", now=now)], None
    if _needs_next(incident, current, desk):
        return [_next(incident, destination, current, desk, now)], None
    wanted = _composed(
        incident, destination, desk, generation=current.generation, previous=current.wanted.previous, now=now
    )
    if current.sent_version == 0 and current.state != "closed":
        if incident.state is IncidentState.RESOLVED and current.attempts == 0:
            wanted = replace(wanted, status="resolved")
        same = _values(wanted) == _values(current.wanted)
        held = replace(
            _plan(current, wanted, None, told_of(incident, now)),
            hold_s=_hold_s(incident, wanted, current.created_at, now),
        )
        return ([] if same else [held]), None
    return _updated(incident, current, wanted, desk, now)


def _needs_next(incident: Incident, current: Record, desk: Desk) -> bool:
    if not _may_open(incident):
        return False
    refired = incident.reopened > (current.told.reopened if current.told else 0)
    ended = current.wanted.status == "resolved" and not desk.reopens.get(current.kind, True)
    return ended or (current.state == "closed" and refired)


def _opened(
    incident: Incident, destination: Destination, desk: Desk, *, generation: int, previous: str, now: datetime
) -> Plan:
    wanted = _composed(incident, destination, desk, generation=generation, previous=previous, now=now)
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


def _hold_s(incident: Incident, wanted: Wanted, created_at: datetime | None, now: datetime) -> float:
    """How much longer an unsent record waits for its cause: members that join meanwhile send it no sooner."""
    if incident.attribution is not None or incident.state is IncidentState.RESOLVED:
        return 0.0
    waited = (now - created_at).total_seconds() if created_at else 0.0
    return max(0.0, ATTRIBUTION_WAIT_S.get(wanted.want, 0.0) - waited)


def _next(incident: Incident, destination: Destination, current: Record, desk: Desk, now: datetime) -> Plan:
    generation = current.generation + 1
    return _opened(incident, destination, desk, generation=generation, previous=current.number, now=now)


def _updated(
    incident: Incident, current: Record, composed: Wanted, desk: Desk, now: datetime
) -> tuple[list[Plan], datetime | None]:
    wanted = replace(composed, **{name: getattr(current.wanted, name) for name in FROZEN})
    changed = _values(wanted) != _values(current.wanted)
    links = _links(incident, desk)
    text = note(current.told, incident, redactor=desk.redactor, catalog=desk.catalog, now=now, links=links)
    told = current.told or told_of(incident, now)
    overdue = incident.attribution is not None and not told.scored
    if text and told.state == incident.state and now - told.at < NOTE_EVERY and not overdue:
        return ([_plan(current, wanted, None, told)] if changed else []), told.at + NOTE_EVERY
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


def _composed(
    incident: Incident, destination: Destination, desk: Desk, *, generation: int, previous: str, now: datetime
) -> Wanted:
    return compose(
        incident,
        catalog=desk.catalog,
        redactor=desk.redactor,
        key=record_key(desk.installation_id, incident.id, destination.name, generation),
        destination=destination.name,
        kind=destination.kind,
        generation=generation,
        previous=previous,
        links=_links(incident, desk),
        now=now,
    )


def _links(incident: Incident, desk: Desk) -> dict[str, str]:
    base = f"{desk.public_url.rstrip('/')}/incidents/{incident.display}"
    return {"incident": base, "confirm": f"{base}/cause"}


def _values(wanted: Wanted) -> dict[str, object]:
    """The values whose change is sent; texts that go out once count only until they did."""
    return {name: getattr(wanted, name) for name in Wanted.__slots__}
