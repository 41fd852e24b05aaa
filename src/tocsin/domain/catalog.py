"""What exists, what depends on what, and who owns it: the mappings' services, models, datasets and teams as values."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise

from tocsin.domain.alert import Symptom
from tocsin.domain.subject import Subject


class Criticality(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Risk(StrEnum):
    """What a wrong answer of the subject does to people or to compliance."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a responder needs to know of an ML model."""

    version: str = ""
    previous_version: str = ""
    """The last version known to be safe: where a rollback goes."""
    training_snapshot: str = ""
    feature_schema_version: str = ""
    rollback: str = ""
    """How to roll back: a command, a page or a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing of the catalogue. `depends_on` points upstream: a model at its features, a feature at its job."""

    subject: Subject
    owner: str = ""
    depends_on: tuple[Subject, ...] = ()
    aliases: tuple[str, ...] = ()
    """Other names that senders use for it, bare (`checkout-api`) or with a kind (`host:web-1`)."""
    criticality: Criticality = Criticality.MEDIUM
    risk: Risk = Risk.LOW
    runbook: str = ""
    kpi: str = ""
    """The business figure that suffers, in words; empty means that the impact is not mapped."""
    contract: str = ""
    """The promise to customers that is at stake, in words."""
    business_service: str = ""
    ci: str = ""
    """Name of the configuration item in the CMDB; empty means the subject's own name."""
    description: str = ""
    monitored: bool = True
    """False when no alert rule watches it: its silence then says nothing."""
    model: ModelCard | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    """`file:line` of the mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owns:
    """A team's claim to subjects by pattern (`job:ingest-*`), optionally for some symptoms only."""

    pattern: str
    team: str
    symptoms: frozenset[Symptom] = frozenset()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """An owner. `destinations` holds, per destination name, the fields that address this team there
    (`{"servicenow": {"assignment_group": "Data Engineering"}, "pagerduty": {"routing_key": …}}`)."""

    name: str
    title: str = ""
    destinations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    escalates_to: str = ""
    """The team whose address is used where this one has none."""
    timezone: str = "UTC"
    business_hours: tuple[str, str] = ("09:00", "17:00")
    """Local opening and closing time on weekdays."""
    business_days: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Monday is 0."""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who owns, and why that team: `why` is a sentence, `where` the `file:line` that says so."""

    team: str
    why: str
    where: str = ""


