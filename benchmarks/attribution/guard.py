"""Does the guard save the order where history lies, at no cost elsewhere? `python -m benchmarks.attribution.guard`

The generated worlds, with what people are said to have confirmed:

    honest   the true causes
    liars    always any candidate, drawn by chance
    reformed any candidate for half of the time, the true causes afterwards; judged afterwards
    fallen   the true causes for half of the time, any candidate afterwards; judged afterwards

Top-1 is always judged by the truth, over incidents that a change caused."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.attribution.measure import difference
from benchmarks.attribution.product import Told, catalog_of, moment
from benchmarks.attribution.world import DAY, DAYS, LAWS, Case, World
from tocsin.decide.attribute import SCORER, answer_of, weigh
from tocsin.decide.attribute import told as explained
from tocsin.decide.experience import COLD, Learner, Lesson
from tocsin.decide.guard import LATEST, LEARNED, NO_RECORD, RIVALS, Record, Trial, answers_of, judged, shown
from tocsin.decide.rules import orders
from tocsin.decide.scene import Scene, scene_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Answer, Attribution, Incident

HISTORY_DAYS = 30
EVERY = 5
"""Confirmations between two looks at the record; an installation looks at each."""
SHOWN = ("guarded", LEARNED, *RIVALS)
Said = Callable[[Case, np.random.Generator], str]


def _truth(case: Case, _chance: np.random.Generator) -> str:
    return case.cause


def _anything(case: Case, chance: np.random.Generator) -> str:
    ids = sorted(change.id for change in case.changes)
    return ids[int(chance.integers(len(ids)))] if ids else ""


def _half(before: Said, after: Said) -> Said:
    return lambda case, chance: (before if case.decide_at < DAYS * DAY / 2 else after)(case, chance)


HISTORIES: Mapping[str, tuple[Said, float]] = {
    "honest": (_truth, HISTORY_DAYS),
    "liars": (_anything, HISTORY_DAYS),
    "reformed": (_half(_anything, _truth), DAYS / 2),
    "fallen": (_half(_truth, _anything), DAYS / 2),
}
"""What is confirmed, and the day from which answers are judged."""


@dataclass(slots=True)
class Run:
    """Hits of each scorer over caused incidents, in one order; whose order was shown; when the guard first acted."""

    hits: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SHOWN})
    briers: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ("guarded", LEARNED)})
    orders: dict[str, int] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)


def one_world(law: str, seed: int, histories: Sequence[str]) -> dict[str, Run]:
    """One world, told each history, each incident after it was scored."""
    world = World(law=LAWS[law], seed=seed)
    told, catalog = Told(world), catalog_of(world)
    listeners = {history: _Listener(history, seed) for history in histories}
    for case in world.cases:
        one = _judged(case, told, catalog)
        for listener in listeners.values():
            listener.take(one)
    return {history: listener.run for history, listener in listeners.items()}


@dataclass(frozen=True, slots=True)
class _Judged:
    """A case in the product's words, and what does not depend on any history."""

    case: Case
    incident: Incident
    changes: list[Change]
    catalog: Catalog
    scene: Scene
    cold: Answer
    rules: Mapping[str, Sequence[str]]


def _judged(case: Case, told: Told, catalog: Catalog) -> _Judged:
    incident, changes = told.incident(case), [told.change(made) for made in case.changes]
    scene = scene_of(incident, changes, catalog, now=moment(case.decide_at))
    return _Judged(case, incident, changes, catalog, scene, answer_of(weigh(scene, COLD)), orders(scene))


