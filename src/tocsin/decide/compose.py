"""What does the ticket say? Title, body, close notes and fields; and the work note when something moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from tocsin.decide.body import MAX_URL, Scene, body_of, gone_words, item_words, scene_of
from tocsin.decide.hands import by_people, ending_words, reopening_words
from tocsin.decide.redact import Redactor, clean
from tocsin.decide.route import head_of, impact_urgency
from tocsin.decide.wording import JARGON, STATE_WORDS, TELLING, Pen, counted, listed, percent, span
from tocsin.domain.alert import Alert, Symptom
from tocsin.domain.catalog import Catalog, Team
from tocsin.domain.incident import Band, Enrichment, Incident, IncidentState, Suspect
from tocsin.domain.policy import Want
from tocsin.domain.record import Told, Wanted
from tocsin.domain.subject import Subject

MAX_TITLE = 160
MAX_LINKS = 10
MAX_MEMBERS = 20
MOVED = 0.10
"""A change of the first cause's probability that is worth a work note."""

_INPUTS = (
    (Symptom.FRESHNESS, "stale"),
    (Symptom.SCHEMA, "broken"),
    (Symptom.DATA_QUALITY, "bad"),
    (Symptom.VOLUME, "incomplete"),
    (Symptom.FEATURE_DRIFT, "shifted"),
)
RUNBOOK = "runbook"
_DATA_KINDS = frozenset({"dataset", "feature", "job"})
_PRODUCTION = frozenset({"", "prod", "production"})


def compose(
    incident: Incident,
    *,
    catalog: Catalog,
    redactor: Redactor,
    key: str,
    destination: str,
    generation: int,
    previous: str,
    links: Mapping[str, str],
    now: datetime,
    zone: str = "",
    kind: str = "",
) -> Wanted:
    """The record as it should stand. `links` holds our own URLs: `incident` (the console's page) and `confirm` (its
    cause).

    The team's address is looked up by `destination`, then by connector `kind`. All outside text is redacted and made
    printable; our own links are not. Times are on the clock of `zone`, else of the owning team; they carry a date when
    they are not of the day it opened. `now` only stands in for a missing end.
    """
    scene = scene_of(incident, catalog)
    team = _team(incident, catalog)
    pen = Pen(redactor, zone or (team.timezone if team else "UTC"), incident.opened_at)
    shown_links = _links(scene, pen, links, previous)
    return Wanted(
        key=key,
        incident_id=incident.id,
        display=incident.display,
        generation=generation,
        title=_title(scene, pen),
        body=body_of(scene, pen, [(text, url) for text, url in shown_links if text != RUNBOOK or len(url) > MAX_URL]),
        ci=_ci(scene.enrichment, pen),
        business_service=_business_service(scene.enrichment, catalog, pen),
        component=pen.name(scene.enrichment.head),
        opened_at=incident.opened_at,
        links=tuple((text, url) for text, url in shown_links if url)[:MAX_LINKS],
        details=redactor.mapping(_details(scene, pen)),
        previous=previous,
        **_moving(incident, catalog, pen, destination=destination, kind=kind, links=links, now=now),
    )


def headline(incident: Incident, *, catalog: Catalog, redactor: Redactor, zone: str = "") -> str:
    """The title that a record of this incident would bear, on the clock of `zone`, else of the owning team."""
    team = _team(incident, catalog)
    pen = Pen(redactor, zone or (team.timezone if team else "UTC"), incident.opened_at)
    return _title(scene_of(incident, catalog), pen)


def follow(
    written: Wanted,
    incident: Incident,
    *,
    catalog: Catalog,
    redactor: Redactor,
    destination: str,
    links: Mapping[str, str],
    now: datetime,
    zone: str = "",
    kind: str = "",
) -> Wanted:
    """What was written once, with what still moves: status, want, severity, impact, urgency, category, owner, address
    and close notes. The parameters are those of `compose`."""
    team = _team(incident, catalog)
    pen = Pen(redactor, zone or (team.timezone if team else "UTC"), incident.opened_at)
    return replace(written, **_moving(incident, catalog, pen, destination=destination, kind=kind, links=links, now=now))


