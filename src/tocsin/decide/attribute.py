"""Which change probably caused this incident, and how likely is it that no known change did?

Competing intensities (correlation.md §2): every candidate change, and a background of unknown causes, compete with

    w(c) = risk(kind) · density of the lag · P(who alerts and who is silent | it began at the change's subject)

The answer rests on nothing but its arguments, and not on their order; its digest proves which ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.decide.evidence import Scored, suspect
from tocsin.decide.experience import COLD, Experience, KindRecord
from tocsin.decide.lags import density
from tocsin.decide.pattern import Pattern
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Attribution, Incident
from tocsin.domain.subject import Subject

Floats = NDArray[np.float64]

SCORER = "competing-intensities-2"
WINDOW = timedelta(hours=72)
"""How far back a cause may lie, for every kind: real lags reach it (three in four reverts come within it)."""
SKEW = timedelta(minutes=5)
"""Feeds disagree by minutes: a change stamped this much after the first alert stays a candidate, penalised."""
SKEW_SD_MIN = 1.0
SKEW_PRIOR = 0.05
"""A change stamped after the alert: how many feeds are off at all, and by how many minutes (ours, on the safe side).
Its lag counts as the end of the middle half of its kind, so that it never wins by a lag of nearly nothing."""
SKEW_LAG_MIN = 120.0
OVERLAP_MIN = 2.0
SAME_WORK = ("run_id", "commit")
"""Labels whose equal value makes two changes parts of one."""
TEMPER = 1.15
"""Cold, every probability is drawn towards the middle. The reference's 1.3 goes with its fixed law of spreading; the
grid of laws (pattern.py) holds part of that doubt itself."""
SHRINK = 60.0
"""Changes of its kind that weigh as much as one subject's own (reference: 2–20; see docs/attribution.md)."""
SHOWN = 5
ENOUGH_FEEDBACK = 30
"""Confirmed incidents after which scores are no longer tempered (correlation.md §2.1)."""
FEW_OF_KIND = 3
RISK = (1.0, 24.0)
"""Beta pseudo-counts: 4 % of changes break something."""
RISK_REVERT = (2.5, 22.5)
"""10 %: a revert is itself reverted that often."""
RISK_FAILED_RUN = (2.0, 23.0)
"""8 %: a pipeline run that failed leaves stale data behind, one that succeeded seldom does. The factor 2 is a careful
judgement, not a measurement; outcomes of other kinds stay neutral, since a failed deploy may or may not have acted."""
RISK_OUTAGE = (12.5, 12.5)
"""A feature outage is a fault already, not a change that may become one (judgement)."""


_NOTHING = KindRecord()
_FAULTS = (ChangeKind.FEATURE_OUTAGE, ChangeKind.SERVICE_ROLLEDBACK)
_R = ("r", "R")
_KINDS = tuple(ChangeKind)
_CODE = {id(kind): code for code, kind in enumerate(_KINDS)}
"""By identity: hashing an enum member runs Python code, 2,000 times a score."""


