"""Places and waits for tests that start processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tocsin.cli.embedded.privilege import Account, account_for_servers


@contextmanager
def open_place() -> Iterator[Path]:
    """A directory that every user can walk through, as pytest's own are not."""
    with private_place() as place:
        place.chmod(0o711)
        yield place


@contextmanager
def private_place() -> Iterator[Path]:
    """A directory that only we can enter."""
    place = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir="/tmp"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def appears(true: Callable[[], object], *, within_s: float = 15.0) -> None:
    """Wait until `true()`; fails when it stays false."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def gone(process: psutil.Process, *, within_s: float = 15.0) -> None:
    """Wait until the process runs no more; a zombie that nobody collects counts as gone."""
    appears(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, within_s=within_s)


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """Someone who is not root, and a Python with our packages that they can run."""

    account: Account
    python: str
    environment: Mapping[str, str]

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start that Python with these arguments; its standard output is a pipe."""
        return subprocess.Popen(
            [self.python, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=self.environment,
            user=self.account.user_id,
            group=self.account.group_id,
            extra_groups=[],
        )


@contextmanager
def an_ordinary_user() -> Iterator[OrdinaryUser]:
    """The unprivileged user, with this Python, or a copy of it where root's own is closed to others."""
    account = account_for_servers()
    assert account is not None
    packages = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    if account.runs([sys.executable, "-c", "import tocsin"]):
        yield OrdinaryUser(account, sys.executable, packages)
        return
    with open_place() as place:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        base = Path(sys.base_prefix)
        (place / "lib").mkdir(mode=0o755)
        for library in base.glob("lib/libpython*"):
            shutil.copy(library, place / "lib")
        left_out = shutil.ignore_patterns("site-packages", "test", "config-*", "idlelib", "tkinter", "ensurepip")
        shutil.copytree(base / "lib" / version, place / "lib" / version, ignore=left_out)
        shutil.copy(base / "bin" / version, place / version)
        copied = {"PYTHONHOME": str(place), "LD_LIBRARY_PATH": str(place / "lib")}
        yield OrdinaryUser(account, str(place / version), packages | copied)
