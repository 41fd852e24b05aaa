"""Places and waits for tests that start processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

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

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start that Python with our packages and these arguments; its standard output is a pipe."""
        return subprocess.Popen(
            [self.python, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=_packages(),
            user=self.account.user_id,
            group=self.account.group_id,
            extra_groups=[],
        )


def ordinary_user() -> OrdinaryUser:
    """Skips the test when no Python of our version is open to others (root's own often is not)."""
    account = account_for_servers()
    assert account is not None
    probe = "import sys, tocsin.cli, psycopg; print(sys.version_info[:2])"
    for python in (sys.executable, "/usr/bin/python3"):
        user = OrdinaryUser(account, python)
        with suppress(PermissionError), user.popen("-c", probe) as asked:
            assert asked.stdout is not None
            if asked.stdout.read().strip() == str(sys.version_info[:2]):
                return user
    pytest.skip("no Python of this version is open to other users")


def _packages() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
