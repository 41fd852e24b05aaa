"""How well could anybody group these alerts as they come? A grouper that knows the world's true parameters.

It is told which alerts are noise, the whole graph, every change with its true risk and lag, how trouble spreads and
which window each check looked at. What it does not know is which alert belongs to which outage. Each alert goes, for
good, where the whole becomes likeliest:

    P(partition) ∝ Π over groups of Σ over roots and minutes of
                   intensity of strikes(root, minute) · chance and delay of all who alert · chance of who is silent yet

What two outages raise on one subject at once is one alert after deduplication, for it too.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.attribution.world import BREAKS, DAY, DAYS, MAX_HOPS, NO_CHANGE
from benchmarks.stream.rivals import Episode, episodes
from benchmarks.stream.world import OUTAGE, Stream

Floats = NDArray[np.float32]

LATE_MIN = 40
"""Minutes from a strike to the latest alert of what looks all the time: four hops take six on average."""
SOUND_MIN = 4
"""Minutes from a strike to the alert of most that alert: who alerts already then cannot begin to."""
LAG_MIN = 6000
AROUND_MIN = 1500
SAID_MIN = 6
"""Minutes after which most that would alert at once has alerted; silence tells more until then."""
_TINY = np.float32(1e-30)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """One deduplicated alert: the minutes at which its outage may have struck, and how likely it is then, by hops."""

    node: int
    low: int
    by_hops: Floats
    """[hops, minutes since low]."""
    slow: bool | None
    """Of a cause whose checks have windows, or of another; None: of either."""

    @property
    def high(self) -> int:
        return self.low + int(self.by_hops.shape[1])


class Ceiling:
    """One stream, grouped by who knows all but the answer. `changes=False`: it does not know the changes either."""

    def __init__(self, stream: Stream, *, changes: bool = True) -> None:
        self._stream = stream
        self._origin = int(stream.begins) - 2 * AROUND_MIN
        self._minutes = int(stream.ends) + 4 * AROUND_MIN - self._origin
        self._alerts = [one for one in episodes(stream.sent) if one.rule == OUTAGE]
        law = stream.law
        self._chance = np.append(law.a * law.b ** np.arange(MAX_HOPS + 1), 0.0)
        self._hops = np.minimum(stream.hops, MAX_HOPS + 1).astype(int)
        self._log_not = np.log1p(-self._chance)[self._hops].astype(np.float32)
        self._intensity = self._strikes(changes)
        self._idle = self._not_alerting()
        self._silent = self._log_not @ self._idle
        self._heard = [self._hear(one) for one in self._alerts]
        self._groups: dict[int, frozenset[int]] = {}
        self._at_hour: dict[int, set[int]] = {}

    def by_alert(self) -> list[int]:
        """The group of each alert of an outage."""
        of = [self._place(one, self._alerts[one].first) for one in range(len(self._heard))]
        of_alert = {alert: group for one, group in zip(self._alerts, of, strict=True) for alert in one.alerts}
        return [of_alert[alert] for alert in range(len(self._stream.symptoms))]

    # -- what is known

    def _strikes(self, changes: bool) -> tuple[Floats, Floats]:
        """Strikes a minute at each root: of causes whose checks look all the time, and of those with windows."""
        stream = self._stream
        fast, slow = np.zeros((2, len(stream.nodes), self._minutes), dtype=np.float32)
        lags = np.arange(LAG_MIN) + 0.5
        density = {kind: stream.law.lag_density(kind, lags).astype(np.float32) for kind in BREAKS}
        caused = 0.0
        for change in stream.changes:
            risk = min(0.5, BREAKS[change.kind] * stream.risk[change.node])
            caused += risk
            begins = int(change.at) - self._origin
            low, high = max(begins, 0), min(begins + LAG_MIN, self._minutes)
            if low < high:
                table = slow if change.kind in ("pipeline", "schema") else fast
                table[change.node, low:high] += risk * density[change.kind][low - begins : high - begins]
        if not changes:
            fast[:], slow[:] = fast.mean(), slow.mean()
        anywhere = caused * NO_CHANGE / (1 - NO_CHANGE) / (DAYS * DAY) / len(stream.nodes)
        for table, of_services in ((fast, True), (slow, False)):
            table[[(node.kind == "service") is of_services for node in stream.nodes]] += anywhere
        return fast, slow

    def _not_alerting(self) -> Floats:
        """1 where a subject could begin to alert of a strike at that minute: it does not alert yet."""
        idle = np.ones((len(self._stream.nodes), self._minutes), dtype=np.float32)
        for one in self._alerts:
            begins, ends = int(one.first) - SOUND_MIN - self._origin, int(one.last + 15) - SOUND_MIN - self._origin
            idle[one.node, begins:ends] = 0.0
        return idle

    def _hear(self, one: Episode) -> _Heard:
        symptom = min((self._stream.symptoms[alert] for alert in one.alerts), key=lambda symptom: symptom.at)
        kind = self._stream.nodes[one.node].kind
        if symptom.window:
            high = math.floor(one.first / symptom.window) * int(symptom.window)
            low = high - int(symptom.window) - LATE_MIN
        else:
            low, high = int(one.first) - LATE_MIN, int(one.first)
        strikes = np.arange(low, high)[None, :] + np.array([0.125, 0.375, 0.625, 0.875])[:, None]
        hops = np.arange(MAX_HOPS + 2)[:, None, None]
        if symptom.window:
            likely = _onset_by(high - strikes, hops) - _onset_by(high - symptom.window - strikes, hops)
        else:
            likely = (_onset_by(one.first - 1 - strikes, hops) - _onset_by(one.first - 6 - strikes, hops)) / 5
        return _Heard(
            node=one.node,
            low=low - self._origin,
            by_hops=(self._chance[:, None] * likely.mean(axis=1)).astype(np.float32),
            slow=None if kind in ("service", "model") else bool(symptom.window),
        )

    # -- groups

    def _log_likelihood(self, members: Collection[int], heard_min: float) -> float:
        """Of these alerts as one outage's, with what is silent until then; -inf when they cannot be."""
        heard = [self._heard[one] for one in members]
        slow = {one.slow for one in heard} - {None}
        low, high = self._strikes_of(members)
        if low >= high or len(slow) > 1 or len({one.node for one in heard}) < len(heard):
            return -math.inf
        fast_strikes, slow_strikes = (table[:, low:high] for table in self._intensity)
        strikes = fast_strikes + slow_strikes if not slow else slow_strikes if True in slow else fast_strikes
        said = np.clip((heard_min - self._origin - np.arange(low, high) - 1) / SAID_MIN, 0.0, 1.0).astype(np.float32)
        log = np.log(strikes + _TINY) + said * self._silent[:, low:high]
        for one in heard:
            with np.errstate(divide="ignore"):
                log += np.log(one.by_hops[self._hops[:, one.node], low - one.low : high - one.low])
            log -= self._log_not[:, one.node, None] * (said * self._idle[one.node, low:high])
        return float(np.logaddexp.reduce(log, axis=None))

    def _strikes_of(self, members: Collection[int]) -> tuple[int, int]:
        """The minutes in which an outage that raised all these may have struck."""
        return max(self._heard[one].low for one in members), min(self._heard[one].high for one in members)

    def _place(self, one: int, at: float) -> int:
        """Into the likeliest group of this moment, or a new one."""
        heard = self._heard[one]
        hours = range(heard.low // 60, heard.high // 60 + 1)
        best, into = self._log_likelihood({one}, at), -1
        for number in sorted(set().union(*(self._at_hour.get(hour, set()) for hour in hours))):
            before = self._log_likelihood(self._groups[number], at)
            gain = self._log_likelihood(self._groups[number] | {one}, at) - before
            if gain > best:
                best, into = gain, number
        if into < 0:
            into = len(self._groups)
        self._groups[into] = self._groups.get(into, frozenset()) | {one}
        low, high = self._strikes_of(self._groups[into])
        for hour in range(low // 60, high // 60 + 1):
            self._at_hour.setdefault(hour, set()).add(into)
        return into


def _onset_by(minutes: NDArray[np.float64], hops: NDArray[np.int64]) -> NDArray[np.float64]:
    """The chance that trouble is so many hops away by then: its way takes hops · Exp(1.5)."""
    after = np.maximum(minutes, 0.0)
    return np.where(hops > 0, -np.expm1(-after / (1.5 * np.maximum(hops, 1))), after > 0)
