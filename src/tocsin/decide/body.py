"""What stands in the ticket's body: WHAT, HIT, CHANGED, WHY, DO FIRST, OWNER, LINKS, each from what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tocsin.decide.enrich import NOT_MAPPED
from tocsin.decide.route import head_of
from tocsin.decide.usual_words import openings_words, usual_line
from tocsin.decide.wording import (
    CHANGE_WORDS,
    JARGON,
    SYMPTOM_WORDS,
    TELLING,
    TIE,
    Pen,
    counted,
    percent,
    quantity,
    section,
    span,
    whole_percent,
)
from tocsin.domain.alert import Alert, AlertState, Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.drift import DRIFTS
from tocsin.domain.incident import Attribution, Band, Enrichment, Incident, Suspect
from tocsin.domain.subject import Subject

MAX_LINES = 25
SHOWN = 3
"""Likely causes that get words; the rest is summed up as "other"."""
MAX_URL = 80
"""A longer URL does not fit the width: the body names the link, the record's links carry it."""

_RESOURCES = ("pod", "instance", "host", "partition", "replica", "endpoint")
"""Labels that tell what a resource is."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The alerts as the body sorts them: where it starts, what else is hit."""

    incident: Incident
    catalog: Catalog
    members: tuple[AlertState, ...]
    """What fires; everything when nothing does."""
    roots: tuple[Subject, ...]
    """Alerting with nothing alerting above it."""
    hits: tuple[Subject, ...]
    source: Subject | None
    """What all roots come from, when they are several of one kind."""
    onset_at: datetime

    def of(self, subjects: Sequence[Subject]) -> list[AlertState]:
        return [m for m in self.members if m.alert.subject in subjects]

    @property
    def enrichment(self) -> Enrichment:
        return self.incident.enrichment or Enrichment(head=head_of(self.incident))

    @property
    def cause(self) -> Suspect | None:
        """The first suspect at P ≥ .3."""
        first = self.incident.attribution.first if self.incident.attribution else None
        return first if first is not None and first.band is not Band.UNLIKELY else None


def scene_of(incident: Incident, catalog: Catalog) -> Scene:
    """Sorts the alerting subjects by the catalogue: those that rest on another alerting one are hit by it."""
    members = incident.firing or incident.members
    alerting = sorted({m.alert.subject for m in members})
    roots = [s for s in alerting if not set(alerting) & set(catalog.upstream(s))] or alerting
    attribution = incident.attribution
    return Scene(
        incident=incident,
        catalog=catalog,
        members=members,
        roots=tuple(roots),
        hits=tuple(s for s in alerting if s not in roots),
        source=_source(roots, catalog),
        onset_at=attribution.onset_at if attribution else min(m.starts_at for m in members),
    )


def _source(roots: Sequence[Subject], catalog: Catalog) -> Subject | None:
    """The nearest thing that all of several roots of one kind rest on; a dataset before anything else."""
    if len(roots) < 2 or len({root.kind for root in roots}) > 1:
        return None
    ways = [catalog.upstream(root) for root in roots]
    shared = set(ways[0]).intersection(*ways[1:])
    return min(shared, key=lambda at: (at.kind != "dataset", max(way[at] for way in ways), at), default=None)


def body_of(scene: Scene, pen: Pen, links: Sequence[tuple[str, str]]) -> str:
    """At most 25 lines of at most 100 characters; empty sections are left out. `links` are (text, URL) pairs."""
    lines = [
        *section("WHAT", _what(scene, pen), 4),
        *section("HIT", _hit(scene, pen), 3),
        *section("CHANGED", _changed(scene, pen), 5),
        *section("WHY", _why(scene, pen), 3),
        *section("DO FIRST", _do_first(scene, pen), 3),
        *section("OWNER", _owner(scene, pen), 2),
        *section("LINKS", _links(links), 5),
    ]
    return "\n".join(lines[:MAX_LINES])


# --- WHAT ---


def _what(scene: Scene, pen: Pen) -> str:
    kinds = sorted({root.kind for root in scene.roots}, key=lambda kind: (_worst_of(scene, kind), kind))
    lines = [_group_words(scene, kind, pen) for kind in kinds]
    if all(m.alert.observed is None for m in scene.of(scene.roots)):
        worst = min(scene.of(scene.roots), key=lambda m: (m.alert.severity.rank, m.fingerprint))
        lines.append(pen.said(worst.alert.summary, 90))
    lines.append(_began_words(scene, pen))
    lines.append(_drift_words(scene, pen))
    lines.append(usual_line(scene.of(scene.roots), pen))
    return "\n".join(line for line in lines if line)


