"""Changes that trouble itself calls forth: rollbacks and scaling on the suffering service, minutes before its alert.

An alert rule waits, machines and people do not: between the onset and the alert an autoscaler changes whoever suffers,
and somebody rolls back the wrong service. Causes may be slow (a leak fills memory in hours, a limit is met at the next
peak), so that innocent later releases lie between. The latest change is then seldom the cause."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.attribution.foreign.lines import BACK, DAY, HOUR, Json, Stream, alert, busy_minute, case, poisson

TEAMS, EACH = 12, 9
DAYS = 220
SCALED = 0.35
"""How often whoever suffers is scaled before anybody is called."""


@dataclass
class Trouble:
    onset: float
    root: str
    cause: str


def cases(seed: int, *, days: int = DAYS) -> Iterator[Json]:
    """The world's incidents in the order of time."""
    rng = random.Random(f"reactions {seed}")
    needs = _needs(rng)
    users: dict[str, list[str]] = {name: [] for name in needs}
    for name, found in needs.items():
        for one in found:
            users[one].append(name)
    entries = [{"subject": name, "depends_on": found, "monitored": True} for name, found in needs.items()]
    stream = Stream()
    fired = []
    for trouble in sorted(_troubles(rng, stream, list(needs), days), key=lambda one: one.onset):
        alerts = list(_alerts_and_reactions(rng, stream, trouble, users))
        if alerts:
            fired.append((min(at for at, _ in alerts), alerts, trouble.cause))
    stream.settle()
    for n, (first, alerts, cause) in enumerate(fired):
        decide_at = first + rng.choice((2, 5, 10))
        changes = stream.between(first - BACK, decide_at)
        seen = [said for at, said in alerts if at <= decide_at]
        yield case(rng, f"x{seed}-{n}", decide_at, entries=entries, changes=changes, alerts=seen, cause=cause)


def _needs(rng: random.Random) -> dict[str, list[str]]:
    """Per team a gateway, a layer of logic, and stores; some logic calls another team's gateway."""
    teams = [[f"service:t{t}-{rng.getrandbits(20):05x}" for _ in range(EACH)] for t in range(TEAMS)]
    needs: dict[str, list[str]] = {name: [] for team in teams for name in team}
    for team in teams:
        gateway, logic, stores = team[0], team[1:6], team[6:]
        needs[gateway] = list(logic)
        for one in logic:
            needs[one] = rng.sample(stores, rng.choice((1, 2)))
            needs[one] += [rng.choice(teams)[0]] if rng.random() < 0.3 else []
    return needs


def _troubles(rng: random.Random, stream: Stream, every: list[str], days: int) -> list[Trouble]:
    found = []
    for day in range(days):
        for _ in range(poisson(rng, 26 * (0.2 if day % 7 > 4 else 1))):
            name, at = rng.choice(every), busy_minute(rng, day)
            kind = rng.choices(("service.deployed", "environment.modified", "feature_flag.changed"), (6, 3, 1))[0]
            made = stream.add(rng, at, kind, name, outcome="success")
            if rng.random() < 0.045:
                found.append(Trouble(_onset(rng, at), name, made))
    found += [Trouble(rng.uniform(3, days) * DAY, rng.choice(every), "") for _ in range(len(found) // 2)]
    return [one for one in found if one.onset <= days * DAY]


def _alerts_and_reactions(
    rng: random.Random, stream: Stream, trouble: Trouble, users: dict[str, list[str]]
) -> Iterator[tuple[float, Json]]:
    suffering = [trouble.root, *(user for user in users[trouble.root] if rng.random() < 0.6)]
    suffering += [u for one in suffering[1:] for u in users[one] if rng.random() < 0.35 and u not in suffering]
    fired = [name for name in suffering if rng.random() < 0.85]
    for name in fired:
        at = trouble.onset + rng.choice((1, 5, 10, 15)) + rng.uniform(0, 2)
        yield at, alert(at, name, rng.choice(("latency", "errors")), "Slo")
    if not fired:
        return
    for name in suffering:
        if rng.random() < SCALED:
            stream.add(rng, trouble.onset + rng.uniform(0.5, 12), "environment.modified", name)  # more replicas
    if rng.random() < 0.3:
        stream.add(rng, trouble.onset + rng.uniform(3, 15), "service.rolledback", rng.choice(suffering))


def _onset(rng: random.Random, at: float) -> float:
    how = rng.random()
    if how < 0.55:
        return at + rng.uniform(0.5, 15)
    if how < 0.8:  # a leak
        return at + rng.uniform(2, 30) * HOUR
    peak = (at // DAY + (1 if at % DAY > 11 * HOUR else 0)) * DAY + 11 * HOUR  # the next peak of traffic
    return peak + rng.uniform(0, 90)
