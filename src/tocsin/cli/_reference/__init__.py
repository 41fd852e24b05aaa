"""The reference pages, each made from the code that it describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tocsin.cli._reference import commands, connectors, mappings, metrics, reasons, routes, settings, sources
from tocsin.cli._reference.markdown import made

PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": routes.page,
    "cli.md": commands.page,
    "connectors.md": connectors.page,
    "mappings.md": mappings.page,
    "metrics.md": metrics.page,
    "reasons.md": reasons.page,
    "settings.md": settings.page,
    "sources.md": sources.page,
}
"""File name → what makes its text."""


def texts() -> dict[str, str]:
    """File name → text, as it is kept in docs/reference."""
    return {name: made(page()) for name, page in PAGES.items()}


def write(directory: Path) -> list[str]:
    """Write every page; answers the names of the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = texts()
    for name, text in written.items():
        (directory / name).write_text(text, encoding="utf-8")
    return sorted(written)


def stale(directory: Path) -> list[str]:
    """The pages that are missing or differ from what the code says now."""
    kept = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.md")}
    return sorted(name for name, text in texts().items() if kept.get(name) != text)
