"""The installation that an operator's command works on: the one that the environment names, or the running one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import ProgrammingError

from tocsin.bootstrap import Active, App
from tocsin.config.mappings import loads, texts
from tocsin.config.settings import Settings
from tocsin.decide.redact import Redactor
from tocsin.domain.errors import BadSetting
from tocsin.store import destinations, mappings

_UNDEFINED_TABLE = "42P01"
"""SQLSTATE, PostgreSQL appendix A."""


class LookingApp(App):
    """An App for looking and deciding for show: a secret that is not set here is no reason to stop."""

    def _loaded(self, version: int) -> Active:
        files = mappings.stored(self.database, version).files if version else texts(self.mappings_dir)
        loaded = loads(files, env=self.env, root=self.mappings_dir, secrets_optional=True)
        return Active(version=version, mappings=loaded, redactor=Redactor(loaded.policy.redaction))


@contextmanager
def connected(*settings: str) -> Iterator[App]:
    """The installation that TOCSIN_DATABASE_URL names, or that a running `tocsin up` announced (main has joined it).
    `settings` are needed besides the database. Raises BadSetting when one is missing or the database has no schema."""
    app = LookingApp(Settings().require("database_url", *settings), pool_size=2)
    try:
        yield app
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != _UNDEFINED_TABLE:
            raise
        raise BadSetting("this database has no schema yet: run `tocsin db upgrade`") from error
    finally:
        app.database.close()


def known_destination(app: App, name: str) -> None:
    """Raises BadSetting for a destination that neither the mappings nor any record knows."""
    known = {standing.name for standing in destinations.standings(app.database)} | set(
        app.active().mappings.destinations
    )
    if name not in known:
        raise BadSetting(f"there is no destination {name}; known are {', '.join(sorted(known)) or 'none'}")
