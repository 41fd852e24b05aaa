"""May this incident page or ticket now, or is it muted or waiting, by what, and until when?

The gate annotates and never discards: muted alerts still join their incident and count as evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rruleset, rrulestr

from tocsin.decide.checks import repeated
from tocsin.decide.deduplicate import is_flapping
from tocsin.decide.noise import AT_ONCE, FULL, is_chronic
from tocsin.domain.alert import AlertState, Resolves, Status, Symptom
from tocsin.domain.catalog import Catalog
from tocsin.domain.drift import DRIFTS
from tocsin.domain.incident import Gate, GateState, Incident
from tocsin.domain.policy import Outage, Policy, Window
from tocsin.domain.subject import Subject

NOTED_LATE = timedelta(minutes=15)
"""An outage is often noted after its first symptoms: alerts this much earlier still count as its own."""
ASK_AGAIN = timedelta(minutes=15)
"""For a known outage without an end, which only a person ends."""
RESTLESS = ("flapping", "chronic")
RETOLD = timedelta(minutes=30)
"""An alert that expires within this time is told again while it lasts (Prometheus without Alertmanager: every minute,
expiry 15 min); longer expiries are those of senders that tell once (an hour to days)."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What holds one member back; `state` is active when nothing does."""

    state: GateState
    reason: str
    because: str = ""
    until: datetime | None = None


_FREE = _Verdict(state=GateState.ACTIVE, reason="active")


def gate(incident: Incident, policy: Policy, catalog: Catalog, *, now: datetime) -> Gate:
    """The incident's gate: active as soon as one firing member is. In this order, a member is held back by

    1. `in_window`: a maintenance window covers it; muted until the window ends.
    2. `known_outage`: a known outage lies upstream of (or on) every firing member that no window covers; muted until
       its end, or asked again in 15 min when it has none.
    3. `not_persistent`: its symptom must last longer (a drift test with `drift.checks`: fail more of its checks) and
       too few subjects alert; waiting until it has. Once an incident's gate was active this no longer counts. A drift
       test that was not repeated is no subject here: of many features some fail by chance at once.

    When all active members flap the reason says `flapping` (the gate stays active; a page becomes a ticket in route).
    When nothing fires any more, each member is judged by its last firing moment, so that the answer does not depend
    on how reports were batched: `recovered_before_persisting` when none had lasted, else what muted it, without end;
    what was active stays active, so that its record can be resolved. `until` is the next moment at which the answer
    may change by itself.
    """
    members = incident.firing or incident.members
    before = incident.gate if incident.gate is not None and incident.gate.state is GateState.ACTIVE else None
    if before is not None and incident.firing and not _went_on(incident):
        before = None
    windows = {m.fingerprint: _in_window(m, incident, policy, catalog, now) for m in members}
    exposed = [m for m in members if windows[m.fingerprint] is None]
    outage = _known_outage(exposed, policy, catalog, now)
    telling = [m for m in exposed if not is_restless(m, now=now) and not _must_repeat(m, policy, now)]
    alerting = {catalog.resolve(m.alert.subject) for m in telling}
    free = len(alerting) >= policy.persistence_subjects or (before is not None and before.reason not in RESTLESS)
    verdicts = [
        windows[m.fingerprint]
        or outage
        or (_FREE if free or (before and is_restless(m, now=now)) else _persists(m, policy, now))
        for m in members
    ]
    if not incident.firing:
        return _recovered(verdicts, was_active=before is not None)
    active = [m for m, v in zip(members, verdicts, strict=True) if v.state is GateState.ACTIVE]
    until = min((v.until for v in verdicts if v.until is not None), default=None)
    if active:
        return _active(active, now, until)
    first = min(verdicts, key=lambda v: (v.state is not GateState.WAITING, v.until or now))
    return Gate(state=first.state, reason=first.reason, because=first.because, until=until)


