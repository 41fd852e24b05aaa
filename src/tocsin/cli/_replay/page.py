"""The report of a replay as one HTML file that needs nothing else, everything in it escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tocsin.cli._replay.report import OUTCOMES, rows_of

TEMPLATES = Path(__file__).parent / "templates"


def page(told: dict[str, Any]) -> str:
    """The whole page."""
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return pages.get_template("replay.html").render(
        told=told, outcomes=OUTCOMES, rows=list(rows_of(told["differences"]))
    )
