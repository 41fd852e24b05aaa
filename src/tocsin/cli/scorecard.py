"""Which alert rules earn their keep, and which should their owners mend? One scorecard a rule, worst first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click
from rich.table import Table

from tocsin.cli._terminal import MOMENT, echo_json, screen
from tocsin.domain.scorecard import Scorecard

SECTION = "decide"


@click.command()
@click.option("--team", default="", help="Only rules about what this team owns.")
@click.option("--since", type=MOMENT, default="30d", show_default=True, help="Begin: a span back, or a time.")
@click.option("--environment", default="", help="Only this environment.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def scorecard(*, team: str, since: datetime, environment: str, as_json: bool) -> None:
    """Show for each alert rule what it led to: incidents that people acted on or not, whether the ticket named a first
    step, how often it came back at once, how long it lasts, what held it back; and what to mend first.

    precision: of its pages and tickets that are over or were acted on, the share that a person acknowledged, assigned
    or named the cause of. first step: the share whose ticket held a runbook, a likely cause or advice. flaps: the share
    of firings within 30 minutes of the end of the last."""
    from tocsin.cli._connected import connected
    from tocsin.store.scorecards import scorecards

    with connected() as app:
        catalog = app.active().mappings.catalog
        until = app.database.now()
        found = scorecards(app.database, catalog, since=since, until=until, environment=environment, team=team)
        teams = sorted(catalog.teams)
    if team and team not in teams:
        raise click.UsageError(f"there is no team {team}; known are {', '.join(teams) or 'none'}")
    if as_json:
        echo_json({"since": since, "until": until, "team": team, "rules": [plain(card) for card in found]})
    else:
        _show(found)


def plain(card: Scorecard) -> dict[str, Any]:
    """A scorecard as JSON: its counts, its shares (null: nothing to judge by), and the sentence."""
    counts = {name: getattr(card, name) for name in Scorecard.__slots__ if name != "median"}
    shares = {name: getattr(card, name) for name in ("precision", "actionability", "flap_rate")}
    lasts = card.median.total_seconds() if card.median is not None else None
    return counts | shares | {"median_duration_s": lasts, "mend": card.mend}


def _show(cards: list[Scorecard]) -> None:
    if not cards:
        screen().print("No alert fired.", style="green")
        return
    names = ("rule", "owner", "fired", "incidents", "precision", "first step", "flaps", "lasts", "held back", "mend")
    table = Table(*names, box=None)
    for card in cards:
        table.add_row(
            f"{card.name} ({card.source})",
            card.owner or "nobody",
            str(card.fired),
            str(card.incidents),
            _share(card.precision),
            _share(card.actionability),
            _share(card.flap_rate),
            _span(card.median),
            ", ".join(f"{reason.replace('_', ' ')} {n}" for reason, n in card.muted.items()),
            card.mend,
            style="yellow" if card.wasted else "",
        )
    screen().print(table)


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _span(span: timedelta | None) -> str:
    if span is None:
        return ""
    minutes = span.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
