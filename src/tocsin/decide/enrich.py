"""What would a responder look up: head, runbook, category, also affected, recent changes, outages, advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tocsin.decide.advise import advise
from tocsin.decide.drift import drift_of
from tocsin.domain.alert import AlertState, Sample, Symptom
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Affected, Band, Category, Enrichment, Incident, Similar
from tocsin.domain.policy import Outage, Policy
from tocsin.domain.subject import Subject

MAX_BLAST = 50
MAX_RECENT = 5
MAX_SAMPLES = 5
MAX_SIMILAR = 3
NOT_MAPPED = "Impact not mapped"

_ROLLOUTS = frozenset(
    {
        ChangeKind.SERVICE_DEPLOYED,
        ChangeKind.SERVICE_ROLLEDBACK,
        ChangeKind.PIPELINERUN_FINISHED,
        ChangeKind.MODEL_DEPLOYED,
        ChangeKind.MODEL_PROMOTED,
    }
)
"""Deploys and runs: what a responder asks for first."""

_BY_CHANGE = {
    ChangeKind.PIPELINERUN_FINISHED: Category.DATA,
    ChangeKind.DATASET_SCHEMA_CHANGED: Category.DATA,
    ChangeKind.DATASET_MODIFIED: Category.DATA,
    ChangeKind.FEATURE_OUTAGE: Category.DATA,
    ChangeKind.MODEL_REGISTERED: Category.MODEL,
    ChangeKind.MODEL_PROMOTED: Category.MODEL,
    ChangeKind.MODEL_DEPLOYED: Category.MODEL,
    ChangeKind.FEATURE_FLAG_CHANGED: Category.PRODUCT,
}
"""The cause's kind decides at P ≥ .3; every other kind is platform."""

_BY_SYMPTOM = {
    Symptom.FRESHNESS: Category.DATA,
    Symptom.VOLUME: Category.DATA,
    Symptom.SCHEMA: Category.DATA,
    Symptom.DATA_QUALITY: Category.DATA,
    Symptom.FEATURE_DRIFT: Category.DATA,
    Symptom.PREDICTION_DRIFT: Category.MODEL,
    Symptom.CONCEPT_DRIFT: Category.MODEL,
    Symptom.LABEL_DRIFT: Category.MODEL,
    Symptom.PERFORMANCE: Category.MODEL,
    Symptom.CALIBRATION: Category.MODEL,
    Symptom.FAIRNESS: Category.MODEL,
    Symptom.EXPLAINABILITY: Category.MODEL,
    Symptom.BUSINESS_KPI: Category.PRODUCT,
}
"""Without such a cause the most frequent symptom of the head decides; availability, latency, errors, saturation
and cost are platform."""


def enrich(
    incident: Incident,
    catalog: Catalog,
    policy: Policy,
    *,
    changes: Sequence[Change],
    similar: Sequence[Similar],
    now: datetime,
) -> Enrichment:
    """Everything that the ticket says besides cause and owner. Nothing later than `now` is used."""
    head = head_subject(incident, catalog)
    entry = catalog.entry(head)
    category = categorise(incident, head)
    runbook, runbook_why = _runbook(incident, head, entry, policy)
    blast = _blast(incident, head, catalog)
    outages = _outages(incident, head, catalog, policy, now)
    drift = drift_of(incident, catalog, policy.drift, now=now)
    return Enrichment(
        head=head,
        entry=entry,
        runbook=runbook,
        runbook_why=runbook_why,
        category=category,
        blast=blast,
        impact=_impact(entry, blast),
        recent=_recent(incident, head, catalog, changes, now),
        outages=tuple(_outage_words(outage) for outage in outages),
        similar=tuple(similar[:MAX_SIMILAR]),
        samples=_samples(incident),
        advice=advise(incident, catalog, head=head, category=category, outages=outages, drift=drift),
        drift=drift,
    )


def head_subject(incident: Incident, catalog: Catalog) -> Subject:
    """What the incident is about: the likely cause's subject when the members rest on it (or it alerts itself);
    else the most upstream alerting subject: none above it, then most below it, then worst severity, then name."""
    subjects = _alerting(incident)
    above = {subject: catalog.upstream(subject) for subject in subjects}
    first = incident.attribution.first if incident.attribution else None
    if first is not None and first.band is Band.LIKELY:
        cause = catalog.resolve(first.change.subject)
        if cause in subjects or any(cause in upstream for upstream in above.values()):
            return cause
    below = Counter(at for upstream in above.values() for at in upstream)

    def order(subject: Subject) -> tuple[int, int, int, str]:
        resting_on = sum(other in above[subject] for other in subjects)
        severity = min(m.alert.severity.rank for m in incident.members if m.alert.subject == subject)
        return resting_on, -below[subject], severity, subject

    return min(subjects, key=order)


