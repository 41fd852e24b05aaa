"""`tocsin demo`: six outages arrive as real webhooks, and what they come to is read from three service desks."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tocsin.cli._demo.play import Outcome
    from tocsin.cli._demo.show import Screen
    from tocsin.cli._demo.stage import Stage

SECTION = "first hour"
REPORT = Path("demo-report.html")
INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C ended (128 + SIGINT): nothing was proven."""
DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command(context_settings={"show_default": True})
@click.option("--mappings", type=DIRECTORY, default="mappings", help="What to play with; a copy is used.")
@click.option("--once", is_flag=True, help="End by itself; exit 1 when an expectation does not hold.")
@click.option(
    "--data", type=DIRECTORY, default=None, help="An empty directory for its data; otherwise a temporary one."
)
@click.option("--keep", is_flag=True, help="Leave the data when it ends.")
def demo(mappings: Path, once: bool, data: Path | None, keep: bool) -> None:
    """Watch realistic outages become one ticket each, against local stand-ins of the service desks."""
    # Here, so that `tocsin --help` stays quick: this brings rich, SQLAlchemy and the simulators.
    from tocsin.cli._demo.play import Play
    from tocsin.cli._demo.producers import Clock
    from tocsin.cli._demo.scenarios import told
    from tocsin.cli._demo.show import Screen
    from tocsin.cli._demo.stage import staged

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    screen = Screen()
    now = datetime.now(UTC)
    clock = Clock(now)
    try:
        with staged(mappings, data, now=now, keep=keep, say=screen.say) as stage:
            outcome = Play(stage, screen, told(clock), clock).run()
            _finish(screen, outcome, now)
            if not once:
                _stay(stage, screen)
    except KeyboardInterrupt:
        screen.say("stopped")
        sys.exit(INTERRUPTED if once else 0)
    if outcome.failed:
        sys.exit(1)


def _finish(screen: Screen, outcome: Outcome, now: datetime) -> None:
    from tocsin.cli._demo.report import written
    from tocsin.cli._demo.show import proud_line

    muted = [insight for insight in outcome.insights if insight.muted]
    screen.muted(muted)
    screen.heading("In short")
    screen.say(proud_line(outcome.posted, outcome.last, len(muted)), style="bold green")
    held = sum(check.holds for checks in outcome.checks.values() for check in checks)
    screen.say(f"{held} expectations hold, {len(outcome.failed)} failed; {outcome.took_s:.0f} s after set-up")
    for words in outcome.failed:
        screen.say(f"✗ {words}", style="bold red")
    REPORT.write_text(written(outcome, now=now), encoding="utf-8")
    screen.links([("Report", str(REPORT.resolve()))])


def _stay(stage: Stage, screen: Screen) -> None:
    from tocsin.cli._demo.show import TITLES

    desks = [(TITLES[kind], stage.desks[kind].url) for kind in TITLES]
    token = str(stage.directory / "data" / "api.token")
    screen.links([("Console", stage.url), *desks, ("Token", f"{token} (the console asks for it)")])
    screen.say("Everything stays up so that you can look around; Ctrl-C ends it.", style="bold")
    while True:
        time.sleep(1)
