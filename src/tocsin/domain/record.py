"""What we keep at a vendor: what we want there, what we last sent and saw, and how one try ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from tocsin.domain.alert import Severity
from tocsin.domain.policy import Want
from tocsin.domain.subject import Subject


class Reason(StrEnum):
    """Why an attempt ended as it did: the label of the delivery metrics."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"
    NOT_OURS = "not_ours"
    """The vendor's record is not ours: never written."""
    BAD_ANSWER = "bad_answer"
    """A 2xx that is not the vendor's API (login page, hibernating instance)."""
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How one record of one incident should stand. Texts are composed once and go out with the create; of later
    changes only `status`, `severity`, `impact`, `urgency` and `address` are written, the rest as notes."""

    key: str
    """32 hex: hash of installation, incident, destination, generation. The vendor's idempotency key."""
    incident_id: UUID
    display: str
    """TOC-1042."""
    generation: int
    status: Literal["open", "resolved"]
    want: Want
    severity: Severity
    impact: int
    """1 high, 2 medium, 3 low (ITIL)."""
    urgency: int
    title: str
    """≤ 160 characters, one line."""
    body: str
    """Plain text, at most 25 lines."""
    category: str
    environment: str
    team: str
    address: Mapping[str, str] = field(default_factory=dict)
    """The team's fields at this destination: assignment_group, routing_key, project …"""
    ci: str = ""
    business_service: str = ""
    component: str = ""
    """Head subject, for vendors with a component field."""
    opened_at: datetime
    resolved_at: datetime | None = None
    close_notes: str = ""
    links: tuple[tuple[str, str], ...] = ()
    """(text, https URL) pairs, at most 10."""
    details: Mapping[str, object] = field(default_factory=dict)
    """Structured extras for vendors that show them (PagerDuty custom_details)."""
    previous: str = ""
    """Number or key of the previous generation's record, to be linked."""
    parent: str = ""
    """The vendor's id of the record that this one is a child of (a storm's parent, an absorbing incident)."""
    caused_by: str = ""
    """Number of the change record (CHG…) that a person confirmed as the cause; never a mere suspect."""
    acknowledged_by: str = ""
    """A person took the incident on, perhaps in another record: this one is to stand as acknowledged or in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file for the record, sent once: the evidence in full, a picture. `id` is stable."""

    id: UUID
    name: str
    """File name with its extension, unique within the record."""
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A work note, sent once. `id` is stable and becomes the marker that proves it arrived."""

    id: UUID
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The vendor's answer. `sent` are the vendor's field values as we wrote them, `observed` as it then showed them."""

    external_id: str
    number: str = ""
    url: str = ""
    sent: Mapping[str, object] = field(default_factory=dict)
    observed: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[UUID, ...] = ()
    """Notes proven to have arrived."""
    attachments: tuple[UUID, ...] = ()
    """Attachments proven to have arrived."""
    dropped_fields: tuple[str, ...] = ()
    """Fields that the vendor took silently and did not keep."""
    warnings: tuple[str, ...] = ()
    """What an operator should mend, in a sentence each: a group's name that two groups bear …"""
    human_touched: bool = False
    takes_notes: bool = True
    """False: as it is set up, a note can never be shown there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one try ended. `confirmation` may accompany any result: what is known so far is kept."""

    result: Literal["done", "duplicate", "retry", "ambiguous", "rejected"]
    reason: Reason
    detail: str = ""
    """The vendor's own words, redacted, at most 500 characters."""
    after: timedelta | None = None
    """Not before this has passed (Retry-After). With `done`: one more attempt then, though nothing else is wanted."""
    confirmation: Confirmation | None = None
    calls: int = 0
    """HTTP calls made."""
    alone: bool = False
    """A `retry` or `ambiguous` that concerns this record only (Jira's per-issue limit, the limit of one PagerDuty key),
    so that the destination's other records need not wait and its circuit counts no failure."""

    @property
    def settled(self) -> bool:
        return self.result in ("done", "duplicate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that a connector needs to bring one record to its wanted state."""

    wanted: Wanted
    notes: tuple[Note, ...] = ()
    """Not yet confirmed, oldest first."""
    attachments: tuple[Attachment, ...] = ()
    """Not yet confirmed, oldest first; sent after everything else, and never a reason for the record to fail."""
    sent_wanted: Wanted | None = None
    """The wanted state that was last confirmed; None before the first."""
    sent: Mapping[str, object] = field(default_factory=dict)
    observed: Mapping[str, object] = field(default_factory=dict)
    external_id: str = ""
    number: str = ""
    url: str = ""
    ambiguous_since: datetime | None = None
    """An earlier try may have succeeded: look before creating."""
    tried: tuple[Wanted, ...] = ()
    """Wanted states of earlier attempts since the last confirmed one, oldest first: the vendor may show any of them,
    and what it shows of them was written by us and by nobody else. Texts that go out once are those of `wanted`."""
    attempts: int = 0
    now: datetime
    when_human_touched: Literal["note_only", "resolve_unless_state_changed"] = "resolve_unless_state_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the readers of a record already know; the next work note says what differs."""

    at: datetime
    state: str
    severity: Severity
    subjects: tuple[Subject, ...]
    members: int = 0
    scored: bool = True
    """False when the record went out before its cause was looked for: the answer is told at once."""
    suspect: str = ""
    """Id of the likeliest change."""
    probability: float = 0.0
    band: str = ""
    reopened: int = 0
    parent: str = ""
    """TOC-n of the incident that this one was joined to."""
    children: tuple[str, ...] = ()
    """TOC-n of those that were joined to this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row: what we keep of one incident at one destination in one generation."""

    id: UUID
    incident_id: UUID
    environment: str
    destination: str
    kind: str
    generation: int
    mode: str
    state: str
    """pending · settled · closed (a person or the vendor closed it for good) · vanished (deleted at the vendor) ·
    dead (needs a person) · shadow."""
    wanted: Wanted
    wanted_version: int = 1
    sent_version: int = 0
    sent_wanted: Wanted | None = None
    sent: Mapping[str, object] = field(default_factory=dict)
    observed: Mapping[str, object] = field(default_factory=dict)
    external_id: str = ""
    number: str = ""
    url: str = ""
    attempts: int = 0
    failures: int = 0
    ambiguous_since: datetime | None = None
    tried: tuple[Wanted, ...] = ()
    """Wanted states that were sent, or may have been, since the last confirmed one."""
    lease_token: UUID | None = None
    notes: tuple[Note, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    warnings: tuple[str, ...] = ()
    """What an operator should mend, as the vendor's last answer let us see."""
    told: Told | None = None
    created_at: datetime | None = None

    @property
    def called_off(self) -> bool:
        """It was over, or somebody else's to tell, before it went out: nothing of it stands at the vendor."""
        ended = self.sent_wanted is not None and self.sent_wanted.status == "resolved"
        return ended and not self.external_id and not self.tried and self.ambiguous_since is None

    @property
    def never_went_out(self) -> bool:
        """For its courier: nothing of it can stand at the vendor."""
        first = not self.external_id and self.ambiguous_since is None and self.attempts <= 1
        return first or self.called_off


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What deciding wants of one record: a new row or a new wanted state, and perhaps a note."""

    id: UUID
    incident_id: UUID
    environment: str
    destination: str
    kind: str
    generation: int
    mode: str
    wanted: Wanted
    changed: bool = True
    """False when only the note is new."""
    note: Note | None = None
    told: Told
    """What the record's readers know once this plan is carried out."""
    hold_s: float = 0.0
    """A new record waits this long for attribution."""
    attachments: tuple[Attachment, ...] = ()
    """Files for the record; one whose id is known is written anew until it was tried."""
    pictured: bool = False
    """Its readers learn something of the cause: the incident's timeline is drawn for them, anew where there is one."""
