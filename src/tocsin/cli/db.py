"""Migrations by hand, for servers; `tocsin up` applies them by itself."""

from __future__ import annotations

import click

from tocsin.domain.errors import BadSetting, Unavailable

SECTION = "operate"


@click.group()
def db() -> None:
    """Look at or upgrade the database's schema (needs TOCSIN_DATABASE_URL)."""


@db.command()
def upgrade() -> None:
    """Apply what is missing; running processes of the release before keep working."""
    from tocsin.config.settings import Settings
    from tocsin.store import migrate

    migrate(Settings().require("database_url").database_url)
    click.echo("the schema is up to date")


@db.command()
def current() -> None:
    """Print the revision that the database is at."""
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.exc import OperationalError

    from tocsin.config.settings import Settings

    engine = create_engine(Settings().require("database_url").database_url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                raise BadSetting("this database has no schema yet: run `tocsin db upgrade`")
            click.echo(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    except OperationalError as error:
        raise Unavailable(f"PostgreSQL does not answer: {error.orig}. Check TOCSIN_DATABASE_URL") from error
    finally:
        engine.dispose()
