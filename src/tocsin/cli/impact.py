"""What does a missing thing hit, and whom? `tocsin impact feature:age` walks downstream, by hops."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click
import orjson
from rich.console import Console
from rich.table import Table

from tocsin.cli._terminal import MAPPINGS

if TYPE_CHECKING:
    from tocsin.domain.catalog import Catalog
    from tocsin.domain.subject import Subject

SECTION = "decide"
WIDTH = 160
"""Columns of a table that goes into a file or pipe."""
NOT_MAPPED = "impact not mapped"


@click.command()
@click.argument("subject")
@MAPPINGS
@click.option("--environment", default="production", show_default=True, help="Whose runs have told lineage.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def impact(subject: str, directory: Path, environment: str, as_json: bool) -> None:
    """Show which models, services and business services are hit when SUBJECT (kind:name) is missing or wrong.

    Lineage that runs have told the installation counts too, and is marked; without an installation that answers, what
    the mappings say is all there is."""
    from tocsin.config.mappings import load
    from tocsin.domain.errors import BadMapping
    from tocsin.domain.subject import Subject

    catalog = _with_learned(load(directory, env=os.environ, secrets_optional=True).catalog, environment)
    known = catalog.resolve(Subject(subject if ":" in subject else f"unknown:{subject}"))
    if known not in catalog.entries and not (catalog.learned and catalog.knows(known)):
        raise BadMapping([f"the catalogue has no {subject}; {_near(subject, catalog)}"])
    rows = rows_of(known, catalog)
    services = sorted({row["business_service"] for row in rows if row["business_service"]})
    if as_json:
        owner = catalog.owner(known)
        told = {"subject": known, "owner": owner.team if owner else "", "business_services": services, "hit": rows}
        click.echo(orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS))
    else:
        _print(known, rows, services, catalog)


class Hit(TypedDict):
    """One thing that a fault reaches."""

    subject: str
    hops: int
    owner: str
    criticality: str
    impact: str
    business_service: str
    path: list[str]
    learned: list[tuple[Subject, Subject]]
    """The steps of the path, (upstream, downstream), that runs told and no mapping says."""


def _with_learned(catalog: Catalog, environment: str) -> Catalog:
    from tocsin.cli._connected import connected
    from tocsin.domain.errors import BadSetting, Unavailable

    try:
        with connected() as app:
            return app.lineage.of(environment, catalog, app.database.now())
    except (BadSetting, Unavailable):
        return catalog


def rows_of(subject: Subject, catalog: Catalog) -> list[Hit]:
    """What a fault of the subject reaches, nearest first; `impact` comes from kpi and contract only."""
    from tocsin.domain.catalog import Entry

    rows: list[Hit] = []
    for below, hops in catalog.downstream(subject).items():
        entry, owner = catalog.entries.get(below, Entry(subject=below)), catalog.owner(below)
        path = catalog.path(subject, below)
        rows.append(
            {
                "subject": str(below),
                "hops": hops,
                "owner": owner.team if owner else catalog.catch_all,
                "criticality": str(entry.criticality) if below in catalog.entries else "",
                "impact": "; ".join(said for said in (entry.kpi, entry.contract) if said) or NOT_MAPPED,
                "business_service": entry.business_service,
                "path": list(path),
                "learned": catalog.learned_on(path),
            }
        )
    return rows


def _near(subject: str, catalog: Catalog) -> str:
    from tocsin.config.shape import did_you_mean

    hint = did_you_mean(subject, [str(known) for known in catalog.entries])
    return hint if hint.startswith("did") else "write it as kind:name, such as feature:age_days"


def _print(subject: Subject, rows: list[Hit], services: list[str], catalog: Catalog) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    owner = catalog.owner(subject)
    console.print(f"[bold]{subject}[/], owned by {owner.team if owner else 'nobody'}")
    if not rows:
        console.print("Nothing in the catalogue rests on it.")
        return
    shown = [row for row in rows if row["subject"].startswith(("model:", "service:"))]
    learned = any(row["learned"] for row in shown)
    known = ["known from"] if learned else []
    table = Table("affected", "hops", "owner", "criticality", "impact", "business service", *known, box=None)
    for column in table.columns:
        column.overflow = "fold"
    for row in shown:
        words = [row["owner"], row["criticality"], row["impact"], row["business_service"]]
        if learned:
            words.append("runs" if row["learned"] else "mappings")
        table.add_row(row["subject"], str(row["hops"]), *words)
    console.print(table)
    if len(rows) > len(shown):
        console.print(f"{len(rows) - len(shown)} more in between; --json lists them, each with its path")
    console.print(f"Business services: {', '.join(services) or 'none mapped'}")
