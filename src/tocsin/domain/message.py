"""A raw inbound message, the hook it came through, and what a source makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from tocsin.domain.alert import Alert, Resolves
from tocsin.domain.change import Change
from tocsin.domain.people import Stands
from tocsin.domain.reading import Reads

KEY_URL = "x-tocsin-key-url"
"""Header that the receiver adds to a message whose signature a worker must check first, with the key at this address.
What a sender writes there itself is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What arrived, untouched. Header names are lower case; the body is already gunzipped."""

    id: UUID
    hook: str
    source: str
    environment: str
    received_at: datetime
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A named inbound address, `POST /hooks/<name>`. `defaults` are labels that every signal of it inherits
    (for senders whose reports lack identity, such as `model: churn`)."""

    name: str
    source: str
    environment: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Any of them verifies (rotation); empty only when `unverified` was set on purpose."""
    unverified: bool = False
    defaults: Mapping[str, str] = field(default_factory=dict)
    reads: Reads | None = None
    """How its messages are read; only for the source `generic`."""
    samples: tuple[str, ...] = ()
    """Payloads in the mappings' tree by which `tocsin check` tries `reads`."""
    origin: str = ""
    """`file:line` of the mapping that declares it."""


class RecordAction(StrEnum):
    CREATED = "created"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REOPENED = "reopened"
    REASSIGNED = "reassigned"
    PRIORITY_CHANGED = "priority_changed"
    COMMENTED = "commented"
    CAUSE_SET = "cause_set"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUpdate:
    """What a service desk tells us of a record: who did what. `record_key` is our key when the body carries it."""

    source: str
    hook: str
    environment: str
    action: RecordAction
    external_id: str
    record_key: str = ""
    number: str = ""
    actor: str = ""
    actor_kind: str = ""
    """`user`, `integration` or empty: our own writes come back as integration or as our own account."""
    occurred_at: datetime
    received_at: datetime
    event_id: str = ""
    """Stable over redeliveries, and the same whether it was posted to us or polled."""
    revision: int = 0
    """The vendor's count of changes to the record, where it has one."""
    snapshot: bool = False
    """A look at how the record stands (polled), not at what was done: what differs from the last look was done."""
    status: str = ""
    """In the vendor's words."""
    stands: Stands = ""
    assignee: str = ""
    group: str = ""
    priority: str = ""
    comment: str = ""
    caused_by: str = ""
    close_code: str = ""
    summary: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of a snapshot: the vendor's raw field values, comparable with `Confirmation.sent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Is the sender who it claims to be? `needs_key` names a URL that a worker must fetch first."""

    verdict: Literal["verified", "refused", "needs_key"]
    reason: str = ""
    key_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalized:
    """What a source read in a message. Nothing in it is a named reason, never silence."""

    alerts: tuple[Alert, ...] = ()
    changes: tuple[Change, ...] = ()
    record_updates: tuple[RecordUpdate, ...] = ()
    ignored: str = ""
    """Why a well-formed message carries nothing for us: `test ping`, `event type star is not a change` …"""
    visit: str = ""
    """An address that the sender asks us to open once (SNS's subscription). A worker does so, only for a message whose
    signature it checked itself and only where the source's `may_fetch` allows it."""

    @property
    def carries_something(self) -> bool:
        return bool(self.alerts or self.changes or self.record_updates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Our 202."""

    id: UUID
    hook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the receiver says to a sender that expects a body of its own dialect."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)


def no_message_id(message: Message) -> str:
    """Most senders number nothing."""
    return ""


def plain_answer(message: Message, receipt: Receipt) -> Answer:
    """The 202 that most senders get; what they sent does not matter."""
    return Answer(status=202, body={"status": "accepted", "receipt": str(receipt.id)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A producer: how to verify, identify, understand and answer it. Each file in sources/ exports one `SOURCE`."""

    name: str
    title: str
    verify: Callable[[Message, Sequence[str]], Verdict]
    """(message, secrets) → verdict; constant time; pure."""
    normalize: Callable[[Message, Hook], Normalized]
    """Raises BadPayload when the body does not fit what the producer documents."""
    resolves: Resolves
    expires_after: timedelta | None = None
    message_id: Callable[[Message], str] = no_message_id
    """The sender's own id of this delivery, stable over its retries; empty when it has none."""
    answer: Callable[[Message, Receipt], Answer] = plain_answer
    """What the sender is told: its own dialect may quote the message (a dedup_key). Never raises; body unparsed."""
    routes: tuple[str, ...] = ()
    """Extra paths besides /hooks/<hook> where this producer's tools insist to post (`/v2/enqueue`); the sender's
    secret in the request then names the hook, see `route_secret`. A `{name}` in a path stands for anything, and reaches
    the source as the message's query parameter of that name."""
    route_secret: Callable[[Message], str] | None = None
    lookups: Mapping[str, Callable[[Message], Answer]] = field(default_factory=dict)
    """Paths, as in `routes`, that this producer's clients GET to ask after what they sent → what they are told. The
    sender is verified as on a route; nothing is kept."""
    setup: str = ""
    """What to paste into the sender, with {url} and {secret}; Markdown."""
    ignores: tuple[str, ...] = ()
    """What it ignores on purpose, for the reference page."""
    aliases: tuple[str, ...] = ()
    verify_with_key: Callable[[Message, bytes], Verdict] | None = None
    """The second half of a verification that said `needs_key`: (message, what stood at key_url) → verdict; pure."""
    may_fetch: Callable[[str], bool] | None = None
    """The allow-list of a source that needs keys: may a worker open this address?"""
    bind: Callable[[Hook], Source] | None = None
    """The source as one hook declares it (`generic`); None where all hooks of it are alike."""
