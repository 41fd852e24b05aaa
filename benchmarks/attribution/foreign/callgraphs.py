"""Faults that rollouts bring into the call graphs of known demonstration systems (maps.py), and who then alerts.

Nothing spreads by hops: requests fail. What a caller sees follows from how many of its requests call what is broken,
from retries, fallbacks and queues; a rule fires when its service's share of failed or slow requests stays over its
threshold for its time. Hosts and zones lie under everything. Some services have no rule; alerts flap, resolve, and
have the wrong severity."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.attribution.foreign.lines import BACK, DAY, Json, Stream, alert, busy_minute, case, poisson
from benchmarks.attribution.foreign.maps import SYSTEMS, calls

DAYS = 260
ZONES, HOSTS = 3, 18
STEPS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180, 300, 480, 720, 1080, 1500)
"""Minutes of a fault at which it is looked at."""
RULES = {"errors": "HighErrorRate", "latency": "SlowP99", "availability": "TargetDown"}
DOWN = 0.3
STORES = ("-db", "-mongodb", "-memcached", "-redis", "rabbitmq", "-queue", "redis-")


@dataclass
class Call:
    callee: str
    share: float
    """Of the caller's requests."""
    falls_back: bool
    queued: bool
    retries: int


@dataclass
class Service:
    name: str
    calls: list[Call] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    monitored: bool = True
    threshold: float = 0.02
    slow_threshold: float = 0.5
    """Added latency, in units of the service's own usual one."""
    every: float = 1.0
    lasting: float = 2.0
    is_store: bool = False


@dataclass
class Fault:
    at: float
    root: str
    mode: str
    cause: str
    size: float
    grows: float
    """Minutes until it is as bad as it gets."""


