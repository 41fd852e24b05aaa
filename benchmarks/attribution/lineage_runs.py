"""Jobs of the lineage world: when they run, what a run tells of itself, and how a bad one differs from the others.

Our own laws, written before the scorer's constants were read. Minutes from the first day's midnight; sizes are natural
logarithms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from benchmarks.attribution.world import DAY, DAYS, Made

CADENCES = (60.0, 360.0, 1440.0)
BAD = {60.0: 0.0018, 360.0: 0.009, 1440.0: 0.022}
"""Chance that a run breaks something, by cadence, before the job's own factor."""
HARMLESS = {"backfill": 0.006, "slow": 0.02, "dip": 0.004}
"""What happens to runs that break nothing, in rows and durations; the rest are plain."""
SHOWN = {"silent": 0.3, "rows": 0.3, "duration": 0.15, "both": 0.1, "columns": 0.07, "failed": 0.08}
"""How a bad run shows in its own facts."""
EMPTY = {True: 0.12, False: 0.0005}
"""Chance of no rows at all: of a bad run that shows in its rows, of any other."""
LATE = {True: 0.12, False: 0.02}
RETRIED, FAILED, SKIPPED, NEW_COLUMN = 0.025, 0.002, 0.003, 0.002
CARRIED = 0.5
"""Chance that the next run of a job that reads what was spoilt shows it in its rows."""
SCHEMA_SEEN = 0.8
"""Chance that the next run of what writes a dataset shows its schema change."""
TELLS_LINEAGE, TELLS_ROWS, TELLS_COLUMNS = 0.8, 0.75, 0.5
FREEDOM = 4.0
"""Of Student's t: what remains of rows and durations after season and growth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Made):
    """A change with what its sender tells; `kind` "pipeline" is a run that began at `at`."""

    ended: float = np.inf
    failed: bool = False
    rows: tuple[int, ...] | None = None
    """By output of the job."""
    columns: str = ""
    """Of the job's first output; empty: it does not tell."""
    version: str = ""
    previous: str = ""
    retried: bool = False
    late: bool = False
    other_columns: bool = False
    """Other columns than the run before, and no schema change told why."""
    row_gap: float = 0.0
    """Log rows against what season and growth let expect, in units of the job's noise."""
    time_gap: float = 0.0
    """Log duration likewise."""
    empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job's habits."""

    node: int
    cadence: float
    phase: float
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    tells_lineage: bool
    tells_rows: bool
    tells_columns: bool
    log_rows: tuple[float, ...]
    weekend: float
    daily: float
    growth: float
    row_noise: float
    log_minutes: float
    time_noise: float


def make_job(node: int, cadence: float, reads: tuple[int, ...], writes: tuple[int, ...], rng: Generator) -> Job:
    """A job with habits of its own."""
    tells = bool(rng.random() < TELLS_LINEAGE)
    return Job(
        node=node,
        cadence=cadence,
        phase=float(rng.uniform(0, 50) if cadence < DAY else rng.uniform(0, 540)),
        reads=reads,
        writes=writes,
        tells_lineage=tells,
        tells_rows=tells and bool(rng.random() < TELLS_ROWS),
        tells_columns=tells and bool(rng.random() < TELLS_COLUMNS),
        log_rows=tuple(float(one) for one in rng.uniform(np.log(2e3), np.log(5e6), len(writes))),
        weekend=float(rng.uniform(0, 0.6)),
        daily=float(rng.uniform(0, 0.8)) if cadence < DAY else 0.0,
        growth=float(rng.uniform(-0.001, 0.004)),
        row_noise=float(0.08 * np.exp(0.6 * rng.standard_normal())),
        log_minutes=float(rng.uniform(0, np.log(min(60.0, 0.4 * cadence)))),
        time_noise=float(0.15 * np.exp(0.4 * rng.standard_normal())),
    )


