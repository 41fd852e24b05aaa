"""What does a body say when its schema is not published? Its fields by name, whatever the nesting and the spelling.

`{"monitor": {"displayName": "x"}}`, `{"monitor_display_name": "x"}` and `{"monitorDisplayName": "x"}` all have the
field `monitordisplayname`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tocsin.domain.errors import BadPayload
from tocsin.sources._json import number, text
from tocsin.sources._times import moment

MAX_FIELDS = 500
_NOT_A_LETTER = re.compile(r"[^a-z0-9]+")


class Named(Mapping[str, Any]):
    """The scalars of an object and of the objects within it, under plain lower-case names. Lists are left out."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._fields: dict[str, Any] = {}
        self._paths: dict[str, str] = {}
        for name, path, value in _scalars(body, "", ""):
            if len(self._fields) < MAX_FIELDS and value is not None and self._fields.get(name) is None:
                self._fields[name] = value
                self._paths[name] = path

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def text(self, *names: str, limit: int = 255) -> str:
        """The first of these fields that holds a text or a number, as text."""
        for name in names:
            value = self._fields.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return str(value)[:limit]
            if found := text(value, limit):
                return found
        return ""

    def number(self, *names: str) -> float | None:
        """The first of these fields that holds a number, or the text of one."""
        return next((value for value in map(number, map(self._fields.get, names)) if value is not None), None)

    def moment(self, *names: str) -> datetime | None:
        """The first of these fields that is filled, as a moment. Raises BadPayload with its path when it is none."""
        name = next((name for name in names if self._fields.get(name) not in (None, "")), "")
        try:
            return moment(self._fields.get(name))
        except BadPayload as error:
            raise BadPayload(error.reason, path=self._paths[name]) from None


def plain(name: str) -> str:
    """`critical_threshold`, `criticalThreshold` and `Critical Threshold` → `criticalthreshold`."""
    return _NOT_A_LETTER.sub("", name.lower())


def _scalars(body: Mapping[str, Any], prefix: str, path: str) -> Iterator[tuple[str, str, Any]]:
    """The outer fields before the inner ones, so that these do not hide them."""
    for key, value in body.items():
        if not isinstance(value, (dict, list)):
            yield prefix + plain(str(key)), f"{path}{key}", value
    for key, value in body.items():
        if isinstance(value, dict):
            yield from _scalars(value, prefix + plain(str(key)), f"{path}{key}.")
