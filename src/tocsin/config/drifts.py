"""When does a drift count, and what follows when it does not? The section `drift` of the policies."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tocsin.config.duration import Duration
from tocsin.domain.policy import Checks, DriftPolicy, Want

Size = Annotated[float, Field(gt=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChecksIn(_Strict):
    """A drift waits until `failed` of its last `of` checks failed, or it has fired for `at_most`."""

    failed: int = Field(default=2, ge=1, le=6, description="So many of the last checks must fail.")
    of: int = Field(default=3, ge=1, le=6, description="So many checks are looked at.")
    at_most: Duration = Field(
        default=timedelta(hours=25),
        description="A drift that fires so long is let through: not every sender tells its checks apart.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.failed > self.of:
            raise ValueError(f"{self.failed} of {self.of} checks cannot fail; make `of` at least {self.failed}")
        return self


class DriftIn(_Strict):
    """A drift that was tested has an effect when it is both more than chance and large enough to matter."""

    significance: float = Field(
        default=0.05, gt=0, lt=1, description="Largest q (share of false finds) that is more than chance."
    )
    mean_shift: Size = Field(
        default=0.2, description="A move of the mean from here matters, in standard deviations of the reference."
    )
    shape: Size = Field(
        default=0.1, description="A change of shape from here matters: Wasserstein distance, same unit, mean aside."
    )
    distance: Size = Field(
        default=0.1, le=1, description="A change of categories from here matters: Jensen-Shannon distance, 0 to .83."
    )
    checks: ChecksIn | None = Field(
        default=None, description="How often a drift test must fail before it pages or tickets; left out: once."
    )
    without_effect: Literal["ticket", "none"] | None = Field(
        default=None,
        description="The most that a drift gets which was tested and has no effect; left out: what the route says.",
    )

    def plain(self) -> DriftPolicy:
        """As deciding takes it."""
        checks = self.checks
        return DriftPolicy(
            significance=self.significance,
            mean_shift=self.mean_shift,
            shape=self.shape,
            distance=self.distance,
            checks=Checks(failed=checks.failed, of=checks.of, at_most=checks.at_most) if checks else None,
            without_effect=Want(self.without_effect) if self.without_effect else None,
        )