def attribute(
    incident: Incident,
    changes: Sequence[Change],
    catalog: Catalog,
    *,
    now: datetime,
    experience: Experience = COLD,
) -> Attribution:
    """Every change of the last 72 h against "no known change explains this"; suspects best first, at most five.

    Changes later than `now` or more than 5 min
    after the first alert are no candidates. A change that also `touches` other subjects may have acted at any of them:
    its pattern is the mean over those that the catalogue knows; when it knows none, the mean over all subjects.
    Overlapping changes (same run or commit, or same subject within 2 min) are one candidate with the mass of its
    subjects; the likeliest member speaks for it, or the run that made the others. Raises ValueError for an incident
    without members.
    """
    pattern = Pattern(incident.members, catalog, spread=experience.spread)
    onset_at = pattern.onset_at
    candidates = _candidates(changes, onset_at, now)
    onset = onset_at.timestamp()
    lags = [(onset - change.occurred_at.timestamp()) / 60 for change in candidates]
    names, given = pattern.places(candidates)
    logs = _terms(candidates, lags, given, names, experience)
    own = logs.sum(axis=0)
    overlapping = _overlapping(lags, names, candidates)
    heads, masses = _heads(overlapping, own, names, candidates)
    temper = TEMPER if experience.confirmed < ENOUGH_FEEDBACK else 1.0
    background = (math.log(experience.background_per_day / 1440), pattern.anywhere)
    shares = _shares(np.append(masses, sum(background)) / temper)
    order = np.argsort(-shares[:-1], kind="stable").tolist()
    scored = (
        Scored(
            change=candidates[heads[g]],
            members=tuple(candidates[i] for i in overlapping.get(heads[g], ())),
            probability=float(shares[g]),
            own_share=float(np.exp(own[heads[g]] - masses[g])),
            risk=_risk(candidates[heads[g]], names[heads[g]], experience),
            terms=_log_odds(
                logs[:, heads[g]], masses[g], background, temper=temper, share=shares[g], no_change=shares[-1]
            ),
        )
        for g in order[:SHOWN]
    )
    suspects = tuple(suspect(score, pattern) for score in scored)
    first_kind = experience.kinds.get(suspects[0].change.kind) if suspects else None
    return Attribution(
        suspects=suspects,
        no_change=float(shares[-1]),
        other=float(shares[order[SHOWN:]].sum()),
        candidates=len(candidates),
        onset_at=onset_at,
        scored_at=now,
        scorer=SCORER,
        digest=_digest(pattern, candidates, now, experience),
        low_evidence=first_kind is None or first_kind.caused < FEW_OF_KIND,
    )


def _shares(logs: Floats) -> Floats:
    """Log weights as probabilities; they sum to 1."""
    weights = np.exp(logs - logs.max()) + 1e-300
    return np.asarray(weights / weights.sum())


def _candidates(changes: Sequence[Change], onset_at: datetime, now: datetime) -> list[Change]:
    """Changes that may have come first, in the order of ids; of one id what was told last."""
    earliest, latest = onset_at - WINDOW, min(onset_at + SKEW, now)
    near = [c for c in changes if earliest <= c.occurred_at <= latest]
    near.sort(key=attrgetter("received_at"))
    found = {c.id: c for c in near}
    return [found[id] for id in sorted(found)]


def _terms(
    candidates: list[Change], lags: list[float], given: Floats, names: list[Subject], experience: Experience
) -> Floats:
    """log risk, log density, log pattern and log clock penalty: four rows, one column a candidate."""
    logs = np.zeros((4, len(candidates)))
    if not candidates:
        return logs
    minutes = np.array(lags)
    late = minutes < 0
    minutes[late] = SKEW_LAG_MIN
    codes = np.array([_CODE[id(change.kind)] for change in candidates])
    for code in np.unique(codes).tolist():
        kind, at = _KINDS[code], np.flatnonzero(codes == code)
        record = experience.kinds.get(kind, _NOTHING)
        logs[0, at] = math.log(_mean(RISK, record))
        logs[1, at] = np.log(density(kind, minutes[at], learned=record.lags) + 1e-300)
    failure = ChangeOutcome.FAILURE
    for i in [i for i, c in enumerate(candidates) if c.outcome is failure or c.summary[:1] in _R or c.kind in _FAULTS]:
        logs[0, i] = math.log(_mean(_prior(candidates[i]), experience.kinds.get(candidates[i].kind, _NOTHING)))
    if experience.places:
        for i in [i for i, name in enumerate(names) if name in experience.places]:
            caused, harmless = _at_place(math.exp(logs[0, i]), experience.places[names[i]])
            logs[0, i] = math.log(caused / (caused + harmless))
    logs[2] = given
    for i in np.flatnonzero(late).tolist():
        off = 0.5 * math.erfc(-lags[i] / SKEW_SD_MIN / math.sqrt(2))
        logs[3, i] = math.log(SKEW_PRIOR * off + 1e-300)
    return logs


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


