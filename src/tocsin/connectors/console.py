"""Shows the ticket that a vendor would get: on the terminal, or appended to a file. The quickstart's destination."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import StringIO
from pathlib import Path

from pydantic import Field
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tocsin.connectors._connector import Connector, Options, done, rejected
from tocsin.connectors._http import Http
from tocsin.domain.record import Confirmation, Outcome, Reason, Task, Wanted
from tocsin.domain.seen import Finding, Grade, Inspection

WIDTH = 100
_COLOUR = {"critical": "red", "error": "red", "warning": "yellow", "info": "blue"}
_LEVEL = {1: "high", 2: "medium", 3: "low"}


class Config(Options):
    """Where the tickets are shown."""

    path: Path | None = Field(default=None, description="Append to this file instead of printing to standard output.")


def render(config: Config, wanted: Wanted) -> Mapping[str, object]:
    """The ticket's lines, top to bottom: what stands in the panel."""
    facts = {
        "Status": wanted.status,
        "Team": wanted.team,
        "Severity": str(wanted.severity),
        "Impact / urgency": f"{_LEVEL.get(wanted.impact, '?')} / {_LEVEL.get(wanted.urgency, '?')}",
        "Environment": wanted.environment,
        "Category": wanted.category,
        "CI": wanted.ci,
        "Service": wanted.business_service,
        **{name.replace("_", " ").capitalize(): value for name, value in sorted(wanted.address.items())},
        "Previous": wanted.previous,
        "Closing notes": wanted.close_notes,
    }
    return {
        "heading": f"{wanted.display} {wanted.title}",
        "asks_for": str(wanted.want),
        "facts": {name: value for name, value in facts.items() if value},
        "body": wanted.body,
        "links": [f"{text}: {url}" for text, url in wanted.links],
    }


def bring(config: Config, task: Task, http: Http) -> Outcome:
    """Show the ticket and its new notes; a file never shows the same twice."""
    if task.wanted == task.sent_wanted and not task.notes:
        return done(_confirmation(config, task), result="duplicate")
    if config.path is None:
        _draw(Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH), config, task)
        return done(_confirmation(config, task))
    shown = StringIO()
    _draw(Console(file=shown, width=WIDTH, no_color=True), config, task)
    text = shown.getvalue()
    sign = f"[toc:{sha256(text.encode()).hexdigest()[:16]}]"
    try:
        if config.path.exists() and sign in config.path.read_text(encoding="utf-8", errors="replace"):
            return done(_confirmation(config, task), result="duplicate")
        with config.path.open("a", encoding="utf-8") as file:
            file.write(f"{text}{sign}\n\n")
    except OSError as error:
        return rejected(Reason.FORBIDDEN, f"{config.path}: {error.strerror}; give a path that can be written")
    return done(_confirmation(config, task))


def inspect(config: Config, inspection: Inspection, http: Http) -> Iterator[Finding]:
    """Can the file be appended to?"""
    if config.path is None:
        yield Finding(grade=Grade.OK, check="output", value="standard output")
        return
    place = config.path if config.path.exists() else config.path.absolute().parent
    if os.access(place, os.W_OK):
        yield Finding(grade=Grade.OK, check="output", value=str(config.path))
        return
    says, remedy = f"{place} cannot be written", "give a path that can be written, or create its directory"
    yield Finding(grade=Grade.ERROR, check="output", value=str(config.path), says=says, remedy=remedy)


def _confirmation(config: Config, task: Task) -> Confirmation:
    fields = {"status": task.wanted.status, "severity": str(task.wanted.severity)}
    return Confirmation(
        external_id=task.wanted.key,
        number=task.wanted.display,
        url=config.path.absolute().as_uri() if config.path else "",
        sent=fields,
        observed=fields,
        notes=tuple(note.id for note in task.notes),
    )


def _draw(console: Console, config: Config, task: Task) -> None:
    ticket = render(config, task.wanted)
    facts = Table.grid(padding=(0, 2))
    shown = ticket["facts"]
    assert isinstance(shown, dict)
    for name, value in shown.items():
        facts.add_row(Text(name, style="dim"), Text(value))
    parts: list[Text | Table] = [facts, Text(""), Text(task.wanted.body)]
    links = ticket["links"]
    if links:
        assert isinstance(links, list)
        parts += [Text(""), Text("\n".join(links))]
    for note in task.notes:
        parts += [Text(""), Text(f"Note: {note.text}", style="italic")]
    inside = Table.grid()
    for part in parts:
        inside.add_row(part)
    change = "new" if task.sent_wanted is None else "update"
    console.print(
        Panel(
            inside,
            title=Text(str(ticket["heading"]), style="bold"),
            subtitle=f"{ticket['asks_for']}, {task.wanted.status if task.wanted.status == 'resolved' else change}",
            border_style=_COLOUR.get(str(task.wanted.severity), "white"),
        )
    )


CONNECTOR = Connector(
    kind="console", title="Console", Config=Config, render=render, bring=bring, inspect=inspect, holds_ticket=False
)
