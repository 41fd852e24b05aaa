"""What to do first, and because of what: a table of rules over symptom, cause and the model's metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tocsin.decide.wording import CHANGE_WORDS
from tocsin.domain.alert import Symptom
from tocsin.domain.catalog import Catalog, ModelCard
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.drift import DRIFTS, Drift, Finding
from tocsin.domain.incident import Advice, AdviceKind, Band, Category, Incident
from tocsin.domain.policy import Outage
from tocsin.domain.subject import Subject

MAX_ADVICE = 3

SMALL_SAMPLE = 500
"""Below this many rows a stability index over .1 fires without any drift in 7 to 55 % of checks
(correlation.md §6)."""

_DATA_CHANGES = frozenset(
    {
        ChangeKind.PIPELINERUN_FINISHED,
        ChangeKind.DATASET_SCHEMA_CHANGED,
        ChangeKind.DATASET_MODIFIED,
        ChangeKind.FEATURE_OUTAGE,
    }
)
_MODEL_CHANGES = frozenset({ChangeKind.MODEL_PROMOTED, ChangeKind.MODEL_DEPLOYED, ChangeKind.MODEL_REGISTERED})
_DATA_FAULTS = frozenset({Symptom.FRESHNESS, Symptom.VOLUME, Symptom.SCHEMA, Symptom.DATA_QUALITY})
_INPUTS_MOVED = DRIFTS - {Symptom.CONCEPT_DRIFT}
_WORSE = frozenset({Symptom.PERFORMANCE, Symptom.CONCEPT_DRIFT})
"""The relation between inputs and outcome moved."""
_OF_PROBABILITIES = re.compile(r"log.?loss|cross.?entropy|brier|calibration|\bece\b|\bmce\b", re.IGNORECASE)
"""Metrics that miscalibrated probabilities alone make worse, while the order of the scores still holds."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the rules look at."""

    head: Subject
    job: Subject
    """What makes the head: itself or the nearest job above it."""
    category: Category
    symptoms: frozenset[Symptom]
    cause: Change | None
    """The first suspect at P ≥ .3."""
    likely: bool
    """…and at P ≥ .8."""
    models: tuple[Subject, ...]
    model: Subject | None
    """The one model to act on: the cause's, the head, or the only alerting one."""
    card: ModelCard
    smallest_sample: int | None
    outages: tuple[Outage, ...]
    drift: Drift | None
    worse: bool
    """Some alert says that the model is wrong in more than the size of its probabilities."""

    @property
    def cause_words(self) -> str:
        if self.cause is None:
            return ""
        version = f" #{self.cause.version}" if self.cause.version.isdigit() else f" {self.cause.version}"
        return f"{CHANGE_WORDS[self.cause.kind]} {self.cause.subject.name}{version}".rstrip()

    @property
    def data_cause(self) -> bool:
        return self.cause is not None and self.cause.kind in _DATA_CHANGES

    @property
    def without_effect(self) -> bool:
        """The drift was tested and has none."""
        return self.drift is not None and self.drift.without_effect

    def drifted(self, finding: Finding) -> bool:
        """Some drift alert came out so."""
        return self.drift is not None and any(s.symptom in DRIFTS for s in self.drift.found(finding))

    @property
    def data_fault(self) -> bool:
        """The data are wrong, not merely different."""
        return self.data_cause or (self.cause is None and bool(self.symptoms & _DATA_FAULTS))

    @property
    def model_words(self) -> str:
        return self.model.name if self.model else "the model"


def advise(
    incident: Incident,
    catalog: Catalog,
    *,
    head: Subject,
    category: Category,
    outages: Sequence[Outage] = (),
    drift: Drift | None = None,
) -> tuple[Advice, ...]:
    """At most three, the first is what to do first; never none. Rules in the order of `_RULES`, one of each kind;
    the text names things as the catalogue does and carries no clock times."""
    facts = _facts(incident, catalog, head, category, tuple(outages), drift=drift)
    found: dict[AdviceKind, Advice] = {}
    for rule in _RULES:
        advice = rule(facts)
        if advice is not None:
            found.setdefault(advice.kind, advice)
    if not found or (facts.cause is not None and not facts.likely):
        found.setdefault(AdviceKind.INVESTIGATE, _investigate(facts))
    return tuple(found.values())[:MAX_ADVICE]


