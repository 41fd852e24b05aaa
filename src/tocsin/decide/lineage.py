"""Who reads and writes what, as pipeline runs tell it: which edges does a run teach, which of them join the catalogue?

A job that reads dataset A and writes dataset B rests on A, and B rests on it. What the mappings say stands; learned
edges are added to it, marked as learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Incident
from tocsin.domain.subject import Subject

FORGOTTEN_AFTER = timedelta(days=35)
"""An edge that no run has told for so long counts no more: a monthly job must not be forgotten between two runs, and a
rebuilt pipeline's old ways should not stay for a quarter (judgement)."""
MOST_EDGES = 5000
"""Of one environment: those told on most days, then latest, so that a job which names its tables by the date cannot
push out what runs every day. Measured beside 1,000 services: to read
and tabulate 5,000 edges takes 0.6 s, once an hour at most."""
MOST_OF_A_RUN = 200
"""Datasets that one run reads, and that it writes; more are left out (judgement: dbt's largest models join dozens)."""
LONGEST = 1000
"""Bytes of a name; two of them fit into a page of PostgreSQL's index."""

Edge = tuple[Subject, Subject]
"""(upstream, downstream)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One learned edge, as runs told it."""

    upstream: Subject
    downstream: Subject
    first_told_at: datetime
    last_told_at: datetime
    """The first time on the last day on which it was told."""
    days: int
    """On how many days it was told."""

    @property
    def edge(self) -> Edge:
        return self.upstream, self.downstream

    @property
    def job(self) -> Subject:
        """Whose runs told it."""
        return self.downstream if self.downstream.kind == "job" else self.upstream


def hour_of(at: datetime) -> datetime:
    """The full hour as of which an alert received then sees learned lineage: edges count from the next full hour after
    they were told, so that what an alert sees follows from its receipt, however messages were batched, and the topology
    is made anew once an hour at most."""
    return at.replace(minute=0, second=0, microsecond=0)


def seen_at(incident: Incident) -> datetime:
    """An incident sees lineage as its last alert did."""
    return incident.last_alert_at or incident.opened_at


def taught(change: Change) -> list[Edge]:
    """The edges that a run of a job tells, whatever became of the run. What it reads and writes is written by it: its
    own former state is no other's doing."""
    job = change.subject
    if change.kind is not ChangeKind.PIPELINERUN_FINISHED or job.kind != "job":
        return []
    writes = [(job, dataset) for dataset in change.touches[:MOST_OF_A_RUN] if dataset != job]
    written = {dataset for _, dataset in writes}
    reads = [(dataset, job) for dataset in change.reads[:MOST_OF_A_RUN] if dataset != job and dataset not in written]
    return [edge for edge in dict.fromkeys((*reads, *writes)) if all(_fits(subject) for subject in edge)]


def _fits(subject: Subject) -> bool:
    return len(subject.encode("utf-8", "surrogatepass")) <= LONGEST


def with_learned(catalog: Catalog, edges: Iterable[Edge]) -> Catalog:
    """The catalogue with these edges, by its own names; itself when they add nothing. What the mappings say is not told
    twice and never turned round, and what two runs of one job told both ways is what it writes. Longer circles stay:
    impact is followed along the shortest way and a few hops only."""
    raw = set(edges)
    named = {
        (catalog.resolve(above), catalog.resolve(below))
        for above, below in raw
        if not (below.kind == "job" and (below, above) in raw)
    }
    found: dict[Subject, set[Subject]] = {}
    for above, below in named:
        written = above in catalog.needs(below) or below in catalog.needs(above)
        if above != below and not written:
            found.setdefault(below, set()).add(above)
    if not found:
        return catalog
    return replace(catalog, learned={below: tuple(sorted(found[below])) for below in sorted(found)})
