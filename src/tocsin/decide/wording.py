"""How do we say it on a ticket: numbers with units, spans, clock times, symptoms, changes, in plain words."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from zoneinfo import ZoneInfo

from tocsin.decide.redact import Redactor, clean
from tocsin.domain.alert import Alert, Symptom
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.subject import Subject

MAX_NAME = 60
MAX_READ = 10_000
"""So much of an outside text is looked at."""
WIDTH = 100
LABEL = 10
"""Columns of a section's name."""
TIE = "\u00a0"
"""A blank that wrapping leaves alone; it becomes an ordinary one on the page."""

SYMPTOM_WORDS = {
    Symptom.SCHEMA: "schema changed",
    Symptom.DATA_QUALITY: "bad values",
    Symptom.AVAILABILITY: "unavailable",
    Symptom.ERRORS: "errors",
    Symptom.LATENCY: "slow",
    Symptom.SATURATION: "saturated",
    Symptom.VOLUME: "row count off",
    Symptom.FRESHNESS: "late",
    Symptom.PERFORMANCE: "less accurate",
    Symptom.CONCEPT_DRIFT: "concept drift",
    Symptom.CALIBRATION: "miscalibrated",
    Symptom.FAIRNESS: "uneven between groups",
    Symptom.FEATURE_DRIFT: "values shifted",
    Symptom.PREDICTION_DRIFT: "prediction drift",
    Symptom.LABEL_DRIFT: "label drift",
    Symptom.EXPLAINABILITY: "explanations changed",
    Symptom.BUSINESS_KPI: "business figure off",
    Symptom.COST: "over cost",
}
"""What shows, the most telling first."""

TELLING = tuple(SYMPTOM_WORDS)

STATE_WORDS = {
    **SYMPTOM_WORDS,
    Symptom.SCHEMA: "broken",
    Symptom.DATA_QUALITY: "broken",
    Symptom.AVAILABILITY: "down",
    Symptom.ERRORS: "failing",
    Symptom.VOLUME: "incomplete",
    Symptom.CONCEPT_DRIFT: "less accurate",
    Symptom.FEATURE_DRIFT: "shifted",
    Symptom.PREDICTION_DRIFT: "predicting differently",
    Symptom.LABEL_DRIFT: "with shifted labels",
    Symptom.EXPLAINABILITY: "explained differently",
    Symptom.BUSINESS_KPI: "off its business figure",
}
"""The title's word: `Orders data broken since …`."""

CHANGE_WORDS = {
    ChangeKind.SERVICE_DEPLOYED: "deploy",
    ChangeKind.SERVICE_ROLLEDBACK: "rollback",
    ChangeKind.SERVICE_REMOVED: "removal",
    ChangeKind.ENVIRONMENT_MODIFIED: "config change",
    ChangeKind.FEATURE_FLAG_CHANGED: "flag",
    ChangeKind.PIPELINERUN_FINISHED: "run",
    ChangeKind.BUILD_FINISHED: "build",
    ChangeKind.ARTIFACT_PUBLISHED: "release",
    ChangeKind.DATASET_SCHEMA_CHANGED: "schema change",
    ChangeKind.DATASET_MODIFIED: "data change",
    ChangeKind.MODEL_REGISTERED: "registration",
    ChangeKind.MODEL_PROMOTED: "promotion",
    ChangeKind.MODEL_DEPLOYED: "model deploy",
    ChangeKind.FEATURE_OUTAGE: "outage",
    ChangeKind.CHANGE_REQUEST: "planned change",
}

_KIND_PREFIX = re.compile(r"\b(?:service|model|feature|dataset|job|host|queue|provider|unknown):(?=[^\s/*]|\*\S)")

