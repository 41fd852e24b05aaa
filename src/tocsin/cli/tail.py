"""What arrives and what is decided, one line each, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import click
from rich.text import Text

from tocsin.cli._terminal import MOMENT, echo_json, screen
from tocsin.domain.errors import BadSetting, Unavailable

if TYPE_CHECKING:
    from tocsin.config.settings import Settings
    from tocsin.store import Database

SECTION = "operate"
EVERY_S = 1.0
AT_ONCE = 1_000
"""Lines that one question answers at most (store.reading.audit_after)."""
LATEST = 20
Line = dict[str, Any]


class Trail(Protocol):
    """Where the audit trail is read."""

    def after(self, last: int, limit: int) -> list[Line]:
        """Lines with a greater id, oldest first; with `last` below 0 the latest ones."""

    def before(self, since: datetime) -> int:
        """An id after which no line since then is missed; below 0 when only the latest can be asked for."""


@dataclass(frozen=True, slots=True)
class DatabaseTrail:
    """Read in the database."""

    database: Database

    def after(self, last: int, limit: int) -> list[Line]:
        from tocsin.store.reading import audit_after

        return audit_after(self.database, last, limit=limit)

    def before(self, since: datetime) -> int:
        from tocsin.store.mending import audit_before

        return audit_before(self.database, since)


@dataclass(frozen=True, slots=True)
class ApiTrail:
    """Read through the API of a running installation."""

    url: str
    token: str

    def after(self, last: int, limit: int) -> list[Line]:
        import requests

        address = f"{self.url.rstrip('/')}/api/v1/audit"
        try:
            answer = requests.get(
                address,
                params={"after": last, "limit": limit},
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=10,
                allow_redirects=False,
            )
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                raise BadSetting(f"{self.url} refuses the token; give it with --token or TOCSIN_API_TOKEN")
            answer.raise_for_status()
            found: list[Line] = answer.json()["audit"]
        except (requests.RequestException, KeyError) as error:
            words = f"{address} does not answer as Tocsin's API does ({type(error).__name__})"
            raise Unavailable(f"{words}; is it running, and is --url right?") from None
        return [line | {"at": datetime.fromisoformat(line["at"])} for line in found]

    def before(self, since: datetime) -> int:
        return -1


@click.command()
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on until Ctrl-C.")
@click.option("--since", type=MOMENT, help="Begin: a span back (10m), or a time; default: the latest lines.")
@click.option("--url", help="Ask this installation's API; default: the database, else TOCSIN_PUBLIC_URL.")
@click.option("--token", help="Its token; default: TOCSIN_API_TOKEN.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(*, follow: bool, since: datetime | None, url: str | None, token: str | None, as_json: bool) -> None:
    """Follow what arrives and what is decided about it: alerts, incidents, pages and tickets, vendors' answers."""
    from tocsin.cli._connected import connected
    from tocsin.config.settings import Settings

    settings = Settings()
    if url or not settings.database_url:
        _show(_api(settings, url, token), since, follow=follow, as_json=as_json)
        return
    with connected() as app:
        _show(DatabaseTrail(app.database), since, follow=follow, as_json=as_json)


def _api(settings: Settings, url: str | None, token: str | None) -> ApiTrail:
    given = token or settings.api_token.get_secret_value()
    if not given:
        raise BadSetting(
            "nothing to follow: no `tocsin up` runs here, and neither TOCSIN_DATABASE_URL nor TOCSIN_API_TOKEN is set;"
            " set one, or name a running installation with --url and --token"
        )
    return ApiTrail(url or settings.public_url, given)


def _show(trail: Trail, since: datetime | None, *, follow: bool, as_json: bool) -> None:
    console = screen()
    for line in _lines(trail, since, follow=follow):
        if as_json:
            echo_json({**line, "words": words(line)})
        else:
            console.print(_coloured(line))


def _lines(trail: Trail, since: datetime | None, *, follow: bool) -> Iterator[Line]:
    last = trail.before(since) if since else -1
    limit = AT_ONCE if since else LATEST
    while True:
        try:
            found = trail.after(last, limit)
        except Unavailable as error:
            if not follow:
                raise
            click.secho(f"tocsin: {error}; trying again", fg="yellow", err=True)
            time.sleep(EVERY_S * 5)
            continue
        for line in found:
            last = max(last, line["id"])
            if since is None or line["at"] >= since:
                yield line
        limit = AT_ONCE
        if found and last >= 0 and len(found) == AT_ONCE:
            continue
        if not follow:
            return
        last = max(last, 0)
        time.sleep(EVERY_S)


# ------------------------------------------------------------------------------------------------------ human words


