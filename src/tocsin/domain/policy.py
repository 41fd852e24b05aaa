"""How this organisation wants noise, routes, redaction and destinations treated: the mappings' policies as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import SecretStr

from tocsin.domain.alert import Cohort, Severity, Symptom
from tocsin.domain.catalog import Criticality, Risk
from tocsin.domain.subject import Subject


class Want(StrEnum):
    """What a route asks for."""

    PAGE = "page"
    TICKET = "ticket"
    NONE = "none"


class Mode(StrEnum):
    """How far a destination is trusted."""

    OFF = "off"
    SHADOW = "shadow"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """All that is given must hold; an empty set means any. `severity` means at least that bad, `criticality` and
    `risk` at least that high."""

    subjects: tuple[str, ...] = ()
    """Patterns such as `model:*`."""
    symptoms: frozenset[Symptom] = frozenset()
    sources: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    cohorts: frozenset[Cohort] = frozenset()
    severity: Severity | None = None
    criticality: Criticality | None = None
    risk: Risk | None = None
    business_hours: bool | None = None
    """True: only inside the owner's business hours; False: only outside."""
    probability: float | None = None
    """The first suspect is at least this likely."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The first rule whose condition holds decides. `team` overrides the owner (an explicit route);
    `destinations` says where (names of destinations); empty means the policy's defaults for `want`."""

    name: str
    want: Want
    when: Condition = Condition()
    team: str = ""
    destinations: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A maintenance window. Without `rrule` it is one span; with it, each occurrence (RFC 5545, in the wall time
    of `timezone`) opens a span of `duration`. It mutes, it never discards."""

    name: str
    subjects: tuple[str, ...]
    """Patterns; what they name and what rests on it directly is covered by `include_dependants`."""
    starts_at: datetime
    """Aware; the first occurrence."""
    duration: timedelta
    timezone: str = "UTC"
    rrule: str = ""
    environments: frozenset[str] = frozenset()
    symptoms: frozenset[Symptom] = frozenset()
    include_dependants: bool = False
    ticket: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A known outage of a feature or data source: the parent of alerts that depend on it."""

    subject: Subject
    starts_at: datetime
    ends_at: datetime | None = None
    ticket: str = ""
    note: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """An alert that opens `opens` times within `within` flaps: its incident is held open until `quiet` has passed
    without a transition (correlation.md §4)."""

    opens: int = 4
    within: timedelta = timedelta(hours=3)
    quiet: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """So many of the last checks must fail before a drift pages or tickets. After `at_most` it is let through anyhow,
    so that a sender that reports once is not held for ever."""

    failed: int = 2
    of: int = 3
    at_most: timedelta = timedelta(hours=25)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """When a drift counts, and what follows when it does not. The sizes are those of correlation.md §6."""

    significance: float = 0.05
    """The largest q (share of false finds) at which a shift is taken for more than chance."""
    mean_shift: float = 0.2
    """Moves of the mean from here matter, in standard deviations of the reference."""
    shape: float = 0.1
    """Changes of shape from here matter: Wasserstein distance after taking the mean's move away, same unit."""
    distance: float = 0.1
    """Jensen-Shannon distances between categories from here matter."""
    checks: Checks | None = None
    """None: the first failed check counts."""
    without_effect: Want | None = None
    """The most that is asked for a drift that was tested and has no effect; None: what the route says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What must not leave. `keys` are label or field names whose values go; `patterns` are named regexes."""

    keys: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    raw: timedelta = timedelta(days=14)
    audit: timedelta = timedelta(days=400)
    attempts: timedelta = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What follows when a person acts on a record of ours. `mirror` and `follow` carry it over to the incident and its
    other records, `note` only tells those, `ignore` keeps it in the audit trail alone."""

    acknowledge: Literal["mirror", "note", "ignore"] = "mirror"
    resolve: Literal["incident", "record", "note"] = "incident"
    """`incident`: it is over for people, until an alert fires anew; `record`: this record only; `note`: and told."""
    reopen: Literal["mirror", "note", "ignore"] = "mirror"
    reassign: Literal["follow", "note", "ignore"] = "follow"
    priority: Literal["follow", "note", "ignore"] = "follow"
    cause: Literal["learn", "ignore"] = "learn"
    """A person's caused_by confirms the change of that number, and so teaches."""
    close_codes: Mapping[str, Literal["likely_cause", "no_change"]] = field(default_factory=dict)
    """The vendor's close code or resolution → what it confirms of the cause."""
    comments: Literal["mirror", "ignore"] = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedRecord:
    """What follows when an incident fires again whose record was resolved or closed."""

    reopen_within: timedelta | None = None
    """So long after its end a resolved record is opened again, where the vendor can; None: as long as the incident."""
    then: Literal["new_generation", "comment_only"] = "new_generation"
    """After that, and where it cannot be opened: a new linked record, or only a note on the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that deciding asks of the operators' rules."""

    rules: tuple[Rule, ...] = ()
    defaults: Mapping[Want, tuple[str, ...]] = field(default_factory=dict)
    """Destinations for a page and for a ticket when the rule names none."""
    persistence: Mapping[Symptom, timedelta] = field(default_factory=dict)
    """How long a symptom must last before its incident may page or ticket; absent means at once."""
    persistence_subjects: int = 2
    """…unless this many subjects alert."""
    drift: DriftPolicy = DriftPolicy()
    flapping: Flapping = Flapping()
    windows: tuple[Window, ...] = ()
    outages: tuple[Outage, ...] = ()
    severities: Mapping[str, Mapping[str, Severity]] = field(default_factory=dict)
    """Per source (or `*`): a sender's own word → our severity."""
    owners_by_symptom: Mapping[Symptom, str] = field(default_factory=dict)
    runbooks: Mapping[Symptom, str] = field(default_factory=dict)
    """Starter runbook per symptom, used when the subject has none of its own."""
    redaction: Redaction = Redaction()
    retention: Retention = Retention()
    reopen_within: timedelta = timedelta(hours=24)
    """An alert that fires again within this time belongs to its incident of before; later it opens a new one."""
    notes_every: timedelta = timedelta(minutes=1)
    """Notes about members and causes are gathered this long, so that a storm is one note; an end is told at once."""
    inbound: Mapping[str, Inbound] = field(default_factory=dict)
    """By destination, connector kind or `defaults`; see `inbound_of`."""
    closed_records: Mapping[str, ClosedRecord] = field(default_factory=dict)
    """By destination, connector kind or `defaults`; see `closed_of`."""

    def inbound_of(self, destination: str, kind: str) -> Inbound:
        """What the destination's people may do: its own entry, its kind's, the defaults; the first that is there."""
        given = self.inbound
        return given.get(destination) or given.get(kind) or given.get("defaults") or Inbound()

    def closed_of(self, destination: str, kind: str) -> ClosedRecord:
        """What becomes of the destination's ended records: its own entry, its kind's, the defaults."""
        given = self.closed_records
        return given.get(destination) or given.get(kind) or given.get("defaults") or ClosedRecord()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A configured way out: connector kind, mode, and the connector's own validated options.

    `options` is what the connector's Config model is built from; secret values in it are already resolved but
    wrapped (pydantic SecretStr) so that no repr shows them."""

    name: str
    kind: str
    mode: Mode = Mode.LIVE
    options: Mapping[str, object] = field(default_factory=dict)
    max_new_per_hour: int = 60
    poll_every: timedelta = timedelta(minutes=2)
    """How often it is asked what people did there; zero: never."""
    origin: str = ""

    def text(self, option: str) -> str:
        """An option in plain text, also where the mappings refer to it; empty when it is not given."""
        given = self.options.get(option)
        return given.get_secret_value() if isinstance(given, SecretStr) else str(given or "")
