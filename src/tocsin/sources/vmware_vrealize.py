"""Which alert of VMware Aria Operations (vRealize Operations) began or was cancelled?

The REST notification plug-in posts a new alert and puts its updates; `cancelDate` is filled in even while it is active.
https://docs.vmware.com/en/vRealize-Operations-Manager/8.1/ (Add a REST Plug-In)
"""

from __future__ import annotations

from tocsin.domain.alert import Resolves, Severity, Status, Symptom
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message, Normalized, Source
from tocsin.domain.subject import Subject
from tocsin.sources._flat import alert, fields_of, symptom_of_service
from tocsin.sources._verify import shared_secret

NAME = "vmware_vrealize"

CRITICALITIES = {
    "CRITICAL": Severity.CRITICAL,
    "IMMEDIATE": Severity.ERROR,
    "WARNING": Severity.WARNING,
    "INFO": Severity.INFO,
    "INFORMATION": Severity.INFO,
    "AUTO": Severity.WARNING,
    "UNKNOWN": Severity.WARNING,
    "NONE": Severity.INFO,
}
"""ALERT_CRITICALITY_LEVEL_…; AUTO is worked out from the symptoms and not told."""

STATES = {
    "ACTIVE": Status.FIRING,
    "NEW": Status.FIRING,
    "OPEN": Status.FIRING,
    "UPDATED": Status.FIRING,
    "CANCELED": Status.RESOLVED,
    "CANCELLED": Status.RESOLVED,
    "INACTIVE": Status.RESOLVED,
}
SYMPTOMS = {
    "AVAILABILITY": Symptom.AVAILABILITY,
    "PERFORMANCE": Symptom.LATENCY,
    "CAPACITY": Symptom.SATURATION,
    "COMPLIANCE": Symptom.AVAILABILITY,
    "CONFIGURATION": Symptom.AVAILABILITY,
}
"""ALERT_SUBTYPE_…_PROBLEM; a word in the name says more than COMPLIANCE and CONFIGURATION."""

HOSTS = frozenset({"hostsystem", "virtualmachine", "vm", "host", "physicalserver"})


def normalize(message: Message, hook: Hook) -> Normalized:
    """The alert's state. Raises BadPayload without id, object or a known status."""
    body = fields_of(message)
    word = body.need("status").upper().removeprefix("ALERT_STATUS_")
    if word not in STATES:
        raise BadPayload(f"{word[:40]!r} is no status of an alert", path="status")
    status, key = STATES[word], body.need("alertId")
    kind = body.text("subType").upper().removeprefix("ALERT_SUBTYPE_").removesuffix("_PROBLEM")
    what = body.text("resourceName", "resourceId") or body.need("resourceName")
    resource_kind = body.text("resourceKind")
    name = body.text("alertName", "alertDefinitionName") or body.text("info") or f"{kind.lower()} problem".strip()
    symptom = SYMPTOMS.get(kind)
    told = alert(
        message,
        hook,
        source=NAME,
        name=name,
        subject=Subject.of("host" if resource_kind.lower() in HOSTS else "service", what),
        status=status,
        severity=CRITICALITIES.get(
            body.text("criticality").upper().removeprefix("ALERT_CRITICALITY_LEVEL_"), Severity.WARNING
        ),
        summary=f"{name} on {what}",
        description=body.text("info"),
        symptom=symptom_of_service(name) if symptom is None or kind in ("COMPLIANCE", "CONFIGURATION") else symptom,
        starts_at=body.time("startDate"),
        ends_at=body.time("cancelDate", "updateDate"),
        labels={
            "resource_kind": resource_kind,
            "adapter_kind": body.text("adapterKind"),
            "type": body.text("type"),
            "subtype": body.text("subType"),
            "health": body.text("Health"),
            "risk": body.text("Risk"),
            "efficiency": body.text("Efficiency"),
        },
        sender_key=key,
    )
    return Normalized(alerts=(told,))


SOURCE = Source(
    name=NAME,
    title="VMware Aria Operations (vRealize Operations)",
    verify=shared_secret,
    normalize=normalize,
    resolves=Resolves.SENDER,
    aliases=("vrealize", "aria_operations"),
    setup="""\
Management → Outbound Settings → Add → **Rest Notification plug-in**: URL `{url}`, content type `application/json`, user
`tocsin`, password `{secret}`; then a notification rule that uses it and also sends *canceled* alerts. Virtual machines
and ESXi hosts are hosts; any other object is a service of its name, which the catalogue may resolve.
""",
)
