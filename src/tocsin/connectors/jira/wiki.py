"""What is our plain text in Data Center's wiki notation, so that nothing in it is taken for markup?

https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all
"""

from __future__ import annotations

import re

from tocsin.connectors._connector import cut
from tocsin.connectors.jira.blocks import Block, blocks

MAX_TEXT = 32_000  # the field takes 32,767 characters
_ANYWHERE = re.compile(r"[{}\[\]|\\]|!(?=\S)")
"""Macros, links, tables, pictures: they need no blank before them."""
_AT_A_WORDS_START = re.compile(r"(?<![\w\\])([*_+^~-]|\?\?)(?=\w)")
"""Emphasis of all kinds: only where a word starts."""
_AT_A_LINES_START = re.compile(r"^([*#-]+(?=\s)|h[1-6]\.|bq\.|-{3,4}$)")
"""Lists, headings, quotations, rulers."""


def wiki(text: str) -> str:
    """Paragraphs with what looks like markup escaped, columns in {noformat}. Cut to the field's limit."""
    found = _wiki(text)
    while len(found) > MAX_TEXT:
        text = cut(text, min(MAX_TEXT, len(text) * 9 // 10))
        found = _wiki(text)
    return found


def _wiki(text: str) -> str:
    return "\n\n".join(_block(block) for block in blocks(text))


def _block(block: Block) -> str:
    if block.code:
        lines = "\n".join(block.lines).replace("{noformat}", "{ noformat }")
        return "{noformat}\n" + lines + "\n{noformat}"
    return "\n".join(_line(line) for line in block.lines)


def _line(line: str) -> str:
    said = _ANYWHERE.sub(lambda match: "\\" + match[0], line)
    said = _AT_A_WORDS_START.sub(lambda match: "\\" + match[0], said)
    return _AT_A_LINES_START.sub(lambda match: "\\" + match[0], said)