JARGON = re.compile(
    r"\b(?:suspects?|subjects?|fingerprints?|episodes?|posteriors?|priors?|p-values?|blast radius|likelihoods?|"
    r"log-odds|logit|bayes\w*|kappa|lambda|z-scores?|null hypothes[ie]s|candidates?|tombstones?)\b|"
    r"\b[pq] ?[<=] ?0?\.\d",
    re.IGNORECASE,
)
"""Internal words and statistics jargon: evidence worded with them stays out of the ticket (design.md §4)."""


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes outside text redacted and printable, and times on the readers' wall clock."""

    redactor: Redactor
    zone: str
    day_of: datetime
    """Times on this day are written without their date."""

    def said(self, text: str, limit: int = 200) -> str:
        """Outside text as one redacted line: joined first, so that no line break hides a secret, cut last, so that
        no half of one stays."""
        return clean(self.redactor.text(clean(text, MAX_READ)), limit)

    def name(self, subject: Subject) -> str:
        """The bare name; its kind is said where it matters."""
        return self.said(subject.name or subject, MAX_NAME)

    def names(self, subjects: Iterable[Subject], most: int = 3) -> str:
        """`churn, demand and 4 more`."""
        written = list(dict.fromkeys(self.name(s) for s in subjects))
        more = f" and {len(written) - most} more" if len(written) > most else ""
        return ", ".join(written[:most]) + more

    def plain(self, text: str, limit: int = 200) -> str:
        """A sentence of ours about subjects, without their `kind:` prefixes."""
        return self.said(_KIND_PREFIX.sub("", text), limit)

    def clock(self, at: datetime) -> str:
        """`09:42`, `10:42 CET`, `2 Feb 09:42`: zone when it is not UTC, date when it is another day."""
        zone = ZoneInfo(self.zone)
        local, today = at.astimezone(zone), self.day_of.astimezone(zone)
        date = "" if local.date() == today.date() else f"{local.day} {local:%b} "
        return f"{date}{local:%H:%M}{'' if self.zone == 'UTC' else f' {local:%Z}'}"

    def change(self, change: Change) -> str:
        """`run ingest-orders #8841`, `deploy checkout 4.8.1 (CHG0030001)`."""
        version = self.said(change.version, 40)
        if version:
            version = f" #{version}" if version.isdigit() else f" {version}"
        ticket = f" ({self.said(change.ticket, 20)})" if change.ticket else ""
        failed = " failed" if change.outcome is ChangeOutcome.FAILURE else ""
        return f"{CHANGE_WORDS[change.kind]} {self.name(change.subject)}{version}{ticket}{failed}"


def percent(probability: float) -> str:
    """`86 %`; never a certainty that nobody has: `> 99 %`, `< 1 %`."""
    if probability >= 0.995:
        return "> 99 %"
    return "< 1 %" if probability < 0.01 else f"{whole_percent(probability)} %"


def whole_percent(probability: float) -> int:
    """Rounded half up, 0 to 99."""
    return min(int(probability * 100 + 0.5), 99)


