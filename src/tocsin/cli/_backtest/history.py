"""What do earlier cases teach, and who has foreseen their causes best? The same counts as a live installation makes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tocsin.cli._backtest.cases import Case
from tocsin.decide.candidates import in_reach
from tocsin.decide.experience import COLD, Experience, Learner, Lesson
from tocsin.decide.guard import LATEST, NO_RECORD, Record, Trial, guarded, judged
from tocsin.decide.recurrence import MOST_MADE, MOST_OPENED, Asked, Earlier, Like, Opening


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronicle:
    """The changes of earlier cases and the openings of their alerts, each in the order of time, up to the last
    decision. Nobody need have told what a case's cause was."""

    made: dict[Like, list[datetime]] = field(default_factory=dict)
    opened: dict[str, list[Opening]] = field(default_factory=dict)
    until: datetime | None = None

    def earlier(self, question: Asked) -> Earlier:
        """What the cases tell of the time that is asked for."""
        since, until = question.since, min(question.until, self.until or question.since)
        opened = [
            one
            for fingerprint in question.fingerprints
            for one in [one for one in self.opened.get(fingerprint, ()) if since <= one.at < until][-MOST_OPENED:]
        ]
        made = {like: [at for at in self.made.get(like, ()) if since <= at < until] for like in question.like}
        latest = {like: moments[-MOST_MADE:] for like, moments in made.items()}
        return Earlier(since=since, until=until, made=latest, opened=opened)


NOTHING_EARLIER = Chronicle()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What was learned, the record of everybody who had foreseen the causes or not, and what had happened."""

    experience: Experience = COLD
    record: Record = NO_RECORD
    chronicle: Chronicle = NOTHING_EARLIER


NOTHING = Taught()


def taught_by(history: Iterable[Case]) -> Taught:
    """What the earlier cases teach, in the order of their time. As in a live installation all of it stands as of the
    latest case with a truth: what comes after it was judged by nobody."""
    cases = sorted((case for case in history if case.members), key=lambda case: (case.decide_at, case.id))
    told = [at for at, case in enumerate(cases) if case.cause is not None]
    chronicle = _chronicle(cases)
    if not told:
        return Taught(chronicle=chronicle)
    learner, judged_from = Learner(), told[-LATEST:][0]
    trials: deque[Trial] = deque(maxlen=LATEST)
    for at, case in enumerate(cases[: told[-1] + 1]):
        if case.cause is not None and at >= judged_from:
            trials.append(_trial(case, case.cause, learner.experience))
        learner.take(_lesson(case))
    return Taught(experience=learner.experience, record=judged(tuple(trials)), chronicle=chronicle)


def _chronicle(cases: Sequence[Case]) -> Chronicle:
    made = {change.id: change for case in cases for change in case.changes}
    by_like: dict[Like, list[datetime]] = defaultdict(list)
    for change in sorted(made.values(), key=lambda one: (one.occurred_at, one.id)):
        by_like[change.kind, change.subject].append(change.occurred_at)
    opened: dict[str, list[Opening]] = defaultdict(list)
    openings = [
        Opening(fingerprint=member.fingerprint, outage=str(n), at=member.starts_at)
        for n, case in enumerate(cases)
        for member in case.members
    ]
    for one in sorted(openings, key=lambda one: (one.at, one.outage)):
        opened[one.fingerprint].append(one)
    return Chronicle(made=by_like, opened=opened, until=max((case.decide_at for case in cases), default=None))


def _trial(case: Case, cause: str, experience: Experience) -> Trial:
    found = guarded(
        case.incident, case.changes, case.catalog, now=case.decide_at, experience=experience, series=case.series
    )
    stood_there = any(one.id == cause and in_reach(one.occurred_at, found.onset_at) for one in case.changes)
    return Trial(answers=found.answers, candidates=found.candidates, cause=cause if stood_there else "")


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
