"""How is a table, a link target or a fixed default written in Markdown?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import tocsin

PACKAGE = Path(tocsin.__file__).parent
HEADER = "<!-- Made from the code by `tocsin reference --write docs/reference`; do not edit. -->\n\n"


def made(text: str) -> str:
    """A whole page: with its header, one newline at the end."""
    return f"{HEADER}{text.strip()}\n"


def cell(text: object) -> str:
    """Text inside a table: one line, with Markdown's own signs made harmless outside of code."""
    parts = " ".join(str(text).split()).split("`")
    for at in range(0, len(parts), 2):
        parts[at] = re.sub(r"([*<>])", r"\\\1", parts[at])
    return "`".join(parts).replace("|", r"\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: object) -> str:
    """The text as code; empty when there is none."""
    return f"`{text}`" if str(text) else ""


def anchor(heading: str) -> str:
    """The link target that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def default_of(value: object) -> str:
    """A default as an operator would write it; empty for "nothing"."""
    match value:
        case bool():
            return code(str(value).lower())
        case timedelta():
            return code(span(value))
        case dict():
            return code(", ".join(f"{key}: {item}" for key, item in value.items()))
        case list() | tuple() | set() | frozenset():
            return code(", ".join(str(item) for item in value))
        case None:
            return ""
        case _:
            return code(value)


def span(value: timedelta) -> str:
    """A span as mappings write it: the largest unit that leaves no rest."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def first_sentence(doc: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((doc or "").strip().partition("\n\n")[0].split())


def modules(folder: str = "") -> Iterator[tuple[str, ast.Module]]:
    """Every module below a folder of the package, parsed, by its path in the package; sorted."""
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def text_of(node: ast.AST | None) -> str:
    """The string that a node spells; empty for any other node."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
