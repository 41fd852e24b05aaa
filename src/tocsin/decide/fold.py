"""Take signals in receipt order: which alert is new, which incident does it belong to, which ones moved?

The fold is a pure function of what was known and of the signals, each at its own receipt time, so that the same
messages end in the same incidents however they were batched.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from uuid import UUID

from tocsin.decide.acts import Deed
from tocsin.decide.deduplicate import due_at, expire, merge
from tocsin.decide.group import Groups, Placement
from tocsin.decide.noise import comes_back, own_rate
from tocsin.decide.people import People, no_people
from tocsin.decide.seen import Seen, seen_of
from tocsin.decide.usual import noted
from tocsin.domain.alert import Alert, AlertState, Status, Transition
from tocsin.domain.audit import AuditEntry
from tocsin.domain.catalog import Catalog
from tocsin.domain.drift import DRIFTS
from tocsin.domain.incident import Course, IncidentState
from tocsin.domain.message import RecordUpdate
from tocsin.domain.policy import Policy

GROUPS_SINCE = timedelta(hours=8)
"""An open incident without a new alert for this long takes no more (correlation.md §3)."""

SHORTLY = timedelta(hours=1)
"""So much before the time that a check looked at, an incident may have begun that shows in it (group.TTL_MIN)."""

QUIET = frozenset({Transition.REPEAT, Transition.STALE, Transition.TOMBSTONE, Transition.COVERED})
"""Transitions that move no incident."""


@dataclass(kw_only=True)
class Fold:
    """What was known and what became of it. `take` and `wait_until` move it on; nothing here asks a clock."""

    environment: str
    installation_id: UUID
    mapping_version: int
    catalog: Catalog
    policy: Policy
    states: dict[str, AlertState]
    incidents: dict[UUID, Course]
    groups: Groups
    people: People = field(default_factory=no_people)
    """What people did to the incidents' records."""
    firing: dict[UUID, int] = field(default_factory=dict)
    """How many members of each known incident fire: at none it is over, and takes no other alert."""
    moved: set[str] = field(default_factory=set)
    """Fingerprints whose state must be written."""
    ended: list[AlertState] = field(default_factory=list)
    opened: list[UUID] = field(default_factory=list)
    touched: set[UUID] = field(default_factory=set)
    joined: set[UUID] = field(default_factory=set)
    """Incidents with a new or re-fired member: to be scored again."""
    human_touched: set[UUID] = field(default_factory=set)
    audit: list[AuditEntry] = field(default_factory=list)
    timers: list[tuple[datetime, str]] = field(init=False)
    """When which known alert may end without a report: a heap; what was overtaken by a report stays in it, unheeded."""

    @property
    def pressing(self) -> set[UUID]:
        """Incidents that more than grew: an alert ended, or a person acted."""
        return (
            self.human_touched
            | self.people.ledger.moved
            | {state.incident_id for state in self.ended if state.incident_id is not None}
        )

    def __post_init__(self) -> None:
        self.timers = [(at, state.fingerprint) for state in self.states.values() if (at := due_at(state)) is not None]
        heapify(self.timers)

    def take(self, value: Alert | RecordUpdate, *, message_id: UUID, seq: int, at: datetime) -> None:
        """One signal, received `at`; what was due by then happens before it."""
        self.wait_until(at)
        if isinstance(value, RecordUpdate):
            self._take_update(value, message_id, at)
        else:
            self._take_alert(value, message_id, seq, at)

    def wait_until(self, now: datetime) -> None:
        """Whatever happens by time alone until then: expiries and ends of flapping spells, each at its own moment."""
        while self.timers and self.timers[0][0] <= now:
            at, fingerprint = heappop(self.timers)
            known = self.states[fingerprint]
            ended = expire(known, now=at) if due_at(known) == at else None
            if ended is not None:
                self.states[fingerprint] = ended
                self.moved.add(fingerprint)
                self._count(known, ended, at)
                self._end(ended)
                self._note("alert.expired", Transition.EXPIRED, ended, at=at, message_id=None)

    def due(self) -> dict[str, datetime | None]:
        """When each moved alert must be looked at again without any message."""
        return {fingerprint: due_at(self.states[fingerprint]) for fingerprint in self.moved}

    def _take_alert(self, alert: Alert, message_id: UUID, seq: int, at: datetime) -> None:
        known = self.states.get(alert.fingerprint)
        state, transition = merge(known, alert, self.policy.flapping, now=at)
        state = noted(known, state, alert, transition, self.policy.drift, now=at)
        if transition in (Transition.NEW, Transition.REFIRED):
            incident_id, reason, why = self._place(known, state, message_id, seq, at)
            state = replace(state, incident_id=incident_id)
            self._note("alert.joined", reason, state, at=at, message_id=message_id, why=f"{transition}: {why}")
        else:
            self._note("alert.deduplicated", transition, state, at=at, message_id=message_id)
        self.states[alert.fingerprint] = state
        self.moved.add(alert.fingerprint)
        if (due := due_at(state)) is not None:
            heappush(self.timers, (due, alert.fingerprint))
        self._count(known, state, at)
        if transition is Transition.RESOLVED:
            self._end(state)
        if state.incident_id is not None and (transition not in QUIET or _is_another_check(known, state)):
            self.touched.add(state.incident_id)

    def _count(self, before: AlertState | None, after: AlertState, at: datetime) -> None:
        """Follow how many members fire; the last one to end closes its incident, as judging will see it too."""
        fired = before is not None and before.status is Status.FIRING
        fires = after.status is Status.FIRING
        incident_id = after.incident_id
        if incident_id is None or fired == fires:
            return
        self.firing[incident_id] = self.firing.get(incident_id, 0) + (1 if fires else -1)
        incident = self.incidents.get(incident_id)
        if incident is not None and self.firing[incident_id] <= 0:
            self.incidents[incident_id] = replace(incident, state=IncidentState.RESOLVED, resolved_at=at)
            self.groups.close(incident_id)
            self.people.fell_silent(incident_id)

    def _end(self, state: AlertState) -> None:
        self.ended.append(state)
        if state.incident_id is not None:
            self.touched.add(state.incident_id)

    def _place(
        self, known: AlertState | None, state: AlertState, message_id: UUID, seq: int, at: datetime
    ) -> tuple[UUID, str, str]:
        """The incident, a stable reason and the why in words."""
        seen, rate = seen_of(state), own_rate(state.opened[:-1], at)
        incident, placement = self._best(known, seen, rate, at)
        reason, why = "former_incident", "its last occurrence belongs to it"
        if placement is not None:
            reason, why = "opened" if incident is None else "grouped", placement.because
            incident = incident or self._open(message_id, seq, at)
        if incident is not None and incident.state is IncidentState.RESOLVED:
            reason = "reopened"
            why = placement.because if placement else "it fires again soon after its incident was resolved"
            incident = replace(incident, state=IncidentState.OPEN, reopened=incident.reopened + 1, resolved_at=None)
        assert incident is not None
        self.incidents[incident.id] = replace(incident, last_alert_at=max(incident.last_alert_at, at))
        self.groups.add(incident.id, seen, rate_per_day=rate)
        self.joined.add(incident.id)
        self.people.fires_anew(incident.id, reopened=reason == "reopened")
        return incident.id, reason, why

    def _best(
        self, known: AlertState | None, seen: Seen, rate: float, at: datetime
    ) -> tuple[Course | None, Placement | None]:
        """Back to its former incident (no placement then), into another, or into none that there is.

        It comes back only while that is no chance, and no incident that is open now explains it better: else alerts
        that fire all the time would keep every incident alive that they once joined. An incident of its own takes an
        alert back whatever its rate, unless one that goes on now explains it better."""
        former = self._former(known, at)
        alone = former is not None and self.groups.stands_alone(former.id)
        back = comes_back(known, at) if known is not None and former is not None else -math.inf
        left = known.incident_id if known else None
        alive = [] if alone else self._alive(seen.since)
        placement = self.groups.place(seen, rate_per_day=rate, left=left, alive=alive)
        better = placement.incident_id is not None and placement.llr > back
        if former is not None and not better and (alone or back > 0):
            return former, None
        return self.incidents.get(placement.incident_id) if placement.incident_id else None, placement

    def _alive(self, since: datetime | None) -> list[UUID]:
        """Incidents that were not over before that time and have alerted since, or shortly before."""
        if since is None:
            return []
        return [
            incident.id
            for incident in self.incidents.values()
            if (incident.resolved_at or since) >= since and incident.last_alert_at >= since - SHORTLY
        ]

    def _former(self, known: AlertState | None, at: datetime) -> Course | None:
        """The incident of the alert's last episode, while it is open or was resolved a short time ago."""
        former = self.incidents.get(known.incident_id) if known and known.incident_id else None
        if former is None or former.state is IncidentState.OPEN:
            return former
        resolved_at = former.resolved_at or former.last_alert_at
        return former if at - resolved_at <= self.policy.reopen_within else None

    def _open(self, message_id: UUID, seq: int, at: datetime) -> Course:
        incident = Course(
            id=incident_id_of(self.installation_id, self.environment, message_id, seq, at),
            state=IncidentState.OPEN,
            opened_at=at,
            last_alert_at=at,
        )
        self.incidents[incident.id] = incident
        self.opened.append(incident.id)
        return incident

    def _take_update(self, update: RecordUpdate, message_id: UUID, at: datetime) -> None:
        for deed in self.people.take(update, at, self._state_of):
            if deed.counts and deed.incident_id is not None:
                self._follow(deed, deed.incident_id, at)
            self.audit.append(
                AuditEntry(
                    at=at,
                    action=f"record.{deed.action}",
                    reason=deed.reason,
                    environment=self.environment,
                    message_id=message_id,
                    incident_id=deed.incident_id,
                    actor=update.actor or update.source,
                    mapping_version=self.mapping_version,
                    because={"record": update.number or update.external_id, "status": update.status},
                )
            )

    def _follow(self, deed: Deed, incident_id: UUID, at: datetime) -> None:
        """A person's act moves the incident: it is over, or open again, whatever its alerts say."""
        self.touched.add(incident_id)
        if deed.touches:
            self.human_touched.add(incident_id)
        known = self.incidents.get(incident_id)
        if deed.closes and known is not None:
            self.incidents[incident_id] = replace(known, state=IncidentState.RESOLVED, resolved_at=at)
            self.groups.close(incident_id)
        elif deed.opens and known is not None:
            self.incidents[incident_id] = replace(known, state=IncidentState.OPEN, resolved_at=None)

    def _state_of(self, incident_id: UUID) -> IncidentState | None:
        known = self.incidents.get(incident_id)
        return known.state if known else None

    def _note(
        self, action: str, reason: str, state: AlertState, *, at: datetime, message_id: UUID | None, why: str = ""
    ) -> None:
        because: dict[str, object] = {
            "alert": state.alert.name,
            "subject": state.alert.subject,
            "occurrence": state.episode,
        }
        self.audit.append(
            AuditEntry(
                at=at,
                action=action,
                reason=reason,
                environment=self.environment,
                message_id=message_id,
                fingerprint=state.fingerprint,
                incident_id=state.incident_id,
                mapping_version=self.mapping_version,
                because={**because, "why": why} if why else because,
            )
        )


def incident_id_of(installation_id: UUID, environment: str, message_id: UUID, seq: int, at: datetime) -> UUID:
    """A UUIDv7 whose random part is a hash of the alert that opened the incident: deciding the same messages again
    gives the same id, another installation never does."""
    digest = hashlib.sha256(f"{installation_id}|{environment}|{message_id}|{seq}".encode()).digest()
    milliseconds = int(at.timestamp() * 1000)
    value = (milliseconds << 80) | (0x7 << 76) | (int.from_bytes(digest[:2], "big") & 0xFFF) << 64
    value |= (0b10 << 62) | (int.from_bytes(digest[2:10], "big") & ((1 << 62) - 1))
    return UUID(int=value)


def _is_another_check(before: AlertState | None, after: AlertState) -> bool:
    """A drift test that failed again, or found other numbers: what its drift is worth may have changed."""
    if before is None or after.status is not Status.FIRING or after.alert.symptom not in DRIFTS:
        return False
    return before.keys != after.keys or before.alert != after.alert


def all_ended(members: Iterable[AlertState]) -> bool:
    """Has every member of an incident ended?"""
    return all(member.status is Status.RESOLVED for member in members)
