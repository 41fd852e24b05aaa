"""What did a killed process leave behind, and is it safe to clear away?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def stop_orphan(cluster: Path) -> None:
    """End a PostgreSQL that still runs on `cluster`; call it only while holding the home's lock.

    A lock file whose number now belongs to a foreign process (usual after a container restarts) is removed, because
    the server itself would refuse to start; the server's own check of shared memory still guards the data.
    """
    lock_file = cluster / "postmaster.pid"
    try:
        process_id = int(lock_file.read_text().partition("\n")[0])
    except (FileNotFoundError, ValueError):
        return
    if not is_alive(process_id):
        return
    if _is_postmaster_of(process_id, cluster):
        end_foreign(process_id, steps=((signal.SIGINT, 8.0), (signal.SIGQUIT, 4.0)))
    else:
        lock_file.unlink(missing_ok=True)


def keep_sockets(note: Path, sockets: Path) -> None:
    """Note where our sockets are, for the next start if there is no orderly end of this one."""
    note.unlink(missing_ok=True)
    note.write_text(f"{sockets}\n")


def forget_sockets(note: Path, prefix: str) -> None:
    """Remove the socket directory that an earlier process noted and could not remove."""
    with suppress(FileNotFoundError):
        sockets = Path(note.read_text().strip())
        if sockets.parent == Path("/tmp") and sockets.name.startswith(prefix):  # noqa: S108
            shutil.rmtree(sockets, ignore_errors=True)


def end_foreign(process_id: int, *, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
    """Signal a process that is not our child, waiting after each signal for it to go."""
    for number, wait_s in steps:
        with suppress(ProcessLookupError):
            os.kill(process_id, number)
        deadline = time.monotonic() + wait_s
        while is_alive(process_id) and time.monotonic() < deadline:
            time.sleep(0.05)


def is_alive(process_id: int) -> bool:
    """Does a process with this number exist and run (a zombie does not)?"""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def command_of(process_id: int) -> str:
    """The command line of a process, empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{process_id}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    said = subprocess.run(["ps", "-o", "command=", "-p", str(process_id)], capture_output=True, text=True, check=False)
    return said.stdout


def _is_postmaster_of(process_id: int, cluster: Path) -> bool:
    words = command_of(process_id).split(" ")
    return words[0].endswith("postgres") and str(cluster) in words
