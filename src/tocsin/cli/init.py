"""A first mappings tree that works: `tocsin init DIR`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

SECTION = "first hour"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write into a directory that holds something; files of the same name go.")
def init(directory: Path, force: bool) -> None:
    """Write a first mappings tree into DIRECTORY: a team, a service, a model, its data, routes, hooks, a console."""
    from tocsin.config import jsonschema, secret, starter
    from tocsin.domain.errors import BadMapping

    if directory.is_dir() and any(directory.iterdir()) and not force:
        raise BadMapping([f"{directory}: is not empty; choose another directory, or use --force"])
    for name, text in starter.tree().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    jsonschema.write(directory / "schema")
    for name in starter.SECRETS:
        secret.make(directory, name)
    _say_what_is_next(directory)


def _say_what_is_next(directory: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[green]A first mappings tree stands in {directory}.[/] Next:\n")
    for what, command in (
        ("read it; every file says what it is for", f"less {directory}/catalog.yaml"),
        ("check what you change", f"tocsin check {directory}"),
        ("open an address for a monitor", f"tocsin hooks add alertmanager --mappings {directory}"),
        ("start everything here", f"TOCSIN_MAPPINGS_DIR={directory} tocsin up"),
    ):
        console.print(f"  {command}\n    [dim]{what}[/]")
