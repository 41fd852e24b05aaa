"""A fixture file as the message it stands for, and what a source made of it as readable JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from tocsin.config.reads import ReadsIn
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message
from tocsin.sources import of

FIXTURES = Path(__file__).parent
_COMPANIONS = (".expected.json", ".headers.json", ".hook.json")


def bodies(source: str) -> list[Path]:
    """The fixtures of a source: its JSON files but for the companions."""
    return sorted(p for p in (FIXTURES / source).glob("*.json") if not p.name.endswith(_COMPANIONS))


def companion(body: Path, kind: str) -> Any:
    """The JSON of `<name>.<kind>.json` beside a fixture; an empty object when there is none."""
    path = body.with_name(f"{body.stem}.{kind}.json")
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def hook_of(
    source: str,
    *,
    environment: str = "production",
    defaults: dict[str, str] | None = None,
    reads: dict[str, Any] | None = None,
) -> Hook:
    """A hook of this source; a generic one reads what `reads` says, else as its fixture `events` does."""
    if source == "generic" and reads is None:
        reads = companion(FIXTURES / "generic" / "events.json", "hook")["reads"]
    declared = ReadsIn.model_validate(reads).plain() if reads else None
    return Hook(name=f"{source}-hook", source=source, environment=environment, defaults=defaults or {}, reads=declared)


def message_of(body: bytes, hook: Hook, received_at: Any, headers: dict[str, str] | None = None) -> Message:
    return Message(
        id=UUID("01934c2f-0000-7000-8000-000000000001"),
        hook=hook.name,
        source=hook.source,
        environment=hook.environment,
        received_at=received_at,
        body=body,
        headers={name.lower(): value for name, value in (headers or {}).items()},
    )


def outcome(message: Message, hook: Hook) -> dict[str, Any]:
    """What the source says of a message, as plain JSON without the empty fields; a BadPayload under `bad_payload`."""
    found = of(hook)
    try:
        said = orjson.loads(orjson.dumps(found.normalize(message, hook), default=_plain))
    except BadPayload as error:
        return {"bad_payload": str(error)}
    if number := found.message_id(message):
        said["message_id"] = number
    filled: dict[str, Any] = _filled(said)
    return filled


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.0f}s"
    raise TypeError(type(value).__name__)


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        kept: Iterator[tuple[str, Any]] = ((key, _filled(item)) for key, item in value.items())
        return {key: item for key, item in kept if item is not None and item != "" and item != [] and item != {}}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return value
