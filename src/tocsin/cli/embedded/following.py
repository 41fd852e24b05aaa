"""Do the mapping files on disk differ from what was applied last?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tocsin.domain.errors import BadMapping, Unavailable

Stamp = frozenset[tuple[str, int, int]]
SUFFIXES = {".yaml", ".yml"}


class Follower:
    """Applies a directory when it changed; a bad one keeps the old version and is said once."""

    def __init__(
        self, directory: Path, *, apply: Callable[[Path], int], say: Callable[[str], None], every_s: float = 2.0
    ) -> None:
        self._directory = directory
        self._apply = apply
        self._say = say
        self._every_s = every_s
        self._look_at = 0.0
        self._seen: Stamp | None = None

    def look(self, *, now: float) -> None:
        """Look again when it is time; `now` is on a monotonic clock, in seconds."""
        if now < self._look_at:
            return
        self._look_at = now + self._every_s
        stamp = stamp_of(self._directory)
        if stamp == self._seen:
            return
        try:
            version = self._apply(self._directory)
        except BadMapping as error:
            self._say(f"these mappings are not applied; the version before stays:\n{error}")
        except Unavailable as error:
            self._say(f"the mappings could not be applied yet: {error}")
            return  # the next look tries again
        else:
            self._say(f"mappings of {self._directory} are applied as version {version}")
        self._seen = stamp


def stamp_of(directory: Path) -> Stamp:
    """Name, time and size of each mapping file; it differs when an edit was saved."""
    found = set()
    for path in directory.rglob("*"):
        if path.suffix in SUFFIXES and path.is_file():
            status = path.stat()
            found.add((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)
