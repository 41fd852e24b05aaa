"""Who may order the likely causes: what was learned, the cold model, or a simple rule? (correlation.md §2.1, "Guard")

All of them answer every incident; one is shown. When a person confirms a cause, each is charged for the probability
that it had given to it *before* anybody knew. What was learned orders the ticket unless that record speaks against it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from tocsin.decide.attribute import Weighed, answer_of, set_right, told, weigh
from tocsin.decide.calibrate import PLAIN, Calibration, Foreseen, calibrated
from tocsin.decide.experience import COLD, Experience
from tocsin.decide.rules import RULES, orders
from tocsin.decide.scene import scene_of
from tocsin.domain.catalog import Catalog
from tocsin.domain.change import Change
from tocsin.domain.incident import Answer, Attribution, Incident
from tocsin.domain.series import Series

LEARNED, COLD_MODEL, CHANCE = "learned", "cold", "chance"
RIVALS = (COLD_MODEL, *RULES)
EVERYBODY = (LEARNED, *RIVALS, CHANCE)
LATEST = 250
"""Confirmations that are compared: as many as the reference looks back for its own refits."""
SLIPS = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
"""Shares of confirmations that name any change at all. How many really do is found out along the way, for each model by
itself, all equally likely at first: a model is judged by what it foresees of those that can be foreseen."""
MOST_AT_ONCE = 3.0
"""A single confirmation moves a balance against the learner by so many log units at most: never one alone decides."""
DOUBT = 0.05
ENOUGH = math.log(len(RIVALS) / DOUBT)
"""How much better a rival must have foreseen the causes, in log units. Were the learner's probabilities right, the
ratio of the two products would exceed rivals/5 % for any of them, ever, in at most 5 % of all worlds (Ville's
inequality): so no count of confirmations is "too few", the test holds at each."""
FEW = 10
"""Fewer confirmations are no reproach: to be ENOUGH better than chance takes a good scorer a handful. (Among very few
candidates chance is hard to beat; there it is enough to be as much better than the cold model.)"""
_PLACES = 5
_PLACE_PRIOR = (4.0, 1.0, 0.7, 0.4, 0.3, 0.6)
_NONE_PRIOR = 3.0
"""A rule knows no probabilities; its places earn theirs by counting, from ten pseudo-incidents: three without a change
(SRE workbook: 70 % of outages follow one), four at its first place (correlation.md §9.4: 43–50 % of all incidents)."""
_CHANCE_PRIOR = (*(0.0,) * _PLACES, 0.7, 0.3)
"""Any change, or none: the same shares from a single pseudo-incident, for chance must find out quickly how often it is
none. With ten of them, confirmations that were all drawn by chance looked foreseen."""

WORDS = {
    RULES[0]: "the latest change first",
    RULES[1]: "changes on what alerted first, then beside it",
    RULES[2]: "changes on the origin of the alerts first",
    RULES[3]: "changes that can reach most alerting items first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One incident with a confirmed cause (empty: no known change): what everybody had answered among so many
    candidates."""

    answers: Mapping[str, Answer]
    candidates: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How everybody has foreseen the confirmed causes, and whose order is shown for it."""

    compared: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    """Mean of −log(probability given to the confirmed cause) by name; smaller is better."""
    first: Mapping[str, int] = field(default_factory=dict)
    """How often the confirmed cause stood first; incidents without a known change do not count."""
    against: Mapping[str, float] = field(default_factory=dict)
    """Per rival, the balance that decides: from ENOUGH on it speaks against what was learned."""
    order: str = LEARNED
    model: str = LEARNED
    """Whose probabilities are shown: the learned ones, or the cold model's."""
    why: str = ""
    calibration: Calibration = PLAIN
    """How shown probabilities follow from the learned ones."""


NO_RECORD = Record()


