"""Does every record stand as wanted: once, with every note once, and nothing of others touched?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from benchmarks.chaos.desks import Desk
from benchmarks.chaos.desks.desk import Standing
from benchmarks.chaos.life import Life
from benchmarks.chaos.rings import unexcused
from tocsin.connectors._connector import marker
from tocsin.domain.record import Note, Record
from tocsin.store import records
from tocsin.store.database import Database, rows

WINDOW_S = 240.0
"""A create at Jira that shows only after this long may be doubled: the sweeper then closes the younger
(vendors.md §2.3)."""
STATE_EDITS = frozenset({"take", "resolve", "close", "reopen", "acknowledge"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, and the schedule that shows it."""

    seed: int
    rule: str
    words: str
    story: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What the database knows of one incident's record."""

    record: Record
    notes: tuple[tuple[Note, bool], ...]
    """Each with whether it was confirmed."""


def judged(lives: Sequence[Life], desk: Desk, database: Database, *, timed_out: bool) -> list[Violation]:
    """Every violation in a batch that came to rest."""
    ours = _ours(database, [life.incident_id for life in lives])
    standings = desk.standings()
    found: list[Violation] = []
    for life in lives:
        told = _Told(life, standings, ours.get(life.incident_id, []), desk.chosen)
        wrong = list(told.wrong())
        if timed_out:
            wrong += [("rest", f"not at rest: {r.record.state}") for r in told.ours if r.record.lease_token]
        if wrong:
            story = life.told()
        found += [Violation(seed=life.script.seed, rule=rule, words=words, story=story) for rule, words in wrong]
    seeds = lives[0].script.seed
    found += [
        Violation(seed=seeds, rule="foreign", words=f"a record of others was changed: {one}")
        for one in desk.touched_foreign()
    ]
    return found


def _ours(database: Database, ids: list[UUID]) -> dict[UUID, list[Ours]]:
    with database.transaction() as connection:
        known = records.of_incidents(connection, ids)
        noted = rows(
            connection,
            "SELECT notes.id, record_id, text, confirmed_at IS NOT NULL AS confirmed FROM notes"
            " JOIN records ON records.id = record_id WHERE incident_id = ANY(:ids)",
            ids=ids,
        )
    by_record: dict[UUID, list[tuple[Note, bool]]] = {}
    for row in noted:
        by_record.setdefault(row.record_id, []).append((Note(id=row.id, text=row.text), bool(row.confirmed)))
    return {
        incident: [Ours(record=record, notes=tuple(by_record.get(record.id, ()))) for record in found]
        for incident, found in known.items()
    }


Wrong = tuple[str, str]


