"""What do a change's own facts say of it, beside its kind, its time and its place?

- A pipeline run that has ended against the runs of the same job before it: how long it took, how many rows it wrote,
  whether what it wrote still has the same columns. Only what the candidates themselves tell is compared: three days.
- A model's new version against the version that the alerts name.

Each answer is a bounded Bayes factor. No published figures exist; the chances below are careful judgement, as for a
failed run (attribute.py): odd runs break twice or three times as often as others, and never more is claimed."""

from __future__ import annotations

import math
import re
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

import numpy as np
import orjson

from tocsin.decide.candidates import Candidates
from tocsin.decide.lags import KINDS
from tocsin.decide.pattern import Places
from tocsin.decide.series import Tested
from tocsin.domain.alert import AlertState
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.subject import Subject

LEAST_RUNS = 4
"""Earlier runs without which nothing is usual yet."""
ODD_OF_CAUSES, ODD_OF_OTHERS = 0.15, 0.05
"""Of runs that break something, and of others: how many are odd by the test below (judgement: it is beyond three robust
standard deviations, and such values have heavy tails)."""
ODD_SD = 3.0
LEAST_SPREAD = math.log(1.25)
"""Standard deviations of logarithms smaller than this count as this: a job that always takes 60 s may take 75."""
NAMED_OF_CAUSES, NAMED_OF_OTHERS = 0.97, 0.7
"""How often the alerts of a model name the version that a change brought: when that change is the cause, and when it
is not (it is then mostly live all the same). The rest name another."""
ROWS, SCHEMA = "rowCount.", "schema."
"""Labels of a run, with the dataset's name behind (sources/openlineage)."""

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
    for runs in by_job.values():
        said.update(_of_runs([(i, changes[i]) for i in runs]))
    named = _versions(members, catalog)
    if named:
        for i in np.flatnonzero(np.isin(candidates.kinds, _OF_MODELS)).tolist():
            if found := _of_version(candidates.changes[i], places.names[places.of[i]], named):
                said[i] = found
    return Oddities(said=said)


# --- runs ---


@dataclass(frozen=True, slots=True)
class _Ran:
    """One run's measures: minutes and rows by name, and the columns of what it wrote."""

    measures: Mapping[str, float]
    columns: Mapping[str, str]


def _of_runs(runs: Sequence[tuple[int, Change]]) -> Iterator[tuple[int, Tested]]:
    """Each run of one job, in the order of their time, against those before it that went well."""
    past: dict[str, list[float]] = defaultdict(list)
    columns: dict[str, str] = {}
    for i, run in runs:
        ran = _ran(run)
        known = {name for name in ran.measures if len(past[name]) >= LEAST_RUNS}
        words = [words for name in sorted(known) if (words := _odd(name, ran.measures[name], past[name]))]
        words += [
            _altered(name, columns[name], now) for name, now in ran.columns.items() if columns.get(name, now) != now
        ]
        if words:
            yield i, Tested(factor=ODD_OF_CAUSES / ODD_OF_OTHERS, words="; ".join(words[:2]))
        elif known:
            yield i, Tested(factor=(1 - ODD_OF_CAUSES) / (1 - ODD_OF_OTHERS), words="")
        if run.outcome is not ChangeOutcome.FAILURE:
            for name, value in ran.measures.items():
                insort(past[name], value)
        columns.update(ran.columns)


def _ran(run: Change) -> _Ran:
    measures: dict[str, float] = {}
    took = run.finished_at - run.occurred_at if run.finished_at else timedelta(0)
    minutes = took.total_seconds() / 60  # many senders tell the end alone: it took no time then
    if minutes > 0 and run.outcome is ChangeOutcome.SUCCESS:
        measures[""] = minutes
    columns = {}
    for label, value in run.labels.items():
        if label.startswith(ROWS) and value.isdigit():
            measures[label.removeprefix(ROWS)] = float(value)
        elif label.startswith(SCHEMA) and value:
            columns[label.removeprefix(SCHEMA)] = value
    return _Ran(measures, columns)


def _odd(name: str, value: float, past: Sequence[float]) -> str:
    """In words, when it is beyond what is usual; `past` in the order of size. What lies within the least spread needs
    no other: of a thousand runs hardly one is looked at twice."""
    usual = (math.log1p(past[(len(past) - 1) // 2]) + math.log1p(past[len(past) // 2])) / 2
    off = abs(math.log1p(value) - usual)
    if off <= ODD_SD * LEAST_SPREAD or off <= ODD_SD * 1.4826 * median(abs(math.log1p(one) - usual) for one in past):
        return ""
    was = median(past)
    if not name:
        return f"the run took {value:.0f} min, usually {was:.0f}"
    return f"the run wrote {_spaced(value)} rows to {name}, usually {_spaced(was)}"


def _spaced(number: float) -> str:
    """`52 450`."""
    return f"{number:,.0f}".replace(",", " ")


def _altered(name: str, before: str, now: str) -> str:
    was, has = ([column.partition(":")[0] for column in told.split(",")] for told in (before, now))
    moved = [f"without {column}" for column in was if column not in has]
    moved += [f"with {column}" for column in has if column not in was]
    return f"the run left {name} {', '.join(moved[:3]) or 'with other column types'}"


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
