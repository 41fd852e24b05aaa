"""One symptom of one subject as one monitor reported it, and what we know of it over time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from tocsin.domain.history import NO_HISTORY, History, Usual
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject


class Severity(StrEnum):
    """PD-CEF severities, worst first."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for critical … 3 for info: smaller is worse."""
        return _RANK[self]


_RANK = {Severity.CRITICAL: 0, Severity.ERROR: 1, Severity.WARNING: 2, Severity.INFO: 3}


class Status(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Symptom(StrEnum):
    AVAILABILITY = "availability"
    LATENCY = "latency"
    ERRORS = "errors"
    SATURATION = "saturation"
    FRESHNESS = "freshness"
    VOLUME = "volume"
    SCHEMA = "schema"
    DATA_QUALITY = "data_quality"
    FEATURE_DRIFT = "feature_drift"
    PREDICTION_DRIFT = "prediction_drift"
    CONCEPT_DRIFT = "concept_drift"
    LABEL_DRIFT = "label_drift"
    PERFORMANCE = "performance"
    CALIBRATION = "calibration"
    FAIRNESS = "fairness"
    EXPLAINABILITY = "explainability"
    BUSINESS_KPI = "business_kpi"
    COST = "cost"


class Cohort(StrEnum):
    CANARY = "canary"
    SHADOW = "shadow"
    AB = "A/B"


class Resolves(StrEnum):
    """How an alert of this sender ends."""

    SENDER = "sender"
    """The sender says so."""
    NEXT_PASS = "next_pass"
    """The next passing result of the same check ends it."""
    EXPIRY = "expiry"
    """Nobody ever says so: it ends `expires_after` its last report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One offending record, by reference only: never its content."""

    request_id: str = ""
    trace_url: str = ""
    explanation_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Binned reference and current shares of one feature or prediction; labels name the bins. How many rows either
    side counted is only there when the sender told it: without both there is nothing to test."""

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    reference_size: int | None = None
    current_size: int | None = None
    """Where it is known better than by the alert's `sample_size`: without missing values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A monitor's report. Times are aware UTC; `observed`, `threshold` and `baseline` are in the metric's unit.

    `starts_at` is None when the sender gives no time: then the receipt's order rules.
    `sender_key` is the sender's own identity of this alert (one alert may be reported by several);
    the alert fires while any of its senders' keys fires.
    """

    hook: str
    source: str
    environment: str
    name: str
    subject: Subject
    symptom: Symptom
    severity: Severity
    status: Status
    summary: str
    received_at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    window_starts_at: datetime | None = None
    """Since when the data was recorded that the check looked at; None: it looks all the time, or nobody says."""
    resource: str = ""
    segment: str = ""
    region: str = ""
    cohort: Cohort | None = None
    metric: str = ""
    observed: float | None = None
    threshold: float | None = None
    baseline: float | None = None
    sample_size: int | None = None
    distribution: Distribution | None = None
    model_version: str = ""
    per_version: bool = False
    """True when the monitor reports each model version apart: the version then belongs to the fingerprint."""
    samples: tuple[Sample, ...] = ()
    series: tuple[Series, ...] = ()
    """What was measured lately. Only on the way in: it is kept beside the alert (store/courses.py), not with it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    sender_key: str = ""
    resolves: Resolves = Resolves.SENDER
    expires_after: timedelta | None = None
    fingerprint: str = ""
    """32 hex; filled in when empty. Never from severity or times, so that neither makes a new alert."""

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint_of(self))


def fingerprint_of(alert: Alert) -> str:
    """The identity of an alert across its reports: 32 hex digits (design.md §4)."""
    parts = [
        alert.environment,
        alert.hook,
        alert.subject,
        alert.name,
        alert.resource,
        alert.metric,
        alert.segment,
    ]
    if alert.per_version:
        parts += [alert.model_version, alert.cohort or ""]
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Transition(StrEnum):
    """What one report did to its alert; the reason that the audit trail names."""

    NEW = "new"
    REFIRED = "refired"
    """A new episode of an alert that had ended."""
    REPEAT = "repeat"
    CHANGED = "changed"
    """Still firing, but severity or version moved."""
    RESOLVED = "resolved"
    STILL_FIRING = "still_firing"
    """One sender's key ended; another still fires."""
    FLAPPING = "flapping"
    """Ended or re-fired within a flapping spell: the episode is held open."""
    STALE = "stale"
    """Older than what we know: changes nothing."""
    TOMBSTONE = "tombstone"
    """A resolve for an alert that we have never seen."""
    COVERED = "covered"
    """A firing that an earlier-received resolve already ended."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReports:
    """What one sender key said of one alert: the latest moments at which it began and ended, each sorted, at most
    six. The key fires when its newest start is later than its newest end."""

    key: str
    severity: Severity
    starts: tuple[datetime, ...] = ()
    ends: tuple[datetime, ...] = ()

    @property
    def fires(self) -> bool:
        return bool(self.starts) and (not self.ends or self.starts[-1] > self.ends[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What we know of one alert now: one row of `alerts`."""

    alert: Alert
    """The last report that moved it. When it ended: the last firing report, with the status and end of the resolve
    (resolves often carry neither severity nor values)."""
    status: Status
    episode: int
    """1 for the first firing→resolved span; 0 when only a tombstone was seen."""
    starts_at: datetime
    """Start of this episode."""
    ends_at: datetime | None = None
    last_report_at: datetime
    """Order key of the newest report taken in (sender's clock, clamped)."""
    last_received_at: datetime
    reports: int = 1
    firing_keys: tuple[str, ...] = ()
    """Sender keys that fire, sorted. Empty while `status` is firing: a flapping alert that is held open."""
    keys: tuple[KeyReports, ...] = ()
    """Per sender key, what orders its reports; sorted by key, at most 32."""
    opened: tuple[datetime, ...] = ()
    """When its latest episodes opened (at most 8): the flapping memory."""
    flapping_until: datetime | None = None
    expires_at: datetime | None = None
    history: History = NO_HISTORY
    """What it showed before (decide/usual.py)."""
    usual: Usual | None = None
    """The last firing report's value beside these; None: too few."""
    incident_id: UUID | None = None

    @property
    def fingerprint(self) -> str:
        return self.alert.fingerprint
