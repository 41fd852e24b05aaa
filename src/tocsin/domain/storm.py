"""More new records than a team can read: one parent record stands for the incidents beyond the cap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.domain.alert import Severity
from tocsin.domain.policy import Want


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Whose new records are counted together: one team's at one destination in one environment. Critical pages have a
    parent of their own, so that it pages by itself."""

    environment: str
    destination: str
    team: str
    critical_page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbed:
    """An incident that stands in a storm's parent instead of a record of its own."""

    incident_id: UUID
    display: str
    title: str
    severity: Severity
    want: Want
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What a parent stands for now. `total` counts all that it ever absorbed, `still` those that are open and have no
    record of their own; `examples` are the worst and oldest of these."""

    id: UUID
    group: Group
    started_at: datetime
    total: int
    still: int
    severity: Severity
    examples: tuple[Absorbed, ...] = ()
