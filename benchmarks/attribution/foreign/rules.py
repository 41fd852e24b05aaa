"""What simple rules answer to a case (correlation.md §9.2), and "the latest change to a service that alerts".

Changes later than a minute after the first alert are left out; ties count by expectation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from benchmarks.attribution.foreign.lines import Json

NEAREST, SAME_SERVICE, PAGERDUTY, SERVICENOW, GANDALF = RULES = (
    "nearest in time",
    "same service, latest",
    "PagerDuty-like",
    "ServiceNow-like",
    "Gandalf-like",
)
FARTHEST = 4
TOLERANCE = 1.0
Scores = Mapping[str, tuple[float, float]]


class Graph:
    """What one world's catalogue says."""

    def __init__(self, entries: Sequence[Json]) -> None:
        self.needs: dict[str, list[str]] = {one["subject"]: list(one.get("depends_on", ())) for one in entries}
        self.users: dict[str, set[str]] = defaultdict(set)
        for name, found in self.needs.items():
            for one in found:
                self.users[one].add(name)
        self.reach = cache(self._reach)

    def beside(self, subject: str) -> set[str]:
        """What it rests on, and what rests on it."""
        return {*self.needs.get(subject, ()), *self.users.get(subject, ())}

    def _reach(self, root: str) -> dict[str, int]:
        """What may feel a fault of it, with hops."""
        found, edge = {root: 0}, [root]
        for hops in range(1, FARTHEST + 1):
            edge = [user for one in edge for user in self.users.get(one, ()) if user not in found]
            found |= dict.fromkeys(edge, hops)
        return found


def scores(case: Json, graph: Graph) -> dict[str, Scores]:
    """Each rule's number for every change, and its time: best by both, larger first."""
    alerts = sorted((minute(one["starts_at"]), one["subject"]) for one in case["alerts"])
    when: dict[str, float] = {}
    for at, subject in alerts:
        when.setdefault(subject, at)
    first, alerting = alerts[0][0], sorted(when)
    earliest = alerts[0][1]
    near = graph.beside(earliest)

    def rank(subject: str) -> tuple[int, int, float]:
        reached = [hops for name, hops in graph.reach(subject).items() if name in when]
        return -len(reached), sum(reached), when[subject]

    origin = min(alerting, key=rank)
    direct = set(graph.needs.get(origin, ()))
    found: dict[str, dict[str, tuple[float, float]]] = {rule: {} for rule in RULES}
    for change in case["changes"]:
        at, subject, name = minute(change["occurred_at"]), change["subject"], change["id"]
        if at > first + TOLERANCE:
            continue
        reached = graph.reach(subject)
        votes = sum(1.0 if one == subject else 0.5 if one in reached else 0.0 for one in alerting)
        found[NEAREST][name] = 0.0, at
        found[SAME_SERVICE][name] = float(subject in when), at
        found[PAGERDUTY][name] = 2.0 if subject == earliest else float(subject in near), at
        found[SERVICENOW][name] = 3.0 if subject == origin else 2.0 if subject in direct else float(subject in when), at
        found[GANDALF][name] = (votes + 1e-6) * math.exp(-max(first - at, 0) / 360), at
    return dict(found)


def rank_of(cause: str, numbers: Scores) -> tuple[float, float, float]:
    """Chance to stand first, among the first three, and the expected reciprocal rank; ties stand in any order."""
    if cause not in numbers:
        return 0.0, 0.0, 0.0
    own = numbers[cause]
    above = sum(one > own for one in numbers.values())
    ties = sum(one == own for one in numbers.values())
    within = [min(1.0, max(0.0, (top - above) / ties)) for top in (1, 3)]
    return within[0], within[1], sum(1 / (above + place) for place in range(1, ties + 1)) / ties


def minute(text: Any) -> float:  # noqa: ANN401 of JSON
    """A time of the format, in minutes since 1970."""
    return datetime.fromisoformat(text).timestamp() / 60
