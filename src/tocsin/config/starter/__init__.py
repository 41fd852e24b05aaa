"""A first mappings tree, small and commented: what `tocsin init` writes."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

SECRETS = ("alerts", "changes")
"""Names in secrets/ that the tree's hooks expect."""


def tree() -> dict[str, str]:
    """Path → text of every file of the first tree."""
    return dict(sorted(_below(files(__name__), "")))


def _below(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in folder.iterdir():
        if item.is_dir() and not item.name.startswith("_"):
            found += _below(item, f"{prefix}{item.name}/")
        elif item.name.endswith((".yaml", ".md")):
            found.append((f"{prefix}{item.name}", item.read_text(encoding="utf-8")))
    return found
