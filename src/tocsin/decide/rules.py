"""What would simple rules blame? They run beside the scorer, so that it never does worse unseen (correlation.md §9.2).

Written from public documentation of the products that they are named after; they are not the products."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tocsin.decide.pattern import Pattern, Places
from tocsin.decide.ranks import largest
from tocsin.decide.scene import Scene
from tocsin.decide.topology import UNREACHABLE
from tocsin.domain.change import Change
from tocsin.domain.incident import Incident
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

TOLERANCE = timedelta(minutes=1)
"""A change stamped this much after the first alert still counts as before it."""
MINUTE = timedelta(minutes=1)
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


def orders(scene: Scene) -> dict[str, tuple[str, ...]]:
    """What each of RULES would show: ids of at most five changes, best first.

    - nearest in time: the latest first.
    - PagerDuty-like: on the subject of the earliest alert, then on a direct neighbour of it, then the rest.
    - ServiceNow-like: on the origin (the alerting subject that reaches most others), on its direct dependencies, on
      any alerting subject, then the rest.
    - Gandalf-like: every alerting subject votes 1 for a change on itself and ½ for one that can reach it in four hops;
      votes age.

    Ties go to the latest, then the smallest id. Changes more than a minute after the first alert are left out."""
    looked, ids = _Look(scene.pattern), scene.candidates.ids
    latest = np.argsort(-scene.candidates.stamps, kind="stable")
    ages = (scene.pattern.onset_at.timestamp() - scene.candidates.stamps) / 60
    latest = latest[ages[latest] >= -TOLERANCE / MINUTE]
    names, places = scene.places.names, scene.places.of[latest]
    tiers = {
        PAGERDUTY: np.array([looked.beside.get(name, 0.0) for name in names])[places],
        SERVICENOW: np.array([looked.around_origin.get(name, 0.0) for name in names])[places],
        GANDALF: (looked.votes(scene.places) + 1e-6)[places] * np.exp(-np.maximum(ages[latest], 0.0) / VOTE_AGE_MIN),
    }
    best = {NEAREST: latest[:SHOWN], **{name: latest[largest(tier, SHOWN)] for name, tier in tiers.items()}}
    return {name: tuple(ids[i] for i in some.tolist()) for name, some in best.items()}


class _Look:
    """The alerting subjects of an incident in their topology, as the rules look at them."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern, catalog = pattern, pattern.catalog
        first = next(iter(pattern.started))
        near = {*catalog.upstream(first, 1), *catalog.downstream(first, 1)}
        self.beside = {**dict.fromkeys(near, 1.0), first: 2.0}
        origin = min(pattern.started, key=self._reaches_most)
        needs = dict.fromkeys(catalog.needs(origin), 2.0)
        self.around_origin = {**dict.fromkeys(pattern.started, 1.0), **needs, origin: 3.0}

    def _reaches_most(self, subject: Subject) -> tuple[int, int, datetime, Subject]:
        """Most alerting subjects within four hops, then fewest hops in total, then the earliest alert."""
        started = self._pattern.started
        hops = [found for other in started if (found := self._pattern.hops(subject, other)) is not None]
        return -len(hops), sum(hops), started[subject], subject

    def votes(self, places: Places) -> Floats:
        """How many votes a change on each of these places gets."""
        each = np.array([0.0 if hops >= UNREACHABLE else 0.5 if hops else 1.0 for hops in range(UNREACHABLE + 1)])
        votes: Floats = np.sum([each[hops] for hops in self._pattern.hops_to.values()], axis=0)
        return np.append(votes, 0.0)[places.at]
