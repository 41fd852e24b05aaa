"""How did Tocsin decide? Its incidents with their likely causes, beside what "blame the latest change" would have said.

Only for showing: what is expected of the demo is read from the service desks (expected.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.decide.redact import Redactor
from tocsin.decide.rules import nearest_change
from tocsin.decide.wording import Pen, percent, span
from tocsin.domain.change import Change
from tocsin.domain.incident import Band, GateState, Incident
from tocsin.domain.policy import Redaction
from tocsin.store import attribution, reading
from tocsin.store.database import Database

LOOK_BACK = timedelta(hours=72)
NOT_JUDGED = "not yet judged"
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One incident of ours, in words."""

    display: str
    head: str
    alerts: int
    blamed: str
    """The likely cause with its probability, or that no known change explains it."""
    cause: str
    """The likely cause alone; empty when there is none."""
    nearest: str
    """What the latest change before the first alert is."""
    nearest_lag: str
    muted: str
    """Why nothing was sent; empty when a record was wanted."""
    began_at: datetime
    ended_at: datetime | None
    changes: tuple[tuple[datetime, str, bool], ...]
    """(moment, words, is the cause): the candidates that the timeline shows."""
    starts: tuple[datetime, ...]
    """When its alerts began."""


def insights(database_url: str, *, now: datetime) -> list[Insight]:
    """Every incident, oldest first."""
    database = Database(database_url, pool_size=1)
    pen = Pen(Redactor(Redaction()), "UTC", now)
    try:
        rows = sorted(reading.incident_list(database), key=lambda row: int(row["number"]))
        found = [(row, reading.incident(database, int(row["number"]))) for row in rows]
        return [_insight(incident, row, database, pen) for row, incident in found if incident is not None]
    finally:
        database.close()


def _insight(incident: Incident, row: Mapping[str, object], database: Database, pen: Pen) -> Insight:
    began_at = min(member.starts_at for member in incident.members)
    known = attribution.candidates(database, incident.environment, began_at - LOOK_BACK, began_at + SKEW)
    nearest = nearest_change(incident, known)
    first = incident.attribution.first if incident.attribution else None
    cause = first.change if first is not None and first.band is not Band.UNLIKELY else None
    return Insight(
        display=incident.display,
        head=str(row.get("head") or ""),
        alerts=len(incident.members),
        blamed=_blamed(incident, pen),
        cause=pen.change(cause) if cause else "",
        nearest=pen.change(nearest) if nearest else "nothing",
        nearest_lag=span(began_at - nearest.occurred_at) if nearest else "",
        muted="" if row.get("records") else _muted(incident),
        began_at=began_at,
        ended_at=max((m.ends_at for m in incident.members if m.ends_at), default=None)
        if incident.resolved_at
        else None,
        changes=_shown(known, cause, nearest, began_at, pen),
        starts=tuple(sorted(member.starts_at for member in incident.members)),
    )


def _blamed(incident: Incident, pen: Pen) -> str:
    judged = incident.attribution
    first = judged.first if judged else None
    if judged is None:
        return NOT_JUDGED
    if first is None or first.band is Band.UNLIKELY:
        return f"no known change explains this ({percent(judged.no_change)})"
    word = "likely" if first.band is Band.LIKELY else "possibly"
    return f"{word} {pen.change(first.change)}, {span(first.lag)} before ({percent(first.probability)})"


def _muted(incident: Incident) -> str:
    """The gate's reason, else the route's."""
    gate, routing = incident.gate, incident.routing
    if gate is not None and gate.state is not GateState.ACTIVE:
        return gate.because or gate.reason.replace("_", " ")
    return f"route {routing.rule} asks for no ticket ({routing.origin})" if routing else "not yet routed"


def _shown(
    known: list[Change], cause: Change | None, nearest: Change | None, began_at: datetime, pen: Pen
) -> tuple[tuple[datetime, str, bool], ...]:
    """The changes of the last two hours before, the cause and the nearest among them."""
    recent = [c for c in known if began_at - c.occurred_at <= timedelta(hours=2) or c in (cause, nearest)]
    return tuple((c.occurred_at, pen.change(c), cause is not None and c.id == cause.id) for c in recent)
