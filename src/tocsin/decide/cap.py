"""Which new records does the cap let through, and what does the parent say of those that it does not?"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from tocsin.decide.plan import Desk, record_key
from tocsin.decide.redact import clean
from tocsin.domain.alert import Severity
from tocsin.domain.audit import AuditEntry
from tocsin.domain.incident import Category
from tocsin.domain.policy import Want
from tocsin.domain.record import Note, Plan, Record, Told, Wanted
from tocsin.domain.storm import Absorbed, Group, Storm

SPAN = timedelta(hours=1)
"""The cap counts the records that were made within this."""
EXAMPLES = 15
"""Lines of a parent's body that name incidents; a body has at most 25."""
HOLD_S = 8.0
"""A parent waits this long, so that it goes out with the first wave counted."""

_URGENCY = {Severity.CRITICAL: 1, Severity.ERROR: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped:
    """What the cap makes of a batch: the plans that go on, and by group the incidents that must wait in a storm."""

    plans: tuple[Plan, ...]
    absorbed: Mapping[Group, tuple[Absorbed, ...]]


def group_of(plan: Plan) -> Group:
    """Where a new record counts."""
    wanted = plan.wanted
    return Group(
        environment=plan.environment,
        destination=plan.destination,
        team=wanted.team,
        critical_page=wanted.want is Want.PAGE and wanted.severity is Severity.CRITICAL,
    )


def capped(plans: Sequence[Plan], new: Collection[UUID], used: Mapping[tuple[str, str], int], desk: Desk) -> Capped:
    """Let new records (by plan id) through up to each destination's `max_new_per_hour` a team, pages first, then by
    severity, then the oldest incident. `used` counts (destination, team) within SPAN."""
    room: dict[tuple[str, str], int] = {}
    waits: set[UUID] = set()
    absorbed: dict[Group, list[Absorbed]] = {}
    for one in sorted((p for p in plans if p.id in new), key=_pressing):
        place = (one.destination, one.wanted.team)
        if place not in room:
            destination = desk.destinations.get(one.destination)
            room[place] = (destination.max_new_per_hour if destination else 0) - used.get(place, 0)
        if room[place] > 0:
            room[place] -= 1
            continue
        waits.add(one.id)
        absorbed.setdefault(group_of(one), []).append(
            Absorbed(
                incident_id=one.incident_id,
                display=one.wanted.display,
                title=one.wanted.title,
                severity=one.wanted.severity,
                want=one.wanted.want,
                opened_at=one.wanted.opened_at,
            )
        )
    return Capped(
        plans=tuple(p for p in plans if p.id not in waits),
        absorbed={group: tuple(found) for group, found in absorbed.items()},
    )


def _pressing(one: Plan) -> tuple[bool, int, datetime, UUID]:
    return (one.wanted.want is not Want.PAGE, one.wanted.severity.rank, one.wanted.opened_at, one.incident_id)


def left(holds: Collection[UUID], group: Group, result: Capped) -> dict[UUID, str]:
    """Which of the incidents that a storm held stand in it no more after this batch, and why."""
    still = {one.incident_id for one in result.absorbed.get(group, ())}
    recorded = {p.incident_id for p in result.plans if p.destination == group.destination}
    return {one: "recorded" if one in recorded else "over" for one in holds if one not in still}


def audit_line(one: Absorbed, group: Group, desk: Desk, *, now: datetime) -> AuditEntry:
    """The named decision that an incident gets no record of its own for now."""
    return AuditEntry(
        at=now,
        action="record.capped",
        reason="max_new_per_hour",
        environment=group.environment,
        incident_id=one.incident_id,
        destination=group.destination,
        because={"team": group.team, "cap": desk.destinations[group.destination].max_new_per_hour},
    )


def storm_id(installation_id: UUID, group: Group, first: UUID) -> UUID:
    """Stable for the group and the first incident that it absorbs."""
    text = f"{installation_id}|{group.environment}|{group.destination}|{group.team}|{group.critical_page}|{first}"
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


def parent(storm: Storm, current: Record | None, desk: Desk, *, now: datetime) -> tuple[Plan | None, datetime | None]:
    """The plan of a storm's parent record, if anything is new, and when a note that is held back may be told."""
    destination = desk.destinations.get(storm.group.destination)
    if destination is None:
        return None, None
    wanted = _composed(storm, current, desk, now)
    told = Told(at=now, state=wanted.status, severity=wanted.severity, subjects=(), members=storm.total)
    planned = Plan(
        id=UUID(hex=wanted.key),
        incident_id=storm.id,
        environment=storm.group.environment,
        destination=destination.name,
        kind=destination.kind,
        generation=1,
        mode=current.mode if current else destination.mode,
        wanted=wanted,
        told=told,
        hold_s=HOLD_S if current is None else 0.0,
    )
    if current is None or current.sent_version == 0:
        if current is None:
            return planned, None
        waited = (now - current.created_at).total_seconds() if current.created_at else 0.0
        return (replace(planned, hold_s=max(0.0, HOLD_S - waited)) if wanted != current.wanted else None), None
    return _followed(storm, current, planned, now, notes_every=desk.policy.notes_every)


def _followed(
    storm: Storm, current: Record, planned: Plan, now: datetime, *, notes_every: timedelta
) -> tuple[Plan | None, datetime | None]:
    """A parent that went out: its count is told in notes, at most one in `notes_every`; its end at once."""
    before = current.told
    known = before.members if before else 0
    changed = planned.wanted != current.wanted
    silent = replace(planned, told=before or planned.told)
    if storm.total <= known:
        return (silent if changed else None), None
    if storm.still and before is not None and now - before.at < notes_every:
        return (silent if changed else None), before.at + notes_every
    text = "\n".join([f"{storm.total} incidents by now, {storm.total - known} more:", *_lines(storm)])
    note = Note(id=UUID(bytes=hashlib.sha256(f"{planned.id}|{text}".encode()).digest()[:16]), text=text)
    return replace(planned, note=note, changed=changed), None


def _composed(storm: Storm, current: Record | None, desk: Desk, now: datetime) -> Wanted:
    group = storm.group
    team = desk.catalog.teams.get(group.team)
    destination = desk.destinations[group.destination]
    critical = "critical " if group.critical_page else ""
    noun = f"{critical}incident" if storm.total == 1 else f"{critical}incidents"
    since = storm.started_at.astimezone(ZoneInfo(team.timezone if team else "UTC"))
    named = (team.title if team else "") or group.team
    wanted = Wanted(
        key=record_key(desk.installation_id, storm.id, group.destination, 1),
        incident_id=storm.id,
        display=f"STORM-{storm.id.hex[:6].upper()}",
        generation=1,
        status="open" if storm.still else "resolved",
        want=Want.PAGE if group.critical_page or any(a.want is Want.PAGE for a in storm.examples) else Want.TICKET,
        severity=storm.severity,
        impact=1,
        urgency=_URGENCY.get(storm.severity, 3),
        title=clean(f"Storm: {storm.total} more {noun} for {named} since {since:%H:%M}", 160),
        body=_body(storm, desk, destination.max_new_per_hour),
        category=Category.PLATFORM,
        environment=group.environment,
        team=group.team,
        address=desk.catalog.address(group.team, group.destination, destination.kind),
        opened_at=storm.started_at,
        resolved_at=None if storm.still else now,
        close_notes=""
        if storm.still
        else f"The storm is over: none of its {storm.total} incidents waits here any more.",
        links=(("incidents", f"{desk.public_url.rstrip('/')}/"),),
        details={"incidents": storm.total, "team": group.team, "cap_per_hour": destination.max_new_per_hour},
    )
    if current is None:
        return wanted
    if current.sent_version:  # what went out once stays
        went_out = current.wanted
        wanted = replace(wanted, title=went_out.title, body=went_out.body, details=went_out.details)
    if current.wanted.status == wanted.status:
        wanted = replace(wanted, resolved_at=current.wanted.resolved_at, close_notes=current.wanted.close_notes)
    return wanted


def _body(storm: Storm, desk: Desk, cap: int) -> str:
    lines = [
        f"More than {cap} new records an hour for this team: this one stands for the rest.",
        "Incidents get records of their own once there is room again, the worst first, if they are still open.",
        f"All of them: {desk.public_url.rstrip('/')}/",
        "",
        *_lines(storm),
    ]
    return "\n".join(lines)


def _lines(storm: Storm) -> list[str]:
    shown = [f"{a.display} {a.severity}: {clean(a.title, 120)}" for a in storm.examples[:EXAMPLES]]
    rest = storm.still - len(shown)
    return [*shown, f"and {rest} more"] if rest > 0 else shown
