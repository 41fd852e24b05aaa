"""What does a JMESPath expression find in a message? JMESPath with a few functions for headers and texts.

https://jmespath.org/specification.html; ours are `header`, `query`, `root`, `split`, `lower`, `replace`, `parse_json`.
Expressions come from the mappings, never from a message; none of them can loop or match a regular expression.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from tocsin.domain.errors import BadPayload
from tocsin.domain.message import Message
from tocsin.sources._json import parsed

MAX_TEXT = 10_000


class _Functions(functions.Functions):
    """Ours, for one message."""

    def __init__(self, message: Message, body: object) -> None:
        super().__init__()
        self._message = message
        self._body = body

    @functions.signature({"types": ["string"]})
    def _func_header(self, name: str) -> str | None:
        return self._message.headers.get(name.lower())

    @functions.signature({"types": ["string"]})
    def _func_query(self, name: str) -> str | None:
        return self._message.query.get(name)

    @functions.signature()
    def _func_root(self) -> object:
        return self._body

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text[:MAX_TEXT].split(separator) if separator else [text]

    @functions.signature({"types": ["string"]})
    def _func_lower(self, text: str) -> str:
        return text.lower()

    @functions.signature({"types": ["string"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_replace(self, text: str, old: str, new: str) -> str:
        return text[:MAX_TEXT].replace(old, new)[:MAX_TEXT] if old else text

    @functions.signature({"types": ["string"]})
    def _func_parse_json(self, text: str) -> object:
        return parsed(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=4096)
def compiled(text: str) -> ParsedResult:
    """The expression, ready to search. Raises ValueError with the place of a mistake in it."""
    try:
        found: ParsedResult = jmespath.compile(text)
    except (JMESPathError, ValueError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"is no JMESPath expression: {words[:160]}") from None
    return found


class Finder:
    """Searches one message's items; knows its headers and its whole body."""

    def __init__(self, message: Message, body: object) -> None:
        self._options = jmespath.Options(custom_functions=_Functions(message, body))

    def find(self, text: str, item: object, *, field: str) -> Any:  # noqa: ANN401 any JSON value
        """What the expression gives for this item. Raises BadPayload where it cannot be worked out for it."""
        try:
            return compiled(text).search(item, options=self._options)
        except JMESPathError as error:
            raise BadPayload(f"{text!r}: {' '.join(str(error).split())[:160]}", path=field) from None

    def holds(self, text: str, item: object, *, field: str) -> bool:
        """Whether the condition is true: as JMESPath has it, empty texts and lists are false, and 0 is not."""
        found = self.find(text, item, field=field)
        return found is not None and found is not False and found not in ("", [], {})
