"""What is a scenario? Webhooks in the order in which they happened, and what must stand in the service desks after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tocsin.cli._demo.producers import Clock, Post

Desk = Literal["servicenow", "pagerduty", "jira"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record that must stand at a service desk: exactly one, with these fields and these words."""

    desk: Desk
    fields: tuple[tuple[str, str], ...]
    """Field as a person reads it (`Group`, `Priority`) → value."""
    says: tuple[str, ...] = ()
    """Regular expressions that title and body must match."""
    notes: tuple[str, ...] = ()
    """Regular expressions; each fits exactly one work note once everything is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story. `mine` is a regular expression over a record's title: whose record is it?"""

    key: str
    title: str
    story: str
    """One sentence: what happens."""
    mine: str = ""
    changes: tuple[Post, ...] = ()
    """What was changed, the culprit among the innocent."""
    alerts: tuple[Post, ...] = ()
    later: tuple[Post, ...] = ()
    """Alerts that come once the record stands."""
    recovery: tuple[Post, ...] = ()
    records: tuple[Record, ...] = ()
    heads: tuple[str, ...] = ()
    """Affected items of incidents that must stay muted (without a record)."""
    blames: str = ""
    """What Tocsin must name as the likely cause; empty: no known change."""
    nearest: str = ""
    """What a rule that blames the latest change before the first alert would have named: the decoy."""
    lost_answers: int = 0
    """How many of ServiceNow's answers are lost after it has kept the incident."""

    @property
    def grows(self) -> bool:
        """A work note tells what joined late."""
        return any(note.startswith(r"\+") for record in self.records for note in record.notes)


Teller = Callable[[Clock], Scenario]


@dataclass(slots=True)
class Tally:
    """How many webhooks were posted, and how they were answered."""

    posted: int = 0
    refused: list[str] = field(default_factory=list)
