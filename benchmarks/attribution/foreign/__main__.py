"""`python -m benchmarks.attribution.foreign`: the product, cold and learned, on worlds of another make, beside rules.

Judged as an outsider would: by the ids that `tocsin backtest --json` prints and their probabilities. The first part of
each seed's incidents is told (`--learn`), the rest is judged.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.attribution.foreign import callgraphs, feeds, reactions, rollouts
from benchmarks.attribution.foreign.lines import Json
from benchmarks.attribution.foreign.rules import RULES, Graph, rank_of, scores
from benchmarks.attribution.measure import LIKELY, auroc, difference, ece
from tocsin.cli._backtest.cases import Reader
from tocsin.cli._backtest.history import NOTHING, Taught, taught_by
from tocsin.cli.backtest import answered
from tocsin.decide.attribute import SCORER

WORLDS: dict[str, Callable[[int], Iterator[Json]]] = {
    "rollouts": rollouts.cases,
    "rollouts-minutes": partial(rollouts.cases, lags="minutes"),
    "callgraphs": callgraphs.cases,
    "feeds": feeds.cases,
    "reactions": reactions.cases,
}
TOLD = 0.4
"""Of each seed's incidents, the first: what is learned from."""
MODELS = ("cold", "learned")
FIGURES = ("top1", "top3", "mrr", "brier", "ece", "precision", "coverage", "false", "culprit removed", "auroc")


class Answers:
    """What everybody answered to one world's incidents."""

    def __init__(self) -> None:
        self.caused: list[bool] = []
        self.places: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self.first: dict[str, list[float]] = defaultdict(list)
        self.no_change: dict[str, list[float]] = defaultdict(list)
        self.without: dict[str, list[float]] = defaultdict(list)
        """P of the first suspect, the culprit taken out of the file."""

    def hits(self, who: str) -> np.ndarray:
        """Per caused incident: the chance that the cause stands first."""
        return np.array([place[0] for place, caused in zip(self.places[who], self.caused, strict=True) if caused])

    def figures(self, who: str) -> dict[str, float]:
        """All figures of correlation.md §9.5, by printed ids."""
        caused = np.array(self.caused)
        places = np.array(self.places[who])
        found = dict(zip(FIGURES, places[caused].mean(axis=0).tolist(), strict=False))
        if who not in MODELS:
            return found
        p, right = np.array(self.first[who]), places[:, 0]
        likely = p >= LIKELY
        return found | {
            "brier": float(((p - right) ** 2).mean()),
            "ece": ece(p, right),
            "precision": float(right[likely].mean()) if likely.any() else float("nan"),
            "coverage": float(likely[caused].mean()),
            "false": float(likely[~caused].mean()),
            "culprit removed": float((np.array(self.without[who]) >= LIKELY).mean()),
            "auroc": auroc(np.array(self.no_change[who]), ~caused),
        }


def main() -> int:
    """Print one table a world."""
    asked = _arguments()
    screen = Console(width=150)
    screen.print(f"{SCORER}; seeds {asked.seed} to {asked.seed + asked.seeds - 1}")
    for name in asked.worlds or WORLDS:
        found = Answers()
        for seed in range(asked.seed, asked.seed + asked.seeds):
            judge(list(WORLDS[name](seed)), found)
        screen.print(_table(name, found))
        best = max(RULES, key=lambda rule: float(found.hits(rule).mean()))
        for model in MODELS:
            gap, low, high = difference(found.hits(model), found.hits(best))
            screen.print(f"{model} - {best}: top-1 {gap:+.3f} ({low:+.3f} to {high:+.3f})")
        screen.print()
    return 0


def judge(cases: list[Json], found: Answers) -> None:
    """Answer the later incidents of one seed, after having been told the earlier ones."""
    reader, graph = Reader(), Graph(cases[0]["catalog"]["entries"])
    told = int(len(cases) * TOLD)
    taught = taught_by(reader.case(orjson.dumps(one), "history") for one in cases[:told])
    for case in cases[told:]:
        cause = case["truth"]["change"] or ""
        found.caused.append(bool(cause))
        for rule, numbers in scores(case, graph).items():
            found.places[rule].append(rank_of(cause, numbers))
        without = case | {"changes": [one for one in case["changes"] if one["id"] != cause]}
        for model, what in zip(MODELS, (NOTHING, taught), strict=True):
            printed = _printed(case, reader, what)
            ids = [one["change"] for one in printed["suspects"]]
            at = ids.index(cause) if cause in ids else None
            place = (0.0, 0.0, 0.0) if at is None else (float(at < 1), float(at < 3), 1 / (at + 1))
            found.places[model].append(place)
            found.first[model].append(_first(printed))
            found.no_change[model].append(printed["no_change"])
            if cause:
                found.without[model].append(_first(_printed(without, reader, what)))


def _printed(case: Json, reader: Reader, taught: Taught) -> Json:
    return answered(reader.case(orjson.dumps(case), case["id"]), taught)[0]


def _first(printed: Json) -> float:
    return float(printed["suspects"][0]["probability"]) if printed["suspects"] else 0.0


def _table(name: str, found: Answers) -> Table:
    table = Table(
        "scorer", *FIGURES, title=f"{name}: {len(found.caused)} incidents, {sum(found.caused)} caused", box=None
    )
    for who in (*RULES, *MODELS):
        figures = found.figures(who)
        table.add_row(who, *(f"{figures[key]:.3f}" if key in figures else "" for key in FIGURES))
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attribution.foreign", description=__doc__)
    parser.add_argument("--seed", type=int, default=101, help="the first seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("worlds", nargs="*", choices=[*WORLDS, []], help=f"{', '.join(WORLDS)}; default: all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
