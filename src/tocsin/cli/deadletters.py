"""Records that a vendor refused for good: look at why, and try again once the reason is gone."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli._terminal import actor, echo_json, screen

SECTION = "operate"
_DESTINATION = click.option("--destination", default="", help="Only those of this destination.")
_REASON = click.option("--reason", default="", help="Only those that were given up for this reason.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def deadletters() -> None:
    """List, retry and drop records that could not be delivered."""


@deadletters.command("list")
@_DESTINATION
@_REASON
@_JSON
def list_(*, destination: str, reason: str, as_json: bool) -> None:
    """List records that were given up, with the vendor's words."""
    from tocsin.cli._connected import connected
    from tocsin.decide.redact import clean
    from tocsin.store.mending import dead_records

    with connected() as app:
        found = dead_records(app.database, destination, reason)
    if as_json:
        echo_json({"deadletters": found})
        return
    if not found:
        screen().print("Every record is delivered or under way.", style="green")
        return
    table = Table("incident", "destination", "record", "since", "tries", "why", "title", box=None)
    for row in found:
        why = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
        since = f"{row['changed_at']:%Y-%m-%d %H:%M:%SZ}"
        cells = (row["incident"], row["destination"], row["number"], since, str(row["attempts"]), why, row["title"])
        table.add_row(*(Text(clean(cell, 200)) for cell in cells))
    screen().print(table)


@deadletters.command()
@_DESTINATION
@_REASON
@_JSON
def replay(*, destination: str, reason: str, as_json: bool) -> None:
    """Try the records that were given up again; the beat sends them within seconds."""
    from tocsin.cli._connected import connected
    from tocsin.store.mending import revive_records

    with connected() as app:
        revived = revive_records(app.database, destination, reason, actor=actor())
    if as_json:
        echo_json({"revived": revived})
    else:
        screen().print(f"{revived} records are tried again", style="green" if revived else "")


@deadletters.command()
@_DESTINATION
@_REASON
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def drop(*, destination: str, reason: str, yes: bool, as_json: bool) -> None:
    """Give records up for good: their incidents go on without them, until they fire again."""
    from tocsin.cli._connected import connected
    from tocsin.store.mending import dead_records, drop_records

    with connected() as app:
        found = len(dead_records(app.database, destination, reason))
        if found and not yes:
            click.confirm(f"Drop {found} records that could not be delivered?", abort=True, err=True)
        dropped = drop_records(app.database, destination, reason, actor=actor())
    if as_json:
        echo_json({"dropped": dropped})
    else:
        screen().print(f"{dropped} records are dropped", style="yellow" if dropped else "")
