"""What are incidents to each other that turn out to have one cause? The earliest is parent, the rest its children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """An open incident, as those see it that may share its cause."""

    id: UUID
    display: str
    """TOC-1042."""
    title: str
    opened_at: datetime
    parent_id: UUID | None = None
    causes: frozenset[str] = frozenset()
    """Ids of the change that is its likeliest or confirmed cause, and of those that are judged as one with it."""
    probability: float = 0.0
    """Of that cause; 1 once a person confirmed it."""
    records: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Destination → vendor's id and number of its open record there, both empty until it has gone out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The open relatives of an incident."""

    parent: Kin | None = None
    children: tuple[Kin, ...] = ()


ALONE = Family()
