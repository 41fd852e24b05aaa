"""How does the demo look on a terminal? Rich where there is one, plain lines where the output goes to a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tocsin.cli._demo.desks import Ticket
from tocsin.cli._demo.expected import Check
from tocsin.cli._demo.insight import Insight
from tocsin.decide.wording import counted

SHOWN_FIELDS = ("Group", "Project", "Service", "CI", "Category", "Severity", "Pages", "Type", "State")
TITLES = {"servicenow": "ServiceNow", "pagerduty": "PagerDuty", "jira": "Jira"}
PLAIN_WIDTH = 120
STORM = 50
"""So many webhooks deserve a bar."""


class Screen:
    """Where everything is printed."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = PLAIN_WIDTH

    def say(self, words: str, *, style: str = "") -> None:
        """One line of narration."""
        self.console.print(Text(words, style=style))

    def heading(self, words: str, story: str = "") -> None:
        """The title of an act, and its story in a sentence."""
        self.console.print()
        if self.console.is_terminal:
            self.console.rule(Text(words, style="bold"), align="left")
        else:
            self.say(f"== {words}")
        if story:
            self.say(story)

    @contextmanager
    def counting(self, words: str, total: int) -> Iterator[Progress]:
        """A bar for the storm; nothing where nobody looks."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, console=self.console, disable=not self.console.is_terminal or total < STORM
        ) as progress:
            progress.add_task(words, total=total)
            yield progress

    def ticket(self, ticket: Ticket) -> None:
        """The record as it stands at its desk."""
        title = f"{TITLES[ticket.desk]} {ticket.number}"
        parts = [
            Text(ticket.title, style="bold"),
            Text(fields_line(ticket), style="dim"),
            Text(ticket.body.rstrip()),
            *(Text(f"Work note  {note}", style="cyan") for note in ticket.notes),
        ]
        if self.console.is_terminal:
            self.console.print(Panel(Group(*parts), title=Text(title), title_align="left"))
            return
        self.say(f"-- {title}")
        for part in parts:
            self.console.print(part, soft_wrap=True)

    def comparison(self, insight: Insight) -> None:
        """What the simplest rule would have blamed, beside what Tocsin blames."""
        self.say(f"  Latest change before it: {insight.nearest} ({insight.nearest_lag} before)", style="yellow")
        self.say(f"  Tocsin blames:           {insight.blamed}", style="green")

    def checks(self, checks: Sequence[Check]) -> None:
        """Failed expectations one by one; those that hold as a count."""
        good = sum(check.holds for check in checks)
        if good:
            self.say(
                f"  ✓ {counted(good, 'expectation')} read from the desks hold{'s' if good == 1 else ''}", style="green"
            )
        for check in checks:
            if not check.holds:
                self.say(f"  ✗ {check.words}\n    found: {check.found[:1500]}", style="bold red")

    def muted(self, insights: Sequence[Insight]) -> None:
        """What nobody was told, and why."""
        self.heading("What was muted, and why")
        table = Table("Incident", "Affected item", "Alerts", "Why nothing was sent", box=None, pad_edge=False)
        for each in insights:
            table.add_row(each.display, each.head, str(each.alerts), each.muted)
        self.console.print(table)

    def links(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Where to click."""
        for words, url in pairs:
            self.console.print(Text(f"  {words:<12} {url}"), soft_wrap=True)


def fields_line(ticket: Ticket) -> str:
    """`Group Data Engineering · CI ingest-orders · … · Impact 2, Urgency 2 → Priority 3`."""
    shown = [f"{name} {ticket.fields[name]}" for name in SHOWN_FIELDS if ticket.fields.get(name)]
    if "Impact" in ticket.fields:
        level = f"Impact {ticket.fields['Impact']}, Urgency {ticket.fields['Urgency']}"
        shown.append(f"{level} → Priority {ticket.fields['Priority']}")
    return " · ".join(shown)


def proud_line(posted: int, tickets: Sequence[Ticket], muted: int) -> str:
    """`417 webhooks → 1 page, 5 tickets, 3 muted`."""
    pages = sum(ticket.desk == "pagerduty" for ticket in tickets)
    others = len(tickets) - pages
    return f"{posted} webhooks → {counted(pages, 'page')}, {counted(others, 'ticket')}, {muted} muted"