MAX_HOPS = 4
"""How far impact is followed (correlation.md §2)."""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The whole of it, with the questions that deciding asks. Answers do not depend on the order of entries."""

    entries: Mapping[Subject, Entry] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    owns: tuple[Owns, ...] = ()
    catch_all: str = ""
    """The team that gets what nobody owns."""
    learned: Mapping[Subject, tuple[Subject, ...]] = field(default_factory=dict)
    """What more each subject rests on, as runs told it (decide/lineage.py). Impact passes through; it gives nobody a
    name, an owner or a weight, and what only stands here is not monitored: its silence says nothing."""

    def needs(self, subject: Subject) -> tuple[Subject, ...]:
        """What it rests on directly: as written, then as learned."""
        entry = self.entries.get(subject)
        return (entry.depends_on if entry else ()) + self.learned.get(subject, ())

    def knows(self, subject: Subject) -> bool:
        """Has it an entry, or is it named as a dependency, or learned?"""
        return subject in self.entries or subject in self.learned or subject in self._dependants

    def learned_on(self, path: Iterable[Subject]) -> list[tuple[Subject, Subject]]:
        """The steps of a path downwards, (upstream, downstream), that nobody wrote: runs told of them."""
        return [(above, below) for above, below in pairwise(path) if above in self.learned.get(below, ())]

    def address(self, team: str, destination: str, kind: str) -> Mapping[str, str]:
        """How a team is addressed at a destination: by its own fields there, or those for the kind; a team that has
        none is reached through the one that it escalates to, and so on. Empty when nobody has any."""
        asked: set[str] = set()
        while team and team not in asked:
            asked.add(team)
            known = self.teams.get(team)
            if known is None:
                break
            found = known.destinations.get(destination) or known.destinations.get(kind)
            if found:
                return found
            team = known.escalates_to
        return {}

    @cached_property
    def _aliases(self) -> dict[str, Subject]:
        known: dict[str, Subject] = {}
        for subject in sorted(self.entries):
            known.setdefault(subject.name, subject)
        for subject in sorted(self.entries):
            for alias in self.entries[subject].aliases:
                known[alias] = subject
        return known

    @cached_property
    def _dependants(self) -> dict[Subject, tuple[Subject, ...]]:
        found: dict[Subject, list[Subject]] = {}
        for subject in sorted({*self.entries, *self.learned}):
            for upstream in self.needs(subject):
                found.setdefault(upstream, []).append(subject)
        return {upstream: tuple(subjects) for upstream, subjects in found.items()}

    def resolve(self, subject: Subject) -> Subject:
        """The catalogue's own name for a sender's subject: exact, then alias, then the same name under another
        kind when the sender's kind is `unknown` or `service`; else unchanged."""
        if subject in self.entries:
            return subject
        if str(subject) in self._aliases:
            return self._aliases[str(subject)]
        known = self._aliases.get(subject.name)
        if known is not None and (subject.kind in ("unknown", "service") or known.kind == subject.kind):
            return known
        return subject

    def entry(self, subject: Subject) -> Entry | None:
        return self.entries.get(subject)

    def downstream(self, subject: Subject, hops: int = MAX_HOPS) -> dict[Subject, int]:
        """What feels a fault of `subject`, with the number of hops (1 …), nearest first; not `subject` itself."""
        return _reach(subject, hops, lambda at: self._dependants.get(at, ()))

    def upstream(self, subject: Subject, hops: int = MAX_HOPS) -> dict[Subject, int]:
        """What `subject` rests on, with the number of hops (1 …), nearest first; not `subject` itself."""
        return _reach(subject, hops, self.needs)

    def path(self, cause: Subject, effect: Subject, hops: int = MAX_HOPS) -> tuple[Subject, ...]:
        """One shortest way from cause down to effect, both included; empty when there is none."""
        came_from: dict[Subject, Subject] = {}
        depth = {cause: 0}
        queue = deque([cause])
        while queue and effect not in depth:
            at = queue.popleft()
            if depth[at] == hops:
                continue
            for below in self._dependants.get(at, ()):
                if below not in depth:
                    depth[below], came_from[below] = depth[at] + 1, at
                    queue.append(below)
        if effect not in depth:
            return ()
        way = [effect]
        while way[-1] != cause:
            way.append(came_from[way[-1]])
        return tuple(reversed(way))

    def owner(self, subject: Subject, symptom: Symptom | None = None) -> Ownership | None:
        """Who owns this subject (for this symptom): an entry's own `owner`, then the most exact claim: no wildcard
        beats the longest pattern, one limited to the symptom beats one for all. None when nobody claims it."""
        entry = self.entries.get(subject)
        claims = [c for c in self.owns if fnmatchcase(subject, c.pattern) and (not c.symptoms or symptom in c.symptoms)]
        by_symptom = [c for c in claims if c.symptoms]
        if entry and entry.owner and not by_symptom:
            return Ownership(team=entry.owner, why=f"{entry.owner} owns {subject}", where=entry.origin)
        if not claims:
            return None
        best = max(claims, key=lambda c: (bool(c.symptoms), "*" not in c.pattern, len(c.pattern), c.team))
        symptom_words = f" for {symptom}" if best.symptoms else ""
        return Ownership(team=best.team, why=f"{best.team} owns {best.pattern}{symptom_words}", where=best.origin)


def _reach(start: Subject, hops: int, step: object) -> dict[Subject, int]:
    assert callable(step)
    depth = {start: 0}
    queue = deque([start])
    while queue:
        at = queue.popleft()
        if depth[at] == hops:
            continue
        for following in step(at):
            if following not in depth:
                depth[following] = depth[at] + 1
                queue.append(following)
    del depth[start]
    return depth
