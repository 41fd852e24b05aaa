"""Were earlier changes like this one followed by these alerts more often than chance would have it?

Nobody has to confirm anything for that: of the earlier changes of one kind to one subject, it counts those that were
followed by an opening of one of the incident's alerts (correlation.md §2, "R_c, seen before").

- **Followed:** an alert opens within the lag by which half of such causes show (`lags.half_within`). A suspect that
  came earlier than that is not spoken for. Changes closer together than this lag count once; an outage counts once,
  from its first opening, so that changes made to mend it are not followed by what returns.
- **Otherwise:** windows as long, at the same hour and weekday of the two weeks before and after, in which no such
  change acted. Changes and alerts both come in working hours and in busy months, and that alone is no sign (the
  case-crossover of epidemiology). What is done every day at one hour has no such window, and nothing is said of it.
- **Test:** Fisher's exact, one-sided; then Benjamini–Hochberg over the suspects that have a past. Counts are whole over
  60 days, the reference's half-life, and nothing before counts: an exact test knows no decayed counts.

It explains, and leads where two suspects are as good as equal; it is no factor, since risk and lag rest on the same
history. What was measured stands in docs/attribution.md."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.drift import benjamini_hochberg
from tocsin.decide.lags import half_within
from tocsin.decide.wording import CHANGE_WORDS
from tocsin.domain.alert import AlertState
from tocsin.domain.change import ChangeKind
from tocsin.domain.incident import Attribution, Band, Incident, SeenBefore, Suspect
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

SPAN = timedelta(days=60)
"""As far back as is looked: the half-life of the reference's counters."""
WEEKS = np.array([-2, -1, 1, 2]) * 7 * 86_400.0
"""Seconds to the same hour and weekday of the weeks nearby: where changes and alerts both grow more over the months,
weeks far away would make a sign of it (docs/attribution.md)."""
MOST_MADE, MOST_OPENED = 200, 200
"""The latest changes of one kind to one subject, and the latest openings of one alert, that are looked at; where there
are more, nothing before them is."""
MOST_ALERTS = 10
"""The incident's first alerts, those nearest to its cause."""
SPEAKS = 0.1
"""q below which anything is said (correlation.md §2)."""
AS_GOOD_AS_EQUAL = 1.25
"""Suspects at least as probable as the first over this are as likely as it: percentages are right to within some four
points (docs/attribution.md, ece), so that 45 % is not told from 36 % (judgement)."""

Like = tuple[ChangeKind, Subject]
"""Changes of one kind to one subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What must be known of the time before an incident."""

    incident: Incident
    like: tuple[Like, ...]
    fingerprints: tuple[str, ...]
    since: datetime
    until: datetime
    """Nothing from then on counts: it belongs to the incident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An alert opened, in one outage."""

    fingerprint: str
    outage: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What happened from `since` until `until`: the latest MOST_MADE changes of each like, the latest MOST_OPENED
    openings of each alert, in any order."""

    since: datetime
    until: datetime
    made: Mapping[Like, Sequence[datetime]]
    opened: Sequence[Opening]


def asked(incident: Incident, found: Attribution) -> Asked:
    """What `seen_before` needs for these suspects; no likes: nothing can be said."""
    first = sorted(incident.members, key=lambda member: (member.starts_at, member.fingerprint))[:MOST_ALERTS]
    until = min(first[0].starts_at, incident.opened_at)
    return Asked(
        incident=incident,
        like=tuple(sorted({_like(one) for one in found.suspects if _is_near(one)})),
        fingerprints=tuple(member.fingerprint for member in first),
        since=until - SPAN,
        until=until,
    )


def seen_before(found: Attribution, question: Asked, earlier: Earlier) -> Attribution:
    """The attribution with what earlier changes say of its suspects; of suspects as good as equal those that were seen
    before go first. Without a past to compare it is the very same."""
    counted = {like: one for like in question.like if (one := _counted(like, earlier)) is not None}
    if not counted:
        return found
    adjusted = benjamini_hochberg([one.p for one in counted.values()], len(counted))
    spoken = {like: one.said(q) for (like, one), q in zip(counted.items(), adjusted, strict=True) if q < SPEAKS}
    what = _alert_words(question.incident.members, question.fingerprints)
    suspects = [_told(one, spoken[_like(one)], what) if _speaks(one, spoken) else one for one in found.suspects]
    facts = [[*like, one.followed, one.of, one.others_followed, one.others] for like, one in counted.items()]
    inputs = orjson.dumps([found.digest, facts], option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)
    found = replace(found, suspects=tuple(suspects), digest=hashlib.blake2b(inputs, digest_size=16).hexdigest())
    return found if found.order else _led(found)


def _like(one: Suspect) -> Like:
    return one.change.kind, one.change.subject


def _is_near(one: Suspect) -> bool:
    return timedelta(0) <= one.lag <= half_within(one.change.kind)


def _speaks(one: Suspect, spoken: Mapping[Like, SeenBefore]) -> bool:
    return _is_near(one) and _like(one) in spoken


def _led(found: Attribution) -> Attribution:
    """Those seen before lead the suspects that are as good as equal to the first, in one band with it."""
    first = found.suspects[0]
    least = first.probability / AS_GOOD_AS_EQUAL
    equal = [one for one in found.suspects if one.band is first.band and one.probability >= least]
    led = sorted(equal, key=lambda one: one.seen_before is None)
    if led[0] is first:
        return found
    why = "the first are about as likely as one another, and such changes were followed by these alerts before"
    return replace(
        found,
        suspects=(*led, *found.suspects[len(led) :]),
        order_why=why if first.band is not Band.UNLIKELY else "",  # then none is told as the cause
    )


# --- counting ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Changes and those of them that were followed; other windows and those in which an alert opened too."""

    followed: int
    of: int
    others_followed: int
    others: int

    @property
    def p(self) -> float:
        """The chance of as many or more if such changes made no difference (Fisher's exact test, one-sided): the upper
        tail of the hypergeometric distribution, counted in whole numbers."""
        hits = self.followed + self.others_followed
        ways = math.comb(self.of, self.followed) * math.comb(self.others, self.others_followed)
        at_least = 0
        for k in range(self.followed, min(self.of, hits) + 1):
            at_least += ways
            left = hits - k
            ways = ways * (self.of - k) * left // ((k + 1) * (self.others - left + 1))
        return at_least / math.comb(self.of + self.others, hits)

    def said(self, q: float) -> SeenBefore:
        return SeenBefore(
            followed=self.followed, of=self.of, others_followed=self.others_followed, others=self.others, p=self.p, q=q
        )


