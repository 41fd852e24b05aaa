"""`python -m benchmarks.run`: measure, print, and write docs/benchmarks.md when everything was measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import click
from rich.console import Console

from benchmarks import measures
from benchmarks.catalogue import catalogue
from benchmarks.installation import TooSlowError
from benchmarks.report import Figure, as_json, show, write_page

EVERYTHING: tuple[tuple[str, Callable[[], Iterable[Figure]]], ...] = (
    ("catalogue", catalogue),
    ("receiver", measures.receiver),
    ("end to end, beside Alerta", measures.beside_alerta),
    ("storm and memory", measures.storm_and_memory),
    ("steady", measures.steady),
)
ALONE: dict[str, Callable[[], Iterable[Figure]]] = {
    "catalogue": catalogue,
    "receiver": measures.receiver,
    "end_to_end": measures.end_to_end,
    "alerta": measures.beside_alerta,
    "storm": lambda: measures.storm_and_memory(memory=False),
    "memory": lambda: measures.storm_and_memory(storm=False),
    "steady": measures.steady,
}


@click.command()
@click.option("--only", type=click.Choice(list(ALONE)), help="One measure; docs/benchmarks.md stays as it is.")
@click.option("--json", "json_", is_flag=True, help="Print JSON instead of the table.")
def main(only: str | None, json_: bool) -> None:
    """Measure Tocsin on this machine; takes under 12 minutes and only uses loopback."""
    wanted = ((only, ALONE[only]),) if only else EVERYTHING
    load = [os.getloadavg()[0]]
    figures: list[Figure] = []
    for name, measure in wanted:
        figures += _measured(name, measure)
    load.append(os.getloadavg()[0])
    if json_:
        click.echo(as_json(figures, load))
    else:
        show(figures, load)
    if not only:
        write_page(figures, load)


def _measured(name: str, measure: Callable[[], Iterable[Figure]]) -> list[Figure]:
    """What a measure finds; one that does not end in time is a miss and does not stop the others."""
    figures: list[Figure] = []
    with Console(stderr=True).status(f"measuring {name}"):
        try:
            for figure in measure():
                figures.append(figure)
        except (TooSlowError, TimeoutError) as error:
            words = " ".join(str(error).split())[-300:]
            figures.append(Figure(measure=name, what="ended early", target="to end", met=False, note=words))
    return figures


if __name__ == "__main__":
    main()
