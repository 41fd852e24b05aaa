"""Why would this message become that ticket? Every step of its decision and the reason, and nothing is kept or sent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from tocsin.cli._explanation import Explanation, show
from tocsin.cli._terminal import echo_json, pairs, screen
from tocsin.domain.errors import BadMapping, BadSetting, Unavailable

if TYPE_CHECKING:
    from tocsin.bootstrap import App
    from tocsin.domain.alert import Alert, AlertState
    from tocsin.domain.catalog import Catalog
    from tocsin.domain.change import Change
    from tocsin.domain.incident import Incident
    from tocsin.domain.message import Hook, Message, Source
    from tocsin.domain.record import Record
    from tocsin.domain.subject import Subject
    from tocsin.store.rehearsing import Rehearsal

SECTION = "decide"
JOINED = "alert.joined"
FOLDED = (JOINED, "alert.deduplicated")
PATIENCE = 60
"""How often the decision is tried while a worker decides the same environment, a twentieth of a second apart."""


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
        show(explained, screen())


def rehearse(app: App, body: bytes, hook_name: str, headers: Mapping[str, str]) -> Explanation:
    """What the pipeline would make of a body that arrived now. Raises BadMapping for a hook that is not declared."""
    import uuid_utils.compat

    from tocsin.domain.message import Message
    from tocsin.sources import of
    from tocsin.store.rehearsing import rehearsal

    declared = app.active().mappings.hooks
    hook = declared.get(hook_name)
    if hook is None:
        names = ", ".join(sorted(declared)) or "none"
        raise BadMapping([f"no hook is named {hook_name}; the active mappings declare {names}"])
    source = of(hook)
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
    stage.score_at_once()
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
        alerts=_alerts(
            lines,
            stage,
            message=message,
            incidents=incidents,
            sent=said.alerts if said else (),
            catalog=active.mappings.catalog,
        ),
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
    lines: list[dict[str, Any]],
    stage: Rehearsal,
    *,
    message: Message,
    incidents: Mapping[UUID, Incident],
    sent: Sequence[Alert],
    catalog: Catalog,
) -> list[dict[str, Any]]:
    """One entry an alert of the message that was folded in: stored names are the catalogue's, `sent` the sender's."""
    raw = {alert.fingerprint: alert.subject for alert in sent}
    folded = [line for line in lines if line["action"] in FOLDED and line["message_id"] == message.id]
    states = stage.states([line["fingerprint"] for line in folded])
    return [
        _alert(
            line, states[line["fingerprint"]], incidents.get(line["incident_id"]), raw.get(line["fingerprint"]), catalog
        )
        for line in folded
    ]


def _alert(
    line: dict[str, Any], state: AlertState, incident: Incident | None, sent: Subject | None, catalog: Catalog
) -> dict[str, Any]:
    alert = state.alert
    transition, joined, because = line["reason"], "member_already" if incident else "no_incident", ""
    if line["action"] == JOINED:  # its why begins with the transition
        joined, (transition, _, because) = line["reason"], line["because"].get("why", "").partition(": ")
    return {
        "name": alert.name,
        "subject": alert.subject,
        "sent_subject": sent or alert.subject,
        "resolved_because": resolution(sent or alert.subject, catalog),
        "symptom": alert.symptom,
        "severity": alert.severity,
        "status": alert.status,
        "summary": alert.summary,
        "transition": transition,
        "occurrence": state.episode,
        "reports": state.reports,
        "incident": incident.display if incident else None,
        "joined": joined,
        "joined_because": because,
    }


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
        "opened": any(line["action"] == JOINED and line["reason"] == "opened" for line in mine),
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
