"""Small builders: a wanted record, a task, a note."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tocsin.domain.alert import Severity
from tocsin.domain.policy import Want
from tocsin.domain.record import Note, Outcome, Task, Wanted

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEY = "5d1f0a6b8c2e4f7091a3b5c7d9e0f214"

WANTED = Wanted(
    key=KEY,
    incident_id=UUID("01932f5e-7c00-7000-8000-0000000000a1"),
    display="TOC-7",
    generation=0,
    status="open",
    want=Want.TICKET,
    severity=Severity.ERROR,
    impact=2,
    urgency=2,
    title="Drift of feature basket_size in model:returns",
    body="What: the distribution has moved.\nLikely cause: deploy of job:baskets at 11:48.",
    category="feature_drift",
    environment="production",
    team="returns-ml",
    address={"assignment_group": "ML Platform", "routing_key": "returns", "project": "OPS"},
    opened_at=NOW,
    links=(("Runbook", "https://runbooks.example.com/drift"),),
)


def wanted(**changes: Any) -> Wanted:
    """The usual record, but for what is given."""
    return replace(WANTED, **changes)


def task(**changes: Any) -> Task:
    """A first attempt at the usual record, but for what is given."""
    return replace(Task(wanted=WANTED, now=NOW), **changes)


def note(number: int, text: str = "The share of empty baskets rose to 31 %.") -> Note:
    """The n-th note."""
    return Note(id=UUID(int=(0x01932F5E7C007000 << 64) + number), text=text)


def after(outcome: Outcome, before: Task, **changes: Any) -> Task:
    """The next attempt, when delivery has kept what the last one learned."""
    known = outcome.confirmation
    learned: dict[str, Any] = {"attempts": before.attempts + 1}
    if known is not None:
        learned |= {
            "external_id": known.external_id,
            "number": known.number,
            "url": known.url,
            "sent": known.sent,
            "observed": known.observed,
            "notes": tuple(one for one in before.notes if one.id not in known.notes),
        }
    if outcome.settled:
        learned |= {"sent_wanted": before.wanted, "ambiguous_since": None, "attempts": 0}
    elif outcome.result == "ambiguous":
        learned["ambiguous_since"] = before.ambiguous_since or before.now
    return replace(before, **{**learned, **changes})
