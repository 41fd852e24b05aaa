"""Composition root: settings and the active mappings make an App; nothing below asks the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from uuid import UUID

from tocsin.config.mappings import Mappings, load, loads
from tocsin.config.marks import Level
from tocsin.config.settings import Settings
from tocsin.decide.redact import Redactor
from tocsin.domain.errors import BadMapping
from tocsin.store import Database, mappings
from tocsin.store.lineage import Lineage
from tocsin.store.sealed import Seal
from tocsin.store.wake import Waker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """The mappings that decide now, with the version that decisions are stamped with."""

    version: int
    mappings: Mappings
    redactor: Redactor
    """Kept with the version: it remembers what it has looked at."""


class App:
    """What every step needs: the database, the seal on raw bodies, the waker, the active mappings."""

    def __init__(self, settings: Settings, *, env: Mapping[str, str] | None = None, pool_size: int = 5) -> None:
        self.settings = settings
        self.env = dict(os.environ if env is None else env)
        self.database = Database(settings.database_url, pool_size=pool_size)
        self._active: Active | None = None
        self._unusable = -1

    @cached_property
    def seal(self) -> Seal:
        return Seal(
            [self.settings.data_key.get_secret_value(), *(k.get_secret_value() for k in self.settings.data_keys_old)]
        )

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage(self.database)

    @cached_property
    def waker(self) -> Waker:
        return Waker(self.settings.redis_url)

    @cached_property
    def installation_id(self) -> UUID:
        return self.database.installation_id()

    @property
    def mappings_dir(self) -> Path:
        return Path(self.settings.mappings_dir)

    def active(self) -> Active:
        """The active version, loaded anew only when it changed. Without any version the directory's files decide
        (version 0): a first start before `tocsin apply`. A version that cannot be loaded here (a secret is missing)
        leaves the one before, and says so; raises BadMapping when there is none before."""
        version = mappings.active_version(self.database)
        if self._active is None:
            self._active = self._loaded(version)
        elif version not in (self._active.version, self._unusable):
            try:
                self._active = self._loaded(version)
            except BadMapping as error:
                self._unusable = version
                log.error("mappings version %d cannot be used, %d stays: %s", version, self._active.version, error)
        return self._active

    def reread(self) -> None:
        """Load the version in use anew, because a secret may have changed; the present one stays when it cannot be."""
        if self._active is None:
            return
        try:
            self._active = self._loaded(self._active.version)
        except BadMapping as error:
            log.error("secrets of mappings version %d cannot be read anew: %s", self._active.version, error)

    def apply(self, directory: Path, *, actor: str) -> int:
        """Check, keep and activate the mappings of a directory; raises BadMapping and changes nothing when they
        are bad."""
        loaded = checked(directory, env=self.env)
        return mappings.activate(self.database, digest=loaded.digest, files=loaded.files, actor=actor)

    def _loaded(self, version: int) -> Active:
        if version == 0:
            loaded = load(self.mappings_dir, env=self.env)
        else:
            loaded = loads(mappings.stored(self.database, version).files, env=self.env, root=self.mappings_dir)
        return Active(version=version, mappings=loaded, redactor=Redactor(loaded.policy.redaction))


def checked(directory: Path, *, env: Mapping[str, str]) -> Mappings:
    """The mappings of a directory if they can be used: they load and `tocsin check` finds no error in them. Raises
    BadMapping with every finding otherwise."""
    from tocsin.config.findings import check  # noqa: PLC0415 checking imports every source and connector named

    loaded = load(directory, env=env)
    errors = [str(finding) for finding in check(loaded) if finding.level is Level.ERROR]
    if errors:
        raise BadMapping(errors)
    return loaded
