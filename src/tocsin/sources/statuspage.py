"""What does an Atlassian status page say? Incidents and component states are alerts, maintenance is a change.

One body holds `incident` or `component` with `component_update`; nothing names its kind. Nothing is signed, and the
page's own name is only found in its addresses. https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from tocsin.domain.alert import Alert, Resolves, Severity, Status, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import Fields, alert, change, fields_of, symptom_of_service
from tocsin.sources._json import text
from tocsin.sources._verify import shared_secret

NAME = "statuspage"

IMPACTS = {
    "critical": Severity.CRITICAL,
    "major": Severity.ERROR,
    "minor": Severity.WARNING,
    "none": Severity.INFO,
}
OPEN = frozenset({"investigating", "identified", "monitoring"})
"""While `monitoring` a fix is in place but the page does not call it over."""

MAINTENANCE = {
    "scheduled": ChangeOutcome.UNKNOWN,
    "in_progress": ChangeOutcome.RUNNING,
    "verifying": ChangeOutcome.RUNNING,
    "completed": ChangeOutcome.SUCCESS,
}

COMPONENTS = {
    "operational": None,
    "degraded_performance": Severity.WARNING,
    "partial_outage": Severity.ERROR,
    "major_outage": Severity.CRITICAL,
    "under_maintenance": None,
}
"""component.status → how bad; None is no symptom."""


def normalize(message: Message, hook: Hook) -> Normalized:
    """An incident's state, a component's state, or a maintenance. Raises BadPayload for a body with none of them."""
    body = fields_of(message)
    if "incident" in body:
        return _incident(body, message, hook)
    if "component_update" in body or "component" in body:
        return _component(body, message, hook)
    raise BadPayload("neither incident nor component_update is there", path="incident")


def _page(body: Fields) -> str:
    """The page's name: its own, else the host of its addresses without Atlassian's domain."""
    page, meta = body.inner("page"), body.inner("meta")
    if name := page.text("name"):
        return name
    for address in (page.text("url"), meta.text("unsubscribe")):
        try:
            host = urlsplit(address).hostname or ""
        except ValueError:
            host = ""
        if host:
            return host.removesuffix(".statuspage.io")
    return page.text("id")


def _incident(body: Fields, message: Message, hook: Hook) -> Normalized:
    incident = body.need_inner("incident")
    status = incident.need("status").lower()
    scheduled = status in MAINTENANCE or _impact(incident) == "maintenance" or incident.text("scheduled_for")
    if status == "postmortem":
        return Normalized(ignored="postmortem published: the incident had ended before")
    if scheduled:
        return Normalized(changes=(_maintenance(body, incident, status, message, hook),))
    if status not in OPEN and status != "resolved":
        raise BadPayload(f"{status[:40]!r} is no state of an incident", path="incident.status")
    name, key = incident.need("name"), incident.need("id")
    affected = _affected(incident)
    updates = incident.each("incident_updates")
    words = updates[0].text("body") if updates else ""
    over = status == "resolved"
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("service", affected[0] if affected else _page(body) or name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=IMPACTS.get(_impact(incident), Severity.WARNING),
        summary=f"{name}: {status}",
        description=words,
        symptom=symptom_of_service(name, *(update.text("body") for update in updates[-1:])),
        starts_at=_began(incident, updates, over),
        ends_at=incident.time("resolved_at", "updated_at") if over else None,
        labels={"page": _page(body), "components": ", ".join(affected), "incident_status": status},
        links={"incident": incident.text("shortlink")},
        sender_key=key,
        known_by=f"incident:{key}",
    )
    return Normalized(alerts=(told,))


def _began(incident: Fields, updates: list[Fields], over: bool) -> datetime | None:
    """An incident that goes on after it was resolved keeps its first start, which lies before its end: then the newest
    update is the start. Updates come newest first."""
    if not over and any(update.text("status").lower() == "resolved" for update in updates[1:]):
        return updates[0].time("created_at", "display_at")
    return incident.time("started_at", "created_at")


def _impact(incident: Fields) -> str:
    """Its word `none` is a value here, which Fields.text takes for nothing."""
    return text(incident.data.get("impact_override") or incident.data.get("impact")).lower()


def _affected(incident: Fields) -> list[str]:
    """Names of the components, those of the incident itself before those that only its updates name."""
    named = [component.text("name") for component in incident.each("components")]
    for update in incident.each("incident_updates"):
        named += [component.text("name") for component in update.each("affected_components")]
    return list(dict.fromkeys(name for name in named if name))


def _maintenance(body: Fields, incident: Fields, status: str, message: Message, hook: Hook) -> Change:
    name, affected = incident.need("name"), _affected(incident)
    done = status in ("completed", "resolved")
    subjects = [Subject.of("service", component) for component in affected]
    return change(
        message,
        hook,
        source=NAME,
        id=f"maintenance:{incident.need('id')}",
        kind=ChangeKind.CHANGE_REQUEST,
        subject=subjects[0] if subjects else Subject.of("service", _page(body) or name),
        occurred_at=incident.time("scheduled_for", "started_at", "created_at"),
        finished_at=incident.time("resolved_at", "updated_at") if done else None,
        outcome=ChangeOutcome.SUCCESS if done else MAINTENANCE.get(status, ChangeOutcome.UNKNOWN),
        url=incident.text("shortlink"),
        summary=f"Maintenance {status.replace('_', ' ')}: {name}",
        touches=subjects[1:],
        labels={"page": _page(body), "planned_end": incident.text("scheduled_until"), "incident_status": status},
    )


def _component(body: Fields, message: Message, hook: Hook) -> Normalized:
    component, update = body.need_inner("component"), body.inner("component_update")
    name = component.need("name")
    now = (update.text("new_status") or component.need("status")).lower()
    before = update.text("old_status").lower()
    if now not in COMPONENTS:
        raise BadPayload(f"{now[:40]!r} is no state of a component", path="component_update.new_status")
    at = update.time("created_at") or component.time("updated_at")
    if now == "under_maintenance":
        started = change(
            message,
            hook,
            source=NAME,
            id=f"component:{component.text('id') or name}:{update.text('id') or now}",
            kind=ChangeKind.CHANGE_REQUEST,
            subject=Subject.of("service", name),
            occurred_at=at,
            outcome=ChangeOutcome.RUNNING,
            summary=f"{name} is under maintenance",
            labels={"page": _page(body), "component": name},
        )
        ends = COMPONENTS.get(before) is not None
        alerts = (_state(body, component, now, message, hook),) if ends else ()
        return Normalized(alerts=alerts, changes=(started,))
    if now == "operational" and before == "under_maintenance":
        return Normalized(ignored="component back from maintenance: it had no symptom")
    return Normalized(alerts=(_state(body, component, now, message, hook),))


def _state(body: Fields, component: Fields, now: str, message: Message, hook: Hook) -> Alert:
    update, name = body.inner("component_update"), component.need("name")
    over = now in ("operational", "under_maintenance")
    at = update.time("created_at") or component.time("updated_at")
    key = component.text("id") or name
    return alert(
        message,
        hook,
        source=NAME,
        name="component status",
        subject=Subject.of("service", name),
        status=Status.RESOLVED if over else Status.FIRING,
        severity=COMPONENTS[now] or Severity.INFO,
        summary=f"{name}: {now.replace('_', ' ')}",
        description=component.text("description"),
        symptom=Symptom.LATENCY if now == "degraded_performance" else Symptom.AVAILABILITY,
        starts_at=None if over else at,
        ends_at=at,
        labels={"page": _page(body), "component": name, "was": update.text("old_status")},
        sender_key=key,
        known_by=f"component:{key}",
    )


SOURCE = Source(
    name=NAME,
    title="Atlassian Statuspage",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("atlassian_statuspage", "statuspageio"),
    ignores=("published postmortems", "components that come back from maintenance"),
    setup="""\
On the status page (your own or a provider's): Subscribe to updates → Webhook, endpoint `{url}?token={secret}`.
Statuspage signs nothing and sets no headers, so the secret stands in the address.

- An incident is one alert from `investigating` to `resolved`, known by its id; a component's state is one alert of its
  own. Scheduled maintenance is a planned change, not an alert.
- For a provider's page put `provider: openai` into the hook's `defaults`; then every alert is about that provider and
  the component is its resource. Without it the first affected component is the subject, as a service.
""",
)
