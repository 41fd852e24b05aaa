"""`python -m benchmarks.stream`: grouping, pages a day and speed on a stream of alerts, over fresh seeds.

Normal is 30 days at 120 planned changes a day, dense 15 days at 600. Figures are means over seeds with the 95 %
interval of a bootstrap by seed. Grouping is counted over the alerts of outages; a page is true when its incident holds
one. Alerts lapse 15 minutes after their last report: nobody resolves them. The ceilings (ceiling.py) know
the world's true parameters and only group; `no changes` knows all of them but the changes. Where outages strike again
(`--returns`) there is none: they know of one strike an outage.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
from collections.abc import Hashable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.attribution.world import LAWS
from benchmarks.stream.ceiling import Ceiling
from benchmarks.stream.measure import agreement
from benchmarks.stream.product import Answer, Product
from benchmarks.stream.rivals import RIVALS, episodes, paging
from benchmarks.stream.world import Stream

WORLDS = {"normal": (30, 120.0), "dense": (15, 600.0)}
"""Days, and planned changes a day."""
FIGURES = ("precision", "recall", "f1", "ari", "splits", "merges", "true", "false", "covered", "reduced", "delay_min",
           "children", "kin", "family_f1", "link_ms", "link_p99_ms", "rss_mb")  # fmt: skip
DRAWS = 2_000

Figures = dict[str, float]


def main() -> int:
    """Print one table a world, or JSON."""
    asked = _arguments()
    seeds = range(asked.first, asked.first + asked.seeds)
    jobs = [
        (world, seed, asked.law, asked.days, asked.returns, asked.causes, not asked.no_windows)
        for world in asked.world or WORLDS
        for seed in seeds
    ]
    runs: dict[str, dict[int, dict[str, Figures]]] = {}
    with ProcessPoolExecutor(asked.processes) as pool:
        waiting = [pool.submit(one_stream, *job) for job in jobs]
        for done in track(as_completed(waiting), "streams", len(waiting), console=Console(stderr=True)):
            world, seed, found = done.result()
            runs.setdefault(world, {})[seed] = found
    summary = {world: _summary([found[seed] for seed in sorted(found)]) for world, found in runs.items()}
    if asked.json:
        facts = {"generator": digest(), "seeds": [seeds.start, seeds.stop - 1], "law": asked.law, "worlds": summary}
        print(orjson.dumps(facts).decode())
        return 0
    screen = Console(width=220)
    screen.print(f"generator {digest()}; law {asked.law}; seeds {seeds.start} to {seeds.stop - 1}")
    for world, figures in summary.items():
        screen.print(_table(world, figures))
    return 0


def one_stream(
    world: str, seed: int, law: str, days: int, returns: float, causes: bool, windows: bool
) -> tuple[str, int, dict[str, Figures]]:
    """Everybody's figures on one seed."""
    length, per_day = WORLDS[world]
    stream = Stream(law=LAWS[law], seed=seed, per_day=per_day, days=days or length, returns=returns)
    truth = [symptom.outage for symptom in stream.symptoms]
    found = {"tocsin": _ours(Product(stream, causes=causes, windows=windows).run(stream.sent), stream, truth)}
    alerts = episodes(stream.sent)
    for name, rule in RIVALS.items():
        groups = rule(alerts, stream)
        of_alert = {alert: group for one, group in zip(alerts, groups, strict=True) for alert in one.alerts}
        pages = paging(alerts, groups)
        figures = _grouping(truth, [of_alert[alert] for alert in range(len(truth))])
        found[name] = figures | _paging(pages, stream)
    for name, changes in (("ceiling", True), ("ceiling, no changes", False)) if not returns else ():
        found[name] = _grouping(truth, Ceiling(stream, changes=changes).by_alert())
    return world, seed, found


def _ours(answer: Answer, stream: Stream, truth: Sequence[int]) -> Figures:
    groups = [answer.group[alert] for alert in range(len(truth))]
    families = [answer.family(group) for group in groups]
    outages = {group: {truth[alert] for alert in alerts} for group, alerts in answer.of_outage.items()}
    kin = [bool(outages.get(child, set()) & outages.get(of, set())) for child, of in answer.part_of.items()]
    link = np.array(answer.linking) * 1e3
    began: dict[int, float] = {}
    for symptom in stream.symptoms:
        began.setdefault(symptom.outage, symptom.at)
    first: dict[int, float] = {}
    for at, incident_id in answer.pages:
        for alert in answer.of_outage.get(incident_id, ()):
            first.setdefault(truth[alert], at)
    delays = [max(first[outage] - began[outage], 0.0) for outage in first]
    pages = [answer.of_outage.get(incident_id, set()) for _, incident_id in answer.pages]
    return _grouping(truth, groups) | _paging(pages, stream) | {
        "delay_min": float(np.median(delays)) if delays else float("nan"),
        "children": len(kin),
        "kin": float(np.mean(kin)) if kin else float("nan"),
        "family_f1": agreement(truth, families).f1,
        "link_ms": float(np.median(link)),
        "link_p99_ms": float(np.quantile(link, 0.99)),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def _grouping(truth: Sequence[Hashable], groups: Sequence[Hashable]) -> Figures:
    return {name: float(value) for name, value in asdict(agreement(truth, groups)).items()}


def _paging(pages: Sequence[set[int]], stream: Stream) -> Figures:
    true = sum(bool(alerts) for alerts in pages)
    covered = {stream.symptoms[alert].outage for alerts in pages for alert in alerts}
    outages = {symptom.outage for symptom in stream.symptoms}
    return {
        "true": true / stream.days,
        "false": (len(pages) - true) / stream.days,
        "covered": len(covered) / len(outages),
        "reduced": 1 - len(pages) / len(stream.sent),
    }


def _summary(runs: Sequence[dict[str, Figures]]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """By scorer and figure: mean over seeds and its interval."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(runs), size=(DRAWS, len(runs)))
    summary: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name in runs[0]:
        for figure in (f for f in FIGURES if f in runs[0][name]):
            values = np.array([run[name][figure] for run in runs])
            low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
            summary.setdefault(name, {})[figure] = (float(values.mean()), float(low), float(high))
    return summary


def _table(world: str, found: dict[str, dict[str, tuple[float, float, float]]]) -> Table:
    table = Table("figure", *found, title=world, box=None)
    for figure in FIGURES:
        cells = [found[name].get(figure) for name in found]
        table.add_row(figure, *(f"{c[0]:.3f} ({c[1]:.3f} to {c[2]:.3f})" if c else "" for c in cells))
    return table


def digest() -> str:
    """Of the generators' texts: the same digest makes the same streams."""
    files = (Path(__file__).parent.parent / "attribution" / "world.py", Path(__file__).with_name("world.py"))
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=6).hexdigest()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--from", dest="first", type=int, default=401, help="the first seed")
    parser.add_argument("--days", type=int, default=0, help="shorter streams while developing")
    parser.add_argument("--law", choices=list(LAWS), default="matched")
    parser.add_argument("--returns", type=float, default=0.0, help="this share of outages strikes once more")
    parser.add_argument("--causes", action="store_true", help="score causes and merge by them (slow)")
    parser.add_argument("--no-windows", action="store_true", help="checks do not tell which hours they looked at")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("world", nargs="*", choices=[*WORLDS, []], help="normal, dense; default: both")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
