"""`python -m benchmarks.chaos`: so many fault schedules per vendor, and what came of them.

`--schedules 1 --seed N --vendor V` plays one schedule again and tells its story.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from rich.progress import Progress

from benchmarks.chaos.batch import Tally, database, run
from benchmarks.chaos.clock import Clock
from benchmarks.chaos.guards import GUARDS
from benchmarks.chaos.processes import play
from benchmarks.chaos.script import VENDORS, script
from benchmarks.chaos.search import Catch, catch
from benchmarks.chaos.storm import measure

Say = Callable[[str], None]


def main() -> int:
    """Exit status 1 when a schedule ended in a violation, or a guard was not missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.chaos", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100, help="fault schedules per vendor (0: none)")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow it")
    parser.add_argument("--vendor", choices=VENDORS)
    parser.add_argument("--guards", action="store_true", help="switch each guard off and look for a seed that shows it")
    parser.add_argument("--processes", type=int, default=0, help="schedules with real worker processes")
    parser.add_argument("--storm", type=int, default=0, help="alerts on one incident whose calls are counted")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # circuits that open and close are what is being played
    good = True
    vendors: Sequence[str] = (asked.vendor,) if asked.vendor else VENDORS
    with Progress(transient=True) as bar:
        if asked.schedules or asked.guards:
            with database() as url:
                good &= False not in [_play(url, one, asked, bar) for one in vendors if asked.schedules]
                good &= _guards(url, vendors, asked.seed, bar) if asked.guards else True
        if asked.processes:
            good &= play(asked.processes, asked.seed, bar)
        if asked.storm:
            good &= measure(asked.storm, bar)
    return 0 if good else 1


def _play(url: str, vendor: str, asked: argparse.Namespace, bar: Progress) -> bool:
    task = bar.add_task(f"{vendor}, seeds {asked.seed} to {asked.seed + asked.schedules - 1}", total=asked.schedules)
    scripts = [script(vendor, asked.seed + n) for n in range(asked.schedules)]
    tally = run(url, vendor, scripts, clock=Clock(), done=lambda n: bar.advance(task, n))
    bar.console.print(told(vendor, asked.seed, tally), highlight=False, soft_wrap=True)
    for one in tally.violations:
        bar.console.print(f"  seed {one.seed}: {one.rule}: {one.words}", highlight=False, markup=False, soft_wrap=True)
    if asked.schedules == 1:
        bar.console.print("\n".join(tally.stories), highlight=False, markup=False, soft_wrap=True)
    return not tally.violations


def told(vendor: str, seed: int, tally: Tally) -> str:
    """The result of a vendor's schedules in one line."""
    requests = sorted(tally.requests)
    median, most = requests[len(requests) // 2], requests[-1]
    return (
        f"{vendor}: {tally.schedules} schedules from seed {seed}, {tally.broken} with violations; "
        f"{tally.faults} faults, {tally.kills} kills, {tally.freezes} freezes, {tally.late} late requests, "
        f"{tally.edits} edits by people; calls per incident: {median} median, "
        f"{sum(requests) / len(requests):.1f} mean, {most} most; without faults {tally.calm_calls:.1f} mean"
    )


def _guards(url: str, vendors: Sequence[str], seed: int, bar: Progress) -> bool:
    guards = [guard for guard in GUARDS if guard.vendor in vendors]
    task = bar.add_task("guards", total=len(guards))
    caught: list[Catch | None] = []
    for guard in guards:
        found = catch(url, guard, seed=seed)
        said = f"seed {found.seed} ({found.rule}: {found.words})" if found else "NOT MISSED"
        bar.console.print(
            f"{guard.vendor}: without {guard.name}: {said}", highlight=False, markup=False, soft_wrap=True
        )
        bar.advance(task)
        caught.append(found)
    return None not in caught


if __name__ == "__main__":
    sys.exit(main())
