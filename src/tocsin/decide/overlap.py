"""Which changes are parts of one? Those of one run or commit, and those to one subject within two minutes.

Such changes are one candidate (correlation.md §2): about every fifth real commit comes within minutes of another."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.candidates import Candidates
from tocsin.domain.change import PREPARES, ChangeKind

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

OVERLAP_MIN = 2.0


def overlapping(candidates: Candidates, lags: Floats, places: Places) -> dict[int, list[int]]:
    """The group of every candidate that overlaps another: indices, sorted. Members share one list. `places` says which
    candidates act at the same subject."""
    order = np.lexsort((lags, places))
    together = (np.diff(places[order]) == 0) & (np.diff(lags[order]) <= OVERLAP_MIN)
    pairs = zip(order[:-1][together].tolist(), order[1:][together].tolist(), strict=True)
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while (up := parent.setdefault(i, i)) != i:
            parent[i] = parent[up]
            i = parent[i]
        return i

    for i, j in (*pairs, *candidates.of_one_work()):
        parent[root(i)] = root(j)
    groups: dict[int, list[int]] = {}
    for i in sorted(parent):
        groups.setdefault(root(i), []).append(i)
    return {i: groups[root(i)] for i in sorted(parent)}


def heads(
    groups: dict[int, list[int]], own: Floats, places: Places, candidates: Candidates
) -> tuple[list[int], Floats]:
    """Who speaks for each candidate, and its log mass. A group acts at each of its subjects once: one change told
    twice is not twice as likely."""
    masses = own.copy()
    alone = np.ones(len(own), dtype=bool)
    alone[list(groups)] = False
    found, at, weights = np.flatnonzero(alone).tolist(), places.tolist(), own.tolist()
    for group in (group for i, group in groups.items() if i == group[0]):
        best: dict[int, float] = {}
        for i in group:
            best[at[i]] = max(best.get(at[i], -math.inf), weights[i])
        head = _speaker(group, weights, candidates)
        most = max(best.values())
        masses[head] = most + math.log(math.fsum(math.exp(one - most) for one in best.values()))
        found.append(head)
    found.sort()
    return found, masses[found]


def _speaker(group: list[int], own: list[float], candidates: Candidates) -> int:
    """The likeliest member, the latest of equals; but a run speaks for what it altered: it is what people can look up
    and run again. And what puts a version to work speaks for the steps that made it ready."""
    changes = candidates.changes
    runs = [i for i in group if changes[i].kind is ChangeKind.PIPELINERUN_FINISHED and "run_id" in changes[i].labels]
    works = [i for i in group if changes[i].kind not in PREPARES]
    return max(runs or works or group, key=lambda i: (own[i], i))
