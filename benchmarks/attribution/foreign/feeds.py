"""What is true arrives through bad feeds: clocks that are off, changes told twice under two names, catalogues with
gaps, wrong and circular edges or none, configuration pushed to fifty services at once, up to two thousand candidates.

The trouble itself is plain: what calls the broken service fails, what calls that fails rarely."""

from __future__ import annotations

import random
from collections.abc import Iterator

from benchmarks.attribution.foreign.lines import BACK, DAY, Json, Stream, alert, busy_minute, case, poisson, stamp

SERVICES = 260
DAYS = 90
FEEDS = {
    "ci": "service.deployed",
    "gitops": "environment.modified",
    "flags": "feature_flag.changed",
    "cron": "pipelinerun.finished",
}
SHARES = (45, 25, 12, 18)
RISKS = {"ci": 0.02, "gitops": 0.02, "flags": 0.012, "cron": 0.002}


class Feeds:
    """Who tells of changes, by which clock."""

    def __init__(self, rng: random.Random, stream: Stream) -> None:
        self._rng, self._stream = rng, stream
        self._clock = {feed: rng.uniform(-6, 6) for feed in FEEDS}

    def tell(self, at: float, feed: str, name: str) -> str:
        """The id by which the feed tells it."""
        rng = self._rng
        known = name if rng.random() > 0.08 else name.replace("service:", "service:prod/")
        made = self._stream.add(rng, at + self._clock[feed], FEEDS[feed], known)
        if feed in ("ci", "gitops") and rng.random() < 0.25:  # another tool tells it too, by its own name and clock
            spelled = rng.choice((name, name.upper().replace("SERVICE", "service"), f"{name}-svc"))
            kind = rng.choice(("service.deployed", "environment.modified"))
            self._stream.add(rng, at + rng.uniform(-2, 4), kind, spelled)
        return made


def cases(seed: int, *, days: int = DAYS) -> Iterator[Json]:
    """The world's incidents in the order of time. Seeds differ in how bad the feeds are and how much there is."""
    rng = random.Random(f"feeds {seed}")
    names = [f"service:{rng.choice('abcdefgh')}{rng.getrandbits(24):06x}" for _ in range(SERVICES)]
    needs = {
        name: rng.sample(names[: max(1, i)], min(i, rng.choice((0, 1, 1, 2, 3, 4)))) for i, name in enumerate(names)
    }
    callers: dict[str, list[str]] = {name: [] for name in names}
    for name, found in needs.items():
        for one in found:
            callers[one].append(name)
    stream = Stream()
    troubles = _troubles(rng, Feeds(rng, stream), names, days)
    stream.settle()
    entries = _catalogue(rng, names, needs)
    wall = rng.uniform(-3, 3)
    for n, (at, root, cause) in enumerate(sorted(troubles)):
        fired = list(_alerts(rng, at + wall, root, callers))
        if not fired or at > days * DAY:
            continue
        first = min(when for when, _ in fired)
        decide_at = first + rng.choice((3, 5, 10))
        changes = stream.between(first - BACK, decide_at)
        alerts = [said for when, said in fired if when <= decide_at]
        yield case(rng, f"f{seed}-{n}", decide_at, entries=entries, changes=changes, alerts=alerts, cause=cause)


def _troubles(rng: random.Random, feeds: Feeds, names: list[str], days: int) -> list[tuple[float, str, str]]:
    """When, where and of which change; no change for a third of them."""
    planned, often = rng.choice((15, 60, 200, 500)), [rng.paretovariate(1.1) for _ in names]
    found = []
    for day in range(days):
        for _ in range(poisson(rng, planned * (0.3 if day % 7 > 4 else 1))):
            feed, name, at = rng.choices(tuple(FEEDS), SHARES)[0], rng.choices(names, often)[0], busy_minute(rng, day)
            made = feeds.tell(at, feed, name)
            if rng.random() < RISKS[feed] * min(4.0, 150 / planned):
                found.append((at + rng.choice((1, 3, 10, 40)) * rng.uniform(0.5, 2), name, made))
        if rng.random() < 0.15:  # one push, fifty services, one of them does not bear it
            at, struck = busy_minute(rng, day), rng.sample(names, 50)
            pushed = [feeds.tell(at + rng.uniform(0, 2), "gitops", name) for name in struck]
            if rng.random() < 0.3:
                found.append((at + rng.uniform(1, 20), struck[0], pushed[0]))
    return found + [(rng.uniform(3, days) * DAY, rng.choice(names), "") for _ in range(len(found) // 2)]


def _catalogue(rng: random.Random, names: list[str], needs: dict[str, list[str]]) -> list[Json]:
    """Gaps, edges turned round, circles; one estate in five has no edges at all. Nobody says what is monitored."""
    gaps, turned = rng.uniform(0.1, 0.4), rng.choice((0.0, 0.05, 0.2))
    if rng.random() < 0.2:
        gaps = 1.0
    told: dict[str, list[str]] = {name: [] for name in names if rng.random() > 0.1}
    for name, found in needs.items():
        for one in found:
            if rng.random() < gaps:
                continue
            a, b = (one, name) if rng.random() < turned else (name, one)
            told.setdefault(a, []).append(b)
            if rng.random() < 0.03:
                told.setdefault(b, []).append(a)
    return [{"subject": name, "depends_on": found} for name, found in told.items()]


def _alerts(rng: random.Random, at: float, root: str, callers: dict[str, list[str]]) -> Iterator[tuple[float, Json]]:
    severity, spell = rng.choice(("critical", "P1", "major", "error", "sev2")), rng.random()
    if rng.random() < 0.8:
        name = root if spell > 0.05 else f"{root}-svc"
        yield (
            (when := at + rng.uniform(0.5, 5)),
            alert(when, name, rng.choice(("errors", "latency", "5xx")), "Slo", severity),
        )
    for caller in callers[root]:
        if rng.random() < 0.55:
            yield (when := at + rng.uniform(0.5, 9)), alert(when, caller, "errors", "Slo", severity)
        for far in callers[caller]:
            if rng.random() < 0.08:
                yield (
                    (when := at + rng.uniform(3, 15)),
                    alert(when, far, "errors", "Slo", severity, ends_at=stamp(when + 5)),
                )
