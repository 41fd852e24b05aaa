"""A stream of releases as repositories show it: few a day, in bursts and trains, undone later; nothing spreads, only
the affected service alerts.

150 services, 5 to 10 changes a day. Releases come in bursts (the next version of one service minutes later), once a
week as a train (20 to 40 services at once), and what broke is reverted later, reverts being reverted at times too.
`reverts`: trouble is noticed after the lags from change to revert of a public deployment repository (correlation.md
§2), a quarter of them beyond the three days that a case holds; `minutes`: as a service-level alert would."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.attribution.foreign.lines import BACK, DAY, Json, Stream, alert, busy_minute, case, poisson, through

SERVICES = 150
REVERTED = ((0.0, 1.0), (0.10, 10.0), (0.25, 22.0), (0.50, 80.0), (0.75, 3317.0), (0.90, 26711.0), (1.0, 60000.0))
NOTICED = ((0.0, 0.5), (0.2, 3.0), (0.5, 8.0), (0.8, 25.0), (0.95, 120.0), (1.0, 900.0))
DAYS = 1100


@dataclass
class Broken:
    at: float
    subject: str
    cause: str


def cases(seed: int, *, lags: str = "reverts", days: int = DAYS) -> Iterator[Json]:
    """The world's incidents in the order of time."""
    rng = random.Random(f"rollouts {seed}")
    names = [f"service:{rng.choice(('api', 'web', 'job', 'core'))}-{rng.getrandbits(24):06x}" for _ in range(SERVICES)]
    stream, broken = _made(rng, names, REVERTED if lags == "reverts" else NOTICED, days)
    for _ in range(int(len(broken) * 0.4)):
        broken.append(Broken(busy_minute(rng, rng.randrange(3, days)), rng.choice(names), ""))
    entries = [{"subject": name, "depends_on": [], "monitored": True} for name in names]
    for n, one in enumerate(sorted(broken, key=lambda one: one.at)):
        symptom, name = rng.choice(
            (("errors", "ErrorBudgetBurn"), ("latency", "SlowRequests"), ("availability", "TargetDown"))
        )
        first = one.at + rng.uniform(0.2, 2)
        alerts = [alert(first, one.subject, symptom, name)]
        if rng.random() < 0.3:
            alerts.append(alert(first + rng.uniform(0, 3), one.subject, "errors", "PodRestarts", "warning"))
        decide_at = first + rng.choice((1, 5, 5, 15))
        yield case(
            rng,
            f"r{seed}-{n}",
            decide_at,
            entries=entries,
            changes=stream.between(first - BACK, decide_at),
            alerts=alerts,
            cause=one.cause,
        )


def _made(
    rng: random.Random, names: list[str], lags: tuple[tuple[float, float], ...], days: int
) -> tuple[Stream, list[Broken]]:
    often = [1 / (1 + i) ** 1.05 for i in range(SERVICES)]
    careless = {name: rng.choice((0.4, 0.7, 1.0, 1.0, 1.6, 2.5)) for name in names}
    stream, broken = Stream(), list[Broken]()

    def release(at: float, name: str, kind: str, chance: float, depth: int = 0, **more: str) -> None:
        version = f"{rng.randrange(1, 9)}.{rng.randrange(40)}.{rng.randrange(10)}"
        made = stream.add(rng, at, kind, name, outcome="success", version=version, **more)
        if rng.random() >= min(0.3, chance * careless[name]):
            return
        lag = through(rng, lags)
        broken.append(Broken(at + lag, name, made))
        if depth < 3:
            undo = at + lag + rng.uniform(6, 40)
            release(undo, name, kind, 0.11, depth + 1, summary=f"Revert {made}")

    for day in range(days):
        weight = 0.15 if day % 7 > 4 else 1.0
        for _ in range(poisson(rng, 4.2 * weight)):
            name, kind = (
                rng.choices(names, often)[0],
                rng.choices(("service.deployed", "environment.modified"), (6, 4))[0],
            )
            at = busy_minute(rng, day)
            while True:
                release(at, name, kind, 0.045 if kind == "service.deployed" else 0.032)
                if rng.random() > 0.4:
                    break
                at += rng.uniform(1, 12)
        if day % 7 == 2:
            start = day * DAY + 600 + rng.uniform(0, 60)
            for name in rng.sample(names, rng.randrange(20, 41)):
                release(start + rng.uniform(0, 9), name, "service.deployed", 0.012, summary="weekly train")
    stream.settle()
    return stream, [one for one in broken if one.at < days * DAY]
