"""What did one alert's numbers look like before? Kept with the alert, bounded, in the order of receipt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FAILED, PASSED = "x", "."
"""The outcomes of checks, as `History.outcomes` writes them."""


class Measure(StrEnum):
    """What a history's values are."""

    OBSERVED = "observed"
    """The alert's own metric, in its unit."""
    MOVE = "move"
    """How far the mean of a distribution lies from the sender's reference, in standard deviations of that."""


class Season(StrEnum):
    """Which earlier values a value is compared with."""

    WEEK = "hour_of_week"
    """Those of the same hour of the week."""
    DAY = "hour_of_day"
    """Those of the same hour of the day."""
    ALL = "all"
    """Whatever the hour: too few of the same."""
    FIRED = "fired"
    """Only what it showed when it fired: its sender tells no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one check of a drift test found large enough to matter."""

    at: datetime
    """The check's own time, on its sender's clock."""
    kinds: str
    """`+` or `-`: the mean moved up or down; `~`: the shape, or the shares of categories, changed. Each beyond what is
    usual at its hour, where that is known. Empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Earlier values, oldest first: at most one an hour (the latest), `hours` (since 1970, UTC), `values` and
    `outcomes` side by side. How many are kept is told in decide/usual.py."""

    of: Measure = Measure.OBSERVED
    hours: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    shapes: tuple[float, ...] = ()
    """Beside the moves only: how far the shape lay from the reference's, in the same unit."""
    outcomes: str = ""
    effects: tuple[Effect, ...] = ()
    """Of the latest checks that told a distribution."""
    opened: tuple[int, ...] = ()
    """Minutes since 1970 at which its latest occurrences were received."""


NO_HISTORY = History()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """One value beside the earlier ones of its kind."""

    value: float
    low: float
    """A tenth of them are below."""
    middle: float
    """Their median."""
    high: float
    """A tenth of them are above."""
    level: float
    """The median of all, whatever the hour."""
    count: int
    season: Season
    z: float | None = None
    """Robust: distance from the median in units of the median absolute deviation, scaled to a standard deviation.
    None when half of the earlier values or more are the same."""
    shape: float = 0.0
    """Of a move: the median change of shape at the same hours."""

    @property
    def inside(self) -> bool:
        """Is it as four in five of them were?"""
        return self.low <= self.value <= self.high
