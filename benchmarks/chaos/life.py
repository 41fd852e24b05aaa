"""One incident on its way through a schedule: what is true of it now, and the product's plan for its records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from benchmarks.chaos.rings import Ring
from benchmarks.chaos.script import Accident, Fault, Outage, Script
from tocsin.domain.alert import Alert, AlertState, Severity, Status, Symptom
from tocsin.domain.catalog import Ownership
from tocsin.domain.family import Family, Kin
from tocsin.domain.incident import Gate, GateState, Incident, IncidentState, Routing
from tocsin.domain.policy import Want
from tocsin.domain.subject import Subject

LOOK_UP = "look-up"
_WORSE = (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)


@dataclass(slots=True, kw_only=True)
class Edit:
    """A person's edit that took effect."""

    at_s: float
    kind: str
    key: str
    generation: int


@dataclass(slots=True, kw_only=True)
class Life:
    """The incident of one schedule."""

    script: Script
    incident: Incident
    started_s: float
    """On the trial's clock."""
    keys: list[str]
    """Of the generations that there may be, from 1."""
    way: str = ""
    """Name of its destination."""
    again_at: datetime | None = None
    refires: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """HTTP requests of ours, by role; `any` counts all but look-ups."""
    calls: int = 0
    """Calls by connectors (a call may be several requests)."""
    befell: Counter[str] = field(default_factory=Counter)
    """What happened to our requests and workers: fault, kill, freeze."""
    edits: list[Edit] = field(default_factory=list)
    rings: list[Ring] = field(default_factory=list)
    """Triggers at PagerDuty."""
    attempts: int = 0
    late: list[tuple[str, float, float]] = field(default_factory=list)
    """Creates that landed late: (key, sent, landed), on the schedule's own clock."""
    crashes: list[str] = field(default_factory=list)
    merged: bool = False
    stolen: int = 0
    """Settles that were accepted from a worker that held no lease."""
    said: list[str] = field(default_factory=list)
    """What happened, for the report of a violation."""

    @property
    def incident_id(self) -> UUID:
        return self.incident.id

    def struck(self, role: str, at_s: float) -> Fault | Outage | None:
        """Counts a request and answers what strikes it."""
        self.requests[role] += 1
        if role == LOOK_UP:  # not counted: whether it is made depends on what other incidents looked up before
            return None
        self.requests["any"] += 1
        for fault in self.script.faults:
            if fault.role in (role, "any") and fault.nth == self.requests[fault.role]:
                return fault
        passed_s = at_s - self.started_s
        return next((one for one in self.script.outages if one.from_s <= passed_s < one.to_s), None)

    def accident(self, when: str) -> Accident | None:
        """What happens to the worker before or after the call that is now under way."""
        return next((one for one in self.script.accidents if (one.call, one.when) == (self.calls, when)), None)

    def told(self) -> str:
        """The schedule and what happened, for whoever has to understand it."""
        return self.script.told() + "\n" + "\n".join(self.said[-200:])

    def tell(self, at_s: float, words: str) -> None:
        self.said.append(f"{at_s - self.started_s:9.1f} s  {words}")


def born(script: Script, incident_id: UUID, number: int, now: datetime, destination: str) -> Incident:
    """The incident as it opens: one alert."""
    ownership = Ownership(team="alpha", why="alpha owns it")
    return Incident(
        id=incident_id,
        number=number,
        environment="production",
        state=IncidentState.OPEN,
        opened_at=now,
        members=(_member(f"service:shop-{script.seed}", Severity.ERROR, now),),
        gate=Gate(state=GateState.ACTIVE, reason="active"),
        routing=Routing(
            want=Want.PAGE, rule="chaos", because="every incident", ownership=ownership, destinations=(destination,)
        ),
    )


def absorbed(incident: Incident, destination: str, ticket: tuple[str, str]) -> Incident:
    """It turns out to have the cause of an earlier incident, whose ticket at this destination is `ticket`."""
    number = incident.number + 1000
    parent = Kin(
        id=uuid5(incident.id, "parent"),
        display=f"TOC-{number}",
        title="An earlier outage",
        opened_at=incident.opened_at - timedelta(minutes=1),
        records={destination: ticket},
    )
    return replace(incident, parent_id=parent.id, family=Family(parent=parent))


def moved_on(incident: Incident, kind: str, now: datetime) -> Incident:
    """The incident after a happening of its script."""
    if kind == "resolve":
        over = tuple(replace(m, status=Status.RESOLVED, ends_at=now) for m in incident.members)
        return replace(incident, members=over, state=IncidentState.RESOLVED, resolved_at=now)
    if kind == "refire":
        again = tuple(
            replace(m, status=Status.FIRING, ends_at=None, episode=m.episode + 1, starts_at=now)
            for m in incident.members
        )
        return replace(
            incident, members=again, state=IncidentState.OPEN, resolved_at=None, reopened=incident.reopened + 1
        )
    if kind == "join":
        name = f"service:shop-{incident.number}-part-{len(incident.members)}"
        return replace(incident, members=(*incident.members, _member(name, incident.severity, now)))
    if kind in ("worse", "better"):
        place = _WORSE.index(incident.severity) + (1 if kind == "worse" else -1)
        severity = _WORSE[min(max(place, 0), len(_WORSE) - 1)]
        graver = tuple(replace(m, alert=replace(m.alert, severity=severity)) for m in incident.members)
        return replace(incident, members=graver)
    if kind == "move" and incident.routing:
        team = "beta" if incident.routing.ownership.team == "alpha" else "alpha"
        ownership = Ownership(team=team, why=f"{team} takes it over")
        return replace(incident, routing=replace(incident.routing, ownership=ownership))
    return incident


def _member(subject: str, severity: Severity, now: datetime) -> AlertState:
    alert = Alert(
        hook="am",
        source="alertmanager",
        environment="production",
        name="HighLatency",
        subject=Subject(subject),
        symptom=Symptom.LATENCY,
        severity=severity,
        status=Status.FIRING,
        summary="p99 over 2 s",
        received_at=now,
        starts_at=now,
    )
    return AlertState(
        alert=alert,
        status=Status.FIRING,
        episode=1,
        starts_at=now,
        last_report_at=now,
        last_received_at=now + timedelta(0),
    )
