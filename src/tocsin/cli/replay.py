"""What would other mappings have made of the last day? The stored messages decided again, beside what happened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
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
OUTCOMES = ("page", "ticket", "muted", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One incident that another decision would have treated otherwise. `differs` names how: incident, outcome, team,
    likely_cause, muted, destinations."""

    incident: str
    title: str
    differs: tuple[str, ...]
    was: dict[str, Any] | None
    would_be: dict[str, Any] | None
    merged_into: str = ""
    """The incident that would have taken its alerts in."""
    split_from: str = ""
    """The incident that did take its alerts in."""


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
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(*, since: datetime, until: datetime | None, directory: Path | None, environment: str, as_json: bool) -> None:
    """Decide a past period again, under the active or candidate mappings, and show what would have differed.

    Runs the pipeline on the stored messages in a scratch database with their time; nothing is delivered, and the
    scratch database is dropped at the end. That raw messages are read is written to the audit trail.
    """
    from tocsin.cli._connected import connected
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
    from tocsin.pipeline import CHANGES_BACK
    from tocsin.store import mappings as versions
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


# ------------------------------------------------------------------------------------------------------- comparing


def report(was: Sequence[Upshot], would_be: Sequence[Upshot], *, since: datetime) -> dict[str, Any]:
    """What differs between what happened and what would have, for incidents opened since then."""
    pairs = match(was, would_be)
    names = {new.id: old.display for old, new in pairs if old and new}
    shown = [(old, new) for old, new in pairs if _opened_at(old, new) >= since]
    differences = [d for old, new in shown if (d := _difference(old, new, was, would_be, names))]
    return {
        "was": _totals(old for old, _ in shown),
        "would_be": _totals(new for _, new in shown),
        "same": len(shown) - len(differences),
        "differences": differences,
    }


def match(was: Sequence[Upshot], would_be: Sequence[Upshot]) -> list[tuple[Upshot | None, Upshot | None]]:
    """Which incident is which: the same id (made from the message that opened it), else the most alerts in common."""
    new_by_id = {new.id: new for new in would_be}
    pairs: list[tuple[Upshot | None, Upshot | None]] = [(old, new_by_id.pop(old.id, None)) for old in was]
    left = list(new_by_id.values())
    for place, (old, new) in enumerate(pairs):
        if old is not None and new is None and (best := _closest(old, left)):
            left.remove(best)
            pairs[place] = (old, best)
    return pairs + [(None, new) for new in left]


def _closest(one: Upshot, others: Iterable[Upshot]) -> Upshot | None:
    shared = [(len(one.alerts & o.alerts), o) for o in others if o.environment == one.environment]
    best = max(shared, key=lambda found: found[0], default=None)
    return best[1] if best and best[0] else None


def _opened_at(old: Upshot | None, new: Upshot | None) -> datetime:
    if old is not None:
        return old.opened_at
    assert new is not None
    return new.opened_at


def _difference(
    old: Upshot | None,
    new: Upshot | None,
    was: Sequence[Upshot],
    would_be: Sequence[Upshot],
    names: dict[UUID, str],
) -> Difference | None:
    if old is None:
        assert new is not None
        source = _closest(new, was)
        return Difference(
            incident="new",
            title=new.title,
            differs=("incident",),
            was=None,
            would_be=_plain(new),
            split_from=source.display if source else "",
        )
    if new is None:
        target = _closest(old, would_be)
        return Difference(
            incident=old.display,
            title=old.title,
            differs=("incident",),
            was=_plain(old),
            would_be=None,
            merged_into=names.get(target.id, "new") if target else "",
        )
    fields = {"outcome": "outcome", "team": "team", "likely_cause": "cause", "muted": "muted"}
    fields["destinations"] = "destinations"
    differs = tuple(name for name, field in fields.items() if getattr(old, field) != getattr(new, field))
    if not differs:
        return None
    return Difference(incident=old.display, title=old.title, differs=differs, was=_plain(old), would_be=_plain(new))


def _plain(upshot: Upshot) -> dict[str, Any]:
    plain = asdict(upshot)
    return {name: plain[name] for name in plain if name not in ("id", "alerts", "display")} | {
        "alerts": len(upshot.alerts)
    }


def _totals(upshots: Iterable[Upshot | None]) -> dict[str, int]:
    found = [u for u in upshots if u is not None]
    counts = {outcome: sum(u.outcome == outcome for u in found) for outcome in OUTCOMES}
    return {"incidents": len(found), **counts, "with_likely_cause": sum(bool(u.cause) for u in found)}


# ------------------------------------------------------------------------------------------------------ for people


def _print(told: dict[str, Any]) -> None:
    console = screen()
    span = f"{told['since']:%Y-%m-%d %H:%M} to {told['until']:%Y-%m-%d %H:%M} UTC"
    console.print(f"{told['messages']} messages, {span}, under the {told['mappings']} mappings")
    totals = Table("", "happened", "would have", box=None)
    for name, before in told["was"].items():
        after = told["would_be"][name]
        totals.add_row(name.replace("_", " "), str(before), str(after), style="bold" if before != after else "")
    console.print(totals)
    differences: list[Difference] = told["differences"]
    if not differences:
        console.print(f"Nothing would have differed for {told['same']} incidents.", style="green")
        return
    table = Table("incident", "differs", "happened", "would have", box=None)
    for difference in differences:
        table.add_row(
            f"{difference.incident} {difference.title}",
            ", ".join(name.replace("_", " ") for name in difference.differs),
            _words(difference.was, difference.split_from and f"part of {difference.split_from}"),
            _words(difference.would_be, difference.merged_into and f"part of {difference.merged_into}"),
        )
    console.print(table)


def _words(upshot: dict[str, Any] | None, otherwise: str) -> str:
    if upshot is None:
        return otherwise or "no incident"
    muted = f" by {upshot['muted'].replace('_', ' ')}" if upshot["muted"] else ""
    cause = f", cause {upshot['cause']} {upshot['probability']:.0%}" if upshot["cause"] else ""
    where = f" at {', '.join(upshot['destinations'])}" if upshot["destinations"] else ""
    return f"{upshot['outcome']}{muted} for {upshot['team'] or 'nobody'}{where}{cause}"
