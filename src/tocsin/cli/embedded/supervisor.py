"""Keeps the parts of `tocsin up` running, restarts what crashes, and ends everything in the right order."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from tocsin.cli.embedded.child import spawn
from tocsin.domain.errors import Unavailable

CRASHES = 5  # in CRASH_WINDOW_S: then we give up, because restarting does not help
CRASH_WINDOW_S = 60.0
LONGEST_PAUSE_S = 8.0
LAST_LINES = 20
LAST_RESORT_S = 1.0  # after SIGKILL the kernel only needs to tell us

Process = subprocess.Popen[bytes]
Say = Callable[[str], None]
Show = Callable[[str, str], None]  # part, line


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep running: how to launch it, and how to end it.

    Parts of one `tier` end together; a lower tier ends first. `stop` lists signals with the seconds each may take.
    """

    name: str
    launch: Callable[[], Process]
    tier: int
    stop: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 3.0),)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


@dataclass(slots=True)
class _State:
    process: Process | None
    crashes: list[float] = field(default_factory=list)
    again_at: float = 0.0


class Supervisor:
    """Call `add` for each part, `tend` a few times a second from the main thread, and `stop` in the end."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._parts: dict[str, tuple[Part, _State]] = {}

    def add(self, part: Part, *, running: Process | None = None) -> None:
        """Launch the part, or take over a process that it already launched."""
        state = _State(running)
        self._parts[part.name] = (part, state)
        if running is None:
            state.process = part.launch()

    def tend(self, *, now: float) -> None:
        """Restart what has ended; `now` is on a monotonic clock, in seconds.

        Raises Unavailable with the part's last lines when it crashed 5 times in a minute.
        """
        for part, state in self._parts.values():
            if state.process is None:
                if now >= state.again_at:
                    state.process = part.launch()
            elif (status := state.process.poll()) is not None:
                _end_group(state.process)
                state.process = None
                self._after_crash(part, state, status, now)

    def stop(self) -> None:
        """End all parts, tier by tier: polite signals first, then SIGKILL for the whole process group."""
        tiers = sorted({part.tier for part, _ in self._parts.values()})
        for tier in tiers:
            _end_together([(part, state) for part, state in self._parts.values() if part.tier == tier])
        self._parts.clear()

    def _after_crash(self, part: Part, state: _State, status: int, now: float) -> None:
        state.crashes = [at for at in state.crashes if now - at < CRASH_WINDOW_S] + [now]
        if len(state.crashes) >= CRASHES:
            said = "\n".join(f"  {line}" for line in part.last_lines) or "  (it printed nothing)"
            raise Unavailable(
                f"{part.name} ended {CRASHES} times within {CRASH_WINDOW_S:.0f} s, the last time {_ending(status)}. "
                f"Its last lines:\n{said}"
            )
        pause_s = min(LONGEST_PAUSE_S, 0.5 * 2 ** (len(state.crashes) - 1))
        state.again_at = now + pause_s
        self._say(f"{part.name} ended {_ending(status)}; starting it again in {pause_s:g} s")


def command_part(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    tier: int,
    show: Show,
    stop: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 3.0),),
) -> Part:
    """A part that runs `command`; each line it prints goes to `show`, and the last ones are kept."""
    last_lines: deque[str] = deque(maxlen=LAST_LINES)

    def launch() -> Process:
        last_lines.clear()
        process = spawn(command, output=subprocess.PIPE, environment=environment)
        assert process.stdout is not None
        threading.Thread(target=_relay, args=(name, process.stdout, last_lines, show), daemon=True).start()
        return process

    return Part(name, launch, tier, stop, last_lines)


def _relay(name: str, output: IO[bytes], last_lines: deque[str], show: Show) -> None:
    with output:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            last_lines.append(line)
            show(name, line)


def _end_together(parts: Sequence[tuple[Part, _State]]) -> None:
    running = {part.name: (part, state.process) for part, state in parts if state.process is not None}
    for step in range(max((len(part.stop) for part, _ in running.values()), default=0)):
        waits = []
        for part, process in running.values():
            if step < len(part.stop) and process.poll() is None:
                number, wait_s = part.stop[step]
                waits.append(wait_s)
                with suppress(ProcessLookupError):
                    process.send_signal(number)
        _wait([process for _, process in running.values()], max(waits, default=0.0))
    for _, process in running.values():
        _end_group(process)
    _wait([process for _, process in running.values()], LAST_RESORT_S)


def _wait(processes: Sequence[Process], longest_s: float) -> None:
    deadline = time.monotonic() + longest_s
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))


def _end_group(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # spawn() made it the leader of its own group


def _ending(status: int) -> str:
    if status >= 0:
        return f"with status {status}"
    with suppress(ValueError):
        return f"by {signal.Signals(-status).name}"
    return f"by signal {-status}"
