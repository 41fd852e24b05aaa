"""Take over a catalogue that is kept elsewhere: `tocsin catalog import csv|backstage PATH`."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from tocsin.cli._terminal import MAPPINGS

if TYPE_CHECKING:
    from tocsin.config.imports import Imported

SECTION = "operate"


@click.group()
def catalog() -> None:
    """Take over a catalogue that is kept elsewhere."""


@catalog.command("import")
@click.argument("kind", type=click.Choice(["csv", "backstage"]))
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--write", is_flag=True, help="Write the file; without it, only show what would change.")
@click.option("--name", help="Name of the written file, imported/NAME.yaml; default: the name of PATH.")
@MAPPINGS
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def import_(*, kind: str, path: Path, write: bool, name: str | None, directory: Path, as_json: bool) -> None:
    """Import a CSV file, or a Backstage catalog-info file or directory, into imported/NAME.yaml.

    CSV columns, in any order: kind and name; owner, depends_on, criticality, risk, business_service, ci, kpi,
    contract, runbook, description, aliases. What is written by hand elsewhere wins, field by field.
    """
    import orjson

    imported = _read(kind, path)
    target = directory / "imported" / f"{name or path.stem}.yaml"
    text = imported.text(path.name)
    before = target.read_text(encoding="utf-8") if target.is_file() else ""
    unmatched = _checked(target, text, imported, directory)
    if write and text != before:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    diff = list(unified_diff(before.splitlines(), text.splitlines(), "before", "after", lineterm="", n=1))
    if as_json:
        told = {"file": str(target), "entries": len(imported.origins), "changed": text != before, "written": write}
        click.echo(orjson.dumps(told | {"unmatched_owners": unmatched, "skipped": imported.skipped, "diff": diff}))
        return
    _print(imported, target, diff, unmatched, write)


def _read(kind: str, path: Path) -> Imported:
    from tocsin.config import imports
    from tocsin.domain.errors import BadMapping

    files = sorted(p for s in ("*.yaml", "*.yml") for p in path.rglob(s)) if path.is_dir() else [path]
    try:
        texts = {p.relative_to(path).as_posix() if path.is_dir() else p.name: p.read_text("utf-8") for p in files}
    except (OSError, UnicodeDecodeError) as error:
        raise BadMapping([f"{path}: cannot be read as UTF-8 text ({type(error).__name__})"]) from None
    if kind == "backstage":
        return imports.from_backstage(texts)
    if path.is_dir():
        raise BadMapping([f"{path}: is a directory; name the CSV file"])
    return imports.from_csv(texts[path.name], path.name)


def _checked(target: Path, text: str, imported: Imported, directory: Path) -> list[str]:
    """The owners that no team matches, once the tree with the new file is known to read well (else BadMapping)."""
    from tocsin.config.mappings import loads, texts

    files = texts(directory) if directory.is_dir() else {}
    files[target.relative_to(directory).as_posix()] = text
    teams = loads(files, env=os.environ, root=directory, secrets_optional=True).catalog.teams
    return sorted(imported.owners - set(teams))


def _print(imported: Imported, target: Path, diff: list[str], unmatched: list[str], write: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for line in diff[2:]:
        colour = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "default")
        console.print(f"[{colour}]{escape(line)}[/]")
    for skipped in imported.skipped:
        console.print(f"[yellow]skipped[/] {escape(skipped)}")
    if unmatched:
        console.print(f"[yellow]owners that no team matches:[/] {escape(', '.join(unmatched))}")
    if not diff:
        console.print(f"{target}: {len(imported.origins)} entries, nothing new")
    elif write:
        console.print(f"[green]{target}: {len(imported.origins)} entries written[/]")
    else:
        console.print(f"{target}: {len(imported.origins)} entries; nothing is written without --write")
