"""What is going on? All incidents, or one with its ticket, likely causes, alerts, records and story."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli._terminal import echo_json, number_of, screen
from tocsin.domain.errors import BadSetting

if TYPE_CHECKING:
    from rich.console import Console

    from tocsin.domain.incident import Incident

SECTION = "operate"
OUTCOME_STYLES = {"page": "red", "ticket": "yellow"}


@click.command()
@click.argument("display", metavar="[TOC-n]", required=False)
@click.option("--state", type=click.Choice(["open", "resolved"]), help="Only these.")
@click.option("--environment", default="", help="Only this environment.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="The newest this many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def incidents(*, display: str | None, state: str | None, environment: str, limit: int, as_json: bool) -> None:
    """List incidents, newest first; with TOC-n show one whole: ticket, likely causes, alerts, records, story."""
    from tocsin.cli._connected import connected
    from tocsin.domain.incident import Incident
    from tocsin.store import reading

    with connected() as app:
        if display is None:
            found = reading.incident_list(app.database, state=state or "", environment=environment, limit=limit)
            _list(found, as_json=as_json)
            return
        number = number_of(display)
        incident = reading.incident(app.database, number)
        if incident is None:
            raise BadSetting(f"there is no incident TOC-{number}; `tocsin incidents` lists them")
        story = reading.incident_story(app.database, number)
    if as_json:
        fields = {name: getattr(incident, name) for name in Incident.__slots__}
        echo_json({"incident": {"display": incident.display, **fields}} | story)
    else:
        _show(incident, story)


def _list(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        echo_json({"incidents": found})
        return
    from tocsin.decide.redact import clean

    console = screen()
    if not found:
        console.print("No incidents.", style="green")
        return
    table = Table("incident", "state", "what", "team", "likely cause", "records", "title", box=None)
    for row in found:
        held = row["gate"] not in (None, "active") and row["state"] == "open"
        what = f"{row['gate']}: {row['gate_reason']}" if held else row["want"] or "not decided"
        cause = f"{row['likely_change']} {row['probability']:.0%}" if row["likely_change"] else ""
        records = ", ".join(r["number"] or f"{r['destination']} {r['state']}" for r in row["records"])
        cells = (row["display"], row["state"], what, row["team"] or "", cause, records, row["title"])
        style = OUTCOME_STYLES.get(what, "") if row["state"] == "open" else "dim"
        table.add_row(*(Text(clean(cell, 120)) for cell in cells), style=style)
    console.print(table)


def _show(incident: Incident, story: dict[str, list[dict[str, Any]]]) -> None:
    console = screen()
    _ticket(console, incident, story["records"])
    _causes(console, incident)
    _alerts(console, incident)
    _records(console, story)
    _story(console, incident.number, story)


def _ticket(console: Console, incident: Incident, records: list[dict[str, Any]]) -> None:
    console.print(f"{incident.display}  {incident.state}, {incident.environment}, {incident.severity}", style="bold")
    if records:
        newest = max(records, key=lambda r: r["generation"])["wanted"]
        console.print(f"{newest['title']}\n\n{newest['body']}")
    elif incident.gate is not None:
        console.print(f"No ticket: {incident.gate.because or incident.gate.reason.replace('_', ' ')}")


def _causes(console: Console, incident: Incident) -> None:
    if incident.confirmed_change:
        told = {"none": "none of the changes below"}.get(incident.confirmed_change, incident.confirmed_change)
        _heading(console, f"Confirmed cause: {told}")
    if incident.attribution is None:
        return
    _heading(console, "Likely causes")
    for suspect in incident.attribution.suspects:
        change = suspect.change
        words = f"{change.kind} {change.subject} {change.version}"
        _row(console, f"{suspect.probability:5.0%}", f"{words}, {_clock(change.occurred_at)}  ({change.id})")
    _row(console, f"{incident.attribution.no_change:5.0%}", "no known change")


def _alerts(console: Console, incident: Incident) -> None:
    _heading(console, f"Alerts ({len(incident.firing)} of {len(incident.members)} firing)")
    for member in incident.members:
        alert = member.alert
        span = f"{_clock(member.starts_at)} to {_clock(member.ends_at) if member.ends_at else 'now'}"
        _row(console, f"{member.status:<8}", f"{alert.name} on {alert.subject}, {alert.severity}, {span}")


def _records(console: Console, story: dict[str, list[dict[str, Any]]]) -> None:
    if not story["records"]:
        return
    _heading(console, "Records")
    for record in story["records"]:
        name = f"{record['destination']}/{record['generation']}"
        trouble = f": {record['last_reason']} {record['last_detail']}" if record["state"] in ("dead", "pending") else ""
        where = f"{record['number']} {record['url']}".strip()
        _row(console, name, f"{record['state']}, {record['wanted']['status']} {where}{trouble}")
        for warning in record["warnings"]:
            _row(console, "", f"set-up: {warning}")


def _story(console: Console, number: int, story: dict[str, list[dict[str, Any]]]) -> None:
    from tocsin.cli.tail import words

    _heading(console, "Story")
    told = [(line["at"], words({"number": number, **line})) for line in story["audit"]]
    told += [(note["created_at"], f"note to {note['destination']}: {note['text']}") for note in story["notes"]]
    for at, said in sorted(told, key=lambda found: found[0]):
        _row(console, _clock(at), said)


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _heading(console: Console, text: str) -> None:
    console.print(Text(f"\n{text}", style="bold"))


def _row(console: Console, first: str, rest: str) -> None:
    from tocsin.decide.redact import clean

    console.print(Text(f"  {clean(first, 40)}  ", style="dim") + Text(clean(rest, 300)))
