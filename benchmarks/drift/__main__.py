"""`python -m benchmarks.drift --seed N`: false episodes in 30 quiet days, and the checks until a real shift is found.

An episode is a run of hours in which a rule flags at least one feature: one that always does shows a single one (6.0
where five days are told per thirty). Intervals are 95 %, from 2,000 bootstrap draws over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.drift.rules import RULES, Judge
from benchmarks.drift.world import SHIFTED, World

QUIET = (
    World(name="500 rows", rows=500),
    World(name="200 rows", rows=200),
    World(name="correlated", rows=500, shared=0.5),
    World(name=".05 sd, 20,000 rows", rows=20_000, steady=0.05, reference_rows=50_000, hours=24),
    World(name="daily ±.1 sd", rows=500, daily=0.1, hours=120),
    World(name="daily ±.1 sd, all told", rows=500, daily=0.1, hours=120, settled=168, tells_all=True),
    World(name="daily ±.3 sd", rows=500, daily=0.3, hours=120),
    World(name="daily ±.3 sd, all told", rows=500, daily=0.3, hours=120, settled=168, tells_all=True),
)
"""After the first three something does move: by less than what matters, or as on every day. These are shorter, and told
per 30 days."""
MOVED = (
    *(World(name=f"shift, {rows} rows", rows=rows, shift=0.5, hours=6) for rows in (200, 500, 2000)),
    World(name="small shift, 200 rows", rows=200, shift=0.3, hours=6),
    World(name="small shift, 500 rows", rows=500, shift=0.3, hours=6),
    World(
        name="shift, daily ±.3 sd, all told",
        rows=500,
        shift=0.5,
        daily=0.3,
        hours=6,
        settled=168,
        tells_all=True,
        tries=2,
    ),
)
T = TypeVar("T")


def main() -> int:
    """Print both tables."""
    asked = _arguments()
    screen = Console(width=140)
    seeds = range(asked.seed, asked.seed + asked.seeds)
    screen.print(f"50 features, hourly, 10 bins, reference of 5,000 rows; seeds {seeds[0]} to {seeds[-1]}")
    with ProcessPoolExecutor(asked.processes) as pool:
        screen.print("False episodes in 30 days (mean, 95 %)")
        for world in QUIET:
            episodes = list(pool.map(false_episodes, [(world, seed) for seed in seeds]))
            screen.print(_row(world, episodes, _mean))
        screen.print(
            "A shift of .5 sd in 5 features: first check that finds one, share of the 5 found within two checks"
        )
        for world in MOVED:
            found = list(pool.map(checks_until_found, [(world, seed) for seed in seeds]))
            screen.print(_row(world, found, _found))
    return 0


def _row(world: World, told: list[dict[str, T]], words: Callable[[list[T]], str]) -> Table:
    table = Table(world.name, "")
    for rule in RULES:
        table.add_row(rule, words([each[rule] for each in told]))
    return table


def false_episodes(job: tuple[World, int]) -> dict[str, float]:
    """Episodes of each rule in one quiet world, per 30 days."""
    world, seed = job
    labels, before, hours = world.checks(seed)
    judge = Judge(labels, before, tells_all=world.tells_all, settled=world.settled)
    episodes, before_it = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, False)
    for hour, counts in enumerate(hours):
        for rule, flagged in judge.hear(counts).items():
            episodes[rule] += hour >= world.settled and bool(flagged) and not before_it[rule]
            before_it[rule] = hour >= world.settled and bool(flagged)
    return {rule: count * 720 / world.hours for rule, count in episodes.items()}


def checks_until_found(job: tuple[World, int]) -> dict[str, tuple[float, float]]:
    """Per rule: checks until the first shifted feature is flagged (7: not in six), and the share of the five that were
    flagged at least once within two checks; means over the world's tries."""
    world, seed = job
    first: dict[str, list[int]] = {rule: [] for rule in RULES}
    both: dict[str, list[float]] = {rule: [] for rule in RULES}
    for attempt in range(world.tries):
        labels, before, hours = replace(world, name=f"{world.name} {attempt}").checks(seed)
        judge = Judge(labels, before, tells_all=world.tells_all, settled=world.settled)
        seen: dict[str, list[set[int]]] = {rule: [] for rule in RULES}
        for hour, counts in enumerate(hours):
            for rule, flagged in judge.hear(counts).items():
                if hour >= world.settled:
                    seen[rule].append(flagged & set(range(SHIFTED)))
        for rule, hits in seen.items():
            first[rule].append(next((n + 1 for n, hit in enumerate(hits) if hit), 7))
            both[rule].append(len(hits[0] | hits[1]) / SHIFTED)
    return {rule: (float(np.mean(first[rule])), float(np.mean(both[rule]))) for rule in RULES}


def _mean(values: list[float]) -> str:
    low, high = _interval(values)
    return f"{np.mean(values):.1f} ({low:.1f}-{high:.1f})"


def _found(values: list[tuple[float, float]]) -> str:
    firsts, shares = [v[0] for v in values], [v[1] for v in values]
    low, high = _interval(shares)
    return f"{np.mean(firsts):.2f} / {np.mean(shares):.3f} ({low:.3f}-{high:.3f})"


def _interval(values: list[float]) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    means = np.mean(rng.choice(np.asarray(values), (2000, len(values))), axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=401, help="the first seed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