def _began_words(scene: Scene, pen: Pen) -> str:
    """Said where the first sign came from a check that looks at hours."""
    attribution = scene.incident.attribution
    if attribution is None or attribution.onset_after is None:
        return ""
    between = f"{pen.clock(attribution.onset_after)} and {pen.clock(attribution.onset_at)}"
    return f"Trouble began between {between}, the window of the check"


def _drift_words(scene: Scene, pen: Pen) -> str:
    """`12 of 50 features shifted, most: device_locale`; that nothing was tested only where drift is the whole story."""
    drift = scene.enrichment.drift
    if drift is None or not drift.words:
        return ""
    whole = scene.cause is None and all(m.alert.symptom in DRIFTS for m in scene.members)
    words = pen.plain(drift.words, 160) if drift.tested or whole else ""
    return f"{words[:1].upper()}{words[1:]}" if " shifted" not in words else words


def _worst_of(scene: Scene, kind: str) -> int:
    return min(m.alert.severity.rank for m in scene.of(scene.roots) if m.alert.subject.kind == kind)


def _group_words(scene: Scene, kind: str, pen: Pen) -> str:
    """`5 features from warehouse.orders: nulls 0.4 % → 31 %, 3 h stale`."""
    roots = [root for root in scene.roots if root.kind == kind]
    alerts = [m.alert for m in scene.of(roots)]
    worst = {symptom: min(a.severity.rank for a in alerts if a.symptom is symptom) for symptom in _symptoms(alerts)}
    order = sorted(worst, key=lambda symptom: (worst[symptom], TELLING.index(symptom)))
    phrases = [_symptom_words([a for a in alerts if a.symptom is symptom], pen) for symptom in order]
    return f"{_who(roots, alerts, scene.source, pen)}{_where(alerts, pen)}: {', '.join(dict.fromkeys(phrases))}"


def _symptoms(alerts: Sequence[Alert]) -> set[Symptom]:
    return {alert.symptom for alert in alerts}


def _who(roots: Sequence[Subject], alerts: Sequence[Alert], source: Subject | None, pen: Pen) -> str:
    if len(roots) == 1:
        resources = {alert.resource for alert in alerts if alert.resource}
        if len(resources) > 1:
            noun = next((word for word in _RESOURCES if any(word in a.labels for a in alerts)), "instance")
            return f"{counted(len(resources), noun)} of {pen.name(roots[0])}"
        return item_words(roots[0], pen)
    noun = "item" if roots[0].kind == "unknown" else roots[0].kind
    if source is not None:
        return f"{counted(len(roots), noun)} from {pen.name(source)}"
    return f"{counted(len(roots), noun)} ({pen.names(roots)})"


def item_words(subject: Subject, pen: Pen) -> str:
    """`checkout`, `model churn`: a service needs no kind in front of it."""
    kind = "" if subject.kind in ("service", "unknown") else f"{subject.kind} "
    return f"{kind}{pen.name(subject)}"


def _where(alerts: Sequence[Alert], pen: Pen) -> str:
    """What all the alerts share, in words: ` in eu-west`, ` for age<25`, ` (canary)`."""
    regions, segments = {a.region for a in alerts}, {a.segment for a in alerts}
    cohorts = {a.cohort for a in alerts}
    region, segment, cohort = (next(iter(found)) if len(found) == 1 else "" for found in (regions, segments, cohorts))
    words = f" in {pen.said(region, 30)}" if region else ""
    words += f" for {pen.said(segment, 40)}" if segment else ""
    return words + (f" ({cohort})" if cohort else "")


def _symptom_words(alerts: Sequence[Alert], pen: Pen) -> str:
    """The largest move in numbers, or the symptom in words."""
    measured = [alert for alert in alerts if alert.observed is not None]
    if not measured:
        return SYMPTOM_WORDS[alerts[0].symptom]
    most = max(measured, key=lambda alert: (_move(alert), alert.fingerprint))
    same = [alert for alert in measured if alert.metric == most.metric]
    differ = len({(a.baseline, a.observed) for a in same}) > 1
    return quantity(most, pen, at_worst=differ).replace(" %", f"{TIE}%")


def _move(alert: Alert) -> float:
    """How far from normal, relative to it."""
    reference = alert.baseline if alert.baseline is not None else alert.threshold
    observed = alert.observed or 0.0
    return abs(observed) if not reference else abs(observed - reference) / abs(reference)


# --- HIT ---


