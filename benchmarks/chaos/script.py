"""What will happen to one incident: drawn from a seed, so that any schedule can be played again."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

VENDORS = ("servicenow", "pagerduty", "jira")

BEFORE = ("drop_before_commit", "server_error_before", "rate_limit", "html_200", "unreachable")
"""Nothing was done."""
AFTER = ("commit_then_drop", "server_error_after", "timeout_after")
"""The work was done, and the answer lost."""
LATE = "commit_late"
"""The caller gives up; the work is done later, perhaps behind what was sent meanwhile."""

CREATE, NOTE, MOVE, ANY, SEARCH = "create", "note", "move", "any", "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Strikes the nth request of a role (any: whatever it is), counted over the whole schedule from 1."""

    role: str
    nth: int
    kind: str
    after_s: float = 0.0
    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Accident:
    """What happens to the worker itself around its nth call: it dies, or stands still beyond its lease."""

    call: int
    when: Literal["before", "after"]
    kind: Literal["kill", "freeze"]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A moment of the incident's life, in seconds after the schedule's start."""

    at_s: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """From … to: every request ends like this."""

    from_s: float
    to_s: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One schedule. `index_lag_s`: searches see nothing younger."""

    vendor: str
    seed: int
    happenings: tuple[Happening, ...]
    faults: tuple[Fault, ...]
    accidents: tuple[Accident, ...]
    outages: tuple[Outage, ...]
    index_lag_s: float = 0.0
    key_taken: bool = False
    """Somebody else's record stands under our primary key."""

    def told(self) -> str:
        """In words, for the report of a violation."""
        lines = [f"{self.vendor} seed {self.seed}: index lag {self.index_lag_s:.0f} s"]
        lines += [f"  {h.at_s:8.1f} s  {h.kind}" for h in self.happenings]
        lines += [f"  fault     {f.role} #{f.nth}: {f.kind} {f.after_s:.0f}" for f in self.faults]
        lines += [f"  accident  call {a.call} {a.when}: {a.kind} {a.seconds:.0f}" for a in self.accidents]
        lines += [f"  outage    {o.from_s:.0f} to {o.to_s:.0f} s: {o.kind}" for o in self.outages]
        return "\n".join(lines)


PEOPLE = {
    "servicenow": ("assign", "impact", "take", "comment", "resolve", "close", "reopen"),
    "pagerduty": ("acknowledge", "comment", "resolve"),
    "jira": ("assign", "priority", "take", "comment", "resolve"),
}


def script(vendor: str, seed: int) -> Script:
    """The schedule of this seed."""
    dice = random.Random(f"{vendor} {seed}")
    intensity = dice.choice((0.0, 0.3, 0.6, 1.0))
    happenings = _grown(random.Random(f"early {vendor} {seed}"), _life(dice, vendor))
    return Script(
        vendor=vendor,
        seed=seed,
        happenings=happenings,
        faults=_faults(dice, vendor, intensity),
        accidents=_accidents(dice, intensity),
        outages=_outages(dice, intensity, last_s=happenings[-1].at_s),
        index_lag_s=_lag(dice, vendor),
        key_taken=vendor == "servicenow" and dice.random() < 0.02,
    )


def _gap(dice: random.Random) -> float:
    """Seconds until the next moment: anything from half a second to half an hour."""
    return float(min(0.5 * 10 ** (dice.random() * 3.6), 1800))


def _life(dice: random.Random, vendor: str) -> tuple[Happening, ...]:
    at_s, found = dice.random() * 3, []
    found.append(Happening(at_s=at_s, kind="open"))
    open_, people = True, dice.random() < 0.4
    for _ in range(dice.randint(1, 8)):
        at_s += _gap(dice)
        kinds = ["worse", "better", "join", "resolve", "resolve", "move"] if open_ else ["refire", "refire", "nothing"]
        kind = dice.choice(kinds)
        if people and dice.random() < 0.4:
            kind = f"person {dice.choice(PEOPLE[vendor])}"
        open_ = {"resolve": False, "refire": True}.get(kind, open_)
        found.append(Happening(at_s=at_s, kind=kind))
    if open_ and dice.random() < 0.7:
        found.append(Happening(at_s=at_s + _gap(dice), kind="resolve"))
    return tuple(found)


def _grown(dice: random.Random, life: tuple[Happening, ...]) -> tuple[Happening, ...]:
    """Sometimes it is over before it is sent, and comes back; sometimes it is joined to another incident."""
    first, last = life[0], life[-1]
    chance = dice.random()
    if chance < 0.05:
        over = Happening(at_s=first.at_s + dice.uniform(0.2, 0.9), kind="resolve")
        again = Happening(at_s=over.at_s + _gap(dice), kind="refire")
        later = [replace(one, at_s=one.at_s + again.at_s - first.at_s) for one in life[1:]]
        return (first, over, again, *later)
    if chance < 0.15:
        merged = Happening(at_s=dice.uniform(first.at_s, last.at_s), kind="merge")
        return tuple(sorted((*life, merged), key=lambda one: one.at_s))
    return life


def _faults(dice: random.Random, vendor: str, intensity: float) -> tuple[Fault, ...]:
    found = []
    for role, most, chance in ((CREATE, 3, 0.7), (NOTE, 6, 0.4), (MOVE, 4, 0.4), (SEARCH, 4, 0.2), (ANY, 40, 0.2)):
        for nth in range(1, most + 1):
            if dice.random() < intensity * chance:
                found.append(_fault(dice, vendor, role, nth))
    return tuple(found)


def _fault(dice: random.Random, vendor: str, role: str, nth: int) -> Fault:
    kinds = [*BEFORE, *AFTER, *AFTER]
    if role == CREATE:
        kinds += [LATE, LATE, "refused"]
    if role == SEARCH and vendor == "servicenow":
        kinds += ["query_ignored", "query_ignored"]
    if role == NOTE and vendor == "servicenow":
        kinds += [LATE]
    kind = dice.choice(kinds)
    longest_s = 400.0 if vendor == "jira" and dice.random() < 0.1 else 50.0
    after_s = {"rate_limit": dice.uniform(1, 120), LATE: dice.uniform(1, longest_s)}.get(kind, 0.0)
    return Fault(role=role, nth=nth, kind=kind, after_s=after_s, status=dice.choice((500, 502, 503, 504)))


def _accidents(dice: random.Random, intensity: float) -> tuple[Accident, ...]:
    found = []
    for call in range(1, 31):
        if dice.random() < 0.12 * intensity:
            kind: Literal["kill", "freeze"] = "kill" if dice.random() < 0.5 else "freeze"
            when: Literal["before", "after"] = "before" if dice.random() < 0.5 else "after"
            found.append(Accident(call=call, when=when, kind=kind, seconds=dice.uniform(5, 300)))
    return tuple(found)


def _outages(dice: random.Random, intensity: float, *, last_s: float) -> tuple[Outage, ...]:
    if dice.random() > 0.25 * intensity:
        return ()
    start = dice.uniform(0, last_s)
    kind = dice.choice((*BEFORE, "server_error_before"))
    return (Outage(from_s=start, to_s=start + dice.uniform(20, 3600), kind=kind),)


def _lag(dice: random.Random, vendor: str) -> float:
    if vendor == "servicenow":
        return 0.0  # the Table API reads the database
    if vendor == "pagerduty":
        return dice.choice((0.0, 0.0, dice.uniform(1, 30)))
    return dice.choice((0.0, dice.uniform(1, 10), dice.uniform(10, 60), dice.uniform(60, 200)))