def _counted(like: Like, earlier: Earlier) -> Counts | None:
    """None where there is nothing to compare."""
    made = _seconds(at for at in earlier.made.get(like, ()) if earlier.since <= at < earlier.until)
    if not made.size:
        return None
    within = half_within(like[0]).total_seconds()
    since = max(_known_since(earlier).timestamp(), made[0])  # nobody knows whether changes were told before the first
    until = earlier.until.timestamp() - within
    acted = _apart(made[(made >= since) & (made <= until)], within)
    shifted = np.sort((acted[:, None] + WEEKS).ravel())
    shifted = shifted[(shifted >= since) & (shifted <= until)]
    others = _apart(shifted[~_any_in(made, shifted - within, shifted + within)], within)
    if not (acted.size and others.size):
        return None
    opened = _seconds(_outages(earlier))
    return Counts(
        followed=int(_any_in(opened, acted, acted + within).sum()),
        of=len(acted),
        others_followed=int(_any_in(opened, others, others + within).sum()),
        others=len(others),
    )


def _known_since(earlier: Earlier) -> datetime:
    """From when on no opening of any alert is missing."""
    known: dict[str, list[datetime]] = {}
    for one in earlier.opened:
        known.setdefault(one.fingerprint, []).append(one.at)
    return max((min(times) for times in known.values() if len(times) >= MOST_OPENED), default=earlier.since)


def _outages(earlier: Earlier) -> Iterable[datetime]:
    """When each outage was first told by one of the alerts."""
    began: dict[str, datetime] = {}
    for one in earlier.opened:
        if one.at < earlier.until:
            began[one.outage] = min(began.get(one.outage, one.at), one.at)
    return began.values()


def _seconds(moments: Iterable[datetime]) -> Floats:
    """Seconds since 1970, sorted."""
    return np.array(sorted(at.timestamp() for at in moments))


def _apart(moments: Floats, within: float) -> Floats:
    """Of sorted moments those whose windows do not overlap, the earlier before the later."""
    kept: list[float] = []
    for at in moments.tolist():
        if not kept or at - kept[-1] >= within:
            kept.append(at)
    return np.array(kept)


def _any_in(moments: Floats, after: Floats, until: Floats) -> NDArray[np.bool_]:
    """Whether one of the sorted moments lies after each of these and not beyond its end."""
    return np.searchsorted(moments, until, side="right") > np.searchsorted(moments, after, side="right")


# --- words ---


def _told(one: Suspect, seen: SeenBefore, what: str) -> Suspect:
    words = CHANGE_WORDS[one.change.kind] + ("s" if seen.of > 1 else "")
    share = seen.others_followed / seen.others
    were = "were" if seen.of > 1 else "was"
    sentence = f"seen before: {seen.followed} of {seen.of} {words} of {one.change.subject} {were} followed by {what}"
    return replace(one, seen_before=seen, because=(*one.because, f"{sentence}, {share:.0%} otherwise"))


def _alert_words(members: Sequence[AlertState], fingerprints: Sequence[str]) -> str:
    """The alert's name, or `one of these alerts`."""
    names = {member.alert.name for member in members if member.fingerprint in fingerprints}
    return names.pop() if len(names) == 1 else "one of these alerts"
