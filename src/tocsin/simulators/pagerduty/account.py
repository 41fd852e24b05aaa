"""The memory of a PagerDuty account: services, alerts, incidents, notes, changes, and each incident's timeline.

An alert lives in one incident. While it is open, events with its key and routing key apply to it; after the resolve a
trigger opens a new one, and acknowledge or resolve are dropped (docs events-API-v2/02-Trigger-Events). The API answers
before it works: events go through a queue, which is empty at once unless the account is told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from tocsin.domain.errors import BadPayload
from tocsin.simulators.answers import Clock, Json
from tocsin.simulators.pagerduty.things import Alert, Change, Entry, Incident, Note, Service, Status, User, pd_id

PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
SEEDS = ("routing_keys", "priorities", "users", "services", "queue_s", "webhooks", "webhook_faults")
SERVICE_STATUSES = ("active", "maintenance", "disabled")

Told = Callable[[str, Incident, Entry, Note | None], None]
"""(what happened, where, the line of the timeline, the note)."""


class Account:
    """One account. `routing_keys`, when given by a seed, are the only ones known; else any key of 32 will do."""

    def __init__(self, *, clock: Clock, owner: str = "admin", incident_keys: bool = True) -> None:
        self.clock = clock
        self.incident_keys = incident_keys
        """False: incidents show no key of their own, only their alerts do."""
        self.services: dict[str, Service] = {}
        """By routing key."""
        self.only_known_keys = False
        self.users: dict[str, User] = {}
        """By e-mail, lower case."""
        self.only_known_users = False
        self.owner = self._new_user(owner if "@" in owner else f"{owner}@example.org", owner.partition("@")[0])
        self.alerts: list[Alert] = []
        self.incidents: list[Incident] = []
        self.changes: list[Change] = []
        self.priorities = list(PRIORITIES)
        self.dropped: list[Json] = []
        """Acknowledge and resolve events that met no open alert: answered 202 and forgotten by the real one."""
        self.queue_s = 0.0
        self.queue: list[tuple[datetime, Callable[[], None]]] = []
        """Accepted events that are not worked off yet."""
        self.told: list[Told] = []
        self._entries = 0

    def seed(self, records: Mapping[str, object]) -> Json:
        """Adds what a seed says and answers service ids:

        {"routing_keys": {"<32 characters>": "Service name"}, "priorities": ["P1", …], "users": ["jane@example.org"],
         "services": {"Service name": "maintenance" | "disabled"}, "queue_s": 2.5 (events are worked off that late)}
        """
        if unknown := sorted(set(records) - set(SEEDS)):
            raise BadPayload(f"unknown; known are {', '.join(SEEDS)}", path=unknown[0])
        for key, name in _object(records, "routing_keys").items():
            self.services[key] = Service(id=pd_id("service", key), name=str(name), routing_key=key)
            self.only_known_keys = True
        for name, status in _object(records, "services").items():
            self._set_service(name, str(status))
        for email in _list(records, "users"):
            self._new_user(email, email.partition("@")[0].replace(".", " ").title())
            self.only_known_users = True
        self.priorities = _list(records, "priorities") or self.priorities
        self.queue_s = float(str(records.get("queue_s", self.queue_s)))
        return {"services": {service.name: service.id for service in self.services.values()}}

    def _set_service(self, name: str, status: str) -> None:
        named = [one for one in self.services.values() if one.name == name]
        if not named or status not in SERVICE_STATUSES:
            raise BadPayload(f"{name}: {status}: no such service, or none of {SERVICE_STATUSES}", path="services")
        for one in named:
            one.status = status

    def service(self, routing_key: str) -> Service | None:
        """The service behind a routing key; a new one for a new key unless only known keys count."""
        if routing_key not in self.services:
            if self.only_known_keys:
                return None
            name = f"Service {routing_key[:6]}"
            self.services[routing_key] = Service(id=pd_id("service", routing_key), name=name, routing_key=routing_key)
        return self.services[routing_key]

    def user(self, email: str) -> User | None:
        """The user with this e-mail; a new one for a new address unless only known users count."""
        found = self.users.get(email.lower())
        if found is None and not self.only_known_users:
            found = self._new_user(email, email.partition("@")[0].replace(".", " ").title())
        return found

    def _new_user(self, email: str, name: str) -> User:
        user = User(id=pd_id("user", email.lower()), name=name, email=email)
        self.users[email.lower()] = user
        return user

    # -- events --------------------------------------------------------------------------------------------------

    def accept(self, service: Service, action: str, key: str, event: Json, *, late_s: float = 0.0) -> None:
        """Takes a valid event of the Events API, to be worked off when the queue comes to it."""
        self.queue.append(
            (
                self.clock() + timedelta(seconds=late_s or self.queue_s),
                lambda: self._apply(service, action, key, event),
            )
        )
        self.work_off()

    def work_off(self) -> None:
        """Works off what is due in the queue, in the order in which it became due."""
        due = sorted((one for one in self.queue if one[0] <= self.clock()), key=lambda one: one[0])
        for one in due:
            self.queue.remove(one)
            one[1]()

    def _apply(self, service: Service, action: str, key: str, event: Json) -> None:
        found = next((a for a in self.alerts if a.open and a.key == key and a.service is service), None)
        if action == "trigger":
            self._trigger(service, key, event, found)
        elif found is None:
            self.dropped.append(event)
        elif action == "acknowledge":
            self.set_status(self._holder(found), "acknowledged")
        else:
            self.resolve_alert(found)

    def _holder(self, alert: Alert) -> Incident:
        found = self.incident(alert.incident_id)
        assert found is not None
        return found

    def _trigger(self, service: Service, key: str, event: Json, found: Alert | None) -> None:
        payload = event["payload"]
        assert isinstance(payload, dict)
        text, severity = str(payload["summary"]), str(payload["severity"])
        if found:
            incident = self._holder(found)
            found.event, found.severity = event, severity
            found.triggers += 1
            if incident.alert_id == found.id:
                incident.event, incident.severity, incident.triggers = event, severity, found.triggers
            self.log(incident, "trigger", text)
        elif service.status == "active":  # in maintenance or disabled: no new incidents, and nobody hears of it
            self.open_incident(service, key=key, title=text, severity=severity, event=event, alert=True)

    def open_incident(
        self, service: Service, *, key: str, title: str, severity: str, event: Json, alert: bool = False, by: str = ""
    ) -> Incident:
        """A new, triggered incident, with an alert of its own when an event opened it."""
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
            assignees=[self.owner.email],
        )
        self.incidents.append(incident)
        if alert:
            incident.alert_id = pd_id("alert", incident.id)
            self.alerts.append(
                Alert(
                    id=incident.alert_id,
                    key=key,
                    service=service,
                    incident_id=incident.id,
                    title=title,
                    severity=severity,
                    event=event,
                    created_at=now,
                )
            )
        self.log(incident, "trigger", title, by=by, event="incident.triggered")
        return incident

    def resolve_alert(self, alert: Alert, *, by: str = "") -> None:
        """Resolves one alert; its incident follows when that was the last open one."""
        alert.status = "resolved"
        incident = self._holder(alert)
        if incident.open and not any(one.open for one in self.alerts_of(incident)):
            self.set_status(incident, "resolved", by=by)
        else:
            incident.updated_at = self.clock()

    def change(self, service: Service, event: Json) -> None:
        """Keeps a change event; nobody is notified."""
        serial = len(self.changes) + 1
        self.changes.append(Change(id=pd_id("change", serial), service=service, at=self.clock(), event=event))

    # -- people and REST -----------------------------------------------------------------------------------------

    def incident(self, incident_id: str) -> Incident | None:
        return next((one for one in self.incidents if one.id == incident_id), None)

    def alerts_of(self, incident: Incident) -> list[Alert]:
        """The alerts that live in an incident now, oldest first."""
        return [one for one in self.alerts if one.incident_id == incident.id]

    def keyed(self, key: str) -> list[Incident]:
        """Incidents with this key, and those that hold an alert with it."""
        holders = {one.incident_id for one in self.alerts if one.key == key}
        return [one for one in self.incidents if one.key == key or one.id in holders]

    def set_status(self, incident: Incident, status: Status, *, by: str = "", resolution: str = "") -> None:
        """Moves an incident, and its alerts with its end; from resolved back it reopens, alerts too. `by` is a user's
        e-mail, empty for an event. Moving to the status it has changes nothing."""
        if incident.status == status:
            return
        reopened = incident.status == "resolved"
        incident.status, incident.status_at, incident.status_by = status, self.clock(), by
        incident.resolution = resolution
        incident.acknowledged_by = by or "Events API" if status == "acknowledged" else ""
        for alert in self.alerts_of(incident):
            alert.status = "resolved" if status == "resolved" else "triggered"
        kind = {"acknowledged": "acknowledge", "resolved": "resolve", "triggered": "unacknowledge"}[status]
        event = "incident.reopened" if reopened else f"incident.{kind.replace('ledge', 'ledged')}"
        if kind == "resolve":
            event = "incident.resolved"
        self.log(incident, "reopen" if reopened else kind, resolution, by=by, event=event)

    def assign(self, incident: Incident, emails: list[str], *, by: str) -> None:
        """Hands an incident to other users; a taken one is triggered again for them."""
        incident.assignees = emails
        self.log(incident, "assign", ", ".join(emails), by=by, event="incident.reassigned")

    def prioritise(self, incident: Incident, name: str, *, by: str) -> None:
        """Sets a priority, or takes it away."""
        incident.priority = name
        self.log(incident, "priority_change", name, by=by, event="incident.priority_updated")

    def merge(self, target: Incident, sources: list[Incident], *, by: str) -> None:
        """Moves the sources' alerts into the target; the sources end, by reason of the merge."""
        for source in sources:
            for alert in self.alerts_of(source):
                alert.incident_id = target.id
            source.merged_into = target.id
            self.set_status(source, "resolved", by=by)
        self.log(target, "merge", ", ".join(f"#{one.number}" for one in sources), by=by)

    def annotate(self, incident: Incident, content: str, *, by: str) -> Note:
        """A note on an incident; the same text twice makes two notes."""
        serial = len(incident.notes) + 1
        note = Note(id=pd_id("note", incident.id, serial), at=self.clock(), by=by, content=content)
        incident.notes.append(note)
        self.log(incident, "annotate", content, by=by, event="incident.annotated", note=note)
        return note

    def log(
        self, incident: Incident, kind: str, text: str, *, by: str = "", event: str = "", note: Note | None = None
    ) -> None:
        """Adds a line to the timeline, marks the incident as updated, and tells the webhooks of `event`."""
        self._entries += 1
        incident.updated_at = self.clock()
        entry = Entry(id=pd_id("entry", self._entries), at=incident.updated_at, kind=kind, text=text, by=by)
        incident.timeline.append(entry)
        if event:
            for told in self.told:
                told(event, incident, entry, note)


def _object(records: Mapping[str, object], name: str) -> dict[str, object]:
    given = records.get(name) or {}
    if not isinstance(given, Mapping):
        raise BadPayload("must be an object", path=name)
    return {str(key): value for key, value in given.items()}


def _list(records: Mapping[str, object], name: str) -> list[str]:
    given = records.get(name) or []
    if not isinstance(given, list):
        raise BadPayload("must be a list", path=name)
    return [str(one) for one in given]
