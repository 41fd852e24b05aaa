"""When did a measured course leave its baseline, and did it do so where and when a change can explain it?

Two things are read from a series (correlation.md §2): the onset, the first sample of the run beyond the baseline, and
for the likeliest changes a test of its points. A test answers in a bounded Bayes factor; nothing later than the
decision is looked at. What the lag and the alerts have told already is not counted again:

- a course whose subject alerts cannot speak *for* a change once more, only against it (it had moved before);
- a change before the step is judged by what came after the step, not by how near to it the change lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.pattern import Pattern
from tocsin.decide.ranks import effect, greater, median
from tocsin.decide.wording import figure
from tocsin.domain.change import Change
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

LEAST_AFTER = 3
"""Points that must follow before anything is tested (correlation.md §2)."""
LEAST_BASELINE = 5
"""Points without which there is no baseline (judgement)."""
MOST_TESTED = 10
"""Candidates that are tested, the likeliest first: a test costs."""
CAP, FLOOR = 50.0, 0.35
"""Bounds of the Bayes factor (correlation.md §2)."""
STEP_SD = 5.0
"""How clearly a course must have left its baseline, in standard errors: the best of some hundred places to split pure
noise reaches 5 less than once in ten thousand courses (two-sided tail 6e-7, times the places)."""
LEAST_EFFECT = 0.5
"""Below half a standard deviation a shift is no shift, however significant (correlation.md §6: both are needed)."""
CLOCK_SD_MIN = 2.0
"""Feeds disagree by minutes: how well the onset is known at best, beside the spacing of the samples."""
CLEAR_SD = 3.0
"""An onset that lies nearer to the first alert, in its own standard deviations, tells nothing that the alert does not;
then lags are taken from the alert, as they are where nothing was measured."""
MISTAKEN = 0.1
"""The chance that the step belongs to something else; then the first alert tells the time, as without a series."""

_GOOD = ("success", "availab", "accuracy", "auc", "precision", "recall", "f1", "uptime", "throughput", "apdex", "rows")
_BAD = (
    "error",
    "latenc",
    "duration",
    "fail",
    "drift",
    "psi",
    "missing",
    "null",
    "timeout",
    "age",
    "lag",
    "loss",
    "5xx",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """When trouble began, by the course that left its baseline first: `before` the first alert, give or take."""

    course: Course
    before: float
    """Minutes before the first alert; never negative."""
    sd: float
    """Minutes."""

    def spread(self) -> tuple[Floats, Floats]:
        """Possible onsets in minutes before the first alert, and how likely each is: they sum to 1."""
        at = self.before + self.sd * np.linspace(-2, 2, 9)
        weights = np.exp(-0.5 * np.linspace(-2, 2, 9) ** 2)
        return np.maximum(at, 0.0), np.asarray(weights / weights.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What a course says of one change: `factor` > 1 speaks for it, < 1 against it. What was counted elsewhere has
    factor 1 and may yet be told, for it or `against` it."""

    factor: float
    words: str
    against: bool = False


NOT_TESTED = Tested(factor=1.0, words="")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """One series up to the decision, in minutes from the first alert."""

    subject: Subject
    metric: str
    version: str
    at: Floats
    values: Floats
    stepped: int | None
    """The first sample of the run beyond its baseline; None: it never left it."""

    @property
    def onset(self) -> float | None:
        """Minutes from the first alert (negative: before it)."""
        return None if self.stepped is None else float(self.at[self.stepped])

    @property
    def worse(self) -> int:
        """1: more is worse, -1: less is worse; 0: nobody knows, either is."""
        name = self.metric.lower()
        if any(word in name for word in _GOOD):
            return -1
        return 1 if any(word in name for word in _BAD) else 0

    def shift(self, split: float) -> tuple[Floats, Floats]:
        """The values before, and from `split` on."""
        return self.values[self.at < split], self.values[self.at >= split]


