"""A generated case as the product sees it: catalogue, changes and an incident of the domain's own types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from benchmarks.attribution.world import NAMES, Case, Fired, Made, World
from tocsin.decide.experience import Lesson
from tocsin.domain.alert import Alert, AlertState, Severity, Status, Symptom
from tocsin.domain.catalog import Catalog, Entry
from tocsin.domain.change import Change, ChangeKind, ChangeOutcome
from tocsin.domain.incident import Incident, IncidentState
from tocsin.domain.series import Series
from tocsin.domain.subject import Subject

START = datetime(2031, 1, 6, tzinfo=UTC)
"""A Monday."""


def moment(minutes: float) -> datetime:
    """The world's minute as a time."""
    return START + timedelta(minutes=minutes)


def catalog_of(world: World) -> Catalog:
    """What the catalogue knows: every node, and the edges that it has."""
    subjects = [Subject(node.subject) for node in world.nodes]
    return Catalog(
        entries={
            subject: Entry(subject=subject, depends_on=tuple(subjects[v] for v in needs))
            for subject, needs in zip(subjects, world.seen_needs, strict=True)
        }
    )


class Told:
    """One world's changes and alerts in the domain's words; each change is made once. `windows`: alerts say since when
    their check looked."""

    def __init__(self, world: World, *, windows: bool = False) -> None:
        self._world, self._windows = world, windows
        self.change = cache(self._change)

    def _change(self, made: Made) -> Change:
        node = self._world.nodes[made.node]
        kind = NAMES[made.kind]
        if made.kind == "deploy" and node.kind == "model":
            kind = ChangeKind.MODEL_DEPLOYED
        return Change(
            id=made.id,
            hook="h",
            source="s",
            environment="production",
            kind=kind,
            subject=Subject(node.subject if made.known else f"{node.kind}:x{node.name}"),
            occurred_at=moment(made.at),
            received_at=moment(made.at),
            outcome=ChangeOutcome.SUCCESS,
        )

    def incident(self, case: Case) -> Incident:
        """The incident of a case."""
        return incident_of(tuple(self._state(alert) for alert in case.alerts))

    @staticmethod
    def outage(subjects: Sequence[Subject], at: datetime) -> Incident:
        """An incident in which these alert at one moment."""
        return incident_of(tuple(_firing(subject, at, Symptom.ERRORS) for subject in subjects))

    def series(self, case: Case) -> tuple[Series, ...]:
        """The measured courses of a case: those of half of its alerts."""
        return tuple(
            Series(
                subject=Subject(self._world.nodes[fired.node].subject),
                metric="error_ratio",
                points=tuple((moment(at), value) for at, value in fired.series if at <= case.decide_at),
            )
            for fired in case.alerts
            if fired.series
        )

    def _state(self, fired: Fired) -> AlertState:
        node = self._world.nodes[fired.node]
        symptom = Symptom.PREDICTION_DRIFT if node.kind == "model" else Symptom.ERRORS
        since = moment(fired.looked_since) if self._windows and fired.looked_since is not None else None
        return _firing(Subject(node.subject), moment(fired.at), symptom, since)


def lesson_of(case: Case, told: Told, catalog: Catalog, series: Sequence[Series] = ()) -> Lesson:
    """The case once it was judged, with what a person said of it."""
    return Lesson(
        members=told.incident(case).members,
        changes=[told.change(made) for made in case.changes],
        catalog=catalog,
        decided_at=moment(case.decide_at),
        told=case.told,
        cause=case.cause,
        series=series,
    )


def incident_of(members: tuple[AlertState, ...]) -> Incident:
    """Of these alerts, open since the first."""
    return Incident(
        id=UUID(int=1),
        number=1,
        environment="production",
        state=IncidentState.OPEN,
        opened_at=min(m.starts_at for m in members),
        members=members,
    )


def _firing(subject: Subject, at: datetime, symptom: Symptom, since: datetime | None = None) -> AlertState:
    alert = Alert(
        hook="h",
        source="s",
        environment="production",
        name="bad",
        subject=subject,
        symptom=symptom,
        severity=Severity.CRITICAL,
        status=Status.FIRING,
        summary="",
        received_at=at,
        starts_at=at,
        window_starts_at=since,
    )
    return AlertState(
        alert=alert, status=Status.FIRING, episode=1, starts_at=at, last_report_at=at, last_received_at=at
    )
