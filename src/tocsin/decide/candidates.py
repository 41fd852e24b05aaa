"""Which changes may have come first? As columns, so that two thousand are weighed in a few milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.lags import KINDS
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

WINDOW = timedelta(hours=72)
"""How far back a cause may lie, for every kind: real lags reach it (three in four reverts come within it)."""
SKEW = timedelta(minutes=5)
"""Feeds disagree by minutes: a change stamped this much after the first alert stays a candidate, penalised."""
OFTEN_A_DAY = 2.0
"""Runs of one job a day that each count as a change of their own; oftener, they share the risk of these (judgement:
nightly jobs and those of morning and evening are what the risk of a kind was thought for)."""
SAME_WORK = ("run_id", "commit")
"""Labels whose equal value makes two changes parts of one."""

RUN = KINDS.index(ChangeKind.PIPELINERUN_FINISHED)
_IDENTITIES = np.array([id(kind) for kind in KINDS], dtype=np.int64)
_IN_ORDER = np.argsort(_IDENTITIES)
_SORTED = _IDENTITIES[_IN_ORDER]
"""Members are told by identity: hashing one runs Python code, 2,000 times a score."""
_FAULTS = (KINDS.index(ChangeKind.FEATURE_OUTAGE), KINDS.index(ChangeKind.SERVICE_ROLLEDBACK))
_FAILED, _UNDONE = b'"failure"', (b'"revert', b'"rollback')
"""As they stand in a list of outcomes, and at the beginning of a text in a list of lower-case ones."""
_R = ("r", "R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The candidates in the order of their time, then of their ids, and their columns."""

    changes: list[Change]
    ids: list[str]
    stamps: Floats
    """Seconds since 1970."""
    kinds: NDArray[np.intp]
    """Places in KINDS."""
    subjects: Sequence[Subject]
    touching: Sequence[tuple[int, tuple[Subject, ...]]]
    """Which of them wrote besides their subject, and what."""
    labelled: Sequence[tuple[int, str, str]]
    """Which of them belong to a run or a commit (SAME_WORK)."""
    odd: Sequence[int]
    """Those whose risk may not be the plain one of their kind: failures, faults, and words that begin with r."""
    digest: bytes
    """Of all that a score may rest on without series."""

    def of_one_work(self) -> Iterator[tuple[int, int]]:
        """Pairs that share a run or a commit, each with the first of its like."""
        runs: dict[str, int] = {}
        commits: dict[str, int] = {}
        for i, run, commit in self.labelled:
            for value, first in ((run, runs), (commit, commits)):
                if value and (other := first.setdefault(value, i)) != i:
                    yield other, i


def in_reach(changed_at: datetime, onset_at: datetime) -> bool:
    """Whether a cause of that time could be named at all: to everybody who answers, an older one is no known change."""
    return changed_at >= onset_at - WINDOW


def candidates_of(changes: Sequence[Change], onset_at: datetime, now: datetime) -> Candidates:
    """Changes of the 72 h before `onset_at`, the first alert, up to a little after it and never later than `now`; of
    one id what was told last."""
    earliest, latest = (onset_at - WINDOW).timestamp(), min(onset_at + SKEW, now).timestamp()
    told = np.fromiter(map(datetime.timestamp, [one.occurred_at for one in changes]), np.float64, len(changes))
    near = np.flatnonzero((told >= earliest) & (told <= latest))
    near = near[np.argsort(told[near])]
    equal = np.diff(told[near]) == 0
    if equal.any():  # a few of thousands in whole seconds
        tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        near[tied] = sorted(near[tied].tolist(), key=lambda i: (told[i], changes[i].id, i))
    return _in_columns([changes[i] for i in near.tolist()], told[near])


def written_at(change: Change, onset_at: datetime) -> datetime:
    """Since when a change can be felt: a run that had ended before trouble began, once it had written what it wrote."""
    ended = change.finished_at if change.kind is ChangeKind.PIPELINERUN_FINISHED else None
    return ended if ended is not None and change.occurred_at <= ended <= onset_at else change.occurred_at


def _in_columns(kept: list[Change], stamps: Floats) -> Candidates:
    ids: list[str] = []
    subjects: list[Subject] = []
    outcomes: list[ChangeOutcome] = []
    summaries: list[str] = []
    kinds: list[int] = []
    more: list[tuple[int, Change]] = []
    for i, one in enumerate(kept):  # once: each look at one of thousands of changes waits for memory
        ids.append(one.id)
        subjects.append(one.subject)
        outcomes.append(one.outcome)
        summaries.append(one.summary)
        kinds.append(id(one.kind))
        if one.labels or one.touches:
            more.append((i, one))
    if len(set(ids)) < len(ids):
        return _in_columns(*_told_last(kept))
    codes = _IN_ORDER[np.searchsorted(_SORTED, np.array(kinds, dtype=np.int64))]
    run, commit = SAME_WORK
    labelled = [(i, one.labels.get(run, ""), one.labels.get(commit, "")) for i, one in more if one.labels]
    touching = [(i, one.touches) for i, one in more if one.touches]
    ended, said = orjson.dumps(outcomes), orjson.dumps(summaries)
    odd = {i for fault in _FAULTS for i in np.flatnonzero(codes == fault).tolist()}
    if _FAILED in ended:
        odd.update(i for i, outcome in enumerate(outcomes) if outcome is ChangeOutcome.FAILURE)
    lower = said.lower()
    if any(word in lower for word in _UNDONE):
        odd.update(i for i, summary in enumerate(summaries) if summary[:1] in _R)
    digest = hashlib.blake2b(orjson.dumps(ids), digest_size=16)
    for column in (orjson.dumps(subjects), ended, said, orjson.dumps([touching, labelled]), stamps.data, codes.data):
        digest.update(column)
    return Candidates(
        changes=kept,
        ids=ids,
        stamps=stamps,
        kinds=codes,
        subjects=subjects,
        touching=touching,
        labelled=labelled,
        odd=sorted(odd),
        digest=digest.digest(),
    )


def _told_last(kept: list[Change]) -> tuple[list[Change], Floats]:
    """Of one id what was told last, in the order of time and ids."""
    last = {one.id: one for one in sorted(kept, key=attrgetter("received_at"))}
    found = sorted(last.values(), key=lambda one: (one.occurred_at, one.id))
    return found, np.array([one.occurred_at.timestamp() for one in found])
