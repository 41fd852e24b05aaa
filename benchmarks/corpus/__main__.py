"""`make corpus`: every real body against its golden facts, mutilated copies of each, and microseconds a body."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.corpus.bodies import CORPUS, GOLDEN, Body, bodies, facts, is_here, message_and_hook
from benchmarks.corpus.mutilate import mutilated
from tocsin.domain.errors import BadMapping, BadPayload
from tocsin.sources import find

REPEATS = 20


def main() -> int:
    """Exit status: 0 all as the golden file says and nothing but BadPayload raised; 1 otherwise; 2 no corpus."""
    asked = _arguments()
    screen = Console()
    if not is_here():
        screen.print(f"no payload corpus at {CORPUS}; set TOCSIN_CORPUS to its folder")
        return 2
    every = bodies()
    found = {body.path: facts(body) for body in every}
    if asked.accept:
        GOLDEN.write_text(_text(found), encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    wrong = [path for path in found if golden.get(path) != json.loads(json.dumps(found[path]))]
    raised = [words for body in track(every, "mutilating", console=Console(stderr=True))
              for words in fuzzed(body, asked.fuzz, asked.seed)]  # fmt: skip
    spent = {body.path: spent_us(body) for body in every}
    screen.print(_table(found, spent, wrong))
    outcomes = Counter(_outcome(one) for one in found.values())
    median, worst = statistics.median(spent.values()), max(spent, key=lambda path: spent[path])
    screen.print(f"{len(found)} bodies: " + ", ".join(f"{n} {word}" for word, n in outcomes.most_common()))
    screen.print(f"median {median:.0f} µs a body; slowest {worst} {spent[worst]:.0f} µs")
    screen.print(f"{asked.fuzz * len(every)} mutilated copies (seed {asked.seed}): {len(raised)} raised")
    for words in [*(f"differs from the golden file: {path}" for path in wrong), *raised][:40]:
        screen.print(words, style="red")
    return 1 if wrong or raised else 0


def fuzzed(body: Body, copies: int, seed: int) -> list[str]:
    """What mutilated copies raised that is not BadPayload."""
    chance = random.Random(f"{seed} {body.path}")
    raised = []
    for _ in range(copies):
        try:
            message, hook = message_and_hook(body, mutilated(body.raw, chance))
            find(body.folder).normalize(message, hook)
        except (BadPayload, BadMapping):
            continue
        except Exception as error:  # noqa: BLE001 that is what we look for
            raised.append(f"{body.path}: {type(error).__name__}: {str(error)[:100]}")
    return raised


def spent_us(body: Body) -> float:
    """Microseconds of one normalizing: the median of REPEATS."""
    try:
        message, hook = message_and_hook(body)
        normalize = find(body.folder).normalize
    except BadMapping:
        return 0.0
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        with suppress(BadPayload):
            normalize(message, hook)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def _outcome(said: list[dict[str, str]]) -> str:
    first = said[0]
    return next((word for word in ("refused", "ignored", "no_source") if word in first), "normalized")


def _table(found: dict[str, list[dict[str, str]]], spent: dict[str, float], wrong: list[str]) -> Table:
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in found:
        by_folder[path.partition("/")[0]].append(path)
    table = Table("folder", "bodies", "normalized", "ignored", "refused", "differ", "median µs", box=None)
    for folder, paths in sorted(by_folder.items()):
        said = Counter(_outcome(found[path]) for path in paths)
        refused = said["refused"] + said["no_source"]
        differ = sum(path in wrong for path in paths)
        middle = statistics.median(spent[path] for path in paths)
        table.add_row(
            folder, *map(str, (len(paths), said["normalized"], said["ignored"], refused, differ)), f"{middle:.0f}"
        )
    return table


def _text(found: dict[str, list[dict[str, str]]]) -> str:
    lines = [f"{json.dumps(path)}: {json.dumps(said, ensure_ascii=False)}" for path, said in sorted(found.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make corpus", description=__doc__)
    parser.add_argument("--fuzz", type=int, default=50, help="mutilated copies of each body")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accept", action="store_true", help="write the golden file; then read it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
