"""`python -m benchmarks.attribution.before`: what "seen before" is worth, as shipped and as the factor that it is not.

The history of an incident is all changes before it and all alerts of the incidents before it, told by nobody."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.table import Table

from benchmarks.attribution.measure import Tally, difference
from benchmarks.attribution.product import Told, catalog_of, lesson_of, moment
from benchmarks.attribution.world import DAY, LAWS, Case, World
from tocsin.decide.attribute import SCORER, attribute
from tocsin.decide.experience import COLD, Learner
from tocsin.decide.recurrence import MOST_MADE, MOST_OPENED, Asked, Earlier, Like, Opening, asked, seen_before
from tocsin.domain.incident import Attribution

HISTORY_DAYS = 30
NEVER = 999
LEAST, MOST = 0.5, 10.0
"""Bounds of the factor (correlation.md §2)."""
FIGURES = ("top1", "top3", "lineage", "brier", "ece", "precision", "coverage", "false")
SCORERS = ("cold", "cold, seen before", "cold, as a factor", "learned", "learned, seen before", "learned, as a factor")


@dataclass(slots=True)
class Spoken:
    """In how many incidents something was said, in how many of them of the cause; and how often the first changed, and
    for the better or the worse."""

    incidents: int = 0
    said: int = 0
    of_the_cause: int = 0
    moved: int = 0
    better: int = 0
    worse: int = 0

    def add(self, other: Spoken) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Run:
    tallies: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in SCORERS})
    spoken: dict[str, Spoken] = field(default_factory=lambda: {"cold": Spoken(), "learned": Spoken()})


def one_world(law: str, seed: int) -> Run:
    """Every answer to one world's cases, with and without."""
    world = World(law=LAWS[law], seed=seed)
    told, catalog, learner = Told(world), catalog_of(world), Learner()
    history = _History(world, told)
    run = Run()
    for case in world.cases:
        incident = told.incident(case)
        if case.decide_at >= HISTORY_DAYS * DAY:
            changes = [told.change(made) for made in case.changes]
            for name, experience in (("cold", COLD), ("learned", learner.experience)):
                found = attribute(incident, changes, catalog, now=moment(case.decide_at), experience=experience)
                question = asked(incident, found)
                after = seen_before(found, question, history.earlier(question))
                _judge(run.spoken[name], case, found, after)
                for words, answer in (("", found), (", seen before", after), (", as a factor", factored(after))):
                    run.tallies[name + words].add(case.cause_kind, *_answer(case, answer))
        history.take(case)
        learner.take(lesson_of(case, told, catalog))
    return run


class _History:
    """What had happened before each case."""

    def __init__(self, world: World, told: Told) -> None:
        self._told = told
        self._made: dict[Like, list[datetime]] = defaultdict(list)
        for change in map(told.change, world.changes):
            self._made[change.kind, change.subject].append(change.occurred_at)
        self._opened: dict[str, list[Opening]] = defaultdict(list)

    def take(self, case: Case) -> None:
        for member in self._told.incident(case).members:
            one = Opening(fingerprint=member.fingerprint, outage=case.id, at=member.starts_at)
            self._opened[member.fingerprint].append(one)

    def earlier(self, question: Asked) -> Earlier:
        since, until = question.since, question.until
        opened = [one for fingerprint in question.fingerprints for one in self._opened[fingerprint][-MOST_OPENED:]]
        made = {like: [at for at in self._made[like] if since <= at < until][-MOST_MADE:] for like in question.like}
        return Earlier(since=since, until=until, made=made, opened=[one for one in opened if since <= one.at < until])


def factored(found: Attribution) -> tuple[list[tuple[float, set[str]]], float]:
    """The same suspects, their probabilities times how much oftener they were followed than others."""
    rest = found.no_change + found.other
    weighed = []
    for one in found.suspects:
        factor, seen = 1.0, one.seen_before
        if seen is not None:
            expected = seen.of * seen.others_followed / seen.others
            factor = min(max((seen.followed + 0.5) / (expected + 0.5), LEAST), MOST)
        weighed.append((one.probability * factor, {one.change.id, *one.members}))
    total = rest + sum(weight for weight, _ in weighed)
    shares = sorted(((weight / total, ids) for weight, ids in weighed), key=lambda one: -one[0])
    return shares, found.no_change / total


def _plain(found: Attribution) -> tuple[list[tuple[float, set[str]]], float]:
    return [(one.probability, {one.change.id, *one.members}) for one in found.suspects], found.no_change


def _answer(case: Case, answer: Attribution | tuple[list[tuple[float, set[str]]], float]) -> tuple[int, float, float]:
    suspects, no_change = _plain(answer) if isinstance(answer, Attribution) else answer
    rank = next((at for at, (_, ids) in enumerate(suspects) if case.cause in ids), NEVER) if case.cause else NEVER
    return rank, suspects[0][0] if suspects else 0.0, no_change


def _judge(spoken: Spoken, case: Case, before: Attribution, after: Attribution) -> None:
    spoken.incidents += 1
    of = [{one.change.id, *one.members} for one in after.suspects if one.seen_before is not None]
    spoken.said += bool(of)
    spoken.of_the_cause += any(case.cause in ids for ids in of)
    was, now = (_answer(case, one)[0] == 0 for one in (before, after))
    spoken.moved += before.suspects[:1] != after.suspects[:1] and _first(before) != _first(after)
    spoken.better += now and not was
    spoken.worse += was and not now


def _first(found: Attribution) -> str:
    return found.suspects[0].change.id if found.suspects else ""


def main() -> int:
    """Print one table a world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=611, help="the first seed")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("worlds", nargs="*", choices=[*LAWS, []])
    given = parser.parse_args()
    screen = Console(width=150)
    screen.print(f"{SCORER}; seeds {given.seed} to {given.seed + given.seeds - 1}")
    for law in given.worlds or LAWS:
        seeds = range(given.seed, given.seed + given.seeds)
        with ProcessPoolExecutor(given.processes) as pool:
            run = _joined(list(pool.map(one_world, [law] * len(seeds), seeds)))
        screen.print(_table(law, run))
        for line in _compared(run):
            screen.print(line)
    return 0


def _joined(runs: list[Run]) -> Run:
    joined = Run()
    for run in runs:
        for name, tally in run.tallies.items():
            joined.tallies[name].extend(tally)
        for name, spoken in run.spoken.items():
            joined.spoken[name].add(spoken)
    return joined


def _table(law: str, run: Run) -> Table:
    caused = int(run.tallies["cold"].caused.sum())
    table = Table(
        "scorer", *FIGURES, title=f"{law}: {run.spoken['cold'].incidents} incidents, {caused} caused", box=None
    )
    for name in SCORERS:
        figures = run.tallies[name].summary()
        table.add_row(name, *(f"{figures[key]:.3f}" for key in FIGURES))
    return table


def _compared(run: Run) -> Iterator[str]:
    for name, spoken in run.spoken.items():
        plain = run.tallies[name].hits(1)
        for how in (", seen before", ", as a factor"):
            gap, low, high = difference(run.tallies[name + how].hits(1), plain)
            yield f"{name}{how}: top-1 {gap:+.4f} ({low:+.4f} to {high:+.4f})"
        yield (
            f"{name}: it spoke in {spoken.said} incidents, in {spoken.of_the_cause} of the cause among others; it moved"
            f" {spoken.moved} firsts, {spoken.better} to the better and {spoken.worse} to the worse"
        )


if __name__ == "__main__":
    sys.exit(main())
