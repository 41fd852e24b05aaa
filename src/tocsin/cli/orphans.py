"""What do senders speak of that the mappings do not know? Each with the nearest name there, to make an alias of it."""

from __future__ import annotations

from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli._terminal import echo_json, screen

if TYPE_CHECKING:
    from tocsin.domain.catalog import Catalog
    from tocsin.domain.subject import Subject

SECTION = "decide"


@click.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3660), help="How far to look back.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def orphans(*, days: int, as_json: bool) -> None:
    """List subjects of alerts and changes that the active mappings have no entry for, the latest first.

    They are not lost: patterns own and route them. But nothing is known of what they rest on or hit."""
    from tocsin.cli._connected import connected
    from tocsin.decide.redact import clean
    from tocsin.store.orphans import spoken_of, unknown

    with connected() as app:
        catalog = app.active().mappings.catalog
        spoken = spoken_of(app.database, within=timedelta(days=days))
    found = [
        (one, catalog.owner(one.subject), nearest(one.subject, catalog)) for one in unknown(spoken, catalog.entries)
    ]
    if as_json:
        told = [
            {
                "subject": one.subject,
                "alerts": one.alerts,
                "changes": one.changes,
                "sources": one.sources,
                "last_at": one.last_at,
                "owner": owner.team if owner else "",
                "nearest": near,
            }
            for one, owner, near in found
        ]
        echo_json({"orphans": told, "known": len(spoken) - len(told)})
        return
    if not found:
        screen().print(f"All {len(spoken)} subjects of the last {days} days are in the catalogue.", style="green")
        return
    table = Table("subject", "alerts", "changes", "from", "last", "owned by", "nearest entry", box=None)
    for one, owner, near in found:
        cells = (
            one.subject,
            str(one.alerts),
            str(one.changes),
            ", ".join(one.sources),
            f"{one.last_at:%Y-%m-%d %H:%MZ}",
        )
        table.add_row(*(Text(clean(cell, 120)) for cell in (*cells, owner.team if owner else "nobody", near)))
    screen().print(table)
    screen().print(
        f"{len(found)} of {len(spoken)} subjects have no entry: add one, or name it under `aliases:` of the nearest"
    )


def nearest(subject: Subject, catalog: Catalog) -> str:
    """The entry whose name or alias is most like this one's; empty when none is."""
    names = {name: entry for entry in sorted(catalog.entries) for name in (*catalog.entries[entry].aliases, entry.name)}
    near = get_close_matches(subject.name, names, n=1, cutoff=0.6)
    return str(names[near[0]]) if near else ""
