"""Real programs that send: where `make judges` put them, how they are run, and what was read in what they sent."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.company import SECRET
from tests.e2e.stack import TOCSIN, Stack, wait_until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0
"""A program's own limit, on a machine that does other things as well; on a quiet one each takes seconds."""


def program(sender: str, name: str = "python") -> Path:
    """A program of the sender's own environment, that `make judges` makes."""
    return ROOT / f".venv-{sender}" / "bin" / name


def needs(sender: str, name: str) -> list[pytest.MarkDecorator]:
    """The marks of a test that needs this program of this sender."""
    path = program(sender, name)
    absent = pytest.mark.skipif(not path.exists(), reason=f"there is no {path.relative_to(ROOT)} (make judges)")
    return [pytest.mark.e2e, pytest.mark.judge, absent]


def run(command: list[str | Path], directory: Path, *, status: int = 0, **environment: str) -> str:
    """Run the program to its end in this directory; answers what it printed. Fails when it ends otherwise."""
    sender = Path(command[0]).parent
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PATH": f"{sender}:{os.environ['PATH']}", **environment},
        timeout=PATIENCE_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def send(stack: Stack, source: str, *words: str | Path) -> None:
    """`tocsin send` as a pipeline's step runs it."""
    run(
        [*TOCSIN, "send", "--source", source, *words],
        stack.place,
        TOCSIN_HOOK_SECRET=SECRET,
        TOCSIN_PUBLIC_URL=stack.address.url,
    )


def lineage_transport(stack: Stack) -> str:
    """How an OpenLineage client is told where to post, as docs/reference/sources.md says it."""
    key = f'"auth": {{"type": "api_key", "apiKey": "{SECRET}"}}'
    return f'{{"type": "http", "url": "{stack.address.url}/hooks/lineage", "endpoint": "", {key}}}'


def await_pass(stack: Stack, hook: str, subject: str) -> None:
    """Wait until a first report about the subject is understood; fails unless everything in it passed."""
    wait_until(lambda: alerts_of(stack, hook, subject), 60, f"what {hook} says of {subject} is understood")
    wait_until(stack.is_idle, 60, "it is decided")
    assert firing(stack, hook, subject) == []


def alerts_of(stack: Stack, hook: str, subject: str = "%") -> list[Mapping[str, Any]]:
    """What the hook's alerts about the subject say, those that fire first."""
    found = stack.sql(
        "SELECT state->'alert' AS alert FROM alerts"
        " WHERE state->'alert'->>'hook' = :hook AND state->'alert'->>'subject' LIKE :subject",
        hook=hook,
        subject=subject,
    )
    return sorted((row["alert"] for row in found), key=lambda alert: (alert["status"], alert["subject"], alert["name"]))


def firing(stack: Stack, hook: str, subject: str = "%") -> list[Mapping[str, Any]]:
    """Those that fire."""
    return [alert for alert in alerts_of(stack, hook, subject) if alert["status"] == "firing"]


def ticket_about(stack: Stack, subject: str) -> dict[str, str]:
    """The one open or resolved ticket about it; fails when there are several."""
    [ticket] = [row for row in stack.servicenow() if subject in row["short_description"] + row["description"]]
    return ticket


def await_ticket(stack: Stack, subject: str) -> None:
    """Wait until a ticket about it stands open."""
    wait_until(lambda: (stack.ticket_of(subject) or {}).get("state") == "1", 60, f"a ticket about {subject} is open")


def await_end(stack: Stack, subject: str) -> None:
    """Wait until the ticket about it is resolved."""
    wait_until(lambda: ticket_about(stack, subject)["state"] == "6", 60, f"the ticket about {subject} ends")


def opened_after_s(alert: Mapping[str, Any], ticket: Mapping[str, str]) -> float:
    """Seconds from when the sender says that it failed until the ticket stood, which ServiceNow tells to the second."""
    created = datetime.fromisoformat(ticket["sys_created_on"]).replace(tzinfo=UTC)
    return max(0.0, (created - datetime.fromisoformat(alert["starts_at"])).total_seconds())


class Watch:
    """Seconds since something was there to be told."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