def words(line: Line) -> str:
    """What the line says, in a sentence of ours; an action that we have no words for is told as it is named."""
    from tocsin.decide.redact import clean

    said = _WORDS.get(line["action"], _plain)(line, line["because"])
    return clean(said, 300)


def _message(line: Line, because: Line) -> str:
    hook = because.get("hook", "?")
    if line["reason"] == "normalized":
        counts = ((because.get("alerts", 0), "alert"), (because.get("changes", 0), "change"))
        said = " and ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n)
        return f"{hook}: {said or 'news of a record'}"
    why = f": {because['why']}" if because.get("why") else ""
    return f"{hook}: {line['reason']}{why}"


def _joined(line: Line, because: Line) -> str:
    again = f", occurrence {because['occurrence']}" if because.get("occurrence", 1) > 1 else ""
    how = {"opened": "opens", "grouped": "joins", "former_incident": "returns to", "reopened": "reopens"}
    verb = how.get(line["reason"], line["reason"])
    return f"{_alert(because)} {verb} {_incident(line)}{again}: {because.get('why', '')}"


def _folded(line: Line, because: Line) -> str:
    return f"{_alert(because)} {line['reason'].replace('_', ' ')}, {_incident(line)}"


def _decided(line: Line, because: Line) -> str:
    cause = f", likely cause {because['likely_cause']} {because['probability']:.0%}" if because["likely_cause"] else ""
    if because["state"] == "resolved":
        return f"{_incident(line)} is over{cause}"
    if line["reason"] not in ("page", "ticket", "none"):
        until = f" until {because['until'][:16]}" if because.get("until") else ""
        return f"{_incident(line)} is held back{until}: {because['gate']}"
    what = {"none": "nothing"}.get(line["reason"], line["reason"])
    return f"{_incident(line)}: {what} for {because['team']} ({because['why']}; {because['owner']}){cause}"


def _delivered(line: Line, because: Line) -> str:
    record = because.get("record") or "a record"
    place = f"{line['destination']} for {_incident(line)}"
    if line["action"] == "record.confirmed":
        return f"{record} {because.get('status', '')} at {place}"
    detail = f": {because['detail']}" if because.get("detail") else ""
    verb = "given up" if line["action"] == "record.dead" else "not yet"
    return f"{record} {verb} at {place} ({line['reason'].replace('_', ' ')}{detail})"


def _record_news(line: Line, because: Line) -> str:
    what = line["action"].partition(".")[2].replace("_", " ")
    return f"{because.get('record', 'a record')} {what} by {line['actor']} ({line['reason'].replace('_', ' ')})"


def _cause(line: Line, because: Line) -> str:
    told = "none of the shown changes" if because.get("change") == "none" else because.get("change")
    return f"{line['actor']} says the cause of {_incident(line)} is {told}"


def _plain(line: Line, because: Line) -> str:
    if line["action"].startswith("record."):
        return _record_news(line, because)
    who = "" if line["actor"] == "tocsin" else f" by {line['actor']}"
    return f"{line['action'].replace('.', ' ').replace('_', ' ')}{who}: {line['reason'].replace('_', ' ')}"


_WORDS: dict[str, Callable[[Line, Line], str]] = {
    "message.understood": _message,
    "alert.joined": _joined,
    "alert.deduplicated": _folded,
    "alert.expired": _folded,
    "incident.decided": _decided,
    "record.confirmed": _delivered,
    "record.attempted": _delivered,
    "record.dead": _delivered,
    "cause.confirmed": _cause,
}


def _alert(because: Line) -> str:
    return f"{because.get('alert', 'alert')} on {because.get('subject', '?')}"


def _incident(line: Line) -> str:
    return f"TOC-{line['number']}" if line.get("number") else "no incident"


def _coloured(line: Line) -> Text:
    at = line["at"].astimezone(UTC)
    return Text(f"{at:%H:%M:%S} ", style="dim") + Text(words(line), style=_importance(line))


_STYLES = {
    "page": "bold red",
    "ticket": "yellow",
    "quarantined": "bold yellow",
    "resolved": "green",
    "repeat": "dim",
    "duplicate": "dim",
    "stale": "dim",
    "ignored": "dim",
    "own_write": "dim",
}
_ACTION_STYLES = {"record.dead": "bold red", "record.confirmed": "cyan", "record.attempted": "yellow"}


def _importance(line: Line) -> str:
    if line["action"] in _ACTION_STYLES:
        return _ACTION_STYLES[line["action"]]
    if line["action"] == "incident.decided" and line["because"].get("state") == "resolved":
        return "green"
    return _STYLES.get(line["reason"], "")
