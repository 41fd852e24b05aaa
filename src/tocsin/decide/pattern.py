"""How likely is it that exactly these subjects alert and the others stay silent, if the trouble began here?

    P(A | r) = Π p(r, v) over alerting v · [ Π (1 − p(r, v)) over monitored, silent v ] ^ κ
    p(r, v)  = eps + (1 − eps) · q · rho^hops, eps when v is out of reach          (correlation.md §2)

κ = .4 because the evidence of silence misleads at full weight wherever alert rules have gaps."""

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

EPS, Q, RHO, KAPPA = 0.01, 0.8, 0.6, 0.4
SMALLEST_WORLD = 50
"""A catalogue of fewer subjects counts as this many: at a fresh installation most of what exists is not listed yet,
and "it could have begun anywhere" must not mean "here"."""

_BY_HOPS: Floats = np.append(np.clip(EPS + (1 - EPS) * Q * RHO ** np.arange(MAX_HOPS + 1), EPS, 0.97), EPS)
_LOG_P, _LOG_SILENT = np.log(_BY_HOPS), np.log1p(-_BY_HOPS)


class Pattern:
    """The alerting subjects of one incident against one catalogue.

    `onset_at` is the earliest start among the alerts; `anywhere` the log of the mean P(A | r) over all subjects."""

    def __init__(self, members: Sequence[AlertState], catalog: Catalog) -> None:
        if not members:
            raise ValueError("an incident without members has no pattern to explain")
        self.catalog = catalog
        self.topology = topology_of(catalog)
        self.started: dict[Subject, datetime] = {}
        for member in sorted(members, key=lambda m: m.starts_at):
            self.started.setdefault(catalog.resolve(member.alert.subject), member.starts_at)
        self.onset_at = next(iter(self.started.values()))
        self.facts = [self.topology.digest, sorted(self.started.items())]
        known = [v for v in sorted(self.started) if v in self.topology.index]
        unknown = [v for v in sorted(self.started) if v not in self.topology.index]
        watched = [v for v in known if self.topology.monitored[self.topology.index[v]]]
        silent = int(self.topology.monitored.sum()) - len(watched)
        self._hops = {v: self.topology.hops_to(v) for v in known}
        outside = len(self.started) * _LOG_P[-1] + KAPPA * silent * _LOG_SILENT[-1]
        roots = np.full(len(self.topology.subjects), len(unknown) * _LOG_P[-1])
        reach = self.topology.reach
        still = reach @ _LOG_SILENT[:-1] + (self.topology.monitored.sum() - reach.sum(axis=1)) * _LOG_SILENT[-1]
        for v in known:
            roots += _LOG_P[self._hops[v]]
        for v in watched:
            still = still - _LOG_SILENT[self._hops[v]]
        self._roots: Floats = roots + KAPPA * still
        self._itself = float(outside - _LOG_P[-1] + _LOG_P[0])
        everywhere = [*self._roots.tolist(), *[self._itself] * len(unknown)]
        everywhere += [float(outside)] * (SMALLEST_WORLD - len(everywhere))
        self.anywhere = float(np.logaddexp.reduce(everywhere)) - float(np.log(len(everywhere)))
        self._places: dict[Subject, tuple[Subject, float | None]] = {}

    def places(self, changes: Sequence[Change]) -> tuple[list[Subject], Floats]:
        """The catalogue's name for each change's subject, and log P(A | change): the mean over the known subjects at
        which it may have acted, or `anywhere`."""
        found = [self._place(change.subject) for change in changes]
        logs = [self._of_several(c) if c.touches else log for c, (_, log) in zip(changes, found, strict=True)]
        anywhere = self.anywhere
        return [name for name, _ in found], np.array([anywhere if log is None else log for log in logs])

    def root(self, change: Change) -> Subject | None:
        """The subject at which the change most likely acted; None when the catalogue knows none of them."""
        places = {name: log for name, log in map(self._place, (change.subject, *change.touches)) if log is not None}
        return max(sorted(places), key=lambda name: places[name]) if places else None

    def hops(self, root: Subject, alerting: Subject) -> int | None:
        """Hops of impact from root down to this alerting subject; None when it is out of reach."""
        if root == alerting:
            return 0
        if root not in self.topology.index or alerting not in self._hops:
            return None
        found = int(self._hops[alerting][self.topology.index[root]])
        return found if found <= MAX_HOPS else None

    def _of_several(self, change: Change) -> float | None:
        acts_at = {name: log for name, log in map(self._place, (change.subject, *change.touches)) if log is not None}
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
