"""What speaks for and against a suspect, in plain words with the numbers that the scorer used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.decide.candidates import written_at
from tocsin.decide.lags import middle_half
from tocsin.decide.onset import Beginning, Window, began, began_after
from tocsin.decide.pattern import Pattern
from tocsin.decide.remembered import NO_PAST, Past
from tocsin.decide.series import NOT_TESTED, Tested
from tocsin.decide.unlisted import Edge
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution, Band, SeenBefore, Suspect
from tocsin.domain.subject import Subject

LIKELY, WORTH_A_LOOK = 0.8, 0.3
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A candidate with its score: `members` are all changes judged as one, itself among them, `shares` their parts of
    the probability, which sum to 1, `risk` the Beta counts (caused, harmless)."""

    change: Change
    members: tuple[Change, ...]
    probability: float
    shares: tuple[float, ...]
    risk: tuple[float, float]
    terms: Mapping[str, float]
    tested: Tested = NOT_TESTED
    """What the series say of it."""
    oddities: Tested = NOT_TESTED
    """What its own facts say."""
    past: Mapping[Subject, Past] = field(default_factory=dict)
    """What alerted when a subject was the confirmed cause."""


def band(probability: float) -> Band:
    """How it may be spoken of: likely from .8, suspect from .3."""
    if probability >= LIKELY:
        return Band.LIKELY
    return Band.SUSPECT if probability >= WORTH_A_LOOK else Band.UNLIKELY


def suspect(scored: Scored, pattern: Pattern, onset: Beginning | None = None) -> Suspect:
    """The score with its evidence. Dependants are counted as far down as the trouble has spread: a subject two hops
    away is expected to alert only when something at that distance does."""
    from tocsin.decide.statistics import beta_interval  # noqa: PLC0415 - scipy is for workers, not for every import

    change = scored.change
    others = [(c.id, share) for c, share in zip(scored.members, scored.shares, strict=True) if c.id != change.id]
    found = _trace(change, pattern, scored.past)
    low, mean, high = beta_interval(*scored.risk)
    return Suspect(
        change=change,
        probability=scored.probability,
        band=band(scored.probability),
        lag=began(pattern, onset) - change.occurred_at,
        path=found.path,
        expected=len(found.seen) + len(found.silent),
        seen=len(found.seen),
        base_rate=(low, mean, high),
        typical_lag=middle_half(change.kind),
        because=tuple(_because(scored, found, pattern, onset, (low, mean, high))),
        against=tuple(_against(scored, found, pattern, onset)),
        members=tuple(id for id, _ in others),
        member_shares=tuple(scored.probability * share for _, share in others),
        terms=scored.terms,
    )


def evidence_text(attribution: Attribution, display: str) -> str:
    """The whole score as a file for those who doubt it: every likely cause with what speaks for and against it, the
    terms of its score, and the chance that no known change explains the outage."""
    lines = [
        f"{display}: what may have caused it",
        f"{_began_words(attribution)}, scored {attribution.scored_at:%Y-%m-%d %H:%M:%SZ}"
        f" by {attribution.scorer}; {attribution.candidates} changes were compared.",
        f"No known change explains it: {attribution.no_change:.1%}. Changes not shown here: {attribution.other:.1%}.",
        *([f"Order: {attribution.order_why}."] if attribution.order_why else []),
    ]
    for place, found in enumerate(attribution.suspects, start=1):
        change = found.change
        what = f"{change.kind} {change.subject} {change.version}".rstrip()
        lines += [
            "",
            f"{place}. {found.probability:.1%} ({found.band})  {what}",
            f"   {change.id}, {change.occurred_at:%Y-%m-%d %H:%M:%SZ}, by {change.author or 'somebody unknown'}",
            *(f"   {words}" for words in (change.summary, change.url, change.ticket) if words),
            *([f"   path: {' > '.join(found.path)}"] if found.path else []),
            *(f"   for: {words}" for words in found.because),
            *(f"   against: {words}" for words in found.against),
            *([f"   {_counts(found.seen_before)}"] if found.seen_before else []),
            "   score: " + ", ".join(f"{name} {value:+.2f}" for name, value in found.terms.items()),
        ]
    return "\n".join([*lines, "", f"Inputs {attribution.digest}: the same inputs give the same score."])