def covers(
    window: Window, subject: Subject, environment: str, symptom: Symptom, *, at: datetime, catalog: Catalog
) -> datetime | None:
    """When the window that covers this signal at this moment ends; None when it does not cover it. With
    `include_dependants` what rests directly on a named subject is covered too. Raises ValueError for an RRULE or time
    zone that cannot be read."""
    if window.environments and environment not in window.environments:
        return None
    if window.symptoms and symptom not in window.symptoms:
        return None
    name = catalog.resolve(subject)
    names = {subject, name, *(catalog.upstream(name, 1) if window.include_dependants else ())}
    if not any(fnmatchcase(n, pattern) for n in names for pattern in window.subjects):
        return None
    return open_until(window, at)


def open_until(window: Window, at: datetime) -> datetime | None:
    """When the occurrence that is open at this moment ends (the latest of several); None when none is open.

    An RRULE runs in the wall time of its zone: 02:00 stays 02:00 over a change of clocks. A wall time that does not
    exist counts with the offset before the change, one that exists twice the first time (RFC 5545 §3.3.5). The
    duration is elapsed time."""
    if not window.rrule:
        ends_at = window.starts_at + window.duration
        return ends_at if window.starts_at <= at < ends_at else None
    zone = ZoneInfo(window.timezone)
    first = window.starts_at.astimezone(zone).replace(tzinfo=None)
    wall = at.astimezone(zone).replace(tzinfo=None)
    rule = _rule(window.rrule, first, window.timezone)
    # A day of slack on both sides covers any change of clocks; the exact test is on moments, not on wall time.
    starts = (t.replace(tzinfo=zone).astimezone(UTC) for t in rule.between(wall - window.duration - _DAY, wall + _DAY))
    return max((t + window.duration for t in starts if t <= at < t + window.duration), default=None)


@lru_cache(maxsize=256)
def _rule(text: str, first: datetime, timezone: str) -> rrule | rruleset:
    """The rule in naive wall time. RFC 5545 wants UNTIL in UTC; people also write it in wall time: both are read."""

    def local(found: re.Match[str]) -> str:
        moment = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return f"UNTIL={moment.astimezone(ZoneInfo(timezone)):%Y%m%dT%H%M%S}"

    return rrulestr(re.sub(r"UNTIL=(\d{8}T\d{6})Z", local, text), dtstart=first, cache=True)


def _in_window(
    member: AlertState, incident: Incident, policy: Policy, catalog: Catalog, now: datetime
) -> _Verdict | None:
    at = _last_fired(member, now)
    found = [
        (ends_at, window)
        for window in policy.windows
        if (ends_at := covers(
            window, member.alert.subject, incident.environment, member.alert.symptom, at=at, catalog=catalog
        ))
    ]  # fmt: skip
    if not found:
        return None
    ends_at, window = max(found, key=lambda f: (f[0], f[1].name))
    ticket = f" ({window.ticket})" if window.ticket else ""
    because = f"maintenance window {window.name}{ticket} covers {member.alert.subject}"
    return _Verdict(state=GateState.MUTED, reason="in_window", because=because, until=ends_at)


def _known_outage(exposed: list[AlertState], policy: Policy, catalog: Catalog, now: datetime) -> _Verdict | None:
    """The outage that lies upstream of every member that no window covers; of several the one that ends last."""
    if not exposed:
        return None
    found = [outage for outage in policy.outages if all(_explains(outage, m, catalog, now) for m in exposed)]
    if not found:
        return None
    outage = max(found, key=lambda o: (o.ends_at is None, o.ends_at or now, o.subject))
    ticket = f" ({outage.ticket})" if outage.ticket else ""
    return _Verdict(
        state=GateState.MUTED,
        reason="known_outage",
        because=f"known outage of {outage.subject}{ticket} lies upstream of all that alerts",
        until=outage.ends_at or now + ASK_AGAIN,
    )


def _explains(outage: Outage, member: AlertState, catalog: Catalog, now: datetime) -> bool:
    at = _last_fired(member, now)
    if member.starts_at < outage.starts_at - NOTED_LATE or (outage.ends_at is not None and outage.ends_at <= at):
        return False
    subject = catalog.resolve(member.alert.subject)
    source = catalog.resolve(outage.subject)
    return subject == source or source in catalog.upstream(subject)


