"""What is our plain text as an Atlassian document? REST v3 refuses plain strings.

https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from __future__ import annotations

from itertools import groupby

import orjson

from tocsin.connectors._connector import cut

MAX_SERIALIZED = 30_000  # the field's limit is 32,767; a document may be counted as serialized (vendors.md §2.1)
_INDENT = "    "
_COLUMN = _INDENT * 2
Node = dict[str, object]


def document(text: str) -> Node:
    """Paragraphs at empty lines, code blocks where lines are indented by four; what is aligned in columns (a line
    indented by eight or more) is a code block as a whole. Cut to the field's limit."""
    text = cut(text, MAX_SERIALIZED)
    found = _document(text)
    while len(orjson.dumps(found)) >= MAX_SERIALIZED:
        text = cut(text, len(text) * 4 // 5)
        found = _document(text)
    return found


def _document(text: str) -> Node:
    lines = [line.rstrip() for line in text.expandtabs(4).splitlines()]
    parts = [list(group) for filled, group in groupby(lines, key=bool) if filled]
    return {"type": "doc", "version": 1, "content": [block for part in parts for block in _blocks(part)]}


def _blocks(part: list[str]) -> list[Node]:
    """Of lines without an empty one between them."""
    if any(line.startswith(_COLUMN) for line in part):
        return [{"type": "codeBlock", "content": [{"type": "text", "text": "\n".join(part)}]}]
    return [_block(kind, list(group)) for kind, group in groupby(part, key=_kind)]


def _kind(line: str) -> str:
    return "codeBlock" if line.startswith(_INDENT) else "paragraph"


def _block(kind: str, lines: list[str]) -> Node:
    if kind == "codeBlock":
        text = "\n".join(line.removeprefix(_INDENT) for line in lines)
        return {"type": kind, "content": [{"type": "text", "text": text}]}
    content: list[Node] = []
    for line in lines:
        if content:
            content.append({"type": "hardBreak"})
        content.append({"type": "text", "text": line.strip()})
    return {"type": kind, "content": content}
