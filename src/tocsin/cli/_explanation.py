"""Every step of one message's decision, as values and as lines for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from tocsin.decide.redact import clean
from tocsin.decide.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Every step of one message's decision, in JSON's values."""

    message: dict[str, Any]
    verified: dict[str, str]
    understood: dict[str, Any]
    alerts: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    record_updates: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)


def show(explained: Explanation, console: Console) -> None:
    """Print it, a step a line, each reason below."""
    message, verified = explained.message, explained.verified
    _step(console, "received", f"hook {message['hook']} ({message['source']}, {message['environment']})")
    _why(console, f"declared in {message['declared']}; mappings version {message['mapping_version']}")
    if message["delivered_before"]:
        _why(console, "a delivery with the same id was understood before: the real one would be dropped as a duplicate")
    _step(console, "verified", verified["verdict"].replace("_", " "))
    _why(console, verified["reason"])
    said = explained.understood
    counts = (
        f"{len(explained.alerts)} alerts, {len(explained.changes)} changes, {len(explained.record_updates)} updates"
    )
    _step(console, "normalized", f"{said['outcome']}: {counts}")
    _why(console, said.get("why", ""))
    for change in explained.changes:
        _step(console, "change", f"{change['kind']} {change['subject']} {change['version']} ({change['outcome']})")
        _resolved(console, change)
    for update in explained.record_updates:
        _step(console, "record", f"{update['action']} by {update['actor']}: {update['reason'].replace('_', ' ')}")
    for alert in explained.alerts:
        _print_alert(console, alert)
    for incident in explained.incidents:
        _print_incident(console, incident)
    console.print("Nothing was stored or sent.", style="dim")


def _print_alert(console: Console, alert: dict[str, Any]) -> None:
    _step(console, "alert", f"{alert['name']} on {alert['subject']} ({alert['symptom']}, {alert['severity']})")
    _resolved(console, alert)
    _step(console, "deduplicated", f"{alert['transition'].replace('_', ' ')}, occurrence {alert['occurrence']}")
    where = f"into {alert['incident']}" if alert["incident"] else "no incident"
    _step(console, "grouped", f"{alert['joined'].replace('_', ' ')}: {where}")
    _why(console, alert["joined_because"])


def _print_incident(console: Console, incident: dict[str, Any]) -> None:
    console.print()
    new = "new" if incident["opened"] else "known"
    members = counted(incident["members"], "alert")
    _step(console, "incident", f"{incident['display']} ({new}, {incident['state']}), {members}")
    if gate := incident["gate"]:
        _step(console, "gate", gate.state + (f" until {gate.until:%Y-%m-%d %H:%M:%SZ}" if gate.until else ""))
        _why(console, gate.because or gate.reason.replace("_", " "))
    _print_causes(console, incident["attribution"])
    if enriched := incident["enrichment"]:
        _step(console, "enriched", f"about {enriched['head']} ({enriched['category']}): {enriched['impact']}")
        _why(console, f"also affected: {', '.join(enriched['also_affected']) or 'nothing'}")
        _why(console, f"runbook: {enriched['runbook'] or 'none'}")
        for advice in enriched["advice"]:
            _why(console, f"advice {advice.kind}: {advice.text} Because {advice.because}")
    if route := incident["route"]:
        _step(
            console,
            "routed",
            f"{route.want} for {route.ownership.team}, to {', '.join(route.destinations) or 'nobody'}",
        )
        _why(console, f"{route.because}" + (f" ({route.origin})" if route.origin else ""))
        _why(console, route.ownership.why + (f" ({route.ownership.where})" if route.ownership.where else ""))
    if not incident["records"]:
        _step(console, "record", "nothing is opened or updated")
    for record in incident["records"]:
        number = f" {record['number']}" if record["number"] else ""
        _step(
            console,
            "record",
            f"{record['action']}{number} at {record['destination']} ({record['kind']}, {record['mode']})",
        )
        console.print(
            Text(f"{record['title']}\n\n{record['body']}"), style="bold" if record["action"] == "open" else ""
        )


def _print_causes(console: Console, scored: dict[str, Any] | None) -> None:
    if scored is None:
        _step(console, "attributed", "not scored")
        return
    words = (
        f"{scored['candidates']} candidate changes, {scored['no_known_change']:.0%} that no known change explains it"
    )
    _step(console, "attributed", words)
    for suspect in scored["suspects"]:
        _why(console, f"{suspect['probability']:.0%} {suspect['kind']} {suspect['subject']} ({suspect['change']})")
        for reason in suspect["because"]:
            _why(console, f"  for: {reason}")
        for reason in suspect["against"]:
            _why(console, f"  against: {reason}")


def _resolved(console: Console, told: dict[str, Any]) -> None:
    _why(console, f"{told['sent_subject']} → {told['subject']}: {told['resolved_because']}")


def _step(console: Console, name: str, words: str) -> None:
    console.print(Text(f"{name:<13}", style="bold cyan") + Text(clean(words, 300)))


def _why(console: Console, words: str) -> None:
    if words:
        console.print(Text(f"{'':<13}{clean(words, 400)}", style="dim"))
