"""Make a mappings directory the active version, once it is found good."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.cli._terminal import actor, echo_json, screen

SECTION = "operate"


@click.command()
@click.argument(
    "directory", type=click.Path(path_type=Path), envvar="TOCSIN_MAPPINGS_DIR", default=Path("mappings"), required=False
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def apply(directory: Path, as_json: bool) -> None:
    """Check DIRECTORY (default: $TOCSIN_MAPPINGS_DIR or ./mappings) and make it the active version of all replicas.

    Every secret that it names must be set here, as at a server's start. Exit status: 0 it is active, 1 it is refused
    and the version before stays, 2 it cannot be looked at.
    """
    from tocsin.cli._connected import connected
    from tocsin.cli.plan import drawn_up, show

    with connected() as app:
        found = drawn_up(app, directory, now=app.database.now())
        version = found.active_version if found.errors else app.apply(directory, actor=actor())
    if as_json:
        told = {"applied": not found.errors, "version": version, "before": found.active_version}
        echo_json(told | {"refused": found.refused, "findings": found.findings})
    else:
        console = screen()
        show(found, console)
        if not found.errors and not found.same:
            console.print(f"Version {version} is active.", style="green")
    raise SystemExit(1 if found.errors else 0)
