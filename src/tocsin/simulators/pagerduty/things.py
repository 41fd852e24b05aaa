"""What a PagerDuty account holds: services, users, alerts, incidents with their timelines, changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tocsin.simulators.answers import Json, stable_id

Status = Literal["triggered", "acknowledged", "resolved"]


def pd_id(kind: str, *parts: object) -> str:
    """An identifier as PagerDuty's look: P and 13 capitals."""
    return "P" + stable_id(kind, *parts, length=13).upper()


@dataclass(slots=True, kw_only=True)
class User:
    id: str
    name: str
    email: str


@dataclass(slots=True, kw_only=True)
class Service:
    """Where a routing key leads."""

    id: str
    name: str
    routing_key: str
    status: str = "active"
    """active, maintenance, disabled."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One line of an incident's timeline."""

    id: str
    at: datetime
    kind: str
    """trigger, acknowledge, unacknowledge, resolve, reopen, annotate, assign, merge, priority_change, retitle."""
    text: str
    by: str = ""
    """A user's e-mail; empty for an event."""


@dataclass(slots=True, kw_only=True)
class Note:
    id: str
    at: datetime
    by: str
    content: str


@dataclass(slots=True, kw_only=True)
class Alert:
    """What events with one key made; it lives in one incident."""

    id: str
    key: str
    service: Service
    incident_id: str
    title: str
    severity: str
    event: Json
    """The newest trigger event's body: payload, links, images, client."""
    created_at: datetime
    status: Literal["triggered", "resolved"] = "triggered"
    triggers: int = 1

    @property
    def open(self) -> bool:
        return self.status != "resolved"


@dataclass(slots=True, kw_only=True)
class Incident:
    """One incident. Key, severity, event and triggers are those of the alert that opened it."""

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
    status_by: str = ""
    """E-mail of the user who changed the status last; empty: an event did."""
    event: Json = field(default_factory=dict)
    alert_id: str = ""
    priority: str = ""
    urgency: str = "high"
    resolution: str = ""
    acknowledged_by: str = ""
    assignees: list[str] = field(default_factory=list)
    merged_into: str = ""
    notes: list[Note] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    triggers: int = 1

    @property
    def open(self) -> bool:
        return self.status != "resolved"


@dataclass(slots=True, kw_only=True)
class Change:
    id: str
    service: Service
    at: datetime
    event: Json
