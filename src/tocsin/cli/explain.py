"""Why would this message become that ticket? Every step of its decision and the reason, and nothing is kept or sent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from rich.console import Console
from rich.text import Text

from tocsin.cli._terminal import echo_json, pairs, screen
from tocsin.domain.errors import BadMapping, BadSetting, Unavailable

if TYPE_CHECKING:
    from tocsin.bootstrap import App
    from tocsin.domain.alert import Alert
    from tocsin.domain.catalog import Catalog
    from tocsin.domain.change import Change
    from tocsin.domain.incident import Incident
    from tocsin.domain.message import Hook, Message, Source
    from tocsin.domain.record import Record
    from tocsin.domain.subject import Subject
    from tocsin.store.replaying import Rehearsal

SECTION = "decide"
PATIENCE = 60
"""How often the decision is tried while a worker decides the same environment, a twentieth of a second apart."""


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


@click.command()
@click.argument("payload", metavar="PAYLOAD", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--hook", "hook_name", required=True, help="The hook that it would arrive on.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="An HTTP header; repeat for more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def explain(*, payload: Path, hook_name: str, headers: tuple[str, ...], as_json: bool) -> None:
    """Decide PAYLOAD (a webhook's body; - is standard input) for show, under the active mappings and the history.

    Uses the pipeline itself in a transaction that is rolled back: nothing is stored, queued or sent.
    """
    from tocsin.cli._connected import connected

    try:
        with click.open_file(str(payload), "rb") as file:
            body = file.read()
    except OSError as error:
        raise BadSetting(f"{payload}: cannot be read ({error.strerror}); name a file with a webhook's body") from None
    given = {name.lower(): value for name, value in pairs(headers, "--header").items()}
    with connected("data_key") as app:
        explained = rehearse(app, body, hook_name, given)
    if as_json:
        echo_json(explained)
    else:
        _print(explained, screen())


def rehearse(app: App, body: bytes, hook_name: str, headers: Mapping[str, str]) -> Explanation:
    """What the pipeline would make of a body that arrived now. Raises BadMapping for a hook that is not declared."""
    import uuid_utils.compat

    from tocsin.domain.message import Message
    from tocsin.sources import find
    from tocsin.store.replaying import rehearsal

    declared = app.active().mappings.hooks
    hook = declared.get(hook_name)
    if hook is None:
        names = ", ".join(sorted(declared)) or "none"
        raise BadMapping([f"no hook is named {hook_name}; the active mappings declare {names}"])
    source = find(hook.source)
    message = Message(
        id=uuid_utils.compat.uuid7(),
        hook=hook.name,
        source=hook.source,
        environment=hook.environment,
        received_at=app.database.now(),
        headers=headers,
        body=body,
    )
    _warm_up()
    with rehearsal(app.database) as stage:
        on_stage = copy(app)
        on_stage.database = stage
        stage.receive(message, app.seal)
        _decide(on_stage, stage)
        return _collect(app, stage, message, hook, source)


def _warm_up() -> None:
    """What takes seconds to import must not be imported while the rehearsal holds the environment's lock."""
    import tocsin.decide.attribute
    import tocsin.pipeline  # noqa: F401


def _decide(app: App, stage: Rehearsal) -> None:
    """The pipeline's own steps, for this message alone."""
    from tocsin import pipeline

    pipeline.understand(app)
    stage.leave_out_others()
    for environment in stage.waiting():
        for _ in range(PATIENCE):
            if pipeline.decide(app, environment):
                break
            time.sleep(0.05)
        else:
            raise Unavailable(f"a worker is deciding {environment} all the time; try again when it is calmer")
    for environment in pipeline.attribute(app):
        pipeline.decide(app, environment)


# ------------------------------------------------------------------------------------------------- what was decided


def _collect(app: App, stage: Rehearsal, message: Message, hook: Hook, source: Source) -> Explanation:
    from tocsin.domain.errors import BadPayload

    lines = stage.audit()
    understood = next(line for line in lines if line["action"] == "message.understood")
    try:
        said = source.normalize(message, hook)
        sender_id = source.message_id(message)
    except BadPayload:
        said, sender_id = None, ""
    mine = [line["incident_id"] for line in lines if line["incident_id"] and line["message_id"] == message.id]
    touched = list(dict.fromkeys(mine))
    incidents, records = stage.incidents(touched), stage.records(touched)
    active = app.active()
    return Explanation(
        message={
            "hook": hook.name,
            "source": hook.source,
            "environment": hook.environment,
            "declared": hook.origin,
            "mapping_version": active.version,
            "delivered_before": bool(sender_id) and stage.delivered_before(hook.name, sender_id),
        },
        verified=_verified(message, hook, source),
        understood={"outcome": understood["reason"], **understood["because"]},
        alerts=_alerts(message, lines, stage, incidents, said.alerts if said else (), active.mappings.catalog),
        changes=[_change(c, active.mappings.catalog) for c in said.changes] if said else [],
        record_updates=[_update(line, incidents) for line in lines if line["action"].startswith("record.")],
        incidents=[_incident(i, records.get(i.id, []), lines) for i in incidents.values()],
    )


def _verified(message: Message, hook: Hook, source: Source) -> dict[str, str]:
    if hook.unverified:
        return {"verdict": "not_asked", "reason": f"{hook.name} is declared unverified"}
    if not hook.secrets:
        return {"verdict": "skipped", "reason": "the hook's secret is not set here"}
    if not message.headers:
        return {"verdict": "skipped", "reason": "no --header is given, so the sender's proof is absent"}
    verdict = source.verify(message, hook.secrets)
    return {"verdict": verdict.verdict, "reason": verdict.reason}


def _alerts(
    message: Message,
    lines: list[dict[str, Any]],
    stage: Rehearsal,
    incidents: Mapping[UUID, Incident],
    sent: Sequence[Alert],
    catalog: Catalog,
) -> list[dict[str, Any]]:
    """One entry an alert of the message that was folded in: stored names are the catalogue's, `sent` the sender's."""
    raw = {alert.fingerprint: alert.subject for alert in sent}
    joined = {line["fingerprint"]: line for line in lines if line["action"] == "alert.joined"}
    folded = [line for line in lines if line["action"] == "alert.deduplicated" and line["message_id"] == message.id]
    states = stage.states([line["fingerprint"] for line in folded])
    found = []
    for line in folded:
        state = states[line["fingerprint"]]
        alert, join = state.alert, joined.get(line["fingerprint"])
        incident = incidents.get(line["incident_id"])
        sent_subject = raw.get(line["fingerprint"], alert.subject)
        found.append(
            {
                "name": alert.name,
                "subject": alert.subject,
                "sent_subject": sent_subject,
                "resolved_because": resolution(sent_subject, catalog),
                "symptom": alert.symptom,
                "severity": alert.severity,
                "status": alert.status,
                "summary": alert.summary,
                "transition": line["reason"],
                "occurrence": state.episode,
                "reports": state.reports,
                "incident": incident.display if incident else None,
                "joined": join["reason"] if join else "member_already" if incident else "no_incident",
                "joined_because": join["because"].get("why", "") if join else "",
            }
        )
    return found


def resolution(sent: Subject, catalog: Catalog) -> str:
    """Why the catalogue takes this subject of a sender for its own, in words."""
    known = catalog.resolve(sent)
    entry = catalog.entry(known)
    if entry is None:
        return "the catalogue does not know it"
    if known == sent:
        return f"it is in the catalogue ({entry.origin})" if entry.origin else "it is in the catalogue"
    if str(sent) in entry.aliases or sent.name in entry.aliases:
        return f"{sent.name} is an alias of {known} ({entry.origin})"
    return f"{known} has the same name ({entry.origin})"


def _change(change: Change, catalog: Catalog) -> dict[str, Any]:
    return {
        "id": change.id,
        "kind": change.kind,
        "subject": catalog.resolve(change.subject),
        "sent_subject": change.subject,
        "resolved_because": resolution(change.subject, catalog),
        "outcome": change.outcome,
        "version": change.version,
        "occurred_at": change.occurred_at,
    }


def _update(line: dict[str, Any], incidents: Mapping[UUID, Incident]) -> dict[str, Any]:
    incident = incidents.get(line["incident_id"])
    return {
        "action": line["action"],
        "reason": line["reason"],
        "actor": line["actor"],
        "incident": incident.display if incident else None,
        **line["because"],
    }


def _incident(incident: Incident, records: list[Record], lines: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [line for line in lines if line["incident_id"] == incident.id]
    verdicts = [line["because"] for line in mine if line["action"] == "incident.decided"]
    moved = {name for verdict in verdicts for name in verdict.get("records", [])}
    gate, routing, enrichment = incident.gate, incident.routing, incident.enrichment
    return {
        "display": incident.display,
        "opened": any(line["action"] == "alert.joined" and line["reason"] == "opened" for line in mine),
        "state": incident.state,
        "severity": incident.severity,
        "members": len(incident.members),
        "gate": gate,
        "attribution": _attribution(incident),
        "enrichment": enrichment
        and {
            "head": enrichment.head,
            "category": enrichment.category,
            "impact": enrichment.impact,
            "also_affected": [a.subject for a in enrichment.blast],
            "runbook": enrichment.runbook,
            "runbook_because": enrichment.runbook_why,
            "similar": [s.number for s in enrichment.similar],
            "advice": enrichment.advice,
        },
        "route": routing,
        "records": [_record(r) for r in records if f"{r.destination}/{r.generation}" in moved],
    }


def _attribution(incident: Incident) -> dict[str, Any] | None:
    scored = incident.attribution
    if scored is None:
        return None
    return {
        "candidates": scored.candidates,
        "no_known_change": round(scored.no_change, 4),
        "suspects": [
            {
                "change": s.change.id,
                "kind": s.change.kind,
                "subject": s.change.subject,
                "occurred_at": s.change.occurred_at,
                "probability": round(s.probability, 4),
                "band": s.band,
                "because": s.because,
                "against": s.against,
                "terms": {name: round(value, 3) for name, value in s.terms.items()},
            }
            for s in scored.suspects
        ],
    }


def _record(record: Record) -> dict[str, Any]:
    wanted = record.wanted
    return {
        "destination": record.destination,
        "kind": record.kind,
        "mode": record.mode,
        "generation": record.generation,
        "action": "update" if record.external_id or record.sent_version else "open",
        "number": record.number,
        "status": wanted.status,
        "team": wanted.team,
        "address": wanted.address,
        "impact": wanted.impact,
        "urgency": wanted.urgency,
        "title": wanted.title,
        "body": wanted.body,
    }


# ------------------------------------------------------------------------------------------------------- for people


def _print(explained: Explanation, console: Console) -> None:
    message, verified = explained.message, explained.verified
    _step(console, "received", f"hook {message['hook']} ({message['source']}, {message['environment']})")
    _why(console, f"declared in {message['declared']}; mappings version {message['mapping_version']}")
    if message["delivered_before"]:
        _why(console, "a delivery with the same id was understood before: the real one would be dropped as a duplicate")
    _step(console, "verified", verified["verdict"].replace("_", " "))
    _why(console, verified["reason"])
    said = explained.understood
    counts = f"{len(explained.alerts)} alerts, {len(explained.changes)} changes, {len(explained.record_updates)} updates"
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
    _step(console, "incident", f"{incident['display']} ({new}, {incident['state']}), {incident['members']} alerts")
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
        _step(console, "routed", f"{route.want} for {route.ownership.team}, to {', '.join(route.destinations) or 'nobody'}")
        _why(console, f"{route.because}" + (f" ({route.origin})" if route.origin else ""))
        _why(console, route.ownership.why + (f" ({route.ownership.where})" if route.ownership.where else ""))
    for record in incident["records"]:
        number = f" {record['number']}" if record["number"] else ""
        _step(console, "record", f"{record['action']}{number} at {record['destination']} ({record['kind']}, {record['mode']})")
        console.print(Text(f"{record['title']}\n\n{record['body']}"), style="bold" if record["action"] == "open" else "")


def _print_causes(console: Console, scored: dict[str, Any] | None) -> None:
    if scored is None:
        _step(console, "attributed", "not scored")
        return
    words = f"{scored['candidates']} candidate changes, {scored['no_known_change']:.0%} that no known change explains it"
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
    from tocsin.decide.redact import clean

    console.print(Text(f"{name:<13}", style="bold cyan") + Text(clean(words, 300)))


def _why(console: Console, words: str) -> None:
    from tocsin.decide.redact import clean

    if words:
        console.print(Text(f"{'':<13}{clean(words, 400)}", style="dim"))