def _facts(
    incident: Incident,
    catalog: Catalog,
    head: Subject,
    category: Category,
    outages: tuple[Outage, ...],
    *,
    drift: Drift | None,
) -> _Facts:
    members = incident.firing or incident.members
    first = incident.attribution.first if incident.attribution else None
    cause = first.change if first is not None and first.band is not Band.UNLIKELY else None
    models = tuple(sorted({m.alert.subject for m in members if m.alert.subject.kind == "model"}))
    acting = [cause.subject] if cause is not None and cause.subject.kind == "model" else []
    acting += [head] if head.kind == "model" else list(models) if len(models) == 1 else []
    entry = catalog.entry(acting[0]) if acting else None
    sizes = [m.alert.sample_size for m in members if m.alert.sample_size is not None]
    return _Facts(
        head=head,
        job=next((at for at in (head, *catalog.upstream(head)) if at.kind == "job"), head),
        category=category,
        symptoms=frozenset(m.alert.symptom for m in members),
        cause=cause,
        likely=first is not None and first.band is Band.LIKELY,
        models=models,
        model=acting[0] if acting else None,
        card=(entry.model if entry else None) or ModelCard(),
        smallest_sample=min(sizes, default=None),
        outages=outages,
        drift=drift,
        worse=any(m.alert.symptom in _WORSE and not _OF_PROBABILITIES.search(m.alert.metric) for m in members),
    )


def _wait_for_others(facts: _Facts) -> Advice | None:
    """Outside fault or known outage: nothing of ours to roll back."""
    if facts.category is Category.EXTERNAL:
        name = facts.cause.subject.name if facts.cause and facts.cause.subject.kind == "provider" else facts.head.name
        text = f"Wait for {name}: watch its status page, use the fallback if there is one. Do not roll back."
        return Advice(kind=AdviceKind.WAIT, text=text, because="the fault lies with a provider outside")
    if facts.outages:
        name = facts.outages[0].subject.name
        text = f"Wait for {name} to come back, then check again."
        return Advice(kind=AdviceKind.WAIT, text=text, because=f"{name} has a known outage and this rests on it")
    return None


def _fix_data(facts: _Facts) -> Advice | None:
    """Inputs are wrong or shifted because of a run: mend them, the model is right about what it learned."""
    if not facts.data_fault or facts.category is Category.EXTERNAL:
        return None
    touches_models = bool(facts.models) or facts.head.kind == "feature" or bool(facts.symptoms & _INPUTS_MOVED)
    ending = " Do not retrain." if touches_models else ""
    if facts.cause is None:
        repair = "get it running again" if facts.symptoms & _DATA_FAULTS == {Symptom.FRESHNESS} else "repair its data"
        text = f"Fix data: check the last run of {facts.job.name}, {repair}.{ending}"
        return Advice(
            kind=AdviceKind.FIX_DATA, text=text, because="the data are at fault and no known change explains it"
        )
    if not facts.likely:
        text = f"Fix data: check {facts.cause_words} first, re-run it once mended.{ending}"
    elif facts.cause.kind is ChangeKind.FEATURE_OUTAGE:
        text = f"Fix data: bring {facts.cause.subject.name} back, then fill the gap.{ending}"
    elif _is_schema(facts):
        text = f"Fix data: restore the column that {facts.cause_words} changed, then re-run.{ending}"
    else:
        text = f"Fix data: repair what {facts.cause_words} wrote, then re-run.{ending}"
    return Advice(kind=AdviceKind.FIX_DATA, text=text, because=f"the inputs changed with {facts.cause_words}")


def _is_schema(facts: _Facts) -> bool:
    assert facts.cause is not None
    summary = facts.cause.summary.lower()
    return facts.cause.kind is ChangeKind.DATASET_SCHEMA_CHANGED or any(
        word in summary for word in ("renamed", "dropped", "removed column", "column")
    )


def _roll_back(facts: _Facts) -> Advice | None:
    """Only a likely cause is rolled back (correlation.md §2.1), and a model only to a version known to be safe."""
    cause = facts.cause
    if cause is None or not facts.likely or cause.kind in _DATA_CHANGES:
        return None
    because = f"{facts.cause_words} is the likely cause"
    text = _way_back(facts, cause)
    return Advice(kind=AdviceKind.ROLLBACK, text=text, because=because) if text else None


def _way_back(facts: _Facts, cause: Change) -> str:
    name = cause.subject.name
    if cause.kind in _MODEL_CHANGES:
        safe = facts.card.previous_version
        if not safe or safe == cause.version:
            return ""
        how = f" ({facts.card.rollback})" if facts.card.rollback else ""
        return f"Roll back {name} to {safe}, the last version known to be safe{how}."
    if cause.kind is ChangeKind.SERVICE_DEPLOYED:
        back_to = f" to {cause.previous_version}" if cause.previous_version else " to the version before"
        return f"Roll back {name}{f' from {cause.version}' if cause.version else ''}{back_to}."
    if cause.kind is ChangeKind.FEATURE_FLAG_CHANGED:
        return f"Switch flag {name} back."
    if cause.kind is ChangeKind.ENVIRONMENT_MODIFIED:
        return f"Revert the configuration change of {name}."
    return ""


