"""How a destination stands: in use, paused by a person, or at rest because it does not answer or asked us to wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.domain.policy import Mode

AT_ONCE = 16
"""Records under way at once at one destination, on all hosts together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One destination, as all hosts see it."""

    name: str
    kind: str = ""
    mode: Mode = Mode.LIVE
    paused_at: datetime | None = None
    paused_by: str = ""
    paused_why: str = ""
    failures: int = 0
    """Attempts in a row that the destination did not answer, or answered with an error of its own."""
    at_once: int = AT_ONCE
    """Records that may be under way now: one after a rest, then one more with each success."""
    open_since: datetime | None = None
    """Since when the circuit is open: the destination is only probed, one record at a time."""
    openings: int = 0
    """Rests since then."""
    rests_until: datetime | None = None
    rests_why: str = ""
    """A Reason."""
    rests_detail: str = ""
    """The vendor's own words, redacted."""
    calls_per_minute: float | None = None
    calls_per_hour: float | None = None
    minute_left: float = 0.0
    """Calls that the minute's bucket still holds; below 0 when attempts took more than was foreseen."""
    hour_left: float = 0.0
    refilled_at: datetime | None = None
    alert_at: datetime | None = None
    """When our own alert is due, unless it answers before."""
    alerted_at: datetime | None = None

    @property
    def limited(self) -> bool:
        """Do we count its calls?"""
        return self.calls_per_minute is not None or self.calls_per_hour is not None
