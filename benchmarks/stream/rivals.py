"""Rules that group alerts, as products describe them (correlation.md §9.2): a window of time, a service, one hop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.stream.world import FLAPPING, Sent, Stream

DEDUP_MIN = 15.0
PERSISTS_MIN, SUBJECTS = 10.0, 2


@dataclass(slots=True)
class Episode:
    """One alert after deduplication: its reports within 15 minutes of one another."""

    node: int
    rule: str
    first: float
    last: float
    alerts: set[int] = field(default_factory=set)


def episodes(sent: Sequence[Sent]) -> list[Episode]:
    """The deduplicated stream, in the order of first reports."""
    known: dict[tuple[int, str], Episode] = {}
    found = []
    for one in sent:
        episode = known.get((one.node, one.rule))
        if episode is None or one.at - episode.last > DEDUP_MIN:
            episode = known[one.node, one.rule] = Episode(one.node, one.rule, one.at, one.at)
            found.append(episode)
        episode.last = one.at
        if one.alert >= 0:
            episode.alerts.add(one.alert)
    return found


def fixed_window(found: Sequence[Episode], stream: Stream) -> list[int]:
    """All that begins within 5 minutes of a group's first alert."""
    groups, began = [], -1e9
    for episode in found:
        if episode.first - began > 5:
            began = episode.first
        groups.append(int(began * 1000))
    return groups


def per_service(found: Sequence[Episode], stream: Stream) -> list[int]:
    """All on one subject within 30 minutes of its last alert."""
    last: dict[int, tuple[float, int]] = {}
    groups = []
    for number, episode in enumerate(found):
        at, group = last.get(episode.node, (-1e9, number))
        group = group if episode.first - at <= 30 else number
        last[episode.node] = (episode.first, group)
        groups.append(group)
    return groups


def one_hop(found: Sequence[Episode], stream: Stream) -> list[int]:
    """All on a subject or its direct neighbours within 15 minutes of an alert there."""
    beside: dict[int, set[int]] = defaultdict(set)
    for u, needs in enumerate(stream.seen_needs):
        for v in needs:
            beside[u].add(v)
            beside[v].add(u)
    last: dict[int, tuple[float, int]] = {}
    groups = []
    for number, episode in enumerate(found):
        near = [
            last[v] for v in {episode.node, *beside[episode.node]} if v in last and episode.first - last[v][0] <= 15
        ]
        group = max(near)[1] if near else number
        last[episode.node] = (episode.first, group)
        groups.append(group)
    return groups


RIVALS: dict[str, Callable[[Sequence[Episode], Stream], list[int]]] = {
    "5 min window": fixed_window,
    "per service, 30 min": per_service,
    "1 hop, 15 min": one_hop,
}


def paging(found: Sequence[Episode], groups: Sequence[int]) -> list[set[int]]:
    """The groups that page, as the alerts of outages in each: two subjects, or 10 minutes; flapping rules apart."""
    members: dict[int, list[Episode]] = defaultdict(list)
    for episode, group in zip(found, groups, strict=True):
        if episode.rule != FLAPPING:
            members[group].append(episode)
    return [
        set().union(*(one.alerts for one in inside))
        for inside in members.values()
        if len({one.node for one in inside}) >= SUBJECTS
        or max(one.last for one in inside) - min(one.first for one in inside) >= PERSISTS_MIN
    ]