class _Told:
    """One life against the desk."""

    def __init__(
        self,
        life: Life,
        standings: Mapping[str, list[Standing]],
        ours: list[Ours],
        chosen: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.chosen = chosen
        self.life, self.standings, self.ours = life, standings, ours
        self.vendor = life.script.vendor
        self.edited = {(edit.generation, edit.kind) for edit in life.edits}

    def wrong(self) -> Iterator[Wrong]:
        yield from (("crash", words) for words in self.life.crashes)
        if self.life.stolen:
            yield "lease", f"{self.life.stolen} settles of workers without the lease were accepted"
        if self.life.script.key_taken:
            yield from self._taken()
            return
        yield from self._generations()
        newest = max((one.record.generation for one in self.ours), default=0)
        for one in self.ours:
            yield from self._record(one, newest=one.record.generation == newest)
        known = {one.record.wanted.key for one in self.ours}
        for key in self.life.keys:
            if key not in known and key in self.standings:
                yield "unknown", f"a record stands under {key}, a generation that was never wanted"

    def _taken(self) -> Iterator[Wrong]:
        """Our key is somebody else's: nothing is written, a person is asked."""
        for one in self.ours:
            if one.record.generation == 1 and one.record.state != "dead":
                yield "taken", f"the key is taken, and the record is {one.record.state}"

    def _generations(self) -> Iterator[Wrong]:
        closed = any(kind in ("close", "resolve") for _, kind in self.edited)
        expected = 1 + self.life.refires if self.vendor == "pagerduty" else 1
        fewer = self.life.merged or any(one.record.called_off for one in self.ours)  # another tells it, or it was over
        if (len(self.ours) > expected or (len(self.ours) < expected and not fewer)) and not closed:
            yield "generations", f"{len(self.ours)} generations, {expected} expected"

    def _record(self, ours: Ours, *, newest: bool) -> Iterator[Wrong]:
        record = ours.record
        name = f"generation {record.generation}"
        standing = self.standings.get(record.wanted.key, [])
        if record.state not in ("settled", "closed"):
            yield "rest", f"{name} is {record.state} in the end"
        if record.lease_token is not None:
            yield "rest", f"{name} is still leased"
        kept, wrong = self._one(ours, standing)
        if wrong:
            yield "one", f"{name}: {wrong}"
        if kept is None:
            return
        yield from (("notes", f"{name}: {words}") for words in self._notes(ours, kept))
        yield from (("state", f"{name}: {words}") for words in self._state(record, kept, newest=newest))

    def _one(self, ours: Ours, standing: list[Standing]) -> tuple[Standing | None, str]:
        """The one that survives, and what is wrong with their number."""
        record = ours.record
        if not standing:
            if record.wanted.status == "resolved" and (record.called_off or self.vendor == "pagerduty"):
                return None, ""  # it was over before anything was sent
            return None, f"nothing stands under {record.wanted.key}"
        if len(standing) == 1:
            return standing[0], ""
        if self.vendor == "jira":
            return self._survivor(record, standing)
        if self.vendor == "pagerduty":
            return self._page(record, standing)
        return standing[0], f"{len(standing)} records: {', '.join(one.number for one in standing)}"

    def _survivor(self, record: Record, standing: list[Standing]) -> tuple[Standing | None, str]:
        kept = next((one for one in standing if one.external_id == record.external_id), None)
        if kept is None:
            return None, f"{len(standing)} issues, and the record points to none of them ({record.external_id})"
        others = [one for one in standing if one is not kept]
        left_open = [one.number for one in others if one.status == "open"]
        if left_open:
            return kept, f"{', '.join(left_open)} stand open beside {kept.number}"
        if kept is not standing[0]:
            return kept, f"{kept.number} survives, and {standing[0].number} is older"
        slow = self.life.script.index_lag_s + max((to - sent for _, sent, to in self.life.late), default=0.0)
        if slow < WINDOW_S - 30:
            return kept, f"{len(standing)} issues, though the first showed within {slow:.0f} s"
        return kept, ""

    def _page(self, record: Record, standing: list[Standing]) -> tuple[Standing, str]:
        """One page at each team that was to have it; only the last team's may be open. A trigger that lands behind the
        resolve pages anew: nobody can help it, but it must not stay open."""
        home = record.wanted.address.get("routing_key", "").title()
        landed = sum(1 for key, *_ in self.life.late if key == record.wanted.key)
        there = [one for one in standing if one.values["place"] == home]
        places = Counter(one.values["place"] for one in standing)
        most = 1 + landed + sum(1 for one in self.life.script.happenings if one.kind == "move") // 2
        wrong = [
            f"{count} at {place}" for place, count in places.items() if count - self._excused(record, place) > most
        ]
        wrong += [
            f"#{one.number} is open at {one.values['place']}" for one in standing if one not in there and _open(one)
        ]
        wrong += [f"{len(there)} open at {home}"] if sum(map(_open, there)) > 1 else []
        kept = next(filter(_open, there), (there or standing)[-1])
        return kept, f"{len(standing)} pages: {', '.join(wrong)}" if wrong else ""

    def _excused(self, record: Record, place: str) -> int:
        """How many pages there rang again while nobody could know that a person had closed the one before."""
        pages = [one for one in self.standings[record.wanted.key] if one.values["place"] == place]
        routing_key = pages[0].values["routing_key"]
        rings = [one for one in self.life.rings if (one.key, one.place) == (record.wanted.key, routing_key)]
        closes = [
            self.life.incident.opened_at + timedelta(seconds=edit.at_s)
            for edit in self.life.edits
            if (edit.generation, edit.kind) == (record.generation, "resolve")
        ]
        known = list(unexcused(pages, rings, closes, lag=timedelta(seconds=self.life.script.index_lag_s)))
        return len(pages) - 1 - len(known)

    def _notes(self, ours: Ours, kept: Standing) -> Iterator[str]:
        marks = Counter(
            mark for note, _ in ours.notes for mark in (marker(note),) for said in kept.notes if mark in said
        )
        for note, confirmed in ours.notes:
            seen = marks[marker(note)]
            if seen > 1:
                yield f"the note {note.text[:40]!r} stands {seen} times"
            elif not seen and self._must_show(ours.record, confirmed=confirmed):
                yield f"the note {note.text[:40]!r} {'was confirmed and' if confirmed else ''} is missing"
        yield from _doubled(kept.notes)

    def _must_show(self, record: Record, *, confirmed: bool) -> bool:
        if record.state in ("closed", "dead") or self.vendor == "pagerduty":
            return False
        return not (confirmed and (record.generation, "close") in self.edited)

    def _state(self, record: Record, kept: Standing, *, newest: bool) -> Iterator[str]:
        people = {kind for generation, kind in self.edited if generation == record.generation}
        wanted = record.wanted.status
        if not newest and kept.status == "open" and not people & STATE_EDITS:
            yield "an older generation stands open"
        elif newest and not people & STATE_EDITS:
            as_wanted = kept.status == ("open" if wanted == "open" else "resolved")
            if self.life.merged and self.vendor == "pagerduty" and record.state == "closed":
                as_wanted = True  # it ended and came back as a child: its parent's page tells on
            if not as_wanted:
                yield f"it is {kept.status}, wanted is {wanted}"
        if wanted == "resolved" and kept.status == "open" and self.vendor == "pagerduty":
            yield "a page is left open after its resolve"
        if newest and kept.status == "open":
            yield from self._values(record, kept, people)

    def _values(self, record: Record, kept: Standing, people: set[str]) -> Iterator[str]:
        wanted: dict[str, str] = {}
        if self.vendor == "servicenow":
            wanted = {"impact": str(record.wanted.impact), "urgency": str(record.wanted.urgency)}
            if "impact" in people:
                del wanted["impact"]
        if self.vendor == "pagerduty":
            wanted = {"severity": str(record.wanted.severity)}
        if self.vendor == "jira" and "priority" not in people:
            wanted = {"priority": {"critical": "Highest", "error": "High", "warning": "Medium"}[record.wanted.severity]}
        wanted |= self.chosen.get(record.wanted.key, {})
        for name, value in wanted.items():
            if kept.values.get(name) != value:
                yield f"{name} is {kept.values.get(name)!r}, wanted is {value!r}"
        if self.vendor == "servicenow" and people & {"assign", "take"} and not kept.values["assigned_to"]:
            yield "the person who took it is no longer assigned"


def _open(one: Standing) -> bool:
    return one.status == "open"


def _doubled(notes: Iterable[str]) -> Iterator[str]:
    """Texts of ours that stand twice, marked or not (`Looking at it.` is a person's)."""
    for text, count in Counter(text for text in notes if "Looking at it." not in text).items():
        if count > 1:
            yield f"{text[:60]!r} stands {count} times"