class _Listener:
    """An installation that is told one history."""

    def __init__(self, history: str, seed: int) -> None:
        self.run = Run()
        self._says, self._judged_from = HISTORIES[history]
        self._chance = np.random.default_rng([seed, 5])
        self._learner, self._trials, self._record = Learner(), list[Trial](), NO_RECORD

    def take(self, one: _Judged) -> None:
        """Score the case if anybody looks at it, then hear what is said of it."""
        case = one.case
        judged_now = case.decide_at >= self._judged_from * DAY
        said = self._says(case, self._chance) if case.told else ""
        if case.told or judged_now:
            experience = self._learner.experience
            learned = weigh(one.scene, experience)
            answers = answers_of(answer_of(learned), one.cold, one.rules)
            if judged_now:
                found = explained(learned)
                if self._record.order != LEARNED:
                    given = (one.incident, one.changes, one.catalog)
                    found = shown(*given, now=one.scene.now, experience=experience, record=self._record)
                _take(self.run, case, found, answers)
            if case.told:
                self._trials.append(Trial(answers=answers, candidates=len(one.scene.candidates.ids), cause=said))
                if len(self._trials) % EVERY == 0:
                    self._record = judged(self._trials[-LATEST:])
                    self.run.records[:] = [self._record]
        self._learner.take(
            Lesson(
                members=one.incident.members,
                changes=one.changes,
                catalog=one.catalog,
                decided_at=one.scene.now,
                told=case.told,
                cause=said,
            )
        )


def _take(run: Run, case: Case, found: Attribution, answers: Mapping[str, Answer]) -> None:
    order = found.order or LEARNED
    run.orders[order] = run.orders.get(order, 0) + 1
    groups = {"guarded": [(one.change.id, *one.members) for one in found.suspects]}
    groups |= {name: list(answer.candidates) for name, answer in answers.items()}
    rights = {name: bool(case.cause) and bool(some) and case.cause in some[0] for name, some in groups.items()}
    if case.cause:
        for name in SHOWN:
            run.hits[name].append(float(rights[name]))
    guarded_first = found.suspects[0].probability if found.suspects else 0.0
    learned_first = max(answers[LEARNED].probabilities, default=0.0)
    run.briers["guarded"].append((guarded_first - rights["guarded"]) ** 2)
    run.briers[LEARNED].append((learned_first - rights[LEARNED]) ** 2)


def main() -> int:
    """Print one table."""
    asked = _arguments()
    screen = Console(width=170)
    seeds = range(asked.seed, asked.seed + asked.seeds)
    screen.print(f"{SCORER}; seeds {seeds[0]} to {seeds[-1]}; top-1 by the truth")
    table = Table("world", "history", "caused", *SHOWN, "guarded - learned", "Brier guarded", "learned", box=None)
    notes = []
    for law in asked.worlds:
        with ProcessPoolExecutor(asked.processes) as pool:
            made = pool.map(one_world, [law] * len(seeds), seeds, [asked.histories] * len(seeds))
            worlds = list(track(made, law, len(seeds), console=Console(stderr=True)))
        for history in asked.histories:
            runs = [world[history] for world in worlds]
            table.add_row(*_row(law, history, runs))
            notes.append(f"{law} {history}: {'; '.join(_orders(runs))}")
    screen.print(table)
    for note in notes:
        screen.print(note)
    return 0


def _row(law: str, history: str, runs: list[Run]) -> list[str]:
    hits = {name: np.concatenate([run.hits[name] for run in runs]) for name in SHOWN}
    gap, low, high = difference(hits["guarded"], hits[LEARNED])
    brier = {name: np.concatenate([run.briers[name] for run in runs]).mean() for name in ("guarded", LEARNED)}
    return [
        law,
        history,
        str(len(hits["guarded"])),
        *(f"{hits[name].mean():.3f}" for name in SHOWN),
        f"{gap:+.3f} ({low:+.3f} to {high:+.3f})",
        *(f"{found:.3f}" for found in brier.values()),
    ]


def _orders(runs: list[Run]) -> Iterator[str]:
    names = sorted({name for run in runs for name in run.orders})
    yield "orders shown " + ", ".join(f"{name} {sum(run.orders.get(name, 0) for run in runs)}" for name in names)
    for name in (LEARNED, *RIVALS):
        losses = [run.records[0].losses.get(name, float("nan")) for run in runs]
        yield f"{name} {np.mean(losses):.2f} nats"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution.guard", description=__doc__)
    parser.add_argument("--seed", type=int, default=201, help="the first seed")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--histories", nargs="*", choices=[*HISTORIES], default=[*HISTORIES])
    parser.add_argument("--worlds", nargs="*", choices=[*LAWS], default=["matched", "mismatched"])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
