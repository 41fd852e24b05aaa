"""What does one scoring cost? Time at 2,000 candidates × 165 subjects, memory at 1,000 services."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import orjson
from numpy.random import Generator
from pydantic import TypeAdapter

from benchmarks.attribution.product import Told, catalog_of, lesson_of, moment
from benchmarks.attribution.world import DAY, KIND_SHARE, KINDS, LAWS, LOOK_BACK, NAMES, Case, Made, World
from tocsin.decide.attribute import attribute
from tocsin.decide.experience import Learner
from tocsin.decide.guard import guarded
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.change import Change
from tocsin.domain.subject import Subject

CANDIDATES = 2_000
SERVICES = 1_000
INCIDENTS = 40
REPEATS = 15
LESSONS = 150
CHANGE = TypeAdapter(Change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Milliseconds of CPU of every single scoring by name; megabytes for the tables of a large catalogue."""

    took_ms: dict[str, np.ndarray]
    grown_mb: float
    whole_mb: float

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"one scoring, {CANDIDATES} candidates x 165 subjects, {what}: p50 {np.median(took):.1f} ms,"
            f" p99 {np.quantile(took, 0.99):.1f} ms of CPU ({len(took)} scorings of {INCIDENTS} incidents)"
            for what, took in self.took_ms.items()
        ] + [
            f"memory at {SERVICES} services: {self.grown_mb:.0f} MB for tables and {INCIDENTS} scorings of"
            f" {CANDIDATES} candidates; {self.whole_mb:.0f} MB the whole process"
        ]


def cost(seed: int = 1) -> Cost:
    """Measure it. Run it in a process of its own: memory is what the process grew by."""
    rng = np.random.default_rng([seed, 5])
    grown, whole = _memory(rng)
    return Cost(took_ms=_latency(seed, rng), grown_mb=grown, whole_mb=whole)


def _latency(seed: int, rng: Generator) -> dict[str, np.ndarray]:
    """Each scorer goes through all incidents before any comes again, so that it finds none of its changes in the
    processor's caches; the first round is not counted, all others are."""
    world = World(law=LAWS["matched"], seed=seed)
    told, catalog = Told(world), catalog_of(world)
    learner = Learner()
    for case in world.cases[:LESSONS]:
        learner.take(lesson_of(case, told, catalog))
    wise = learner.experience
    cases = [case for case in world.evaluated() if any(alert.series for alert in case.alerts)][:INCIDENTS]
    crowds = [_crowd(case, told, rng) for case in cases]
    answers: dict[str, Callable[..., object]] = {
        "cold": attribute,
        "cold, with series": attribute,
        f"after {LESSONS} incidents": partial(attribute, experience=wise),
        "the same beside the cold model and four rules": partial(guarded, experience=wise),
    }
    took: dict[str, list[float]] = {}
    for what, answer in answers.items():
        for _ in range(1 + REPEATS):
            for case, crowd in zip(cases, crowds, strict=True):
                series = told.series(case) if "series" in what else ()
                given = partial(answer, told.incident(case), crowd, catalog, now=moment(case.decide_at), series=series)
                took.setdefault(what, []).append(_timed(given))
    return {what: np.array(seconds[len(cases) :]) * 1e3 for what, seconds in took.items()}


def _crowd(case: Case, told: Told, rng: Generator) -> list[Change]:
    """So many changes in the 72 h before, of the world's mix, as a worker has them: read from JSON, stamped in whole
    seconds, oldest first."""
    first = min(alert.at for alert in case.alerts)
    made = [
        Made(
            id=f"{case.id}-{i:05d}",
            kind=str(rng.choice(KINDS, p=KIND_SHARE)),
            node=int(rng.integers(165)),
            at=first - float(rng.uniform(0, LOOK_BACK)),
            known=bool(rng.random() >= 0.05),
        )
        for i in range(CANDIDATES)
    ]
    return [_as_read(told.change(one)) for one in sorted(made, key=lambda one: one.at)]


def _as_read(change: Change) -> Change:
    at = change.occurred_at.replace(microsecond=0)
    known = replace(change, occurred_at=at, received_at=at, summary=f"{change.kind} of {change.subject}")
    return CHANGE.validate_json(orjson.dumps(known))


def _timed(answer: Callable[[], object]) -> float:
    began = time.process_time()
    answer()
    return time.process_time() - began


def _memory(rng: Generator) -> tuple[float, float]:
    names = [Subject(f"service:s{n:04d}") for n in range(SERVICES)]
    needs = [rng.choice(n, min(n, 1 + int(rng.poisson(1.3))), replace=False).tolist() for n in range(SERVICES)]
    catalog = Catalog(
        entries={
            name: Entry(subject=name, depends_on=tuple(names[v] for v in found))
            for name, found in zip(names, needs, strict=True)
        }
    )
    at = moment(30 * DAY)
    _score(names[:1], [], catalog, at)  # what is imported at the first scoring is not the tables
    gc.collect()
    before = _megabytes()
    for _ in range(INCIDENTS):
        changes = [_made(f"m{i}", names[int(rng.integers(SERVICES))], rng) for i in range(CANDIDATES)]
        alerting = [names[int(v)] for v in rng.choice(SERVICES, 12, replace=False)]
        _score(alerting, changes, catalog, at)
    after = _megabytes()
    return after - before, after


def _made(id: str, subject: Subject, rng: Generator) -> Change:
    at = moment(30 * DAY - float(rng.uniform(1, LOOK_BACK)))
    return Change(
        id=id,
        hook="h",
        source="s",
        environment="production",
        kind=NAMES[str(rng.choice(KINDS, p=KIND_SHARE))],
        subject=subject,
        occurred_at=at,
        received_at=at,
    )


def _score(alerting: list[Subject], changes: list[Change], catalog: Catalog, at: datetime) -> None:
    attribute(Told.outage(alerting, at), changes, catalog, now=at)


def _megabytes() -> float:
    """The largest resident size of this process so far; `getrusage` would tell its parent's, where that is larger."""
    told = Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1]
    return int(told.split()[0]) / 1024