def _hit(scene: Scene, pen: Pen) -> str:
    """`churn 4.2, demand 7.1 (prediction drift). Impact not mapped`."""
    by_symptom: dict[Symptom, list[str]] = {}
    for subject in scene.hits:
        worst = min(scene.of([subject]), key=lambda m: (m.alert.severity.rank, m.alert.symptom))
        by_symptom.setdefault(worst.alert.symptom, []).append(_versioned(subject, worst.alert, scene.catalog, pen))
    groups = [f"{_few(names)} ({SYMPTOM_WORDS[symptom]})" for symptom, names in by_symptom.items()]
    silent = [a.subject for a in scene.enrichment.blast if not a.alerting and a.subject.kind in ("service", "model")]
    sentences = [
        "; ".join(groups),
        f"Also affected: {pen.names(silent)}" if silent else "",
        pen.said(scene.enrichment.impact or NOT_MAPPED, 120),
    ]
    return ". ".join(sentence for sentence in sentences if sentence)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _versioned(subject: Subject, alert: Alert, catalog: Catalog, pen: Pen) -> str:
    entry = catalog.entry(subject)
    version = alert.model_version or (entry.model.version if entry and entry.model else "")
    return f"{pen.name(subject)} {pen.said(version, 30)}".rstrip()


# --- CHANGED ---


def _changed(scene: Scene, pen: Pen) -> str:
    attribution = scene.incident.attribution
    if attribution is None:
        return "Changes are still being compared"
    shown = [s for s in attribution.suspects[:SHOWN] if s.probability >= 0.01]
    if scene.cause is None:
        weak = f"\n{_weaker(shown, attribution, pen)}" if shown else ""
        return f"{_without_cause(attribution, pen)}{weak}"
    return f"{_first_cause(scene.cause, attribution, pen)}\n{_weaker(shown, attribution, pen)}".rstrip()


def _without_cause(attribution: Attribution, pen: Pen) -> str:
    """What is true where the first suspect stands below P = .3: it may be first by a rule's order (decide/guard.py), or
    one of many alike."""
    no_change = f"P{TIE}{_tied(attribution.no_change)}"
    if _unexplained(attribution):
        return f"No known change explains this ({no_change})"
    if attribution.order_why:
        why = pen.plain(attribution.order_why.partition(" (")[0], 120)
        return f"{why[:1].upper()}{why[1:]} (no known change: {no_change})"
    return f"No change stands out (no known change: {no_change})"


def gone_words(found: Attribution | None, was: float, pen: Pen) -> str:
    """What a work note says when the cause that was told is not likely any more, or a rule's order puts an unlikely one
    before it."""
    if found and found.order_why and any(s.band is not Band.UNLIKELY for s in found.suspects):
        first = f"{pen.change(found.suspects[0].change)} {percent(found.suspects[0].probability)}"
        return f"To be looked at first now: {first}, by a simple rule."
    return f"No likely cause any more (was {percent(was)})."


def _unexplained(attribution: Attribution) -> bool:
    """Whether no change is likelier than that none of them did it."""
    return all(s.probability <= attribution.no_change for s in attribution.suspects)


def _tied(probability: float) -> str:
    return percent(probability).replace(" ", TIE)


def _first_cause(cause: Suspect, attribution: Attribution, pen: Pen) -> str:
    """`run ingest-orders #8841, 09:28 (14 min before): order_total renamed  LIKELY 86 %`."""
    most = "up to " if attribution.onset_after else ""
    when = f"{most}{span(cause.lag)} {'before' if cause.lag.total_seconds() >= 0 else 'after the first alert'}"
    summary = pen.said(cause.change.summary, 90)
    summary = f": {summary}" if summary else ""
    band = "LIKELY" if cause.band is Band.LIKELY else "POSSIBLE"
    told = f"{pen.change(cause.change)}, {pen.clock(cause.change.occurred_at)} ({when}){summary}"
    return f"{told} {TIE}{band}{TIE}{_tied(cause.probability)}"


def _weaker(shown: Sequence[Suspect], attribution: Attribution, pen: Pen) -> str:
    """The other causes in a clause each, then the rest, so that the shown numbers add up to 100."""
    first_told = attribution.first is not None and attribution.first.band is not Band.UNLIKELY
    others = shown[1:] if first_told else shown
    clauses = [f"{pen.change(s.change)}, {pen.clock(s.change.occurred_at)}: {_tied(s.probability)}" for s in others]
    rest = [f"No known change {_tied(attribution.no_change)}"] if first_told else []
    told = sum(whole_percent(s.probability) for s in shown) + whole_percent(attribution.no_change)
    if 100 - told >= 1 and (attribution.other or len(attribution.suspects) > len(shown)):
        rest.append(f"other {100 - told}{TIE}%")
    told_rest = ", ".join(rest)
    return ". ".join(part for part in ("; ".join(clauses), told_rest[:1].upper() + told_rest[1:]) if part)