def judged(trials: Sequence[Trial]) -> Record:
    """The record of the latest trials, given in the order of their incidents."""
    trials = trials[-LATEST:]
    if not trials:
        return NO_RECORD
    judges: dict[str, _ByPlaces | _BySlips] = {name: _BySlips(name) for name in (LEARNED, COLD_MODEL)}
    judges |= {rule: _ByPlaces(rule, (*_PLACE_PRIOR, _NONE_PRIOR)) for rule in RULES}
    judges[CHANCE] = _ByPlaces(CHANCE, _CHANCE_PRIOR)
    totals, first = dict.fromkeys(EVERYBODY, 0.0), dict.fromkeys(EVERYBODY, 0)
    against, ousted = dict.fromkeys(RIVALS, 0.0), False
    for trial in trials:
        places = _places(trial)
        losses = {name: judge.loss(trial, places.get(name)) for name, judge in judges.items()}
        for name in EVERYBODY:
            totals[name] += losses[name]
            first[name] += places.get(name) == 0
        for rival in RIVALS:
            against[rival] += min(MOST_AT_ONCE, losses[LEARNED] - losses[rival])
        worst = max(against[rival] for rival in _skilled(totals))
        ousted = worst >= ENOUGH or (ousted and worst > 0)
    order, model, why = _in_use(totals, first, len(trials), ousted=ousted)
    losses = {name: total / len(trials) for name, total in totals.items()}
    return Record(
        compared=len(trials),
        losses=losses,
        first=first,
        against=against,
        order=order,
        model=model,
        why=why,
        calibration=calibrated([_foreseen(trial) for trial in trials]) if model == LEARNED else PLAIN,
    )


def _foreseen(trial: Trial) -> Foreseen:
    """How the learned model had answered, and what was confirmed."""
    answer = trial.answers[LEARNED]
    shown = len(answer.candidates)
    return Foreseen(
        shown=answer.probabilities,
        no_change=answer.no_change,
        others=max(trial.candidates - shown, 0),
        was=_places(trial).get(LEARNED, shown + 1) if trial.cause else shown,
    )


def _skilled(totals: Mapping[str, float]) -> list[str]:
    """The cold model, and the rules that are clearly better than chance: only these may take over."""
    return [COLD_MODEL, *(rule for rule in RULES if totals[CHANCE] - totals[rule] >= ENOUGH)]


def _in_use(
    totals: Mapping[str, float], first: Mapping[str, int], compared: int, *, ousted: bool
) -> tuple[str, str, str]:
    """Whose order, whose probabilities, and why."""
    lost = compared >= FEW and max(totals[CHANCE], totals[COLD_MODEL]) - totals[LEARNED] < ENOUGH
    if not (ousted or lost):
        return LEARNED, LEARNED, ""
    best = min(_skilled(totals), key=lambda name: totals[name])
    if best != COLD_MODEL:
        model = LEARNED if totals[LEARNED] <= totals[COLD_MODEL] else COLD_MODEL
        why = f"it foresaw the last {compared} confirmed causes better than what was learned"
        return best, model, f"ordered {WORDS[best]}: {why} (first {first[best]} times against {first[LEARNED]})"
    than = "hardly better than chance" if lost else "worse than without it"
    why = f"it foresaw the last {compared} confirmed causes {than}"
    return COLD_MODEL, COLD_MODEL, f"what was learned is left out: {why}"


def _places(trial: Trial) -> dict[str, int]:
    """The confirmed cause's place from 0 in each answer that shows it; of changes judged as one any will do."""
    if not trial.cause:
        return {}
    groups = [group for answer in trial.answers.values() for group in answer.candidates if trial.cause in group]
    same = {trial.cause}.union(*groups)
    found = {}
    for name, answer in trial.answers.items():
        at = next((at for at, group in enumerate(answer.candidates) if not same.isdisjoint(group)), None)
        if at is not None:
            found[name] = at
    return found


_NOTHING = Answer(candidates=())