class Courses:
    """The courses of one incident against its alerts. Points later than `now` are left out first."""

    def __init__(self, series: Sequence[Series], pattern: Pattern, now: datetime) -> None:
        self._pattern = pattern
        self._all = [c for s in sorted(series, key=_key) if (c := _course(s, pattern, now)) is not None]
        limit = (now - pattern.onset_at) / timedelta(minutes=1)
        assert all(course.at[-1] <= limit for course in self._all), "a point later than the decision was let through"
        self.stepped = [c for c in self._all if c.subject in pattern.started and c.onset is not None and c.onset <= 0]
        """Those that left their baseline where something alerts, before it did."""
        self.onset = self._earliest()
        self._moves: dict[tuple[Course, tuple[Course, ...], float], tuple[float, float, str, str] | None] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def facts(self) -> bytes:
        """All that was read, in canonical form."""
        return orjson.dumps([[c.subject, c.metric, c.version, c.at.tolist(), c.values.tolist()] for c in self._all])

    def test(self, change: Change, age: float, pattern: Pattern) -> Tested:
        """What the courses in the change's reach say of it, which acted where the pattern finds likeliest; `age`:
        minutes from the change to the first alert."""
        root = pattern.root(change)
        if root is None:
            return NOT_TESTED
        inside = [c for c in self._all if self._pattern.reaches(root, c.subject)]
        began = -age
        canaries = [one for c in inside if c.version and (one := self._canary(c, change, began)) is not None]
        found = canaries or [
            tested for c in inside if not c.version and (tested := self._before_and_after(c, inside, began)) is not None
        ]
        return _strongest(found)

    def _earliest(self) -> Onset | None:
        if not self.stepped:
            return None
        first = min(self.stepped, key=lambda c: (c.onset or 0.0, c.subject, c.metric, c.version))
        assert first.stepped is not None
        before = -float(first.at[first.stepped])
        gap = float(first.at[first.stepped] - first.at[first.stepped - 1])
        sd = math.hypot(CLOCK_SD_MIN, gap / math.sqrt(12))  # it lies anywhere between two samples
        return Onset(course=first, before=before, sd=sd) if before > CLEAR_SD * sd else None

    def _canary(self, new: Course, change: Change, began: float) -> Tested | None:
        """The new version against the old ones over the same time."""
        if new.version.removeprefix("v") != change.version.removeprefix("v"):
            return None
        old = [c for c in self._all if (c.subject, c.metric) == (new.subject, new.metric) and c.version != new.version]
        fresh = new.values[new.at >= began]
        stale = [c.values[c.at >= began] for c in old if c.version]
        beside = np.concatenate(stale) if stale else np.zeros(0)
        if min(len(fresh), len(beside)) < LEAST_AFTER:
            return None
        p, size = _compared(beside, fresh, new.worse)
        names = f"{new.metric} of {new.subject}: {_number(beside)} in other versions, {_number(fresh)} in {new.version}"
        factor = factor_of(p, size)
        return Tested(factor=factor, words=f"{names} ({_figures(p, size)})", against=factor < 1)

    def _before_and_after(self, course: Course, inside: Sequence[Course], began: float) -> Tested | None:
        """Before against after, less what its peers did meanwhile."""
        split = max(began, course.onset if course.onset is not None else began)
        asked = course, self._peers(course, inside, split), split
        if asked not in self._moves:  # changes before the step are all asked the same
            self._moves[asked] = _moved(*asked)
        if (moved := self._moves[asked]) is None:
            return None
        p, size, was, now = moved
        factor, alerts = factor_of(p, size), course.subject in self._pattern.started
        name = f"{course.metric} of {course.subject}"
        if course.onset is not None and course.onset < began - 2 * CLOCK_SD_MIN:
            if self.onset is not None and course is self.onset.course:
                return None  # the lag tells it already
            early = round(began - course.onset)
            return Tested(
                factor=min(factor, 1.0), words=f"{name} had left its baseline {early} min before it", against=True
            )
        if size < LEAST_EFFECT:  # of a subject that does not alert, its silence has told that already
            words = f"{name} did not move after it ({was}, then {now})"
            return Tested(factor=min(factor, 1.0), words=words, against=True) if alerts else None
        words = f"{name} went from {was} to {now} ({_figures(p, size)})"
        return Tested(factor=1.0 if alerts else max(factor, 1.0), words=words)

    def _peers(self, course: Course, inside: Sequence[Course], split: float) -> tuple[Course, ...]:
        """Unaffected courses of the same metric that were measured before and after."""
        return tuple(
            c
            for c in self._all
            if c.metric == course.metric and not c.version and c not in inside
            if c.subject not in self._pattern.started and c.at[0] < split <= c.at[-1]
        )


