"""Are crashed parts restarted, hopeless ones given up, and all of them gone in the end?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.processes import appears, gone
from tocsin.cli.embedded.supervisor import CRASHES, Part, Supervisor, command_part
from tocsin.domain.errors import Unavailable

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print('up', flush=True); time.sleep(600)"
)


class Screen:
    """Keeps what was said and shown."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, part: str, line: str) -> None:
        self.shown.append((part, line))


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def supervisor(screen: Screen) -> Iterator[Supervisor]:
    supervisor = Supervisor(screen.say)
    yield supervisor
    supervisor.stop()


def python(name: str, code: str, screen: Screen, *, tier: int = 0, stop_s: float = 3.0) -> Part:
    return command_part(
        name, (sys.executable, "-c", code), environment=os.environ, tier=tier, show=screen.show,
        stop=((signal.SIGTERM, stop_s),),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _others() -> None:
    """Processes that run already, such as the session's database, are none of a supervisor's."""
    OTHERS.clear()
    OTHERS.update(child.pid for child in psutil.Process().children())


OTHERS: set[int] = set()


def children() -> list[psutil.Process]:
    own = [child for child in psutil.Process().children() if child.pid not in OTHERS]
    found = own + [below for child in own for below in child.children(recursive=True)]
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]


def test_what_a_part_prints_is_shown_with_its_name(supervisor: Supervisor, screen: Screen) -> None:
    supervisor.add(python("web", "print('listening')", screen))
    appears(lambda: ("web", "listening") in screen.shown)


def test_a_crashed_part_is_started_again_after_a_pause_that_is_said(supervisor: Supervisor, screen: Screen) -> None:
    supervisor.add(python("worker", SLEEP, screen))
    (first,) = children()
    first.send_signal(signal.SIGKILL)
    gone(first)
    supervisor.tend(now=100.0)
    assert screen.said == ["worker ended by SIGKILL; starting it again in 0.5 s"]
    supervisor.tend(now=100.4)
    assert children() == []
    supervisor.tend(now=100.5)
    (second,) = children()
    assert second.pid != first.pid


def test_a_part_that_crashes_five_times_in_a_minute_is_given_up_with_its_last_lines(
    supervisor: Supervisor, screen: Screen
) -> None:
    supervisor.add(python("beat", "print('no such table'); raise SystemExit(3)", screen))
    with pytest.raises(Unavailable, match=rf"beat ended {CRASHES} times.*with status 3.*\n  no such table"):  # noqa: PT012
        for second in range(60):
            time.sleep(0.3)
            supervisor.tend(now=float(second))
    assert len(screen.said) == CRASHES - 1


def test_crashes_that_are_far_apart_do_not_add_up(supervisor: Supervisor, screen: Screen) -> None:
    supervisor.add(python("beat", "raise SystemExit(3)", screen))
    for minute in range(CRASHES + 1):
        appears(lambda: not children())
        supervisor.tend(now=61.0 * minute)
        supervisor.tend(now=61.0 * minute + 1)
    assert len(screen.said) == CRASHES + 1


def test_a_lower_tier_ends_first(supervisor: Supervisor, screen: Screen, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        f"def end(*_): open({str(tmp_path / 'order')!r}, 'a').write(sys.argv[1]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    for name, tier in (("database", 2), ("worker", 1), ("web", 0)):
        supervisor.add(
            command_part(
                name, (sys.executable, "-c", code, f"{name} "), environment=os.environ, tier=tier, show=screen.show
            )
        )
    appears(lambda: len(screen.shown) == 3)
    supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["web", "worker", "database"]


def test_a_part_that_ignores_the_polite_signal_is_killed(supervisor: Supervisor, screen: Screen) -> None:
    supervisor.add(python("web", STUBBORN, screen, stop_s=0.3))
    appears(lambda: screen.shown)
    began = time.monotonic()
    supervisor.stop()
    assert children() == []
    assert time.monotonic() - began < 2.0


def test_what_a_part_started_goes_with_it(supervisor: Supervisor, screen: Screen) -> None:
    supervisor.add(python("worker", PARENT, screen))
    appears(lambda: screen.shown and len(children()) == 2)
    whole = children()
    supervisor.stop()
    for process in whole:
        gone(process)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_parts_die_with_a_killed_supervisor() -> None:
    code = f"""
import os, sys, time
from tocsin.cli.embedded.supervisor import Supervisor, command_part
supervisor = Supervisor(print)
supervisor.add(command_part("web", (sys.executable, "-c", {SLEEP!r}), environment=os.environ, tier=0,
               show=lambda part, line: print(line, flush=True)))
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        (part,) = psutil.Process(holder.pid).children()
        holder.kill()
    gone(part)
