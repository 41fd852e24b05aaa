"""What would Tocsin read in this webhook body? No database, no mappings, nothing is sent."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from tocsin.cli._terminal import MAPPINGS, echo_json, pairs, screen
from tocsin.domain.errors import BadSetting

if TYPE_CHECKING:
    from tocsin.domain.message import Hook

SECTION = "decide"
STDIN = "-"


@click.command()
@click.option("--source", "name", default="", help="The producer: alertmanager, github, mlflow …, or an alias.")
@click.option("--hook", "hook_name", default="", help="Instead: a hook of the mappings, read as it declares.")
@MAPPINGS
@click.option(
    "--headers",
    "headers_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON object of HTTP headers for every FILE; default: NAME.headers.json beside NAME.json, if it is there.",
)
@click.option("--default", "defaults", multiple=True, metavar="KEY=VALUE", help="A label that the hook would add.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and file.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def normalize(
    *,
    name: str,
    hook_name: str,
    directory: Path,
    headers_file: Path | None,
    defaults: tuple[str, ...],
    as_json: bool,
    files: tuple[str, ...],
) -> None:
    """Show what a source, or a hook's own `reads`, makes of each FILE (a webhook's body; - is standard input).

    Exit status: 0 every file was looked at, 1 a file cannot be read, 2 wrong usage.
    """
    if bool(name) == bool(hook_name):
        raise click.UsageError("give either --source or --hook")
    labels = pairs(defaults, "--default")
    hook = _declared(hook_name, directory) if hook_name else _hook_of(name)
    hook = replace(hook, defaults={**hook.defaults, **labels})
    given = headers_of(headers_file) if headers_file else None
    unread = 0
    for file in files:
        try:
            body = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
            headers = given if given is not None else _beside(file)
        except OSError as error:
            unread += 1
            click.secho(f"tocsin: {_shown(file)} cannot be read ({error.strerror})", fg="red", err=True)
            continue
        said = outcome_of(hook, body, headers, now=datetime.now(UTC))
        if as_json:
            echo_json({"file": _shown(file), **said})
        else:
            _print(_shown(file), said)
    raise SystemExit(1 if unread else 0)


def _hook_of(name: str) -> Hook:
    """A hook of this source that takes every environment, so that a test system's body is read as well."""
    from tocsin.domain.message import Hook
    from tocsin.sources import find

    source = find(name.strip().replace("-", "_"))
    return Hook(name=source.name, source=source.name, environment="*", unverified=True)


def _declared(name: str, directory: Path) -> Hook:
    from tocsin.config.mappings import load
    from tocsin.domain.errors import BadMapping

    known = load(directory, env=os.environ, secrets_optional=True).hooks
    if name not in known:
        raise BadMapping([f"no hook is named {name}; {directory} declares {', '.join(sorted(known)) or 'none'}"])
    return known[name]


def outcome_of(hook: Hook, body: bytes, headers: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """What the hook's source makes of a body that arrives `now`: outcome, reason and the values read. Never raises for
    what the body holds."""
    import uuid_utils.compat

    from tocsin.domain.errors import BadPayload
    from tocsin.domain.message import Message
    from tocsin.sources import of

    message = Message(
        id=uuid_utils.compat.uuid7(),
        hook=hook.name,
        source=hook.source,
        environment=hook.environment,
        received_at=now,
        headers=headers,
        body=body,
    )
    try:
        said = of(hook).normalize(message, hook)
    except BadPayload as error:
        return _told("quarantined", str(error))
    if said.ignored and not said.carries_something:
        return _told("ignored", said.ignored)
    return _told("normalized", "") | {
        "alerts": list(said.alerts),
        "changes": list(said.changes),
        "record_updates": list(said.record_updates),
    }


def headers_of(file: Path) -> dict[str, str]:
    """The headers that a JSON file holds, names in lower case. Raises BadSetting when it is no object of texts."""
    try:
        found = orjson.loads(file.read_bytes())
    except OSError as error:
        raise BadSetting(f"{file}: cannot be read ({error.strerror})") from None
    except orjson.JSONDecodeError as error:
        raise BadSetting(f"{file}: is not JSON ({error.msg}); write an object of header names and values") from None
    if not isinstance(found, dict):
        raise BadSetting(f"{file}: is not a JSON object of header names and values")
    return {name.lower(): str(value) for name, value in found.items()}


def _beside(file: str) -> dict[str, str]:
    companion = Path(file).with_suffix(".headers.json")
    return headers_of(companion) if file != STDIN and companion.is_file() else {}


def _told(outcome: str, reason: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "alerts": [], "changes": [], "record_updates": []}


def _shown(file: str) -> str:
    """The file's name as text that every terminal and JSON reader can take."""
    return os.fsencode(file).decode("utf-8", "replace")


def _print(file: str, said: dict[str, Any]) -> None:
    from tocsin.decide.redact import clean

    console = screen()
    colour = {"normalized": "green", "ignored": "dim", "quarantined": "yellow"}[said["outcome"]]
    reason = f": {clean(said['reason'], 300)}" if said["reason"] else ""
    console.print(f"{file}: {said['outcome']}{reason}", style=colour)
    for alert in said["alerts"]:
        what = clean(f"{alert.name} on {alert.subject}", 160)
        console.print(f"  alert   {alert.status} {what} ({alert.symptom}, {alert.severity})")
        console.print(f"          {clean(alert.summary, 160)}", style="dim")
    for change in said["changes"]:
        words = clean(f"{change.subject} {change.version}".strip(), 160)
        console.print(f"  change  {change.kind} {words} ({change.outcome}, {change.occurred_at:%Y-%m-%d %H:%M:%SZ})")
    for update in said["record_updates"]:
        who = clean(update.actor or update.source, 60)
        console.print(f"  record  {clean(update.number or update.external_id, 60)} {update.action} by {who}")
