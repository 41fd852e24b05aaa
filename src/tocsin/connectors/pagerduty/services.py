"""Where does each routing key lead, is that service awake, and is somebody on call for it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.connectors._http import Failure
from tocsin.connectors._inspect import Look, by_value, error, note, ok, some, used_by, warning
from tocsin.connectors.pagerduty.config import Config
from tocsin.connectors.pagerduty.rest import Rest, Row
from tocsin.domain.seen import Finding, Inspection

EVENTS_V2 = "events_api_v2_inbound_integration"


def services(config: Config, inspection: Inspection, look: Look, keys: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each key, and one for each escalation policy at which nobody is on call."""
    rows = Rest(config, look.attempt()).every("/services", "services", (("include[]", "integrations"),))
    if isinstance(rows, Failure):
        yield note("routing_keys", some(sorted(keys)), f"Services are not visible to this token: {rows.detail}")
        return
    led = _led(rows)
    if not led:
        says = "The services show no integration keys to this token, so routing keys were not matched"
        yield note("routing_keys", some(sorted(keys)), says)
        return
    orchestrated = _orchestrated(config, look) if set(keys.values()) - set(led) else {}
    users = by_value(inspection.addresses, "routing_key")
    paging: dict[str, list[str]] = {}
    for name, key in keys.items():
        who = used_by(inspection, users.get(name, [])) or name
        if key in led:
            service, integration = led[key]
            yield _judged(name, who, service, integration)
            policy = service.get("escalation_policy") or {}
            if policy.get("id"):
                paging.setdefault(str(policy["id"]), []).append(f"{service.get('name')} ({name})")
        elif key in orchestrated:
            yield ok("routing_key", name, f"Leads into the event orchestration {orchestrated[key]}")
        else:
            remedy = "copy the Integration Key of the right service's Events API v2 integration"
            says = f"No service or orchestration that this token sees has this key: nobody may be paged. Used by {who}"
            yield error("routing_key", name, says, remedy)
    yield from _on_call(config, look, paging)


def _led(rows: list[Row]) -> dict[str, tuple[Row, Row]]:
    """Integration key → (service, integration)."""
    return {
        str(integration["integration_key"]): (service, integration)
        for service in rows
        for integration in service.get("integrations") or []
        if isinstance(integration, dict) and integration.get("integration_key")
    }


def _judged(name: str, who: str, service: Row, integration: Row) -> Finding:
    title = str(service.get("name") or service.get("summary"))
    status = str(service.get("status") or "active")
    if status == "disabled":
        says = f"Leads to service {title}, which is disabled: pages are dropped. Used by {who}"
        return error("routing_key", name, says, "enable the service, or name another")
    if integration.get("type") != EVENTS_V2:
        says = f"Leads to service {title}, but its integration is {integration.get('type')}, not Events API v2"
        return error("routing_key", name, says, "add an Events API v2 integration, use its key")
    if status == "maintenance":
        return warning(
            "routing_key", name, f"Service {title} is in maintenance: it pages nobody now", "wait, or end it"
        )
    return ok("routing_key", name, f"Leads to service {title}")


def _orchestrated(config: Config, look: Look) -> dict[str, str]:
    """Routing key → the event orchestration that it leads into, as far as the token may see them."""
    rows = Rest(config, look.attempt()).every("/event_orchestrations", "orchestrations", ())
    found: dict[str, str] = {}
    for row in [] if isinstance(rows, Failure) else rows:
        for integration in row.get("integrations") or []:
            key = _routing_key(integration)
            if key:
                found[key] = str(row.get("name", ""))
    return found


def _routing_key(integration: Any) -> str:  # noqa: ANN401  # the vendor's JSON
    parameters = integration.get("parameters") if isinstance(integration, dict) else None
    return str(parameters.get("routing_key") or "") if isinstance(parameters, dict) else ""


def _on_call(config: Config, look: Look, paging: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Somebody must stand at the first step of each escalation policy."""
    if not paging:
        return
    asked = (*(("escalation_policy_ids[]", policy) for policy in paging), ("earliest", "true"))
    rows = Rest(config, look.attempt()).every("/oncalls", "oncalls", asked)
    if isinstance(rows, Failure):
        yield note("on_call", says=f"Who is on call is not visible to this token: {rows.detail}")
        return
    reached = {str((row.get("escalation_policy") or {}).get("id")) for row in rows if row.get("user")}
    for policy, leading in paging.items():
        if policy not in reached:
            says = f"Nobody is on call there now: pages of {some(leading)} reach no one"
            yield error("on_call", policy, says, "fill the schedule of its escalation policy")
    if set(paging) <= reached:
        yield ok("on_call", f"{len(paging)} escalation policies", "Somebody is on call at each")