# --- WHY, DO FIRST, OWNER, LINKS ---


def _why(scene: Scene, pen: Pen) -> str:
    reasons = [pen.said(outage, 120) for outage in scene.enrichment.outages[:2]]
    reasons += [often] if (often := openings_words(scene.members, pen)) else []
    attribution = scene.incident.attribution
    if scene.cause is not None:
        reasons += _evidence(scene, scene.cause, pen)
        against = [pen.plain(text, 120) for text in scene.cause.against if not JARGON.search(text)]
        reasons += [f"but {text[:1].lower()}{text[1:]}" for text in against[:1]]
    elif attribution is not None and attribution.candidates:
        fits = "none fits in time and place" if _unexplained(attribution) else "none fits clearly"
        if attribution.order_why and not _unexplained(attribution):
            fits = "the percentages are the scorer's, the order is not"
        reasons.append(f"{counted(attribution.candidates, 'change')} compared, {fits}")
    elif attribution is not None:
        reasons.append("no change was reported in the time before")
    return "; ".join(reasons)


def _evidence(scene: Scene, cause: Suspect, pen: Pen) -> list[str]:
    """Place, then the silent ones, then the delay; each only when it is known."""
    place = cause.change.subject
    reached = {place, *scene.catalog.downstream(place), *cause.change.touches}
    for touched in cause.change.touches:
        reached |= set(scene.catalog.downstream(touched))
    from_it = [root for root in scene.roots if root in reached]
    word = CHANGE_WORDS[cause.change.kind]
    reasons = []
    if len(scene.roots) == 1 and from_it:
        on_it = f"{item_words(from_it[0], pen)} is what it changed"
        reasons.append(on_it if from_it[0] == place else f"{pen.name(from_it[0])} rests on {pen.name(place)}")
    elif from_it:
        share = "all" if len(from_it) == len(scene.roots) else f"{len(from_it)} of"
        reasons.append(f"{share} {len(scene.roots)} come from this {word}")
    if from_it and (others := _silent_peers(scene, reached)):
        are = "is" if len(others) == 1 else "are"
        reasons.append(f"{counted(len(others), f'other {others[0].kind}')} {are} silent")
    if cause.expected > 1:
        reasons.append(f"{min(cause.seen, cause.expected)} of {cause.expected} watched items that rest on it alert")
    if (before := cause.seen_before) is not None:
        reasons.append(f"{before.followed} of {before.of} such changes were followed by these alerts before")
    if cause.typical_lag is not None:
        low, high = cause.typical_lag
        reasons.append(f"half of such causes show within {span(low)} to {span(high)}")
    if scene.incident.attribution is not None and scene.incident.attribution.low_evidence:
        reasons.append("few such causes were confirmed so far")
    return reasons


def _silent_peers(scene: Scene, reached: set[Subject]) -> list[Subject]:
    """Watched things of the roots' kind that the change does not reach and that do not alert; [] for a mixed lot."""
    if len({root.kind for root in scene.roots}) > 1:
        return []
    kind, alerting = scene.roots[0].kind, {*scene.roots, *scene.hits}
    if any(subject.kind == kind and subject not in reached for subject in alerting):
        return []
    entries = scene.catalog.entries.values()
    return [
        e.subject for e in entries if e.subject.kind == kind and e.monitored and e.subject not in reached | alerting
    ]


def _do_first(scene: Scene, pen: Pen) -> str:
    enrichment = scene.enrichment
    first = pen.said(enrichment.advice[0].text, 200) if enrichment.advice else ""
    if not enrichment.runbook:
        return first
    runbook = pen.said(enrichment.runbook, MAX_URL + 1)
    runbook = "Runbook: see the links" if len(runbook) > MAX_URL else f"Runbook {runbook}"
    return f"{first} {runbook}".strip()


def _owner(scene: Scene, pen: Pen) -> str:
    """`Data Engineering owns ingest-* (teams/data-engineering.yaml:9)`."""
    routing = scene.incident.routing
    if routing is None:
        return ""
    owner = routing.ownership
    team = scene.catalog.teams.get(owner.team)
    why = pen.plain(owner.why, 120)
    if team is not None and team.title:
        why = f"{pen.said(team.title, 60)}{why[len(owner.team) :]}" if why.startswith(owner.team) else why
    return f"{why} ({pen.said(owner.where, 80)})" if owner.where else why


def _links(links: Sequence[tuple[str, str]]) -> str:
    """`run https://…, TOC-1042 https://…, similar INC0010021`; an URL is never cut."""
    return ", ".join(f"{text}{TIE}{url}" if url and len(url) <= MAX_URL else text for text, url in links)
