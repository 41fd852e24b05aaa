"""JSON Schemas of mapping files and native bodies, for editors and senders: print, write, or see whether stale."""

from __future__ import annotations

from pathlib import Path

import click

SECTION = "operate"
KEPT = Path("mappings/schema")


@click.command()
@click.argument("name", required=False)
@click.option("--check", "only_check", is_flag=True, help=f"Exit 1 when a schema in {KEPT} is stale.")
@click.option("--write", "target", type=click.Path(path_type=Path, file_okay=False), help="Write all into DIRECTORY.")
def schema(name: str | None, only_check: bool, target: Path | None) -> None:
    """Print a schema by NAME (tocsin, alert, change); without one, list them."""
    from tocsin.config import jsonschema

    if only_check:
        _check(jsonschema.stale(target or KEPT), target or KEPT)
    elif target:
        for file in jsonschema.write(target):
            click.echo(str(target / file))
    elif name:
        kept = jsonschema.texts()
        file = f"{name}.schema.json"
        if file not in kept:
            raise click.UsageError(f"no schema is named {name}; there are {', '.join(sorted(jsonschema.schemas()))}")
        click.echo(kept[file], nl=False)
    else:
        click.echo("\n".join(sorted(jsonschema.schemas())))


def _check(stale: list[str], directory: Path) -> None:
    if stale:
        names = ", ".join(stale)
        click.echo(f"{directory}: {names}: stale; run `tocsin schema --write {directory}`", err=True)
        raise SystemExit(1)
    click.echo(f"{directory}: fresh")
