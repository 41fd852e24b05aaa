"""What do a change's own facts say of it, beside its kind, its time and its place?

- A pipeline run that has ended against the runs of the same job before it: how long it took, how many rows it wrote,
  whether what it wrote still has the same columns. Only what the candidates themselves tell is compared: three days.
- A model's new version against the version that the alerts name.

Each answer is a bounded Bayes factor. No published figures exist; the chances below are careful judgement, as for a
failed run (attribute.py): odd runs break twice or three times as often as others, and never more is claimed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import orjson

from tocsin.decide.candidates import Candidates
from tocsin.decide.lags import KINDS
from tocsin.decide.pattern import Places
from tocsin.decide.runs import Judged, Measure, judged_runs
from tocsin.decide.series import Tested
from tocsin.domain.alert import AlertState
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.subject import Subject

ODD_OF_CAUSES = 0.2
"""Of runs that break something, how many are odd in one measure, as rows or columns (judgement: most bad data has the
usual size and shape)."""
ODD_HERE = (1.0, 20.0)
"""Pseudo-counts of odd runs among runs, before the scene's own are counted: where every tenth run is odd, that is no
sign of anything, and where none is, it is one."""
MOST = 20.0
"""More than this is never claimed, for or against."""
NAMED_OF_CAUSES, NAMED_OF_OTHERS = 0.97, 0.7
"""How often the alerts of a model name the version that a change brought: when that change is the cause, and when it
is not (it is then mostly live all the same). The rest name another."""

_RUN = KINDS.index(ChangeKind.PIPELINERUN_FINISHED)
_OF_MODELS = tuple(
    map(KINDS.index, (ChangeKind.MODEL_PROMOTED, ChangeKind.MODEL_DEPLOYED, ChangeKind.MODEL_REGISTERED))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddities:
    """What is known of single candidates, by their places; of most there is nothing to say."""

    said: Mapping[int, Tested]

    @property
    def canonical(self) -> bytes:
        """All of it, for the digest."""
        return orjson.dumps([[i, one.factor, one.words] for i, one in sorted(self.said.items())])


def oddities_of(
    candidates: Candidates, places: Places, members: Sequence[AlertState], catalog: Catalog, *, now: datetime
) -> Oddities:
    """What the candidates' own facts say, of runs those that had ended by `now`."""
    said: dict[int, Tested] = {}
    by_job: dict[int, list[int]] = defaultdict(list)
    changes, jobs = candidates.changes, places.of.tolist()
    for i in np.flatnonzero(candidates.kinds == _RUN).tolist():
        finished = changes[i].finished_at
        if finished is not None and finished <= now:
            by_job[jobs[i]].append(i)
    said.update(_of_runs(judged_runs([(i, changes[i]) for i in runs] for runs in by_job.values())))
    named = _versions(members, catalog)
    if named:
        for i in np.flatnonzero(np.isin(candidates.kinds, _OF_MODELS)).tolist():
            if found := _of_version(candidates.changes[i], places.names[places.of[i]], named):
                said[i] = found
    return Oddities(said=said)


# --- runs ---


def _of_runs(judged: Mapping[int, Judged]) -> Iterator[tuple[int, Tested]]:
    """What each run's oddities say: how often such runs break something against how often runs are so odd here."""
    rates = {measure: _rate(measure, judged.values()) for measure in Measure}
    for i, one in judged.items():
        factor = 1.0
        odd = {found.measure for found in one.odd}
        for measure in one.compared:
            here = rates[measure]
            factor *= ODD_OF_CAUSES / here if measure in odd else (1 - ODD_OF_CAUSES) / (1 - here)
        words = "; ".join(found.words for found in one.odd[:2])
        yield i, Tested(factor=min(max(factor, 1 / MOST), MOST), words=words)


def _rate(measure: Measure, judged: Iterable[Judged]) -> float:
    """The share of this scene's runs that are odd in this: nearly all of them broke nothing."""
    of = [any(found.measure is measure for found in one.odd) for one in judged if measure in one.compared]
    odd, runs = ODD_HERE
    return min((odd + sum(of)) / (runs + len(of)), ODD_OF_CAUSES)


# --- models ---


def _versions(members: Sequence[AlertState], catalog: Catalog) -> dict[Subject, set[str]]:
    """The versions that the alerts name, by model."""
    named: dict[Subject, set[str]] = defaultdict(set)
    for member in members:
        if member.alert.model_version:
            named[catalog.resolve(member.alert.subject)].add(_plain(member.alert.model_version))
    return named


def _of_version(change: Change, model: Subject, named: Mapping[Subject, set[str]]) -> Tested | None:
    brought, before = _plain(change.version), _plain(change.previous_version)
    told = named.get(model)
    if not told or not brought:
        return None
    if brought in told:
        return Tested(
            factor=NAMED_OF_CAUSES / NAMED_OF_OTHERS, words=f"the alerts name version {brought}, which it brought"
        )
    if before not in told and not any(_shape(version) == _shape(brought) for version in told):
        return None  # spelled in another way: nothing follows
    words = f"the alerts name version {min(told)}, it brought {brought}"
    return Tested(factor=(1 - NAMED_OF_CAUSES) / (1 - NAMED_OF_OTHERS), words=words, against=True)


def _plain(version: str) -> str:
    """`v17` and `17` are one."""
    return re.sub(r"^[vV](?=\d)", "", version.strip())


def _shape(version: str) -> str:
    """How it is spelled: digits apart from letters."""
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "9", version))
