"""Send to a paused destination again."""

from __future__ import annotations

import click

from tocsin.cli._terminal import actor, echo_json, screen

SECTION = "operate"


@click.command()
@click.argument("destination")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def resume(*, destination: str, as_json: bool) -> None:
    """Send to DESTINATION again: one record first, then ever more at once."""
    from tocsin.cli._connected import connected, known_destination
    from tocsin.store import destinations

    with connected() as app:
        known_destination(app, destination)
        changed = destinations.resume(app.database, destination, actor=actor())
        waiting = next((d["waiting"] for d in destinations.overview(app.database) if d["name"] == destination), 0)
    if as_json:
        echo_json({"destination": destination, "paused": False, "changed": changed, "waiting": waiting})
    else:
        words = f"{waiting} records go out now" if changed else "was not paused"
        screen().print(f"{destination}: {words}", style="green" if changed else "")
