"""What does a body say? JSON as senders really write it, and its shape checked against a pydantic model."""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from tocsin.domain.errors import BadPayload

MAX_DEPTH = 64
"""Deeper nesting is no alert: real bodies stay under 15 levels."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.?)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
"""A string (an unfinished one runs to the end, which keeps the search linear) or a bracket."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTAINERS = frozenset({dict, list})
_BOM = b"\xef\xbb\xbf"

Shape = TypeVar("Shape", bound=BaseModel)


def parsed(body: bytes) -> Any:  # noqa: ANN401
    """The body's JSON value. NaN and infinities become None, of duplicate keys the last stands, NUL characters
    (which PostgreSQL cannot keep) become U+FFFD.

    Raises BadPayload for what is not JSON, not UTF-8, has lone surrogates or is nested deeper than MAX_DEPTH."""
    body = body.removeprefix(_BOM)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as strict:
        value = _leniently(body, strict)
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _refuse_depth(value)
    return _without_nul(value) if b"\\u0000" in body else value


def parsed_object(body: bytes) -> dict[str, Any]:
    """The body's JSON object. Raises BadPayload for any other JSON value, and as `parsed` does."""
    value = parsed(body)
    if not isinstance(value, dict):
        raise BadPayload(f"expected a JSON object, found {kind_of(value)}")
    return value


def shaped(model: type[Shape], data: object) -> Shape:
    """`data` as the model. Raises BadPayload with the path of the first error and how many more there are."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        more = error.error_count() - 1
        reason = first["msg"].removeprefix("Value error, ") + (f" (and {more} more)" if more else "")
        raise BadPayload(reason, path=".".join(str(step) for step in first["loc"])) from None


def number(value: object) -> float | None:
    """A finite number from a JSON number or its text (`"0.41"`, `"93%"` → 93.0); None when there is none in it."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        value = value.strip().removesuffix("%")[:64]
    elif not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def text(value: object, limit: int = 1024) -> str:
    """A stripped text of at most `limit` characters; empty for anything that is not a text."""
    return value.strip()[:limit] if isinstance(value, str) else ""


def kind_of(value: object) -> str:
    """The JSON name of a value's type, for error messages."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _leniently(body: bytes, strict: orjson.JSONDecodeError) -> Any:  # noqa: ANN401
    """Python's own parser takes NaN, Infinity and huge numbers; nesting is measured before it recurses."""
    if _bracket_depth(body) > MAX_DEPTH:
        raise BadPayload(f"nested deeper than {MAX_DEPTH} levels")
    try:
        decoded = body.decode("utf-8")
        value = json.loads(decoded, parse_constant=lambda _: None, parse_float=_finite)
    except UnicodeDecodeError:
        raise BadPayload("the body is not UTF-8") from None
    except ValueError:  # JSONDecodeError, or an integer of more than 4300 digits
        where = f"line {strict.lineno} column {strict.colno}"
        raise BadPayload(f"the body is not JSON: {strict.msg[:120]} at {where}") from None
    if "\\u" in decoded:
        _refuse_surrogates(value)
    return value


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _bracket_depth(body: bytes) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(body):
        if token[0] in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in (b"]", b"}"):
            depth -= 1
    return deepest


def _refuse_depth(value: Any) -> None:  # noqa: ANN401
    """Walks level by level, so that no nesting can exhaust the stack."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        below = []
        for node in level:
            children = node.values() if type(node) is dict else node
            if not _CONTAINERS.isdisjoint(map(type, children)):
                below += [child for child in children if type(child) in _CONTAINERS]
        if not below:
            return
        level = below
    raise BadPayload(f"nested deeper than {MAX_DEPTH} levels")


def _refuse_surrogates(value: object) -> None:
    """Half a character cannot be stored as UTF-8."""
    if _LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise BadPayload("the body has a lone surrogate (half a character)")


def _without_nul(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return value
