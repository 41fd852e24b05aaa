"""Are shown probabilities too bold or too timid? Two numbers, learned from confirmed causes, set them right.

    q(c) ~ p(c)^bold,   q(no change) ~ p(no change)^bold · e^none

This is a conditional logit over what was answered before anybody knew (correlation.md §2.1): convex, refitted every 25
confirmations on the latest ones. The order of changes never moves by it. It is used only once it has foreseen later
confirmations clearly better than the plain probabilities did, always fitted on earlier ones; otherwise nothing is
altered: the odds of a layer that is not needed to look needed, ever, are 5 % (Ville's inequality, as in guard.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EVERY = 25
"""Confirmations between two fits (correlation.md §2.1)."""
ENOUGH = math.log(1 / 0.05)
MOST_AT_ONCE = 3.0
"""As in guard.py: one confirmation moves the balance by so much at most."""
PRIOR_SD = np.array([0.5, 1.0])
"""Of `bold` around 1 and `none` around 0: L2, so that a few confirmations alter little (ours)."""
LEAST, LEAST_BOLD = 1e-9, 0.1
_START = np.array([1.0, 0.0])
_STEPS, CLOSE = 30, 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How shown probabilities follow from the model's."""

    bold: float = 1.0
    none: float = 0.0
    gain: float = 0.0
    """How much better it has foreseen confirmed causes, in log units; it is in use from ENOUGH on."""

    @property
    def in_use(self) -> bool:
        """Whether it alters anything."""
        return self.bold != 1.0 or self.none != 0.0


PLAIN = Calibration()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One confirmed incident as a model had answered it: the probabilities of what was shown, of no change, and of the
    candidates not shown, which share what is left; `was` is the place of what was confirmed among [*shown, no change,
    any other]."""

    shown: Sequence[float]
    no_change: float
    others: int
    was: int


class _Choices:
    """Many of them as arrays: log p of [shown …, no change, any other], for how many candidates each stands (0: for
    none), and which it was."""

    def __init__(self, foreseen: Sequence[Foreseen]) -> None:
        most = max(len(one.shown) for one in foreseen)
        self.logs = np.zeros((len(foreseen), most + 2))
        self.many = np.zeros(self.logs.shape)
        self.was = np.zeros(len(foreseen), dtype=np.intp)
        for row, one in enumerate(foreseen):
            rest = max(1 - one.no_change - sum(one.shown), LEAST) / max(one.others, 1)
            told = len(one.shown)
            self.was[row] = one.was if one.was < told else most + one.was - told
            self.logs[row, :told] = np.log(np.maximum(one.shown, LEAST)) if told else 0.0
            self.logs[row, most:] = math.log(max(one.no_change, LEAST)), math.log(max(rest, LEAST))
            self.many[row, :told] = 1.0
            self.many[row, most:] = 1.0, float(max(one.others, int(one.was > told)))
        self.none = most

    def first(self, so_many: int) -> _Choices:
        """The earliest of them."""
        some = copy(self)
        some.logs, some.many, some.was = self.logs[:so_many], self.many[:so_many], self.was[:so_many]
        return some

    def chances(self, by: Floats) -> tuple[Floats, Floats]:
        """The probability of each by these two numbers, all others together; and the log of what was given to the one
        that it was."""
        logs = by[0] * self.logs
        logs[:, self.none] += by[1]
        logs -= logs.max(axis=1, keepdims=True)
        weights = self.many * np.exp(logs)
        total = weights.sum(axis=1)
        given = logs[np.arange(len(logs)), self.was] - np.log(total)
        return weights / total[:, None], given


def calibrated(foreseen: Sequence[Foreseen]) -> Calibration:
    """What the confirmed incidents teach, oldest first; PLAIN until it has proved better."""
    if len(foreseen) <= EVERY:
        return PLAIN
    choices = _Choices(foreseen)
    plain = choices.chances(_START)[1]
    gain = 0.0
    for at in range(EVERY, len(foreseen), EVERY):
        given = choices.chances(_fitted(choices.first(at)))[1]
        gain += float(np.minimum(given - plain, MOST_AT_ONCE)[at : at + EVERY].sum())
    if gain < ENOUGH:
        return Calibration(gain=gain)
    bold, none = _fitted(choices).tolist()
    return Calibration(bold=max(bold, LEAST_BOLD), none=none, gain=gain)


def _fitted(choices: _Choices) -> Floats:
    """Newton's steps on a convex loss, each halved until it helps."""

    def loss(at: Floats) -> float:
        return float((((at - _START) / PRIOR_SD) ** 2).sum() / 2 - choices.chances(at)[1].sum())

    by = _START
    rows = np.arange(len(choices.was))
    of_none = np.zeros(choices.logs.shape)
    of_none[:, choices.none] = 1.0
    features = np.stack([choices.logs, of_none], axis=2)
    for _ in range(_STEPS):
        chances = choices.chances(by)[0]
        mean = np.einsum("rc,rcf->rf", chances, features)
        slope = (by - _START) / PRIOR_SD**2 + (mean - features[rows, choices.was]).sum(axis=0)
        spread = np.einsum("rc,rcf,rcg->fg", chances, features, features) - mean.T @ mean
        step = np.linalg.solve(np.diag(1 / PRIOR_SD**2) + spread, slope)
        before, share = loss(by), 1.0
        while loss(by - share * step) > before and share > CLOSE:
            share /= 2
        by = by - share * step
        if float(np.abs(step).max()) < CLOSE:
            break
    return by
