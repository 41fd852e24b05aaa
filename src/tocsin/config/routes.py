"""Which route can never be reached, because an earlier one takes all that it would?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from tocsin.domain.catalog import Criticality, Risk
from tocsin.domain.policy import Condition, Rule

_CRITICALITY = tuple(Criticality)
_RISK = tuple(Risk)


def unreachable(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Each rule that never decides, with the earlier one that shadows it. Only what is certain: several earlier
    rules that together take everything are not found."""
    for at, rule in enumerate(rules):
        for earlier in rules[:at]:
            if covers(earlier.when, rule.when):
                yield rule, earlier
                break


def covers(wide: Condition, narrow: Condition) -> bool:
    """Does `wide` hold wherever `narrow` does?"""
    return (
        _any_of(wide.symptoms, narrow.symptoms)
        and _any_of(wide.sources, narrow.sources)
        and _any_of(wide.environments, narrow.environments)
        and _any_of(wide.cohorts, narrow.cohorts)
        and _subjects(wide, narrow)
        and _levels(wide, narrow)
        and wide.labels.items() <= narrow.labels.items()
    )


def _any_of(wide: frozenset[object] | frozenset[str], narrow: frozenset[object] | frozenset[str]) -> bool:
    return not wide or (bool(narrow) and narrow <= wide)


def _subjects(wide: Condition, narrow: Condition) -> bool:
    return not wide.subjects or (
        bool(narrow.subjects) and all(any(_takes(w, n) for w in wide.subjects) for n in narrow.subjects)
    )


def _takes(wide: str, narrow: str) -> bool:
    """`*` of the wide pattern also matches the other's `*`; with ? or [ nothing is certain."""
    return wide == narrow or (not set("?[") & set(wide) and fnmatchcase(narrow, wide))


def _levels(wide: Condition, narrow: Condition) -> bool:
    return (
        (wide.severity is None or (narrow.severity is not None and narrow.severity.rank <= wide.severity.rank))
        and _at_least(wide.criticality, narrow.criticality, _CRITICALITY)
        and _at_least(wide.risk, narrow.risk, _RISK)
        and (wide.business_hours is None or wide.business_hours == narrow.business_hours)
        and (wide.probability is None or (narrow.probability is not None and narrow.probability >= wide.probability))
    )


def _at_least(wide: str | None, narrow: str | None, worst_first: Sequence[str]) -> bool:
    if wide is None:
        return True
    return narrow is not None and worst_first.index(narrow) <= worst_first.index(wide)
