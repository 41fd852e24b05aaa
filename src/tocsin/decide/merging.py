"""Have incidents turned out to be one? Those with the same likely cause become children of the earliest; nothing is
re-keyed, and what was joined is parted again when the causes differ after all.

A child opens no ticket of its own; the parent's ticket tells of it. What it has sent already stays, linked to the
parent's. A page that the parent has not made is still made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from tocsin.domain.audit import AuditEntry
from tocsin.domain.family import Family, Kin
from tocsin.domain.incident import NOT_AMONG_THEM, Incident, IncidentState

JOIN = 0.8
"""Both are so sure of the cause (correlation.md §3)."""
STAY = 0.5
"""Less sure than this, they are parted again: scores that waver around JOIN must not join and part by turns."""


def causes_of(incident: Incident) -> tuple[frozenset[str], float]:
    """The changes that are its likeliest cause, and how likely; what a person confirmed is certain."""
    if incident.confirmed_change == NOT_AMONG_THEM:
        return frozenset(), 0.0
    if incident.confirmed_change:
        return frozenset({incident.confirmed_change}), 1.0
    first = incident.attribution.first if incident.attribution else None
    if first is None:
        return frozenset(), 0.0
    return frozenset({first.change.id, *first.members}), first.probability


def family_of(incident: Incident, near: Sequence[Kin]) -> Incident:
    """The incident with its parent, if it has one now, and its children. `near` are open incidents that may be kin;
    the parent is the earliest of the same cause, and is nobody's child."""
    children = tuple(sorted((k for k in near if k.parent_id == incident.id), key=lambda k: (k.opened_at, k.id)))
    parent = None
    if incident.state is IncidentState.OPEN:
        causes, probability = causes_of(incident)
        least = JOIN if incident.parent_id is None else STAY
        older = [
            kin
            for kin in near
            if kin.parent_id is None
            and (kin.opened_at, kin.id) < (incident.opened_at, incident.id)
            and causes & kin.causes
            and min(probability, kin.probability) > (STAY if kin.id == incident.parent_id else least)
        ]
        parent = min(older, key=lambda kin: (kin.id != incident.parent_id, kin.opened_at, kin.id), default=None)
    return replace(incident, parent_id=parent.id if parent else None, family=Family(parent=parent, children=children))


def asked_again(before: Incident, after: Incident, near: Sequence[Kin]) -> set[UUID]:
    """Which relatives must be decided again: parents that gained or lost this one, children whose parent recovered or
    has another cause now, and later incidents that should join."""
    causes, probability = causes_of(after)
    parents = {before.parent_id, after.parent_id} if before.parent_id != after.parent_id else set()
    found = {parent for parent in parents if parent is not None}
    for kin in near:
        shared = bool(causes & kin.causes)
        if kin.parent_id == after.id:
            stays = shared and min(probability, kin.probability) > STAY
            if after.state is not IncidentState.OPEN or after.parent_id is not None or not stays:
                found.add(kin.id)
        elif after.state is IncidentState.OPEN and after.parent_id is None and kin.parent_id is None:
            later = (kin.opened_at, kin.id) > (after.opened_at, after.id)
            if shared and later and min(probability, kin.probability) > JOIN:
                found.add(kin.id)
    return found - {after.id}


def moved(incident: Incident, *, version: int, now: datetime) -> AuditEntry:
    """The named decision that an incident was joined to another or parted from it."""
    parent = incident.family.parent
    causes, probability = causes_of(incident)
    return AuditEntry(
        at=now,
        action="incident.merged" if parent else "incident.split",
        reason="same_cause" if parent else "causes_differ" if incident.state is IncidentState.OPEN else "over",
        environment=incident.environment,
        incident_id=incident.id,
        mapping_version=version,
        because={
            "parent": parent.display if parent else None,
            "causes": sorted(causes),
            "probability": round(probability, 3),
        },
    )
