"""`python -m benchmarks.attribution.lineage`: what the product's terms for ML lineage are worth, each left out in turn.

One generated platform a seed (lineage_world.py). Learned is prequential as in `make attribution`: the first 30 days
are history, and half of the incidents are told, each after it was scored. Rules see mappings and learned lineage."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.attribution.lineage_ceiling import LineageCeiling
from benchmarks.attribution.lineage_product import LineageTold, Telling
from benchmarks.attribution.lineage_world import LINEAGE_KINDS, LineageWorld
from benchmarks.attribution.measure import DRAWS, Tally, difference
from benchmarks.attribution.product import moment
from benchmarks.attribution.rivals import NEVER, Rules, judge
from benchmarks.attribution.world import DAY, Case
from tocsin.decide.attribute import SCORER, SHOWN, Weighed, weigh
from tocsin.decide.experience import COLD, Experience, Learner
from tocsin.decide.scene import scene_of

RULES = ("nearest in time", "PagerDuty-like", "ServiceNow-like", "Gandalf-like")
TELLINGS = {
    "": Telling(),
    ", no facts": Telling(facts=False),
    ", no learned lineage": Telling(lineage=False),
    ", no windows": Telling(windows=False),
    ", none of them": Telling(facts=False, lineage=False, windows=False),
}
LEARNED = ("cold", "learned")
SCORERS = (*RULES, *(name + less for name in LEARNED for less in TELLINGS), "ceiling")
FIGURES = ("top1", "top3", "lineage", *LINEAGE_KINDS, "brier", "ece", "precision", "coverage", "false")
HISTORY_DAYS = 30
FILES = ("world", "lineage_runs", "lineage_world")

Tallies = dict[str, Tally]


def main() -> int:
    """Print the table, and what each part is worth with its interval."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution.lineage", description=__doc__)
    parser.add_argument("--seed", type=int, default=841, help="the first seed")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.seeds)
    with ProcessPoolExecutor(asked.processes) as pool:
        found = joined(list(pool.map(one_world, seeds)))
    screen = Console(width=180)
    screen.print(f"{SCORER}; generator {digest()}; seeds {seeds[0]} to {seeds[-1]}")
    screen.print(_table(found))
    for line in _compared(found):
        screen.print(line)
    return 0


def one_world(seed: int) -> Tallies:
    """Every scorer's answers to one world's cases."""
    world = LineageWorld(seed=seed)
    rules, ceiling = Rules(world.seen_needs), LineageCeiling(world)
    tellers = {less: LineageTold(world, telling) for less, telling in TELLINGS.items()}
    learners = {less: Learner() for less in TELLINGS}
    tallies: Tallies = {name: Tally() for name in SCORERS}
    for case in world.cases:
        judged = case.decide_at >= HISTORY_DAYS * DAY
        if judged:
            judge(case, rules, ceiling, tallies)
        for less, learner in learners.items():
            if judged:
                for name, found in answers(case, tellers[less], learner.experience).items():
                    tallies[name + less].add(case.cause_kind, *found)
            learner.take(tellers[less].lesson(case))
    return tallies


def answers(case: Case, told: LineageTold, learned: Experience) -> dict[str, tuple[int, float, float]]:
    """The product's, cold and learned: rank of the cause, P of the first suspect, P of no change."""
    scene = scene_of(told.incident(case), told.changes(case), told.catalog, now=moment(case.decide_at))
    by_experience = zip(LEARNED, (COLD, learned), strict=True)
    return {name: _answer(case, weigh(scene, experience)) for name, experience in by_experience}


def _answer(case: Case, weighed: Weighed) -> tuple[int, float, float]:
    order = np.argsort(-weighed.shares[:-1], kind="stable")[:SHOWN].tolist()
    ids = weighed.scene.candidates.ids
    ranks = (at for at, g in enumerate(order) if case.cause in [ids[i] for i in weighed.group(g)])
    first = float(weighed.shares[order[0]]) if order else 0.0
    return next(ranks, NEVER) if case.cause else NEVER, first, float(weighed.shares[-1])


def joined(runs: list[Tallies]) -> Tallies:
    """All seeds' answers."""
    found: Tallies = {name: Tally() for name in SCORERS}
    for tallies in runs:
        for name, tally in tallies.items():
            found[name].extend(tally)
    return found


def _table(tallies: Tallies) -> Table:
    kinds = tallies["cold"].kinds
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in LINEAGE_KINDS)
    title = f"lineage: {len(kinds)} incidents, {sum(map(bool, kinds))} caused ({counts})"
    table = Table("scorer", *FIGURES, title=title, box=None)
    for name in SCORERS:
        tally = tallies[name]
        figures = tally.summary() | {kind: tally.macro({kind}) for kind in LINEAGE_KINDS}
        figures["lineage"] = tally.macro(set(LINEAGE_KINDS))
        table.add_row(name, *(f"{figures[key]:.3f}" if key in figures else "" for key in FIGURES))
    return table


def _compared(tallies: Tallies) -> Iterator[str]:
    best = max(RULES, key=lambda name: float(tallies[name].hits(1).mean()))
    for name in LEARNED:
        for other in (best, "ceiling", *(name + less for less in list(TELLINGS)[1:])):
            gap, low, high = difference(tallies[name].hits(1), tallies[other].hits(1))
            lineage, least, most = macro_difference(tallies[name], tallies[other])
            yield (
                f"{name} - {other}: top-1 {gap:+.3f} ({low:+.3f} to {high:+.3f}),"
                f" lineage {lineage:+.3f} ({least:+.3f} to {most:+.3f})"
            )


def macro_difference(one: Tally, other: Tally) -> tuple[float, float, float]:
    """Difference of the lineage kinds' mean top-1, with the 95 % interval of a paired bootstrap within each kind."""
    rng = np.random.default_rng(0)
    means, gaps = np.zeros(DRAWS), []
    for kind in LINEAGE_KINDS:
        of = np.array(one.kinds) == kind
        gap = (np.array(one.right) & of).astype(float)[of] - (np.array(other.right) & of).astype(float)[of]
        if len(gap):
            gaps.append(float(gap.mean()))
            means += gap[rng.integers(len(gap), size=(DRAWS, len(gap)))].mean(axis=1)
    low, high = np.quantile(means / len(gaps), [0.025, 0.975])
    return float(np.mean(gaps)), float(low), float(high)


def digest() -> str:
    """Of the generator's text: the same digest makes the same worlds."""
    texts = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in FILES]
    return hashlib.blake2b(b"".join(texts), digest_size=6).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
