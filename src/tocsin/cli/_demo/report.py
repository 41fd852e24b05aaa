"""The report that the demo leaves behind: one HTML file that needs nothing else, everything in it escaped."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tocsin.cli._demo import expected
from tocsin.cli._demo.play import Outcome
from tocsin.cli._demo.show import TITLES, fields_line, proud_line
from tocsin.cli._demo.timeline import timeline

TEMPLATES = Path(__file__).parent / "templates"


def written(outcome: Outcome, *, now: datetime) -> str:
    """The whole page."""
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    muted = [insight for insight in outcome.insights if insight.muted]
    scenes = [
        {
            "scenario": scenario,
            "tickets": [
                {"ticket": ticket, "desk": TITLES[ticket.desk], "fields": fields_line(ticket)}
                for ticket in expected.mine(scenario, outcome.last)
            ],
            "insight": (insight := outcome.insight_of(scenario)),
            "timeline": timeline(insight) if insight else "",
            "checks": outcome.checks.get(scenario.key, []),
        }
        for scenario in sorted(outcome.scenarios, key=lambda each: not each.records)
    ]
    return pages.get_template("report.html").render(
        headline=proud_line(outcome.posted, outcome.last, len(muted)),
        at=now.strftime("%A %d %B %Y, %H:%M UTC"),
        took_s=round(outcome.took_s),
        scenes=scenes,
        muted=muted,
        failed=outcome.failed,
        held=sum(check.holds for checks in outcome.checks.values() for check in checks),
        everything=outcome.checks.get("all", []),
    )
