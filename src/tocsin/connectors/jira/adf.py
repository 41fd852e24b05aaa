"""What is our plain text as an Atlassian document? REST v3 refuses plain strings.

https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from __future__ import annotations

from itertools import groupby

import orjson

from tocsin.connectors._connector import cut

MAX_SERIALIZED = 30_000  # the field's limit is 32,767; a document may be counted as serialized (vendors.md §2.1)
_INDENT = "    "
Node = dict[str, object]


def document(text: str) -> Node:
    """Paragraphs at empty lines, code blocks where lines are indented by four; cut to the field's limit."""
    text = cut(text, MAX_SERIALIZED)
    found = _document(text)
    while len(orjson.dumps(found)) >= MAX_SERIALIZED:
        text = cut(text, len(text) * 4 // 5)
        found = _document(text)
    return found


def _document(text: str) -> Node:
    lines = text.expandtabs(4).splitlines()
    return {
        "type": "doc",
        "version": 1,
        "content": [
            _block(kind, [line.rstrip() for line in group])
            for kind, group in groupby(lines, key=_kind)
            if kind != "empty"
        ],
    }


def _kind(line: str) -> str:
    if not line.strip():
        return "empty"
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
