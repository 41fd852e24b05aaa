"""How do we start a process that cannot outlive us, and how do we end it?"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tocsin.cli.embedded.privilege import Account

PR_SET_PDEATHSIG = 1  # man 2 prctl: the signal a process gets when the thread that made it dies


def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes] | int,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` as the leader of its own process group; it gets `death_signal` if we die without a goodbye.

    Its own group keeps a terminal's Ctrl-C from reaching it before us. Call it from the main thread: Linux ties the
    death signal to the thread that made the child. Other systems have no such signal; there the next start finds what
    was left over. Raises OSError when the program cannot be executed.
    """
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=None if environment is None else dict(environment),
        cwd=directory,
        start_new_session=True,
        preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509  one C call, prepared before the fork
        user=account.user_id if account else None,
        group=account.group_id if account else None,
        extra_groups=[] if account else None,
    )


def end(process: subprocess.Popen[bytes], *, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn and wait its seconds, until the process has ended."""
    for number, wait_s in steps:
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return arrange
