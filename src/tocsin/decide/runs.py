"""Which pipeline runs are unlike the runs of the same job before them, and in what?

Four measures: how long a run took, how many rows it wrote, which columns it left, how long after the run before it
came. Sizes are compared as logarithms; of runs at all hours those of the same time of day come first, since what people
do by day shows in rows. All runs of a scene are tabulated at once: a platform brings a thousand of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tocsin.domain.change import Change, ChangeOutcome

Floats = NDArray[np.float64]

LEAST_RUNS = 4
"""Earlier runs without which nothing is usual yet."""
COMPARED = 48
"""The latest earlier runs that count: two days of an hourly job."""
SAME_HOUR_MIN = 90.0
"""Runs that began within so many minutes of the same time of day are compared first, if they are LEAST_RUNS."""
ODD_SD: Floats = np.array([3.0, 3.168, 3.345, 3.764, 4.277, 4.904, 5.507, 6.62, 9.219])
ODD_DEGREES: Floats = np.array([np.inf, 47, 24, 12, 8, 6, 5, 4, 3])
"""A run is odd beyond what .27 % of chance exceeds: three standard deviations where many runs are known, farther out
where few are, by Student's t with one degree of freedom less than runs (its quantiles; between them straight in the
inverse)."""
LEAST_SPREAD = math.log(1.25)
"""Standard deviations of logarithms smaller than this count as this: a job that always takes 60 s may take 75."""
ROWS, SCHEMA = "rowCount.", "schema."
"""Labels of a run, with the dataset's name behind (sources/openlineage)."""
_DAY_MIN = 1440.0


class Measure(StrEnum):
    MINUTES = "minutes"
    ROWS = "rows"
    COLUMNS = "columns"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Odd:
    """One way in which a run is unlike those before it."""

    measure: Measure
    words: str


@dataclass(slots=True)
class Judged:
    """One run: what was compared at all, and what is odd."""

    compared: set[Measure] = field(default_factory=set)
    odd: list[Odd] = field(default_factory=list)


@dataclass(slots=True)
class _Course:
    """One measure of one job over its runs, in their order."""

    measure: Measure
    name: str
    """Of the dataset, for rows."""
    runs: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    counts: list[bool] = field(default_factory=list)
    """Whether the run may teach what is usual."""


def judged_runs(jobs: Iterable[Sequence[tuple[int, Change]]]) -> dict[int, Judged]:
    """Each run that has ended, by its place, against the earlier ones of its job; `jobs` holds each job's runs in the
    order of time."""
    found: dict[int, Judged] = defaultdict(Judged)
    courses: list[_Course] = []
    began: dict[int, float] = {}
    for runs in jobs:
        courses += _courses(runs)
        began.update((i, run.occurred_at.timestamp() / 60) for i, run in runs)
        for i, odd in _columns(runs):
            found[i].compared.add(Measure.COLUMNS)
            found[i].odd += [odd] if odd else []
    for i, measure, odd in _unusual([one for one in courses if len(one.runs) > LEAST_RUNS], began):
        found[i].compared.add(measure)
        found[i].odd += [odd] if odd else []
    return found


def _courses(runs: Sequence[tuple[int, Change]]) -> Iterator[_Course]:
    """The measures that one job's runs tell."""
    by_name: dict[tuple[Measure, str], _Course] = {}
    before: Change | None = None
    for i, run in runs:
        well = run.outcome is not ChangeOutcome.FAILURE
        for measure, name, value in _measures(run, before):
            course = by_name.setdefault((measure, name), _Course(measure, name))
            course.runs.append(i)
            course.values.append(value)
            course.counts.append(well)
        before = run
    yield from by_name.values()


def _measures(run: Change, before: Change | None) -> Iterator[tuple[Measure, str, float]]:
    took = (run.finished_at - run.occurred_at).total_seconds() / 60 if run.finished_at else 0.0
    if took > 0 and run.outcome is ChangeOutcome.SUCCESS:  # many senders tell the end alone: it took no time then
        yield Measure.MINUTES, "", took
    if before is not None:
        yield Measure.GAP, "", (run.occurred_at - before.occurred_at).total_seconds() / 60
    for label, value in run.labels.items():
        if label.startswith(ROWS) and value.isdigit():
            yield Measure.ROWS, label.removeprefix(ROWS), float(value)