def _persists(member: AlertState, policy: Policy, now: datetime) -> _Verdict:
    checks = policy.drift.checks
    if checks is not None and member.alert.symptom in DRIFTS:
        if not _must_repeat(member, policy, now):
            return _FREE
        because = (
            f"{member.alert.symptom} on {member.alert.subject} must fail {checks.failed} of {checks.of} checks,"
            f" or last {checks.at_most.total_seconds() / 3600:g} h"
        )
        until = member.starts_at + checks.at_most
        return _Verdict(state=GateState.WAITING, reason="not_persistent", because=because, until=until)
    span = policy.persistence.get(member.alert.symptom, timedelta(0))
    until = member.starts_at + span
    told_again = not _is_retold(member) or member.last_received_at >= member.starts_at + span / 2
    if _last_fired(member, now) >= until and told_again:
        return _FREE
    minutes = span.total_seconds() / 60
    because = f"{member.alert.symptom} on {member.alert.subject} must last {minutes:g} min"
    if not told_again:
        because += ", and its sender has not told it again"
        until = max(until, now + span / 2)
    return _Verdict(state=GateState.WAITING, reason="not_persistent", because=because, until=until)


def _is_retold(member: AlertState) -> bool:
    """Does its sender tell it again and again while it lasts? That is what a short expiry says: then one report and
    silence is an alert that was over at once, although we let it fire until it expires."""
    alert = member.alert
    return alert.resolves is Resolves.EXPIRY and alert.expires_after is not None and alert.expires_after <= RETOLD


def _must_repeat(member: AlertState, policy: Policy, now: datetime) -> bool:
    """A drift test repeats: of many features some fail by chance, so that several at once are no sign either."""
    checks = policy.drift.checks
    return checks is not None and member.alert.symptom in DRIFTS and not repeated(member, checks, now=now)


def _active(members: list[AlertState], now: datetime, again_at: datetime | None) -> Gate:
    """`again_at`: when what is still held back may be free."""
    if not all(is_restless(m, now=now) for m in members):
        return Gate(state=GateState.ACTIVE, reason="active")
    what = f"{members[0].alert.name} on {members[0].alert.subject}"
    if all(is_flapping(m, now=now) for m in members):
        until = min(t for t in (*(m.flapping_until for m in members), again_at) if t is not None)
        because = f"{what} keeps opening and ending; held open"
        return Gate(state=GateState.ACTIVE, reason="flapping", because=because, until=until)
    because = f"{what} opens all the time: its latest {FULL} times within a day"
    return Gate(state=GateState.ACTIVE, reason="chronic", because=because, until=again_at)


def is_restless(member: AlertState, *, now: datetime) -> bool:
    """Does it flap, or open all the time? It corroborates nothing then, and what only such alerts say pages nobody."""
    return is_flapping(member, now=now) or is_chronic(member, now)


def _went_on(incident: Incident) -> bool:
    """Has something fired all the time since the incident was let through? When what fires now began long after
    all else had ended, or is another occurrence of all there was, it was over in between and must last anew."""
    earliest = min(incident.firing, key=lambda member: member.starts_at)
    ended = [m.ends_at for m in incident.members if m.status is Status.RESOLVED and m.ends_at is not None]
    if not ended:
        return earliest.episode <= 1
    return max(ended) >= earliest.starts_at - timedelta(minutes=AT_ONCE)


def _recovered(verdicts: list[_Verdict], *, was_active: bool) -> Gate:
    if was_active or any(v.state is GateState.ACTIVE for v in verdicts):
        return Gate(state=GateState.ACTIVE, reason="active")
    waited = next((v for v in verdicts if v.state is GateState.WAITING), None)
    if waited is not None:
        because = f"{waited.because}, and it ended before"
        return Gate(state=GateState.MUTED, reason="recovered_before_persisting", because=because)
    muted = verdicts[0]
    return Gate(state=GateState.MUTED, reason=muted.reason, because=f"{muted.because}; it ended meanwhile")


def _last_fired(member: AlertState, now: datetime) -> datetime:
    return now if member.status is Status.FIRING else member.ends_at or now
