"""What commands say and are told: JSON and text for the terminal, moments, KEY=VALUE pairs, who is asking."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import orjson
from rich.console import Console

PIPE_WIDTH = 400
"""Columns of a table that no screen bounds."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

MAPPINGS = click.option(
    "--mappings",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TOCSIN_MAPPINGS_DIR",
    default=Path("mappings"),
    show_default=True,
    help="The mappings directory.",
)
"""Of commands that read mappings beside something else."""


def actor() -> str:
    """The person at the terminal, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"user {os.geteuid()}"


def echo_json(value: object, *, err: bool = False) -> None:
    """One JSON value on one line of standard output (or error), domain values as they are kept."""
    click.echo(orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS), err=err)


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return f"PT{value.total_seconds():g}S"
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def screen() -> Console:
    """Where people read: colour on a terminal, plain text in a pipe, lines never cut there."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(highlight=False, soft_wrap=True, markup=False, width=width)


def progress_screen() -> Console:
    """Where progress shows: standard error, so that a pipe gets the answer alone."""
    return Console(stderr=True, highlight=False)


class Moment(click.ParamType[datetime]):
    """A moment: RFC 3339 with an offset, or a span back from now (`90m`, `24h`, `7d`)."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        if span := _SPAN.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: float(span[1])})
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither a span such as 24h nor a time such as 2026-11-21T09:00:00Z", param, ctx)
        if at.tzinfo is None:
            self.fail(f"{text!r} names no offset; write {text}Z for UTC", param, ctx)
        return at.astimezone(UTC)


MOMENT = Moment()


def number_of(display: str) -> int:
    """1042 from `TOC-1042`, `toc-1042` or `1042`. Raises click's usage error."""
    digits = display.upper().removeprefix("TOC-")
    if not digits.isdecimal():
        raise click.UsageError(f"{display!r} is not an incident; write it as TOC-1042")
    return int(digits)


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """`KEY=VALUE` options as a mapping. Raises click's usage error."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"{option} {text!r}: write it as KEY=VALUE")
        found[key.strip()] = value
    return found
