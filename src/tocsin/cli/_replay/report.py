"""What differs between what happened and what other mappings would have made of it: by incident, by team, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tocsin.store.replaying import Upshot

OUTCOMES = ("page", "ticket", "muted", "none")
NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One incident that another decision would have treated otherwise. `differs` names how: incident, outcome, team,
    likely_cause, muted, destinations."""

    incident: str
    title: str
    differs: tuple[str, ...]
    was: dict[str, Any] | None
    would_be: dict[str, Any] | None
    merged_into: str = ""
    """The incident that would have taken its alerts in."""
    split_from: str = ""
    """The incident that did take its alerts in."""


def report(was: Sequence[Upshot], would_be: Sequence[Upshot], *, since: datetime) -> dict[str, Any]:
    """What differs between what happened and what would have, for incidents opened since then."""
    pairs = match(was, would_be)
    names = {new.id: old.display for old, new in pairs if old and new}
    shown = [(old, new) for old, new in pairs if _opened_at(old, new) >= since]
    differences = [d for old, new in shown if (d := _difference(old, new, was, would_be, names))]
    before, after = [old for old, _ in shown if old], [new for _, new in shown if new]
    return {
        "summary": list(_sentences(before, after, differences)),
        "was": _totals(before),
        "would_be": _totals(after),
        "teams": _by_team(before, after),
        "same": len(shown) - len(differences),
        "differences": differences,
    }


def _by_team(before: Sequence[Upshot], after: Sequence[Upshot]) -> dict[str, dict[str, dict[str, int]]]:
    """Per team its outcomes as they were and would be, for each that has any; nobody's under an empty name."""
    teams = sorted({u.team for u in (*before, *after)})
    return {
        team: {
            "was": _outcomes(u for u in before if u.team == team),
            "would_be": _outcomes(u for u in after if u.team == team),
        }
        for team in teams
    }


def _outcomes(upshots: Iterable[Upshot]) -> dict[str, int]:
    counted = Counter(u.outcome for u in upshots)
    return {outcome: counted[outcome] for outcome in OUTCOMES}


WORDS = {
    "page": ("page", "pages"),
    "ticket": ("ticket", "tickets"),
    "muted": ("muted incident", "muted incidents"),
    "none": ("incident without any record", "incidents without any record"),
}


def _sentences(before: Sequence[Upshot], after: Sequence[Upshot], differences: Sequence[Difference]) -> Iterator[str]:
    """The report in a few sentences, the gravest first."""
    for outcome in OUTCOMES:
        was, would_be = _outcomes(before)[outcome], _outcomes(after)[outcome]
        if was != would_be:
            noun = WORDS[outcome][abs(would_be - was) > 1]
            yield f"{abs(would_be - was)} {noun} {'more' if would_be > was else 'fewer'} ({was} → {would_be})."
    lost = [d for d in differences if d.was and d.was["outcome"] == "page" and _outcome(d.would_be) not in ("page", "")]
    if lost:
        yield f"{_count(lost, 'page')} would not have rung: {_named(lost)}."
    moved = [d for d in differences if "team" in d.differs and d.was and d.would_be]
    for (old, new), some in sorted(_grouped(moved, "team").items()):
        whom = f"{new or 'nobody'} instead of {old or 'nobody'}"
        yield f"{_count(some, 'incident')} would have gone to {whom}: {_named(some)}."
    caused = [d for d in differences if "likely_cause" in d.differs and d.was and d.would_be]
    if caused:
        yield f"{_count(caused, 'incident')} would have had another likely cause: {_named(caused)}."
    joined = [d for d in differences if d.merged_into]
    if joined:
        yield f"{_count(joined, 'incident')} would have been part of another: {_named(joined)}."
    split = [d for d in differences if d.was is None]
    if split:
        yield f"{_count(split, 'incident')} would have been new or split off."


def _outcome(upshot: dict[str, Any] | None) -> str:
    return upshot["outcome"] if upshot else ""


def _grouped(differences: Sequence[Difference], field: str) -> dict[tuple[str, str], list[Difference]]:
    found: dict[tuple[str, str], list[Difference]] = {}
    for one in differences:
        assert one.was is not None
        assert one.would_be is not None
        found.setdefault((one.was[field], one.would_be[field]), []).append(one)
    return found