def _moving(
    incident: Incident,
    catalog: Catalog,
    pen: Pen,
    *,
    destination: str,
    kind: str,
    links: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """The fields of a record that are still written after its create."""
    enrichment = incident.enrichment or Enrichment(head=head_of(incident))
    want = incident.routing.want if incident.routing else Want.TICKET
    team = incident.routing.ownership.team if incident.routing else ""
    impact, urgency = impact_urgency(incident, enrichment.entry, want)
    resolved = incident.state is IncidentState.RESOLVED
    return {
        "status": "resolved" if resolved else "open",
        "want": want,
        "severity": incident.severity,
        "impact": impact,
        "urgency": urgency,
        "category": enrichment.category,
        "environment": incident.environment,
        "team": team,
        "address": catalog.address(team, destination, kind),
        "parent": incident.family.parent.records.get(destination, ("", ""))[0] if incident.family.parent else "",
        "resolved_at": (incident.resolved_at or now) if resolved else None,
        "close_notes": _recovery(incident, pen, links, now) if resolved else "",
        **by_people(incident),
    }


# --- title ---


def _title(scene: Scene, pen: Pen) -> str:
    """`Orders data broken since 09:42: churn, demand models on stale features`, at most 160 characters."""
    where = "" if scene.incident.environment in _PRODUCTION else f"[{pen.said(scene.incident.environment, 20)}] "
    symptoms = {m.alert.symptom for m in scene.of(scene.roots)}
    state = STATE_WORDS[min(symptoms, key=TELLING.index)]
    tail = _consequence(scene, symptoms, pen)
    return clean(f"{where}{_thing(scene, pen)} {state} since {pen.clock(scene.onset_at)}{tail}", MAX_TITLE)


def _thing(scene: Scene, pen: Pen) -> str:
    about = scene.source or (scene.roots[0] if len(scene.roots) == 1 else scene.enrichment.head)
    if about.kind == "dataset":
        words = pen.name(Subject.of("dataset", about.name.rpartition(".")[2] or about.name)).replace("_", " ")
        return f"{words[:1].upper()}{words[1:]} data"
    if len(scene.roots) > 1 and about not in scene.roots and scene.source is None:
        return counted(len(scene.roots), "item")
    named = item_words(about, pen)
    return f"{named[:1].upper()}{named[1:]}" if about.kind not in ("service", "unknown") else named


def _consequence(scene: Scene, symptoms: set[Symptom], pen: Pen) -> str:
    """What it does to others; the likely cause instead, or after it, but only a likely one (correlation.md §2.1)."""
    models = [hit for hit in scene.hits if hit.kind == "model"]
    if models and all(root.kind in _DATA_KINDS for root in scene.roots):
        inputs = next((word for symptom, word in _INPUTS if symptom in symptoms), "bad")
        noun = "model" if len(models) == 1 else "models"
        return f": {pen.names(models)} {noun} on {inputs} features"
    affected = f": {pen.names(scene.hits)} affected" if scene.hits else ""
    if scene.cause is None or scene.cause.band is not Band.LIKELY:
        return affected
    return f"{affected}{';' if affected else ','} likely {pen.change(scene.cause.change)}"


# --- fields ---


def _team(incident: Incident, catalog: Catalog) -> Team | None:
    return catalog.teams.get(incident.routing.ownership.team) if incident.routing else None


def _ci(enrichment: Enrichment, pen: Pen) -> str:
    """The CMDB's name; nothing for what the catalogue does not know."""
    entry = enrichment.entry
    return pen.said(entry.ci or entry.subject.name, 255) if entry else ""


def _business_service(enrichment: Enrichment, catalog: Catalog, pen: Pen) -> str:
    """The nearest one at or below the head."""
    entries = [enrichment.entry, *(catalog.entry(affected.subject) for affected in enrichment.blast)]
    return pen.said(next((e.business_service for e in entries if e and e.business_service), ""), 255)


def _links(scene: Scene, pen: Pen, links: Mapping[str, str], previous: str) -> list[tuple[str, str]]:
    """(text, URL) pairs, the most useful first; outside URLs only over https, redacted. An empty URL is a number."""
    enrichment, incident = scene.enrichment, scene.incident
    first = incident.attribution.first if incident.attribution else None
    found: list[tuple[str, str]] = []
    if first is not None and first.band is not Band.UNLIKELY:
        found.append((pen.change(first.change).split(" ", maxsplit=1)[0], first.change.url))
    found.append((RUNBOOK, enrichment.runbook))
    for sample in enrichment.samples[:1]:
        found += [("sample trace", sample.trace_url), ("explanation", sample.explanation_url)]
    worst = min(scene.members, key=lambda m: (m.alert.severity.rank, m.fingerprint)).alert
    found += [(pen.said(text, 30), url) for text, url in sorted(worst.links.items())[:2]]
    once: dict[str, str] = {}
    for text, url in found:
        if url.startswith("https://"):
            once.setdefault(url, text)
    shown = [(text, pen.said(url, 2_000)) for url, text in once.items()]
    if page := links.get("incident", ""):
        shown.insert(1, (incident.display, page))
    if previous:
        shown.append((f"previous {pen.said(previous, 40)}", ""))
    shown += [(f"similar {pen.said(past.record_number or past.number, 40)}", "") for past in enrichment.similar]
    return shown


def _details(scene: Scene, pen: Pen) -> dict[str, object]:
    """The same facts in structure, in screen words, for vendors that show them."""
    enrichment, incident = scene.enrichment, scene.incident
    details: dict[str, object] = {
        "affected": _affected(scene, pen),
        "alerts": len(scene.members),
        "category": enrichment.category,
        "environment": pen.said(incident.environment, 60),
        "impact": pen.said(enrichment.impact, 200),
        "also_affected": [pen.name(a.subject) for a in enrichment.blast[:MAX_MEMBERS] if not a.alerting],
        "advice": [{"do": a.kind, "text": pen.said(a.text), "because": pen.said(a.because)} for a in enrichment.advice],
        "runbook": pen.said(enrichment.runbook, 500),
        "recent_changes": [f"{pen.change(c)}, {pen.clock(c.occurred_at)}" for c in enrichment.recent],
    }
    if incident.attribution is not None:
        details["likely_causes"] = [_cause(suspect, pen) for suspect in incident.attribution.suspects]
        details["no_known_change"] = percent(incident.attribution.no_change)
    if incident.routing is not None:
        owner = incident.routing.ownership
        details["owner"] = {"team": owner.team, "why": pen.plain(owner.why), "where": owner.where}
        details["route"] = {"rule": incident.routing.rule, "why": pen.said(incident.routing.because)}
    return {name: value for name, value in details.items() if value not in ("", [])}


def _affected(scene: Scene, pen: Pen) -> list[dict[str, object]]:
    """What the first MAX_MEMBERS alerts are of, an item each."""
    alerts: dict[Subject, list[Alert]] = {member.alert.subject: [] for member in scene.members[:MAX_MEMBERS]}
    for member in scene.members:
        if member.alert.subject in alerts:
            alerts[member.alert.subject].append(member.alert)
    return [_item(subject, of_it, pen) for subject, of_it in alerts.items()]


def _item(subject: Subject, alerts: Sequence[Alert], pen: Pen) -> dict[str, object]:
    worst = min(alerts, key=lambda alert: (alert.severity.rank, alert.fingerprint))
    return {
        "item": pen.said(subject),
        "symptom": worst.symptom,
        "severity": worst.severity,
        "summary": pen.said(worst.summary, 160),
        "alerts": len(alerts),
    }


def _cause(suspect: Suspect, pen: Pen) -> dict[str, object]:
    cause = {
        "change": pen.change(suspect.change),
        "probability": percent(suspect.probability),
        "at": pen.clock(suspect.change.occurred_at),
        "summary": pen.said(suspect.change.summary, 160),
        "url": pen.said(suspect.change.url, 500),
        "author": pen.said(suspect.change.author, 60),
        "for": [pen.plain(text) for text in suspect.because if not JARGON.search(text)],
        "against": [pen.plain(text) for text in suspect.against if not JARGON.search(text)],
    }
    return {name: value for name, value in cause.items() if value}


# --- recovery and work notes ---


def _recovery(incident: Incident, pen: Pen, links: Mapping[str, str], now: datetime) -> str:
    """`Recovered 11:14 after 1 h 32 m, 4 alerts clear. Confirm the cause: <link>`; or who ended it above its alerts."""
    if by_hand := ending_words(incident):
        return pen.said(by_hand, 500)
    at = max((m.ends_at for m in incident.members if m.ends_at), default=incident.resolved_at or now)
    begin = incident.attribution.onset_at if incident.attribution else min(m.starts_at for m in incident.members)
    clear = f"{counted(len(incident.members), 'alert')} clear"
    told = f"Recovered {pen.clock(at)} after {span(max(at, begin) - begin)}, {clear}."
    if incident.confirmed_change:
        return f"{told} {_confirmed(incident, pen)}"
    confirm = links.get("confirm", "")
    return f"{told} Confirm the cause: {confirm}" if confirm and incident.attribution else told


def _confirmed(incident: Incident, pen: Pen) -> str:
    suspects = incident.attribution.suspects if incident.attribution else ()
    named = [pen.change(s.change) for s in suspects if incident.confirmed_change in (s.change.id, *s.members)]
    return f"Cause confirmed: {named[0] if named else pen.said(incident.confirmed_change, 80)}."


def note(
    told: Told | None,
    incident: Incident,
    *,
    redactor: Redactor,
    catalog: Catalog,
    now: datetime,
    zone: str = "",
    links: Mapping[str, str] | None = None,
) -> str | None:
    """One or two lines when membership (by affected item), the first cause, severity or state moved; else None.

    `told` is what the record's readers know; None means that its body was just written. Moves since are told together:
    `+1 model (demand). Likely cause 71 % → 86 %.` Clock and `links` as in `compose`, dates when not today's.
    """
    if told is None:
        return None
    team = _team(incident, catalog)
    pen = Pen(redactor, zone or (team.timezone if team else "UTC"), now)
    moved = [
        *_kin(told, incident, pen),
        *_membership(told, incident, pen),
        *_likely_cause(told, incident, pen),
        *_severity(told, incident),
    ]
    lines = [_state(told, incident, pen, links or {}, now), " ".join(moved)]
    return "\n".join(line for line in lines if line) or None


def _state(told: Told, incident: Incident, pen: Pen, links: Mapping[str, str], now: datetime) -> str:
    if incident.state is IncidentState.RESOLVED:
        return "" if told.state == incident.state else _recovery(incident, pen, links, now)
    if told.state == incident.state and incident.reopened <= told.reopened:
        return ""
    if by_hand := reopening_words(incident):
        return pen.said(by_hand)
    begin = max(m.starts_at for m in incident.firing or incident.members)
    return f"Back since {pen.clock(begin)}: {counted(len(incident.firing), 'alert')} again."


def _membership(told: Told, incident: Incident, pen: Pen) -> list[str]:
    joined = sorted(set(incident.subjects) - set(told.subjects))
    left = sorted(set(told.subjects) - set(incident.subjects))
    parts = [f"{sign}{text}" for sign, found in (("+", joined), ("−", left)) for text in _by_kind(found, pen)]
    return [f"{listed(parts)}."] if parts else []


def _kin(told: Told, incident: Incident, pen: Pen) -> list[str]:
    """Incidents of the same cause that were joined, or parted again."""
    parent, children = incident.family.parent, incident.family.children
    said = []
    if parent is not None and parent.display != told.parent:
        numbers = "".join(f", {number}" for _, number in parent.records.values() if number not in ("", parent.display))
        said.append(f"Has the same cause as {parent.display}{pen.said(numbers, 80)}, which tells on.")
    elif parent is None and told.parent and incident.state is IncidentState.OPEN:
        said.append(f"Has another cause than {told.parent} after all.")
    said += [
        f"+ {c.display} of the same cause: {pen.said(c.title, 90)}." for c in children if c.display not in told.children
    ]
    gone = sorted(set(told.children) - {child.display for child in children})
    return said + (
        [f"No longer part of it: {', '.join(gone)}."] if gone and incident.state is IncidentState.OPEN else []
    )


def _by_kind(subjects: Sequence[Subject], pen: Pen) -> list[str]:
    groups = [(kind, list(group)) for kind, group in groupby(subjects, key=lambda subject: subject.kind)]
    return [f"{counted(len(g), 'item' if kind == 'unknown' else kind)} ({pen.names(g)})" for kind, g in groups]


def _likely_cause(told: Told, incident: Incident, pen: Pen) -> list[str]:
    """A cause below P = .3 is none worth naming, before as after."""
    was_told = told.suspect if told.band and told.band != Band.UNLIKELY else ""
    first = incident.attribution.first if incident.attribution else None
    if first is None or first.band is Band.UNLIKELY:
        return [gone_words(incident.attribution, told.probability, pen)] if was_told else []
    if was_told and was_told in (first.change.id, *first.members):
        moved = abs(round(first.probability - told.probability, 6)) >= MOVED or first.band != told.band
        return [f"Likely cause {percent(told.probability)} → {percent(first.probability)}."] if moved else []
    kind = "Likely" if first.band is Band.LIKELY else "Possible"
    instead = f", instead of the one told ({percent(told.probability)})" if was_told else ""
    return [f"{kind} cause now: {pen.change(first.change)} {percent(first.probability)}{instead}."]


def _severity(told: Told, incident: Incident) -> list[str]:
    """Said only while it is open: at the end every severity is history."""
    if told.severity == incident.severity or incident.state is not IncidentState.OPEN:
        return []
    return [f"Severity {told.severity} → {incident.severity}."]