def _counts(seen: SeenBefore) -> str:
    return (
        f"seen before: {seen.followed} of {seen.of} followed within 60 days, against {seen.others_followed} of"
        f" {seen.others} windows at the same hour of weeks nearby; Fisher's exact p = {seen.p:.2g}, q = {seen.q:.2g}"
    )


def _began_words(attribution: Attribution) -> str:
    until = f"{attribution.onset_at:%Y-%m-%d %H:%M:%SZ}"
    if attribution.onset_after is None:
        return f"Trouble began {until}"
    return f"Trouble began between {attribution.onset_after:%Y-%m-%d %H:%M:%SZ} and {until}, the window of the check"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace:
    """Where the change acted (None: unknown), its way to the first affected subject, and the expected dependants that
    alert or are silent, nearest first."""

    root: Subject | None
    path: tuple[Subject, ...] = ()
    seen: tuple[Subject, ...] = ()
    silent: tuple[Subject, ...] = ()
    learned: tuple[tuple[Subject, Subject], ...] = ()
    """The steps (upstream, downstream) of its ways to the nearest that no mapping has."""
    often: tuple[Subject, ...] = ()
    """What alerts out of its reach, as it often did when it was the cause."""
    unlisted: tuple[Edge, ...] = ()
    """By which edges that no mapping has trouble reached others that alert out of its reach."""
    apart: tuple[Subject, ...] = ()
    """What alerts out of its reach without either."""


def _trace(change: Change, pattern: Pattern, pasts: Mapping[Subject, Past]) -> _Trace:
    root = pattern.root(change)
    if root is None:
        return _Trace(root=None)
    catalog, alerting = pattern.catalog, _alerting(pattern, root)
    depth = max((hops for _, hops in alerting), default=1) or 1
    expected = [s for s, hops in pattern.topology.below(root).items() if hops <= depth]
    path: tuple[Subject, ...] = ()
    if alerting:
        first = alerting[0][0]
        path = catalog.path(catalog.resolve(change.subject), first) or catalog.path(root, first)
    reached = {v for v, _ in alerting}
    past = pasts.get(root, NO_PAST)
    rest = sorted(v for v in pattern.started if v not in reached and not past.often(v))
    edges = {v: pattern.unlisted.edge(v, lambda upstream: pattern.reaches(root, upstream)) for v in rest}
    return _Trace(
        root=root,
        path=path,
        seen=tuple(s for s in expected if s in pattern.started),
        silent=tuple(s for s in expected if s not in pattern.started),
        learned=_learned(root, alerting, catalog),
        often=tuple(sorted(v for v in pattern.started if v not in reached and past.often(v))),
        unlisted=tuple(edge for edge in edges.values() if edge is not None),
        apart=tuple(v for v, edge in edges.items() if edge is None),
    )


def _learned(
    root: Subject, alerting: list[tuple[Subject, int]], catalog: Catalog
) -> tuple[tuple[Subject, Subject], ...]:
    if not catalog.learned:
        return ()
    steps = (step for v, _ in alerting[:_NAMED] for step in catalog.learned_on(catalog.path(root, v)))
    return tuple(dict.fromkeys(steps))[:_NAMED]


def _alerting(pattern: Pattern, root: Subject) -> list[tuple[Subject, int]]:
    """What alerts in the root's reach, nearest first, then earliest."""
    reached = [(v, hops) for v in pattern.started if (hops := pattern.hops(root, v)) is not None]
    return sorted(reached, key=lambda found: (found[1], pattern.started[found[0]], found[0]))


