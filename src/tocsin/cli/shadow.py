"""What would a destination in shadow mode have been sent? For review beside today's process."""

from __future__ import annotations

from typing import Any

import click
import orjson
from rich.text import Text

from tocsin.cli._terminal import actor, echo_json, number_of, screen
from tocsin.domain.errors import BadSetting

SECTION = "operate"


@click.command()
@click.argument("destination", required=False, default="")
@click.option("--incident", default="", metavar="TOC-n", help="Only what this incident would have sent.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="The newest this many.")
@click.option("--adopt", is_flag=True, help="Have DESTINATION's open incidents go live; its mode must be live.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def shadow(*, destination: str, incident: str, limit: int, adopt: bool, as_json: bool) -> None:
    """Show every call that destinations in `mode: shadow` (or DESTINATION alone) would have got, with its text."""
    from tocsin.cli._connected import connected, known_destination
    from tocsin.domain.policy import Mode
    from tocsin.store import shadows

    number = number_of(incident) if incident else None
    with connected() as app:
        if destination:
            known_destination(app, destination)
        if adopt:
            if not destination:
                raise click.UsageError("--adopt needs the name of a destination")
            declared = app.active().mappings.destinations.get(destination)
            if declared is None or declared.mode is not Mode.LIVE:
                raise BadSetting(f"{destination} is not live: set its mode to live, `tocsin apply`, then adopt")
            _adopted(destination, shadows.adopt(app.database, destination, actor=actor()), as_json=as_json)
            return
        found = shadows.calls(app.database, destination, number=number, limit=limit)
    if as_json:
        echo_json({"calls": found})
    elif found:
        for call in found:
            _show(call)
    else:
        screen().print("Nothing was kept in shadow.", style="green")


def _adopted(destination: str, incidents: int, *, as_json: bool) -> None:
    if as_json:
        echo_json({"destination": destination, "adopted": incidents})
    else:
        screen().print(f"{destination}: {incidents} open incidents go live within seconds", style="green")


def _show(call: dict[str, Any]) -> None:
    from tocsin.decide.redact import clean

    console = screen()
    elsewhere = ", ".join(f"{one['destination']} {one['number']}" for one in call["elsewhere"])
    head = f"{call['at']:%Y-%m-%d %H:%M:%SZ}  {call['incident'] or 'storm'}  {call['destination']}  {call['call']}"
    console.print(Text(clean(head, 200), style="bold"))
    console.print(Text(clean(f"  {call['title']} ({call['team']}){f'; live: {elsewhere}' if elsewhere else ''}", 300)))
    for name, value in call["body"].items():
        lines = value.splitlines() if isinstance(value, str) else [orjson.dumps(value).decode()]
        console.print(Text(f"  {name}: ", style="dim") + Text(clean(lines[0] if lines else "", 300)))
        for line in lines[1:]:
            console.print(Text(f"    {clean(line, 300)}"))
    console.print()
