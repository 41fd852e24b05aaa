"""What may a mapping file say? One model per section; their descriptions are the reference page and the JSON Schema."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from dateutil.rrule import rrulestr
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from tocsin.config.drifts import DriftIn
from tocsin.config.duration import Duration
from tocsin.config.reads import ReadsIn
from tocsin.config.secret import SecretRef
from tocsin.config.zone import Zone
from tocsin.domain.alert import Cohort, Severity, Symptom
from tocsin.domain.catalog import Criticality, Risk
from tocsin.domain.policy import Mode, Want
from tocsin.domain.subject import KINDS, Subject

Text = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Written unquoted, `4.2` stays the text 4.2; an editor's schema must therefore allow a number."""

_KINDS = "|".join(sorted(KINDS - {"unknown"}))
SubjectRef = Annotated[
    Subject, WithJsonSchema({"type": "string", "pattern": f"^({_KINDS}):.+$", "examples": ["dataset:orders"]})
]


def _pattern(text: str) -> str:
    kind, colon, name = text.partition(":")
    if text != "*" and not (colon and name and (kind in KINDS or "*" in kind)):
        raise ValueError(f"{text!r} is not a pattern like job:ingest-*; kinds are {', '.join(sorted(KINDS))}")
    return text


Pattern = Annotated[
    str,
    AfterValidator(_pattern),
    WithJsonSchema({"type": "string", "pattern": r"^(\*|[a-z*]+:.+)$", "examples": ["job:ingest-*"]}),
]


def _rrule(text: str) -> str:
    if not re.search(r"\bFREQ=(HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY)\b", text) or "DTSTART" in text:
        raise ValueError("needs FREQ=HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY and no DTSTART (starts_at says it)")
    try:
        rrulestr(text.removeprefix("RRULE:"), dtstart=datetime(2026, 1, 1))  # noqa: DTZ001 wall time, as in RFC 5545
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{text!r} is not an RFC 5545 rule ({error}); such as FREQ=WEEKLY;BYDAY=SU") from None
    return text.removeprefix("RRULE:")


def _in_calendar(at: datetime) -> datetime:
    if not 1970 <= at.year <= 2200:
        raise ValueError(f"{at.year} is not a year of our time; write one between 1970 and 2200")
    return at


Moment = Annotated[datetime, AfterValidator(_in_calendar)]
Recurrence = Annotated[str, AfterValidator(_rrule)]


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


