"""What do earlier cases teach, and who has foreseen their causes best? The same counts as a live installation makes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.cli._backtest.cases import Case
from tocsin.decide.experience import COLD, Experience, Learner, Lesson
from tocsin.decide.guard import LATEST, NO_RECORD, Record, Trial, guarded, judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What was learned, and the record of everybody who had foreseen the causes or not."""

    experience: Experience = COLD
    record: Record = NO_RECORD


NOTHING = Taught()


def taught_by(history: Iterable[Case]) -> Taught:
    """What the earlier cases teach, in the order of their time. As in a live installation all of it stands as of the
    latest case with a truth: what comes after it was judged by nobody."""
    cases = sorted((case for case in history if case.members), key=lambda case: (case.decide_at, case.id))
    told = [at for at, case in enumerate(cases) if case.cause is not None]
    if not told:
        return NOTHING
    learner, judged_from = Learner(), told[-LATEST:][0]
    trials: deque[Trial] = deque(maxlen=LATEST)
    for at, case in enumerate(cases[: told[-1] + 1]):
        if case.cause is not None and at >= judged_from:
            trials.append(_trial(case, case.cause, learner.experience))
        learner.take(_lesson(case))
    return Taught(experience=learner.experience, record=judged(tuple(trials)))


def _trial(case: Case, cause: str, experience: Experience) -> Trial:
    found = guarded(
        case.incident, case.changes, case.catalog, now=case.decide_at, experience=experience, series=case.series
    )
    return Trial(answers=found.answers, candidates=found.candidates, cause=cause)


def _lesson(case: Case) -> Lesson:
    return Lesson(
        members=case.members,
        changes=case.changes,
        catalog=case.catalog,
        decided_at=case.decide_at,
        told=case.cause is not None,
        cause=case.cause or "",
        series=case.series,
    )
