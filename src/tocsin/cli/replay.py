"""What would other mappings have made of the last day? The stored messages decided again, beside what happened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from rich.table import Table

from tocsin.cli._terminal import MOMENT, actor, echo_json, progress_screen, screen

if TYPE_CHECKING:
    from tocsin.bootstrap import App
    from tocsin.config.mappings import Mappings
    from tocsin.store import Database
    from tocsin.store.replaying import Period, Upshot

SECTION = "decide"
WARM_UP = timedelta(hours=8)
"""Messages this much older are replayed too, uncompared, so that what fired already is known: as long as an open
incident takes new alerts, and longer than senders' repeat intervals."""
AT_ONCE = 50
TICK = timedelta(seconds=1)


@click.command()
@click.option("--since", type=MOMENT, default="24h", show_default=True, help="Begin: a span back, or a time.")
@click.option("--until", type=MOMENT, help="End; default: now.")
@click.option(
    "--mappings",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Candidate mappings; default: the active version.",
)
@click.option("--environment", default="", help="Only this environment.")
@click.option("--html", "page_at", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as a page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(
    *,
    since: datetime,
    until: datetime | None,
    directory: Path | None,
    environment: str,
    page_at: Path | None,
    as_json: bool,
) -> None:
    """Decide a past period again, under the active or candidate mappings, and show what would have differed: pages,
    tickets, owners, likely causes, incident by incident and team by team.

    Runs the pipeline on the stored messages in a scratch database with their time; nothing is delivered, and the
    scratch database is dropped at the end. That raw messages are read is written to the audit trail.
    """
    from tocsin.cli._connected import connected
    from tocsin.cli._replay.page import page
    from tocsin.cli._replay.report import report
    from tocsin.store.replaying import Period

    with connected("data_key") as app:
        now = app.database.now()
        period = Period(warm_at=since - WARM_UP, since=since, until=until or now, environment=environment)
        if period.since >= period.until:
            raise click.UsageError(f"--since {since:%Y-%m-%dT%H:%M:%SZ} is not before the end")
        mappings = _candidate(app, directory)
        was = _upshots(app, period)
        messages, would_be = _decided_again(app, mappings, period, now=now, quiet=as_json)
    told = report(was, would_be, since=period.since)
    told = {
        "since": period.since,
        "until": period.until,
        "environment": environment,
        "mappings": str(directory) if directory else "active",
        "messages": messages,
        **told,
    }
    if page_at is not None:
        page_at.write_text(page(told), encoding="utf-8")
    if as_json:
        echo_json(told)
    else:
        _print(told)


def _candidate(app: App, directory: Path | None) -> Mappings:
    from tocsin.config.mappings import load

    return load(directory, env=os.environ, secrets_optional=True) if directory else app.active().mappings


def _upshots(app: App, period: Period) -> list[Upshot]:
    from tocsin.store.replaying import upshots

    return upshots(app.database, period)


# ------------------------------------------------------------------------------------------------- deciding it again


def _decided_again(
    app: App, mappings: Mappings, period: Period, *, now: datetime, quiet: bool
) -> tuple[int, list[Upshot]]:
    """How many messages were replayed, and what the period would have come to."""
    import uuid_utils.compat
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tocsin.cli._connected import LookingApp
    from tocsin.scoring import CHANGES_BACK, learn_from
    from tocsin.store import mappings as versions
    from tocsin.store.experience import Learned
    from tocsin.store.replaying import drop_left_over, prepare, scratch, scratch_name, set_clock, upshots

    admin = admin_url(app.settings.database_url)
    drop_left_over(admin, now=now)
    name = scratch_name(now, uuid_utils.compat.uuid7().hex[-8:])
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = progress_screen()
    with (
        Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress,
        scratch(app.database, admin_url=admin, name=name) as made,
    ):
        set_clock(made, period.warm_at)
        messages = prepare(app.database, made, period, changes_back=CHANGES_BACK)
        _audit(app, period, messages, now)
        versions.activate(made, digest=mappings.digest, files=mappings.files, actor="replay")
        again = LookingApp(app.settings.model_copy(update={"database_url": made.url}), pool_size=2)
        learn_from(again, Learned(app.database, known_at=made.now))  # what people had said by then
        task = progress.add_task("deciding again", total=messages)
        try:
            _run(app, again, made, period, lambda count: progress.advance(task, count))
        finally:
            again.database.close()
        return messages, upshots(made, period)


def admin_url(url: str) -> str:
    """Who may create a database: the embedded server's owner, else the role of TOCSIN_DATABASE_URL itself."""
    from sqlalchemy.engine import make_url

    from tocsin.cli.embedded.postgres import OWNER, SOCKET_PREFIX

    parts = make_url(url)
    host = parts.query.get("host", "")
    if isinstance(host, str) and Path(host).name.startswith(SOCKET_PREFIX):
        return parts.set(username=OWNER, database="postgres").render_as_string(hide_password=False)
    return url


def _audit(app: App, period: Period, messages: int, now: datetime) -> None:
    """Raw bodies are about to be read: an admin act (design.md §1, promise 6)."""
    from tocsin.domain.audit import AuditEntry
    from tocsin.store.inbox import write_audit

    because: dict[str, object] = {"messages": messages, "since": period.warm_at, "until": period.until}
    line = AuditEntry(
        at=now,
        action="message.read",
        reason="replay",
        environment=period.environment,
        actor=actor(),
        because=because,
    )
    with app.database.transaction() as connection:
        write_audit(connection, [line])


def _run(app: App, again: App, made: Database, period: Period, advance: Callable[[int], object]) -> None:
    """Messages arrive in receipt order; between them the clock stops wherever something is due by itself."""
    from tocsin.store.replaying import feed, next_messages, set_clock

    clock, after = period.warm_at, (period.warm_at - TICK, UUID(int=0))
    while messages := next_messages(app.database, period, after):
        clock = _timers(again, made, clock, until=messages[0].received_at)
        feed(made, messages)
        clock = max(clock, messages[-1].received_at)
        set_clock(made, clock)
        _settle(again, made)
        after = (messages[-1].received_at, messages[-1].id)
        advance(len(messages))
    _timers(again, made, clock, until=period.until)


def _timers(again: App, made: Database, clock: datetime, *, until: datetime) -> datetime:
    """Let time pass up to `until`; returns the scratch database's time."""
    from tocsin.store.replaying import next_timer, set_clock

    while (due_at := next_timer(made)) is not None and due_at <= until:
        clock = due_at if due_at > clock else clock + TICK
        set_clock(made, clock)
        _settle(again, made)
    return clock


def _settle(again: App, made: Database) -> None:
    """The pipeline's own steps until nothing is due at this moment."""
    from tocsin import pipeline
    from tocsin.store import sweeps
    from tocsin.store.replaying import pretend_delivered

    for _ in range(AT_ONCE):
        due = sweeps.due(made)
        if not (due.work or due.attribute or due.deliver):
            return
        if due.work:
            pipeline.understand(again)
            _decide(again, sweeps.environments_due(made))
        if due.attribute:
            _decide(again, pipeline.attribute(again))
        if due.deliver:
            pretend_delivered(made)


def _decide(again: App, environments: Sequence[str]) -> None:
    from tocsin import pipeline

    for environment in environments:
        pipeline.decide(again, environment)


# ------------------------------------------------------------------------------------------------------ for people


def _print(told: dict[str, Any]) -> None:
    from tocsin.cli._replay.report import OUTCOMES, rows_of

    console = screen()
    span = f"{told['since']:%Y-%m-%d %H:%M} to {told['until']:%Y-%m-%d %H:%M} UTC"
    console.print(f"{told['messages']} messages, {span}, under the {told['mappings']} mappings")
    for sentence in told["summary"]:
        console.print(sentence, style="bold")
    totals = Table("", "happened", "would have", box=None)
    for name, before in told["was"].items():
        after = told["would_be"][name]
        totals.add_row(name.replace("_", " "), str(before), str(after), style="bold" if before != after else "")
    console.print(totals)
    if not told["differences"]:
        console.print(f"Nothing would have differed for {told['same']} incidents.", style="green")
        return
    teams = Table("team", *OUTCOMES, box=None)
    for team, counts in told["teams"].items():
        cells = [(counts["was"][outcome], counts["would_be"][outcome]) for outcome in OUTCOMES]
        teams.add_row(team or "nobody", *(str(old) if old == new else f"{old} → {new}" for old, new in cells))
    console.print(teams)
    table = Table("incident", "differs", "happened", "would have", box=None)
    for row in rows_of(told["differences"]):
        table.add_row(*row)
    console.print(table)
