"""Producers that Tocsin knows, and a first draft for one that it does not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click
import orjson

from tocsin.cli._terminal import MAPPINGS, echo_json, screen
from tocsin.domain.errors import BadMapping, BadPayload, BadSetting

SECTION = "first hour"


@click.group()
def sources() -> None:
    """List the producers that Tocsin knows; draft a reading for another one."""


@sources.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(*, as_json: bool) -> None:
    """List every producer, and how its alerts end."""
    from rich.table import Table

    from tocsin.sources import find, names

    found = [find(name) for name in names()]
    if as_json:
        echo_json(
            {
                "sources": [
                    {"name": s.name, "title": s.title, "aliases": s.aliases, "resolves": s.resolves} for s in found
                ]
            }
        )
        return
    table = Table("source", "title", "its alerts end by", "also called", box=None)
    for source in found:
        table.add_row(source.name, source.title, source.resolves.value, ", ".join(source.aliases))
    screen().print(table)


@sources.command()
@click.argument("name")
@click.option(
    "--sample",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A payload as the sender posts it (JSON).",
)
@click.option("--environment", default="production", show_default=True, help="Environment of all that arrives there.")
@MAPPINGS
@click.option("--write", is_flag=True, help="Write hooks/NAME.yaml, samples/NAME.json and a secret; else only show.")
def new(*, name: str, sample: Path, environment: str, directory: Path, write: bool) -> None:
    """Draft how messages of a sender NAME are read, from one of its payloads, and show what that reads."""
    import yaml

    from tocsin.cli._draft import draft
    from tocsin.sources._json import parsed

    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise click.UsageError(f"NAME {name}: use at most 64 of a-z, 0-9, dot, dash and underscore")
    try:
        raw = sample.read_bytes()
        reads = draft(parsed(raw))
    except OSError as error:
        raise BadSetting(f"{sample}: cannot be read ({error.strerror})") from None
    except BadPayload as error:
        raise BadSetting(f"{sample}: {error}") from None
    hook = {
        "source": "generic",
        "environment": environment,
        "secret": {"file": f"secrets/{name}"},
        "samples": [f"samples/{name}.json"],
        "reads": reads,
    }
    text = _HEAD + yaml.safe_dump({"hooks": {name: hook}}, sort_keys=False, allow_unicode=True, width=110)
    click.echo(text)
    _show(name, reads, raw)
    if not write:
        click.echo(f"Nothing is written; `--write` writes it below {directory}.")
        return
    _write(name, text, raw, directory)


_HEAD = """\
# yaml-language-server: $schema=../schema/tocsin.schema.json
# A first draft, guessed from the names of the sample's fields: read it, mend it, then run `tocsin check`.
# Expressions are JMESPath (https://jmespath.org); docs/howto/generic.md shows tables, conditions and times.
"""


def _show(name: str, reads: dict[str, Any], raw: bytes) -> None:
    """What the draft makes of the sample."""
    from datetime import UTC, datetime

    from tocsin.cli.normalize import outcome_of
    from tocsin.config.reads import ReadsIn
    from tocsin.domain.message import Hook

    hook = Hook(
        name=name,
        source="generic",
        environment="production",
        unverified=True,
        reads=ReadsIn.model_validate(reads).plain(),
    )
    said = outcome_of(hook, raw, {}, now=datetime.now(UTC))
    click.echo("What it reads in the sample:")
    for alert in said["alerts"]:
        click.echo(
            f"  {alert.status} {alert.severity} {alert.symptom} of {alert.subject}: {alert.name}, {alert.summary}"
        )
    if not said["alerts"]:
        click.echo(f"  nothing: {said['reason']}")


def _write(name: str, text: str, raw: bytes, directory: Path) -> None:
    from tocsin.config import secret
    from tocsin.config.mappings import load
    from tocsin.config.settings import Settings

    if not directory.is_dir():
        raise BadMapping([f"{directory}: is not a directory; run `tocsin init {directory}` first"])
    path = directory / "hooks" / f"{name}.yaml"
    known = load(directory, env=os.environ, secrets_optional=True).hooks
    if path.exists() or name in known:
        raise BadMapping([f"{path}: a hook {name} is there already; choose another name"])
    for target, content in ((path, text.encode()), (directory / "samples" / f"{name}.json", _pretty(raw))):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    value = secret.make(directory, name)
    click.echo(f"Written  {path}, {directory / 'samples' / f'{name}.json'}")
    click.echo(f"URL      {Settings().public_url.rstrip('/')}/hooks/{name}\nSecret   {value}")
    click.echo("Send it as Authorization: Bearer SECRET (or Basic, X-Tocsin-Token, ?token=).")


def _pretty(raw: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(raw), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONDecodeError:
        return raw
