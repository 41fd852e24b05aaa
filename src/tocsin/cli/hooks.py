"""Addresses that monitors post to: open one and see what to paste into the sender, or list them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console
from rich.table import Table

from tocsin.cli._terminal import MAPPINGS

if TYPE_CHECKING:
    from tocsin.domain.message import Source

SECTION = "first hour"
WIDTH = 160
"""Columns of a table that goes into a file or pipe."""

_URL = click.option("--url", help="Address under which senders reach Tocsin; default: TOCSIN_PUBLIC_URL.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def hooks() -> None:
    """Open and list the addresses that monitors post to."""


@hooks.command()
@click.argument("source")
@click.option("--environment", default="production", show_default=True, help="Environment of all that arrives there.")
@click.option("--name", help="Name in the address; default: the source's name.")
@MAPPINGS
@_URL
@_JSON
def add(*, source: str, environment: str, name: str | None, directory: Path, url: str | None, as_json: bool) -> None:
    """Open an address for SOURCE: writes hooks/NAME.yaml and secrets/NAME, prints what to paste into the sender."""
    from tocsin import sources
    from tocsin.config import secret

    found = sources.find(source)
    if found.bind is not None:
        raise click.UsageError(
            "its messages are read as you declare; `tocsin sources new NAME --sample payload.json` drafts it"
        )
    name = name or _default_name(found.name, environment)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise click.UsageError(f"--name {name}: use at most 64 of a-z, 0-9, dot, dash and underscore")
    path = directory / "hooks" / f"{name}.yaml"
    _refuse_if_known(name, path, directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    value = secret.make(directory, name)
    path.write_text(_hook_file(name, found.name, environment), encoding="utf-8")
    address = f"{_base(url)}/hooks/{name}"
    if as_json:
        answer = {"name": name, "source": found.name, "url": address, "secret": value, "file": str(path)}
        click.echo(orjson.dumps(answer | {"setup": _filled(found, address, value)}))
        return
    click.echo(f"Hook     {name} ({found.title}, {environment}), written to {path}")
    click.echo(f"URL      {address}\nSecret   {value}\n")
    click.echo(_filled(found, address, value))


@hooks.command("list")
@MAPPINGS
@_URL
@_JSON
def list_(directory: Path, url: str | None, as_json: bool) -> None:
    """List the addresses that the mappings open."""
    from tocsin.config.mappings import load

    known = load(directory, env=os.environ, secrets_optional=True).hooks.values()
    base = _base(url)
    rows = [
        {
            "name": hook.name,
            "source": hook.source,
            "environment": hook.environment,
            "url": f"{base}/hooks/{hook.name}",
            "verified": "nobody" if hook.unverified else "yes" if hook.secrets else "secret not set here",
            "origin": hook.origin,
        }
        for hook in known
    ]
    if as_json:
        click.echo(orjson.dumps({"hooks": rows}))
        return
    table = Table("name", "source", "environment", "url", "verified", "file", box=None)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*row.values())
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)


def _default_name(source: str, environment: str) -> str:
    name = source.replace("_", "-")
    return name if environment == "production" else f"{name}-{environment}"


def _base(url: str | None) -> str:
    from tocsin.config.settings import Settings

    return (url or Settings().public_url).rstrip("/")


def _filled(source: Source, address: str, secret: str) -> str:
    """The snippet with its two blanks filled."""
    return source.setup.format(url=address, secret=secret)


def _refuse_if_known(name: str, path: Path, directory: Path) -> None:
    """A hook that stands already is never overwritten: its sender would be locked out."""
    from tocsin.config.mappings import load
    from tocsin.domain.errors import BadMapping

    if path.exists():
        raise BadMapping([f"{path}: is there already; choose another name with --name"])
    if not directory.is_dir():
        raise BadMapping([f"{directory}: is not a directory; run `tocsin init {directory}` first"])
    known = load(directory, env=os.environ, secrets_optional=True).hooks
    if name in known:
        raise BadMapping([f"{known[name].origin}: hooks.{name}: is there already; choose another name with --name"])


def _hook_file(name: str, source: str, environment: str) -> str:
    return (
        "# yaml-language-server: $schema=../schema/tocsin.schema.json\n"
        "hooks:\n"
        f"  {orjson.dumps(name).decode()}:\n"
        f"    source: {source}\n"
        f"    environment: {orjson.dumps(environment).decode()}\n"
        f"    secret: {{file: {orjson.dumps(f'secrets/{name}').decode()}}}\n"
    )
