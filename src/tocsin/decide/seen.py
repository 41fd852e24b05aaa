"""What does grouping ask of an alert?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from tocsin.domain.alert import AlertState, Symptom
from tocsin.domain.subject import Subject

MAX_WINDOW = timedelta(hours=72)
"""As far back as a cause is looked for (correlation.md §2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What grouping asks of an alert. `tokens` are its words; `since`: its check looked at all that happened from then
    to `at`, so that the trouble may be as old."""

    fingerprint: str
    subject: Subject
    name: str
    symptom: Symptom
    at: datetime
    tokens: frozenset[str] = frozenset()
    since: datetime | None = None


def seen_of(state: AlertState) -> Seen:
    """What grouping asks of this alert."""
    alert = state.alert
    return Seen(
        fingerprint=alert.fingerprint,
        subject=alert.subject,
        name=alert.name,
        symptom=alert.symptom,
        at=state.starts_at,
        tokens=tokens_of(alert.name),
        since=looked_since(state),
    )


def looked_since(state: AlertState) -> datetime | None:
    """Since when its check looked at data; None: all the time, nobody says, or at more than three days, which dates
    nothing."""
    since = state.alert.window_starts_at
    dates = since is not None and timedelta(0) < state.starts_at - since <= MAX_WINDOW
    return since if dates else None


def minute_of(at: datetime) -> float:
    """Whole minutes: what is remembered of a group must not depend on how its alerts were batched."""
    return float(at.timestamp() // 60)


@lru_cache(maxsize=4096)
def tokens_of(text: str) -> frozenset[str]:
    """The words of a name, lower case, camel case split, numbers and ids masked as `#`."""
    words = (w for w in re.split(r"[^A-Za-z0-9]+", text) if w)
    parts = (
        ["#"] if len(w) >= 5 and re.search(r"\d", w) else re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", w)
        for w in words
    )
    return frozenset("#" if part.isdigit() else part.lower() for found in parts for part in found)
