"""How good is the attribution on recorded or foreign incidents? `tocsin backtest CASES.jsonl --json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tocsin.cli._terminal import echo_json, progress_screen, screen

if TYPE_CHECKING:
    from tocsin.cli._backtest.cases import Case
    from tocsin.cli._backtest.history import Taught
    from tocsin.domain.incident import Suspect

SECTION = "decide"
DIGITS = 12
"""Of a probability: enough to tell whether a stored decision was met exactly, and free of a float's last noise."""
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--learn", "history", type=_FILE, help="Earlier cases with their truth, in order of time: teaches.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a case, and a summary as the last.")
@click.argument("cases", type=_FILE)
def backtest(*, history: Path | None, as_json: bool, cases: Path) -> None:
    """Score every case of CASES (JSON lines) as the product would have at its moment, and compare with its truth.

    The cases of a file are independent of one another; only --learn teaches. Needs no database."""
    from tocsin.cli._backtest.cases import cases_of
    from tocsin.cli._backtest.figures import Figures
    from tocsin.cli._backtest.history import NOTHING, taught_by

    taught = taught_by(_watched(cases_of(history), "learning")) if history else NOTHING
    figures = Figures()
    for case in _watched(cases_of(cases), "scoring"):
        answer, suspects = answered(case, taught)
        figures.add(case.cause, suspects, answer["no_change"])
        if as_json:
            echo_json(answer)
    summary = figures.summary() | {
        "scorer": _scorer(),
        "learned_from": taught.experience.confirmed,
        "order": taught.record.order,
    }
    if as_json:
        echo_json({"summary": summary})
        return
    for name, value in summary.items():
        screen().print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


def _watched(cases: Iterable[Case], doing: str) -> Iterable[Case]:
    from rich.progress import track

    shown = progress_screen()
    return track(cases, doing, console=shown, disable=not shown.is_terminal)


def answered(case: Case, taught: Taught) -> tuple[dict[str, Any], list[tuple[set[str], float]]]:
    """The answer to one case: changes best first, and the chance of no known change. Beside it each suspect's ids (of
    overlapping changes judged as one) with its probability."""
    from tocsin.decide.evidence import band
    from tocsin.decide.guard import shown
    from tocsin.decide.recurrence import asked, seen_before

    if not case.members:  # nothing had begun by then: nothing is blamed
        return {"id": case.id, "suspects": [], "no_change": 1.0}, []
    found = shown(
        case.incident,
        case.changes,
        case.catalog,
        now=case.decide_at,
        experience=taught.experience,
        record=taught.record,
        series=case.series,
    )
    question = asked(case.incident, found)
    found = seen_before(found, question, taught.chronicle.earlier(question))
    suspects = [
        {"change": id, "probability": round(probability, DIGITS), "band": band(probability)}
        for id, probability in _each(found.suspects)
    ]
    ids = [({one.change.id, *one.members}, one.probability) for one in found.suspects]
    return {"id": case.id, "suspects": suspects, "no_change": round(found.no_change, DIGITS)}, ids


def _each(suspects: Sequence[Suspect]) -> list[tuple[str, float]]:
    """Every change with its probability: who asks for one change does not know which are judged as one. Best first,
    where the suspects stand so; where something else orders them, each is followed by those judged as one with it."""
    each = [
        part
        for one in suspects
        for part in (
            (one.change.id, one.probability - sum(one.member_shares)),
            *sorted(zip(one.members, one.member_shares, strict=True), key=lambda part: -part[1]),
        )
    ]
    by_size = all(one.probability >= other.probability for one, other in pairwise(suspects))
    return sorted(each, key=lambda part: -part[1]) if by_size else each


def _scorer() -> str:
    from tocsin.decide.attribute import SCORER

    return SCORER
