"""How good is one alert rule? What it led to over a while, and what its owner should mend first (correlation.md §5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

FEW = 5
"""Fewer judged incidents, or firings, say nothing of a rule (a share of one in five is uncertain by 35 points)."""
NOISY, UNCLEAR, FLAPPING = 0.5, 0.5, 0.3
"""Below half nobody acts, or nobody is told what to do; from three in ten on it comes back at once. Judgements: every
second alarm for nothing is what on-call people say they stop reading at."""
COMES_BACK = timedelta(minutes=30)
"""An alarm that fires again so soon after its end flaps: the window of severity flapping in correlation.md §4."""
CHRONIC = 4.0
"""Firings a day of one item from which they are no news: where flapping begins (correlation.md §4)."""
SHORT = timedelta(minutes=10)
"""The usual persistence (correlation.md §4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """One alert rule: a name from one source about things of one owner (empty: nobody's)."""

    name: str
    source: str
    owner: str
    fired: int
    """Episodes that began in the time looked at."""
    incidents: int
    """Incidents that it was part of."""
    recorded: int = 0
    """Of these, how many became a page or a ticket."""
    judged: int = 0
    """Of the recorded, how many are over or were acted on: the others may still be."""
    acted: int = 0
    """Of the judged, how many a person acknowledged, assigned, or named the cause of."""
    told: int = 0
    """Of the recorded, how many named a first step: a runbook, a likely cause, or advice beyond waiting and looking."""
    came_back: int = 0
    """Episodes that began within COMES_BACK of the end of the one before."""
    median: timedelta | None = None
    """Half of its ended episodes were shorter."""
    busiest: int = 0
    """Firings of the one item that it fired about most."""
    days: float = 0.0
    """So long a time was looked at."""
    muted: Mapping[str, int] = field(default_factory=dict)
    """Incidents that never left the house, by what held them."""

    @property
    def precision(self) -> float | None:
        """Share of judged incidents that a person acted on."""
        return self.acted / self.judged if self.judged else None

    @property
    def actionability(self) -> float | None:
        """Share of recorded incidents that named a first step."""
        return self.told / self.recorded if self.recorded else None

    @property
    def flap_rate(self) -> float:
        """Share of its firings that came back at once."""
        return self.came_back / self.fired if self.fired else 0.0

    @property
    def wasted(self) -> int:
        """What people were troubled with for nothing; the worst rule has most."""
        return self.judged - self.acted + self.came_back

    @property
    def mend(self) -> str:
        """What its owner should mend first, in one sentence."""
        ignored, held = self.judged - self.acted, sum(self.muted.values())
        if not self.owner:
            return "Nobody owns what it watches: claim it in teams/<team>.yaml, so that it reaches the right people."
        if self.fired >= FEW and self.flap_rate >= FLAPPING:
            return (
                f"It came back within {COMES_BACK.seconds // 60} minutes {self.came_back} of {self.fired} times:"
                " let it last longer before it fires, or end at another level than it begins."
            )
        if self.judged >= FEW and ignored / self.judged > NOISY:
            short = self.median is not None and self.median < SHORT
            remedy = "let it last longer before it fires" if short else "raise its threshold or send it nowhere"
            return f"Nobody acted on {ignored} of {self.judged} incidents: {remedy}."
        if self.days >= 1 and self.busiest / self.days >= CHRONIC:
            return (
                f"One item alone fired {self.busiest} times, {self.busiest / self.days:.0f} a day:"
                " let it last longer before it fires, or raise its threshold."
            )
        if held >= FEW and held > self.incidents / 2:
            by = max(sorted(self.muted), key=lambda reason: self.muted[reason]).replace("_", " ")
            return f"{held} of {self.incidents} incidents were held back ({by}): it need not fire then."
        if self.recorded >= FEW and self.told / self.recorded < UNCLEAR:
            return f"{self.recorded - self.told} of {self.recorded} tickets named no first step: write a runbook."
        return "Nothing to mend." if self.judged >= FEW else "Too few incidents to judge it."


def worst_first(cards: list[Scorecard]) -> list[Scorecard]:
    """By what they wasted, then by how often they fired."""
    return sorted(cards, key=lambda card: (-card.wasted, -card.fired, card.name, card.source, card.owner))