def _alerting(incident: Incident) -> list[Subject]:
    """Subjects that fire; all of them when none does."""
    return sorted({member.alert.subject for member in incident.firing or incident.members})


def categorise(incident: Incident, head: Subject) -> Category:
    """Provider → external; then by the first suspect at P ≥ .3; then by the head's symptoms (tables above)."""
    first = incident.attribution.first if incident.attribution else None
    cause = first.change if first is not None and first.band is not Band.UNLIKELY else None
    if head.kind == "provider" or (cause is not None and cause.subject.kind == "provider"):
        return Category.EXTERNAL
    if cause is not None:
        return _BY_CHANGE.get(cause.kind, Category.PLATFORM)
    symptoms = Counter(m.alert.symptom for m in _of_head(incident, head))
    leading = min(symptoms, key=lambda symptom: (-symptoms[symptom], symptom))
    return _BY_SYMPTOM.get(leading, Category.PLATFORM)


def _of_head(incident: Incident, head: Subject) -> list[AlertState]:
    own = [m for m in incident.members if m.alert.subject == head]
    return own or list(incident.members)


def _runbook(incident: Incident, head: Subject, entry: Entry | None, policy: Policy) -> tuple[str, str]:
    """The head's own, else the policy's starter for its worst symptom that has one."""
    if entry is not None and entry.runbook:
        return entry.runbook, f"runbook of {head}"
    for member in sorted(_of_head(incident, head), key=lambda m: (m.alert.severity.rank, m.alert.symptom)):
        symptom = member.alert.symptom
        if symptom in policy.runbooks:
            return policy.runbooks[symptom], f"starter for {symptom.replace('_', ' ')}: {head} has none of its own"
    return "", f"{head} has none and there is no starter"


def _blast(incident: Incident, head: Subject, catalog: Catalog) -> tuple[Affected, ...]:
    """What feels it, nearest first, at most MAX_BLAST; alerting ones before silent ones at the same distance."""
    alerting = set(_alerting(incident))
    found = [
        Affected(subject=at, hops=hops, alerting=at in alerting, impact=_impact_of(catalog.entry(at)))
        for at, hops in catalog.downstream(head).items()
    ]
    return tuple(sorted(found, key=lambda a: (a.hops, not a.alerting, a.subject))[:MAX_BLAST])


def _impact_of(entry: Entry | None) -> str:
    promised = f"Promised: {entry.contract}" if entry and entry.contract else ""
    return "; ".join(text for text in (entry.kpi, promised) if text) if entry else ""


def _impact(entry: Entry | None, blast: tuple[Affected, ...]) -> str:
    """The first business figure or promise at stake, from the head outwards; alerting items before silent ones."""
    if own := _impact_of(entry):
        return own
    mapped = sorted((a for a in blast if a.impact), key=lambda a: (not a.alerting, a.hops))
    return mapped[0].impact if mapped else NOT_MAPPED


def _recent(
    incident: Incident, head: Subject, catalog: Catalog, changes: Sequence[Change], now: datetime
) -> tuple[Change, ...]:
    on_path = {head, *catalog.upstream(head)}
    for subject in _alerting(incident):
        on_path |= {subject, *catalog.upstream(subject)}
    rollouts = [
        change
        for change in changes
        if change.kind in _ROLLOUTS
        and change.occurred_at <= now
        and on_path & {catalog.resolve(change.subject), *change.touches}
    ]
    return tuple(sorted(rollouts, key=lambda change: (-change.occurred_at.timestamp(), change.id))[:MAX_RECENT])


def _outages(incident: Incident, head: Subject, catalog: Catalog, policy: Policy, now: datetime) -> tuple[Outage, ...]:
    """Known outages that lasted into the incident, of anything that it rests on."""
    rests_on = {head, *catalog.upstream(head)}
    for subject in _alerting(incident):
        rests_on |= {subject, *catalog.upstream(subject)}
    begin = min(member.starts_at for member in incident.members)
    return tuple(
        outage
        for outage in policy.outages
        if outage.subject in rests_on
        and outage.starts_at <= now
        and (outage.ends_at is None or outage.ends_at >= begin)
    )


def _outage_words(outage: Outage) -> str:
    extra = ", ".join(text for text in (outage.ticket, outage.note) if text)
    return f"{outage.subject.name} has a known outage" + (f" ({extra})" if extra else "")


def _samples(incident: Incident) -> tuple[Sample, ...]:
    merged = dict.fromkeys(sample for member in incident.members for sample in member.alert.samples)
    return tuple(merged)[:MAX_SAMPLES]
