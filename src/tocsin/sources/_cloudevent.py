"""Which CloudEvents are in this request? Structured, binary and batched mode, specification 0.1 to 1.0.

https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message
from tocsin.sources._cloud import MAX_EVENTS, name_in, time_in
from tocsin.sources._json import kind_of, parsed

_OLD: dict[str, str] = {
    "cloudEventsVersion": "specversion",
    "eventType": "type",
    "eventID": "id",
    "eventTime": "time",
} | {
    "contentType": "datacontenttype",
    "schemaURL": "dataschema",
}
"""Names of version 0.1."""

_CONTEXT = frozenset(
    {"specversion", "type", "source", "id", "time", "subject", "data", "data_base64", "datacontenttype", "dataschema"}
    | {"datacontentencoding", "schemaurl"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event: its context, its data as JSON (or a text), and the attributes that are no standard ones."""

    type: str
    source: str
    id: str
    subject: str = ""
    at: datetime | None = None
    data: Any = None
    extensions: dict[str, Any] = field(default_factory=dict)


def is_event(body: object) -> bool:
    """Is this a structured event?"""
    return isinstance(body, dict) and ("specversion" in body or "cloudEventsVersion" in body)


def is_binary(message: Message) -> bool:
    """Does the event's context stand in the headers?"""
    return "ce-type" in message.headers or "ce-specversion" in message.headers


def events_of(message: Message) -> list[CloudEvent]:
    """Every event of the request; empty when it carries none. Raises BadPayload with the path of what a CloudEvent
    must have and this one has not."""
    if is_binary(message):
        context = {name[3:]: unquote(value) for name, value in message.headers.items() if name.startswith("ce-")}
        kind = message.headers.get("content-type", "")
        return [_event({**context, "data": _binary_data(message.body, kind)}, "")]
    body = parsed(message.body)
    if isinstance(body, list):
        if len(body) > MAX_EVENTS:
            raise BadPayload(f"{len(body)} events; at most {MAX_EVENTS} in one batch")
        return [_event(each, str(n)) for n, each in enumerate(body)] if any(is_event(each) for each in body) else []
    return [_event(body, "")] if is_event(body) else []


def _binary_data(body: bytes, kind: str) -> object:
    """The body when it is JSON; what is something else is no text for us to read."""
    if not body.strip():
        return None
    if kind and "json" not in kind.lower():
        return body[:65536].decode("utf-8", "replace")
    return parsed(body)


def _event(body: object, path: str) -> CloudEvent:
    if not isinstance(body, dict):
        raise BadPayload(f"expected an object, found {kind_of(body)}", path=path)
    told: dict[str, Any] = {_OLD.get(str(key), str(key)): value for key, value in body.items()}
    for key in ("type", "source", "id"):
        if not name_in(told, key):
            raise BadPayload("expected a text", path=f"{path}.{key}".lstrip("."))
    return CloudEvent(
        type=name_in(told, "type"),
        source=name_in(told, "source"),
        id=name_in(told, "id"),
        subject=name_in(told, "subject"),
        at=time_in(told, "time", path=path),
        data=_data(told, path),
        extensions={key: value for key, value in told.items() if key not in _CONTEXT},
    )


def _data(told: dict[str, Any], path: str) -> object:
    """The data as JSON: out of base64 where it says so, out of a text where its content type says JSON."""
    data, encoded = told.get("data"), told.get("data_base64")
    if encoded is None and str(told.get("datacontentencoding", "")).lower() == "base64":
        data, encoded = None, data
    if isinstance(encoded, str):
        return unpacked(encoded, f"{path}.data_base64".lstrip("."))
    kind = told.get("datacontenttype")
    if isinstance(data, str) and (kind is None or "json" in str(kind).lower()) and data.lstrip()[:1] in ("{", "["):
        return parsed(data.encode("utf-8", "surrogatepass"))
    return data


def unpacked(encoded: str, path: str) -> object:
    """The JSON within base64, else the text within. Raises BadPayload for what is no base64."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadPayload("expected base64", path=path) from None
    if raw.lstrip()[:1] in (b"{", b"["):
        try:
            return parsed(raw)
        except BadPayload as error:
            raise BadPayload(error.reason, path=path) from None
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")


def event_id(message: Message) -> str:
    """The event's source and id, which the specification makes unique; none for a batch."""
    try:
        found = events_of(message)
    except BadPayload:
        return ""
    return f"{found[0].source}#{found[0].id}"[:255] if len(found) == 1 else ""
