"""Which calls would a record in shadow have made? Told by what a create would carry, now and when it was last told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tocsin.domain.record import Attachment, Note, Wanted

Call = Literal["create", "update", "resolve", "reopen", "note", "attachment"]

KEPT_SECRET = ("routing_key", "integration_key", "api_key")
"""Fields that carry a key to the vendor: their last four characters tell them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowCall:
    """One call that was not made. `key` is unique within its record."""

    key: str
    call: Call
    body: Mapping[str, object]


def would_send(
    wanted: Wanted,
    rendered: Mapping[str, object],
    *,
    version: int,
    told: Wanted | None,
    told_rendered: Mapping[str, object] | None,
    notes: Sequence[Note] = (),
    attachments: Sequence[Attachment] = (),
) -> list[ShadowCall]:
    """The calls that bring the record from what was `told` to what is `wanted`, then its notes and files. What was
    never opened is not ended either."""
    if told is None or told_rendered is None:
        if wanted.status == "resolved":
            return []
        calls = [ShadowCall(key="create", call="create", body=masked(rendered))]
    else:
        changed = {name: value for name, value in rendered.items() if told_rendered.get(name) != value}
        call: Call = "update"
        if wanted.status != told.status:
            call = "resolve" if wanted.status == "resolved" else "reopen"
            changed = changed or {"status": wanted.status}  # a transition shows in no field of the create
        calls = [ShadowCall(key=f"version {version}", call=call, body=masked(changed))] if changed else []
    calls += [ShadowCall(key=f"note {note.id}", call="note", body={"text": note.text}) for note in notes]
    calls += [
        ShadowCall(
            key=f"attachment {file.id}",
            call="attachment",
            body={"name": file.name, "media_type": file.media_type, "bytes": len(file.content)},
        )
        for file in attachments
    ]
    return calls


def masked(body: Mapping[str, object]) -> dict[str, object]:
    """The body without the keys that open the vendor's door."""
    return {
        name: f"…{value[-4:]}"
        if name in KEPT_SECRET and isinstance(value, str)
        else masked(value)
        if isinstance(value, Mapping)
        else value
        for name, value in body.items()
    }
