"""Page, ticket or nothing; for whom and where; and by which rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from tocsin.decide.suppress import RESTLESS
from tocsin.domain.alert import Alert, AlertState, Severity, Symptom
from tocsin.domain.catalog import Catalog, Criticality, Entry, Ownership, Risk, Team
from tocsin.domain.drift import DRIFTS
from tocsin.domain.incident import Band, Incident, Routing
from tocsin.domain.policy import Condition, Policy, Rule, Want
from tocsin.domain.subject import Subject

_CRITICALITY = {Criticality.CRITICAL: 0, Criticality.HIGH: 1, Criticality.MEDIUM: 2, Criticality.LOW: 3}
_RISK = {Risk.HIGH: 0, Risk.MEDIUM: 1, Risk.LOW: 2}

DRIFT_WITHOUT_EFFECT = "drift_without_effect"
"""The named reason of a route that asks for less because of it."""
NOBODY = "unassigned"
"""The team when nobody claims the subject and no catch_all is set; `tocsin check` refuses such mappings."""


def route(incident: Incident, catalog: Catalog, policy: Policy, *, now: datetime) -> Routing:
    """The first rule that holds; else a ticket for anything of at least warning, and nothing for info.

    The owner is the one `reassign` allows, so calling it again never moves the incident twice. A flapping incident
    never pages. Destinations: the rule's, else the policy's for that want; a page then brings its ticket along.
    """
    for rule in policy.rules:
        would_own = _owner(incident, catalog, policy, team=rule.team)
        if _holds(rule.when, incident, catalog, would_own, now):
            want, because = _calmed(incident, policy, rule.want, f"rule {rule.name} matches", now)
            return _routing(rule, want, because, reassign(incident, would_own), policy)
    owner = reassign(incident, _owner(incident, catalog, policy, team=""))
    if incident.severity is Severity.INFO:
        because = "no rule matches and nothing is worse than info"
        return _routing(Rule(name="default", want=Want.NONE), Want.NONE, because, owner, policy)
    because = f"no rule matches: a ticket for severity {incident.severity}"
    want, because = _calmed(incident, policy, Want.TICKET, because, now)
    return _routing(Rule(name="default", want=Want.TICKET), want, because, owner, policy)


_LESS = (Want.NONE, Want.TICKET, Want.PAGE)


def _calmed(incident: Incident, policy: Policy, want: Want, because: str, now: datetime) -> tuple[Want, str]:
    """Less than the rule asks for: a flapping incident never pages, and a drift without effect gets what the policy's
    `drift.without_effect` allows. What was asked before is not taken back for that."""
    if want is Want.PAGE and is_flapping(incident, now):
        want, because = Want.TICKET, f"{because}, but it flaps: a ticket instead of a page"
    most = policy.drift.without_effect
    before = _LESS.index(incident.routing.want) if incident.routing else 0
    if most is not None and max(_LESS.index(most), before) < _LESS.index(want) and _is_harmless_drift(incident):
        because = f"{because}, but no effect of the drift was found and repeated ({DRIFT_WITHOUT_EFFECT})"
        return _LESS[max(_LESS.index(most), before)], because
    return want, because


def _is_harmless_drift(incident: Incident) -> bool:
    """Only drift fires, all of it was tested, and none is more than chance, large enough to matter, and repeated."""
    drift = incident.enrichment.drift if incident.enrichment else None
    members = incident.firing or incident.members
    return (
        drift is not None
        and drift.harmless
        and {m.fingerprint for m in members} == {shift.fingerprint for shift in drift.shifts}
        and all(m.alert.symptom in DRIFTS for m in members)
    )


def _routing(rule: Rule, want: Want, because: str, ownership: Ownership, policy: Policy) -> Routing:
    return Routing(
        want=want,
        rule=rule.name,
        because=because,
        ownership=ownership,
        destinations=_destinations(rule, want, policy),
        origin=rule.origin,
    )


def _destinations(rule: Rule, want: Want, policy: Policy) -> tuple[str, ...]:
    """A rule's own list is final, but for a page that became a ticket: that goes where tickets go."""
    tickets = policy.defaults.get(Want.TICKET, ())
    if want is Want.NONE:
        return ()
    if rule.want is Want.PAGE and want is Want.TICKET:
        return tickets or rule.destinations
    if rule.destinations:
        return rule.destinations
    if want is Want.TICKET:
        return tickets
    return tuple(dict.fromkeys((*policy.defaults.get(Want.PAGE, ()), *tickets)))


