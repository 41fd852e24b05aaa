"""How PagerDuty's REST API shows its things (rest.openapi.json: Incident, Alert, IncidentNote, ChangeEvent, …)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.simulators.answers import Json
from tocsin.simulators.pagerduty.account import Change, Entry, Incident, Note, Service, pd_id

ENTRY_TYPES = {
    "trigger": "trigger_log_entry",
    "acknowledge": "acknowledge_log_entry",
    "unacknowledge": "unacknowledge_log_entry",
    "resolve": "resolve_log_entry",
    "reopen": "reopen_log_entry",
    "annotate": "annotate_log_entry",
    "priority_change": "priority_change_log_entry",
    "retitle": "field_value_change_log_entry",
}


def wire(at: datetime) -> str:
    """A moment as the API writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Resources:
    """Shows everything with addresses under `base`."""

    base: str

    def _thing(self, kind: str, path: str, thing_id: str, summary: str, page: str = "") -> Json:
        html_url = f"{self.base}{page}" if page else None
        return {
            "id": thing_id,
            "type": kind,
            "summary": summary,
            "self": f"{self.base}/{path}/{thing_id}",
            "html_url": html_url,
        }

    def user(self, email: str) -> Json:
        return self._thing("user_reference", "users", pd_id("user", email), email)

    def service_reference(self, service: Service) -> Json:
        return self._thing("service_reference", "services", service.id, service.name, "/")

    def service(self, service: Service) -> Json:
        return self._thing("service", "services", service.id, service.name, "/") | {
            "name": service.name,
            "status": "active",
            "alert_creation": "create_alerts_and_incidents",
            "escalation_policy": self._escalation_policy(),
        }

    def _escalation_policy(self) -> Json:
        return self._thing("escalation_policy_reference", "escalation_policies", pd_id("policy"), "Default", "/")

    def priority(self, name: str) -> Json:
        thing = self._thing("priority", "priorities", pd_id("priority", name), name)
        return thing | {"name": name, "description": f"Priority {name}"}

    def incident(self, one: Incident) -> Json:
        summary = f"[#{one.number}] {one.title}"
        resolved = one.status == "resolved"
        # What the incident does not have is left out: the schema of 2026 allows no null there.
        maybe: Json = {"resolved_at": wire(one.status_at)} if resolved else {}
        if one.priority:
            maybe["priority"] = self.priority(one.priority)
        return maybe | {
            **self._thing("incident", "incidents", one.id, summary, f"/ui/incidents/{one.id}"),
            "incident_number": one.number,
            "title": one.title,
            "created_at": wire(one.created_at),
            "updated_at": wire(one.updated_at),
            "status": one.status,
            "incident_key": one.key,
            "service": self.service_reference(one.service),
            "assignments": [],
            "assigned_via": "escalation_policy",
            "last_status_change_at": wire(one.status_at),
            "first_trigger_log_entry": self._thing(
                "trigger_log_entry_reference", "log_entries", one.timeline[0].id, "Triggered through the API", "/"
            ),
            "alert_counts": {"all": 1, "triggered": int(not resolved), "resolved": int(resolved)},
            "is_mergeable": True,
            "escalation_policy": self._escalation_policy(),
            "teams": [],
            "pending_actions": [],
            "acknowledgements": [
                {"at": wire(one.status_at), "acknowledger": self.user(by)} for by in [one.acknowledged_by] if by
            ],
            "last_status_change_by": self.service_reference(one.service),
            "incidents_responders": [],
            "responder_requests": [],
            "urgency": one.urgency,
        }

    def alert(self, one: Incident) -> Json:
        payload = one.event.get("payload")
        details = payload.get("custom_details") if isinstance(payload, dict) else None
        status = "resolved" if one.status == "resolved" else "triggered"
        return {
            **self._thing("alert", f"incidents/{one.id}/alerts", one.alert_id, one.title, f"/ui/incidents/{one.id}"),
            "created_at": wire(one.created_at),
            "status": status,
            "alert_key": one.key,
            "service": self.service_reference(one.service),
            "body": {
                "type": "alert_body",
                "contexts": self._contexts(one),
                "details": details or {},
                "cef_details": payload or {},
            },
            "incident": {"id": one.id, "type": "incident_reference"},
            "suppressed": False,
            "severity": one.severity,
        }

    @staticmethod
    def _contexts(one: Incident) -> list[Json]:
        contexts: list[Json] = []
        for kind, address in (("links", "href"), ("images", "src")):
            given = one.event.get(kind)
            for context in given if isinstance(given, list) else []:
                contexts.append({"type": kind[:-1], **context, address: context[address]})
        return contexts

    def note(self, one: Note) -> Json:
        return {
            "id": one.id,
            "user": self.user(one.by),
            "channel": {"summary": "The PagerDuty website or APIs"},
            "content": one.content,
            "created_at": wire(one.at),
        }

    def entry(self, incident: Incident, one: Entry) -> Json:
        return {
            **self._thing(ENTRY_TYPES[one.kind], "log_entries", one.id, one.text or one.kind, "/"),
            "created_at": wire(one.at),
            "agent": self.user(one.by) if one.by else self.service_reference(incident.service),
            "channel": {"type": "api" if one.by else "events_api_v2"},
            "service": self.service_reference(incident.service),
            "incident": {"id": incident.id, "type": "incident_reference"},
            "teams": [],
        }

    def change(self, one: Change) -> Json:
        payload = one.event.get("payload")
        assert isinstance(payload, dict)
        return {
            **self._thing("change_event", "change_events", one.id, str(payload["summary"]), "/"),
            "timestamp": str(payload.get("timestamp") or wire(one.at)),
            "source": str(payload.get("source") or ""),
            "integration": {"id": pd_id("integration", one.service.id), "type": "inbound_integration_reference"},
            "services": [{"id": one.service.id, "type": "service_reference"}],
            "custom_details": payload.get("custom_details") or {},
            "links": one.event.get("links") or [],
            "images": one.event.get("images") or [],
        }