def _unusual(courses: Sequence[_Course], began: dict[int, float]) -> Iterator[tuple[int, Measure, Odd | None]]:
    """Each value that has enough before it: whether it is odd."""
    if not courses:
        return
    owner = np.concatenate([np.full(len(one.runs), at) for at, one in enumerate(courses)])
    runs = [i for one in courses for i in one.runs]
    values = np.concatenate([one.values for one in courses])
    usual, spread, known = _before(
        owner,
        np.log1p(values),
        np.concatenate([one.counts for one in courses]),
        np.array([began[i] for i in runs]),
    )
    gap = np.log1p(values) - usual
    sure = known >= LEAST_RUNS
    few = np.maximum(known, LEAST_RUNS)
    bound = np.interp(1 / (few - 1), 1 / ODD_DEGREES, ODD_SD) * np.sqrt(1 + 1 / few)
    odd = sure & (np.abs(gap) > bound * spread)
    for at in np.flatnonzero(sure).tolist():
        course = courses[owner[at]]
        late_only = course.measure is Measure.GAP and gap[at] < 0
        said = odd[at] and not late_only
        words = _words(course, float(values[at]), math.expm1(usual[at])) if said else ""
        yield runs[at], course.measure, Odd(course.measure, words) if said else None


def _before(
    owner: NDArray[np.intp], logs: Floats, counts: NDArray[np.bool_], began: Floats
) -> tuple[Floats, Floats, Floats]:
    """The median and the robust standard deviation of what came before each value in its course, and of how many."""
    size = len(logs)
    back = np.arange(size)[:, None] - 1 - np.arange(min(COMPARED, size))[None, :]
    inside = (back >= 0) & (owner[np.maximum(back, 0)] == owner[:, None]) & counts[np.maximum(back, 0)]
    back = np.maximum(back, 0)
    apart = np.abs(began[back] - began[:, None]) % _DAY_MIN
    same_hour = inside & (np.minimum(apart, _DAY_MIN - apart) <= SAME_HOUR_MIN)
    enough = same_hour.sum(axis=1) >= LEAST_RUNS
    inside = np.where(enough[:, None], same_hour, inside)
    known = inside.sum(axis=1)
    usual = _median(np.where(inside, logs[back], np.inf), known)
    off = np.where(inside, np.abs(logs[back] - usual[:, None]), np.inf)
    return usual, np.maximum(1.4826 * _median(off, known), LEAST_SPREAD), known.astype(float)


def _median(table: Floats, known: NDArray[np.intp]) -> Floats:
    """Of the finite values of each row, of which there are so many; 0 where there are none."""
    table.sort(axis=1)
    rows, last = np.arange(len(table)), np.maximum(known - 1, 0)
    middle = (table[rows, last // 2] + table[rows, (last + 1) // 2]) / 2
    return np.where(known > 0, middle, 0.0)


def _words(course: _Course, value: float, usual: float) -> str:
    match course.measure:
        case Measure.MINUTES:
            return f"the run took {value:.0f} min, usually {usual:.0f}"
        case Measure.GAP:
            return f"the run came {_hours(value)} after the one before, usually {_hours(usual)}"
    return f"the run wrote {_spaced(value)} rows to {course.name}, usually {_spaced(usual)}"


def _hours(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.0f} h"


def _spaced(number: float) -> str:
    """`52 450`."""
    return f"{number:,.0f}".replace(",", " ")


# --- columns ---


def _columns(runs: Sequence[tuple[int, Change]]) -> Iterator[tuple[int, Odd | None]]:
    """Each run that tells columns told before: whether they are others."""
    known: dict[str, str] = {}
    for i, run in runs:
        told = {label.removeprefix(SCHEMA): v for label, v in run.labels.items() if label.startswith(SCHEMA) and v}
        moved = [_altered(name, known[name], now) for name, now in told.items() if known.get(name, now) != now]
        if known.keys() & told.keys():
            yield i, Odd(Measure.COLUMNS, moved[0]) if moved else None
        known.update(told)


def _altered(name: str, before: str, now: str) -> str:
    was, has = ([column.partition(":")[0] for column in told.split(",")] for told in (before, now))
    moved = [f"without {column}" for column in was if column not in has]
    moved += [f"with {column}" for column in has if column not in was]
    return f"the run left {name} {', '.join(moved[:3]) or 'with other column types'}"
