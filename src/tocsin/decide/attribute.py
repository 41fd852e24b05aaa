"""Which change probably caused this incident, and how likely is it that no known change did?

Competing intensities (correlation.md §2): every candidate change, and a background of unknown causes, compete with

    w(c) = risk(kind) · density of the lag · P(who alerts and who is silent | it began at the change's subject)

The answer rests on nothing but its arguments, and not on their order; its digest proves which ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.candidates import WINDOW, Candidates
from tocsin.decide.evidence import Scored, suspect
from tocsin.decide.experience import COLD, DAY, Experience, KindRecord
from tocsin.decide.lags import KINDS, densities, within
from tocsin.decide.onset import Beginning, Window, began, began_after
from tocsin.decide.overlap import heads
from tocsin.decide.pattern import Pattern
from tocsin.decide.ranks import largest
from tocsin.decide.scene import Scene, scene_of
from tocsin.decide.series import MISTAKEN, MOST_TESTED, NOT_TESTED, Courses, Onset, Tested
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import PREPARES, Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Answer, Attribution, Incident
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

SCORER = "competing-intensities-8"
SKEW_SD_MIN = 1.0
SKEW_PRIOR = 0.05
"""A change stamped after the alert: how many feeds are off at all, and by how many minutes (ours, on the safe side).
Its lag counts as the end of the middle half of its kind, so that it never wins by a lag of nearly nothing."""
SKEW_LAG_MIN = 120.0
NEAR_SD = 10.0
"""Lags of so many standard deviations of the onset are averaged over it; beyond, the densities are all but straight."""
SHRINK = 60.0
"""Changes of its kind that weigh as much as one subject's own (reference: 2–20; see docs/attribution.md)."""
SHOWN = 5
FEW_OF_KIND = 3
RISK = (1.0, 24.0)
"""Beta pseudo-counts: 4 % of changes break something."""
RISK_REVERT = (2.5, 22.5)
"""10 %: a revert is itself reverted that often."""
RISK_FAILED_RUN = (2.0, 23.0)
"""8 %: a pipeline run that failed leaves stale data behind, one that succeeded seldom does. The factor 2 is a careful
judgement, not a measurement; outcomes of other kinds stay neutral, since a failed deploy may or may not have acted."""
RISK_PREPARES = (0.25, 24.75)
"""1 %: a build, an artifact or a registered version runs nowhere yet, though some serve what was published last
(judgement)."""
RISK_OUTAGE = (12.5, 12.5)
"""A feature outage is a fault already, not a change that may become one (judgement)."""

_PRIORS = {
    ChangeKind.FEATURE_OUTAGE: RISK_OUTAGE,
    ChangeKind.SERVICE_ROLLEDBACK: RISK_REVERT,
    **dict.fromkeys(PREPARES, RISK_PREPARES),
}
_NOTHING = KindRecord()
_UNSEEN = (math.nan, math.nan)


