"""How often was the first suspect the cause, and could its probability be believed? (correlation.md §9.5)"""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.decide.evidence import LIKELY

BINS = 10
Suspects = list[tuple[set[str], float]]


@dataclass(slots=True)
class Figures:
    """Counts over cases; those without truth are counted and not judged."""

    cases: int = 0
    ranks: list[int | None] = field(default_factory=list)
    """Of the cases with a cause: its place among the suspects from 0; None where it is not shown."""
    firsts: list[tuple[float, bool, bool]] = field(default_factory=list)
    """Of the cases with truth: P of the first suspect, whether it is right, whether a change was the cause at all."""
    no_change: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, cause: str | None, suspects: Suspects, no_change: float) -> None:
        """Take in one answer; `cause` None: nobody knows."""
        self.cases += 1
        if cause is None:
            return
        rank = next((at for at, (ids, _) in enumerate(suspects) if cause in ids), None) if cause else None
        if cause:
            self.ranks.append(rank)
        first = suspects[0][1] if suspects else 0.0
        self.firsts.append((first, bool(cause) and rank == 0, bool(cause)))
        self.no_change.append((no_change, not cause))

    def summary(self) -> dict[str, float | int]:
        """The figures; only those that there are cases for."""
        found: dict[str, float | int] = {"cases": self.cases, "with_truth": len(self.firsts), "caused": len(self.ranks)}
        if self.ranks:
            n = len(self.ranks)
            found |= {
                "top1": sum(rank == 0 for rank in self.ranks) / n,
                "top3": sum(rank is not None and rank < 3 for rank in self.ranks) / n,
                "mrr": sum(1 / (1 + rank) for rank in self.ranks if rank is not None) / n,
            }
        if self.firsts:
            found |= self._believed()
        return found

    def _believed(self) -> dict[str, float | int]:
        likely = [(right, caused) for p, right, caused in self.firsts if p >= LIKELY]
        without = [p for p, _, caused in self.firsts if not caused]
        found: dict[str, float | int] = {
            "brier": sum((p - right) ** 2 for p, right, _ in self.firsts) / len(self.firsts),
            "ece": self._ece(),
            "likely": len(likely),
        }
        if likely:
            found["precision_of_likely"] = sum(right for right, _ in likely) / len(likely)
        if self.ranks:
            found["coverage_of_likely"] = sum(caused for _, caused in likely) / len(self.ranks)
        if without:
            found["false_attribution"] = sum(p >= LIKELY for p in without) / len(without)
        return found

    def _ece(self) -> float:
        """Expected calibration error of the first suspect, ten bins of equal width."""
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
        for p, right, _ in self.firsts:
            bins[min(int(p * BINS), BINS - 1)].append((p, right))
        gaps = (abs(sum(p for p, _ in some) - sum(right for _, right in some)) for some in bins if some)
        return sum(gaps) / len(self.firsts)
