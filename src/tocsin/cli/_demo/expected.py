"""Does what stands in the service desks hold what the scenario promises? Read there, never from our own database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tocsin.cli._demo.desks import Ticket
from tocsin.cli._demo.scenario import Record, Scenario


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation and whether it holds; `found` says what stood there instead."""

    holds: bool
    words: str
    found: str = ""


def mine(scenario: Scenario, tickets: Sequence[Ticket]) -> list[Ticket]:
    """The records of this scenario."""
    return [ticket for ticket in tickets if scenario.mine and re.search(scenario.mine, _bare(ticket.title))]


def standing(scenario: Scenario, tickets: Sequence[Ticket]) -> Iterator[Check]:
    """While it lasts: each record exactly once, with its fields and words."""
    own = mine(scenario, tickets)
    yield _count(scenario, own)
    for record in scenario.records:
        for ticket in [each for each in own if each.desk == record.desk]:
            yield from _fields(record, ticket)
            yield from _says(record, ticket)


def over(scenario: Scenario, tickets: Sequence[Ticket]) -> Iterator[Check]:
    """After the recovery: still the same records, resolved once, every note said once."""
    own = mine(scenario, tickets)
    yield _count(scenario, own)
    for ticket in own:
        once = ticket.resolved and ticket.resolutions == 1
        words = f"{ticket.number} is resolved, exactly once"
        yield Check(once, words, f"{ticket.fields['State']}, resolved {ticket.resolutions} times")
        doubled = sorted({note for note in ticket.notes if ticket.notes.count(note) > 1})
        yield Check(not doubled, f"{ticket.number} has no note twice", " | ".join(doubled))
    for record in scenario.records:
        for ticket in [each for each in own if each.desk == record.desk]:
            yield from _notes(record, ticket)


def no_strangers(scenarios: Sequence[Scenario], tickets: Sequence[Ticket]) -> Check:
    """Every record belongs to one scenario."""
    owned = [ticket for scenario in scenarios for ticket in mine(scenario, tickets)]
    strange = [f"{ticket.number} {ticket.title}" for ticket in tickets if owned.count(ticket) != 1]
    return Check(not strange, "every record belongs to exactly one scenario", " | ".join(strange))


def _count(scenario: Scenario, own: Sequence[Ticket]) -> Check:
    wanted = sorted(record.desk for record in scenario.records)
    found = sorted(ticket.desk for ticket in own)
    words = f"exactly: {', '.join(f'one {desk} record' for desk in wanted)}" if wanted else "no page and no ticket"
    return Check(found == wanted, words, ", ".join(f"{t.desk} {t.number}" for t in own) or "none")


def _fields(record: Record, ticket: Ticket) -> Iterator[Check]:
    for name, wanted in record.fields:
        found = ticket.fields.get(name, "")
        yield Check(found == wanted, f"{ticket.number} {name} is {wanted}", found or "empty")


def _says(record: Record, ticket: Ticket) -> Iterator[Check]:
    text = f"{_bare(ticket.title)}\n{' '.join(ticket.body.split())}"
    for pattern in record.says:
        holds = re.search(pattern, text, re.MULTILINE) is not None
        yield Check(holds, f"{ticket.number} says {_readable(pattern)}", text)


def _notes(record: Record, ticket: Ticket) -> Iterator[Check]:
    for pattern in record.notes:
        fitting = [note for note in ticket.notes if re.search(pattern, note, re.MULTILINE)]
        holds = len(fitting) == 1
        yield Check(holds, f"{ticket.number} has one note {_readable(pattern)}", " | ".join(ticket.notes))


def _bare(title: str) -> str:
    """PagerDuty's titles begin with our own number."""
    return re.sub(r"^TOC-\d+ ", "", title)


def _readable(pattern: str) -> str:
    """A pattern in words: gaps as …, digits as n."""
    gaps = re.sub(r"\[\^%\]\*|\.\*| \+|\\s\+", " … ", pattern)
    digits = re.sub(r"\[[5-9]+-?9?\]\\d|\\d", "n", gaps)
    plain = re.sub(r"\\([.()+])", r"\1", digits).replace("^", "").replace("$", "")
    return f"“{' '.join(plain.split())}”"