def _moved(course: Course, peers: Sequence[Course], split: float) -> tuple[float, float, str, str] | None:
    """p and size of what the course did since the split, less what its peers did meanwhile, and its values before and
    after in words; None: too few points."""
    values = course.values - _meanwhile(course, peers, split)
    before, after = values[course.at < split], values[course.at >= split]
    if len(after) < LEAST_AFTER or len(before) < LEAST_BASELINE:
        return None
    was, now = map(_number, course.shift(split))
    return *_compared(before, after, course.worse or _direction(course)), was, now


def _meanwhile(course: Course, peers: Sequence[Course], split: float) -> Floats:
    """What its peers did since the split, each less its own level before (difference in differences); nothing when
    there are none."""
    if not peers:
        return np.zeros(len(course.at))
    moved = [np.interp(course.at, c.at, c.values) - c.values[c.at < split].mean() for c in peers]
    return np.asarray(np.where(course.at >= split, np.mean(moved, axis=0), 0.0))


def factor_of(p: float, size: float) -> float:
    """The Bayes factor that a p-value is worth at most (Sellke, Bayarri, Berger 2001: 1 / −e·p·ln p), bounded. A shift
    without size speaks for nothing."""
    if p >= 1 / math.e:
        return float(FLOOR ** ((p - 1 / math.e) / (1 - 1 / math.e)))
    factor = min(CAP, 1 / (-math.e * max(p, 1e-12) * math.log(max(p, 1e-12))))
    return factor if size >= LEAST_EFFECT else 1.0


def stepped(values: Floats) -> int | None:
    """Where the values leave their baseline for a run to the end: the first sample of the run, by the split that parts
    them most clearly. None: nowhere clearly."""
    n = len(values)
    if n <= LEAST_BASELINE:
        return None
    middle = median(values)
    spread = 1.4826 * median(np.abs(values - middle)) or float(np.std(values))
    clipped = np.clip(values, middle - 10 * spread, middle + 10 * spread)  # one wild sample is no run
    splits = np.arange(LEAST_BASELINE, n)
    sums = np.cumsum(clipped)
    before = sums[splits - 1] / splits
    after = (sums[-1] - sums[splits - 1]) / (n - splits)
    weight = np.sqrt(splits * (n - splits) / n)
    best = int(splits[np.argmax(np.abs(after - before) * weight)])
    rest = np.concatenate([clipped[:best] - clipped[:best].mean(), clipped[best:] - clipped[best:].mean()])
    within = math.sqrt(float(rest @ rest) / max(n - 2, 1))
    gap = abs(float(clipped[best:].mean() - clipped[:best].mean()))
    if gap <= 0 or gap * math.sqrt(best * (n - best) / n) < STEP_SD * within:
        return None
    return best


def _course(series: Series, pattern: Pattern, now: datetime) -> Course | None:
    first_at = pattern.onset_at
    since = np.array([(moment - first_at).total_seconds() for moment, _ in series.points])
    values = np.array([value for _, value in series.points], dtype=np.float64)
    known = np.flatnonzero((since <= (now - first_at).total_seconds()) & np.isfinite(values))
    if not known.size:
        return None
    order = known[np.lexsort((values[known], since[known]))]
    values = values[order]
    metric, _, version = series.metric.partition("@")
    subject = pattern.topology.named(series.subject)
    return Course(
        subject=subject, metric=metric, version=version, at=since[order] / 60, values=values, stepped=stepped(values)
    )


def _key(series: Series) -> tuple[str, str, tuple[tuple[datetime, float], ...]]:
    return series.subject, series.metric, series.points


def _direction(course: Course) -> int:
    """Where the course went when it left its baseline."""
    if course.stepped is None:
        return 0
    return 1 if course.values[course.stepped :].mean() > course.values[: course.stepped].mean() else -1


def _compared(before: Floats, after: Floats, worse: int) -> tuple[float, float]:
    """p that the later values are not worse, and the size of the shift in standard deviations of the earlier."""
    size = effect(before, after)
    if worse:
        return greater(worse * after, worse * before), size
    return min(1.0, 2 * min(greater(after, before), greater(before, after))), size


def _strongest(found: Sequence[Tested]) -> Tested:
    """Of several tests the one that says most, its factor paid for by their number."""
    if not found:
        return NOT_TESTED
    best = max(found, key=lambda one: (abs(math.log(one.factor)), one.words))
    return best if best.factor <= 1 else replace(best, factor=max(1.0, best.factor / len(found)))


def _number(values: Floats) -> str:
    return figure(median(values))


def _figures(p: float, size: float) -> str:
    return f"p {'< .0001' if p < 1e-4 else f'= {p:.2g}'}, effect {size:.1f} sd"
