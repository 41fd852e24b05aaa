"""A case of a case file (docs/attribution.md) as the worlds of another make write it: nothing of Tocsin but the
format."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
START = datetime(2031, 1, 6, tzinfo=UTC)
HOUR, DAY = 60.0, 1440.0
BACK = 3 * DAY
"""Minutes of changes before the first alert that a case holds."""


def stamp(minutes: float) -> str:
    """The world's minute as the format writes times."""
    return (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Stream:
    """Everything that was changed in one world, in the order of time."""

    def __init__(self) -> None:
        self._made: list[tuple[float, Json]] = []
        self._count = 0

    def add(self, rng: random.Random, at: float, kind: str, subject: str, **more: Any) -> str:  # noqa: ANN401 of the format
        """Note a change; its id tells nothing of its place."""
        self._count += 1
        name = f"c{rng.getrandbits(40):010x}"
        said = {"id": name, "kind": kind, "subject": subject, "occurred_at": stamp(at)}
        self._made.append((at, said | more))
        return name

    def settle(self) -> None:
        """Put them in order, once all are there."""
        self._made.sort(key=lambda one: one[0])

    def between(self, since: float, until: float) -> list[Json]:
        """What was changed in that time."""
        low = bisect_left(self._made, since, key=lambda one: one[0])
        high = bisect_right(self._made, until, key=lambda one: one[0])
        return [said for _, said in self._made[low:high]]


def alert(at: float, subject: str, symptom: str, name: str, severity: str = "critical", **more: Any) -> Json:  # noqa: ANN401
    """One alert, firing."""
    said = {
        "name": name,
        "subject": subject,
        "symptom": symptom,
        "severity": severity,
        "starts_at": stamp(at),
        "status": "firing",
        "fingerprint": f"{name}/{subject}",
    }
    return said | more


def case(
    rng: random.Random,
    number: str,
    decide_at: float,
    *,
    entries: Sequence[Json],
    changes: Iterable[Json],
    alerts: Iterable[Json],
    cause: str,
) -> Json:
    """One line. Lists are shuffled: their order tells nothing."""
    made, fired = list(changes), list(alerts)
    rng.shuffle(made)
    rng.shuffle(fired)
    return {
        "id": number,
        "decide_at": stamp(decide_at),
        "catalog": {"entries": list(entries)},
        "changes": made,
        "alerts": fired,
        "truth": {"change": cause or None},
    }


HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 16, 24, 26, 24, 18, 22, 26, 24, 20, 14, 8, 5, 4, 3, 2, 1)


def busy_minute(rng: random.Random, day: int) -> float:
    """A minute of this day, mostly in working hours."""
    return day * DAY + rng.choices(range(24), HOURS)[0] * HOUR + rng.uniform(0, HOUR)


def poisson(rng: random.Random, mean: float) -> int:
    """How many, by arrivals in unit time."""
    n, at = 0, rng.expovariate(1.0)
    while at < mean:
        n, at = n + 1, at + rng.expovariate(1.0)
    return n


def through(rng: random.Random, quantiles: Sequence[tuple[float, float]]) -> float:
    """A draw from a distribution told by its quantiles, straight between them."""
    u = rng.random()
    at = next(i for i in range(1, len(quantiles)) if u <= quantiles[i][0])
    (low, a), (high, b) = quantiles[at - 1], quantiles[at]
    return a + (b - a) * (u - low) / (high - low)