class _BySlips:
    """A model: its own probabilities, but for confirmations that name anything."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._weights = [1 / len(SLIPS)] * len(SLIPS)

    def loss(self, trial: Trial, at: int | None) -> float:
        """−log of the probability given to what was confirmed, which stands `at` this place."""
        given, chance = self._given(trial, at), 1 / (trial.candidates + 1)
        each = [w * ((1 - slip) * given + slip * chance) for w, slip in zip(self._weights, SLIPS, strict=True)]
        self._weights = [one / sum(each) for one in each]
        return -math.log(sum(each))

    def _given(self, trial: Trial, at: int | None) -> float:
        answer = trial.answers[self._name]
        if not trial.cause:
            return answer.no_change
        if at is not None:
            return answer.probabilities[at]
        rest = 1 - answer.no_change - sum(answer.probabilities)
        return max(rest, 0.0) / max(trial.candidates - len(answer.candidates), 1)


class _ByPlaces:
    """A rule: its places are worth what they were worth until now. Chance shows nothing, for none is better."""

    def __init__(self, name: str, prior: Sequence[float]) -> None:
        self._name = name
        self._counts = list(prior)

    def loss(self, trial: Trial, at: int | None) -> float:
        """−log of the probability given to what was confirmed, which stands `at` this place."""
        shown = len(trial.answers.get(self._name, _NOTHING).candidates)
        beyond = max(trial.candidates - shown, 0)
        slot = (_PLACES if at is None else at) if trial.cause else _PLACES + 1
        there = [*self._counts[:shown], self._counts[_PLACES] if beyond else 0.0, self._counts[_PLACES + 1]]
        given = self._counts[slot] / sum(there)
        self._counts[slot] += 1
        return -math.log(given / max(beyond, 1) if slot == _PLACES else given)


def shown(
    incident: Incident,
    changes: Sequence[Change],
    catalog: Catalog,
    *,
    now: datetime,
    experience: Experience = COLD,
    record: Record = NO_RECORD,
    series: Sequence[Series] = (),
) -> Attribution:
    """`attribute`, in the order that the record allows and with the probabilities of the model that foresaw better.
    Raises ValueError for an incident without members."""
    scene = scene_of(incident, changes, catalog, now=now, series=series)
    weighed = _in_force(weigh(scene, experience), record) if record.model == LEARNED else weigh(scene, COLD)
    return _by_record(weighed, orders(scene).get(record.order, ()) if record.order in RULES else (), record)


def _in_force(learned: Weighed, record: Record) -> Weighed:
    """The learned probabilities as the record sets them right."""
    by = record.calibration
    return set_right(learned, bold=by.bold, none=by.none) if by.in_use else learned


def _by_record(weighed: Weighed, first: Sequence[str], record: Record) -> Attribution:
    if record.order == LEARNED:
        return told(weighed)
    found = told(weighed, first=first)
    suspects = tuple(
        replace(s, against=(record.why, *s.against)) if not at else s for at, s in enumerate(found.suspects)
    )
    return replace(found, order=record.order, order_why=record.why, suspects=suspects)


def guarded(
    incident: Incident,
    changes: Sequence[Change],
    catalog: Catalog,
    *,
    now: datetime,
    experience: Experience = COLD,
    record: Record = NO_RECORD,
    series: Sequence[Series] = (),
) -> Attribution:
    """`shown`, with everybody's answer beside it, so that all can be judged once a person has named the cause."""
    scene = scene_of(incident, changes, catalog, now=now, series=series)
    cold = weigh(scene, COLD)
    learned = weigh(scene, experience) if experience.confirmed else cold
    rules = orders(scene)
    model = _in_force(learned, record) if record.model == LEARNED else cold
    found = _by_record(model, rules.get(record.order, ()), record)
    answers = answers_of(answer_of(learned), answer_of(cold), rules)
    inputs: list[object] = [answers[LEARNED].digest, answers[COLD_MODEL].digest, record.order, record.model, record.why]
    inputs += [sorted(record.against.items()), record.calibration.bold, record.calibration.none]
    digest = hashlib.blake2b(orjson.dumps(inputs), digest_size=16).hexdigest()
    return replace(found, answers=answers, digest=digest if record.compared else answers[LEARNED].digest)


def answers_of(learned: Answer, cold: Answer, rules: Mapping[str, Sequence[str]]) -> dict[str, Answer]:
    """Everybody's answer by name."""
    by_rules = {name: Answer(candidates=tuple((id,) for id in ids)) for name, ids in rules.items()}
    return {LEARNED: learned, COLD_MODEL: cold, **by_rules}