def is_flapping(incident: Incident, now: datetime) -> bool:
    """The gate says so (or that it opens all the time), or everything that fires is inside a flapping spell."""
    if incident.gate is not None and incident.gate.reason in RESTLESS:
        return True
    firing = incident.firing
    return bool(firing) and all(m.flapping_until is not None and m.flapping_until > now for m in firing)


# --- whose ticket ---


def reassign(incident: Incident, new: Ownership) -> Ownership:
    """The owner that may stand: the first routing is free, one automatic change after it, none once a person
    acknowledged or assigned it (`human_touched`) or the one change is used (`reassigned`)."""
    if incident.routing is None:
        return new
    held = incident.routing.ownership
    if held.team != new.team and (incident.reassigned or incident.human_touched):
        return held
    return new


def _owner(incident: Incident, catalog: Catalog, policy: Policy, *, team: str) -> Ownership:
    """Explicit route, likely cause, symptom, subject, lineage, catch-all: the first that answers."""
    if team:
        return Ownership(team=team, why=f"{team} is named by the route")
    head, symptom = head_of(incident), _leading_symptom(incident)
    return (
        _owner_of_cause(incident, catalog)
        or _owner_by_symptom(head, symptom, catalog, policy)
        or catalog.owner(head, symptom)
        or _owner_by_lineage(head, catalog)
        or Ownership(
            team=catalog.catch_all or NOBODY,
            why=f"{catalog.catch_all or NOBODY} gets what nobody owns: no team claims {head}",
        )
    )


def _owner_of_cause(incident: Incident, catalog: Catalog) -> Ownership | None:
    first = incident.attribution.first if incident.attribution else None
    if first is None or first.band is not Band.LIKELY:
        return None
    return catalog.owner(catalog.resolve(first.change.subject))


def _owner_by_symptom(head: Subject, symptom: Symptom, catalog: Catalog, policy: Policy) -> Ownership | None:
    """A claim to the subject for this symptom beats the policy's team for the symptom everywhere."""
    if any(symptom in claim.symptoms and fnmatchcase(head, claim.pattern) for claim in catalog.owns):
        return catalog.owner(head, symptom)
    team = policy.owners_by_symptom.get(symptom)
    return Ownership(team=team, why=f"{team} handles {symptom.replace('_', ' ')}") if team else None


def _owner_by_lineage(head: Subject, catalog: Catalog) -> Ownership | None:
    """The nearest owner on the way; upstream before downstream at the same distance."""
    ways = [(hops, 0, at) for at, hops in catalog.upstream(head).items()]
    ways += [(hops, 1, at) for at, hops in catalog.downstream(head).items()]
    for _, below, at in sorted(ways):
        if found := catalog.owner(at):
            relation = f"{at} rests on {head}" if below else f"{head} rests on {at}"
            relation += (
                ", as runs told" if catalog.learned_on(catalog.path(*((head, at) if below else (at, head)))) else ""
            )
            return Ownership(team=found.team, why=f"{found.why}, and {relation}", where=found.where)
    return None


def head_of(incident: Incident) -> Subject:
    """The enrichment's head; before enriching, the worst member's subject."""
    if incident.enrichment is not None:
        return incident.enrichment.head
    return _worst(incident).alert.subject


def _leading_symptom(incident: Incident) -> Symptom:
    """The worst symptom of the head when it alerts itself, else of the incident."""
    head = head_of(incident)
    own = [m for m in incident.members if m.alert.subject == head]
    return min(own or incident.members, key=_badness).alert.symptom


