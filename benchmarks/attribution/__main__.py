"""`make attribution`: rules, the product cold and learned, and the ceiling on generated worlds, over fresh seeds.

Learned is prequential: the first 30 days are history, and half of the incidents are told, each after it was scored.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.attribution.cost import cost
from benchmarks.attribution.measure import Tally, difference
from benchmarks.attribution.product import Told, catalog_of, lesson_of, moment
from benchmarks.attribution.rivals import NEVER, Ceiling, Rules, judge
from benchmarks.attribution.world import DAY, LAWS, Case, World
from tocsin.decide.attribute import SCORER, attribute
from tocsin.decide.experience import COLD, Experience, Learner
from tocsin.domain.catalog import Catalog
from tocsin.domain.series import Series

RULES = ("nearest in time", "PagerDuty-like", "ServiceNow-like", "Gandalf-like")
SERIES, WINDOWS = " + series", " + windows"
SCORERS = (
    *RULES,
    "cold",
    "cold" + SERIES,
    "cold" + WINDOWS,
    "learned",
    "learned" + SERIES,
    "learned" + WINDOWS,
    "ceiling",
)
FIGURES = ("top1", "top3", "mrr", "lineage", "brier", "ece", "precision", "coverage", "false", "auroc")
HISTORY_DAYS = 30

Tallies = dict[str, Tally]


def main() -> int:
    """Print one table a world."""
    asked = _arguments()
    screen = Console(width=150)
    screen.print(f"{SCORER}; generator {digest()}; seeds {asked.seed} to {asked.seed + asked.seeds - 1}")
    for law in asked.worlds or LAWS:
        seeds = range(asked.seed, asked.seed + asked.seeds)
        with ProcessPoolExecutor(asked.processes) as pool:
            worlds = pool.map(one_world, [law] * len(seeds), seeds, [asked.windows] * len(seeds))
            runs = track(worlds, law, len(seeds), console=Console(stderr=True))
            found = _joined(list(runs))
        screen.print(_table(law, found[0]))
        for line in _compared(found[0]):
            screen.print(line)
        took = np.array(found[1]) * 1e3
        screen.print(f"one scoring: {np.median(took):.1f} ms, p99 {np.quantile(took, 0.99):.1f} ms\n")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        for line in alone.submit(cost).result().lines():
            screen.print(line)
    return 0


def one_world(law: str, seed: int, windows: bool = False) -> tuple[Tallies, list[float]]:
    """Every scorer's answers to one world's cases, and the seconds of each cold scoring. With `windows` the product
    answers once more, told the evaluation windows of alerts."""
    world = World(law=LAWS[law], seed=seed)
    rules, ceiling, told, catalog = Rules(world.seen_needs), Ceiling(world), Told(world), catalog_of(world)
    tallies: Tallies = {name: Tally() for name in SCORERS}
    took: list[float] = []
    tellers = {"": told, SERIES: told} | ({WINDOWS: Told(world, windows=True)} if windows else {})
    learners = {kind: Learner() for kind in tellers}
    for case in world.cases:
        judged = case.decide_at >= HISTORY_DAYS * DAY
        if judged:
            judge(case, rules, ceiling, tallies)
        for kind, learner in learners.items():
            told = tellers[kind]
            series = told.series(case) if kind == SERIES else ()
            if judged:
                began = time.perf_counter()
                tallies["cold" + kind].add(*answer(case, told, catalog, COLD, series))
                took.append(time.perf_counter() - began)
                tallies["learned" + kind].add(*answer(case, told, catalog, learner.experience, series))
            learner.take(lesson_of(case, told, catalog, series))
    return tallies, took


def answer(
    case: Case, told: Told, catalog: Catalog, experience: Experience, series: Sequence[Series]
) -> tuple[str, int, float, float]:
    """The product's: kind of the cause, its rank, P of the first suspect, P of no change."""
    changes = [told.change(made) for made in case.changes]
    now = moment(case.decide_at)
    found = attribute(told.incident(case), changes, catalog, now=now, experience=experience, series=series)
    ranks = (at for at, one in enumerate(found.suspects) if case.cause in (one.change.id, *one.members))
    first = found.suspects[0].probability if found.suspects else 0.0
    return case.cause_kind, next(ranks, NEVER) if case.cause else NEVER, first, found.no_change


def _joined(runs: list[tuple[Tallies, list[float]]]) -> tuple[Tallies, list[float]]:
    joined: Tallies = {name: Tally() for name in SCORERS}
    for tallies, _ in runs:
        for name, tally in tallies.items():
            joined[name].extend(tally)
    return joined, [seconds for _, took in runs for seconds in took]


def _table(law: str, tallies: Tallies) -> Table:
    caused = int(tallies["cold"].caused.sum())
    table = Table("scorer", *FIGURES, title=f"{law}: {len(tallies['cold'].kinds)} incidents, {caused} caused", box=None)
    for name in SCORERS:
        if not tallies[name].kinds:
            continue
        figures = tallies[name].summary()
        table.add_row(name, *(f"{figures[key]:.3f}" if key in figures else "" for key in FIGURES))
    return table


def _compared(tallies: Tallies) -> Iterator[str]:
    """The product against the best rule and the ceiling, with the interval of a paired bootstrap."""
    best = max(RULES, key=lambda name: float(tallies[name].hits(1).mean()))
    for one in ("cold", "learned"):
        for other in (best, "ceiling"):
            gap, low, high = difference(tallies[one].hits(1), tallies[other].hits(1))
            yield f"{one} - {other}: top-1 {gap:+.3f} ({low:+.3f} to {high:+.3f})"
        for told in (SERIES, WINDOWS):
            if tallies[one + told].kinds:
                gap, low, high = difference(tallies[one + told].hits(1), tallies[one].hits(1))
                yield f"{one}{told} - {one}: top-1 {gap:+.3f} ({low:+.3f} to {high:+.3f})"


def digest() -> str:
    """Of the generator's text: the same digest makes the same worlds."""
    return hashlib.blake2b(Path(__file__).with_name("world.py").read_bytes(), digest_size=6).hexdigest()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make attribution", description=__doc__)
    parser.add_argument("--seed", type=int, default=101, help="the first seed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--windows", action="store_true", help="also with the evaluation windows of alerts told")
    parser.add_argument("worlds", nargs="*", choices=[*LAWS, []], help="matched, mismatched, bursts; default: all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
