"""Fields of our own JSON that alerts and changes share: moments, spans, words of bounded length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tocsin.domain.errors import BadPayload
from tocsin.sources._identity import labels_of, link_of
from tocsin.sources._json import kind_of, shaped
from tocsin.sources._times import moment

MAX_BATCH = 1000

_SPAN = re.compile(r"(\d+)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Strict(BaseModel):
    """Unknown keys are refused: a misspelt field must not be lost in silence."""

    model_config = ConfigDict(extra="forbid")


def _moment(value: object) -> datetime | None:
    try:
        return moment(value)
    except BadPayload as error:
        raise ValueError(error.reason) from None


def _span(value: object) -> object:
    found = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    return timedelta(**{_UNITS[found[2]]: int(found[1][:6])}) if found else value


Moment = Annotated[datetime | None, BeforeValidator(_moment, json_schema_input_type=datetime | float | None)]
"""An aware UTC moment from RFC 3339 or any spelling that `_times.moment` reads."""
Span = Annotated[
    Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=366))] | None,
    BeforeValidator(_span, json_schema_input_type=str | float | None),
]
"""`90s`, `5m`, `24h`, `7d`, an ISO 8601 duration or seconds."""
Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1024)]
Labels = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=255)], bool | int | float | Words],
    Field(max_length=64),
]


Body = TypeVar("Body", bound=Strict)


def each(model: type[Body], body: dict[str, Any], many: str) -> list[Body]:
    """The body itself, or each entry of its list `many`. Raises BadPayload with the full path of the first error."""
    if many not in body:
        return [shaped(model, body)]
    entries = body[many]
    if not isinstance(entries, list):
        raise BadPayload(f"expected a list, found {kind_of(entries)}", path=many)
    if len(body) > 1:
        raise BadPayload(f"nothing may stand beside {many!r}", path=min(set(body) - {many}))
    if len(entries) > MAX_BATCH:
        raise BadPayload(f"{len(entries)} entries; send at most {MAX_BATCH} in one message", path=many)
    return [_entry(model, entry, f"{many}.{n}") for n, entry in enumerate(entries)]


def _entry(model: type[Body], entry: object, path: str) -> Body:
    try:
        return shaped(model, entry)
    except BadPayload as error:
        raise BadPayload(error.reason, path=f"{path}.{error.path}".rstrip(".")) from None


def text_labels(labels: dict[str, str | bool | int | float], defaults: Mapping[str, str]) -> dict[str, str]:
    """Labels as texts over the hook's defaults."""
    return {**defaults, **labels_of(labels)}


def _plain(link: str) -> str:
    if link and not link_of(link):
        raise ValueError("not a plain http or https address")  # unquoted: it may hold a password
    return link


Link = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048), AfterValidator(_plain)]
"""An http or https address without credentials, or nothing. A bad one is refused, so that its sender learns of it."""
Links = Annotated[dict[Word, Link], Field(max_length=10)]
"""Name → address."""
