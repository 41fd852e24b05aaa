"""How good is the attribution on recorded or foreign incidents? `tocsin backtest CASES.jsonl --json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tocsin.cli._terminal import echo_json, progress_screen, screen

if TYPE_CHECKING:
    from tocsin.cli._backtest.cases import Case
    from tocsin.decide.experience import Experience

SECTION = "decide"
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--learn", "history", type=_FILE, help="Earlier cases with their truth, in order of time: teaches.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a case, and a summary as the last.")
@click.argument("cases", type=_FILE)
def backtest(*, history: Path | None, as_json: bool, cases: Path) -> None:
    """Score every case of CASES (JSON lines) as the product would have at its moment, and compare with its truth.

    The cases of a file are independent of one another; only --learn teaches. Needs no database."""
    from rich.progress import track

    from tocsin.cli._backtest.cases import cases_of
    from tocsin.cli._backtest.figures import Figures

    shown = progress_screen()
    experience = _learned(cases_of(history)) if history else _cold()
    figures = Figures()
    for case in track(cases_of(cases), "scoring", console=shown, disable=not shown.is_terminal):
        answer, suspects = answered(case, experience)
        figures.add(case.cause, suspects, answer["no_change"])
        if as_json:
            echo_json(answer)
    summary = figures.summary() | {"scorer": _scorer(), "learned_from": experience.confirmed}
    if as_json:
        echo_json({"summary": summary})
        return
    for name, value in summary.items():
        screen().print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


def answered(case: Case, experience: Experience) -> tuple[dict[str, Any], list[tuple[set[str], float]]]:
    """The answer to one case: suspects best first, and the chance of no known change. Beside it each suspect's ids (of
    overlapping changes judged as one) with its probability."""
    from tocsin.decide.attribute import attribute

    if not case.members:  # nothing had begun by then: nothing is blamed
        return {"id": case.id, "suspects": [], "no_change": 1.0}, []
    found = attribute(case.incident, case.changes, case.catalog, now=case.decide_at, experience=experience)
    suspects = [
        {"change": one.change.id, "probability": round(one.probability, 6), "band": one.band} for one in found.suspects
    ]
    ids = [({one.change.id, *one.members}, one.probability) for one in found.suspects]
    return {"id": case.id, "suspects": suspects, "no_change": round(found.no_change, 6)}, ids


def _learned(history: Iterable[Case]) -> Experience:
    """What the earlier cases teach, in the order of their time."""
    from tocsin.decide.experience import Learner, Lesson

    learner = Learner()
    for case in _in_time(history):
        if not case.members:
            continue
        learner.take(
            Lesson(
                members=case.members,
                changes=case.changes,
                catalog=case.catalog,
                decided_at=case.decide_at,
                told=case.cause is not None,
                cause=case.cause or "",
            )
        )
    return learner.experience


def _in_time(history: Iterable[Case]) -> Iterator[Case]:
    yield from sorted(history, key=lambda case: (case.decide_at, case.id))


def _cold() -> Experience:
    from tocsin.decide.experience import COLD

    return COLD


def _scorer() -> str:
    from tocsin.decide.attribute import SCORER

    return SCORER