def attribute(
    incident: Incident,
    changes: Sequence[Change],
    catalog: Catalog,
    *,
    now: datetime,
    experience: Experience = COLD,
    series: Sequence[Series] = (),
) -> Attribution:
    """Every change of the last 72 h against "no known change explains this"; suspects best first, at most five.

    Changes later than `now` or more than 5 min after the first alert are no candidates. A change that also `touches`
    other subjects may have acted at any of them: its pattern is the mean over those that the catalogue knows; when it
    knows none, the mean over all subjects.
    Overlapping changes (same run or commit, or same subject within 2 min) are one candidate with the mass of its
    subjects; the likeliest member speaks for it, or the run that made the others. `series` are measured courses;
    they tell the onset and test the likeliest changes. Where the first alert comes from a check that looks at hours,
    trouble began somewhere in these, and lags are averaged over them. Raises ValueError without members.
    """
    scene = scene_of(incident, changes, catalog, now=now, series=series)
    return told(weigh(scene, experience))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Every candidate of a scene with its probability, by what was learned."""

    scene: Scene
    pattern: Pattern
    experience: Experience
    logs: Floats
    own: Floats
    """The log weight of each candidate by itself: the sum of its `logs`."""
    tested: Mapping[int, Tested]
    speakers: NDArray[np.intp]
    """Who speaks for each group, of one or of several."""
    masses: Floats
    """The log weight of each group."""
    background: tuple[float, float]
    """log of the outages without a known change per minute, and log P(A | it began anywhere)."""
    temper: float
    """What every log weight is divided by: 1, but where shown probabilities were too bold or too timid (set_right)."""
    shares: Floats
    """The probability of each group; the last is that of no change."""

    def group(self, g: int) -> list[int]:
        """The candidates of a group."""
        return self.scene.groups.group_of(int(self.speakers[g]))


def weigh(scene: Scene, experience: Experience) -> Weighed:
    """Each candidate's probability, and that of no change."""
    pattern = scene.pattern
    if experience.spread:
        pattern = pattern.weighed(experience.spread, experience.first, experience.remembered)
    candidates, lags, places, courses = scene.candidates, scene.lags, scene.places, scene.courses
    logs = _terms(candidates, lags, experience, scene.onset)
    if experience.places:
        logs[0] = _at_places(logs[0], [experience.places.get(name, _UNSEEN) for name in places.names], places.of)
    logs[0] += scene.often
    logs[2] = pattern.given(places, candidates.touching)
    for i, said in scene.oddities.said.items():
        logs[5, i] = math.log(said.factor)
    tested = _tested(courses, pattern, candidates, lags, logs)
    own = logs.sum(axis=0)
    speakers, masses = heads(scene.groups, own)
    by_changes = float(np.exp(logs[0, lags >= 0]).sum()) / (WINDOW / DAY)
    background = (math.log(experience.background(by_changes) / 1440), pattern.anywhere)
    return Weighed(
        scene=scene,
        pattern=pattern,
        experience=experience,
        logs=logs,
        own=own,
        tested=tested,
        speakers=speakers,
        masses=masses,
        background=background,
        temper=1.0,
        shares=_shares(np.append(masses, sum(background))),
    )


def set_right(weighed: Weighed, *, bold: float, none: float) -> Weighed:
    """The same weights as probabilities to the power `bold`, no change times e^`none` (calibrate.py)."""
    temper, (rate, anywhere) = weighed.temper / bold, weighed.background
    background = (rate + none * temper, anywhere)
    shares = _shares(np.append(weighed.masses, sum(background)) / temper)
    return replace(weighed, temper=temper, background=background, shares=shares)


def answer_of(weighed: Weighed) -> Answer:
    """The five likeliest as they are kept for comparison."""
    ids, order = weighed.scene.candidates.ids, _likeliest(weighed)
    groups = [(int(weighed.speakers[g]), weighed.group(g)) for g in order]
    return Answer(
        candidates=tuple((ids[speaker], *(ids[i] for i in group if i != speaker)) for speaker, group in groups),
        probabilities=tuple(float(weighed.shares[g]) for g in order),
        no_change=float(weighed.shares[-1]),
        digest=_digest(weighed),
    )


def told(weighed: Weighed, *, first: Sequence[str] = ()) -> Attribution:
    """The five likeliest with their evidence; the changes with the ids of `first` before the others, in this order,
    whatever their weight (guard.py)."""
    scene, experience, shares = weighed.scene, weighed.experience, weighed.shares
    order = _put_first(first, weighed)
    suspects = tuple(suspect(_scored(weighed, g), weighed.pattern, scene.onset) for g in order)
    others = shares[:-1].copy()
    others[order] = 0.0
    first_kind = experience.kinds.get(suspects[0].change.kind) if suspects else None
    return Attribution(
        suspects=suspects,
        no_change=float(shares[-1]),
        other=float(others.sum()),
        candidates=len(scene.candidates.ids),
        onset_at=began(scene.pattern, scene.onset),
        onset_after=began_after(scene.pattern, scene.onset),
        scored_at=scene.now,
        scorer=SCORER,
        digest=_digest(weighed),
        low_evidence=first_kind is None or first_kind.caused < FEW_OF_KIND,
    )