def _count(some: Sequence[Difference], noun: str) -> str:
    return f"{len(some)} {noun}{'' if len(some) == 1 else 's'}"


def _named(some: Sequence[Difference]) -> str:
    more = f" and {len(some) - NAMED} more" if len(some) > NAMED else ""
    return ", ".join(one.incident for one in some[:NAMED]) + more


def match(was: Sequence[Upshot], would_be: Sequence[Upshot]) -> list[tuple[Upshot | None, Upshot | None]]:
    """Which incident is which: the same id (made from the message that opened it), else the most alerts in common."""
    new_by_id = {new.id: new for new in would_be}
    pairs: list[tuple[Upshot | None, Upshot | None]] = [(old, new_by_id.pop(old.id, None)) for old in was]
    left = list(new_by_id.values())
    for place, (old, new) in enumerate(pairs):
        if old is not None and new is None and (best := _closest(old, left)):
            left.remove(best)
            pairs[place] = (old, best)
    return pairs + [(None, new) for new in left]


def _closest(one: Upshot, others: Iterable[Upshot]) -> Upshot | None:
    shared = [(len(one.alerts & o.alerts), o) for o in others if o.environment == one.environment]
    best = max(shared, key=lambda found: found[0], default=None)
    return best[1] if best and best[0] else None


def _opened_at(old: Upshot | None, new: Upshot | None) -> datetime:
    if old is not None:
        return old.opened_at
    assert new is not None
    return new.opened_at


def _difference(
    old: Upshot | None,
    new: Upshot | None,
    was: Sequence[Upshot],
    would_be: Sequence[Upshot],
    names: dict[UUID, str],
) -> Difference | None:
    if old is None:
        assert new is not None
        source = _closest(new, was)
        return Difference(
            incident="new",
            title=new.title,
            differs=("incident",),
            was=None,
            would_be=_plain(new),
            split_from=source.display if source else "",
        )
    if new is None:
        target = _closest(old, would_be)
        return Difference(
            incident=old.display,
            title=old.title,
            differs=("incident",),
            was=_plain(old),
            would_be=None,
            merged_into=names.get(target.id, "new") if target else "",
        )
    fields = {"outcome": "outcome", "team": "team", "likely_cause": "cause", "muted": "muted"}
    fields["destinations"] = "destinations"
    differs = tuple(name for name, field in fields.items() if getattr(old, field) != getattr(new, field))
    if not differs:
        return None
    return Difference(incident=old.display, title=old.title, differs=differs, was=_plain(old), would_be=_plain(new))


def _plain(upshot: Upshot) -> dict[str, Any]:
    plain = asdict(upshot)
    return {name: plain[name] for name in plain if name not in ("id", "alerts", "display")} | {
        "alerts": len(upshot.alerts)
    }


def _totals(upshots: Sequence[Upshot]) -> dict[str, int]:
    return {
        "incidents": len(upshots),
        **_outcomes(upshots),
        "with_likely_cause": sum(bool(u.cause) for u in upshots),
    }


def words(upshot: dict[str, Any] | None, otherwise: str) -> str:
    """What became of an incident, for people: `page for platform at out, cause deploy service:checkout 4.1 86%`."""
    if upshot is None:
        return otherwise or "no incident"
    muted = f" by {upshot['muted'].replace('_', ' ')}" if upshot["muted"] else ""
    cause = f", cause {upshot['cause_words'] or upshot['cause']} {upshot['probability']:.0%}" if upshot["cause"] else ""
    where = f" at {', '.join(upshot['destinations'])}" if upshot["destinations"] else ""
    return f"{upshot['outcome']}{muted} for {upshot['team'] or 'nobody'}{where}{cause}"


def rows_of(differences: Sequence[Difference]) -> Iterator[tuple[str, str, str, str]]:
    """Incident, how it differs, what happened, what would have: each in words."""
    for one in differences:
        yield (
            f"{one.incident} {one.title}",
            ", ".join(name.replace("_", " ") for name in one.differs),
            words(one.was, one.split_from and f"part of {one.split_from}"),
            words(one.would_be, one.merged_into and f"part of {one.merged_into}"),
        )
