"""What would simple rules blame? They run beside the scorer, so that it never does worse unseen (correlation.md §9.2).

Written from public documentation of the products that they are named after; they are not the products."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter

import numpy as np

from tocsin.decide.topology import UNREACHABLE, topology_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident
from tocsin.domain.subject import Subject

TOLERANCE = timedelta(minutes=1)
"""A change stamped this much after the first alert still counts as before it."""
WINDOW = timedelta(hours=72)
"""As far back as the scorer looks."""
SHOWN = 5
VOTE_AGE_MIN = 360.0
"""Gandalf-like: a vote loses two thirds of its weight in six hours."""

NEAREST, PAGERDUTY, SERVICENOW, GANDALF = "nearest in time", "PagerDuty-like", "ServiceNow-like", "Gandalf-like"
RULES = (NEAREST, PAGERDUTY, SERVICENOW, GANDALF)


def nearest_change(incident: Incident, changes: Sequence[Change]) -> Change | None:
    """What "the latest change before the first alert" blames; of equal times the smallest id. None: no change."""
    latest = min(m.starts_at for m in incident.members) + TOLERANCE
    return min(
        (c for c in changes if c.occurred_at <= latest), key=lambda c: (-c.occurred_at.timestamp(), c.id), default=None
    )


def orders(incident: Incident, changes: Sequence[Change], catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """What each of RULES would show: ids of at most five changes, best first.

    - nearest in time: the latest first.
    - PagerDuty-like: on the subject of the earliest alert, then on a direct neighbour of it, then the rest.
    - ServiceNow-like: on the origin (the alerting subject that reaches most others), on its direct dependencies, on
      any alerting subject, then the rest.
    - Gandalf-like: every alerting subject votes 1 for a change on itself and ½ for one that can reach it in four hops;
      votes age.

    Ties go to the latest, then the smallest id. Changes more than a minute after the first alert are left out."""
    scene = _Scene(incident, catalog)
    earliest, latest = scene.first_at - WINDOW, scene.first_at + TOLERANCE
    left = [c for c in changes if earliest <= c.occurred_at <= latest]
    left.sort(key=attrgetter("id"))
    left.sort(key=attrgetter("occurred_at"), reverse=True)
    names: dict[Subject, Subject] = {}
    for change in left:
        if change.subject not in names:
            names[change.subject] = catalog.resolve(change.subject)
    places = [names[c.subject] for c in left]
    votes = scene.votes(set(places))
    began = scene.first_at.timestamp()
    ages = np.array([began - c.occurred_at.timestamp() for c in left]) / 60
    voted = np.array([votes[place] for place in places]) + 1e-6
    tiers = {
        NEAREST: np.zeros(len(left)),
        PAGERDUTY: np.array([scene.beside.get(place, 0.0) for place in places]),
        SERVICENOW: np.array([scene.around_origin.get(place, 0.0) for place in places]),
        GANDALF: voted * np.exp(-np.maximum(ages, 0.0) / VOTE_AGE_MIN),
    }
    best = {name: np.argsort(-tier, kind="stable")[:SHOWN].tolist() for name, tier in tiers.items()}
    return {name: tuple(left[i].id for i in some) for name, some in best.items()}


class _Scene:
    """The alerting subjects of an incident in their topology, as the rules look at them."""

    def __init__(self, incident: Incident, catalog: Catalog) -> None:
        self._topology = topology_of(catalog)
        self.started: dict[Subject, datetime] = {}
        for member in sorted(incident.members, key=lambda m: (m.starts_at, m.fingerprint)):
            self.started.setdefault(catalog.resolve(member.alert.subject), member.starts_at)
        first = next(iter(self.started))
        self.first_at = self.started[first]
        near = {*catalog.upstream(first, 1), *catalog.downstream(first, 1)}
        self.beside = {**dict.fromkeys(near, 1.0), first: 2.0}
        origin = min(self.started, key=self._reaches_most)
        entry = catalog.entry(origin)
        needs = entry.depends_on if entry else ()
        self.around_origin = {**dict.fromkeys(self.started, 1.0), **dict.fromkeys(needs, 2.0), origin: 3.0}

    def _reaches_most(self, subject: Subject) -> tuple[int, int, datetime, Subject]:
        """Most alerting subjects within four hops, then fewest hops in total, then the earliest alert."""
        hops = [self._hops(subject, other) for other in self.started]
        reached = [found for found in hops if found < UNREACHABLE]
        return -len(reached), sum(reached), self.started[subject], subject

    def _hops(self, root: Subject, alerting: Subject) -> int:
        if root == alerting:
            return 0
        index = self._topology.index
        if root not in index or alerting not in index:
            return UNREACHABLE
        return int(self._topology.hops_to(alerting)[index[root]])

    def votes(self, places: set[Subject]) -> dict[Subject, float]:
        """How many votes a change on each of these places gets."""
        index = self._topology.index
        votes = np.zeros(len(index))
        for alerting in self.started:
            if alerting in index:
                hops = self._topology.hops_to(alerting)
                votes += np.where(hops == 0, 1.0, np.where(hops < UNREACHABLE, 0.5, 0.0))
        own = {place: 1.0 for place in self.started if place not in index}
        return {place: float(votes[index[place]]) if place in index else own.get(place, 0.0) for place in places}
