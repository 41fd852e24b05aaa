"""Weeks of alerts as monitors send them, with the outage behind each, after correlation.md §9.3.

The same worlds as in benchmarks/attribution (same seed, same graph, same changes, same outages), but an outage's alerts
are not cut at the moment of decision: each is sent again and again while it lasts. Between them single alerts that mean
nothing, and rules that flap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from benchmarks.attribution.world import (
    BREAKS,
    DAY,
    DAYS,
    LAWS,
    MAX_HOPS,
    NO_CHANGE,
    WINDOW_SHARE,
    WINDOWS,
    Fired,
    Made,
    World,
)

TRANSIENT_PER_DAY, TRANSIENT_SPREAD = 200.0, 0.3
FLAPPING_RULES, FLAPPING_EVERY_MIN = 6, 25.0
AGAIN_MIN = (3.0, 6.0)
LASTS_MEDIAN_MIN, LASTS_SIGMA = 40.0, 0.8
FAILS_AFTER_MIN, FAILS_SIGMA = 60.0, 1.0
"""A mend that fails shows so long after the outage's last message (lognormal: most within four hours)."""
FIRST_DAY = 3
"""The stream begins when three days of changes are known: no candidate lies before the world."""

OUTAGE, TRANSIENT, FLAPPING = "outage", "transient", "flapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message of a monitor. `alert` numbers the alert of an outage that it tells of (-1: none), the same for its
    repeats; `window` is the minutes that the check looked at (0: it looks all the time)."""

    at: float
    node: int
    rule: str
    alert: int = -1
    window: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """An alert of an outage."""

    outage: int
    node: int
    at: float
    window: float


@dataclass(frozen=True, slots=True)
class _Struck:
    """One outage: alerts as (time, node, window), cause and where it struck; `slow`: its checks have windows."""

    alerts: list[tuple[float, int, float]]
    cause: Made | None
    root: int
    slow: bool


def _symptoms(alerts: dict[int, list[tuple[float, int, float]]]) -> list[Symptom]:
    return [
        Symptom(outage=outage, node=node, at=at, window=window)
        for outage, found in alerts.items()
        for at, node, window in found
    ]


@dataclass(slots=True)
class Stream(World):
    """One seed's messages in the order of their times."""

    days: int = 30
    returns: float = 0.0
    """So many outages strike once more at the same root, after a mend that failed: the same outage still."""
    symptoms: list[Symptom] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    causes: list[Made | None] = field(default_factory=list)
    """By outage."""

    @property
    def begins(self) -> float:
        return FIRST_DAY * DAY

    @property
    def ends(self) -> float:
        return self.begins + self.days * DAY

    def _incidents(self, rng: Generator) -> None:
        """The outages of the whole world, drawn as benchmarks/attribution draws them; those of these days are kept."""
        found: list[_Struck] = []
        for change in self.changes:
            if rng.random() < min(0.5, BREAKS[change.kind] * self.risk[change.node]):
                strike = change.at + self.law.lag(change.kind, rng)
                slow = change.kind in ("pipeline", "schema")
                if alerts := self._all_alerts(change.node, strike, slow, rng):
                    found.append(_Struck(alerts, change, change.node, slow))
        caused = len(found)
        wanted = round(caused * NO_CHANGE / (1 - NO_CHANGE))
        while len(found) - caused < wanted:
            root = int(rng.integers(len(self.nodes)))
            strike = float(rng.uniform(0, DAYS * DAY))
            slow = self.nodes[root].kind != "service"
            if alerts := self._all_alerts(root, strike, slow, rng):
                found.append(_Struck(alerts, None, root, slow))
        kept = [one for one in found if self.begins <= one.alerts[0][0] < self.ends]
        kept.sort(key=lambda one: one.alerts)
        self.causes = [one.cause for one in kept]
        self.symptoms = _symptoms(dict(enumerate(one.alerts for one in kept)))
        sent = self._messages(np.random.default_rng([self.seed, 93]))
        self.sent = sorted(sent + self._again(kept, sent), key=lambda one: one.at)

    def _again(self, kept: list[_Struck], sent: list[Sent]) -> list[Sent]:
        """Outages that strike once more, from draws of their own: all else stays as it is without them."""
        rng = np.random.default_rng([self.seed, 94])
        over = dict.fromkeys(range(len(kept)), 0.0)
        for one in sent:
            if one.alert >= 0:
                outage = self.symptoms[one.alert].outage
                over[outage] = max(over[outage], one.at)
        alerts = {}
        for outage, struck in enumerate(kept):
            if rng.random() < self.returns:
                strike = over[outage] + FAILS_AFTER_MIN * np.exp(FAILS_SIGMA * rng.standard_normal())
                alerts[outage] = self._all_alerts(struck.root, float(strike), struck.slow, rng)
        first = len(self.symptoms)
        self.symptoms += _symptoms(alerts)
        return self._told(first, rng)

    def _all_alerts(self, root: int, strike: float, slow: bool, rng: Generator) -> list[tuple[float, int, float]]:
        """World._alerts, draw by draw, with the window of each check: (time, node, window)."""
        found = []
        for v in np.flatnonzero(self.hops[root] <= MAX_HOPS):
            d = int(self.hops[root][v])
            if rng.random() >= self.law.a * self.law.b**d:
                continue
            onset = strike + d * rng.exponential(1.5)
            kind = self.nodes[int(v)].kind
            window = 0.0
            if kind == "model" or (slow and kind != "service"):
                window = float(rng.choice(WINDOWS, p=WINDOW_SHARE))
                at = (onset // window + 1) * window + rng.uniform(1, 5)
            else:
                at = onset + rng.uniform(1, 6)
            if rng.random() < 0.5:
                self._series(onset, at, rng)
            found.append((float(at), int(v), window))
        return sorted(found)

    def _told(self, first: int, rng: Generator) -> list[Sent]:
        """What is sent of the alerts of outages from this number on."""
        sent = []
        for number, symptom in enumerate(self.symptoms[first:], first):
            until = symptom.at + LASTS_MEDIAN_MIN * np.exp(LASTS_SIGMA * rng.standard_normal())
            at = symptom.at
            while at <= until:
                sent.append(Sent(at=at, node=symptom.node, rule=OUTAGE, alert=number, window=symptom.window))
                at += rng.uniform(*AGAIN_MIN)
        return sent

    def _messages(self, rng: Generator) -> list[Sent]:
        sent = self._told(0, rng)
        shares = rng.dirichlet(np.full(len(self.nodes), TRANSIENT_SPREAD))
        for _ in range(int(rng.poisson(TRANSIENT_PER_DAY * self.days))):
            node = int(rng.choice(len(self.nodes), p=shares))
            sent.append(Sent(at=rng.uniform(self.begins, self.ends), node=node, rule=TRANSIENT))
        for node in rng.choice(len(self.nodes), FLAPPING_RULES, replace=False):
            at = self.begins
            while (at := at + rng.exponential(FLAPPING_EVERY_MIN)) < self.ends:
                sent.append(Sent(at=float(at), node=int(node), rule=FLAPPING))
        return sent


def same_world(seed: int) -> bool:
    """Are the outages those of benchmarks/attribution? Their first alerts are, one for one."""
    theirs = World(law=LAWS["matched"], seed=seed)
    ours = Stream(law=LAWS["matched"], seed=seed, days=DAYS - FIRST_DAY)
    first: dict[int, Fired] = {}
    for one in ours.symptoms:
        first.setdefault(one.outage, Fired(node=one.node, at=one.at))
    begun = [case.decide_at - 5 for case in theirs.cases if ours.begins <= case.decide_at - 5 < ours.ends]
    return np.allclose(begun, [fired.at for fired in first.values()])