def _worst(incident: Incident) -> AlertState:
    return min(incident.firing or incident.members, key=_badness)


def _badness(member: AlertState) -> tuple[int, str, str]:
    return member.alert.severity.rank, member.alert.subject, member.fingerprint


# --- does a rule hold ---


def _holds(when: Condition, incident: Incident, catalog: Catalog, owner: Ownership, now: datetime) -> bool:
    """All that is given holds; what speaks of alerts must hold for one and the same alert."""
    if when.environments and incident.environment not in when.environments:
        return False
    if when.probability is not None and _probability(incident) < when.probability:
        return False
    team = catalog.teams.get(owner.team, Team(name=owner.team))
    if when.business_hours is not None and in_business_hours(team, now) is not when.business_hours:
        return False
    return any(
        _describes(when, member.alert, head_of(incident), catalog) for member in incident.firing or incident.members
    )


def _describes(when: Condition, alert: Alert, head: Subject, catalog: Catalog) -> bool:
    return (
        _any_pattern(when.subjects, alert.subject, head)
        and (not when.symptoms or alert.symptom in when.symptoms)
        and (not when.sources or alert.source in when.sources)
        and (not when.cohorts or alert.cohort in when.cohorts)
        and (when.severity is None or alert.severity.rank <= when.severity.rank)
        and all(alert.labels.get(key) == value for key, value in when.labels.items())
        and _weighs(when, [catalog.entry(alert.subject), catalog.entry(head)])
    )


def _any_pattern(patterns: tuple[str, ...], *subjects: Subject) -> bool:
    return not patterns or any(fnmatchcase(s, p) for s in subjects for p in patterns)


def _weighs(when: Condition, entries: list[Entry | None]) -> bool:
    """At least that critical and that risky; what the catalogue does not know never is."""
    known = [entry for entry in entries if entry]
    critical = when.criticality is None or any(
        _CRITICALITY[e.criticality] <= _CRITICALITY[when.criticality] for e in known
    )
    risky = when.risk is None or any(_RISK[e.risk] <= _RISK[when.risk] for e in known)
    return critical and risky


def _probability(incident: Incident) -> float:
    first = incident.attribution.first if incident.attribution else None
    return first.probability if first else 0.0


def in_business_hours(team: Team, now: datetime) -> bool:
    """Is it working time on the team's own wall clock? Hours over midnight belong to the day they open."""
    local = now.astimezone(ZoneInfo(team.timezone))
    opens, closes = (_minutes(text) for text in team.business_hours)
    minute = local.hour * 60 + local.minute
    today = local.weekday() in team.business_days
    yesterday = (local - timedelta(days=1)).weekday() in team.business_days
    if opens < closes:
        return today and opens <= minute < closes
    return (today and minute >= opens) or (yesterday and minute < closes)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes or 0)


# --- how much it matters ---


def impact_urgency(incident: Incident, entry: Entry | None, want: Want) -> tuple[int, int]:
    """ITIL impact and urgency, 1 high to 3 low.

    Impact is what is hit: criticality critical 1, high and medium 2, low 3 (unknown 2); high risk makes a 3 a 2;
    a page of critical severity is 1. Urgency is how soon: page of critical or error 1, any other page 2, ticket of
    critical or error 2, the rest 3.
    """
    impact = {Criticality.CRITICAL: 1, Criticality.LOW: 3}.get(entry.criticality if entry else Criticality.MEDIUM, 2)
    if entry and entry.risk is Risk.HIGH:
        impact = min(impact, 2)
    bad = incident.severity.rank <= Severity.ERROR.rank
    if want is Want.PAGE:
        return (1 if incident.severity is Severity.CRITICAL else impact), (1 if bad else 2)
    return impact, (2 if bad else 3)


def priority(impact: int, urgency: int) -> int:
    """1 to 5 as ServiceNow's default look-up computes it (reference/vendors.md §3.2): 1,1 → 1 … 3,3 → 5."""
    return impact + urgency - 1