def _because(
    scored: Scored, found: _Trace, pattern: Pattern, onset: Beginning | None, risk: tuple[float, float, float]
) -> list[str]:
    change = scored.change
    lag = began(pattern, onset) - written_at(change, pattern.onset_at)
    said = []
    if lag >= timedelta(0):
        soonest, latest = middle_half(change.kind)
        usual = f"half of such causes show between {_span(soonest)} and {_span(latest)} later"
        said.append(f"{_changed(change, pattern, onset)}; {usual}")
    if scored.tested.words and not scored.tested.against:
        said.append(scored.tested.words)
    if found.root in pattern.started:
        first = len(pattern.started) > 1 and pattern.started[found.root] == pattern.onset_at
        said.append(f"{found.root} itself alerts" + (", as the first" if first else ""))
    if found.seen:
        verb = "rests" if len(found.seen) == 1 else "rest"
        of = len(found.seen) + len(found.silent)
        noun = "dependant alerts" if of == 1 else "dependants alert"
        said.append(f"{_names(found.seen)} {verb} on {found.root}: {len(found.seen)} of {of} expected {noun}")
    said += [f"that {below} rests on {above} was learned from runs" for above, below in found.learned]
    past = scored.past.get(found.root, NO_PAST) if found.root else NO_PAST
    for v in found.often[:_NAMED]:
        times = f"{past.alerted[v]:.0f} of {past.incidents:.0f} earlier outages"
        said.append(f"{v} alerted in {times} that {found.root} caused, though no dependency is known")
    said += [f"{edge.words}, by who alerted in earlier outages" for edge in found.unlisted[:_NAMED]]
    if scored.oddities.words and not scored.oddities.against:
        said.append(scored.oddities.words)
    if change.kind is ChangeKind.PIPELINERUN_FINISHED and change.outcome is ChangeOutcome.FAILURE:
        said.append("the run failed")
    low, mean, high = risk
    said.append(f"{mean:.0%} of such changes break something (between {low:.1%} and {high:.1%})")
    others = [c.id for c in scored.members if c.id != change.id]
    if others:
        own = scored.shares[scored.members.index(change)]
        said.append(f"judged as one with {_names(others)}; this one carries {own:.0%} of the weight")
    return said


def _against(scored: Scored, found: _Trace, pattern: Pattern, onset: Beginning | None) -> list[str]:
    change, felt = scored.change, written_at(scored.change, pattern.onset_at)
    lag = began(pattern, onset) - felt
    said = []
    if change.occurred_at > pattern.onset_at:
        late = change.occurred_at - pattern.onset_at
        said.append(f"stamped {_span(late)} after the first alert; it counts only if clocks disagree")
    elif lag < timedelta(0):
        said.append(_changed(change, pattern, onset))
    said += [one.words for one in (scored.oddities, scored.tested) if one.against]
    if found.root is None:
        return [*said, f"{change.subject} is not in the catalogue: where it acts is unknown"]
    if found.apart:
        said.append(f"it cannot explain {_names(found.apart)}: no known dependency")
    if found.silent:
        noun = "dependant is" if len(found.silent) == 1 else "dependants are"
        said.append(f"{len(found.silent)} {noun} silent: {_names(found.silent)}")
    least = (began_after(pattern, onset) or began(pattern, onset)) - felt
    if least > 2 * middle_half(change.kind)[1]:
        said.append(f"{_span(least)} is long for such a cause")
    return said


def _changed(change: Change, pattern: Pattern, onset: Beginning | None) -> str:
    """`changed 14 min before the first alert`: how near, and to what."""
    felt = written_at(change, pattern.onset_at)
    lag, verb = began(pattern, onset) - felt, "changed" if felt == change.occurred_at else "ended"
    if isinstance(onset, Window):
        looked = _span(timedelta(minutes=onset.before))
        before = lag - timedelta(minutes=onset.before)
        if before >= timedelta(0):
            return f"{verb} {_span(before)} before the {looked} that the check had looked at when it alerted"
        return f"{verb} within the {looked} that the check had looked at, {_span(lag)} before it alerted"
    if onset is None:
        return f"{verb} {_span(lag)} before the first alert"
    what = f"{onset.course.metric or 'the measured course'} of {onset.course.subject}"
    left = f"{what} left its baseline, {_span(timedelta(minutes=onset.before))} before the first alert"
    return f"{verb} {_span(abs(lag))} {'before' if lag >= timedelta(0) else 'after'} {left}"


def _names(of: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b, c and 4 more`."""
    if len(of) > _NAMED:
        return f"{', '.join(of[:_NAMED])} and {len(of) - _NAMED} more"
    return " and ".join(filter(None, [", ".join(of[:-1]), *of[-1:]]))


def _span(span: timedelta) -> str:
    """A span in the unit that people would use."""
    minutes = span.total_seconds() / 60
    if minutes < 1:
        return f"{round(minutes * 60)} s"
    if minutes < 90:
        return f"{round(minutes)} min"
    return f"{round(minutes / 60)} h" if minutes < 48 * 60 else f"{round(minutes / 1440)} d"