def _prior(change: Change) -> tuple[float, float]:
    kind = change.kind
    if kind is ChangeKind.PIPELINERUN_FINISHED:
        return RISK_FAILED_RUN if change.outcome is ChangeOutcome.FAILURE else RISK
    if kind is ChangeKind.FEATURE_OUTAGE:
        return RISK_OUTAGE
    if kind is ChangeKind.SERVICE_ROLLEDBACK:
        return RISK_REVERT
    return RISK_REVERT if change.summary[:8].lower().startswith(("revert", "rollback")) else RISK


def _overlapping(lags: list[float], names: list[Subject], candidates: list[Change]) -> dict[int, list[int]]:
    """The group of every candidate that overlaps another: indices, sorted. Members share one list."""
    group_of: dict[int, list[int]] = {}

    def join(i: int, j: int) -> None:
        one, other = group_of.get(i, [i]), group_of.get(j, [j])
        if j not in one:
            joined = sorted(one + other)
            group_of.update(dict.fromkeys(joined, joined))

    last: dict[Subject, int] = {}
    for i in np.argsort(lags, kind="stable").tolist():
        before = last.get(names[i])
        if before is not None and lags[i] - lags[before] <= OVERLAP_MIN:
            join(before, i)
        last[names[i]] = i
    work: dict[tuple[str, str], int] = {}
    for i, change in enumerate(candidates):
        for label in SAME_WORK if change.labels else ():
            if value := change.labels.get(label, ""):
                join(work.setdefault((label, value), i), i)
    return group_of


def _heads(
    overlapping: dict[int, list[int]], own: Floats, names: list[Subject], candidates: list[Change]
) -> tuple[list[int], Floats]:
    """Who speaks for each candidate, and its log mass. A group acts at each of its subjects once: one change told
    twice is not twice as likely."""
    masses = own.copy()
    heads = [i for i in range(len(own)) if i not in overlapping]
    for group in (group for i, group in overlapping.items() if i == group[0]):
        best: dict[Subject, float] = {}
        for i in group:
            best[names[i]] = max(best.get(names[i], -math.inf), float(own[i]))
        head = _speaker(group, own, candidates)
        masses[head] = np.logaddexp.reduce([best[name] for name in sorted(best)])
        heads.append(head)
    heads.sort()
    return heads, masses[heads]


def _speaker(group: list[int], own: Floats, candidates: list[Change]) -> int:
    """The likeliest member; but a run speaks for what it altered: it is what people can look up and run again."""
    runs = [
        i for i in group if candidates[i].kind is ChangeKind.PIPELINERUN_FINISHED and "run_id" in candidates[i].labels
    ]
    return max(runs or group, key=lambda i: float(own[i]))


def _log_odds(
    logs: Floats, mass: float, background: tuple[float, float], *, temper: float, share: float, no_change: float
) -> dict[str, float]:
    """Additive log-odds against the background, then against all other candidates; they sum to the shown logit."""
    rate, anywhere = background
    risk, lag, pattern, clock = (float(x) for x in logs)
    terms = {
        "risk": risk / temper,
        "lag": (lag - rate) / temper,
        "pattern": (pattern - anywhere) / temper,
        "clock": clock / temper,
        "overlap": (mass - float(logs.sum())) / temper,
        "rivals": math.log(no_change / max(1 - share, 1e-300)),
    }
    always = ("risk", "lag", "pattern")  # and numbers of Python's own: numpy's have no JSON form
    return {name: round(float(value), 6) for name, value in terms.items() if name in always or value}


def _digest(pattern: Pattern, candidates: list[Change], now: datetime, experience: Experience) -> str:
    """Hash of all that the answer rests on, in canonical order."""
    changes: list[object] = [
        list(map(attrgetter(name), candidates))
        for name in ("id", "kind", "subject", "occurred_at", "outcome", "touches", "summary")
    ]
    labels = [[c.id, *(c.labels.get(label, "") for label in SAME_WORK)] for c in candidates if c.labels]
    learned: list[object] = [(kind, r.caused, r.harmless, r.lags) for kind, r in sorted(experience.kinds.items())]
    learned += [sorted(experience.places.items()), experience.background_per_day]
    inputs = [SCORER, now, pattern.facts, changes, labels, learned, experience.confirmed]
    return hashlib.blake2b(orjson.dumps(inputs, default=str), digest_size=16).hexdigest()
