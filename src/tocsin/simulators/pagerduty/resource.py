"""How PagerDuty's REST API shows its things (rest.openapi.json: Incident, Alert, IncidentNote, ChangeEvent, …)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.simulators.answers import Json
from tocsin.simulators.pagerduty.account import Account
from tocsin.simulators.pagerduty.things import Alert, Change, Entry, Incident, Note, Service, User, pd_id

INTEGRATION = "events_api_v2_inbound_integration"

ENTRY_TYPES = {
    "trigger": "trigger_log_entry",
    "acknowledge": "acknowledge_log_entry",
    "unacknowledge": "unacknowledge_log_entry",
    "resolve": "resolve_log_entry",
    "reopen": "reopen_log_entry",
    "annotate": "annotate_log_entry",
    "priority_change": "priority_change_log_entry",
    "assign": "assign_log_entry",
    "merge": "merge_log_entry",
    "retitle": "field_value_change_log_entry",
}


def wire(at: datetime) -> str:
    """A moment as the API writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Resources:
    """Shows an account's things with addresses under `base`."""

    account: Account
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
        """A reference to the user with this e-mail."""
        user = self.account.users.get(email.lower()) or User(id=pd_id("user", email), name=email, email=email)
        return self._thing("user_reference", "users", user.id, user.name, "/")

    def whole_user(self, user: User) -> Json:
        return self._thing("user", "users", user.id, user.name, "/") | {
            "name": user.name,
            "email": user.email,
            "time_zone": "Etc/UTC",
            "color": "green",
            "role": "user",
            "description": None,
            "invitation_sent": False,
            "contact_methods": [],
            "notification_rules": [],
            "teams": [],
        }

    def agent(self, by: str, service: Service) -> Json:
        """Who did it: a user, or the service whose event it was."""
        return self.user(by) if by else self.service_reference(service)

    def service_reference(self, service: Service) -> Json:
        return self._thing("service_reference", "services", service.id, service.name, "/")

    def service(self, service: Service, *, integrations: bool = False) -> Json:
        """`integrations`: whole ones with their keys, as `include[]=integrations` asks; else references."""
        integration = self.integration(service)
        if not integrations:
            integration = {**integration, "type": f"{integration['type']}_reference"}
            integration = {name: integration[name] for name in ("id", "type", "summary", "self", "html_url")}
        return self._thing("service", "services", service.id, service.name, "/") | {
            "name": service.name,
            "status": service.status,
            "created_at": wire(self.account.clock()),
            "alert_creation": "create_alerts_and_incidents",
            "escalation_policy": self.escalation_policy(service),
            "integrations": [integration],
            "teams": [],
        }

    def integration(self, service: Service) -> Json:
        """The Events API v2 integration of a service."""
        path = f"services/{service.id}/integrations"
        thing = self._thing(INTEGRATION, path, pd_id("integration", service.id), "Events API v2", "/")
        return thing | {
            "name": "Events API v2",
            "integration_key": service.routing_key,
            "service": self.service_reference(service),
        }

    def escalation_policy(self, service: Service) -> Json:
        """The policy of a service, as a reference."""
        policy = pd_id("policy", service.name)
        return self._thing("escalation_policy_reference", "escalation_policies", policy, service.name, "/")

    def on_call(self, service: Service) -> Json:
        """Who is called first for a service: the account's owner, around the clock."""
        return {
            "user": self.user(self.account.owner.email),
            "escalation_policy": self.escalation_policy(service),
            "escalation_level": 1,
        }

    def priority(self, name: str) -> Json:
        thing = self._thing("priority", "priorities", pd_id("priority", name), name)
        return thing | {"name": name, "description": f"Priority {name}"}

    def incident(self, one: Incident) -> Json:
        """An incident as lists and details show it."""
        summary = f"[#{one.number}] {one.title}"
        alerts = self.account.alerts_of(one)
        still = sum(alert.open for alert in alerts)
        return self._incident_ends(one) | {
            **self._thing("incident", "incidents", one.id, summary, f"/ui/incidents/{one.id}"),
            "incident_number": one.number,
            "title": one.title,
            "created_at": wire(one.created_at),
            "updated_at": wire(one.updated_at),
            "status": one.status,
            "service": self.service_reference(one.service),
            "assignments": [{"at": wire(one.created_at), "assignee": self.user(who)} for who in self._held_by(one)],
            "assigned_via": "escalation_policy",
            # Of a triggered incident this is when it was updated (schema of Incident).
            "last_status_change_at": wire(one.updated_at if one.status == "triggered" else one.status_at),
            "last_status_change_by": self.agent(one.status_by, one.service),
            "first_trigger_log_entry": self._thing(
                "trigger_log_entry_reference", "log_entries", one.timeline[0].id, "Triggered through the API", "/"
            ),
            "alert_counts": {"all": len(alerts), "triggered": still, "resolved": len(alerts) - still},
            "is_mergeable": True,
            "escalation_policy": self.escalation_policy(one.service),
            "teams": [],
            "pending_actions": [],
            "acknowledgements": [
                {"at": wire(one.status_at), "acknowledger": self.agent(one.status_by, one.service)}
                for _by in [one.acknowledged_by]
                if _by
            ],
            "incidents_responders": [],
            "responder_requests": [],
            "urgency": one.urgency,
        }

    def _incident_ends(self, one: Incident) -> Json:
        """What an incident does not have is left out: the schema of 2026 allows no null there."""
        ends: Json = {}
        if self.account.incident_keys or not one.alert_id:
            ends["incident_key"] = one.key
        if not one.open:
            ends["resolved_at"] = wire(one.status_at)
        if one.priority:
            ends["priority"] = self.priority(one.priority)
        if one.merged_into:
            ends["resolve_reason"] = self.merge_reason(one)
        return ends

    def merge_reason(self, one: Incident) -> Json:
        """Why a merged incident ended."""
        return {"type": "merge_resolve_reason", "incident": self.reference(one.merged_into)}

    def reference(self, incident_id: str) -> Json:
        """A reference to an incident."""
        one = self.account.incident(incident_id)
        summary = f"[#{one.number}] {one.title}" if one else ""
        return self._thing("incident_reference", "incidents", incident_id, summary, f"/ui/incidents/{incident_id}")

    def _held_by(self, one: Incident) -> list[str]:
        return one.assignees if one.open else []

    def alert(self, one: Alert) -> Json:
        payload = one.event.get("payload")
        details = payload.get("custom_details") if isinstance(payload, dict) else None
        page = f"/ui/incidents/{one.incident_id}"
        return {
            **self._thing("alert", f"incidents/{one.incident_id}/alerts", one.id, one.title, page),
            "created_at": wire(one.created_at),
            "status": one.status,
            "alert_key": one.key,
            "service": self.service_reference(one.service),
            "body": {
                "type": "alert_body",
                "contexts": self._contexts(one.event),
                "details": details or {},
                "cef_details": payload or {},
            },
            "incident": {"id": one.incident_id, "type": "incident_reference"},
            "suppressed": False,
            "severity": one.severity,
        }

    @staticmethod
    def _contexts(event: Json) -> list[Json]:
        contexts: list[Json] = []
        for kind, address in (("links", "href"), ("images", "src")):
            given = event.get(kind)
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

    def entry(self, incident: Incident, one: Entry, *, whole: bool = False) -> Json:
        """A line of a timeline; `whole`: with its incident, as `include[]=incidents` asks."""
        shown: Json = {
            **self._thing(ENTRY_TYPES[one.kind], "log_entries", one.id, one.text or one.kind, "/"),
            "created_at": wire(one.at),
            "agent": self.agent(one.by, incident.service),
            "channel": {"type": "api" if one.by else "events_api_v2"},
            "service": self.service_reference(incident.service),
            "incident": self.incident(incident) if whole else self.reference(incident.id),
            "teams": [],
        }
        if one.kind == "annotate":
            shown["channel"] = {"type": "note", "summary": one.text}
        if one.kind == "assign":
            shown["assignees"] = [self.user(email) for email in one.text.split(", ")]
        return shown

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
