"""Stop sending to a destination for a while; everything is kept."""

from __future__ import annotations

import click

from tocsin.cli._terminal import actor, echo_json, screen

SECTION = "operate"


@click.command()
@click.argument("destination")
@click.option("--why", default="", help="The reason, for those who find it paused.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def pause(*, destination: str, why: str, as_json: bool) -> None:
    """Send nothing to DESTINATION until `tocsin resume`; what is under way ends within a minute.

    Incidents go on being decided. What is wanted then goes out once, however often it changed meanwhile.
    """
    from tocsin.cli._connected import connected, known_destination
    from tocsin.store import destinations

    with connected() as app:
        known_destination(app, destination)
        changed = destinations.pause(app.database, destination, actor=actor(), why=why[:500])
    if as_json:
        echo_json({"destination": destination, "paused": True, "changed": changed})
    else:
        words = "nothing is sent there until" if changed else "was paused already; end it with"
        screen().print(f"{destination}: {words} `tocsin resume {destination}`", style="yellow")