def span(length: timedelta) -> str:
    """`45 s`, `14 min`, `3 h`, `1 h 32 m`, `2 d 4 h`."""
    seconds = int(abs(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    large, small, of, left = ("h", "m", 3600, 60) if seconds < 86400 else ("d", "h", 86400, 3600)
    rest = seconds % of // left
    return f"{seconds // of} {large}" + (f" {rest} {small}" if rest else "")


def counted(count: int, noun: str) -> str:
    """`1 alert`, `4 alerts`, `2 queries`."""
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {plural}"


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


# --- numbers ---

_UNITS = {
    "seconds": "s", "second": "s", "sec": "s", "secs": "s", "s": "s",
    "ms": "ms", "millis": "ms", "milliseconds": "ms",
    "minutes": "min", "mins": "min", "hours": "h", "hour": "h",
    "ratio": "share", "share": "share", "fraction": "share", "proportion": "share",
    "percent": "%", "pct": "%", "percentage": "%",
}  # fmt: skip
"""The last word of a metric's name tells its unit, as OpenMetrics asks; `share` is 0 … 1."""

_SHARES = frozenset({"null", "nulls", "missing", "error", "errors", "failure", "failures", "invalid", "duplicate"})
"""Metrics of these words are shares when their values say so (≤ 1)."""

_SECONDS = {"s": 1.0, "ms": 0.001, "min": 60.0, "h": 3600.0}
_WORDS = {"null": "nulls", "error": "errors", "failure": "failures"}


def quantity(alert: Alert, pen: Pen, *, at_worst: bool = False) -> str:
    """`nulls 0.4 % → 31 %`, `3 h stale`, `p99 latency 2.3 s (limit 800 ms)`; empty when no number is known.
    `at_worst` says that other alerts of the same kind show less."""
    if alert.observed is None:
        return ""
    label, unit = _unit(alert)
    worst = " at worst" if at_worst else ""
    observed = _number(alert.observed, unit)
    if alert.symptom is Symptom.FRESHNESS and unit in _SECONDS:
        return f"{observed} stale{worst}"
    label = pen.said(label, 40)
    if alert.baseline is not None:
        return f"{label} {_number(alert.baseline, unit)} → {observed}{worst}"
    limit = f" (limit {_number(alert.threshold, unit)})" if alert.threshold is not None else ""
    return f"{label} {observed}{worst}{limit}"


def amount(alert: Alert, value: float) -> str:
    """A number in the unit of the alert's metric."""
    return _number(value, _unit(alert)[1])


def figure(value: float) -> str:
    """A measured number with three figures: `0.196`, `4.12`, `2,300`."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"


def label_of(alert: Alert) -> str:
    """Its metric in words, without the unit."""
    return _unit(alert)[0]


def share_of(alert: Alert) -> float:
    """What turns the alert's numbers into shares of 1; 0 when they are none."""
    return {"share": 1.0, "%": 0.01}.get(_unit(alert)[1], 0.0)


def _unit(alert: Alert) -> tuple[str, str]:
    """The metric in words and its unit."""
    words = [word for word in re.split(r"[\W_]+", alert.metric.lower()) if word]
    unit = _UNITS.get(words[-1], "") if len(words) > 1 or (alert.symptom is Symptom.FRESHNESS and words) else ""
    if unit:
        words = words[:-1]
    known = [v for v in (alert.observed, alert.baseline) if v is not None]
    if not unit and _is_share(words) and all(0 <= value <= 1 for value in known):
        unit = "share"
    if unit == "share":
        words = [_WORDS.get(word, word) for word in words if word != "rate"]
    return " ".join(words) or SYMPTOM_WORDS[alert.symptom], unit


def _is_share(words: Sequence[str]) -> bool:
    """`nulls`, `error_rate`, `http_error_rate`; not `calibration_error`, which is no share of anything."""
    return bool(_SHARES & set(words)) and (words[-1] == "rate" or set(words) <= _SHARES)


def _number(value: float, unit: str) -> str:
    """Two significant figures, none of them false precision: `0.4 %`, `31 %`, `2.3 s`, `180 ms`, `1,240`."""
    if unit in ("share", "%"):
        return f"{_hundredth(value * 100 if unit == 'share' else value)} %"
    if unit not in _SECONDS:
        return _short(value)
    seconds = value * _SECONDS[unit]
    if not isfinite(seconds):
        return _short(value)
    if abs(seconds) < 1:
        return f"{_short(seconds * 1000)} ms"
    if abs(seconds) < 60:
        return f"{_short(seconds)} s"
    return span(timedelta(seconds=max(-1e9, min(seconds, 1e9))))


def _hundredth(value: float) -> str:
    """Near 100 the distance to it counts: `99.8`, never a rounded 100."""
    if 99 <= value < 100:
        return f"{value:.4g}" if value < 99.99 else "> 99.99"
    return _short(value)


def _short(value: float) -> str:
    if not isfinite(value) or abs(value) >= 1e15 or (value != 0 and abs(value) < 1e-4):
        return f"{value:.2g}"
    if abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.2g}"


# --- lines ---


def section(label: str, text: str, most: int) -> list[str]:
    """The section's lines, at most `most` and WIDTH wide: its name once, the rest indented. Empty text: no lines.
    A newline in `text` starts a new line; whatever does not fit ends in …"""
    if not text.strip():
        return []
    lines = [piece for part in text.split("\n") for piece in textwrap.wrap(part, WIDTH - LABEL, break_on_hyphens=False)]
    if len(lines) > most:
        last = lines[most - 1][: WIDTH - LABEL - 2].rstrip()
        lines = [*lines[: most - 1], f"{last} …"]
    heads = [label, *[""] * (len(lines) - 1)]
    return [f"{head:<{LABEL}}{line}".replace(TIE, " ").rstrip() for head, line in zip(heads, lines, strict=True)]