def _likeliest(weighed: Weighed, most: int = SHOWN) -> list[int]:
    """The likeliest groups, best first."""
    found: list[int] = largest(weighed.shares[:-1], most).tolist()
    return found


def _scored(weighed: Weighed, g: int) -> Scored:
    scene, i, group = weighed.scene, int(weighed.speakers[g]), weighed.group(g)
    changes, places, shares = scene.candidates.changes, scene.places, weighed.shares
    return Scored(
        change=changes[i],
        members=tuple(changes[j] for j in group),
        probability=float(shares[g]),
        shares=tuple(_shares(weighed.own[group] / weighed.temper).tolist()),
        risk=_shared(_risk(changes[i], places.names[places.of[i]], weighed.experience), float(scene.often[i])),
        terms=_log_odds(weighed, g),
        tested=weighed.tested.get(i, NOT_TESTED),
        oddities=scene.oddities.said.get(i, NOT_TESTED),
        past=weighed.experience.past,
    )


def _put_first(first: Sequence[str], weighed: Weighed) -> list[int]:
    """The groups that are shown: those that hold these candidates, in this order, then the likeliest."""
    holding = [weighed.scene.groups.group_of(weighed.scene.candidates.ids.index(id)) for id in first]
    named = dict.fromkeys(int(np.isin(weighed.speakers, group).argmax()) for group in holding)
    rest = [g for g in _likeliest(weighed, SHOWN + len(named)) if g not in named]
    return [*named, *rest][:SHOWN]


def _shares(logs: Floats) -> Floats:
    """Log weights as probabilities; they sum to 1."""
    weights = np.exp(logs - logs.max()) + 1e-300
    return np.asarray(weights / weights.sum())


def _terms(candidates: Candidates, lags: Floats, experience: Experience, onset: Beginning | None) -> Floats:
    """log risk of the kind, log density, (log pattern,) log clock penalty, (log test of series, log of its own facts):
    six rows, one column a candidate."""
    logs = np.zeros((6, len(lags)))
    late = np.flatnonzero(lags < 0)
    minutes = lags.copy()
    minutes[late] = SKEW_LAG_MIN
    records = experience.kinds
    risks = [math.log(_mean(_PRIORS.get(kind, RISK), records.get(kind, _NOTHING))) for kind in KINDS]
    logs[0] = np.array(risks)[candidates.kinds]
    for i in candidates.odd:
        change = candidates.changes[i]
        logs[0, i] = math.log(_mean(_prior(change), records.get(change.kind, _NOTHING)))
    learned = {kind: record.lags for kind, record in records.items()}
    dense = densities(candidates.kinds, minutes, learned)
    if isinstance(onset, Window):
        inside = within(candidates.kinds, lags - onset.before, lags, learned)
        dense = np.where(lags >= 0, inside / onset.before, dense)
    elif onset is not None:
        dense = MISTAKEN * dense + (1 - MISTAKEN) * _since(onset, candidates.kinds, lags, learned)
    logs[1] = np.log(dense + 1e-300)
    for i in late.tolist():
        off = 0.5 * math.erfc(-lags[i] / SKEW_SD_MIN / math.sqrt(2))
        logs[3, i] = math.log(SKEW_PRIOR * off + 1e-300)
    return logs


def _since(
    onset: Onset, kinds: NDArray[np.intp], lags: Floats, learned: Mapping[ChangeKind, tuple[float, ...]]
) -> Floats:
    """The density of the time from change to onset, over all that the onset may be; 0 for a change after it. Far from
    the onset its own doubt does not matter."""
    possible, weights = onset.spread()
    dense = densities(kinds, lags - onset.before, learned)
    near = np.flatnonzero(lags < onset.before + NEAR_SD * onset.sd)
    minutes = lags[None, near] - possible[:, None]
    found = densities(np.tile(kinds[near], len(possible)), minutes.ravel(), learned).reshape(minutes.shape)
    dense[near] = weights @ np.where(minutes > 0, found, 0.0)
    return dense


