"""Messages that could not be understood: look at why, and send them through again once the mapping is mended."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli._terminal import actor, echo_json, screen

SECTION = "operate"
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def quarantine() -> None:
    """List and replay messages that could not be understood."""


@quarantine.command("list")
@click.option("--hook", default="", help="Only what came on this hook.")
@_JSON
def list_(*, hook: str, as_json: bool) -> None:
    """List what lies in quarantine, newest first, with why (the newest 100)."""
    from tocsin.cli._connected import connected
    from tocsin.decide.redact import clean
    from tocsin.store.reading import quarantined

    with connected() as app:
        found = [row for row in quarantined(app.database) if hook in ("", row["hook"])]
    if as_json:
        echo_json({"quarantine": found})
        return
    if not found:
        screen().print("Nothing is in quarantine.", style="green")
        return
    table = Table("received", "hook", "source", "why", "message", box=None)
    for row in found:
        place = f"{row['path']}: " if row["path"] else ""
        cells = (f"{row['received_at']:%Y-%m-%d %H:%M:%SZ}", row["hook"], row["source"], f"{place}{row['reason']}")
        table.add_row(*(Text(clean(cell, 200)) for cell in (*cells, str(row["message_id"]))))
    screen().print(table)


@quarantine.command()
@click.option("--hook", default="", help="Only what came on this hook.")
@_JSON
def replay(*, hook: str, as_json: bool) -> None:
    """Put quarantined messages back into the inbox: workers read them again under the active mappings."""
    from tocsin.cli._connected import connected
    from tocsin.store.mending import release

    with connected() as app:
        replayed, expired = release(app.database, hook, actor=actor())
    if as_json:
        echo_json({"replayed": replayed, "expired": expired})
        return
    screen().print(f"{replayed} messages are read again", style="green" if replayed else "")
    if expired:
        screen().print(f"{expired} stay: their bodies have expired (policies.retention.raw)", style="yellow")