class Estate:
    """The services, their hosts and what their alert rules ask for."""

    def __init__(self, rng: random.Random) -> None:
        self.services: dict[str, Service] = {}
        hosts = [f"host:node-{rng.getrandbits(16):04x}" for _ in range(HOSTS)]
        self.zone = {host: f"provider:zone-{'abc'[i % ZONES]}" for i, host in enumerate(hosts)}
        for text in SYSTEMS.values():
            for caller, callee, marks in calls(text):
                share = rng.uniform(0.85, 1) if "*" in marks else rng.uniform(0.03, 0.5)
                one = Call(f"service:{callee}", share, "?" in marks, "~" in marks, rng.choice((0, 0, 1, 2)))
                self._service(rng, caller).calls.append(one)
                self._service(rng, callee)
        for service in self.services.values():
            service.hosts = rng.sample(hosts, 1 if service.is_store else rng.choice((1, 2, 3)))

    def _service(self, rng: random.Random, name: str) -> Service:
        subject = f"service:{name}"
        if subject not in self.services:
            store = any(mark in name for mark in STORES)
            self.services[subject] = Service(
                subject,
                is_store=store,
                monitored=rng.random() < (0.45 if store else 0.85),
                threshold=rng.choice((0.005, 0.01, 0.02, 0.05, 0.1)),
                slow_threshold=rng.choice((0.2, 0.5, 1.0, 2.0)),
                every=rng.choice((0.25, 0.5, 1, 1, 5)),
                lasting=rng.choice((0, 1, 2, 2, 5, 10, 15)),
            )
        return self.services[subject]

    def entries(self, rng: random.Random) -> list[Json]:
        """The catalogue: most calls are written down, half of the hosts are."""
        found: list[Json] = []
        for one in self.services.values():
            needs = [call.callee for call in one.calls if rng.random() < 0.9]
            needs += [host for host in one.hosts if rng.random() < 0.5]
            found.append({"subject": one.name, "depends_on": needs, "monitored": one.monitored})
        found += [
            {"subject": host, "depends_on": [zone], "monitored": rng.random() < 0.5} for host, zone in self.zone.items()
        ]
        return found + [{"subject": zone, "monitored": False} for zone in sorted(set(self.zone.values()))]

    def suffers(self, broken: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Per service the share of its requests that fail and its added latency, when these services themselves fail
        and are slow so much: relaxed until it stands still, since calls go in circles."""
        now = dict.fromkeys(self.services, (0.0, 0.0)) | broken
        for _ in range(12):
            then = {name: self._seen_by(one, now, broken.get(name, (0.0, 0.0))) for name, one in self.services.items()}
            if all(
                abs(then[n][0] - now.get(n, (0, 0))[0]) + abs(then[n][1] - now.get(n, (0, 0))[1]) < 1e-4 for n in then
            ):
                break
            now = then
        return now

    def _seen_by(
        self, one: Service, now: dict[str, tuple[float, float]], own: tuple[float, float]
    ) -> tuple[float, float]:
        works, slow = 1 - own[0], own[1]
        for call in one.calls:
            fails, late = now.get(call.callee, (0.0, 0.0))
            if call.queued:
                continue
            if not call.falls_back:
                works *= 1 - call.share * fails ** (1 + 0.6 * call.retries)
            slow += call.share * (0.55 * min(late, 8) + (0.4 * call.retries * fails))
        return 1 - works, min(slow, 12)


def cases(seed: int, *, days: int = DAYS) -> Iterator[Json]:
    """The world's incidents in the order of time."""
    rng = random.Random(f"callgraphs {seed}")
    estate = Estate(rng)
    entries = estate.entries(rng)
    stream = Stream()
    faults = sorted(_changed(rng, estate, stream, days) + _unprovoked(rng, estate, days), key=lambda one: one.at)
    stream.settle()
    n, until = 0, 0.0
    for fault in faults:
        fired = _alerts(rng, estate, fault)
        if not fired or fired[0][0] < until:
            continue
        first = fired[0][0]
        decide_at = first + rng.choice((2, 5, 5, 10, 20))
        until = decide_at
        for _ in range(poisson(rng, 0.25)):
            other = rng.choice(list(estate.services.values()))
            fired.append(
                (at := rng.uniform(first, decide_at), alert(at, other.name, "saturation", "CpuHigh", "warning"))
            )
        alerts = [said for at, said in fired if at <= decide_at]
        cause = fault.cause
        yield case(
            rng,
            f"g{seed}-{n}",
            decide_at,
            entries=entries,
            changes=stream.between(first - BACK, decide_at),
            alerts=alerts,
            cause=cause,
        )
        n += 1


RISK = {"service.deployed": 0.05, "environment.modified": 0.04, "feature_flag.changed": 0.02}
MODES = {
    "service.deployed": ("errors", "errors", "latency", "crash", "leak", "wrong"),
    "environment.modified": ("errors", "crash", "latency", "saturation"),
    "feature_flag.changed": ("errors", "latency", "wrong"),
}


def _changed(rng: random.Random, estate: Estate, stream: Stream, days: int) -> list[Fault]:
    services = list(estate.services)
    rng.shuffle(services)
    often = [(0.15 if estate.services[s].is_store else 1.0) * rng.paretovariate(1.3) for s in services]
    hosts, found = list(estate.zone), []

    def roll(at: float, subject: str, kind: str) -> None:
        stages = [(at, 1.0)]
        if kind == "service.deployed" and rng.random() < 0.35:  # a canary before the rest, each its own change
            stages = [(at, rng.uniform(0.05, 0.3)), (at + rng.uniform(15, 90), 1.0)]
        made = [stream.add(rng, when, kind, subject, outcome="success") for when, _ in stages]
        if rng.random() < RISK[kind]:
            mode = rng.choice(MODES[kind])
            stage = 0 if mode in ("crash", "errors") else len(stages) - 1
            when, exposed = stages[stage]
            grows = {"leak": rng.uniform(120, 1500), "saturation": rng.uniform(10, 240)}.get(
                mode, rng.choice((0.5, 1, 3, 8))
            )
            found.append(
                Fault(when + rng.expovariate(0.4), subject, mode, made[stage], exposed * rng.uniform(0.1, 1), grows)
            )

    for day in range(days):
        weight = 0.2 if day % 7 > 4 else 1.0
        for _ in range(poisson(rng, 34 * weight)):
            at, subject = busy_minute(rng, day), rng.choices(services, often)[0]
            kind = rng.choices(tuple(RISK), (60, 28, 12))[0]
            roll(at, subject, kind)
            if rng.random() < 0.15:  # what belongs together goes out together
                near = [call.callee for call in estate.services[subject].calls]
                if near:
                    roll(at + rng.uniform(0, 15), rng.choice(near), kind)
        for _ in range(poisson(rng, 1.2 * weight)):
            host, at = rng.choice(hosts), busy_minute(rng, day)
            made = stream.add(rng, at, "environment.modified", host)
            if rng.random() < 0.06:
                found.append(
                    Fault(at + rng.uniform(1, 12), host, rng.choice(("crash", "latency")), made, rng.uniform(0.3, 1), 2)
                )
    return found


def _unprovoked(rng: random.Random, estate: Estate, days: int) -> list[Fault]:
    """Hosts that die, zones in trouble, traffic that surges, certificates that end: at any hour, no change."""
    found = []
    for _ in range(int(days * 0.9)):
        root, mode = rng.choice(
            (
                (rng.choice(list(estate.zone)), "crash"),
                (rng.choice(sorted(set(estate.zone.values()))), "latency"),
                (rng.choice(list(estate.services)), "saturation"),
                (rng.choice(list(estate.services)), "crash"),
            )
        )
        found.append(
            Fault(rng.uniform(3 * DAY, days * DAY), root, mode, "", rng.uniform(0.2, 1), rng.choice((1, 10, 60)))
        )
    return found


def _broken(estate: Estate, fault: Fault, minute: float) -> dict[str, tuple[float, float]]:
    """Which services fail and are slow of their own, so long after the fault began."""
    size = fault.size * min(1.0, (minute + 0.5) / fault.grows)
    if fault.root in estate.services:
        roots = {fault.root: 1.0}
    else:
        under = [h for h, zone in estate.zone.items() if fault.root in (h, zone)]
        lost = {one.name: sum(h in under for h in one.hosts) / len(one.hosts) for one in estate.services.values()}
        roots = {name: part for name, part in lost.items() if part}
    if fault.mode in ("latency", "saturation", "leak"):
        load = min(0.97, 0.3 + 0.7 * size)  # queueing: waiting grows as 1 / (1 - load)
        late = load / (1 - load) - 0.4
        return {name: (0.3 * size**3 * part, max(0.0, late) * part * 0.5) for name, part in roots.items()}
    if fault.mode == "wrong":
        return dict.fromkeys(roots, (0.0, 0.0))
    return {name: (size * part, 0.0) for name, part in roots.items()}


def _alerts(rng: random.Random, estate: Estate, fault: Fault) -> list[tuple[float, Json]]:
    """What fires, in the order of time."""
    found: list[tuple[float, Json]] = []
    for (name, symptom), since in sorted(_over(estate, fault).items()):
        one = estate.services[name]
        if not one.monitored:
            continue
        looked = math.ceil((fault.at + since) / one.every) * one.every + rng.uniform(0, 0.3)
        at = looked + (one.lasting if symptom != "availability" else 1)
        severity = rng.choice(("critical", "critical", "error", "warning", "info"))
        found.append((at, alert(at, name, symptom, RULES[symptom], severity)))
        if rng.random() < 0.15:  # it flaps: the same alert once more, and resolved
            again = at + rng.uniform(1, 6)
            found.append((again, alert(again, name, symptom, RULES[symptom], severity) | {"status": "resolved"}))
    return sorted(found, key=lambda one: one[0])


def _over(estate: Estate, fault: Fault) -> dict[tuple[str, str], float]:
    """Since which minute of the fault a service is over its threshold, by service and symptom."""
    over: dict[tuple[str, str], float] = {}
    callers = [one for one in estate.services.values() if any(call.callee == fault.root for call in one.calls)]
    for minute in STEPS:
        suffering = estate.suffers(_broken(estate, fault, minute))
        if fault.mode == "wrong":  # it answers quickly and wrongly: its callers stumble, itself it looks well
            for one in callers:
                suffering[one.name] = (max(suffering[one.name][0], fault.size * 0.4), 0.0)
        for one in estate.services.values():
            for symptom in _symptoms(one, fault, *suffering[one.name]):
                over.setdefault((one.name, symptom), minute)
        if minute >= fault.grows:
            break
    return over


def _symptoms(one: Service, fault: Fault, fails: float, slow: float) -> Iterator[str]:
    if fails > one.threshold:
        yield "errors"
    if slow > one.slow_threshold:
        yield "latency"
    if fault.mode == "crash" and one.name == fault.root and fails > DOWN:
        yield "availability"