def _at_places(risks: Floats, known: Sequence[tuple[float, float]], places: NDArray[np.intp]) -> Floats:
    """log risks, moved to what was seen of each subject's own changes."""
    caused, harmless = np.array(known).reshape(-1, 2).T[:, places]
    mean = np.exp(risks)
    caused, harmless = caused + SHRINK * mean, harmless + SHRINK * (1 - mean)
    return np.where(np.isnan(caused), risks, np.log(caused / (caused + harmless)))


def _tested(
    courses: Courses, pattern: Pattern, candidates: Candidates, lags: Floats, logs: Floats
) -> dict[int, Tested]:
    """What the series say of the candidates that are likeliest without them; written into the last row."""
    if not courses:
        return {}
    likeliest = largest(logs.sum(axis=0), MOST_TESTED).tolist()
    tested = {i: courses.test(candidates.changes[i], float(lags[i]), pattern) for i in likeliest}
    for i, found in tested.items():
        logs[4, i] = math.log(found.factor)
    return tested


def _mean(prior: tuple[float, float], record: KindRecord) -> float:
    caused = prior[0] + record.caused
    return caused / (caused + prior[1] + record.harmless)


def _at_place(kind_mean: float, place: tuple[float, float]) -> tuple[float, float]:
    """Beta counts of a subject's changes, shrunk towards their kind."""
    caused, harmless = place
    return caused + SHRINK * kind_mean, harmless + SHRINK * (1 - kind_mean)


def _risk(change: Change, name: Subject, experience: Experience) -> tuple[float, float]:
    """Beta counts (caused, harmless) of such a change: the prior and what was confirmed of its kind, or of its subject
    where anything was seen there."""
    caused, harmless = _prior(change)
    record = experience.kinds.get(change.kind, _NOTHING)
    caused, harmless = caused + record.caused, harmless + record.harmless
    place = experience.places.get(name)
    return (caused, harmless) if place is None else _at_place(caused / (caused + harmless), place)


def _shared(counts: tuple[float, float], often: float) -> tuple[float, float]:
    """The same of a change that bears only a share of the risk (its log)."""
    caused, harmless = counts
    return (caused, (caused + harmless) * math.exp(-often) - caused) if often else counts


def _prior(change: Change) -> tuple[float, float]:
    kind = change.kind
    if kind is ChangeKind.PIPELINERUN_FINISHED:
        return RISK_FAILED_RUN if change.outcome is ChangeOutcome.FAILURE else RISK
    if (of_kind := _PRIORS.get(kind)) is not None:
        return of_kind
    return RISK_REVERT if change.summary[:8].lower().startswith(("revert", "rollback")) else RISK


def _log_odds(weighed: Weighed, g: int) -> dict[str, float]:
    """Additive log-odds against the background, then against all other candidates; they sum to the shown logit."""
    (rate, anywhere), temper = weighed.background, weighed.temper
    risk, lag, pattern, clock, series, facts = weighed.logs[:, weighed.speakers[g]].tolist()
    share, no_change = float(weighed.shares[g]), float(weighed.shares[-1])
    terms = {
        "risk": risk / temper,
        "lag": (lag - rate) / temper,
        "pattern": (pattern - anywhere) / temper,
        "clock": clock / temper,
        "series": series / temper,
        "facts": facts / temper,
        "overlap": float(weighed.masses[g] - weighed.own[weighed.speakers[g]]) / temper,
        "rivals": math.log(no_change / max(1 - share, 1e-300)),
    }
    always = ("risk", "lag", "pattern")
    return {name: round(value, 6) for name, value in terms.items() if name in always or value}


def _digest(weighed: Weighed) -> str:
    """Hash of all that the answer rests on, in canonical order."""
    scene = weighed.scene
    digest = hashlib.blake2b(orjson.dumps([SCORER, scene.now, scene.pattern.facts]), digest_size=16)
    digest.update(weighed.experience.facts)
    digest.update(scene.candidates.digest + scene.oddities.canonical)
    digest.update(scene.lags.data)
    if isinstance(scene.onset, Window):
        digest.update(orjson.dumps(["window", scene.onset.before]))
    if scene.courses:
        digest.update(scene.courses.facts() + orjson.dumps([change.version for change in scene.candidates.changes]))
    return digest.hexdigest()
