"""One incident, by what its members say now: open or over, muted or not, explained, routed, recorded where?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tocsin.decide.compose import headline
from tocsin.decide.enrich import enrich
from tocsin.decide.fold import all_ended
from tocsin.decide.hands import held, owned
from tocsin.decide.merging import asked_again, family_of
from tocsin.decide.plan import Desk, Planned, plan
from tocsin.decide.planned import with_approved
from tocsin.decide.route import route
from tocsin.decide.suppress import gate
from tocsin.domain.audit import AuditEntry
from tocsin.domain.change import Change
from tocsin.domain.family import Kin
from tocsin.domain.incident import Attribution, GateState, Incident, IncidentState, Similar
from tocsin.domain.policy import Policy
from tocsin.domain.record import Record

NEWS = 0.05
"""A probability that moves less is not worth a new decision (hysteresis, correlation.md §2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The decided incident, what to record, and when to ask again without any new message."""

    incident: Incident
    title: str
    planned: Planned
    again_at: datetime | None
    asked_again: frozenset[UUID] = frozenset()
    """Incidents of the same cause that must be decided again because of this one."""
    joined_or_parted: bool = False
    """It has become another incident's child, or is none any more."""


def judge(
    incident: Incident,
    kept: Sequence[Record],
    desk: Desk,
    policy: Policy,
    *,
    changes: Sequence[Change],
    similar: Sequence[Similar],
    near: Sequence[Kin],
    now: datetime,
) -> Judged:
    """Gate, enrich, route and plan. `near` are open incidents that may have the same cause."""
    known = incident
    incident = family_of(held(opened_or_resolved(incident)), near)
    with_windows = with_approved(policy, changes, desk.catalog)
    incident = replace(incident, gate=gate(incident, with_windows, desk.catalog, now=now))
    found = enrich(incident, desk.catalog, policy, changes=changes, similar=similar, now=now)
    incident = replace(incident, enrichment=replace(found, runbook=_address(found.runbook, desk.public_url)))
    before = incident.routing
    routing = owned(incident, route(incident, desk.catalog, policy, now=now), desk.catalog)
    moved = before is not None and before.ownership.team != routing.ownership.team and bool(kept)
    incident = replace(incident, routing=routing, reassigned=incident.reassigned or moved)
    planned = plan(incident, kept, desk, now=now)
    waits = [planned.again_at]
    if incident.gate and incident.gate.state is not GateState.ACTIVE and incident.state is IncidentState.OPEN:
        waits.append(incident.gate.until)
    texts = [p.wanted.title for p in planned.plans] + [record.wanted.title for record in kept[-1:]]
    return Judged(
        incident=incident,
        title=texts[0] if texts else headline(incident, catalog=desk.catalog, redactor=desk.redactor),
        planned=planned,
        again_at=min((w for w in waits if w), default=None),
        asked_again=frozenset(asked_again(known, incident, near)),
        joined_or_parted=known.parent_id != incident.parent_id,
    )


def _address(runbook: str, public_url: str) -> str:
    """Where a reader finds the runbook: a file of the mappings is shown by our own console."""
    if not runbook or "://" in runbook:
        return runbook
    return f"{public_url.rstrip('/')}/{runbook}"


def opened_or_resolved(incident: Incident) -> Incident:
    """Resolved when every member has ended, open as soon as one fires."""
    if not all_ended(incident.members):
        return replace(incident, state=IncidentState.OPEN, resolved_at=None)
    ended = max(member.ends_at or member.last_received_at for member in incident.members)
    return replace(incident, state=IncidentState.RESOLVED, resolved_at=max(ended, incident.opened_at))


def verdict(judged: Judged, *, version: int, now: datetime) -> AuditEntry:
    """The named decision about an incident, for the audit trail."""
    incident = judged.incident
    assert incident.gate is not None
    assert incident.routing is not None
    first = incident.attribution.first if incident.attribution else None
    reason = incident.gate.reason if incident.gate.state is not GateState.ACTIVE else incident.routing.want
    return AuditEntry(
        at=now,
        action="incident.decided",
        reason=reason,
        environment=incident.environment,
        incident_id=incident.id,
        mapping_version=version,
        because={
            "state": incident.state,
            "gate": incident.gate.because or incident.gate.reason,
            "until": incident.gate.until,
            "want": incident.routing.want,
            "rule": incident.routing.rule,
            "why": incident.routing.because,
            "team": incident.routing.ownership.team,
            "owner": incident.routing.ownership.why,
            "likely_cause": first.change.id if first else None,
            "probability": round(first.probability, 3) if first else None,
            "part_of": incident.family.parent.display if incident.family.parent else None,
            "records": [f"{p.destination}/{p.generation}" for p in judged.planned.plans],
        },
    )


def is_news(before: Attribution | None, after: Attribution) -> bool:
    """Does the ticket's reader learn anything from the new score?"""
    if before is None:
        return True
    one, other = before.first, after.first
    if one is None or other is None:
        return (one is None) != (other is None)
    return (
        one.change.id != other.change.id or one.band != other.band or abs(one.probability - other.probability) >= NEWS
    )
