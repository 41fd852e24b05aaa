"""What people do to records at the service desks, and what an incident and a record keep of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

Stands = Literal["", "open", "acknowledged", "resolved", "closed"]
"""How a record stands, whatever the vendor's own word for it; empty: nobody says."""


class Aspect(StrEnum):
    """What an update can move: the updates of one aspect are put in the vendor's order, those of two are not."""

    STATUS = "status"
    OWNER = "owner"
    PRIORITY = "priority"
    CAUSE = "cause"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something was done, as the vendor counts: its clock, and its revision of the record where it has one."""

    at: datetime
    revision: int = 0

    def is_before(self, other: Moment) -> bool:
        """Older for certain: by revision where both have one, else by time."""
        if self.revision and other.revision:
            return self.revision < other.revision
        return self.at < other.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """How a record stood when somebody last told us: one row of `stances`."""

    stands: Stands = ""
    assignee: str = ""
    group: str = ""
    priority: str = ""
    caused_by: str = ""
    close_code: str = ""
    vendor_id: str = ""
    """The vendor's own id, where our key is what we address the record by (PagerDuty)."""
    moved: Mapping[Aspect, Moment] = field(default_factory=dict)
    """The newest update of each aspect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record of ours, as far as an update of it must be weighed."""

    id: UUID
    incident_id: UUID
    destination: str
    kind: str
    key: str
    external_id: str = ""
    number: str = ""
    latest: bool = True
    """False for an earlier generation: what happens to it says nothing of the incident any more."""
    expected: frozenset[str] = frozenset()
    """How it may stand by our own doing: as last sent and as wanted now."""
    sent: Mapping[str, object] = field(default_factory=dict)
    """The vendor's field values as we left them."""
    stance: Stance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What people have done about one incident, by way of its records. `…_in` names the record."""

    acknowledged_by: str = ""
    acknowledged_in: str = ""
    acknowledged_at: datetime | None = None
    held: Literal["", "open", "closed"] = ""
    """A person's word stands above the alerts': `closed` until one fires anew, `open` until somebody resolves it."""
    held_by: str = ""
    held_in: str = ""
    held_at: datetime | None = None
    close_code: str = ""
    team: str = ""
    """The team that a person chose."""
    team_by: str = ""
    team_in: str = ""
    priority: int = 0
    """1 (critical) to 5 (planning) as a person set it; 0: nobody did."""
    priority_by: str = ""


NOBODY = Hands()
