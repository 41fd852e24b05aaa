"""Do the hooks' own readings fit the sample payloads that stand beside them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

import orjson

from tocsin.config.mappings import Mappings
from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Hook, Message
from tocsin.sources import of
from tocsin.sources.generic import NOTHING_HOLDS

HEADERS = ".headers.json"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def tried(mappings: Mappings) -> Iterator[tuple[Hook, int, str, str]]:
    """Each sample that its hook cannot read: (hook, position among its samples, what is wrong, remedy)."""
    for hook in mappings.hooks.values():
        for at, name in enumerate(hook.samples):
            if name not in mappings.files:
                yield hook, at, f"{name} is not in the mappings' tree", "put it below samples/, with .json at its end"
            elif hook.reads is not None and (wrong := _wrong(hook, name, mappings.files)):
                yield hook, at, wrong, "mend the expression, or the sample"


def _wrong(hook: Hook, name: str, files: Mapping[str, str]) -> str:
    beside = files.get(f"{name.removesuffix('.json')}{HEADERS}", "{}")
    message = Message(
        id=UUID(int=0),
        hook=hook.name,
        source=hook.source,
        environment=hook.environment,
        received_at=_NOW,
        headers={str(key).lower(): str(value) for key, value in orjson.loads(beside).items()},
        body=files[name].encode(),
    )
    try:
        said = of(hook).normalize(message, hook)
    except BadPayload as error:
        return f"{name}: {error}"
    return f"{name}: nothing is read: {said.ignored}" if NOTHING_HOLDS in said.ignored else ""
