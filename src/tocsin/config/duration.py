"""How long is `5m`, `1h30m`, `14d`?"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

PATTERN = r"^([0-9]+(s|m|h|d|w))+$"
_PART = re.compile(r"([0-9]+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MAX_CHARS = 40


def parse(text: object) -> timedelta:
    """The span written as numbers with units s, m, h, d, w, such as `90s`, `1h30m`, `2w`.

    Raises ValueError for anything else: a bare number says no unit, and a guess could be wrong sixtyfold.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or len(text) > _MAX_CHARS or not re.fullmatch(PATTERN, text, re.ASCII):
        raise ValueError("is not a duration; write a number with its unit: 90s, 5m, 2h, 14d, 1h30m")
    try:
        return sum((timedelta(**{_UNITS[unit]: int(count)}) for count, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        raise ValueError("is longer than a calendar can hold; write something like 90s, 5m, 2h, 14d") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(parse),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["90s", "5m", "2h", "14d"]}),
]
