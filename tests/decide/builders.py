"""Small builders: the facts that a test does not care about have a default."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tocsin.decide import deduplicate
from tocsin.domain.alert import Alert, AlertState, Severity, Status, Symptom
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.change import Change, ChangeKind
from tocsin.domain.incident import Incident, IncidentState
from tocsin.domain.policy import Flapping
from tocsin.domain.subject import Subject

NOON = datetime(2031, 2, 3, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """That many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def alert(subject: str = "service:checkout", **given: Any) -> Alert:
    facts: dict[str, Any] = {
        "hook": "prod-alerts",
        "source": "alertmanager",
        "environment": "production",
        "name": "HighLatency",
        "symptom": Symptom.LATENCY,
        "severity": Severity.ERROR,
        "status": Status.FIRING,
        "summary": "p99 over 2 s",
        "received_at": NOON,
        "sender_key": "a",
    }
    return Alert(subject=Subject(subject), **{**facts, **given})


def state(
    subject: str = "service:checkout", *, started: float = 0, ended: float | None = None, **given: Any
) -> AlertState:
    """An alert that began `started` minutes after noon, and ended at `ended` when that is given."""
    report = alert(subject, starts_at=at(started), received_at=at(started), **given)
    known, _ = deduplicate.merge(None, report, Flapping(), now=at(started))
    if ended is not None:
        over = replace(report, status=Status.RESOLVED, ends_at=at(ended), received_at=at(ended))
        known, _ = deduplicate.merge(known, over, Flapping(), now=at(ended))
    return known


def incident(*members: AlertState, **given: Any) -> Incident:
    firing = any(m.status is Status.FIRING for m in members)
    facts: dict[str, Any] = {
        "id": UUID(int=1),
        "number": 1042,
        "environment": "production",
        "state": IncidentState.OPEN if firing else IncidentState.RESOLVED,
        "opened_at": min((m.starts_at for m in members), default=NOON),
    }
    return Incident(members=members, **{**facts, **given})


def change(
    id: str, subject: str, minutes: float, kind: ChangeKind = ChangeKind.SERVICE_DEPLOYED, **given: Any
) -> Change:
    """A change that happened `minutes` after noon (negative: before)."""
    touches = tuple(Subject(s) for s in given.pop("touches", ()))
    facts: dict[str, Any] = {"hook": "ci", "source": "cdevents", "environment": "production"}
    return Change(
        id=id, kind=kind, subject=Subject(subject), occurred_at=at(minutes), received_at=at(minutes), touches=touches,
        **{**facts, **given},
    )  # fmt: skip


def catalog(depends: dict[str, Iterable[str]], *, unmonitored: Iterable[str] = ()) -> Catalog:
    """A catalogue from `subject: what it rests on`; what is only named on the right is listed too."""
    names = {*depends, *(up for ups in depends.values() for up in ups)}
    blind = set(unmonitored)
    return Catalog(
        entries={
            Subject(name): Entry(
                subject=Subject(name),
                depends_on=tuple(Subject(up) for up in depends.get(name, ())),
                monitored=name not in blind,
            )
            for name in sorted(names)
        }
    )
