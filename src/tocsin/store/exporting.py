"""What was known of past incidents when they were last scored? Alerts, changes and the confirmed cause, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from tocsin.domain.alert import AlertState, Status
from tocsin.domain.change import Change, ChangeOutcome
from tocsin.domain.incident import Attribution
from tocsin.domain.series import Series
from tocsin.store import courses
from tocsin.store.database import Database, rows
from tocsin.store.incidents import ATTRIBUTION, CHANGE, MAX_MEMBERS, STATE

WINDOW = timedelta(hours=72)
"""As far back as the scorer looks; changes since the incident before are given too, so that each is given once."""
AT_ONCE = 200
_BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An alert of a past incident, as far as it is still known: where it began, and whether it had ended by then."""

    state: AlertState
    starts_at: datetime
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One incident as it stood at its last score."""

    id: UUID
    display: str
    attribution: Attribution
    mapping_version: int
    """Of the mappings under which it was decided last."""
    members: tuple[Member, ...]
    changes: tuple[Change, ...]
    series: tuple[Series, ...]
    confirmed_change: str
    """The change's id, NOT_AMONG_THEM, or empty: nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Incidents of one environment that opened from `since` on, before `until`."""

    environment: str
    since: datetime | None
    until: datetime


def count(database: Database, span: Span) -> tuple[int, int]:
    """How many incidents there are, and how many of them were scored."""
    with database.transaction() as connection:
        found = rows(
            connection,
            f"SELECT count(*) AS n, count(attribution) AS scored FROM incidents {_IN_SPAN}",  # noqa: S608 our own text
            **_values(span),
        )[0]
    return int(found.n), int(found.scored)


def past(database: Database, span: Span) -> Iterator[Past]:
    """The scored incidents, in the order of their opening."""
    with database.transaction() as connection:
        heads = rows(
            connection,
            f"SELECT id FROM incidents {_IN_SPAN} AND attribution IS NOT NULL ORDER BY opened_at, id",  # noqa: S608
            **_values(span),
        )
    ids = [row.id for row in heads]
    told_until, onset_before = (span.since, None) if span.since else (_BEGINNING, _BEGINNING)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        with database.transaction() as connection:
            looked = courses.looked_at(connection, some)
            for row, members in _with_members(connection, span.environment, some):
                scored = ATTRIBUTION.validate_python(row.attribution)
                back = min(scored.onset_at - WINDOW, onset_before or scored.onset_at)
                yield Past(
                    id=row.id,
                    display=f"TOC-{row.number}",
                    attribution=scored,
                    mapping_version=row.mapping_version,
                    members=_known_at(members, scored.scored_at),
                    changes=_changes(connection, span.environment, back, told_until, scored.scored_at),
                    series=looked.get(row.id, ()),
                    confirmed_change=row.confirmed_change,
                )
                told_until, onset_before = scored.scored_at, scored.onset_at


_IN_SPAN = (
    "WHERE environment = :environment AND opened_at < :until"
    " AND (CAST(:since AS timestamptz) IS NULL OR opened_at >= :since)"
)


def _values(span: Span) -> dict[str, object]:
    return {"environment": span.environment, "since": span.since, "until": span.until}


@dataclass(slots=True)
class _Spell:
    """One alert in one incident: each episode's start and end, and when it joined."""

    state: AlertState
    episodes: list[tuple[datetime, datetime | None]]
    joined_at: datetime | None = None


def _with_members(
    connection: Connection, environment: str, ids: Sequence[UUID]
) -> Iterator[tuple[Row[Any], list[_Spell]]]:
    values: dict[str, object] = {"ids": list(ids), "environment": environment}
    spells: dict[UUID, dict[str, _Spell]] = {}
    for sql in (_ENDED, _LATEST):
        for row in rows(connection, sql, **values):
            state = STATE.validate_python(row.state)
            spell = spells.setdefault(row.incident_id, {}).setdefault(state.fingerprint, _Spell(state, []))
            ended = sql is _ENDED
            spell.episodes.append((row.starts_at, row.ends_at) if ended else (state.starts_at, state.ends_at))
    for row in rows(connection, _JOINED, **values):
        joined = spells.get(row.incident_id, {}).get(row.fingerprint)
        if joined is not None:
            joined.joined_at = row.at
    for row in rows(connection, "SELECT * FROM incidents WHERE id = ANY(:ids) ORDER BY opened_at, id", ids=list(ids)):
        yield row, list(spells.get(row.id, {}).values())


_ENDED = (
    "SELECT o.incident_id, o.starts_at, o.ends_at, a.state FROM occurrences o"
    " JOIN alerts a ON a.environment = o.environment AND a.fingerprint = o.fingerprint"
    " WHERE o.environment = :environment AND o.incident_id = ANY(:ids)"
)
_LATEST = "SELECT incident_id, state FROM alerts WHERE environment = :environment AND incident_id = ANY(:ids)"
_JOINED = (
    "SELECT incident_id, fingerprint, min(at) AS at FROM audit WHERE incident_id = ANY(:ids)"
    " AND environment = :environment AND action = 'alert.joined' GROUP BY incident_id, fingerprint"
)


def _known_at(spells: Sequence[_Spell], at: datetime) -> tuple[Member, ...]:
    """The alerts that had joined by then, each in its episode of that moment; as many as are scored."""
    found = []
    for spell in spells:
        begun = [episode for episode in spell.episodes if episode[0] <= at]
        if begun and (spell.joined_at is None or spell.joined_at <= at):
            starts_at, ends_at = max(begun, key=lambda episode: episode[0])
            status = Status.RESOLVED if ends_at is not None and ends_at <= at else Status.FIRING
            found.append(Member(state=spell.state, starts_at=starts_at, status=status))
    found.sort(key=lambda member: (member.status, member.starts_at, member.state.fingerprint))
    return tuple(found[:MAX_MEMBERS])


def _changes(
    connection: Connection, environment: str, back: datetime, told_until: datetime, at: datetime
) -> tuple[Change, ...]:
    """What was known at a moment of changes since `back`, and what has been told since `told_until`."""
    found = rows(
        connection,
        "SELECT change, occurred_at, received_at FROM changes WHERE environment = :environment AND occurred_at <= :at"
        " AND received_at <= :at AND (occurred_at >= :back OR received_at > :told_until) ORDER BY occurred_at, id",
        environment=environment,
        at=at,
        back=back,
        told_until=told_until,
    )
    return tuple(_as_known(CHANGE.validate_python(row.change), at) for row in found)


def _as_known(change: Change, at: datetime) -> Change:
    """Without an end that came later."""
    if change.finished_at is None or change.finished_at <= at:
        return change
    return replace(change, finished_at=None, outcome=ChangeOutcome.RUNNING)
