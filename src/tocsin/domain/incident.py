"""Alerts that share a cause, and everything decided about them: suspects, advice, owner, route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from tocsin.domain.alert import AlertState, Sample, Severity, Symptom
from tocsin.domain.catalog import Entry, Ownership
from tocsin.domain.change import Change
from tocsin.domain.drift import Drift
from tocsin.domain.family import ALONE, Family
from tocsin.domain.people import NOBODY, Hands
from tocsin.domain.policy import Want
from tocsin.domain.subject import Subject


class IncidentState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class Band(StrEnum):
    """How the first suspect may be spoken of (correlation.md §2.1); never "confirmed" by the machine."""

    LIKELY = "likely"
    """P ≥ .8: may stand in the short description."""
    SUSPECT = "suspect"
    """.3 ≤ P < .8."""
    UNLIKELY = "unlikely"


class Category(StrEnum):
    DATA = "data"
    MODEL = "model"
    PLATFORM = "platform"
    PRODUCT = "product"
    EXTERNAL = "external"


class AdviceKind(StrEnum):
    ROLLBACK = "rollback"
    RETRAIN = "retrain"
    RECALIBRATE = "recalibrate"
    FIX_DATA = "fix_data"
    ADJUST_THRESHOLD = "adjust_threshold"
    WAIT = "wait"
    INVESTIGATE = "investigate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBefore:
    """Earlier changes of one kind to one subject: how many of them were followed by one of the incident's alerts, and
    in how many other windows of time such an alert opened too. `q` is `p` after Benjamini–Hochberg."""

    followed: int
    of: int
    others_followed: int
    others: int
    p: float
    q: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A change with its evidence. `lag` is onset minus change; `path` leads from the change's subject to the first
    affected subject; `expected`/`seen`: how many monitored dependants should alert and how many do."""

    change: Change
    probability: float
    band: Band
    lag: timedelta
    path: tuple[Subject, ...] = ()
    expected: int = 0
    seen: int = 0
    base_rate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """5 %, mean and 95 % of the risk that such a change breaks something."""
    typical_lag: tuple[timedelta, timedelta] | None = None
    """The middle half of lags for this kind."""
    because: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    """Ids of overlapping changes that are judged as one with this one."""
    member_shares: tuple[float, ...] = ()
    """The part of `probability` that each of `members` has; what is left is this change's own."""
    terms: Mapping[str, float] = field(default_factory=dict)
    """Additive log-odds by name; they sum to the shown logit."""
    seen_before: SeenBefore | None = None
    """What followed earlier changes like this one, when that is no chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one scorer or rule would have answered, kept for comparison: at most five candidates, best first, each as
    the ids of the changes judged as one (the speaker first). A rule gives an order only."""

    candidates: tuple[tuple[str, ...], ...]
    probabilities: tuple[float, ...] = ()
    no_change: float = 0.0
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Every candidate change against "no known change explains this". Suspects come best first, at most five;
    `other` is the probability of the candidates not shown. suspects + other + no_change = 1."""

    suspects: tuple[Suspect, ...]
    no_change: float
    other: float = 0.0
    candidates: int = 0
    onset_at: datetime
    onset_after: datetime | None = None
    """Trouble began between this and `onset_at`: all that the check which saw it first tells; None: at `onset_at`."""
    scored_at: datetime
    scorer: str
    """Name and version of the scorer."""
    digest: str
    """Hash of the inputs, for exact replay."""
    low_evidence: bool = True
    order: str = ""
    """Whose order the suspects stand in, when it is not that of what was learned (decide/guard.py)."""
    order_why: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """What every scorer and rule answered, by name: what the guard is judged by once a person confirms the cause."""
    lineage_at: datetime | None = None
    """The full hour as of which lineage was learned from runs; None when there was none."""

    @property
    def first(self) -> Suspect | None:
        return self.suspects[0] if self.suspects else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    kind: AdviceKind
    text: str
    """What to do first, in one sentence."""
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """One item of the blast radius. `impact` comes from kpi and contract only; empty: not mapped."""

    subject: Subject
    hops: int
    alerting: bool = False
    impact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """A past incident like this one."""

    number: str
    record_number: str = ""
    title: str = ""
    cause: str = ""
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """What a responder would look up: the head subject's entry, the path's changes, outages, the blast radius."""

    head: Subject
    """The affected item that the incident is about: the most upstream alerting subject, or the likely cause's."""
    entry: Entry | None = None
    runbook: str = ""
    runbook_why: str = ""
    category: Category = Category.PLATFORM
    blast: tuple[Affected, ...] = ()
    impact: str = ""
    """One line; `impact not mapped` when nobody wrote kpi or contract."""
    recent: tuple[Change, ...] = ()
    """Deploys and pipeline runs on the path, newest first, at most 5."""
    outages: tuple[str, ...] = ()
    similar: tuple[Similar, ...] = ()
    samples: tuple[Sample, ...] = ()
    advice: tuple[Advice, ...] = ()
    drift: Drift | None = None
    """What its drift alerts are worth; None when it has none."""


