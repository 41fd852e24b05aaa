"""How likely is it that exactly these subjects alert and the others stay silent, if the trouble began here?

    P(A | r) = mean over (q, rho) of Π p(r, v) over alerting v · Π (1 − p(r, v)) over monitored, silent v
    p(r, v)  = eps + (1 − eps) · q · rho^hops, eps when v is out of reach          (correlation.md §2)

How far trouble spreads differs from company to company. One fixed law with silence at a lower weight (the reference's
κ = .4) stands for that ignorance; a mean over a grid of laws says it outright: one law holds for a whole incident, many
alerts speak for far-reaching ones, and confirmed incidents shift the weights (docs/attribution.md has the figures)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.topology import topology_of
from tocsin.domain.alert import AlertState
from tocsin.domain.catalog import MAX_HOPS, Catalog
from tocsin.domain.change import Change
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

EPS = 0.005
"""A node that is out of reach alerts all the same: its own trouble, or an edge that the catalogue lacks (.01–.02 in the
reference; half of it, since 165 nodes at .01 would mean 1.6 stray alerts beside every incident)."""
SPREADS: tuple[tuple[float, float], ...] = tuple((q, rho) for q in (0.5, 0.7, 0.9) for rho in (0.1, 0.3, 0.5, 0.7))
"""(q, rho): a grid that covers what is plausible, evenly; the reference's .8 and .6 lie inside."""
SMALLEST_WORLD = 50
"""A catalogue of fewer subjects counts as this many: at a fresh installation most of what exists is not listed yet,
and "it could have begun anywhere" must not mean "here"."""

_HOPS = np.arange(MAX_HOPS + 1)
_BY_HOPS: Floats = np.array(
    [np.append(np.clip(EPS + (1 - EPS) * q * rho**_HOPS, EPS, 0.97), EPS) for q, rho in SPREADS]
)
"""One row a law, one column a hop; the last is "out of reach"."""
_LOG_P, _LOG_SILENT = np.log(_BY_HOPS), np.log1p(-_BY_HOPS)