Regex = Annotated[str, AfterValidator(_regex)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
HookName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""It stands in an address."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Strict(BaseModel):
    """Unknown keys are refused: a misspelt one must not pass silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- who ---


class OwnsIn(Strict):
    """A claim to subjects by pattern."""

    pattern: Pattern = Field(description="kind:name with * as wildcard; no wildcard beats the longest pattern.")
    symptoms: frozenset[Symptom] = Field(default=frozenset(), description="Only for these symptoms; empty: for all.")


def _claim(value: object) -> object:
    return {"pattern": value} if isinstance(value, str) else value


Claim = Annotated[OwnsIn, BeforeValidator(_claim, json_schema_input_type=Pattern | OwnsIn)]


class BusinessHoursIn(Strict):
    """When the team works."""

    opens: Clock = Field(default="09:00", description="Local opening time.")
    closes: Clock = Field(default="17:00", description="Local closing time.")
    days: list[Day] = Field(default=["mon", "tue", "wed", "thu", "fri"], description="Working days.")
    timezone: Zone = Field(default="UTC", description="IANA time zone.")


class TeamIn(Strict):
    """An owner of subjects, and how it is addressed at each destination."""

    title: Text = Field(default="", description="Name for people.")
    destinations: dict[str, dict[str, Text]] = Field(
        default={}, description="Per destination (a key of connectors): the fields that address this team there."
    )
    owns: list[Claim] = Field(default=[], description="What it owns: patterns, optionally for some symptoms only.")
    escalates_to: str = Field(
        default="", description="The team whose address is used at destinations where this one has none."
    )
    business_hours: BusinessHoursIn = Field(default=BusinessHoursIn(), description="When the team works.")


# --- what ---


class EntryIn(Strict):
    """One thing of the catalogue."""

    owner: str = Field(default="", description="The team that owns it; empty: the teams' patterns decide.")
    depends_on: list[SubjectRef] = Field(default=[], description="What it rests on, upstream: kind:name.")
    aliases: list[Text] = Field(default=[], description="Other names that senders use for it.")
    criticality: Criticality = Field(default=Criticality.MEDIUM, description="How much the business rests on it.")
    risk: Risk = Field(default=Risk.LOW, description="What a wrong answer of it does to people or compliance.")
    runbook: str = Field(default="", description="https address, or a file of this tree such as runbooks/x.md.")
    kpi: Text = Field(default="", description="The business figure that suffers; empty: impact not mapped.")
    contract: Text = Field(default="", description="The promise to customers that is at stake.")
    business_service: Text = Field(default="", description="The business service, as the service desk names it.")
    ci: Text = Field(default="", description="Name of the configuration item in the CMDB; empty: its own name.")
    description: Text = Field(default="", description="What it is, in a sentence.")
    monitored: bool = Field(default=True, description="false when no alert rule watches it: silence says nothing.")
    links: dict[str, str] = Field(default={}, description="Name → https address.")


class ModelIn(EntryIn):
    """An ML model."""

    features: list[Text] = Field(default=[], description="Names of features; short for depends_on: feature:name.")
    version: Text = Field(default="", description="The version that serves.")
    previous_version: Text = Field(default="", description="The last version known to be safe: a rollback's goal.")
    training_snapshot: Text = Field(default="", description="The data that it was trained on.")
    feature_schema_version: Text = Field(default="", description="Version of its feature schema.")
    rollback: Text = Field(default="", description="How to roll back: a command, a page or a sentence.")


# --- how it comes in and goes out ---


class HookIn(Strict):
    """A named inbound address, POST /hooks/<name>."""

    source: str = Field(description="The producer, such as alertmanager.")
    environment: str = Field(
        default="production", min_length=1, description="Environment of all that arrives here; *: the body says it."
    )
    secret: SecretRef | None = Field(default=None, description="What the sender proves itself with.")
    secrets: list[SecretRef] = Field(default=[], description="Several while one is being replaced: any verifies.")
    unverified: bool = Field(default=False, description="true: take messages from anybody. Only behind a wall.")
    defaults: dict[str, Text] = Field(default={}, description="Labels that every signal inherits, such as model.")
    reads: ReadsIn | None = Field(default=None, description="How messages are read; only for source: generic.")
    samples: list[str] = Field(default=[], description="Payloads samples/*.json by which `tocsin check` tries reads.")

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if (self.source == "generic") != (self.reads is not None):
            raise ValueError("reads belongs to source: generic, and every such hook needs it")
        return self

    @model_validator(mode="after")
    def _is_verified(self) -> Self:
        known = bool(self.secret or self.secrets)
        if known == self.unverified:
            raise ValueError("needs either a secret, {env: NAME} or {file: path}, or unverified: true")
        return self


class ConnectorIn(BaseModel):
    """A destination. What stands beside these fields are the connector's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = Field(description="The connector: servicenow, pagerduty, jira, console …")
    mode: Mode = Field(default=Mode.LIVE, description="off; shadow (decide and show, send nothing); live.")
    max_new_per_hour: int = Field(default=60, ge=1, description="New records an hour before a storm is capped.")
    poll_every: Duration = Field(
        default=timedelta(minutes=2), description="How often it is asked what people did there; 0s: never."
    )


# --- policies ---


class WhenIn(Strict):
    """All that is given must hold; what is left out holds always."""

    subjects: list[Pattern] = Field(default=[], description="Patterns such as model:*.")
    symptoms: frozenset[Symptom] = Field(default=frozenset(), description="Any of these symptoms.")
    sources: frozenset[str] = Field(default=frozenset(), description="Any of these producers.")
    environments: frozenset[str] = Field(default=frozenset(), description="Any of these environments.")
    cohorts: frozenset[Cohort] = Field(default=frozenset(), description="Any of these cohorts.")
    severity: Severity | None = Field(default=None, description="At least this bad.")
    criticality: Criticality | None = Field(default=None, description="At least this critical.")
    risk: Risk | None = Field(default=None, description="At least this risky.")
    business_hours: bool | None = Field(default=None, description="true: only in the owner's hours; false: outside.")
    probability: float | None = Field(default=None, ge=0, le=1, description="The likely cause is at least so likely.")
    labels: dict[str, Text] = Field(default={}, description="Labels with exactly these values.")


class RouteIn(Strict):
    """The first route whose condition holds decides."""

    name: Text = Field(min_length=1, description="Unique; the ticket names it as its reason.")
    want: Want = Field(description="page, ticket or none.")
    when: WhenIn = Field(default=WhenIn(), description="The condition; empty: always.")
    team: str = Field(default="", description="Overrides the owner.")
    destinations: list[str] = Field(default=[], description="Names of connectors; empty: the defaults.")


class FlappingIn(Strict):
    """An alert that opens `opens` times within `within` is held open until `quiet` has passed."""

    opens: int = Field(default=4, ge=2, description="How often it opens.")
    within: Duration = Field(default=timedelta(hours=3), description="In how long.")
    quiet: Duration = Field(default=timedelta(minutes=30), description="Calm that ends it.")


class RedactionIn(Strict):
    """What must not leave, besides what never does (passwords, tokens, e-mail addresses, card numbers)."""

    keys: list[Text] = Field(default=[], description="Names of labels and fields whose values go.")
    patterns: dict[str, Regex] = Field(default={}, description="Name → regular expression; matches go.")


class RetentionIn(Strict):
    """How long things are kept."""

    raw: Duration = Field(default=timedelta(days=14), description="Raw, encrypted bodies.")
    audit: Duration = Field(default=timedelta(days=400), description="The audit trail.")
    attempts: Duration = Field(default=timedelta(days=90), description="Attempts at delivery.")


class OutageIn(Strict):
    """A known outage of a feature or data source."""

    subject: SubjectRef = Field(description="What is out.")
    starts_at: Moment = Field(description="With its offset: 2026-11-02T08:00:00Z.")
    ends_at: Moment | None = Field(default=None, description="Left out while it lasts.")
    ticket: Text = Field(default="", description="Its ticket.")
    note: Text = Field(default="", description="What people should know.")

    @model_validator(mode="after")
    def _has_offsets(self) -> Self:
        for at in (self.starts_at, self.ends_at):
            if at is not None and at.tzinfo is None:
                raise ValueError(f"{at.isoformat()} has no offset; write {at.isoformat()}Z for UTC")
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends before it starts; exchange starts_at and ends_at")
        return self


class InboundIn(Strict):
    """What follows when a person acts on a record of ours; what is left out, `defaults` says."""

    acknowledge: Literal["mirror", "note", "ignore"] = Field(
        default="mirror", description="mirror: its other records are acknowledged or in progress too; note: only told."
    )
    resolve: Literal["incident", "record", "note"] = Field(
        default="incident",
        description="incident: over until an alert fires anew; record: only this one is; note: the others are told.",
    )
    reopen: Literal["mirror", "note", "ignore"] = Field(
        default="mirror", description="mirror: the incident is open again; note: only told."
    )
    reassign: Literal["follow", "note", "ignore"] = Field(
        default="follow", description="follow: the team whose address it is becomes the owner; note: only told."
    )
    priority: Literal["follow", "note", "ignore"] = Field(
        default="follow", description="follow: the other records take it over; note: only told."
    )
    cause: Literal["learn", "ignore"] = Field(
        default="learn", description="learn: a caused_by set by a person confirms the change of that number."
    )
    close_codes: dict[str, Literal["likely_cause", "no_change"]] = Field(
        default={}, description="Close code or resolution → what it confirms of the cause."
    )
    comments: Literal["mirror", "ignore"] = Field(
        default="ignore", description="mirror: people's comments become notes on the other records."
    )


class ClosedRecordIn(Strict):
    """What follows when an incident fires again whose record has ended; what is left out, `defaults` says."""

    reopen_within: Duration | None = Field(
        default=None, description="So long after its end a record is opened again; left out: as long as the incident."
    )
    then: Literal["new_generation", "comment_only"] = Field(
        default="new_generation", description="After that: a new linked record, or only a note on the old one."
    )


class PoliciesIn(Strict):
    """How noise, routes, redaction and retention are treated."""

    catch_all: str = Field(default="", description="The team that gets what nobody owns.")
    routes: list[RouteIn] = Field(default=[], description="Page, ticket or none: the first that holds decides.")
    defaults: dict[Literal["page", "ticket"], list[str]] = Field(
        default={}, description="Destinations for a page and for a ticket when the route names none."
    )
    persistence: dict[Symptom, Duration] = Field(
        default={}, description="How long a symptom must last before it pages or tickets; absent: at once."
    )
    persistence_subjects: int = Field(default=2, ge=1, description="…unless so many subjects alert.")
    drift: DriftIn = Field(default=DriftIn(), description="When a drift counts, and what follows when it does not.")
    flapping: FlappingIn = Field(default=FlappingIn(), description="When an alert flaps.")
    severities: dict[str, dict[str, Severity]] = Field(
        default={}, description="Per source (or *): a sender's own word → our severity."
    )
    owners_by_symptom: dict[Symptom, str] = Field(default={}, description="The team for a symptom, whatever it is of.")
    runbooks: dict[Symptom, str] = Field(default={}, description="Starter runbook per symptom.")
    redaction: RedactionIn = Field(default=RedactionIn(), description="What must not leave.")
    retention: RetentionIn = Field(default=RetentionIn(), description="How long things are kept.")
    outages: list[OutageIn] = Field(default=[], description="Known outages: parents of alerts that rest on them.")
    reopen_within: Duration = Field(
        default=timedelta(hours=24), description="So long after its end an alert that fires again reopens its incident."
    )
    notes_every: Duration = Field(
        default=timedelta(minutes=1), description="News of an incident is gathered so long for one work note."
    )
    inbound: dict[str, InboundIn] = Field(
        default={}, description="What people's acts on our records do, by destination, connector kind or `defaults`."
    )
    closed_records: dict[str, ClosedRecordIn] = Field(
        default={}, description="What becomes of ended records, by destination, connector kind or `defaults`."
    )


class WindowIn(Strict):
    """A maintenance window. It mutes; it never discards."""

    subjects: list[Pattern] = Field(min_length=1, description="What is being worked on: patterns.")
    starts_at: Moment = Field(description="First opening; without an offset it is wall time of `timezone`.")
    duration: Duration = Field(description="How long each opening lasts.")
    timezone: Zone = Field(default="UTC", description="IANA time zone of the wall time and of the recurrence.")
    rrule: Recurrence | None = Field(default=None, description="RFC 5545, such as FREQ=WEEKLY;BYDAY=SU.")
    environments: frozenset[str] = Field(default=frozenset(), description="Only in these; empty: in all.")
    symptoms: frozenset[Symptom] = Field(default=frozenset(), description="Only these; empty: all.")
    include_dependants: bool = Field(default=False, description="Also what rests on the subjects directly.")
    ticket: Text = Field(default="", description="The change record, such as CHG0030001.")


class MappingFile(Strict):
    """One file of the tree: any file may hold any section."""

    teams: dict[str, TeamIn] = Field(default={}, description="Owners.")
    services: dict[str, EntryIn] = Field(default={}, description="Services, by name.")
    datasets: dict[str, EntryIn] = Field(default={}, description="Datasets, by name.")
    features: dict[str, EntryIn] = Field(default={}, description="Features, by name.")
    jobs: dict[str, EntryIn] = Field(default={}, description="Jobs and pipelines, by name.")
    models: dict[str, ModelIn] = Field(default={}, description="ML models, by name.")
    hosts: dict[str, EntryIn] = Field(default={}, description="Hosts, by name.")
    queues: dict[str, EntryIn] = Field(default={}, description="Queues and topics, by name.")
    providers: dict[str, EntryIn] = Field(default={}, description="Outside providers, by name.")
    hooks: dict[HookName, HookIn] = Field(default={}, description="Inbound addresses, by name.")
    connectors: dict[str, ConnectorIn] = Field(default={}, description="Destinations, by name.")
    policies: PoliciesIn = Field(default=PoliciesIn(), description="Noise, routes, redaction, retention.")
    maintenance: dict[str, WindowIn] = Field(default={}, description="Maintenance windows, by name.")


ENTRY_SECTIONS = {
    "services": "service",
    "datasets": "dataset",
    "features": "feature",
    "jobs": "job",
    "models": "model",
    "hosts": "host",
    "queues": "queue",
    "providers": "provider",
}
"""Section → kind of subject."""