NOT_AMONG_THEM = "none"
"""The confirmed change when a person says that no shown change was the cause."""


class GateState(StrEnum):
    ACTIVE = "active"
    MUTED = "muted"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """May the incident page or ticket now? `until` says when the question is asked again (muted, waiting)."""

    state: GateState
    reason: str
    """A stable word: active, in_window, known_outage, not_persistent, flapping, test …"""
    because: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What grouping knows of one incident, as it is kept between batches: all of it, so that the same alerts end in
    the same incidents however they were batched."""

    incident_id: UUID
    times: tuple[float, ...]
    """Minutes since 1970 of its latest alerts, sorted."""
    first: float
    """Minute of its very first one."""
    subjects: tuple[tuple[Subject, float], ...]
    """In the order in which they joined, with the minute at which each last alerted."""
    names: tuple[tuple[Subject, str], ...]
    texts: tuple[tuple[str, ...], ...]
    """The words of its first alerts' names."""
    weights: tuple[float, ...] = ()
    """By subject, how much of a surprise its alert was: 1 for what never alerts, near 0 for what always does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """When an incident began, grew and ended: what folding signals into it needs to know."""

    id: UUID
    state: IncidentState
    opened_at: datetime
    last_alert_at: datetime
    resolved_at: datetime | None = None
    reopened: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Page, ticket or nothing, for whom and where, by which rule."""

    want: Want
    rule: str
    because: str
    ownership: Ownership
    destinations: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident with all that was decided last. `number` is for display only (TOC-1042)."""

    id: UUID
    number: int
    environment: str
    state: IncidentState
    opened_at: datetime
    members: tuple[AlertState, ...]
    last_alert_at: datetime | None = None
    """Receipt of the alert that joined last: as of then it sees learned lineage."""
    resolved_at: datetime | None = None
    reopened: int = 0
    parent_id: UUID | None = None
    attribution: Attribution | None = None
    enrichment: Enrichment | None = None
    gate: Gate | None = None
    routing: Routing | None = None
    reassigned: bool = False
    """The one automatic reassignment has been used."""
    human_touched: bool = False
    """Somebody acknowledged it or assigned it by hand: owners do not change by themselves any more."""
    confirmed_change: str = ""
    """Id of the change that a person confirmed as the cause."""
    hands: Hands = NOBODY
    """What people did about it at the service desks."""
    family: Family = ALONE
    """Open incidents of the same cause."""

    @property
    def display(self) -> str:
        return f"TOC-{self.number}"

    @property
    def firing(self) -> tuple[AlertState, ...]:
        return tuple(m for m in self.members if m.status == "firing")

    @property
    def severity(self) -> Severity:
        """The worst severity among firing members, or among all when none fires."""
        members = self.firing or self.members
        return min((m.alert.severity for m in members), key=lambda s: s.rank)

    @property
    def symptoms(self) -> tuple[Symptom, ...]:
        return tuple(sorted({m.alert.symptom for m in self.members}))

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(sorted({m.alert.subject for m in self.members}))