def _recalibrate(facts: _Facts) -> Advice | None:
    """Probabilities are off while the ranking holds: the mapping of scores is at fault, not the learning."""
    if Symptom.CALIBRATION not in facts.symptoms or facts.worse or facts.data_fault:
        return None
    of_probabilities = bool(facts.symptoms & _WORSE)
    return Advice(
        kind=AdviceKind.RECALIBRATE,
        text=f"Recalibrate {facts.model_words} on recent labels; a full retraining is not needed.",
        because="only figures of its probabilities are off, none of its ranking"
        if of_probabilities
        else "calibration is off while no accuracy alert fires",
    )


def _retrain(facts: _Facts) -> Advice | None:
    """The relation itself moved, and neither data nor a change is to blame."""
    if not facts.worse or facts.data_fault or facts.cause is not None or facts.outages:
        return None
    snapshot = f"; the last snapshot is {facts.card.training_snapshot}" if facts.card.training_snapshot else ""
    inputs = " while its inputs shifted" if facts.drifted(Finding.SHIFTED) else ""
    inputs = inputs or (" while its inputs hold, tested" if facts.without_effect else "")
    return Advice(
        kind=AdviceKind.RETRAIN,
        text=f"Retrain {facts.model_words} on recent labelled data{snapshot}.",
        because=f"accuracy dropped{inputs} and neither a data fault nor a known change explains it",
    )


def _no_effect(facts: _Facts) -> Advice | None:
    """The threshold fires on what does not matter: too little, or chance (correlation.md §6)."""
    if not _only_drift(facts) or not facts.without_effect:
        return None
    if facts.drifted(Finding.SMALL):
        text = f"Raise the threshold of {facts.head.name}: it fires on shifts that are too small to matter."
        return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=text, because="the shift was tested: real, but too small")
    rows = f": {facts.smallest_sample} rows were compared" if facts.smallest_sample is not None else ""
    return Advice(
        kind=AdviceKind.ADJUST_THRESHOLD,
        text=f"Check on more rows, then raise the threshold or the window{rows}.",
        because="the shift was tested: chance alone moves so few rows as much",
    )


def _small_sample(facts: _Facts) -> Advice | None:
    few = facts.smallest_sample
    if few is None or few >= SMALL_SAMPLE or not _only_drift(facts) or facts.drifted(Finding.SHIFTED):
        return None
    return Advice(
        kind=AdviceKind.ADJUST_THRESHOLD,
        text=f"Check on more rows, then raise the threshold or the window: {few} rows were compared.",
        because=f"with fewer than {SMALL_SAMPLE} rows such a check often fires when nothing changed",
    )


def _watch_drift(facts: _Facts) -> Advice | None:
    """Inputs moved, nobody changed anything, results hold: the world moved, the relation is intact."""
    if not _only_drift(facts):
        return None
    how = "values shifted by more than chance" if facts.drifted(Finding.SHIFTED) else "values shifted"
    text = f"Wait for the next checks of {facts.head.name}; act when it lasts or accuracy drops."
    return Advice(kind=AdviceKind.WAIT, text=text, because=f"{how} without a known change, accuracy holds")


def _adjust(facts: _Facts) -> Advice | None:
    if not _only_drift(facts):
        return None
    text = f"If the shift is real and harmless, renew the reference window of {facts.head.name}."
    return Advice(kind=AdviceKind.ADJUST_THRESHOLD, text=text, because="no accuracy alert came with it")


def _only_drift(facts: _Facts) -> bool:
    return bool(facts.symptoms) and facts.symptoms <= _INPUTS_MOVED and facts.cause is None and not facts.outages


def _investigate(facts: _Facts) -> Advice:
    """When no rule applies, and beside them while the cause is not sure: nobody is left without a first step."""
    if facts.cause is not None and not facts.likely:
        text = f"Look at {facts.cause_words} first; roll back only if it fits."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="it is the best explanation, but not a sure one")
    if facts.cause is not None and facts.cause.kind in _MODEL_CHANGES and not facts.card.previous_version:
        text = f"Compare {facts.model_words} with the version before; the catalogue names none that is safe."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because=f"{facts.cause_words} is the likely cause")
    if facts.cause is not None:
        text = f"Look at {facts.cause_words} and what it changed."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="it is the likely cause")
    if Symptom.FAIRNESS in facts.symptoms:
        text = f"Compare the groups of {facts.model_words} before and after; tell its risk owner."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="some group is treated worse than the others")
    if Symptom.SATURATION in facts.symptoms:
        text = f"Look at the load of {facts.head.name}; add capacity if it grows."
        return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="it runs full and no known change explains it")
    text = f"Start at {facts.head.name}: nothing above it alerts."
    return Advice(kind=AdviceKind.INVESTIGATE, text=text, because="no known change explains it")


_RULES: tuple[Callable[[_Facts], Advice | None], ...] = (
    _wait_for_others,
    _fix_data,
    _roll_back,
    _recalibrate,
    _retrain,
    _no_effect,
    _small_sample,
    _watch_drift,
    _adjust,
)
"""First come, first done; a rule that does not apply is silent."""
