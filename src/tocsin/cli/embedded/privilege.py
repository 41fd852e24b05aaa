"""As whom does the database run when we are root, and what can that user reach?"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tocsin.domain.errors import BadSetting

UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A system user to run a server as."""

    name: str
    user_id: int
    group_id: int

    def can_enter(self, directory: Path) -> bool:
        """May this user walk the whole path into `directory`? Asked of the kernel, so that ACLs count too."""
        return self.runs(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)])

    def runs(self, command: list[str]) -> bool:
        """Does `command` start and succeed as this user?"""
        try:
            done = subprocess.run(
                command,
                user=self.user_id,
                group=self.group_id,
                extra_groups=[],
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except PermissionError:
            return False
        return done.returncode == 0


def account_for_servers() -> Account | None:
    """The unprivileged user that PostgreSQL, which refuses root, runs as; None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise BadSetting(
            f"running as root, and there is no user {UNPRIVILEGED!r} to run PostgreSQL as: "
            "start tocsin as an ordinary user"
        ) from None
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    if not account.runs(["/bin/sh", "-c", ":"]):
        raise BadSetting(
            f"running as root, but this container may not switch to user {UNPRIVILEGED!r} for PostgreSQL: "
            "start tocsin as an ordinary user"
        )
    return account
