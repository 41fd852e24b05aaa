"""One line of the audit trail: what was decided about what, and the named reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """`action` is noun.past (`alert.deduplicated`, `record.confirmed`); `reason` is a stable word; `because` holds
    the redacted facts that a person needs to follow the decision."""

    at: datetime
    action: str
    reason: str
    environment: str = ""
    message_id: UUID | None = None
    fingerprint: str = ""
    incident_id: UUID | None = None
    destination: str = ""
    actor: str = "tocsin"
    mapping_version: int = 0
    because: Mapping[str, object] = field(default_factory=dict)
