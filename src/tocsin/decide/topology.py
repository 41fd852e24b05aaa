"""How far is every subject from every alert, in hops of impact? Tables over one catalogue, made once.

`reach[r, d]` counts the monitored subjects d hops below root r (d = 0 is r itself); `hops_to(v)` gives every root's
hops down to v. Together they answer "who should alert and is silent" without a square table."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.domain.catalog import MAX_HOPS, Catalog
from tocsin.domain.subject import Subject

UNREACHABLE = MAX_HOPS + 1
"""The hop count that stands for "never"; also the last index of a probability-by-hops table."""

_COLUMNS = 4096
_TABLES = 8
"""Each environment may have learned lineage of its own, of this hour and of the hour before."""


class Topology:
    """The hop tables of one catalogue. Subjects are the catalogue's own; columns are kept for the latest 4,096."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        written = {*catalog.entries, *(up for e in catalog.entries.values() for up in e.depends_on)}
        learned = {*catalog.learned, *(up for needs in catalog.learned.values() for up in needs)}
        self.subjects: tuple[Subject, ...] = tuple(sorted(written | learned))
        self.index: dict[Subject, int] = {subject: i for i, subject in enumerate(self.subjects)}
        self._listed = {subject: self.index[subject] for subject in catalog.entries}
        self.unwritten = np.array([subject not in written for subject in self.subjects], dtype=bool)
        """What no mapping names: runs told of it."""
        self.monitored = np.array([self._is_monitored(s) for s in self.subjects], dtype=bool)
        self.reach = self._reach()
        self.digest = self._digest()
        self.named = lru_cache(maxsize=_COLUMNS)(catalog.resolve)
        """`Catalog.resolve`: the same few hundred subjects are asked for at every score."""
        self._columns: OrderedDict[Subject, NDArray[np.int8]] = OrderedDict()
        self._below: OrderedDict[Subject, dict[Subject, int]] = OrderedDict()

    def listed(self, subject: Subject) -> int:
        """The place of a subject that has an entry of its own; -1 for any other."""
        return self._listed.get(subject, -1)

    def below(self, root: Subject) -> dict[Subject, int]:
        """The monitored subjects that feel a fault of `root`, with their hops, nearest first."""
        known = self._below.pop(root, None)
        if known is None:
            found = self.catalog.downstream(root).items()
            known = {v: hops for v, hops in found if v in self._listed and self.monitored[self._listed[v]]}
        self._below[root] = known
        if len(self._below) > _COLUMNS:
            self._below.popitem(last=False)
        return known

    def hops_to(self, subject: Subject) -> NDArray[np.int8]:
        """Every root's hops down to this subject of the catalogue (UNREACHABLE: never), in the order of `subjects`."""
        known = self._columns.get(subject)
        if known is not None:
            self._columns.move_to_end(subject)
            return known
        column = np.full(len(self.subjects), UNREACHABLE, dtype=np.int8)
        column[self.index[subject]] = 0
        for above, hops in self.catalog.upstream(subject).items():
            column[self.index[above]] = hops
        self._columns[subject] = column
        if len(self._columns) > _COLUMNS:
            self._columns.popitem(last=False)
        return column

    def out_of(self, alerting: Iterable[Subject]) -> NDArray[np.bool_]:
        """What no mapping names and reaches none of these subjects of the topology: no place where their fault could
        be. Counting it would make the world larger for services that have nothing to do with it."""
        out = self.unwritten.copy()
        for subject in alerting:
            if not out.any():
                break
            out &= self.hops_to(subject) >= UNREACHABLE
        return out

    def _is_monitored(self, subject: Subject) -> bool:
        """What is only named as a dependency has no alert rule that we know of."""
        entry = self.catalog.entry(subject)
        return entry is not None and entry.monitored

    def _reach(self) -> NDArray[np.float64]:
        counts = np.zeros((len(self.subjects), MAX_HOPS + 1))
        for i, root in enumerate(self.subjects):
            counts[i, 0] = self.monitored[i]
            for below, hops in self.catalog.downstream(root).items():
                counts[i, hops] += self.monitored[self.index[below]]
        return counts

    def _digest(self) -> str:
        known = sorted({*self.catalog.entries, *self.catalog.learned})
        told: list[object] = [(s, sorted(self.catalog.needs(s)), self._is_monitored(s)) for s in known]
        if self.unwritten.any():
            told.append([s for s, unwritten in zip(self.subjects, self.unwritten, strict=True) if unwritten])
        return hashlib.blake2b(orjson.dumps(told, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)).hexdigest()


_tables: OrderedDict[int, Topology] = OrderedDict()


def topology_of(catalog: Catalog) -> Topology:
    """The catalogue's tables, made at its first use and kept for the latest eight catalogues (a catalogue is a value
    that never changes; each table holds its catalogue, so its identity cannot be reused meanwhile)."""
    known = _tables.pop(id(catalog), None) or Topology(catalog)
    _tables[id(catalog)] = known
    if len(_tables) > _TABLES:
        _tables.popitem(last=False)
    return known
