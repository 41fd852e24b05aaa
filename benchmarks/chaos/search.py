"""Which seed shows that a guard is missing?"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.chaos.batch import run
from benchmarks.chaos.clock import Clock
from benchmarks.chaos.guards import Guard, switched_off
from benchmarks.chaos.judge import Violation
from benchmarks.chaos.script import script

AT_A_TIME = 8
MOST = 1_000
"""Schedules that are tried before a guard counts as not missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """A schedule that goes wrong without the guard, also when it is played alone."""

    seed: int
    rule: str
    words: str


def catch(url: str, guard: Guard, *, seed: int) -> Catch | None:
    """The first such schedule, beginning with the seed that is known; None when none of MOST shows it."""
    if guard.seed and (found := _alone(url, guard, guard.seed)):
        return found
    for start in range(seed, seed + MOST, AT_A_TIME):
        for suspect in sorted({one.seed for one in without(url, guard, start, AT_A_TIME)}):
            if found := _alone(url, guard, suspect):
                return found
    return None


def without(url: str, guard: Guard, seed: int, schedules: int) -> list[Violation]:
    """What goes wrong in these schedules while the guard is off."""
    scripts = [script(guard.vendor, seed + n) for n in range(schedules)]
    with switched_off(guard):
        return run(url, guard.vendor, scripts, clock=Clock()).violations


def _alone(url: str, guard: Guard, seed: int) -> Catch | None:
    found = without(url, guard, seed, 1)
    if found and run(url, guard.vendor, [script(guard.vendor, seed)], clock=Clock()).violations:
        return None  # it goes wrong with the guard, too: that shows another fault
    return Catch(seed=seed, rule=found[0].rule, words=found[0].words) if found else None
