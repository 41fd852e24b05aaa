"""The memory of a PagerDuty account: services, alerts, incidents, notes, changes, and each incident's timeline.

One alert opens one incident. While an alert is open, events with its key and routing key apply to it; after the resolve
a trigger opens a new one, and acknowledge or resolve are dropped (docs events-API-v2/02-Trigger-Events).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, Json, stable_id

Status = Literal["triggered", "acknowledged", "resolved"]

PRIORITIES = ("P1", "P2", "P3", "P4", "P5")


def pd_id(kind: str, *parts: object) -> str:
    """An identifier as PagerDuty's look: P and 13 capitals."""
    return "P" + stable_id(kind, *parts, length=13).upper()


@dataclass(slots=True, kw_only=True)
class Service:
    """Where a routing key leads."""

    id: str
    name: str
    routing_key: str


@dataclass(slots=True, kw_only=True)
class Entry:
    """One line of an incident's timeline."""

    id: str
    at: datetime
    kind: str
    """trigger, acknowledge, resolve, reopen, annotate, priority_change, retitle."""
    text: str
    by: str = ""


@dataclass(slots=True, kw_only=True)
class Note:
    id: str
    at: datetime
    by: str
    content: str


@dataclass(slots=True, kw_only=True)
class Incident:
    """One incident and its one alert."""

    id: str
    number: int
    service: Service
    key: str
    title: str
    severity: str
    created_at: datetime
    updated_at: datetime
    status: Status = "triggered"
    status_at: datetime
    event: Json = field(default_factory=dict)
    """The newest trigger event's body: payload, links, images, client."""
    priority: str = ""
    urgency: str = "high"
    resolution: str = ""
    acknowledged_by: str = ""
    notes: list[Note] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    triggers: int = 1

    @property
    def alert_id(self) -> str:
        return pd_id("alert", self.id)

    @property
    def open(self) -> bool:
        return self.status != "resolved"


@dataclass(slots=True, kw_only=True)
class Change:
    id: str
    service: Service
    at: datetime
    event: Json


class Account:
    """One account. `routing_keys`, when given by a seed, are the only ones known; else any key of 32 will do."""

    def __init__(self, *, clock: Clock) -> None:
        self.clock = clock
        self.services: dict[str, Service] = {}
        """By routing key."""
        self.only_known_keys = False
        self.incidents: list[Incident] = []
        self.changes: list[Change] = []
        self.priorities = list(PRIORITIES)
        self.dropped: list[Json] = []
        """Acknowledge and resolve events that met no open alert: answered 202 and forgotten by the real one."""
        self._entries = 0

    def seed(self, records: Mapping[str, object]) -> Json:
        """{"routing_keys": {"<32 characters>": "Service name"}, "priorities": ["P1", …]}; answers service ids."""
        if unknown := sorted(set(records) - {"routing_keys", "priorities"}):
            raise BadPayload("unknown; known are routing_keys and priorities", path=unknown[0])
        keys = records.get("routing_keys") or {}
        if not isinstance(keys, Mapping):
            raise BadPayload("must be an object {routing key: service name}", path="routing_keys")
        for key, name in keys.items():
            self.services[str(key)] = Service(id=pd_id("service", key), name=str(name), routing_key=str(key))
            self.only_known_keys = True
        if isinstance(priorities := records.get("priorities"), list):
            self.priorities = [str(one) for one in priorities]
        return {"services": {service.name: service.id for service in self.services.values()}}

    def service(self, routing_key: str) -> Service | None:
        """The service behind a routing key; a new one for a new key unless only known keys count."""
        if routing_key not in self.services:
            if self.only_known_keys:
                return None
            name = f"Service {routing_key[:6]}"
            self.services[routing_key] = Service(id=pd_id("service", routing_key), name=name, routing_key=routing_key)
        return self.services[routing_key]

    # -- events --------------------------------------------------------------------------------------------------

    def apply(self, service: Service, action: str, key: str, event: Json) -> None:
        """Applies a valid event of the Events API."""
        found = self._open(service, key)
        if action == "trigger":
            self._trigger(service, key, event, found)
        elif found is None:
            self.dropped.append(event)
        elif action == "acknowledge":
            self.set_status(found, "acknowledged", by="Events API")
        else:
            self.set_status(found, "resolved", by="Events API")

    def _open(self, service: Service, key: str) -> Incident | None:
        return next((one for one in self.incidents if one.open and one.key == key and one.service is service), None)

    def _trigger(self, service: Service, key: str, event: Json, found: Incident | None) -> None:
        payload = event["payload"]
        assert isinstance(payload, dict)
        text = str(payload["summary"])
        if found:
            found.event, found.severity = event, str(payload["severity"])
            found.triggers += 1
            self.log(found, "trigger", text)
            return
        self.open_incident(service, key=key, title=text, severity=str(payload["severity"]), event=event)

    def open_incident(self, service: Service, *, key: str, title: str, severity: str, event: Json) -> Incident:
        """A new, triggered incident."""
        now = self.clock()
        number = len(self.incidents) + 1
        incident = Incident(
            id=pd_id("incident", number),
            number=number,
            service=service,
            key=key,
            title=title,
            severity=severity,
            created_at=now,
            updated_at=now,
            status_at=now,
            event=event,
            urgency="low" if severity in ("warning", "info") else "high",
        )
        self.incidents.append(incident)
        self.log(incident, "trigger", title)
        return incident

    def change(self, service: Service, event: Json) -> None:
        """Keeps a change event; nobody is notified."""
        serial = len(self.changes) + 1
        self.changes.append(Change(id=pd_id("change", serial), service=service, at=self.clock(), event=event))

    # -- people and REST -----------------------------------------------------------------------------------------

    def incident(self, incident_id: str) -> Incident | None:
        return next((one for one in self.incidents if one.id == incident_id), None)

    def set_status(self, incident: Incident, status: Status, *, by: str, resolution: str = "") -> None:
        """Moves an incident; from resolved back it reopens. Moving to the status it has changes nothing."""
        if incident.status == status:
            return
        reopened = incident.status == "resolved"
        incident.status, incident.status_at = status, self.clock()
        incident.resolution = resolution
        incident.acknowledged_by = by if status == "acknowledged" else ""
        kind = {"acknowledged": "acknowledge", "resolved": "resolve", "triggered": "unacknowledge"}[status]
        self.log(incident, "reopen" if reopened else kind, resolution, by=by)

    def annotate(self, incident: Incident, content: str, *, by: str) -> Note:
        """A note on an incident; the same text twice makes two notes."""
        serial = len(incident.notes) + 1
        note = Note(id=pd_id("note", incident.id, serial), at=self.clock(), by=by, content=content)
        incident.notes.append(note)
        self.log(incident, "annotate", content, by=by)
        return note

    def log(self, incident: Incident, kind: str, text: str, *, by: str = "") -> None:
        """Adds a line to the timeline and marks the incident as updated."""
        self._entries += 1
        incident.updated_at = self.clock()
        incident.timeline.append(
            Entry(id=pd_id("entry", self._entries), at=incident.updated_at, kind=kind, text=text, by=by)
        )
