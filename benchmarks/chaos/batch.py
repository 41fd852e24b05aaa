"""Run schedules in batches on one database and one desk, and gather what the judge finds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.clock import Clock, furnish
from benchmarks.chaos.desks import desk_of
from benchmarks.chaos.judge import Violation, judged
from benchmarks.chaos.life import Life
from benchmarks.chaos.script import Script
from benchmarks.chaos.trial import AT_ONCE, Trial, under_trial
from tocsin.cli.embedded.postgres import EmbeddedPostgres
from tocsin.store import migrate


@dataclass(kw_only=True)
class Tally:
    """What came of some schedules."""

    schedules: int = 0
    requests: list[int] = field(default_factory=list)
    """Of each schedule, without look-ups whose answers workers remember."""
    calm: list[int] = field(default_factory=list)
    """The same, of schedules in which nothing went wrong."""
    faults: int = 0
    kills: int = 0
    freezes: int = 0
    late: int = 0
    edits: int = 0
    violations: list[Violation] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)

    def add(self, lives: Sequence[Life]) -> None:
        """Count these in."""
        self.schedules += len(lives)
        for life in lives:
            self.requests.append(life.requests["any"])
            self.faults += life.befell["fault"]
            self.kills += life.befell["kill"]
            self.freezes += life.befell["freeze"]
            self.late += len(life.late)
            self.edits += len(life.edits)
            self.stories.append(life.told())
            if not life.befell:
                self.calm.append(life.requests["any"])

    @property
    def calm_calls(self) -> float:
        """Mean calls of an incident to which nothing happened on the way."""
        return sum(self.calm) / max(1, len(self.calm))

    @property
    def broken(self) -> int:
        """Schedules with a violation."""
        return len({one.seed for one in self.violations})


@contextmanager
def database() -> Iterator[str]:
    """A fresh, migrated database on a server of its own, on the trial's clock."""
    place = Path(tempfile.mkdtemp(prefix="tocsin-chaos-", dir="/tmp"))
    place.chmod(0o711)  # the unprivileged server user must pass
    server = EmbeddedPostgres(fsync=False)
    try:
        url = server.start(place / "postgres")
        migrate(url)
        furnish(url.replace("+psycopg", ""))
        yield url
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def run(
    url: str, vendor: str, scripts: Sequence[Script], *, clock: Clock, done: Callable[[int], None] = lambda _n: None
) -> Tally:
    """Play these schedules, AT_ONCE at a time; `done` hears how many each batch had."""
    tally = Tally()
    desk = desk_of(vendor, clock)
    with tempfile.TemporaryDirectory() as place:
        trial = Trial(url, desk, clock, Path(place), at_once=min(AT_ONCE, len(scripts)))
        try:
            with under_trial(clock):
                for start in range(0, len(scripts), AT_ONCE):
                    batch = scripts[start : start + AT_ONCE]
                    lives = trial.play(batch)
                    tally.add(lives)
                    tally.violations += judged(lives, desk, trial.app.database, timed_out=trial.timed_out)
                    trial.forget()
                    done(len(batch))
        finally:
            trial.close()
            desk.close()
    return tally
