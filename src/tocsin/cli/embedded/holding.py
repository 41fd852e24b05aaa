"""What an embedded server holds while it runs, and how all of it is given back, also when it never came up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from tocsin.cli.embedded.child import end
from tocsin.cli.embedded.lock import DirectoryLock
from tocsin.domain.errors import BadSetting


@dataclass(slots=True)
class Held:
    """The process, the directory of its sockets, and the lock on its data."""

    process: subprocess.Popen[bytes] | None = None
    sockets: Path | None = None
    lock: DirectoryLock | None = None

    def hold(self, directory: Path) -> None:
        """Make the data directory ours alone. Raises BadSetting when somebody else holds it."""
        self.lock = DirectoryLock(directory / "lock")
        self.lock.hold()

    def end(self, steps: Sequence[tuple[Signals, float]]) -> None:
        """End the process by these signals, remove the sockets, free the data; what is ended already is fine."""
        if self.process is not None:
            end(self.process, steps=steps)
            self.process = None
        if self.sockets is not None:
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.sockets = None
        if self.lock is not None:
            self.lock.release()
            self.lock = None


@contextmanager
def starting(data_dir: Path, stop: Callable[[], None]) -> Iterator[None]:
    """While a server starts: whatever interrupts it, Ctrl-C too, leaves no server behind. Raises BadSetting for a
    directory that is closed to us."""
    started = False
    try:
        yield
        started = True
    except PermissionError as error:
        raise BadSetting(
            f"{error.filename or data_dir} is closed to user {os.geteuid()}: give it a --data directory of its own"
        ) from error
    finally:
        if not started:
            stop()