def expected_rows(job: Job, at: float) -> np.ndarray:
    """Log rows by output that season and growth let expect."""
    day = int(at // DAY)
    season = -job.weekend * (day % 7 >= 5) + job.daily * np.cos(2 * np.pi * (at / DAY - 14 / 24))
    return np.asarray(np.array(job.log_rows) + job.growth * day + season)


def usual_runs(job: Job, levels: np.ndarray, rng: Generator) -> list[Event]:
    """Every run of the job in the world's days, none of them bad. `levels`: log rows above the expected, by day."""
    found: list[Event] = []
    for slot in np.arange(job.phase, DAYS * DAY, job.cadence):
        if rng.random() < SKIPPED:
            continue
        late = bool(rng.random() < LATE[False])
        at = float(slot + rng.uniform(0, 3) + (_delay(job, rng) if late else 0))
        if rng.random() < RETRIED:
            short = float(rng.uniform(0.5, 4))
            found.append(_event(job, at - rng.uniform(5, 20), short, failed=True, retried=True))
        mood = str(rng.choice([*HARMLESS, "plain"], p=[*HARMLESS.values(), 1 - sum(HARMLESS.values())]))
        run = _event(job, at, 1.0, failed=bool(rng.random() < FAILED), late=late)
        rows, minutes = _harmless(mood, rng)
        empty = bool(rng.random() < EMPTY[False])
        found.append(
            sized(job, run, levels, rows + _noise(job.row_noise, rng), minutes + _noise(job.time_noise, rng), empty)
        )
    return found


def bad_run(job: Job, run: Event, levels: np.ndarray, rng: Generator) -> Event:
    """The run as a bad one: it shows in its facts, or it does not."""
    how = str(rng.choice(list(SHOWN), p=list(SHOWN.values())))
    in_rows, in_time = how in ("rows", "both"), how in ("duration", "both")
    rows = _bad_rows(rng) if in_rows else 0.0
    minutes = _bad_minutes(rng) if in_time else 0.0
    late = bool(rng.random() < LATE[True])
    slot = run.at + (_delay(job, rng) if late and not run.late else 0)
    changed = replace(run, at=slot, late=late or run.late, failed=how == "failed", other_columns=how == "columns")
    empty = in_rows and bool(rng.random() < EMPTY[True])
    return sized(job, changed, levels, rows + _noise(job.row_noise, rng), minutes + _noise(job.time_noise, rng), empty)


def carrying(job: Job, run: Event, levels: np.ndarray, rng: Generator) -> Event:
    """The run of a reader that took over what was spoilt: fewer rows."""
    offset = -(0.15 + rng.exponential(0.6))
    minutes = run.time_gap * job.time_noise
    return sized(job, run, levels, offset + run.row_gap * job.row_noise, minutes, run.empty)


def sized(job: Job, run: Event, levels: np.ndarray, rows: float, minutes: float, empty: bool) -> Event:
    """The run with these gaps of its log rows and log minutes; a failed one writes nothing that it tells."""
    day = min(int(run.at // DAY), len(levels) - 1)
    logs = expected_rows(job, run.at) + levels[day] + rows
    counts = tuple(0 if empty else max(1, round(float(np.exp(one)))) for one in logs)
    return replace(
        run,
        ended=run.at + float(np.exp(job.log_minutes + minutes)),
        rows=counts if job.tells_rows and not run.failed else None,
        row_gap=rows / job.row_noise,
        time_gap=minutes / job.time_noise,
        empty=empty,
    )


def with_columns(job: Job, runs: list[Event], altered: list[float], rng: Generator) -> list[Event]:
    """The runs with the columns of the job's first output, where it tells them; `altered`: when its schema changed."""
    if not job.tells_columns:
        return runs
    ahead = [at for at in altered if rng.random() < SCHEMA_SEEN]
    found, count = [], 0
    for run in sorted(runs, key=lambda one: one.at):
        while ahead and ahead[0] < run.at:
            ahead, count = ahead[1:], count + 1
        count += run.other_columns
        found.append(run if run.failed else replace(run, columns=f"id:int,value:double,c{count}:string"))
    return found


def levels_of(rng: Generator) -> np.ndarray:
    """A job's slow wandering: log rows by day, beside season and growth."""
    level, found = 0.0, []
    for _ in range(DAYS):
        level = 0.9 * level + 0.03 * float(rng.standard_normal())
        found.append(level)
    return np.array(found)


def log_ratio(job: Job, run: Event) -> float:
    """log P(what the run tells | bad) / P(… | harmless), as the world's maker knows it; -inf for a retried attempt."""
    if run.retried:
        return -np.inf
    late = np.log(LATE[True] / LATE[False]) if run.late else np.log((1 - LATE[True]) / (1 - LATE[False]))
    if run.failed:
        return float(late + np.log(SHOWN["failed"] / FAILED))
    if job.tells_columns and run.other_columns:
        return float(late + np.log(SHOWN["columns"] / NEW_COLUMN))
    tells = run.rows is not None
    time, minutes = run.time_gap * job.time_noise, job.time_noise
    plain_t, bad_t = _t(time, minutes), _mixed(time, minutes, _BAD_MINUTES)
    plain_r = _rows(run, job, _PLAIN, EMPTY[False]) if tells else 1.0
    bad_r = _rows(run, job, _BAD_ROWS, EMPTY[True]) if tells else 1.0
    bad = (SHOWN["silent"] + (0 if job.tells_columns else SHOWN["columns"])) * plain_r * plain_t
    bad += SHOWN["rows"] * bad_r * plain_t + SHOWN["duration"] * plain_r * bad_t + SHOWN["both"] * bad_r * bad_t
    return float(late + np.log(bad + 1e-300) - np.log(_fine(job, run) + 1e-300))


def carried_ratio(job: Job, run: Event) -> float:
    """P(what the run tells | it took over what was spoilt) / P(… | harmless)."""
    if run.rows is None or run.retried:
        return 1.0
    shows = _rows(run, job, _CARRIED, EMPTY[False]) * _t(run.time_gap * job.time_noise, job.time_noise)
    return 1 - CARRIED + CARRIED * shows / (_fine(job, run) + 1e-300)


def _fine(job: Job, run: Event) -> float:
    """P(rows, duration | harmless)."""
    time, minutes, tells = run.time_gap * job.time_noise, job.time_noise, run.rows is not None
    plain_t = _t(time, minutes)
    by_mood = {
        "plain": (_PLAIN, plain_t),
        "backfill": (_BACKFILL, _mixed(time, minutes, _BACKFILL_TIME)),
        "slow": (_PLAIN, _mixed(time, minutes, _SLOW)),
        "dip": (_DIP, plain_t),
    }
    share = {**HARMLESS, "plain": 1 - sum(HARMLESS.values())}
    return sum(
        share[mood] * dense * (_rows(run, job, offsets, EMPTY[False]) if tells else 1.0)
        for mood, (offsets, dense) in by_mood.items()
    )


def _rows(run: Event, job: Job, offsets: np.ndarray, empty: float) -> float:
    return empty if run.empty else (1 - empty) * _mixed(run.row_gap * job.row_noise, job.row_noise, offsets)


def _event(
    job: Job, at: float, minutes: float, *, failed: bool = False, retried: bool = False, late: bool = False
) -> Event:
    return Event(
        id="",
        kind="pipeline",
        node=job.node,
        at=at,
        known=True,
        ended=at + minutes,
        failed=failed,
        retried=retried,
        late=late,
    )


def _delay(job: Job, rng: Generator) -> float:
    return float(min(0.8, 0.25 * np.exp(0.8 * rng.standard_normal())) * job.cadence)


def _noise(scale: float, rng: Generator) -> float:
    return float(scale * rng.standard_t(FREEDOM))


def _harmless(mood: str, rng: Generator) -> tuple[float, float]:
    match mood:
        case "backfill":
            return float(rng.uniform(1.4, 3.4)), float(rng.uniform(0.8, 2.5))
        case "slow":
            return 0.0, float(0.3 + rng.exponential(0.9))
        case "dip":
            return -float(rng.uniform(0.3, 1.5)), 0.0
    return 0.0, 0.0


def _bad_rows(rng: Generator) -> float:
    return float(-(0.25 + rng.exponential(1.1)) if rng.random() < 0.72 else 0.2 + rng.exponential(0.7))


def _bad_minutes(rng: Generator) -> float:
    return float(0.3 + rng.exponential(0.9) if rng.random() < 0.7 else -(0.3 + rng.exponential(0.6)))


_GRID = (np.arange(40) + 0.5) / 40
_EXP = -np.log1p(-_GRID)
_BACKFILL, _BACKFILL_TIME = 1.4 + 2.0 * _GRID, 0.8 + 1.7 * _GRID
_PLAIN = np.zeros(1)
_SLOW, _DIP, _CARRIED = 0.3 + 0.9 * _EXP, -(0.3 + 1.2 * _GRID), -(0.15 + 0.6 * _EXP)
_BAD_ROWS = np.concatenate([-(0.25 + 1.1 * _EXP)] * 18 + [0.2 + 0.7 * _EXP] * 7)
_BAD_MINUTES = np.concatenate([0.3 + 0.9 * _EXP] * 7 + [-(0.3 + 0.6 * _EXP)] * 3)
"""Quantiles of each offset: the ceiling averages over them what the noise makes of them."""


def _t(gap: float, scale: float) -> float:
    """Density of Student's t with 4 degrees of freedom: 3/8 (1 + z²/4)^(-5/2)."""
    return float(0.375 * (1 + (gap / scale) ** 2 / 4) ** -2.5 / scale)


def _mixed(gap: float, scale: float, offsets: np.ndarray) -> float:
    return float((0.375 * (1 + ((gap - offsets) / scale) ** 2 / 4) ** -2.5 / scale).mean())
