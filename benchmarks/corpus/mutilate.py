"""A body as a broken sender, proxy or attacker might send it: cut, retyped, deep, huge, half a character."""

from __future__ import annotations

import json
import random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, -1, 10**40, 1e300, "", "\x00", "a" * 5000, [], {}, [[]], {"": None}),
    *("0001-01-01T00:00:00Z", "NaN", "9" * 400, {"a": {"a": {"a": {}}}}, ["x"] * 50),
)
SLIPS = ("", "NaN", "1e999", "-Infinity", '"\\ud83d"', "[" * 70 + "]" * 70, '"\\u0000"', "9" * 5000)


def mutilated(raw: bytes, chance: random.Random) -> bytes:
    """A damaged copy; the same chance gives the same copy."""
    if chance.random() < 0.2:
        return raw[: chance.randrange(len(raw) + 1)]
    if chance.random() < 0.1:
        at = chance.randrange(len(raw) or 1)
        return raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
    value = json.loads(raw)
    for _ in range(chance.randint(1, 4)):
        value = _damaged(value, chance)
    text = json.dumps(value)
    slip = chance.choice(SLIPS)
    return (text.replace("null", slip, 1) if slip else text).encode("utf-8", "surrogatepass")


def _damaged(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 any JSON value
    """The value with one part of it dropped, swapped or replaced by something odd."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.15:
        return chance.choice(ODD)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = chance.choice(keys)
    copy = value.copy()
    if chance.random() < 0.15:
        del copy[key]
    else:
        copy[key] = _damaged(value[key], chance)
    return copy
