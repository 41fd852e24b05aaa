"""What does it mean for an incident and its records that people have laid hands on it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from tocsin.domain.alert import Severity
from tocsin.domain.catalog import Catalog, Ownership
from tocsin.domain.incident import Incident, IncidentState, Routing
from tocsin.domain.people import Kept
from tocsin.domain.policy import ClosedRecord
from tocsin.domain.record import Record

PRODUCTS = {"servicenow": "ServiceNow", "pagerduty": "PagerDuty", "jira": "Jira"}

SEVERITIES = {1: Severity.CRITICAL, 2: Severity.ERROR, 3: Severity.WARNING, 4: Severity.INFO, 5: Severity.INFO}
IMPACT_URGENCY = {1: (1, 1), 2: (1, 2), 3: (2, 2), 4: (2, 3), 5: (3, 3)}
"""One pair that gives each priority in ServiceNow's own table (vendors.md §3.2, def-prio-lookup-rules)."""
_PRIORITY_WORDS = {
    **dict.fromkeys(("critical", "highest", "blocker", "urgent"), 1),
    **dict.fromkeys(("high", "major"), 2),
    **dict.fromkeys(("moderate", "medium", "normal"), 3),
    **dict.fromkeys(("low", "minor"), 4),
    **dict.fromkeys(("planning", "lowest", "trivial"), 5),
}
_SILENT_AGAIN = 3
"""So many still firing alerts are named when a person ends an incident above them."""


def cross_link(kind: str, *, number: str, url: str, key: str) -> str:
    """How one record names another: `See also PagerDuty #42: <url>`; by our key while the vendor told no number."""
    named = f"{PRODUCTS.get(kind, kind)} {shown_number(kind, number)}" if number else ""
    words = named or f"{PRODUCTS.get(kind, kind)} (under the key {key})"
    return f"See also {words}" + (f": {url}" if url else "")


def shown_number(kind: str, number: str) -> str:
    """The number as people write it: PagerDuty's with a hash."""
    return f"#{number}" if kind == "pagerduty" and number.isdecimal() else number


# --- what people's words mean ---


def priority_of(said: str) -> int:
    """1 (critical) to 5 from a desk's own words: `1 - Critical`, `P2`, `Highest`; 0 for words that we do not know."""
    word = said.strip().lower()
    number = word.removeprefix("p").partition(" ")[0].partition("-")[0]
    if number.isdecimal() and 1 <= int(number) <= 5:
        return int(number)
    return _PRIORITY_WORDS.get(word, 0)


def team_of(catalog: Catalog, kept: Kept, group: str) -> str:
    """The team whose address at the record's destination names that group; empty when none or several do."""
    if not group:
        return ""
    found = [
        name
        for name, team in catalog.teams.items()
        if group in (team.destinations.get(kept.destination) or team.destinations.get(kept.kind) or {}).values()
    ]
    return found[0] if len(found) == 1 else ""


# --- what stands above the alerts and the routes ---


def held(incident: Incident) -> Incident:
    """The incident in the state that a person gave it, where one did."""
    hands = incident.hands
    if hands.held == "closed":
        at = max(hands.held_at or incident.opened_at, incident.opened_at)
        return replace(incident, state=IncidentState.RESOLVED, resolved_at=at)
    if hands.held == "open":
        return replace(incident, state=IncidentState.OPEN, resolved_at=None)
    return incident


def owned(incident: Incident, routing: Routing, catalog: Catalog) -> Routing:
    """The routing with the team that a person chose, while there is such a team."""
    hands = incident.hands
    if not hands.team or hands.team not in catalog.teams:
        return routing
    why = f"{hands.team_by} assigned it to {hands.team} in {hands.team_in}"
    return replace(routing, ownership=Ownership(team=hands.team, why=why, where=catalog.teams[hands.team].origin))


def by_people(incident: Incident) -> dict[str, Any]:
    """Fields of a wanted record that people decide: who took it on, and how urgent it is."""
    hands = incident.hands
    fields: dict[str, Any] = {"acknowledged_by": hands.acknowledged_by}
    if hands.priority:
        impact, urgency = IMPACT_URGENCY[hands.priority]
        fields |= {"severity": SEVERITIES[hands.priority], "impact": impact, "urgency": urgency}
    return fields


def ending_words(incident: Incident) -> str:
    """How it ended when a person ended it: `Resolved by Kim in ServiceNow INC0010042. 2 alerts still fire (…); they
    stay quiet until they clear or fire anew.` Empty when it ended by its alerts."""
    hands = incident.hands
    if hands.held != "closed":
        return ""
    code = f" ({hands.close_code})" if hands.close_code else ""
    told = f"Resolved by {hands.held_by}{code} in {hands.held_in}."
    firing = incident.firing
    if not firing:
        return told
    names = sorted({f"{member.alert.name} of {member.alert.subject.name}" for member in firing})
    shown = ", ".join(names[:_SILENT_AGAIN]) + (" …" if len(names) > _SILENT_AGAIN else "")
    if len(firing) == 1:
        return f"{told} 1 alert still fires ({shown}); quiet until it clears or fires anew."
    return f"{told} {len(firing)} alerts still fire ({shown}); quiet until they clear or fire anew."


def reopening_words(incident: Incident) -> str:
    """`Reopened by Kim in Jira OPS-7: open until somebody resolves it.` Empty when its alerts opened it."""
    hands = incident.hands
    if hands.held != "open":
        return ""
    return f"Reopened by {hands.held_by} in {hands.held_in}: open until somebody resolves it."


def aware(records: Sequence[Record], ended_in: set[UUID], incident: Incident) -> list[Record]:
    """The records, where those in which a person ended or reopened the incident need not be told so."""
    state = held(incident).state
    return [
        replace(one, told=replace(one.told, state=state)) if one.id in ended_in and one.told else one for one in records
    ]


# --- when it fires again ---


def after_its_end(
    incident: Incident, record: Record, rule: ClosedRecord, *, reopens: bool, now: datetime
) -> Literal["", "reopen", "next", "comment"]:
    """What follows for a record that had ended while its incident is open again: it is opened again, followed by the
    next generation, or only told of it. Empty: it has not ended, or its incident did not fire again since."""
    if record.state == "vanished":
        return "next"
    refired = incident.reopened > (record.told.reopened if record.told else 0)
    over = record.wanted.status == "resolved"
    if not over and not (record.state == "closed" and refired):
        return ""
    ended_at = record.wanted.resolved_at
    began_at = max((m.starts_at for m in incident.firing), default=now)
    if incident.hands.held == "open" and not incident.firing and not reopens:
        return "comment"  # a person's word alone pages nobody
    in_time = rule.reopen_within is None or ended_at is None or began_at - ended_at <= rule.reopen_within
    if over and reopens and in_time and record.state != "closed":
        return "reopen"
    return "comment" if rule.then == "comment_only" else "next"
