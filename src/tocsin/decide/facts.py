"""What do the rules of advice look at? Symptoms, likely cause, the model's card, what became of the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.decide.wording import CHANGE_WORDS
from tocsin.domain.alert import Alert, AlertState, Symptom
from tocsin.domain.catalog import Catalog, ModelCard
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.drift import DRIFTS, Drift, Finding
from tocsin.domain.incident import Band, Category, Incident
from tocsin.domain.policy import Outage
from tocsin.domain.subject import Subject

DATA_CHANGES = frozenset(
    {
        ChangeKind.PIPELINERUN_FINISHED,
        ChangeKind.DATASET_SCHEMA_CHANGED,
        ChangeKind.DATASET_MODIFIED,
        ChangeKind.FEATURE_OUTAGE,
    }
)
DATA_FAULTS = frozenset({Symptom.FRESHNESS, Symptom.VOLUME, Symptom.SCHEMA, Symptom.DATA_QUALITY})
INPUTS_MOVED = DRIFTS - {Symptom.CONCEPT_DRIFT}
WORSE = frozenset({Symptom.PERFORMANCE, Symptom.CONCEPT_DRIFT})
"""The relation between inputs and outcome moved."""
SHARING = 3
"""So many shifted features of one producer, and none of another, are no chance (judgement: of two producers alike in
size, one case in four would be)."""
_OF_PROBABILITIES = re.compile(r"log.?loss|cross.?entropy|brier|calibration|\bece\b|\bmce\b", re.IGNORECASE)
"""Metrics that miscalibrated probabilities alone make worse, while the order of the scores still holds."""
_PRODUCERS = frozenset({"job", "dataset"})


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one incident, read once."""

    head: Subject
    job: Subject
    """What makes the head: itself or the nearest job above it."""
    category: Category
    members: tuple[AlertState, ...]
    """What fires; everything when nothing does."""
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
    producer: Subject | None
    """What all shifted features come from, while those from elsewhere are silent."""

    @property
    def cause_words(self) -> str:
        if self.cause is None:
            return ""
        version = f" #{self.cause.version}" if self.cause.version.isdigit() else f" {self.cause.version}"
        return f"{CHANGE_WORDS[self.cause.kind]} {self.cause.subject.name}{version}".rstrip()

    @property
    def data_cause(self) -> bool:
        return self.cause is not None and self.cause.kind in DATA_CHANGES

    @property
    def unexplained(self) -> bool:
        """No known change, and no known outage of what it rests on."""
        return self.cause is None and not self.outages

    @property
    def only_drift(self) -> bool:
        """Values moved, nothing says that results are worse, and nothing explains it."""
        return bool(self.symptoms) and self.symptoms <= INPUTS_MOVED and self.unexplained

    @property
    def without_effect(self) -> bool:
        """The drift was tested and has none."""
        return self.drift is not None and self.drift.without_effect

    def drifted(self, finding: Finding, symptoms: frozenset[Symptom] = DRIFTS) -> bool:
        """Some drift alert (of these symptoms) came out so."""
        return self.drift is not None and any(s.symptom in symptoms for s in self.drift.found(finding))

    @property
    def windows(self) -> int:
        """Failed checks in a row, of the shift that lasts longest."""
        shifted = self.drift.found(Finding.SHIFTED) if self.drift is not None else ()
        return max((s.in_a_row for s in shifted if s.symptom in DRIFTS), default=0)

    @property
    def data_fault(self) -> bool:
        """The data are wrong, not merely different."""
        return self.data_cause or (self.cause is None and bool(self.symptoms & DATA_FAULTS))

    @property
    def model_words(self) -> str:
        return self.model.name if self.model else "the model"


def facts_of(
    incident: Incident,
    catalog: Catalog,
    head: Subject,
    category: Category,
    outages: Sequence[Outage],
    *,
    drift: Drift | None,
) -> Facts:
    """The facts, in the catalogue's names."""
    members = incident.firing or incident.members
    first = incident.attribution.first if incident.attribution else None
    cause = first.change if first is not None and first.band is not Band.UNLIKELY else None
    models = tuple(sorted({m.alert.subject for m in members if m.alert.subject.kind == "model"}))
    acting = [cause.subject] if cause is not None and cause.subject.kind == "model" else []
    acting += [head] if head.kind == "model" else list(models) if len(models) == 1 else []
    entry = catalog.entry(acting[0]) if acting else None
    sizes = [m.alert.sample_size for m in members if m.alert.sample_size is not None]
    return Facts(
        head=head,
        job=next((at for at in (head, *catalog.upstream(head)) if at.kind == "job"), head),
        category=category,
        members=tuple(members),
        symptoms=frozenset(m.alert.symptom for m in members),
        cause=cause,
        likely=first is not None and first.band is Band.LIKELY,
        models=models,
        model=acting[0] if acting else None,
        card=(entry.model if entry else None) or ModelCard(),
        smallest_sample=min(sizes, default=None),
        outages=tuple(outages),
        drift=drift,
        worse=any(m.alert.symptom in WORSE and not _of_probabilities(m.alert) for m in members),
        producer=_producer(drift, catalog),
    )


def _of_probabilities(alert: Alert) -> bool:
    return bool(_OF_PROBABILITIES.search(alert.metric))


def _producer(drift: Drift | None, catalog: Catalog) -> Subject | None:
    """The nearest job or dataset that all shifted features rest on, when they are SHARING or more and the same models
    have watched features from elsewhere that did not shift."""
    shifts = drift.found(Finding.SHIFTED) if drift is not None else ()
    shifted = {catalog.resolve(s.subject) for s in shifts if s.subject.kind == "feature"}
    if len(shifted) < SHARING:
        return None
    ways = [{at: hops for at, hops in catalog.upstream(s).items() if at.kind in _PRODUCERS} for s in sorted(shifted)]
    shared = set(ways[0]).intersection(*ways[1:])
    elsewhere = [at for at in _beside(shifted, catalog) if not shared & set(catalog.upstream(at))]
    return min(shared, key=lambda at: (max(way[at] for way in ways), at)) if shared and elsewhere else None


def _beside(features: set[Subject], catalog: Catalog) -> set[Subject]:
    """Other watched features of the models that rest on these."""
    models = {at for feature in features for at, hops in catalog.downstream(feature).items() if hops == 1}
    inputs = {at for model in models for at, hops in catalog.upstream(model).items() if hops == 1}
    watched = {at for at in inputs if at.kind == "feature" and ((e := catalog.entry(at)) is None or e.monitored)}
    return watched - features
