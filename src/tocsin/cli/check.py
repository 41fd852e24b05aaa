"""Are the mappings right? `tocsin check` names every mistake with its file, line and remedy."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from tocsin.config.marks import Finding

SECTION = "decide"


@click.command()
@click.argument(
    "directory", type=click.Path(path_type=Path), envvar="TOCSIN_MAPPINGS_DIR", default=Path("mappings"), required=False
)
@click.option("--secrets", is_flag=True, help="A secret that is not set here is an error, as it is at a start.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(directory: Path, secrets: bool, as_json: bool) -> None:
    """Check the mappings in DIRECTORY (default: $TOCSIN_MAPPINGS_DIR or ./mappings).

    Exit status: 0 nothing worse than a warning, 1 errors, 2 the directory cannot be read.
    """
    from tocsin.config.findings import check as look_through
    from tocsin.config.mappings import examined, texts

    mappings, found = examined(texts(directory), env=os.environ, root=directory, secrets_optional=not secrets)
    if not found:
        found = look_through(mappings)
    errors = sum(finding.level == "error" for finding in found)
    if as_json:
        click.echo(orjson.dumps({"errors": errors, "findings": [asdict(f) for f in found]}))
    else:
        _print([f for f in found if f not in mappings.missing_secrets], errors, directory)
        _print_missing(len(mappings.missing_secrets))
    raise SystemExit(1 if errors else 0)


def _print(found: list[Finding], errors: int, directory: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        colour = "red" if finding.level == "error" else "yellow"
        place = f"{finding.where}: {finding.field}" if finding.field else finding.where
        console.print(f"[{colour}]{finding.level}[/] [bold]{escape(place)}[/]: {escape(finding.message)}")
        if finding.remedy:
            console.print(f"      [dim]→ {escape(finding.remedy)}[/]")
    warnings = len(found) - errors
    if errors:
        console.print(f"[red]{directory}: {errors} to mend[/], {warnings} to look at")
    else:
        console.print(f"[green]{directory} is good[/]" + (f", {warnings} to look at" if warnings else ""))


def _print_missing(count: int) -> None:
    if count:
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"[dim]{count} secrets are not set here; `tocsin check --secrets` names them[/]")
