"""What happened when around one incident, laid out for a picture: texts ready to print, places on the time axis from 0
(left edge) to 1 (right edge)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.domain.alert import Severity

FILE = "timeline.png"
"""Name of the picture's file, and of its address below the incident's page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment that the axis names."""

    at: float
    clock: str
    lag: str = ""
    """How long before or after the beginning; said where the axis is stretched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One likely cause on a line of its own."""

    name: str
    at: float
    probability: str
    lag: str
    """`14 min before`."""
    strong: bool = False
    """It may be spoken of: likely, suspected, or confirmed by a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span in which something of the lane alerted; overlapping alerts are one."""

    begin: float
    end: float
    severity: Severity
    firing: bool
    """It goes on at `end`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The alerts of one affected item, or of all those that have no lane of their own."""

    name: str
    remark: str
    """`10 alerts, bad values`."""
    bars: tuple[Bar, ...]
    begins: tuple[float, ...]
    """When single alerts began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A measured course on a line of its own."""

    name: str
    remark: str
    """`0.196 → 4.12`: from its first to its last values."""
    points: tuple[tuple[float, float], ...]
    """Place on the axis, and height from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The picture's content. Nothing in it depends on when or where it is drawn."""

    title: str
    verdict: str
    """The answer in one line."""
    causes: tuple[Cause, ...]
    others: tuple[float, ...]
    """Other changes of the environment, as faint marks."""
    others_remark: str
    """`12 other changes, 31 more earlier`."""
    lanes: tuple[Lane, ...]
    curves: tuple[Curve, ...]
    ticks: tuple[Tick, ...]
    stretched: bool
    """Distances to the beginning are compressed the more the larger they are."""
    began: float
    began_after: float | None = None
    """It began somewhere between this place and `began`; None: there."""
    began_words: str
    looked: float
    looked_words: str
    day: str
    """Date and zone of the clock times."""
    looked_at: datetime
