"""Which bodies are there, and what does the source of their folder read in them?

The folder is found through TOCSIN_CORPUS (default ../shared/payloads from the project's root); it is never copied.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tocsin.domain.errors import BadMapping, BadPayload
from tocsin.domain.message import Hook, Message, Normalized
from tocsin.sources import find

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("TOCSIN_CORPUS") or ROOT / "../shared/payloads")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOLDEN = ROOT / "tests/sources/corpus.golden.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body of the corpus; `path` is `folder/name.json`."""

    path: str
    raw: bytes

    @property
    def folder(self) -> str:
        return self.path.partition("/")[0]

    @property
    def headers(self) -> dict[str, str]:
        """What the corpus does not keep but the source needs: the event's type, told by the file's name."""
        if self.folder == "github":
            name = self.path.partition("/")[2].removeprefix("ghes34__").partition("__")[0]
            return {"x-github-event": name}
        return {}


def is_here() -> bool:
    """Whether the corpus is on this machine."""
    return (CORPUS / "index.csv").is_file()


def bodies() -> list[Body]:
    """Every body that the index names; none where there is no corpus."""
    return list(_bodies()) if is_here() else []


def _bodies() -> Iterator[Body]:
    with (CORPUS / "index.csv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            yield Body(path=row["path"], raw=(CORPUS / row["path"]).read_bytes())


def message_and_hook(body: Body, raw: bytes | None = None) -> tuple[Message, Hook]:
    """The body as it arrives on a hook of its folder's source. Raises BadMapping where no source has that name."""
    source = find(body.folder)
    hook = Hook(name=source.name, source=source.name, environment="*")
    message = Message(
        id=UUID(int=1),
        hook=hook.name,
        source=hook.source,
        environment=hook.environment,
        received_at=NOW,
        body=body.raw if raw is None else raw,
        headers=body.headers,
    )
    return message, hook


def read(body: Body) -> Normalized:
    """What the source reads. Raises BadPayload and BadMapping."""
    message, hook = message_and_hook(body)
    return find(body.folder).normalize(message, hook)


def facts(body: Body) -> list[dict[str, Any]]:
    """What a person would look at: of each alert, change and update the kind, subject, status, times and key; of a
    body without any the reason."""
    try:
        said = read(body)
    except BadPayload as error:
        return [{"refused": str(error)}]
    except BadMapping:
        return [{"no_source": body.folder}]
    if not said.carries_something:
        return [{"ignored": said.ignored}]
    found: list[dict[str, Any]] = [
        {
            "alert": alert.name,
            "subject": alert.subject,
            "symptom": alert.symptom,
            "severity": alert.severity,
            "status": alert.status,
            "starts_at": _time(alert.starts_at),
            "ends_at": _time(alert.ends_at),
            "key": alert.fingerprint[:8],
        }
        for alert in said.alerts
    ]
    found += [
        {
            "change": change.kind,
            "subject": change.subject,
            "outcome": change.outcome,
            "version": change.version,
            "occurred_at": _time(change.occurred_at),
            "finished_at": _time(change.finished_at),
        }
        for change in said.changes
    ]
    found += [
        {"update": update.action, "number": update.number, "status": update.status, "at": _time(update.occurred_at)}
        for update in said.record_updates
    ]
    return [{key: value for key, value in one.items() if value} for one in found]


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
