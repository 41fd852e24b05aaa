"""How findings look on a terminal: a heading for each part, a line for each finding, and what to do beneath it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tocsin.domain.seen import Finding, Grade

if TYPE_CHECKING:
    from rich.console import Console

SIGNS = {Grade.OK: ("✓", "green"), Grade.NOTE: ("·", "blue"), Grade.WARNING: ("!", "yellow"), Grade.ERROR: ("✗", "red")}
RANK = (Grade.OK, Grade.NOTE, Grade.WARNING, Grade.ERROR)


def worst(findings: Sequence[Finding]) -> Grade:
    """The worst grade of these; ok when there are none."""
    return max((finding.grade for finding in findings), key=RANK.index, default=Grade.OK)


def show(console: Console, parts: Mapping[str, Sequence[Finding]]) -> None:
    """Print every part, the worst findings of each first."""
    for heading, findings in parts.items():
        console.print(Text(f"\n{heading}", style="bold"))
        table = Table.grid(padding=(0, 1), expand=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", ratio=1)
        for finding in sorted(findings, key=lambda one: -RANK.index(one.grade)):
            _row(table, finding)
        console.print(table)


def _row(table: Table, finding: Finding) -> None:
    sign, colour = SIGNS[finding.grade]
    value = Text(finding.value, style="bold" if finding.grade is not Grade.OK else "")
    said = Text(f"{': ' if finding.value and finding.says else ''}{finding.says}")
    table.add_row(Text(f"  {sign}", style=colour), Text(finding.check, style=colour), value + said)
    if finding.remedy and finding.grade is not Grade.OK:
        table.add_row("", "", Text(f"→ {finding.remedy}", style="dim"))


def summed_up(parts: Mapping[str, Sequence[Finding]]) -> Text:
    """`2 errors, 1 warning in 4 parts`."""
    every = [finding for findings in parts.values() for finding in findings]
    counts = {grade: sum(one.grade is grade for one in every) for grade in RANK}
    words = [
        f"{counts[grade]} {grade}{'s' if counts[grade] != 1 else ''}"
        for grade in (Grade.ERROR, Grade.WARNING, Grade.NOTE)
        if counts[grade]
    ]
    if not words:
        return Text(f"All {len(every)} checks are well.", style="green")
    style = SIGNS[worst(every)][1]
    return Text(f"{', '.join(words)}; {counts[Grade.OK]} of {len(every)} checks are well.", style=style)
