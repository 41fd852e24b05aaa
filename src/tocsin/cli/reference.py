"""Reference pages made from the code: write them, or see whether they are stale."""

from __future__ import annotations

from pathlib import Path

import click

SECTION = "operate"
KEPT = Path("docs/reference")


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Exit 1 when a page is stale, naming it; write nothing.")
@click.option(
    "--write",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=KEPT,
    show_default=True,
    help="Write the pages into DIRECTORY; with --check, look there.",
)
def reference(only_check: bool, directory: Path) -> None:
    """Write the reference pages: settings, mapping keys, sources, connectors, metrics, reasons, commands, API.

    Run it where the repository is: examples of sources are taken from tests/sources.
    """
    from tocsin.cli import _reference

    if not only_check:
        for name in _reference.write(directory):
            click.echo(str(directory / name))
        return
    stale = _reference.stale(directory)
    if stale:
        click.echo(f"{directory}: {', '.join(stale)}: stale; run `tocsin reference --write {directory}`", err=True)
        raise SystemExit(1)
    click.echo(f"{directory}: fresh")
