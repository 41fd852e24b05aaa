"""How does the body of a vendor's call read to a person? Names and texts, top to bottom, whatever its nesting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

LONG = 90
"""A text of more characters, or of several lines, stands in a block of its own."""
MAX_DEPTH = 40


def fields(body: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The body's short values and its texts, each as (dotted name, text) in the order of the call."""
    short: list[tuple[str, str]] = []
    texts: list[tuple[str, str]] = []
    for name, text in _flat(body, ""):
        if text.strip():
            (texts if len(text) > LONG or "\n" in text else short).append((name, text))
    return short, texts


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON
    if isinstance(value, Mapping) and value.get("type") == "doc":
        yield name, document_text(value)
    elif isinstance(value, Mapping) and name.count(".") < 3:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        yield name, ", ".join(map(str, value))
    elif isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        yield name, "\n".join(_one_line(one) for one in value)
    else:
        yield name, "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()


def _one_line(value: Mapping[str, Any]) -> str:
    """`Runbook https://…` for {"text": "Runbook", "href": "https://…"}."""
    parts = (one if isinstance(one, str | int | float) else orjson.dumps(one).decode() for one in value.values())
    return " ".join(map(str, parts))


_ENDS = ("paragraph", "heading", "codeBlock", "listItem", "tableRow", "blockquote", "rule")


def document_text(node: Mapping[str, Any], depth: int = 0) -> str:
    """The plain text of an Atlassian document, a line for each of its blocks."""
    if node.get("type") == "hardBreak":
        return "\n"
    inner = node.get("content")
    children = inner if isinstance(inner, list) and depth < MAX_DEPTH else []
    text = str(node.get("text") or "") + "".join(
        document_text(child, depth + 1) for child in children if isinstance(child, Mapping)
    )
    if node.get("type") in _ENDS and not text.endswith("\n"):
        return f"{text}\n"
    return text
