"""Which changes may have come first? As columns, so that two thousand are weighed in a few milliseconds."""

from __future__ import annotations

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
SAME_WORK = ("run_id", "commit")
"""Labels whose equal value makes two changes parts of one."""

_IDENTITIES = np.array([id(kind) for kind in KINDS], dtype=np.int64)
_IN_ORDER = np.argsort(_IDENTITIES)
_SORTED = _IDENTITIES[_IN_ORDER]
"""Members are told by identity: hashing one runs Python code, 2,000 times a score."""
_FAULTS = (KINDS.index(ChangeKind.FEATURE_OUTAGE), KINDS.index(ChangeKind.SERVICE_ROLLEDBACK))
_R = ("r", "R")
_occurred_at = attrgetter("occurred_at")
_NAMES = ("id", "kind", "subject", "outcome", "summary", "touches", "labels")
_COLUMNS = tuple(map(attrgetter, _NAMES))
"""Column by column: a tuple a change would keep the garbage collector busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The candidates in the order of their ids, and their columns."""

    changes: list[Change]
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
    facts: tuple[bytes, ...]
    """All that a score may rest on without series, in canonical form."""

    def of_one_work(self) -> Iterator[tuple[int, int]]:
        """Pairs that share a run or a commit, each with the first of its like."""
        runs: dict[str, int] = {}
        commits: dict[str, int] = {}
        for i, run, commit in self.labelled:
            for value, first in ((run, runs), (commit, commits)):
                if value and (other := first.setdefault(value, i)) != i:
                    yield other, i


def candidates_of(changes: Sequence[Change], onset_at: datetime, now: datetime) -> Candidates:
    """Changes of the 72 h before `onset_at`, the first alert, up to a little after it and never later than `now`; of
    one id what was told last."""
    earliest, latest = (onset_at - WINDOW).timestamp(), min(onset_at + SKEW, now).timestamp()
    told = np.fromiter(map(datetime.timestamp, map(_occurred_at, changes)), np.float64, len(changes))
    ids = list(map(attrgetter("id"), changes))
    near = np.flatnonzero((told >= earliest) & (told <= latest)).tolist()
    if len({ids[i] for i in near}) < len(near):
        near.sort(key=lambda i: changes[i].received_at)
        near = list({ids[i]: i for i in near}.values())
    near.sort(key=ids.__getitem__)
    return _in_columns([changes[i] for i in near], told[np.array(near, dtype=np.intp)])


def _in_columns(kept: list[Change], stamps: Floats) -> Candidates:
    ids, kinds, subjects, outcomes, summaries, touches, labels = (list(map(of, kept)) for of in _COLUMNS)
    codes = _IN_ORDER[np.searchsorted(_SORTED, np.fromiter(map(id, kinds), np.int64, len(kinds)))]
    run, commit = SAME_WORK
    labelled = [(i, has.get(run, ""), has.get(commit, "")) for i, has in enumerate(labels) if has]
    touching = [(i, others) for i, others in enumerate(touches) if others]
    faults = [i for fault in _FAULTS for i in np.flatnonzero(codes == fault).tolist()]
    failure = ChangeOutcome.FAILURE
    failed = [i for i, outcome in enumerate(outcomes) if outcome is failure]
    reverts = [i for i, summary in enumerate(summaries) if summary[:1] in _R]
    texts = [ids, subjects, outcomes, summaries, touching, labelled]
    return Candidates(
        changes=kept,
        stamps=stamps,
        kinds=codes,
        subjects=subjects,
        touching=touching,
        labelled=labelled,
        odd=sorted({*faults, *failed, *reverts}),
        facts=(orjson.dumps(texts), stamps.tobytes(), codes.tobytes()),
    )
