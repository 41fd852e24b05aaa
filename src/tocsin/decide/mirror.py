"""Which changes should responders see beside the incidents of a service desk, and whose are they?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tocsin.domain.alert import Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.policy import Destination
from tocsin.domain.seen import MirroredChange

SHOWN = frozenset(
    {
        ChangeKind.SERVICE_DEPLOYED,
        ChangeKind.SERVICE_ROLLEDBACK,
        ChangeKind.SERVICE_REMOVED,
        ChangeKind.ENVIRONMENT_MODIFIED,
        ChangeKind.FEATURE_FLAG_CHANGED,
        ChangeKind.DATASET_SCHEMA_CHANGED,
        ChangeKind.MODEL_PROMOTED,
        ChangeKind.MODEL_DEPLOYED,
    }
)
"""Runs of pipelines and builds are left out: there are too many, and most change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """A change on its way to one destination."""

    destination: str
    environment: str
    change: MirroredChange


def mirrored(changes: Sequence[Change], destinations: Iterable[Destination], catalog: Catalog) -> list[Mirrored]:
    """Each change that is over (or never says so), at each of these destinations where its subject's owner has an
    address."""
    return [
        Mirrored(destination=destination.name, environment=change.environment, change=_shown(change, address))
        for destination in destinations
        for change in changes
        if change.kind in SHOWN
        and change.outcome is not ChangeOutcome.RUNNING
        and (address := _address(change, destination, catalog))
    ]


def _address(change: Change, destination: Destination, catalog: Catalog) -> dict[str, str]:
    owner = catalog.owner(change.subject, Symptom.ERRORS)
    team = catalog.teams.get(owner.team) if owner else None
    if team is None:
        return {}
    return dict(team.destinations.get(destination.name) or team.destinations.get(destination.kind) or {})


def _shown(change: Change, address: dict[str, str]) -> MirroredChange:
    version = f" {change.version}" if change.version else ""
    said = f": {change.summary}" if change.summary else ""
    details = {
        "kind": str(change.kind),
        "outcome": str(change.outcome),
        "version": change.version,
        "previous_version": change.previous_version,
        "author": change.author,
        "ticket": change.ticket,
        "environment": change.environment,
    }
    return MirroredChange(
        id=change.id,
        summary=f"{change.subject}{version} {change.kind.replace('.', ' ').replace('_', ' ')}{said}"[:1000],
        source=change.source,
        subject=change.subject,
        occurred_at=change.finished_at or change.occurred_at,
        url=change.url,
        details={name: value for name, value in details.items() if value},
        address=address,
    )
