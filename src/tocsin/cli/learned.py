"""What has Tocsin learned, from confirmed causes and of lineage? Every number, and how to make it forget."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table

from tocsin.cli._terminal import actor, echo_json, screen

if TYPE_CHECKING:
    from tocsin.decide.guard import Record
    from tocsin.decide.lineage import Told

SECTION = "decide"


@click.command()
@click.option("--environment", default="production", show_default=True, help="Each learns for itself.")
@click.option("--lineage", "each_edge", is_flag=True, help="Show each edge of the learned lineage instead.")
@click.option(
    "--reset", "forget", is_flag=True, help="Forget it all: what was confirmed or told until now counts no more."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def learned(*, environment: str, each_edge: bool, forget: bool, as_json: bool) -> None:
    """Show what confirmed causes have taught the attribution: risks, lags, how far trouble spreads; and whether what
    was learned foresees them better than simple rules and the cold model do, for else these order the causes. And the
    lineage that pipeline runs have told by what they read and write; it counts from the next full hour on, as does its
    reset.

    Only a person's word teaches: `tocsin confirm`, the console, or the cause set in a ticket by somebody who is not us.
    It is counted from history each time, so that the same history teaches the same."""
    from tocsin.cli._connected import connected
    from tocsin.decide.lags import EDGES
    from tocsin.decide.pattern import FIRST_DECAYS, SPREADS, missing_edges
    from tocsin.store import lineage
    from tocsin.store.experience import read, reset

    with connected() as app:
        if forget:
            reset(app.database, actor=actor())
        catalog = app.active().mappings.catalog
        taught = read(app.database, environment, catalog)
        with app.database.glance() as connection:
            edges = lineage.told(connection, environment, app.database.now())
    found = taught.experience
    missing = missing_edges(catalog, found.spread, found.remembered)
    if as_json:
        told = {"experience": found, "background_per_day": found.background_per_day, "record": taught.record}
        ways = [{"job": edge.job, **asdict(edge)} for edge in edges]
        echo_json({"environment": environment, **told, "lineage": ways, "unlisted": missing})
        return
    if each_edge:
        _each(edges)
        return
    jobs = len({edge.job for edge in edges})
    screen().print(f"{len(edges)} edges of lineage learned from runs of {jobs} jobs; --lineage lists them")
    screen().print(
        f"{found.confirmed} incidents confirmed in {found.days:.0f} days, {found.unexplained:.0f} of them without a"
        f" known change; such an outage comes {found.background_per_day:.2f} times a day"
    )
    table = Table("kind", "caused", "harmless", "confirmed lags, minutes", box=None)
    for kind, record in found.kinds.items():
        bins = [f"{EDGES[at]:g}+: {n:g}" for at, n in enumerate(record.lags) if n]
        table.add_row(kind, f"{record.caused:g}", f"{record.harmless:g}", ", ".join(bins))
    screen().print(table)
    risky = [(subject, place) for subject, place in found.places.items() if place[0]]
    for subject, (caused, harmless) in sorted(risky, key=lambda item: -item[1][0])[:20]:
        screen().print(f"{subject}: {caused:g} of {caused + harmless:g} changes caused an incident")
    if found.spread:
        best = max(zip(found.spread, SPREADS, strict=True))[1]
        screen().print(
            f"trouble reaches a direct dependant with {best[0] * best[1]:.0%}, the subject itself {best[0]:.0%}"
        )
    if found.first:
        decay = max(zip(found.first, FIRST_DECAYS, strict=True))[1]
        screen().print(f"with each hop from the cause an item is {math.exp(-decay):.2f} times as likely to alert first")
    often = sorted(found.past.items(), key=lambda item: (-item[1].incidents, item[0]))
    for root, past in often[:20]:
        alerted = ", ".join(f"{subject} {times:g}" for subject, times in past.alerted.items())
        screen().print(f"{root} caused {past.incidents:g} incidents; alerted: {alerted}")
    for edge in [edge for edge in missing if edge.probability > 1 / 2][:20]:
        screen().print(edge.words)
    _record(taught.record)


def _each(edges: list[Told]) -> None:
    table = Table("upstream", "downstream", "told by", "first told", "last told on", "days", box=None)
    for edge in sorted(edges, key=lambda edge: (edge.job, edge.upstream, edge.downstream)):
        first, last = f"{edge.first_told_at:%Y-%m-%d %H:%M}", f"{edge.last_told_at:%Y-%m-%d}"
        table.add_row(edge.upstream, edge.downstream, edge.job, first, last, str(edge.days))
    screen().print(table)


def _record(record: Record) -> None:
    """How everybody has foreseen the confirmed causes, the best first."""
    from tocsin.decide.guard import ENOUGH, LEARNED

    if not record.compared:
        return
    title = f"{record.compared} confirmed causes, foreseen by"
    table = Table(title, "log loss", "stood first", "balance against the learned", box=None)
    for name in sorted(record.losses, key=lambda name: record.losses[name]):
        balance = f"{record.against[name]:+.1f}" if name in record.against else ""
        shown = f"{name}  (orders the causes)" if name == record.order else name
        table.add_row(shown, f"{record.losses[name]:.2f}", str(record.first[name]), balance)
    screen().print(table)
    by = record.calibration
    altered = f"p^{by.bold:.2f}, no change x {math.exp(by.none):.2f}" if by.in_use else "shown as they are"
    screen().print(f"probabilities: {altered}; setting them right would have gained {by.gain:.1f} log units")
    because = record.why or f"no balance has reached {ENOUGH:.1f}"
    screen().print(f"order: {record.order}; {because}" if record.order == LEARNED else record.why)
