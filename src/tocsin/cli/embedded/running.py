"""How do other commands find the installation that `tocsin up` runs? By a private file in its data directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tocsin.cli.embedded.keys import write_private
from tocsin.cli.embedded.lock import DirectoryLock

DEFAULT_DATA = Path("tocsin-data")
LOCK = "lock"
FILE = "running.env"


def announce(directory: Path, settings: Mapping[str, str]) -> None:
    """Say where the running installation's parts are; `directory` is the data directory, whose lock we hold."""
    write_private(directory / FILE, "".join(f"{name}={value}\n" for name, value in sorted(settings.items())))


def withdraw(directory: Path) -> None:
    """It runs no longer."""
    (directory / FILE).unlink(missing_ok=True)


def settings_of(directory: Path) -> dict[str, str]:
    """The TOCSIN_* settings of the installation running on `directory`; empty when none runs or we may not read it."""
    file = directory / FILE
    if not os.access(file, os.R_OK) or not DirectoryLock(directory / LOCK).is_held():
        return {}
    pairs = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in pairs}


def join(directory: Path | None = None) -> None:
    """Fill what the environment leaves unsaid from the installation running in TOCSIN_DATA_DIR, or ./tocsin-data."""
    if "TOCSIN_DATABASE_URL" in os.environ:
        return
    for name, value in settings_of(directory or Path(os.environ.get("TOCSIN_DATA_DIR", DEFAULT_DATA))).items():
        os.environ.setdefault(name, value)
