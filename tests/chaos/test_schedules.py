"""Does every record stand once and as wanted after the fault schedules? A short form of `make chaos`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pytest
from benchmarks.chaos.batch import Tally, database, run
from benchmarks.chaos.clock import Clock
from benchmarks.chaos.guards import GUARDS, Guard
from benchmarks.chaos.script import VENDORS, Accident, Fault, Happening, Script, script
from benchmarks.chaos.search import without

ONCE_WRONG = {
    "servicenow": (4, 84, 91, 1037, 1047, 1113, 1449),
    "pagerduty": (37, 60, 68, 503, 639, 1024, 5039),
    "jira": (33, 39, 64, 30136),
}
"""Seeds that found a fault in a connector, in delivery or in the judge (docs/chaos.md)."""
FRESH_FROM, FRESH = 20_000, 8
"""Schedules that nobody has looked at."""


@pytest.fixture(scope="module")
def trial_database() -> Iterator[str]:
    logging.disable(logging.WARNING)
    with database() as url:
        yield url
    logging.disable(logging.NOTSET)


def played(url: str, vendor: str, seeds: Sequence[int]) -> Tally:
    return run(url, vendor, [script(vendor, seed) for seed in seeds], clock=Clock())


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_record_stands_once_and_as_wanted(trial_database: str, vendor: str) -> None:
    tally = played(trial_database, vendor, [*ONCE_WRONG[vendor], *range(FRESH_FROM, FRESH_FROM + FRESH)])
    assert [(one.seed, one.rule, one.words) for one in tally.violations] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_came_back_after_it_was_called_off_is_closed_though_its_create_was_lost(
    trial_database: str, vendor: str
) -> None:
    moments = (("open", 0.0), ("resolve", 0.5), ("refire", 5.0), ("resolve", 12.0))
    brief = Script(
        vendor=vendor,
        seed=0,
        happenings=tuple(Happening(at_s=at_s, kind=kind) for kind, at_s in moments),
        faults=(Fault(role="create", nth=1, kind="timeout_after"),),
        accidents=(Accident(call=1, when="after", kind="kill"), Accident(call=2, when="after", kind="kill")),
        outages=(),
    )
    tally = run(trial_database, vendor, [brief], clock=Clock())
    assert [(one.rule, one.words) for one in tally.violations] == []
    assert tally.kills


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.vendor} {guard.name}")
def test_without_its_guard_a_schedule_goes_wrong(trial_database: str, guard: Guard) -> None:
    assert without(trial_database, guard, guard.seed, 1) != []


def test_a_schedule_can_be_played_again(trial_database: str) -> None:
    assert script("jira", 39) == script("jira", 39)
    first, second = (played(trial_database, "jira", [39]).requests for _ in range(2))
    assert first == second
