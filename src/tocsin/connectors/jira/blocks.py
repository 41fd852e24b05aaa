"""Which parts of our plain text are paragraphs, and which must keep their columns?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

_INDENT = "    "
_COLUMN = _INDENT * 2
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What neither XML nor Jira's database takes, and halves of characters that JSON cannot carry."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that stand together; `code` keeps them as they are. Never empty, and no line is."""

    code: bool
    lines: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """Paragraphs end at empty lines; lines indented by four are code; what is aligned in columns (a line indented by
    eight or more) is code as a whole."""
    lines = [line.rstrip() for line in _UNPRINTABLE.sub("", text).expandtabs(4).splitlines()]
    parts = [list(group) for filled, group in groupby(lines, key=bool) if filled]
    return [block for part in parts for block in _parted(part)]


def _parted(part: list[str]) -> list[Block]:
    if any(line.startswith(_COLUMN) for line in part):
        return [Block(True, tuple(part))]
    return [
        Block(code, tuple(line.removeprefix(_INDENT) if code else line.strip() for line in group))
        for code, group in groupby(part, key=lambda line: line.startswith(_INDENT))
    ]
