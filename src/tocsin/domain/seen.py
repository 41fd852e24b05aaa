"""What a service desk shows when it is asked: records that carry our mark, what people did, what set-up lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from tocsin.domain.message import RecordUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One record at the vendor that carries our mark, as it stands there now."""

    external_id: str
    key: str = ""
    """Our 32 hex digits (`Wanted.key`), as far as the vendor shows them."""
    number: str = ""
    url: str = ""
    status: Literal["open", "acknowledged", "resolved", "closed"] = "open"
    created_at: datetime | None = None
    updated_at: datetime | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    """The vendor's own fields, comparable with `Confirmation.observed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What people did at a vendor since the last look. `watermark` is kept and given to the next look."""

    updates: tuple[RecordUpdate, ...] = ()
    watermark: str = ""
    more: bool = False
    """The vendor has more than one look may fetch: look again at once."""


class Drift(StrEnum):
    """What reconciliation may find; the label of its metrics."""

    DRIFTED = "drifted"
    """It does not stand as we left it, and nobody willed it."""
    VANISHED = "vanished"
    """It is not there any more."""
    DOUBLED = "doubled"
    """There is more than one."""
    UNKNOWN = "unknown"
    """It carries our mark, but the database does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One record that is not as the database says, and what is done about it."""

    finding: Drift
    destination: str
    external_id: str
    number: str = ""
    url: str = ""
    record_id: UUID | None = None
    incident_id: UUID | None = None
    environment: str = ""
    says: str = ""
    remedy: str = ""
    mends: bool = False
    """Can it be repaired by a new attempt, or by the next generation? Otherwise it is only reported."""
    rebase: Mapping[str, object] = field(default_factory=dict)
    """The vendor's values that the new attempt takes for its own, so that it writes over them."""


class Grade(StrEnum):
    """How a check of a destination ended."""

    OK = "ok"
    NOTE = "note"
    """Could not be checked, or worth knowing."""
    WARNING = "warning"
    ERROR = "error"
    """Records would fail or land wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that doctor looked at: what it is, the value that was found, and what to do about it."""

    grade: Grade
    check: str
    """A stable name such as `credentials`, `clock`, `assignment_group`, `close_code`."""
    value: str = ""
    """What was looked at or found: a group's name, an HTTP status, seconds of skew."""
    says: str = ""
    remedy: str = ""
    """What to do; empty only when the grade is ok or note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the mappings will ask of a destination: doctor checks these names before 3 a.m."""

    addresses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Team → its address fields at this destination (assignment_group, routing_key, project …)."""
    cis: tuple[str, ...] = ()
    business_services: tuple[str, ...] = ()
    now: datetime
    origins: Mapping[str, str] = field(default_factory=dict)
    """`team:ml`, `ci:churn-api`, `business_service:Churn` → the `file:line` that says it, as far as a file does."""
    hooks: tuple[str, ...] = ()
    """Our inbound addresses for what people do at this vendor; empty when there is none."""
    probe_group: str = ""
    """Not empty: a write probe was allowed, on this group (or project, or routing key)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredChange:
    """A deploy or other change that responders should see beside the vendor's incidents. Sent once."""

    id: str
    """The change's id: stable, so that a second sending can be recognized."""
    summary: str
    source: str
    subject: str
    occurred_at: datetime
    url: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    address: Mapping[str, str] = field(default_factory=dict)
    """The owning team's address at this destination (routing_key …)."""
