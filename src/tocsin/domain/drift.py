"""Did the numbers really move, and enough to matter? What was found out about the drift alerts of one incident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tocsin.domain.alert import Symptom
from tocsin.domain.subject import Subject

DRIFTS = frozenset({Symptom.FEATURE_DRIFT, Symptom.PREDICTION_DRIFT, Symptom.LABEL_DRIFT, Symptom.CONCEPT_DRIFT})
"""Symptoms that a repeated test over windows of data finds; everything else may be a spike."""


class Finding(StrEnum):
    """What became of one alert's numbers. Significance and effect size are both asked (correlation.md §6)."""

    SHIFTED = "shifted"
    """More than chance, and large enough to matter; where no effect was measured, the sender's limit says that."""
    SMALL = "small"
    """More than chance, but too small to matter."""
    CHANCE = "chance"
    """Chance alone moves so few rows as much."""
    UNTESTED = "untested"
    """The sender's threshold was broken; what a test needs was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One alert's numbers, and what they are worth."""

    fingerprint: str
    subject: Subject
    symptom: Symptom
    finding: Finding
    segment: str = ""
    test: str = ""
    """How it was tested, in words; why it was not, when it was not."""
    p: float | None = None
    q: float | None = None
    """p after Benjamini–Hochberg over everything that was tested beside it."""
    rows: int | None = None
    reference_rows: int | None = None
    strength: float | None = None
    """Effect over the effect that matters: from 1 it does. None when no effect could be measured."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """Numbers by their names for the evidence file."""
    in_a_row: int = 1
    """Failed checks up to the last one; 1 also when the sender does not tell its checks apart."""
    repeated: bool = True
    """As often as the policy asks for, of those checks that are known each with an effect that matters; always where
    it asks for nothing."""
    as_usual: bool = False
    """It would be large enough to matter, were it not so at this hour of every day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The incident's shifts, the strongest first; `words` is the ticket's sentence, empty when there is none to say."""

    shifts: tuple[Shift, ...]
    of: int
    """So many features were watched: the fired ones are judged as the best of these."""
    words: str = ""

    @property
    def without_effect(self) -> bool:
        """Everything was tested, and nothing is both more than chance and large enough to matter."""
        return all(shift.finding in (Finding.SMALL, Finding.CHANCE) for shift in self.shifts)

    @property
    def harmless(self) -> bool:
        """Everything was tested, and nothing has an effect that was repeated as often as the policy asks for."""
        return all(
            shift.finding in (Finding.SMALL, Finding.CHANCE)
            or (shift.finding is Finding.SHIFTED and not shift.repeated)
            for shift in self.shifts
        )

    @property
    def tested(self) -> int:
        """How many were."""
        return sum(shift.p is not None for shift in self.shifts)

    @property
    def measured(self) -> bool:
        """There is more to tell than that a sender's threshold was broken."""
        return any(shift.p is not None or shift.strength is not None for shift in self.shifts)

    def found(self, finding: Finding) -> tuple[Shift, ...]:
        """Those of which that was found out."""
        return tuple(shift for shift in self.shifts if shift.finding is finding)
