"""Which changes are parts of one? Those of one run or commit, and those to one subject within two minutes.

Such changes are one candidate (correlation.md §2): about every fifth real commit comes within minutes of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.candidates import Candidates
from tocsin.domain.change import PREPARES, Change, ChangeKind

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

OVERLAP_MIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Candidates that are one with others: as lists, and as rows for weighing."""

    of: Mapping[int, list[int]]
    """The group of every such candidate: indices, sorted. Members share one list."""
    among: Rows
    """All of them."""
    first: Rows
    """Of each of `among` the first of its group."""
    speaking: Rows
    """How each goes before the others of its group, see `_speaks`."""
    acting: Rows
    """Equal for those of one group that act at one subject."""

    def group_of(self, i: int) -> list[int]:
        """The candidates that are one with this one, itself among them."""
        return self.of.get(i) or [i]


def overlapping(candidates: Candidates, lags: Floats, places: Rows) -> Groups:
    """The candidates that overlap others. `places` says which act at the same subject."""
    order = np.argsort(places * len(places) + np.arange(len(places)))  # candidates come in the order of time
    together = (np.diff(places[order]) == 0) & (-np.diff(lags[order]) <= OVERLAP_MIN)
    pairs = zip(order[:-1][together].tolist(), order[1:][together].tolist(), strict=True)
    of = _joined((*pairs, *candidates.of_one_work()))
    among = np.fromiter(of, np.intp, len(of))
    first = np.fromiter((group[0] for group in of.values()), np.intp, len(of))
    changes = candidates.changes
    return Groups(
        of=of,
        among=among,
        first=first,
        speaking=np.fromiter((_speaks(changes[i]) for i in of), np.intp, len(of)),
        acting=first * len(lags) + places[among],
    )


def _joined(pairs: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """All that are connected, sorted."""
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while (up := parent.setdefault(i, i)) != i:
            parent[i] = parent[up]
            i = parent[i]
        return i

    for i, j in pairs:
        parent[root(i)] = root(j)
    groups: dict[int, list[int]] = {}
    for i in sorted(parent):
        groups.setdefault(root(i), []).append(i)
    return {i: groups[root(i)] for i in sorted(parent)}


def heads(groups: Groups, own: Floats) -> tuple[Rows, Floats]:
    """Who speaks for each candidate, in their order, and its log mass. A group acts at each of its subjects once: one
    change told twice is not twice as likely. The likeliest member speaks for it, the latest of equals, but see
    `_speaks`."""
    speaks, masses = np.ones(len(own), dtype=bool), own.copy()
    if groups.of:
        weights = own[groups.among]
        order = np.lexsort((groups.among, weights, groups.speaking, groups.first))
        speakers = groups.among[order[_lasts(groups.first[order])]]
        order = np.lexsort((weights, groups.acting))
        order = order[_lasts(groups.acting[order])]  # the likeliest at each subject of each group
        begins = np.flatnonzero(np.diff(groups.first[order], prepend=-1))
        masses[speakers] = np.logaddexp.reduceat(weights[order], begins)
        speaks[groups.among], speaks[speakers] = False, True
    found = np.flatnonzero(speaks)
    return found, masses[found]


def _lasts(sorted_keys: Rows) -> Rows:
    """Where the last of each run of equal keys stands."""
    return np.append(np.flatnonzero(np.diff(sorted_keys)), len(sorted_keys) - 1)


def _speaks(change: Change) -> int:
    """A run speaks for what it altered: it is what people can look up and run again. And what puts a version to work
    speaks for the steps that made it ready."""
    if change.kind is ChangeKind.PIPELINERUN_FINISHED and "run_id" in change.labels:
        return 2
    return int(change.kind not in PREPARES)
