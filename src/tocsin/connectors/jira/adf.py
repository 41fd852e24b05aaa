"""What is our plain text as an Atlassian document? REST v3 refuses plain strings.

https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from tocsin.connectors._connector import cut
from tocsin.connectors.jira.blocks import Block, blocks

MAX_SERIALIZED = 30_000  # the field's limit is 32,767; a document may be counted as serialized (vendors.md §2.1)
_URL = re.compile(r"https?://[^\s<>\"'{}|\\^`\[\]]+")
_AFTER_URL = ".,;:!?)"
Node = dict[str, object]


def document(text: str) -> Node:
    """Paragraphs and code blocks (see blocks.py); addresses in paragraphs are links. Cut to the field's limit."""
    text = cut(text, MAX_SERIALIZED)
    found = _document(text)
    while len(orjson.dumps(found)) >= MAX_SERIALIZED:
        text = cut(text, len(text) * 4 // 5)
        found = _document(text)
    return found


def _document(text: str) -> Node:
    return {"type": "doc", "version": 1, "content": [_node(block) for block in blocks(text)]}


def _node(block: Block) -> Node:
    if block.code:
        return {"type": "codeBlock", "content": [{"type": "text", "text": "\n".join(block.lines)}]}
    content: list[Node] = []
    for line in block.lines:
        if content:
            content.append({"type": "hardBreak"})
        content += _line(line)
    return {"type": "paragraph", "content": content}


def _line(line: str) -> Iterator[Node]:
    """The words of a line, its addresses as links; no empty text, which the format forbids."""
    at = 0
    for match in _URL.finditer(line):
        url = match[0].rstrip(_AFTER_URL)
        if match.start() > at:
            yield {"type": "text", "text": line[at : match.start()]}
        yield {"type": "text", "text": url, "marks": [{"type": "link", "attrs": {"href": url}}]}
        at = match.start() + len(url)
    if at < len(line):
        yield {"type": "text", "text": line[at:]}