class Pattern:
    """The alerting subjects of one incident against one catalogue.

    `onset_at` is the earliest start among the alerts; `anywhere` the log of the mean P(A | r) over all subjects."""

    def __init__(self, members: Sequence[AlertState], catalog: Catalog, *, spread: Sequence[float] = ()) -> None:
        if not members:
            raise ValueError("an incident without members has no pattern to explain")
        self.catalog = catalog
        self.topology = topology_of(catalog)
        self.started: dict[Subject, datetime] = {}
        for member in sorted(members, key=lambda m: m.starts_at):
            self.started.setdefault(catalog.resolve(member.alert.subject), member.starts_at)
        self.onset_at = next(iter(self.started.values()))
        self.facts = [self.topology.digest, sorted(self.started.items()), list(spread)]
        known = [v for v in sorted(self.started) if v in self.topology.index]
        unknown = [v for v in sorted(self.started) if v not in self.topology.index]
        self._hops = {v: self.topology.hops_to(v) for v in known}
        weights = np.array(spread or [0.0] * len(SPREADS))
        self._weights = weights - np.logaddexp.reduce(weights)
        self._laws = self._under_laws(known, len(unknown))
        self._roots: Floats = np.logaddexp.reduce(self._laws + self._weights[:, None], axis=0)
        outside = self._outside(known)
        self._itself = float(np.logaddexp.reduce(self._weights + outside - _LOG_P[:, -1] + _LOG_P[:, 0]))
        elsewhere = float(np.logaddexp.reduce(self._weights + outside))
        everywhere = [*self._roots.tolist(), *[self._itself] * len(unknown)]
        everywhere += [elsewhere] * (SMALLEST_WORLD - len(everywhere))
        self.anywhere = float(np.logaddexp.reduce(everywhere)) - float(np.log(len(everywhere)))
        self._places: dict[Subject, tuple[Subject, float | None]] = {}

    def _under_laws(self, known: Sequence[Subject], unknown: int) -> Floats:
        """log P(A | root) under each law: one row a law, one column a root."""
        topology = self.topology
        beyond = topology.monitored.sum() - topology.reach.sum(axis=1)
        still = _LOG_SILENT[:, :-1] @ topology.reach.T + np.outer(_LOG_SILENT[:, -1], beyond)
        found = still + unknown * _LOG_P[:, -1:]
        for v in known:
            hops = self._hops[v]
            found += _LOG_P[:, hops]
            if topology.monitored[topology.index[v]]:
                found -= _LOG_SILENT[:, hops]
        return np.asarray(found)

    def _outside(self, known: Sequence[Subject]) -> Floats:
        """log P(A | it began somewhere out of everything's reach), under each law."""
        watched = sum(bool(self.topology.monitored[self.topology.index[v]]) for v in known)
        silent = int(self.topology.monitored.sum()) - watched
        return np.asarray(len(self.started) * _LOG_P[:, -1] + silent * _LOG_SILENT[:, -1])

    def under_each_law(self, change: Change) -> Floats | None:
        """log P(A | it began at the change's subject) under each law of SPREADS; None when that is not known."""
        root = self.root(change)
        at = self.topology.index.get(root) if root is not None else None
        return np.asarray(self._laws[:, at]) if at is not None else None

    def places(
        self, subjects: Sequence[Subject], touching: Sequence[tuple[int, tuple[Subject, ...]]] = ()
    ) -> tuple[list[Subject], NDArray[np.intp], Floats]:
        """For changes to these subjects, of which some touch others too: the catalogue's names, which of them each
        change has, and log P(A | change): the mean over the known subjects at which it may have acted, or `anywhere`.
        """
        code = {subject: i for i, subject in enumerate(dict.fromkeys(subjects))}
        at = np.fromiter(map(self.topology.listed, code), np.intp, len(code))
        logs, named, names = np.append(self._roots, self.anywhere)[at], np.arange(len(code)), list(code)
        for i in np.flatnonzero(at < 0).tolist():  # not the catalogue's own word for it
            name, log = self._place(names[i])
            logs[i] = logs[i] if log is None else log
            names[i] = name
            named[i] = code.setdefault(name, len(names))
            if named[i] == len(names):
                names.append(name)
        codes = np.fromiter(map(code.__getitem__, subjects), np.intp, len(subjects))
        given = logs[codes]
        several: dict[tuple[Subject, ...], float | None] = {}
        for i, others in touching:
            acts_at = (subjects[i], *others)
            if acts_at not in several:
                several[acts_at] = self._of_several(acts_at)
            log = several[acts_at]
            given[i] = self.anywhere if log is None else log
        return names, named[codes], given

    def root(self, change: Change) -> Subject | None:
        """The subject at which the change most likely acted; None when the catalogue knows none of them."""
        places = {name: log for name, log in map(self._place, (change.subject, *change.touches)) if log is not None}
        return max(sorted(places), key=lambda name: places[name]) if places else None

    def reaches(self, root: Subject, subject: Subject) -> bool:
        """Whether a fault of `root` may be felt at a subject, which need not alert."""
        index = self.topology.index
        if root == subject or root not in index or subject not in index:
            return root == subject
        return bool(self.topology.hops_to(subject)[index[root]] <= MAX_HOPS)

    def hops(self, root: Subject, alerting: Subject) -> int | None:
        """Hops of impact from root down to this alerting subject; None when it is out of reach."""
        if root == alerting:
            return 0
        if root not in self.topology.index or alerting not in self._hops:
            return None
        found = int(self._hops[alerting][self.topology.index[root]])
        return found if found <= MAX_HOPS else None

    def _of_several(self, subjects: Sequence[Subject]) -> float | None:
        acts_at = {name: log for name, log in map(self._place, subjects) if log is not None}
        if not acts_at:
            return None
        return float(np.logaddexp.reduce([acts_at[name] for name in sorted(acts_at)]) - np.log(len(acts_at)))

    def _place(self, subject: Subject) -> tuple[Subject, float | None]:
        """The catalogue's name, and log P(A | it began there); None when neither catalogue nor alerts know it."""
        known = self._places.get(subject)
        if known is None:
            name = self.catalog.resolve(subject)
            at = self.topology.index.get(name)
            log = float(self._roots[at]) if at is not None else self._itself if name in self.started else None
            known = self._places[subject] = (name, log)
        return known
